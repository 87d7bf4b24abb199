//! Which packages of which suite count at all.
//!
//! | suite | gives |
//! |---|---|
//! | the distribution's | everything |
//! | the distribution's with `NotAutomatic` (backports) | names that no other suite has; what is asked from it; what that needs and the others cannot give |
//! | a repository beside it, with `packages:` | these names, in place of the distribution's |
//! | a repository beside it, without | what is asked for and what that needs, of names the distribution does not have; what is asked from it |
//!
//! The first two rows are apt's default pins (apt_preferences(5)) for a system on which nothing is
//! installed. A repository gets less than apt would give it: it is somebody else's, and a
//! higher version number in it is no reason to replace a package of the distribution.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Request;
use super::asked::Asked;
use super::pool::{Candidate, Pool, PoolSuite};
use crate::apt::index::Record;
use crate::apt::relation::{self, Atom};
use crate::apt::release::Automatic;

/// apt's priority of what somebody asked for by name.
const ASKED: u16 = 990;

/// Who publishes a suite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Publisher {
    /// The distribution.
    Distribution,
    /// A repository beside it; the packages that may come from it, when the recipe says.
    Repository(Option<BTreeSet<String>>),
}

/// A package that a suite has and does not give.
#[derive(Clone, Copy, Debug)]
pub(super) struct Withheld<'a> {
    pub version: &'a str,
    pub suite: usize,
}

/// The candidates, and what is withheld, by name.
pub(super) fn admit<'a>(
    suites: &mut [PoolSuite<'a>],
    arch: &str,
    request: &Request<'_>,
) -> (Vec<Candidate<'a>>, HashMap<&'a str, Withheld<'a>>) {
    let asked: Vec<Asked<'_>> = request.asked().collect();
    let mut open = Vec::new();
    let mut held = Vec::new();
    for (index, suite) in suites.iter_mut().enumerate() {
        let provided = |r: &Record<'_>| request.provided.contains_key(r.name);
        let records = std::mem::take(&mut suite.records).into_iter().filter(|r| !provided(r));
        if suite.publisher == Publisher::Distribution && suite.automatic == Automatic::Yes {
            let pins = pins(&asked, suite);
            open.extend(records.map(|record| {
                let priority = if pins.contains(record.name) { ASKED } else { suite.automatic.priority() };
                Candidate::new(record, index, priority, true)
            }));
        } else {
            held.push((index, records.collect::<Vec<_>>()));
        }
    }
    if held.iter().all(|(_, records)| records.is_empty()) {
        return (open, HashMap::new());
    }
    let base = Pool::of(open, arch);
    let plain: BTreeSet<&str> = asked.iter().filter(|a| a.release.is_none()).map(|a| a.name).collect();
    let (mut admitted, mut withheld) = (Vec::new(), HashMap::new());
    for (index, records) in held {
        let Some(suite) = suites.get(index) else { continue };
        let door = Door { suite, index, base: &base, request, pins: pins(&asked, suite), plain: &plain };
        let (given, rest) = door.sort(records);
        for record in rest {
            let version = record.version;
            withheld.entry(record.name).or_insert(Withheld { version, suite: index });
        }
        admitted.extend(given);
    }
    let mut candidates = base.into_candidates();
    candidates.extend(admitted);
    (candidates, withheld)
}

/// Names that are asked from this suite.
fn pins<'r>(asked: &[Asked<'r>], suite: &PoolSuite<'_>) -> BTreeSet<&'r str> {
    asked.iter().filter(|a| a.release.is_some_and(|r| suite.is_called(r))).map(|a| a.name).collect()
}

/// One suite that does not give everything.
struct Door<'d, 'a> {
    suite: &'d PoolSuite<'a>,
    index: usize,
    /// What the distribution gives without being asked.
    base: &'d Pool<'a>,
    request: &'d Request<'d>,
    pins: BTreeSet<&'d str>,
    /// Names asked for without saying from where.
    plain: &'d BTreeSet<&'d str>,
}

impl<'a> Door<'_, 'a> {
    /// Which records come in, and which stay out.
    fn sort(&self, records: Vec<Record<'a>>) -> (Vec<Candidate<'a>>, Vec<Record<'a>>) {
        let mut names: HashMap<&'a str, Vec<usize>> = HashMap::new();
        let mut provides: BTreeMap<&'a str, Vec<usize>> = BTreeMap::new();
        for (at, record) in records.iter().enumerate() {
            names.entry(record.name).or_default().push(at);
            for atom in relation::parse(record.provides).unwrap_or_default().into_iter().flatten() {
                provides.entry(atom.name).or_default().push(at);
            }
        }
        let mut priorities: Vec<Option<u16>> =
            records.iter().map(|record| self.at_once(record.name)).collect();
        // What those need that come for a reason, until nothing more is needed.
        let mut queue: Vec<usize> = (0..records.len())
            .filter(|at| priorities.get(*at).is_some_and(Option::is_some) && self.has_reason(&records, *at))
            .collect();
        while let Some(record) = queue.pop().and_then(|at| records.get(at)) {
            let recommends = if self.request.recommends { record.recommends } else { "" };
            for field in [record.pre_depends, record.depends, recommends] {
                for entry in relation::parse(field).unwrap_or_default() {
                    let givers = |atom: &Atom<'_>| {
                        let found = [names.get(atom.name), provides.get(atom.name)];
                        let fits = |at: &usize| records.get(*at).is_some_and(|r| satisfies(r, atom));
                        found.into_iter().flatten().flatten().copied().filter(fits).collect::<Vec<_>>()
                    };
                    let here: Vec<usize> = entry.iter().flat_map(givers).collect();
                    let given = |at: &usize| priorities.get(*at).is_some_and(Option::is_some);
                    if entry.iter().any(|atom| self.is_given(atom)) || here.iter().any(given) {
                        continue;
                    }
                    for at in here {
                        if let (Some(record), Some(priority)) = (records.get(at), priorities.get_mut(at))
                            && self.may_follow(record.name)
                        {
                            *priority = Some(self.suite.automatic.priority());
                            queue.push(at);
                        }
                    }
                }
            }
        }
        let (mut given, mut rest) = (Vec::new(), Vec::new());
        let distribution = self.suite.publisher == Publisher::Distribution;
        for (record, priority) in records.into_iter().zip(priorities) {
            match priority {
                Some(priority) => given.push(Candidate::new(record, self.index, priority, distribution)),
                None => rest.push(record),
            }
        }
        (given, rest)
    }

    /// The priority of a name that comes whatever others need.
    fn at_once(&self, name: &str) -> Option<u16> {
        let unknown = || self.base.named(name).is_empty();
        let come = match &self.suite.publisher {
            _ if self.pins.contains(name) => return Some(ASKED),
            Publisher::Repository(Some(packages)) if packages.contains(name) => return Some(ASKED),
            Publisher::Repository(Some(_)) => false,
            Publisher::Repository(None) => self.plain.contains(name) && unknown(),
            Publisher::Distribution => unknown(),
        };
        come.then(|| self.suite.automatic.priority())
    }

    /// Whether it is asked for, and not there just because nobody else has it.
    fn has_reason(&self, records: &[Record<'a>], at: usize) -> bool {
        let Some(record) = records.get(at) else { return false };
        self.suite.publisher != Publisher::Distribution
            || self.pins.contains(record.name)
            || self.plain.contains(record.name)
    }

    /// Whether a name may come because something that came needs it.
    fn may_follow(&self, name: &str) -> bool {
        match &self.suite.publisher {
            Publisher::Distribution => true,
            Publisher::Repository(Some(_)) => false,
            Publisher::Repository(None) => self.base.named(name).is_empty(),
        }
    }

    fn is_given(&self, atom: &Atom<'_>) -> bool {
        self.request.provided.contains_key(atom.name) || !self.base.matching(atom).is_empty()
    }
}

/// Whether a record is, or provides, what `atom` asks for.
fn satisfies(record: &Record<'_>, atom: &Atom<'_>) -> bool {
    let holds = |version: &str| {
        let version = relation::version(version);
        atom.version.is_none_or(|(op, wanted)| op.holds(&version, &relation::version(wanted)))
    };
    if record.name == atom.name {
        return holds(record.version);
    }
    let provided = relation::parse(record.provides).unwrap_or_default();
    provided.iter().flatten().filter(|p| p.name == atom.name).any(|p| match p.version {
        Some((_, version)) => holds(version),
        None => atom.version.is_none(),
    })
}
