//! What cannot be written says so.

use formats::squashfs::{Error, NoCache, Options};
use formats::tree::{Kind, Node, Tree};

use super::{OPTIONS, file, node, package, path, tree, write, xattrs};

fn error(tree: &Tree) -> String {
    write(tree, &OPTIONS, &NoCache).unwrap_err().to_string()
}

#[test]
fn options_out_of_range() {
    let tree = tree([]);
    for block_size in [0, 2048, 4095, 5000, 2 << 20] {
        let options = Options { block_size, ..OPTIONS };
        assert!(
            matches!(write(&tree, &options, &NoCache), Err(Error::BlockSize(size)) if size == block_size)
        );
    }
    for level in [i32::MIN, 0, 23] {
        let options = Options { level, ..OPTIONS };
        assert!(matches!(write(&tree, &options, &NoCache), Err(Error::Level(found)) if found == level));
    }
}

#[test]
fn hard_links_that_lead_nowhere() {
    let link = |to| node(Kind::Hardlink(path(to)));
    for to in ["missing", "dir", "symlink", "b", "a"] {
        let symlink = Node::symlink("x", package("a"));
        let dir = Node::dir(package("a"));
        let tree =
            tree([("a", link(to)), ("b", link("f")), ("f", file("")), ("dir", dir), ("symlink", symlink)]);
        assert_eq!(
            error(&tree),
            format!("/a is a hard link to /{to}, which is not a regular file of the tree")
        );
    }
}

#[test]
fn what_the_format_cannot_hold_is_named() {
    let with = |pairs| {
        let mut node = file("");
        node.xattrs = xattrs(pairs);
        tree([("usr/f", node)])
    };
    let large = vec![0; 65537];
    for (tree, why) in [
        (with(&[("system.posix_acl_access", b"")]), "an xattr that is neither user., trusted. nor security."),
        (with(&[("user.", b"")]), "an xattr that is neither user., trusted. nor security."),
        (with(&[("user.x", &large)]), "a value longer than 65536 bytes"),
        (with(&[(&format!("user.{}", "x".repeat(251)), b"")]), "a name longer than 255 bytes"),
        (tree([("usr/f", Node::symlink("", package("a")))]), "a target of 1 to 4095 bytes"),
        (tree([("usr/f", Node::symlink(vec![b'x'; 4096], package("a")))]), "a target of 1 to 4095 bytes"),
        (tree([("usr/f", node(Kind::CharDev { major: 4096, minor: 0 }))]), "at most 4095:1048575"),
        (tree([("usr/f", node(Kind::BlockDev { major: 0, minor: 1 << 20 }))]), "at most 4095:1048575"),
    ] {
        let error = error(&tree);
        assert!(error.starts_with("squashfs cannot hold /usr/f: ") && error.ends_with(why), "{error}");
    }
}

#[test]
fn too_many_owners() {
    let mut tree = tree([]);
    for uid in 0..65535 {
        let mut node = file("");
        node.uid = uid;
        tree.insert(path(&uid.to_string()), node).unwrap();
    }
    assert!(write(&tree, &OPTIONS, &NoCache).is_ok());
    let mut node = file("");
    node.gid = 65535;
    tree.insert(path("more"), node).unwrap();
    assert_eq!(error(&tree), "too much for one squashfs image: more than 65535 different owners");
}

/// A disk with room for so many bytes.
struct Disk(u64, std::io::Cursor<Vec<u8>>);

impl std::io::Write for Disk {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        match self.1.position() + buf.len() as u64 <= self.0 {
            true => self.1.write(buf),
            false => Err(std::io::ErrorKind::StorageFull.into()),
        }
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl std::io::Seek for Disk {
    fn seek(&mut self, to: std::io::SeekFrom) -> std::io::Result<u64> {
        self.1.seek(to)
    }
}

#[test]
fn a_full_disk_is_an_error_wherever_it_ends() {
    let tree = tree([("a", file(super::noise(30_000, 1))), ("b", file(super::noise(3000, 2)))]);
    let size = write(&tree, &OPTIONS, &NoCache).unwrap().1.bytes;
    for room in [0, 50, 200, 20_000, 31_000, size - 1] {
        let mut disk = Disk(room, Default::default());
        let error = formats::squashfs::write(&tree, &OPTIONS, &NoCache, &mut disk).unwrap_err();
        assert!(
            matches!(&error, Error::Write(why) if why.kind() == std::io::ErrorKind::StorageFull),
            "{error:?}"
        );
    }
}
