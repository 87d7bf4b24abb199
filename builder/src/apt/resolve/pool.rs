//! All packages of all suites, found by name and by what they provide.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use debversion::Version;

use crate::apt::index::Record;
use crate::apt::relation::{self, Atom};

/// One suite's packages.
#[derive(Debug)]
pub struct PoolSuite<'a> {
    /// Records of all its indices.
    pub records: Vec<Record<'a>>,
}

/// Packages, ordered by name; the same name best first: the highest version,
/// then the suite that was named first.
#[derive(Debug)]
pub struct Pool<'a> {
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
    version: OnceCell<Version>,
}

impl Candidate<'_> {
    pub(super) fn version(&self) -> &Version {
        self.version.get_or_init(|| relation::version(self.record.version))
    }
}

impl<'a> Pool<'a> {
    /// All packages of `suites` but those called `without`.
    pub fn new(suites: Vec<PoolSuite<'a>>, arch: &str, without: &BTreeMap<String, String>) -> Pool<'a> {
        let mut candidates: Vec<Candidate<'a>> = Vec::new();
        for (suite, records) in suites.into_iter().enumerate() {
            let wanted = records.records.into_iter().filter(|r| !without.contains_key(r.name));
            candidates.extend(wanted.map(|record| Candidate { record, suite, version: OnceCell::new() }));
        }
        let key = |c: &Candidate<'a>| (c.record.name, c.record.version, c.suite);
        candidates.sort_by(|a, b| {
            let by_name = a.record.name.cmp(b.record.name);
            by_name.then_with(|| match a.record.version == b.record.version {
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
        Pool { candidates, by_name, providers, arch: arch.to_owned() }
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

    /// Names of the packages whose best version is Essential, sorted.
    pub(super) fn essential(&self) -> Vec<&'a str> {
        let mut names: Vec<&str> =
            self.candidates.iter().filter(|c| c.record.essential).map(|c| c.record.name).collect();
        names.dedup();
        names.retain(|name| self.named(name).first().is_some_and(|id| self.get(*id).record.essential));
        names
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
        let priority = |ids: &[u32]| ids.iter().map(|id| self.get(*id).record.priority).min();
        provided.sort_by_key(|(_, ids)| priority(ids));
        groups.extend(provided);
        groups
    }
}
