//! Where things go in a merged-/usr tree, and what stands in their way.

use formats::tree::{Kind, Node, NotADirectory, Origin, Tree, TreePath};

use super::entry::{Entry, EntryKind};
use super::store::Archive;
use crate::accounts::{Ids, Unknown};

/// Directories that are links to their namesakes in /usr: Debian's merged /usr.
const ALIASES: [&[u8]; 4] = [b"bin", b"lib", b"lib64", b"sbin"];

/// Origin of the links.
const ORIGIN: Origin = Origin::Fixup("merged /usr");

/// What becomes of a path when the links are followed.
pub(crate) enum Place {
    /// It is at, or moves to, this path.
    At(TreePath),
    /// It is one of the links.
    Alias(TreePath),
}

/// Follows the merged-/usr links: `lib/x` is `usr/lib/x`.
pub(crate) fn place(path: &TreePath) -> Place {
    match path.components().next() {
        Some(first) if ALIASES.contains(&first) => {
            let moved = TreePath::parse(&[b"usr/", path.as_bytes()].concat());
            match moved {
                Ok(moved) if path.depth() > 1 => Place::At(moved),
                _ => Place::Alias(path.clone()),
            }
        }
        _ => Place::At(path.clone()),
    }
}

/// As [`place`], where a link stands for itself.
pub(crate) fn canonical(path: &TreePath) -> TreePath {
    match place(path) {
        Place::At(path) | Place::Alias(path) => path,
    }
}

/// Whether an archive's entry says of one of the links what is true anyhow.
pub(super) fn agrees_with_alias(alias: &TreePath, kind: &EntryKind) -> bool {
    match kind {
        EntryKind::Dir => true,
        EntryKind::Symlink(target) => {
            let target = target.strip_prefix(b"/").unwrap_or(target);
            target.strip_prefix(b"usr/") == Some(alias.as_bytes())
        }
        _ => false,
    }
}

/// Makes the links, and the directories they point to where these are missing.
pub(super) fn add_aliases(tree: &mut Tree) -> Result<(), NotADirectory> {
    for alias in ALIASES {
        let target = [b"usr/", alias].concat();
        let (Ok(link), Ok(dir)) = (TreePath::parse(alias), TreePath::parse(&target)) else { continue };
        if tree.get(&dir).is_none() {
            tree.insert(dir, Node::dir(ORIGIN))?;
        }
        tree.insert(link, Node::symlink(target, ORIGIN))?;
    }
    Ok(())
}

/// Turns an archive's entry into a node; a hard link becomes one to the target's place.
pub(super) fn node(entry: &Entry, archive: &Archive, ids: &Ids, origin: Origin) -> Result<Node, Unknown> {
    let kind = match &entry.kind {
        EntryKind::Dir => Kind::Dir,
        EntryKind::File(file) => Kind::File(archive.content(file)),
        EntryKind::Symlink(target) => Kind::Symlink(target.clone()),
        EntryKind::Hardlink(target) => Kind::Hardlink(canonical(target)),
        EntryKind::CharDev { major, minor } => Kind::CharDev { major: *major, minor: *minor },
        EntryKind::BlockDev { major, minor } => Kind::BlockDev { major: *major, minor: *minor },
        EntryKind::Fifo => Kind::Fifo,
    };
    let (uid, gid) = ids.resolve(&entry.user, &entry.group)?;
    Ok(Node { kind, mode: entry.mode, uid, gid, xattrs: entry.xattrs.clone(), origin })
}

/// Puts something that is not a directory in place of whatever is there, which
/// must not be a directory either. Other names of a file that goes away keep it.
pub(crate) fn replace(tree: &mut Tree, path: TreePath, node: Node) -> Result<(), NotADirectory> {
    let old = tree.get(&path).map(|n| n.kind.clone());
    if let Some(content @ Kind::File(_)) = old {
        let links_here = |n: &Node| matches!(&n.kind, Kind::Hardlink(to) if *to == path);
        let links: Vec<_> = tree.iter().filter(|(_, n)| links_here(n)).map(|(p, _)| p.clone()).collect();
        if let Some(heir) = links.first() {
            for link in &links {
                let kind = if link == heir { content.clone() } else { Kind::Hardlink(heir.clone()) };
                if let Some(node) = tree.get_mut(link) {
                    node.kind = kind;
                }
            }
        }
    }
    tree.insert(path, node).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    const O: Origin = Origin::Fixup("test");

    fn p(s: &str) -> TreePath {
        TreePath::parse(s.as_bytes()).unwrap()
    }

    #[test]
    fn only_the_links_of_the_merged_usr_are_followed() {
        for (from, to) in
            [("lib/x", "usr/lib/x"), ("lib", "lib"), ("library/x", "library/x"), ("etc/lib/x", "etc/lib/x")]
        {
            assert_eq!(canonical(&p(from)), p(to));
        }
        assert!(agrees_with_alias(&p("lib"), &EntryKind::Symlink(b"usr/lib".to_vec())));
        assert!(!agrees_with_alias(&p("lib"), &EntryKind::Symlink(b"usr/lib64".to_vec())));
    }

    #[test]
    fn other_names_of_a_replaced_file_keep_its_content() {
        let mut tree = Tree::new(Node::dir(O));
        tree.insert(p("f"), Node::file(*b"old", 0o600, O)).unwrap();
        for link in ["l2", "l1"] {
            tree.insert(p(link), Node::new(Kind::Hardlink(p("f")), 0o600, O)).unwrap();
        }
        replace(&mut tree, p("f"), Node::file(*b"new", 0o600, O)).unwrap();
        let Kind::File(content) = &tree.get(&p("l1")).unwrap().kind else { panic!("l1 is no file") };
        assert_eq!(content.to_vec().unwrap(), b"old");
        assert!(matches!(&tree.get(&p("l2")).unwrap().kind, Kind::Hardlink(to) if *to == p("l1")));
    }
}
