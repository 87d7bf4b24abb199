//! Which module needs which, found as `depmod` does: by the symbols one exports
//! and the other imports.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::elf::Info;

/// A module and its file.
#[derive(Clone, Debug)]
pub struct Module {
    /// Its name, with underscores, from the file's name.
    pub name: String,
    /// Its file, below `/usr/lib/modules/<release>/`.
    pub path: String,
    /// What it says about itself.
    pub info: Arc<Info>,
}

/// Modules that need each other, so that none can be loaded first.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("these kernel modules need each other in a circle, or one that is part of it: {}", .0.join(", "))]
pub struct Circle(
    /// Their names.
    pub Vec<String>,
);

/// All modules of a kernel, in the order of `modules.order`, and what they need.
#[derive(Clone, Debug)]
pub struct Graph {
    modules: Vec<Module>,
    /// What each needs directly, what is nearest to it first.
    needs: Vec<Vec<usize>>,
    /// Position of each in the sorted sequence in which users come before what they use.
    rank: Vec<usize>,
    /// Exported symbol → module.
    symbols: BTreeMap<Box<str>, usize>,
}

impl Graph {
    /// Sorts the modules by `order` (paths as in `modules.order`; what is not in
    /// it comes last, by path) and finds what each needs. Names must be unique.
    ///
    /// # Errors
    /// When modules need each other.
    pub fn new<'o>(mut modules: Vec<Module>, order: impl Iterator<Item = &'o str>) -> Result<Self, Circle> {
        let order: HashMap<&str, usize> = order.enumerate().map(|(n, path)| (path, n)).collect();
        let position = |path: &str| {
            let plain = path.find(".ko").and_then(|at| path.get(..at + 3)).unwrap_or(path);
            order.get(plain).copied().unwrap_or(usize::MAX)
        };
        modules.sort_by_cached_key(|m| (position(&m.path), m.path.clone()));

        // A symbol that two modules export counts for the later one.
        let mut symbols: BTreeMap<Box<str>, usize> = BTreeMap::new();
        for (n, module) in modules.iter().enumerate() {
            symbols.extend(module.info.exports.iter().map(|symbol| (symbol.clone(), n)));
        }
        let lookup: HashMap<&str, usize> = symbols.iter().map(|(name, n)| (name.as_ref(), *n)).collect();
        let mut needs: Vec<Vec<usize>> = Vec::with_capacity(modules.len());
        for (n, module) in modules.iter().enumerate() {
            let mut list = Vec::new();
            for symbol in &module.info.imports {
                match lookup.get(symbol.as_ref()) {
                    Some(owner) if *owner != n && !list.contains(owner) => list.push(*owner),
                    _ => {}
                }
            }
            needs.push(list);
        }
        let rank = rank(&modules, &needs)?;
        for list in &mut needs {
            list.sort_by_key(|n| rank.get(*n).copied());
        }
        Ok(Self { modules, needs, rank, symbols })
    }

    /// The modules. Positions in this slice are what the other functions speak of.
    pub fn modules(&self) -> &[Module] {
        &self.modules
    }

    /// The module of a name (with underscores).
    pub fn position(&self, name: &str) -> Option<usize> {
        self.modules.iter().position(|m| m.name == name)
    }

    /// Exported symbols and the modules they come from, by name.
    pub fn symbols(&self) -> impl Iterator<Item = (&str, &Module)> {
        self.symbols.iter().filter_map(|(name, n)| Some((name.as_ref(), self.modules.get(*n)?)))
    }

    /// What a module needs directly.
    pub fn needs(&self, module: usize) -> &[usize] {
        self.needs.get(module).map_or(&[], Vec::as_slice)
    }

    /// Everything a module needs, in the order of `modules.dep`: to be loaded from the end.
    pub fn all_needs(&self, module: usize) -> Vec<usize> {
        let mut all: Vec<usize> = Vec::new();
        let mut seen = vec![false; self.modules.len()];
        let mut open = vec![module];
        while let Some(n) = open.pop() {
            for need in self.needs(n) {
                if let Some(seen) = seen.get_mut(*need).filter(|seen| !**seen) {
                    *seen = true;
                    all.push(*need);
                    open.push(*need);
                }
            }
        }
        all.sort_by_key(|n| self.rank.get(*n).copied());
        all
    }
}

/// Sorts topologically, users first, going on with what was freed last. The
/// order among independent modules is `depmod`'s, since it shows in modules.dep.
fn rank(modules: &[Module], needs: &[Vec<usize>]) -> Result<Vec<usize>, Circle> {
    let mut users = vec![0_usize; needs.len()];
    for need in needs.iter().flatten() {
        if let Some(count) = users.get_mut(*need) {
            *count += 1;
        }
    }
    let mut free: Vec<usize> =
        users.iter().enumerate().filter(|(_, count)| **count == 0).map(|(n, _)| n).collect();
    let mut rank = vec![usize::MAX; needs.len()];
    let mut next = 0;
    while let Some(n) = free.pop() {
        if let Some(rank) = rank.get_mut(n) {
            *rank = next;
            next += 1;
        }
        for need in needs.get(n).into_iter().flatten() {
            if let Some(count) = users.get_mut(*need) {
                *count -= 1;
                if *count == 0 {
                    free.push(*need);
                }
            }
        }
    }
    if next < needs.len() {
        let stuck = modules.iter().zip(&rank).filter(|(_, rank)| **rank == usize::MAX);
        return Err(Circle(stuck.map(|(m, _)| m.name.clone()).collect()));
    }
    Ok(rank)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(name: &str, imports: &[&str], exports: &[&str]) -> Module {
        let boxed = |list: &[&str]| list.iter().map(|s| Box::from(*s)).collect();
        let info = Info { imports: boxed(imports), exports: boxed(exports), ..Info::default() };
        Module { name: name.to_owned(), path: format!("kernel/{name}.ko"), info: Arc::new(info) }
    }

    #[test]
    fn needs_are_followed_to_the_end() {
        let modules = vec![
            module("jbd2", &["printk"], &["j"]),
            module("ext4", &["j", "c"], &[]),
            module("crc16", &[], &["c"]),
        ];
        let graph = Graph::new(modules, std::iter::empty()).unwrap();
        let ext4 = graph.position("ext4").unwrap();
        let mut names: Vec<_> =
            graph.all_needs(ext4).iter().map(|n| graph.modules()[*n].name.clone()).collect();
        names.sort();
        assert_eq!(names, ["crc16", "jbd2"]);
    }

    #[test]
    fn circles_are_named() {
        let modules =
            vec![module("a", &["y"], &["x"]), module("b", &["x"], &["y"]), module("c", &[], &["z"])];
        let error = Graph::new(modules, std::iter::empty()).unwrap_err();
        assert_eq!(error.0, ["a", "b"]);
    }
}
