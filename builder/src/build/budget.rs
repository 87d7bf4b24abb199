//! Size budgets, with what takes the room.

use std::collections::BTreeMap;

use formats::tree::{Tree, TreePath};

use super::boot::{INIT, Initramfs};
use super::write::Usr;
use super::{Error, OverBudget};
use crate::recipe::Recipe;

/// How many of the largest parts are named.
const NAMED: usize = 8;

/// Compares every artefact with its budget.
pub(super) fn check(
    recipe: &Recipe,
    tree: &Tree,
    usr: &Usr,
    initramfs: &Initramfs,
    uki: &[u8],
) -> Result<(), Error> {
    let budgets = &recipe.budgets;
    let over = |artefact, size: u64, budget: Option<u64>, parts: &dyn Fn() -> Vec<(String, u64)>| {
        let budget = budget.filter(|budget| size > *budget)?;
        let mut largest = parts();
        largest.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        largest.truncate(NAMED);
        Some(OverBudget { artefact, size, budget, largest })
    };
    let initramfs_parts = || initramfs.parts.clone();
    let found: Vec<_> = [
        over("usr", usr.squashfs_size, budgets.usr, &|| by_origin(tree, usr).into_iter().collect()),
        over("initramfs", initramfs.bytes.len() as u64, budgets.initramfs, &initramfs_parts),
        over("init", INIT.len() as u64, budgets.init, &Vec::new),
        over("uki", uki.len() as u64, budgets.uki, &initramfs_parts),
    ]
    .into_iter()
    .flatten()
    .collect();
    if found.is_empty() { Ok(()) } else { Err(Error::Budget(found)) }
}

/// Bytes of the compressed /usr by who put them there; they add up to its size.
pub(super) fn by_origin(tree: &Tree, usr: &Usr) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::from([("squashfs: inodes, names, tables".to_owned(), usr.stats.metadata)]);
    let top = TreePath::parse(b"usr").unwrap_or_default();
    for (path, bytes) in &usr.stats.files {
        let node = top.join(path.as_bytes()).ok().and_then(|path| tree.get(&path));
        let origin = node.map_or_else(|| "unknown".to_owned(), |node| node.origin.to_string());
        *sums.entry(origin).or_default() += bytes;
    }
    sums
}
