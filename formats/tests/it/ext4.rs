//! ext4 filesystems, judged by e2fsprogs: e2fsck must have nothing to say, and
//! debugfs must read back what the tree holds.
#![cfg(feature = "write")]

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use super::judge::{NOBODY_ELSE as O, fill, path, run};
use formats::ext4::{Error, Journal, Options, XattrReason, write};
use formats::tree::{Content, Kind, Node, Origin, Tree, TreePath};
use proptest::prelude::*;

const UUID: [u8; 16] = *b"\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef";
const MTIME: u32 = 1_700_000_000;

fn options(size: u64) -> Options {
    Options { label: "ROOT".into(), ..Options::new(size, UUID, [7; 16], MTIME) }
}

/// Writes the filesystem to a sparse file.
fn image(dir: &Path, tree: &Tree, options: &Options) -> std::path::PathBuf {
    let image = dir.join("ext4.img");
    let mut file = File::create(&image).unwrap();
    write(&mut file, tree, options).unwrap();
    assert_eq!(file.metadata().unwrap().len(), options.size);
    image
}

fn e2fsck(image: &Path) {
    let said = run("e2fsprogs", "e2fsck", &["-fn".as_ref(), image.as_ref()]);
    // Five passes and a summary, nothing else.
    let other: Vec<_> = said.lines().filter(|l| !l.starts_with("Pass ") && !l.contains(" files (")).collect();
    assert!(other.is_empty(), "e2fsck: {said}");
}

/// What debugfs answers to each of the commands.
fn debugfs(dir: &Path, image: &Path, commands: &[Vec<u8>]) -> Vec<String> {
    let script = dir.join("commands");
    std::fs::write(&script, commands.join(&b'\n')).unwrap();
    let said = run("e2fsprogs", "debugfs", &["-f".as_ref(), script.as_ref(), image.as_ref()]);
    said.split("debugfs: ").skip(1).map(|s| s.split_once('\n').unwrap_or_default().1.to_owned()).collect()
}

/// `command "/path"` in bytes, since a path need not be UTF-8.
fn on(command: &str, path: &TreePath) -> Vec<u8> {
    [command.as_bytes(), b" \"/", path.as_bytes(), b"\""].concat()
}

fn field<'a>(stat: &'a str, name: &str) -> &'a str {
    let (_, rest) = stat.split_once(name).unwrap_or_else(|| panic!("no {name} in {stat}"));
    rest.split_whitespace().next().unwrap_or_default()
}

/// Stands for a file to write to. No path of a tree has `//` in it.
const OUT: &str = "//OUT";

/// Compares every node of the tree with what debugfs finds in the image.
fn compare(dir: &Path, image: &Path, tree: &Tree) {
    let out = dir.join("out");
    let mut names: BTreeMap<TreePath, usize> = BTreeMap::new();
    let mut commands = Vec::new();
    for (at, node) in tree.iter() {
        let file = if let Kind::Hardlink(to) = &node.kind { to } else { at };
        *names.entry(file.clone()).or_default() += 1;
        commands.push(on("stat", at));
    }
    let stats = debugfs(dir, image, &commands);
    assert_eq!(stats.len(), tree.len());
    let mut dumps = Vec::new();
    for ((at, node), stat) in tree.iter().zip(&stats) {
        let (target, node) = match &node.kind {
            Kind::Hardlink(to) => (to, tree.get(to).unwrap()),
            _ => (at, node),
        };
        let kind = match &node.kind {
            Kind::Dir => "directory",
            Kind::File(content) => {
                dumps.push((content.to_vec().unwrap(), format!("dump \"/{at}\" {OUT}")));
                assert_eq!(field(stat, "Size: "), content.len().to_string(), "{at}");
                "regular"
            }
            Kind::Symlink(to) => {
                let shown = String::from_utf8_lossy(to);
                if to.len() < 60 {
                    assert!(stat.contains(&format!("Fast link dest: \"{shown}\"")), "{at}: {stat}");
                } else {
                    dumps.push((to.clone(), format!("cat \"/{at}\"")));
                }
                "symlink"
            }
            Kind::CharDev { major, minor } | Kind::BlockDev { major, minor } => {
                let shown = format!("{major:02}:{minor:02}");
                assert_eq!(field(stat, "Device major/minor number: "), shown, "{at}");
                if matches!(node.kind, Kind::CharDev { .. }) { "character" } else { "block" }
            }
            Kind::Fifo => "FIFO",
            Kind::Hardlink(_) => unreachable!("resolved above"),
        };
        assert_eq!(field(stat, "Type: "), kind, "{at}");
        assert_eq!(u16::from_str_radix(field(stat, "Mode: "), 8).unwrap(), node.mode, "{at}");
        // debugfs shows owners as signed numbers.
        assert_eq!(field(stat, "User: "), node.uid.cast_signed().to_string(), "{at}");
        assert_eq!(field(stat, "Group: "), node.gid.cast_signed().to_string(), "{at}");
        assert_eq!(stat.matches(&format!("time: 0x{MTIME:08x}:00000000")).count(), 4, "{at}: {stat}");
        if !node.is_dir() {
            assert_eq!(field(stat, "Links: "), names[target].to_string(), "{at}");
        }
        for (name, value) in &node.xattrs {
            let name = String::from_utf8_lossy(name);
            assert!(stat.contains(&format!("{name} ({})", value.len())), "{at}: {stat}");
            if !value.is_empty() {
                dumps.push((value.clone(), format!("ea_get -f {OUT} \"/{at}\" {name}")));
            }
        }
        let shown = stat.lines().filter(|l| l.starts_with("  ")).count();
        assert_eq!(shown, node.xattrs.len(), "{at}: {stat}");
    }
    let to = |i: usize| out.with_extension(i.to_string());
    let commands: Vec<_> = dumps
        .iter()
        .enumerate()
        .map(|(i, (_, command))| command.replace(OUT, &to(i).display().to_string()).into_bytes())
        .collect();
    let said = debugfs(dir, image, &commands);
    for (i, (bytes, command)) in dumps.into_iter().enumerate() {
        if command.starts_with("cat") {
            assert_eq!(said[i].trim_end_matches('\0').as_bytes(), bytes);
            continue;
        }
        let read = std::fs::read(to(i)).unwrap_or_else(|e| panic!("{command}: {} {e}", said[i]));
        assert!(read == bytes, "{command} differs");
        std::fs::remove_file(to(i)).unwrap();
    }
}

/// A tree with every kind of node and attribute.
fn everything() -> Tree {
    let mut root = Node::dir(O);
    root.mode = 0o1755;
    let mut tree = Tree::new(root);
    let mut put = |at: &str, node: Node| drop(tree.insert(path(at), node).unwrap());
    put("empty", Node::file(*b"", 0o644, O));
    put("etc/hostname", Node::file(*b"sled\n", 0o644, O));
    put("usr/bin/su", Node::file(fill(70_000, 1), 0o4755, O));
    put("big", Node::file(fill(5 << 20, 2), 0o600, O));
    put("links/two", Node::new(Kind::Hardlink(path("etc/hostname")), 0o777, O));
    put("a-link-before-its-file", Node::new(Kind::Hardlink(path("usr/bin/su")), 0, O));
    put("fast", Node::symlink(*b"etc/hostname", O));
    put("fast59", Node::symlink(vec![b'x'; 59], O));
    put("slow60", Node::symlink(vec![b'y'; 60], O));
    put("slow4095", Node::symlink(vec![b'z'; 4095], O));
    put("dev/null", Node::new(Kind::CharDev { major: 1, minor: 3 }, 0o666, O));
    put("dev/far", Node::new(Kind::CharDev { major: 511, minor: 0xf_fffe }, 0o600, O));
    put("dev/vda", Node::new(Kind::BlockDev { major: 254, minor: 300 }, 0o660, O));
    put("run/pipe", Node::new(Kind::Fifo, 0o600, O));
    put("spaces and \u{fc}", Node::file(*b"x", 0o400, O));
    for i in 0..1000 {
        put(&format!("many/{i:04}-{}", "n".repeat(i % 200)), Node::file(vec![b'm'; i], 0o644, O));
    }
    let mut owned = Node::file(*b"cap", 0o755, O);
    (owned.uid, owned.gid) = (70_000, u32::MAX - 1);
    let cap = b"\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";
    owned.xattrs.insert(b"security.capability".to_vec(), cap.to_vec());
    put("usr/bin/ping", owned.clone());
    owned.xattrs.insert(b"user.empty".to_vec(), Vec::new());
    owned.xattrs.insert(b"user.large".to_vec(), fill(3000, 3));
    owned.xattrs.insert(b"trusted.overlay.opaque".to_vec(), b"y".to_vec());
    owned.xattrs.insert(b"user.a".to_vec(), fill(77, 4));
    put("xattrs/file", owned.clone());
    owned.kind = Kind::Dir;
    put("xattrs/dir", owned.clone());
    owned.kind = Kind::Symlink(b"elsewhere".to_vec());
    owned.mode = 0o777;
    owned.xattrs.retain(|name, _| !name.starts_with(b"user."));
    put("xattrs/link", owned);
    tree
}

#[test]
fn everything_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let tree = everything();
    for journal in [Journal::Auto, Journal::None, Journal::Bytes(8 << 20)] {
        for grow_to in [0, 6 << 40] {
            let options = Options { journal, grow_to, ..options(64 << 20) };
            let image = image(dir.path(), &tree, &options);
            e2fsck(&image);
        }
    }
    let options = Options { reserved_percent: 5, grow_to: 6 << 40, ..options(64 << 20) };
    let image = image(dir.path(), &tree, &options);
    e2fsck(&image);
    compare(dir.path(), &image, &tree);
    let said = run("e2fsprogs", "dumpe2fs", &["-h".as_ref(), image.as_ref()]);
    for line in [
        "Filesystem volume name:   ROOT",
        "Filesystem UUID:          01234567-89ab-cdef-0123-456789abcdef",
        "Directory Hash Seed:      07070707-0707-0707-0707-070707070707",
        "Filesystem features:      has_journal ext_attr resize_inode dir_index filetype extent 64bit flex_bg \
         sparse_super large_file huge_file dir_nlink extra_isize metadata_csum",
        "Reserved block count:     819",
        "Reserved GDT blocks:      767",
        "Journal backup:           inode blocks",
        "Total journal size:       4096k",
        "Filesystem state:         clean",
    ] {
        assert!(said.contains(line), "no {line:?} in {said}");
    }
}

#[test]
fn two_writes_are_identical_and_the_origin_is_kept() {
    let write_at = |origin: usize| {
        let mut out = std::io::Cursor::new(vec![0xaa; origin]);
        out.set_position(origin as u64);
        write(&mut out, &everything(), &Options { grow_to: 1 << 40, ..options(32 << 20) }).unwrap();
        out.into_inner()
    };
    let (one, two) = (write_at(0), write_at(12345));
    assert!(two[..12345].iter().all(|b| *b == 0xaa));
    assert!(one == two[12345..]);
}

#[test]
fn sizes_from_the_smallest_to_the_largest() {
    let dir = tempfile::tempdir().unwrap();
    let mut tree = Tree::new(Node::dir(O));
    tree.insert(path("hello"), Node::file(*b"hello", 0o644, O)).unwrap();
    for size in
        [8 << 20, (8 << 20) + 4096, 127 << 20, 128 << 20, (128 << 20) + 4096, 3 << 30, (40 << 30) + 8192]
    {
        let image = image(dir.path(), &tree, &Options { grow_to: 100 << 30, ..options(size) });
        e2fsck(&image);
    }
}

#[test]
fn a_file_of_many_extents() {
    let dir = tempfile::tempdir().unwrap();
    let mut tree = Tree::new(Node::dir(O));
    let holes = File::create_new(dir.path().join("holes")).unwrap();
    holes.set_len(700 << 20).unwrap();
    let mut tail = fill(8192, 9);
    tail.truncate(5000);
    std::os::unix::fs::FileExt::write_all_at(&holes, &tail, (700 << 20) - 5000).unwrap();
    drop(holes);
    let open = std::sync::Arc::new(File::open(dir.path().join("holes")).unwrap());
    let content = Content::from_file(open, 0, 700 << 20, None);
    tree.insert(path("large"), Node::new(Kind::File(content), 0o644, O)).unwrap();
    let image = image(dir.path(), &tree, &options(1 << 30));
    e2fsck(&image);
    let stat = debugfs(dir.path(), &image, &[b"stat /large".to_vec()]).concat();
    assert!(stat.contains("(ETB0):"), "not a tree of extents: {stat}");
    let copy = dir.path().join("copy");
    let dump = format!("dump /large {}", copy.display());
    run("e2fsprogs", "debugfs", &["-R".as_ref(), dump.as_ref(), image.as_ref()]);
    run("diffutils", "cmp", &[copy.as_ref(), dir.path().join("holes").as_ref()]);
}

/// Descriptors were set aside for it, so it grows in place. This is the offline
/// way; the kernel's goes through the same resize inode.
#[test]
fn resize2fs_grows_it() {
    let dir = tempfile::tempdir().unwrap();
    let tree = everything();
    let image = image(dir.path(), &tree, &Options { grow_to: 200 << 30, ..options(64 << 20) });
    for size in ["1G", "20G", "200G"] {
        run("e2fsprogs", "resize2fs", &["-f".as_ref(), image.as_ref(), size.as_ref()]);
        e2fsck(&image);
    }
    compare(dir.path(), &image, &tree);
    let said = run("e2fsprogs", "dumpe2fs", &["-h".as_ref(), image.as_ref()]);
    assert!(said.contains("Block count:              52428800") && !said.contains("meta_bg"), "{said}");
}

fn failure(tree: &Tree, options: &Options) -> Error {
    let mut out = std::io::Cursor::new(Vec::new());
    let error = write(&mut out, tree, options).unwrap_err();
    assert!(out.into_inner().is_empty(), "something was written before the error was found");
    error
}

#[test]
fn what_does_not_fit_says_how_much_is_missing() {
    let mut tree = Tree::new(Node::dir(O));
    tree.insert(path("big"), Node::file(vec![1; 20 << 20], 0o644, O)).unwrap();
    let Error::TooSmall { size, missing } = failure(&tree, &options(16 << 20)) else { panic!("other error") };
    let larger = options(size + missing);
    let dir = tempfile::tempdir().unwrap();
    let image = image(dir.path(), &tree, &Options { bytes_per_inode: 1 << 20, ..larger.clone() });
    e2fsck(&image);
    assert!(matches!(failure(&tree, &options(size + missing - 4096)), Error::TooSmall { .. }));
}

#[test]
fn what_ext4_cannot_hold_is_refused_by_name() {
    let with = |node: Node| {
        let mut tree = Tree::new(Node::dir(O));
        tree.insert(path("d/f"), node).unwrap();
        failure(&tree, &options(16 << 20))
    };
    let attr = |kind: Kind, name: &str, len: usize| {
        let mut node = Node::new(kind, 0o644, O);
        node.xattrs.insert(name.into(), vec![b'v'; len]);
        match with(node) {
            Error::Xattr { reason, path, .. } if path == "d/f" => reason,
            other => panic!("{other}"),
        }
    };
    let file = || Kind::File(Content::from_bytes(*b""));
    assert_eq!(attr(file(), "system.posix_acl_access", 28), XattrReason::Namespace);
    assert_eq!(attr(file(), "user.", 1), XattrReason::Name);
    assert_eq!(attr(Kind::Fifo, "user.x", 1), XattrReason::Kind);
    assert_eq!(attr(file(), "user.x", 4096), XattrReason::Space);
    assert_eq!(attr(file(), "user.x", 1 << 20), XattrReason::Space);

    assert!(matches!(with(Node::symlink(*b"", O)), Error::Symlink { len: 0, .. }));
    assert!(matches!(with(Node::symlink(vec![b'x'; 4096], O)), Error::Symlink { len: 4096, .. }));
    let hole = std::sync::Arc::new(tempfile::tempfile().unwrap());
    let endless = Kind::File(Content::from_file(hole, 0, u64::MAX, None));
    assert!(matches!(with(Node::new(endless, 0o644, O)), Error::TooLong { len: u64::MAX, .. }));
    let far = Node::new(Kind::BlockDev { major: 4096, minor: 0 }, 0o600, O);
    assert!(matches!(with(far), Error::Device { major: 4096, .. }));
    for target in ["nowhere", "d"] {
        let link = Node::new(Kind::Hardlink(path(target)), 0o600, O);
        assert!(matches!(with(link), Error::Hardlink { .. }), "{target}");
    }
    assert!(matches!(with(Node::file(*b"", 0o10000, O)), Error::Mode { mode: 0o10000, .. }));

    let mut tree = Tree::new(Node::dir(O));
    tree.insert(path("lost+found"), Node::file(*b"", 0o644, O)).unwrap();
    assert!(matches!(failure(&tree, &options(16 << 20)), Error::LostAndFound));

    let mut tree = Tree::new(Node::dir(O));
    tree.insert(path("f"), Node::file(*b"", 0o644, O)).unwrap();
    for i in 0..65_000 {
        tree.insert(path(&format!("l/{i}")), Node::new(Kind::Hardlink(path("f")), 0, O)).unwrap();
    }
    assert!(matches!(failure(&tree, &options(1 << 30)), Error::TooManyLinks { .. }));

    let empty = Tree::new(Node::dir(O));
    let refused = |options: Options| match failure(&empty, &options) {
        Error::Option { option, .. } => option,
        other => panic!("{other}"),
    };
    assert_eq!(refused(options(100_000)), "size");
    assert_eq!(refused(Options { label: "17 bytes of label".into(), ..options(16 << 20) }), "label");
    assert_eq!(refused(Options { journal: Journal::Bytes(4096), ..options(16 << 20) }), "journal");
    assert_eq!(refused(Options { reserved_percent: 51, ..options(16 << 20) }), "reserved_percent");
    assert_eq!(refused(Options { bytes_per_inode: 0, ..options(16 << 20) }), "bytes_per_inode");
}

#[test]
fn a_lost_and_found_of_the_tree_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let mut tree = Tree::new(Node::dir(O));
    tree.insert(path("lost+found/found"), Node::file(*b"it", 0o644, O)).unwrap();
    let image = image(dir.path(), &tree, &options(16 << 20));
    e2fsck(&image);
    compare(dir.path(), &image, &tree);
}

#[test]
fn more_subdirectories_than_links_can_count() {
    let dir = tempfile::tempdir().unwrap();
    let mut tree = Tree::new(Node::dir(O));
    for i in 0..65_100 {
        tree.insert(path(&format!("d/{i}")), Node::dir(Origin::Fixup("test"))).unwrap();
    }
    let image = image(dir.path(), &tree, &options(1 << 30));
    e2fsck(&image);
}

#[test]
fn dates_after_2038() {
    let dir = tempfile::tempdir().unwrap();
    let tree = Tree::new(Node::dir(O));
    let options = Options { mtime: u32::MAX, ..options(16 << 20) };
    let image = image(dir.path(), &tree, &options);
    let stat = debugfs(dir.path(), &image, &[b"stat /".to_vec()]).concat();
    assert!(stat.contains("Sun Feb  7 06:28:15 2106"), "{stat}");
}

/// Random trees: names, modes, owners, sizes, attributes, links.
fn trees() -> impl Strategy<Value = Tree> {
    let name = "[a-zA-Z0-9._+-]{1,40}".prop_filter("dots", |n| n != "." && n != ".." && n != "lost+found");
    let at = prop::collection::vec(name, 1..4).prop_map(|parts| path(&parts.join("/")));
    let kind = prop_oneof![
        3 => (0..200_000_usize, any::<u8>()).prop_map(|(n, b)| Kind::File(Content::from_bytes(fill(n, b)))),
        1 => Just(Kind::Dir),
        1 => "[a-z/]{1,300}".prop_map(|s| Kind::Symlink(s.into_bytes())),
        1 => Just(Kind::Fifo),
    ];
    let attrs = prop::collection::btree_map("[a-z.]{1,30}", 0..400_usize, 0..4);
    let node = (at, kind, 0..0o10000_u16, any::<(u32, u32)>(), attrs, any::<bool>());
    prop::collection::vec(node, 0..60).prop_map(|nodes| {
        let mut tree = Tree::new(Node::dir(O));
        let mut last = None;
        for (at, kind, mode, (uid, gid), attrs, link) in nodes {
            if tree.get(&at).is_some() {
                continue;
            }
            let mut node = Node::new(kind, mode, O);
            (node.uid, node.gid) = (uid, gid);
            node.xattrs = attrs
                .into_iter()
                .map(|(name, len)| (format!("trusted.{name}").into_bytes(), fill(len, 5)))
                .collect();
            if matches!(node.kind, Kind::File(_)) && tree.insert(at.clone(), node.clone()).is_ok() {
                last = Some(at);
            } else if let (true, Some(to)) = (link, &last) {
                let _ = tree.insert(at, Node::new(Kind::Hardlink(to.clone()), 0, O));
            } else {
                let _ = tree.insert(at, node);
            }
        }
        tree
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_tree_is_clean_and_comes_back(tree in trees(), grow in any::<bool>(), journal in any::<bool>()) {
        let dir = tempfile::tempdir().unwrap();
        let options = Options {
            grow_to: if grow { 1 << 40 } else { 0 },
            journal: if journal { Journal::Auto } else { Journal::None },
            ..options(48 << 20)
        };
        let image = image(dir.path(), &tree, &options);
        e2fsck(&image);
        compare(dir.path(), &image, &tree);
    }
}
