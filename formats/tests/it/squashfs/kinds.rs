//! All kinds of nodes, attributes and names.

use formats::squashfs::Options;
use formats::tree::{Kind, Node, Tree, TreePath};

use super::judge::{compare, unsquashfs};
use super::{OPTIONS, file, image, node, package, path, text, tree, xattrs};

/// `cap_net_raw+ep`, as in `struct vfs_cap_data` revision 2.
const CAPABILITY: &[u8] = &[1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// One of everything.
pub(crate) fn everything() -> Tree {
    let mut ping = file(text(9000, 1));
    ping.mode = 0o755;
    ping.xattrs = xattrs(&[("security.capability", CAPABILITY)]);
    let mut sudo = file(text(5000, 2));
    (sudo.mode, sudo.uid, sudo.gid) = (0o6755, 70_000, 4_294_967_294);
    let mut tmp = Node::dir(package("a"));
    tmp.mode = 0o1777;
    let mut labelled = Node::dir(package("a"));
    labelled.xattrs = xattrs(&[("user.empty", b""), ("user.b", &[0, 255]), ("trusted.overlay.opaque", b"y")]);
    let mut link = Node::symlink("../ping", package("a"));
    link.xattrs = xattrs(&[("trusted.x", b"1"), ("trusted.y", b"")]);
    let mut null = node(Kind::CharDev { major: 1, minor: 3 });
    (null.mode, null.xattrs) = (0o666, xattrs(&[("trusted.x", b"1")]));
    let mut fifo = node(Kind::Fifo);
    fifo.xattrs = xattrs(&[("trusted.x", b"1")]);
    let mut linked = file("one inode");
    (linked.uid, linked.mode) = (33, 0o640);
    tree([
        ("bin/ping", ping.clone()),
        ("bin/ping6", ping),
        ("bin/sudo", sudo),
        ("bin/link", link),
        ("tmp", tmp),
        ("labelled", labelled),
        ("dev/null", null),
        ("dev/odd", node(Kind::CharDev { major: 4095, minor: 1_048_575 })),
        ("dev/disk", node(Kind::BlockDev { major: 8, minor: 300 })),
        ("dev/fifo", fifo),
        ("dev/fifo2", node(Kind::Fifo)),
        ("zz/first", linked),
        ("aa/link to later", node(Kind::Hardlink(path("zz/first")))),
        ("zz/sub/link", node(Kind::Hardlink(path("zz/first")))),
        ("zz/link", Node::symlink(vec![b'x'; 4095], package("a"))),
        ("empty", file("")),
        ("void", Node::dir(package("b"))),
    ])
}

#[test]
fn everything_is_extracted_as_it_was() {
    for block_size in [4096, 131_072, 1 << 20] {
        for level in [1, 19] {
            let options = Options { block_size, level, ..OPTIONS };
            compare(&everything(), &options, &image(&everything(), &options).0);
        }
    }
}

#[test]
fn superblock_says_what_is_inside() {
    let options = Options { block_size: 16384, level: 7, mtime: 0 };
    let (bytes, stats) = image(&everything(), &options);
    let said = unsquashfs(&["-s", "-UTC"], &bytes);
    for line in [
        "Creation or last append time Thu Jan  1 00:00:00 1970",
        "Compression zstd",
        "compression-level 7",
        "Block size 16384",
        "Filesystem is exportable via NFS",
        "Xattrs are compressed",
        "Number of fragments 1",
        "Number of ids 4",
        &format!("Number of inodes {}", everything().len() - 2),
        "Number of xattr ids 4",
    ] {
        assert!(said.contains(line), "{line:?} is not in:\n{said}");
    }
    assert_eq!(stats.inodes as usize, everything().len() - 2);
    let plain = image(&tree([("a", file("a"))]), &options).0;
    assert!(unsquashfs(&["-s"], &plain).contains("Xattrs are not stored"));
}

#[test]
fn a_root_alone() {
    let mut root = Tree::new(Node::dir(package("a")));
    root.get_mut(&TreePath::root()).unwrap().mode = 0o711;
    compare(&root, &OPTIONS, &image(&root, &OPTIONS).0);
}

#[test]
fn names_of_any_bytes_and_length() {
    let mut tree = Tree::new(Node::dir(package("a")));
    let long = [b'n'; 255];
    for name in [b"\xff\xfe".as_slice(), b"new\nline", b" ", b"-rf", "ö".as_bytes(), b"a\\b", &long] {
        tree.insert(TreePath::parse(name).unwrap(), file(name)).unwrap();
    }
    compare(&tree, &OPTIONS, &image(&tree, &OPTIONS).0);
}

#[test]
fn large_directories() {
    let mut tree = Tree::new(Node::dir(package("a")));
    // Above 64 KiB of listing in one directory, and just above 8 KiB in the other.
    for i in 0..3000 {
        let at = path(&format!("large/{i:04}{}", "x".repeat(i % 60)));
        tree.insert(at, Node::symlink("t", package("a"))).unwrap();
    }
    for i in 0..500 {
        tree.insert(path(&format!("middle/{i:04}-name")), file("")).unwrap();
        tree.insert(path(&format!("middle/{i:04}/in")), file("")).unwrap();
    }
    compare(&tree, &OPTIONS, &image(&tree, &OPTIONS).0);
}

#[test]
fn inode_numbers_far_apart_in_one_directory() {
    // The hard link's inode is numbered with the other directory, 40 000 before
    // its neighbours: more than the 16 bits a listing has for the difference.
    let mut tree = Tree::new(Node::dir(package("a")));
    tree.insert(path("z/f"), file("far")).unwrap();
    for i in 0..40_000 {
        tree.insert(path(&format!("m/{i}")), Node::symlink("t", package("a"))).unwrap();
    }
    tree.insert(path("a/1"), file("")).unwrap();
    tree.insert(path("a/2"), node(Kind::Hardlink(path("z/f")))).unwrap();
    tree.insert(path("a/3"), file("")).unwrap();
    compare(&tree, &OPTIONS, &image(&tree, &OPTIONS).0);
}

#[test]
fn the_image_can_start_anywhere() {
    use std::io::{Cursor, Seek, SeekFrom, Write};
    let mut out = Cursor::new(Vec::new());
    out.write_all(&[7; 5000]).unwrap();
    let tree = everything();
    let stats = formats::squashfs::write(&tree, &OPTIONS, &formats::squashfs::NoCache, &mut out).unwrap();
    assert_eq!(out.stream_position().unwrap(), 5000 + stats.bytes);
    out.seek(SeekFrom::Start(0)).unwrap();
    let bytes = out.into_inner();
    assert!(bytes[..5000].iter().all(|byte| *byte == 7));
    assert!(bytes[5000..] == image(&tree, &OPTIONS).0);
}
