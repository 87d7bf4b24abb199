//! All packages of all suites, found by name and by what they provide.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use debversion::Version;

use super::Request;
use super::admit::{self, Publisher, Withheld};
use crate::apt::index::{Index, Record, Unusable};
use crate::apt::relation::{self, Atom};
use crate::apt::release::Automatic;

/// One suite's packages.
#[derive(Debug)]
pub struct PoolSuite<'a> {
    /// `debian`, or the name of a repository.
    pub archive: String,
    /// `bookworm`.
    pub suite: String,
    /// Who publishes it.
    pub publisher: Publisher,
    /// What its release says of itself.
    pub automatic: Automatic,
    /// Records of all its indices.
    pub records: Vec<Record<'a>>,
    /// Stanzas of them that cannot be used.
    pub unusable: Vec<Unusable<'a>>,
}

impl<'a> PoolSuite<'a> {
    /// A suite with nothing in it yet.
    pub fn new(archive: &str, suite: &str, publisher: Publisher, automatic: Automatic) -> PoolSuite<'a> {
        let (archive, suite) = (archive.to_owned(), suite.to_owned());
        PoolSuite { archive, suite, publisher, automatic, records: Vec::new(), unusable: Vec::new() }
    }

    /// Adds an index.
    pub fn add(&mut self, index: Index<'a>) {
        self.records.extend(index.records);
        self.unusable.extend(index.unusable);
    }

    /// Whether `name/release` means this suite.
    pub(super) fn is_called(&self, release: &str) -> bool {
        match &self.publisher {
            Publisher::Distribution => self.suite == release,
            Publisher::Repository(_) => self.archive == release,
        }
    }
}

/// Packages, ordered by name; the same name best first: the highest priority, as apt's pins
/// have it, then the highest version, then the suite that was named first.
#[derive(Debug)]
pub struct Pool<'a> {
    /// Without their records.
    suites: Vec<PoolSuite<'a>>,
    withheld: HashMap<&'a str, Withheld<'a>>,
    candidates: Vec<Candidate<'a>>,
    by_name: HashMap<&'a str, Range<u32>>,
    /// Name → who provides it, and as which version.
    providers: HashMap<&'a str, Vec<(u32, Option<&'a str>)>>,
    arch: String,
}

/// A package of the pool.
#[derive(Debug)]
pub(super) struct Candidate<'a> {
    pub record: Record<'a>,
    pub suite: usize,
    priority: u16,
    /// Whether its suite is the distribution's.
    distribution: bool,
    version: OnceCell<Version>,
}

impl<'a> Candidate<'a> {
    pub(super) fn new(record: Record<'a>, suite: usize, priority: u16, distribution: bool) -> Candidate<'a> {
        Candidate { record, suite, priority, distribution, version: OnceCell::new() }
    }

    /// Whether apt takes it without being asked: it comes after all others otherwise.
    pub(super) fn is_automatic(&self) -> bool {
        self.priority >= Automatic::Yes.priority()
    }

    pub(super) fn version(&self) -> &Version {
        self.version.get_or_init(|| relation::version(self.record.version))
    }
}

impl<'a> Pool<'a> {
    /// What `suites` give for a request (see [`admit`]).
    pub fn new(mut suites: Vec<PoolSuite<'a>>, arch: &str, request: &Request<'_>) -> Pool<'a> {
        let (candidates, withheld) = admit::admit(&mut suites, arch, request);
        Pool { suites, withheld, ..Pool::of(candidates, arch) }
    }

    /// The pool of these very packages.
    pub(super) fn of(mut candidates: Vec<Candidate<'a>>, arch: &str) -> Pool<'a> {
        let key = |c: &Candidate<'a>| (c.record.name, c.record.version, c.suite);
        candidates.sort_by(|a, b| {
            let by_name = a.record.name.cmp(b.record.name);
            let by_priority = || b.priority.cmp(&a.priority);
            by_name.then_with(by_priority).then_with(|| match a.record.version == b.record.version {
                true => a.suite.cmp(&b.suite),
                // Versions can be equal and written differently: `1.0` and `1.00`.
                false => b.version().cmp(a.version()).then_with(|| key(a).cmp(&key(b))),
            })
        });
        // The same .deb in several suites counts for the first.
        candidates.dedup_by_key(|c| (c.record.name, c.record.version, c.record.sha256));
        let mut by_name: HashMap<&'a str, Range<u32>> = HashMap::new();
        let mut providers: HashMap<&'a str, Vec<(u32, Option<&'a str>)>> = HashMap::new();
        for (id, candidate) in (0u32..).zip(&candidates) {
            by_name.entry(candidate.record.name).or_insert(id..id).end = id + 1;
            // A malformed Provides provides nothing; dpkg would refuse the package.
            let provided = relation::parse(candidate.record.provides).unwrap_or_default();
            for atom in provided.into_iter().flatten() {
                let version = atom.version.map(|(_, version)| version);
                providers.entry(atom.name).or_default().push((id, version));
            }
        }
        let (suites, withheld) = (Vec::new(), HashMap::new());
        Pool { suites, withheld, candidates, by_name, providers, arch: arch.to_owned() }
    }

    pub(super) fn into_candidates(self) -> Vec<Candidate<'a>> {
        self.candidates
    }

    /// The suites that were given, without their records.
    pub(super) fn suites(&self) -> &[PoolSuite<'a>] {
        &self.suites
    }

    /// Why a name, or a version of it, is not here although some suite lists it.
    pub(super) fn why_not(&self, name: &str) -> Vec<String> {
        let label = |suite: &PoolSuite<'_>| format!("{} {}", suite.archive, suite.suite);
        let mut reasons = Vec::new();
        if let Some(held) = self.withheld.get(name)
            && let Some(suite) = self.suites.get(held.suite)
        {
            let version = held.version;
            let from = match suite.publisher {
                Publisher::Distribution => &suite.suite,
                Publisher::Repository(_) => &suite.archive,
            };
            reasons.push(format!(
                "{} has {name} {version}, and gives only what is asked from it: ask for `{name}/{from}`",
                label(suite)
            ));
        }
        for suite in &self.suites {
            let bad = suite.unusable.iter().find(|unusable| unusable.package == name);
            reasons.extend(
                bad.map(|bad| {
                    format!("{} lists {name}, but it cannot be used: {}", label(suite), bad.problem)
                }),
            );
        }
        reasons
    }

    /// # Panics
    /// On an id that is not of this pool.
    pub(super) fn get(&self, id: u32) -> &Candidate<'a> {
        let index = usize::try_from(id).expect("a pool has fewer packages than the address space");
        self.candidates.get(index).expect("ids are made by the pool that is asked")
    }

    /// Candidates of this very name, best first.
    pub(super) fn named(&self, name: &str) -> Vec<u32> {
        self.by_name.get(name).cloned().unwrap_or_default().collect()
    }

    /// Every name, sorted, at least once.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.candidates.iter().map(|c| c.record.name)
    }

    /// Names of the packages that provide `name`, sorted.
    pub(super) fn provider_names(&self, name: &str) -> Vec<String> {
        let ids = self.providers.get(name).into_iter().flatten();
        let names: BTreeSet<&str> = ids.map(|(id, _)| self.get(*id).record.name).collect();
        names.into_iter().map(str::to_owned).collect()
    }

    /// Names of the packages whose best version of the distribution is Essential, sorted.
    /// Nobody else says what an image cannot do without.
    pub(super) fn essential(&self) -> Vec<&'a str> {
        let best = self.candidates.chunk_by(|a, b| a.record.name == b.record.name);
        let best = best.filter_map(|same| same.iter().find(|candidate| candidate.distribution));
        best.filter(|c| c.record.essential).map(|c| c.record.name).collect()
    }

    /// Whether these, of one name, hold the one that apt would install: the best of all of that
    /// name, and one that comes unasked.
    pub(super) fn has_candidate(&self, name: &str, ids: &[u32]) -> bool {
        let best = self.by_name.get(name).map(|range| range.start);
        best.is_some_and(|best| ids.contains(&best) && self.get(best).is_automatic())
    }

    /// What satisfies `atom`: groups of one name each, the better first (the real
    /// package, then those that provide it, by priority and name), each best first.
    pub(super) fn matching(&self, atom: &Atom<'_>) -> Vec<(&'a str, Vec<u32>)> {
        let own_arch = |arch: &str| arch == "any" || arch == "native" || arch == self.arch;
        if !atom.arch.is_none_or(own_arch) {
            return Vec::new();
        }
        let wanted = atom.version.map(|(op, version)| (op, relation::version(version)));
        let fits = |version: &Version| wanted.as_ref().is_none_or(|(op, right)| op.holds(version, right));
        let mut groups: Vec<(&'a str, Vec<u32>)> = Vec::new();
        let real: Vec<u32> =
            self.named(atom.name).into_iter().filter(|id| fits(self.get(*id).version())).collect();
        if let Some(first) = real.first() {
            groups.push((self.get(*first).record.name, real));
        }
        let mut provided: Vec<(&'a str, Vec<u32>)> = Vec::new();
        // Ids ascend, so one name's are neighbours and best first.
        for (id, version) in self.providers.get(atom.name).into_iter().flatten() {
            let name = self.get(*id).record.name;
            // A provided name has no version unless it says so (Policy 7.5).
            let fits = match version {
                Some(version) => fits(&relation::version(version)),
                None => wanted.is_none(),
            };
            if !fits || name == atom.name {
                continue;
            }
            match provided.last_mut() {
                Some((last, ids)) if *last == name => ids.push(*id),
                _ => provided.push((name, vec![*id])),
            }
        }
        // As apt does: the awk of every Debian is the one that is required.
        // The distribution's own come first: nobody else says what is important in it.
        let rank = |id: &u32| {
            let candidate = self.get(*id);
            (!candidate.distribution, !candidate.is_automatic(), candidate.record.priority)
        };
        provided.sort_by_key(|(_, ids)| ids.iter().map(rank).min());
        groups.extend(provided);
        groups
    }
}
