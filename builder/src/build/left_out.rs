//! Files of packages that the image does not have, each with the reason. One without a
//! reason was lost, and fails the build.

use std::collections::BTreeSet;
use std::sync::Arc;

use formats::tree::{Tree, TreePath};

use super::Error;
use super::assemble::{EFI, beside_modules};
use crate::fixups::{ETC_LOWER, OPT};
use crate::recipe::Recipe;
use crate::recipe::glob::Glob;
use crate::unpack::Package;
use crate::unpack::entry::EntryKind;
use crate::unpack::place::{self, Place};

/// A file that is not in the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LeftOut {
    /// Where it would be, links of the merged /usr followed.
    pub(super) path: TreePath,
    /// Who ships it.
    pub(super) package: Arc<str>,
    /// Why it is not there.
    pub(super) reason: String,
}

/// Where the image keeps what a package ships at a path.
fn kept_at(path: &TreePath) -> TreePath {
    for (top, to) in [("etc/", ETC_LOWER), ("opt/", OPT)] {
        if let Some(below) = path.as_bytes().strip_prefix(top.as_bytes())
            && let Ok(moved) = TreePath::parse(&[to.as_bytes(), b"/", below].concat())
        {
            return moved;
        }
    }
    path.clone()
}

/// Holds every file of every package against the finished tree less `removed`.
///
/// # Errors
/// With a file that is in the image nowhere and that nothing here took out of it.
pub(super) fn account(
    packages: &[Package],
    tree: &Tree,
    removed: &[TreePath],
    recipe: &Recipe,
) -> Result<Vec<LeftOut>, Error> {
    let exclude: Vec<(&String, Glob)> =
        recipe.exclude.iter().filter_map(|text| Some((text, Glob::parse(text).ok()?))).collect();
    let removed: BTreeSet<&TreePath> = removed.iter().collect();
    let mut all = Vec::new();
    for package in packages {
        for entry in package.archive.entries.iter().filter(|entry| entry.kind != EntryKind::Dir) {
            let Place::At(path) = place::place(&entry.path) else { continue };
            let at = kept_at(&path);
            let gone = removed.contains(&at);
            if tree.get(&at).is_some() && !gone {
                continue;
            }
            let excluded = exclude.iter().find(|(_, glob)| glob.matches(path.as_bytes()));
            let bytes = path.as_bytes();
            let reason = if gone {
                "no module or device of the image needs it, or `kernel:` drops it".to_owned()
            } else if bytes.starts_with(b"boot/vmlinuz-") || beside_modules(bytes).is_some() {
                "the kernel is in the UKI and beside it".to_owned()
            } else if bytes.starts_with(EFI.as_bytes()) {
                "the EFI stub is in the UKI".to_owned()
            } else if let Some((pattern, _)) = excluded {
                format!("the recipe leaves it out: `exclude: {pattern}`")
            } else if bytes.starts_with(b"boot/") {
                "the image boots without /boot".to_owned()
            } else if bytes.starts_with(b"var/") {
                "/var is a partition that starts empty; tmpfiles.d fills it".to_owned()
            } else {
                let package = package.name.to_string();
                return Err(Error::Lost { package, path });
            };
            all.push(LeftOut { path, package: Arc::clone(&package.name), reason });
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_move_are_looked_for_where_they_are() {
        let at = |path: &str| kept_at(&TreePath::parse(path.as_bytes()).unwrap()).to_string();
        assert_eq!(at("etc/passwd"), "usr/share/sledos/etc/passwd");
        assert_eq!(at("opt/x/y"), "usr/lib/opt/x/y");
        assert_eq!(at("usr/bin/x"), "usr/bin/x");
    }
}
