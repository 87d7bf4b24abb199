//! Size budgets, with what takes the room.

use std::collections::BTreeMap;
use std::path::Path;

use formats::tree::{Tree, TreePath};

use super::boot::{INIT, Initramfs};
use super::write::Usr;
use super::{Error, OverBudget, Since};
use crate::artefacts::Image;
use crate::origins::Origins;
use crate::recipe::Budgets;

/// How many of the largest parts are named.
const NAMED: usize = 8;

/// Compares every artefact with its budget.
pub(super) fn check(
    budgets: &Budgets,
    tree: &Tree,
    usr: &Usr,
    initramfs: &Initramfs,
    uki: &[u8],
    origins: &Origins,
    target: &Path,
) -> Result<(), Error> {
    let over = |artefact, size: u64, budget: Option<u64>, parts: &dyn Fn() -> Vec<(String, u64)>| {
        let budget = budget.filter(|budget| size > *budget)?;
        let mut largest = parts();
        largest.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        largest.truncate(NAMED);
        let since = if artefact == "usr" { since(origins, target) } else { None };
        Some(OverBudget { artefact, size, budget, largest, since })
    };
    let initramfs_parts = || initramfs.parts.clone();
    let found: Vec<_> = [
        over("usr", usr.squashfs_size, budgets.usr, &|| by_origin(tree, usr).into_iter().collect()),
        over(
            "initramfs",
            (initramfs.bytes.len() - initramfs.microcode) as u64,
            budgets.initramfs,
            &initramfs_parts,
        ),
        over("init", INIT.len() as u64, budgets.init, &Vec::new),
        over("uki", uki.len() as u64, budgets.uki, &initramfs_parts),
    ]
    .into_iter()
    .flatten()
    .collect();
    if found.is_empty() { Ok(()) } else { Err(Error::Budget(found)) }
}

/// What grew since the last image beside this one, the one made latest.
fn since(origins: &Origins, target: &Path) -> Option<Since> {
    let images = std::fs::read_dir(target.parent()?).ok()?.filter_map(|entry| {
        let image = Image::open(&entry.ok()?.path()).ok()?;
        Some((image.manifest.as_ref()?.time, image.path.clone(), image))
    });
    let (_, _, image) = images.max_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)))?;
    let before = image.origins().ok()?;
    let then = before.by_owner(&before.usr);
    let grown = origins.by_owner(&origins.usr).into_iter().filter_map(|(owner, now)| {
        let then = then.get(&owner).copied().unwrap_or(0);
        // Less is no growth: names and inodes are shared out among all.
        (now >= then + 1024).then_some((owner, then, now))
    });
    let mut grown: Vec<_> = grown.collect();
    grown.sort_by_key(|(owner, then, now)| (std::cmp::Reverse(now - then), owner.clone()));
    grown.truncate(NAMED);
    let lock = image.manifest.as_ref()?.inputs.lock.get(..12)?.to_owned();
    Some(Since { image: format!("{} (lock {lock}…)", image.path.display()), grown })
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
