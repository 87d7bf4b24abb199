//! Debian's relations as clauses of `resolvo`.
//!
//! A version set is a list of packages of one name. An entry of `Depends` is the
//! union of the sets of its alternatives, each being the real package and then
//! those that provide it. `Conflicts` and `Breaks` leave of each name they hit
//! only what they do not hit.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::Display;

use resolvo::{
    Candidates, Condition, ConditionId, ConditionalRequirement, Dependencies, DependencyProvider, Interner,
    KnownDependencies, NameId, Problem, SolvableId, Solver, SolverCache, StringId, UnsolvableOrCancelled,
    VersionSetId, VersionSetUnionId,
};

use super::asked::Asked;
use super::pool::Pool;
use super::{Error, Missing, Request, Root};
use crate::apt::relation::{self, Atom};

/// The packages chosen, by ascending id.
pub(super) fn solve(pool: &Pool<'_>, roots: &[Root], request: &Request<'_>) -> Result<Vec<u32>, Error> {
    let mut wishes: Vec<u32> = Vec::new();
    loop {
        let mut solver = Solver::new(Clauses::new(pool, roots, request));
        let clauses = solver.provider();
        let requirements = roots.iter().map(|root| clauses.root(root)).collect();
        let soft: Vec<SolvableId> = wishes.iter().map(|id| SolvableId::from_raw(*id)).collect();
        let problem = Problem::new().requirements(requirements).soft_requirements(soft);
        let chosen = match solver.solve(problem) {
            Ok(chosen) => chosen,
            Err(UnsolvableOrCancelled::Unsolvable(conflict)) => {
                let explanation = conflict.display_user_friendly(&solver).to_string();
                let missing = solver.provider().missing(&explanation);
                return Err(Error::Unsatisfiable { explanation, missing });
            }
            Err(UnsolvableOrCancelled::Cancelled(_)) => {
                unreachable!("the provider never asks to cancel")
            }
        };
        let mut ids: Vec<u32> = chosen.into_iter().map(SolvableId::into_raw).collect();
        ids.sort_unstable();
        let more = if request.recommends { recommended(pool, &ids, request) } else { Vec::new() };
        let before = wishes.len();
        wishes.extend(more.into_iter().filter(|id| !wishes.contains(id)).collect::<Vec<_>>());
        if wishes.len() == before {
            return Ok(ids);
        }
    }
}

/// For each entry of Recommends that nothing chosen satisfies: what would.
fn recommended(pool: &Pool<'_>, chosen: &[u32], request: &Request<'_>) -> Vec<u32> {
    let mut wishes = Vec::new();
    for id in chosen {
        for entry in relation::parse(pool.get(*id).record.recommends).unwrap_or_default() {
            let fitting: Vec<u32> =
                entry.iter().flat_map(|atom| pool.matching(atom)).flat_map(|(_, ids)| ids).collect();
            let provided = entry.iter().any(|atom| request.provided.contains_key(atom.name));
            if !provided && !fitting.iter().any(|id| chosen.binary_search(id).is_ok()) {
                wishes.extend(fitting.first());
            }
        }
    }
    wishes
}

struct VersionSet {
    name: NameId,
    /// Ascending.
    members: Vec<u32>,
    /// For messages, without the name: `(>= 1.0)`.
    text: String,
}

/// What the solver asks for, made when it asks.
struct Clauses<'a> {
    pool: &'a Pool<'a>,
    request: &'a Request<'a>,
    /// Names that are in anyway: as an alternative they are better than any other.
    settled: HashSet<&'a str>,
    interned: RefCell<Interned>,
}

#[derive(Default)]
struct Interned {
    names: Vec<String>,
    name_ids: HashMap<String, NameId>,
    sets: Vec<VersionSet>,
    set_ids: HashMap<(NameId, Vec<u32>), VersionSetId>,
    unions: Vec<Vec<VersionSetId>>,
    strings: Vec<String>,
}

impl Interned {
    fn name(&mut self, name: &str) -> NameId {
        if let Some(id) = self.name_ids.get(name) {
            return *id;
        }
        let id = NameId::from_raw(index(self.names.len()));
        self.names.push(name.to_owned());
        self.name_ids.insert(name.to_owned(), id);
        id
    }

    fn set(&mut self, name: &str, mut members: Vec<u32>, text: String) -> VersionSetId {
        members.sort_unstable();
        let name = self.name(name);
        let next = VersionSetId(index(self.sets.len()));
        let id = *self.set_ids.entry((name, members.clone())).or_insert(next);
        if id == next {
            self.sets.push(VersionSet { name, members, text });
        }
        id
    }

    fn requirement(&mut self, sets: Vec<VersionSetId>) -> ConditionalRequirement {
        if let [set] = sets.as_slice() {
            return (*set).into();
        }
        self.unions.push(sets);
        VersionSetUnionId(index(self.unions.len() - 1)).into()
    }
}

fn index(n: usize) -> u32 {
    u32::try_from(n).expect("an archive has fewer than 2^32 relations")
}

fn usize_of(id: u32) -> usize {
    usize::try_from(id).expect("ids fit the address space")
}

impl<'a> Clauses<'a> {
    fn new(pool: &'a Pool<'a>, roots: &[Root], request: &'a Request<'a>) -> Clauses<'a> {
        let names = roots.iter().flat_map(|root| &root.candidates).map(|id| pool.get(*id).record.name);
        Clauses { pool, request, settled: names.collect(), interned: RefCell::default() }
    }

    /// Any of a root's candidates, which may be of several names.
    fn root(&self, root: &Root) -> ConditionalRequirement {
        let asked = Asked::parse(&root.text);
        let version = asked.version.map(|version| format!("(= {version})"));
        let release = asked.release.map(|release| format!("(from {release})"));
        let text = [version, release].into_iter().flatten().collect::<Vec<_>>().join(" ");
        let mut groups: Vec<(&str, Vec<u32>)> = Vec::new();
        for id in &root.candidates {
            let name = self.pool.get(*id).record.name;
            match groups.iter_mut().find(|(known, _)| *known == name) {
                Some((_, ids)) => ids.push(*id),
                None => groups.push((name, vec![*id])),
            }
        }
        if groups.is_empty() {
            groups.push((asked.name, Vec::new()));
        }
        let mut interned = self.interned.borrow_mut();
        let text = |name: &str| if name == asked.name { text.clone() } else { String::new() };
        let sets = groups.into_iter().map(|(name, ids)| interned.set(name, ids, text(name))).collect();
        interned.requirement(sets)
    }

    /// An entry of Depends; `None` when the image provides it.
    fn depends(&self, entry: &[Atom<'_>]) -> Option<ConditionalRequirement> {
        if entry.iter().any(|atom| self.request.provided.contains_key(atom.name)) {
            return None;
        }
        let mut groups = Vec::new();
        for atom in entry {
            let found = self.pool.matching(atom);
            if found.is_empty() {
                // Stays in as what would have helped, for the message.
                groups.push((atom.name, Vec::new(), comparison(atom)));
            }
            for (name, ids) in found {
                let text = if name == atom.name { comparison(atom) } else { format!("(for {atom})") };
                groups.push((name, ids, text));
            }
        }
        // As apt does: an alternative whose very candidate will do is better than one that
        // another version has to be looked for, or that no one asked from its suite.
        groups.sort_by_key(|(name, ids, _)| {
            let settled = self.settled.contains(name);
            (ids.is_empty(), !settled, !settled && !self.pool.has_candidate(name, ids))
        });
        let mut interned = self.interned.borrow_mut();
        let mut sets: Vec<VersionSetId> = Vec::new();
        for (name, ids, text) in groups {
            let set = interned.set(name, ids, text);
            if !sets.contains(&set) {
                sets.push(set);
            }
        }
        Some(interned.requirement(sets))
    }

    /// What `atom` of Conflicts or Breaks of a package leaves of each name it hits.
    fn excludes(&self, own: &str, atom: &Atom<'_>) -> Vec<VersionSetId> {
        let mut left = Vec::new();
        for (name, hit) in self.pool.matching(atom) {
            // A package does not conflict with itself, nor with what it provides itself.
            if name == own {
                continue;
            }
            let rest = self.pool.named(name).into_iter().filter(|id| !hit.contains(id)).collect();
            let text = format!("(but not {atom})");
            left.push(self.interned.borrow_mut().set(name, rest, text));
        }
        left
    }

    fn dependencies(&self, id: u32) -> Result<KnownDependencies, relation::Malformed> {
        let record = &self.pool.get(id).record;
        let mut known = KnownDependencies::default();
        for field in [record.pre_depends, record.depends] {
            let entries = relation::parse(field)?;
            known.requirements.extend(entries.iter().filter_map(|entry| self.depends(entry)));
        }
        for field in [record.conflicts, record.breaks] {
            for atom in relation::parse(field)?.iter().flatten() {
                known.constrains.extend(self.excludes(record.name, atom));
            }
        }
        Ok(known)
    }

    /// Names of the explanation that no suite has, or not every version of.
    fn missing(&self, explanation: &str) -> Vec<Missing> {
        let words: BTreeSet<&str> = explanation.split([' ', '\n', ',']).collect();
        let interned = self.interned.borrow();
        let named = words.into_iter().filter(|word| interned.name_ids.contains_key(*word));
        named
            .filter_map(|name| {
                let unknown = self.pool.named(name).is_empty();
                let (why, near) = (self.pool.why_not(name), super::near(name, self.pool));
                let near = if unknown { near } else { Vec::new() };
                (unknown || !why.is_empty()).then(|| Missing { name: name.to_owned(), unknown, why, near })
            })
            .collect()
    }
}

fn comparison(atom: &Atom<'_>) -> String {
    atom.version.map_or(String::new(), |(op, version)| format!("({} {version})", op.symbol()))
}

impl Interner for Clauses<'_> {
    type NameId = NameId;
    type SolvableId = SolvableId;

    fn display_solvable(&self, solvable: SolvableId) -> impl Display + '_ {
        let record = &self.pool.get(solvable.into_raw()).record;
        format!("{} {}", record.name, record.version)
    }

    fn display_merged_solvables(&self, solvables: &[SolvableId]) -> impl Display + '_ {
        let all: Vec<String> = solvables.iter().map(|id| self.display_solvable(*id).to_string()).collect();
        all.join(" | ")
    }

    fn display_name(&self, name: NameId) -> impl Display + '_ {
        self.interned.borrow().names.get(usize_of(name.into_raw())).cloned().unwrap_or_default()
    }

    fn display_version_set(&self, version_set: VersionSetId) -> impl Display + '_ {
        let interned = self.interned.borrow();
        interned.sets.get(usize_of(version_set.0)).map(|set| set.text.clone()).unwrap_or_default()
    }

    fn display_string(&self, string_id: StringId) -> impl Display + '_ {
        self.interned.borrow().strings.get(usize_of(string_id.0)).cloned().unwrap_or_default()
    }

    fn version_set_name(&self, version_set: VersionSetId) -> NameId {
        let interned = self.interned.borrow();
        interned.sets.get(usize_of(version_set.0)).expect("the solver asks for sets it was given").name
    }

    fn solvable_name(&self, solvable: SolvableId) -> NameId {
        self.interned.borrow_mut().name(self.pool.get(solvable.into_raw()).record.name)
    }

    fn version_sets_in_union(&self, union: VersionSetUnionId) -> impl Iterator<Item = VersionSetId> {
        let interned = self.interned.borrow();
        interned.unions.get(usize_of(union.0)).cloned().unwrap_or_default().into_iter()
    }

    fn resolve_condition(&self, _condition: ConditionId) -> Condition {
        unreachable!("Debian's relations have no conditions")
    }
}

impl DependencyProvider for Clauses<'_> {
    async fn filter_candidates(
        &self,
        candidates: &[SolvableId],
        version_set: VersionSetId,
        inverse: bool,
    ) -> Vec<SolvableId> {
        let interned = self.interned.borrow();
        let Some(set) = interned.sets.get(usize_of(version_set.0)) else { return Vec::new() };
        let inside = |id: &SolvableId| set.members.binary_search(&id.into_raw()).is_ok();
        candidates.iter().copied().filter(|id| inside(id) != inverse).collect()
    }

    async fn get_candidates(&self, name: NameId) -> Option<Candidates> {
        let name = self.interned.borrow().names.get(usize_of(name.into_raw())).cloned()?;
        let ids = self.pool.named(&name);
        if ids.is_empty() {
            return None;
        }
        let candidates = ids.into_iter().map(SolvableId::from_raw).collect();
        Some(Candidates { candidates, ..Candidates::default() })
    }

    async fn sort_candidates(&self, _solver: &SolverCache<Self>, solvables: &mut [SolvableId]) {
        // The pool orders each name best first.
        solvables.sort_unstable();
    }

    async fn get_dependencies(&self, solvable: SolvableId) -> Dependencies {
        match self.dependencies(solvable.into_raw()) {
            Ok(known) => Dependencies::Known(known),
            Err(malformed) => {
                let mut interned = self.interned.borrow_mut();
                interned.strings.push(malformed.to_string());
                Dependencies::Unknown(StringId(index(interned.strings.len() - 1)))
            }
        }
    }
}
