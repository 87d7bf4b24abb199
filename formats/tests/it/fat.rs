//! FAT32 filesystems, judged by dosfstools (no complaint at all) and mtools.
#![cfg(feature = "write")]

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use super::judge::{NOBODY_ELSE as O, fill, path, run};
use formats::fat::{Error, MIN_SIZE, NameReason, Options, write};
use formats::tree::{Content, Kind, Node, Tree, TreePath};
use proptest::prelude::*;

fn options(size: u64) -> Options {
    Options { size, sector_size: 512, label: "esp".into(), volume_id: 0x1234_abcd, mtime: 1_700_000_000 }
}

fn image(dir: &Path, tree: &Tree, options: &Options) -> PathBuf {
    let image = dir.join("fat.img");
    let mut file = File::create(&image).unwrap();
    write(&mut file, tree, options).unwrap();
    assert_eq!(file.metadata().unwrap().len(), options.size);
    image
}

/// fsck.fat must say its name and the summary, nothing else; it must find so many files.
fn fsck(image: &Path, tree: &Tree) {
    let said = run("dosfstools", "fsck.fat", &["-n".as_ref(), image.as_ref()]);
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.len(), 2, "fsck.fat: {said}");
    assert!(lines[0].starts_with("fsck.fat "), "{said}");
    // It counts the label of the root and every entry, not the root itself.
    let files = lines[1].split_once(": ").unwrap().1;
    assert!(files.starts_with(&format!("{} files, ", tree.len())), "{said}");
}

/// Copies everything out with mtools and compares it with the tree.
fn compare(dir: &Path, image: &Path, tree: &Tree) {
    let out = dir.join("out");
    std::fs::create_dir(&out).unwrap();
    let args = ["-snQm".as_ref(), "-i".as_ref(), image.as_os_str(), "::*".as_ref(), out.as_os_str()];
    if tree.len() > 1 {
        run("mtools", "mcopy", &args);
    }
    let mut found = BTreeMap::new();
    walk(&out, &out, &mut found);
    let expected: BTreeMap<_, _> = tree
        .iter()
        .filter(|(p, _)| !p.is_root())
        .map(|(p, node)| {
            let content = match &node.kind {
                Kind::File(content) => Some(content.to_vec().unwrap()),
                Kind::Hardlink(to) => match &tree.get(to).unwrap().kind {
                    Kind::File(content) => Some(content.to_vec().unwrap()),
                    _ => None,
                },
                _ => None,
            };
            (p.to_string(), content)
        })
        .collect();
    let names = |m: &BTreeMap<String, Option<Vec<u8>>>| m.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&found), names(&expected));
    for (name, content) in expected {
        assert!(found[&name] == content, "{name} differs");
    }
    std::fs::remove_dir_all(out).unwrap();
}

fn walk(root: &Path, dir: &Path, found: &mut BTreeMap<String, Option<Vec<u8>>>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let at = entry.unwrap().path();
        let name = at.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        if at.is_dir() {
            found.insert(name, None);
            walk(root, &at, found);
        } else {
            found.insert(name, Some(std::fs::read(&at).unwrap()));
        }
    }
}

/// What an EFI system partition holds, and some more.
fn esp() -> Tree {
    let mut tree = Tree::new(Node::dir(O));
    let mut put = |at: &str, node: Node| drop(tree.insert(path(at), node).unwrap());
    put("EFI/BOOT/BOOTX64.EFI", Node::file(fill(120_000, 1), 0o644, O));
    put("EFI/systemd/systemd-bootx64.efi", Node::new(Kind::Hardlink(path("EFI/BOOT/BOOTX64.EFI")), 0o644, O));
    put("EFI/Linux/compute_1.2.3+3.efi", Node::file(fill(3_000_001, 2), 0o600, O));
    put("loader/loader.conf", Node::file(*b"timeout 3\n", 0o644, O));
    put("loader/entries", Node::dir(O));
    put("loader/entries.srel", Node::file(*b"type1\n", 0o644, O));
    put("empty.txt", Node::file(*b"", 0o644, O));
    put("\u{fc}ml\u{e4}ut \u{65e5}\u{672c}", Node::file(*b"x", 0o644, O));
    put(&"n".repeat(255), Node::file(*b"255", 0o644, O));
    put("exactly13char", Node::file(*b"13", 0o644, O));
    for i in 0..300 {
        put(&format!("many/a long file name {i}.text"), Node::file(vec![b'm'; i], 0o644, O));
    }
    tree
}

#[test]
fn everything_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let tree = esp();
    for size in [MIN_SIZE, 64 << 20, 260 << 20, 512 << 20, 1 << 30, 9 << 30] {
        let image = image(dir.path(), &tree, &options(size));
        fsck(&image, &tree);
        compare(dir.path(), &image, &tree);
    }
    let image = image(dir.path(), &tree, &options(512 << 20));
    let listing = run("mtools", "mdir", &["-i".as_ref(), image.as_os_str(), "::/loader".as_ref()]);
    assert!(listing.contains("LOADER~1 CON") || listing.contains("LOADER   CON"), "{listing}");
    assert!(listing.contains("Volume in drive : is ESP"), "{listing}");
    assert!(listing.contains("Volume Serial Number is 1234-ABCD"), "{listing}");
    assert!(listing.contains("2023-11-14  22:13"), "{listing}");
}

#[test]
fn an_empty_tree_without_a_label() {
    let dir = tempfile::tempdir().unwrap();
    let tree = Tree::new(Node::dir(O));
    let image = image(dir.path(), &tree, &Options { label: String::new(), ..options(MIN_SIZE) });
    let said = run("dosfstools", "fsck.fat", &["-n".as_ref(), image.as_ref()]);
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(said.contains(": 0 files, 1/65525 clusters"), "{said}");
}

#[test]
fn two_writes_are_identical_and_the_origin_is_kept() {
    let write_at = |origin: usize| {
        let mut out = std::io::Cursor::new(vec![0xaa; origin]);
        out.set_position(origin as u64);
        write(&mut out, &esp(), &options(64 << 20)).unwrap();
        out.into_inner()
    };
    let (one, two) = (write_at(0), write_at(12345));
    assert!(two[..12345].iter().all(|b| *b == 0xaa));
    assert!(one == two[12345..]);
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
    tree.insert(path("big"), Node::file(vec![1; 40 << 20], 0o644, O)).unwrap();
    let Error::TooSmall { size, missing } = failure(&tree, &options(36 << 20)) else { panic!("other error") };
    assert!(matches!(failure(&tree, &options(size + missing)), Error::TooSmall { missing: ..=100_000, .. }));
    let dir = tempfile::tempdir().unwrap();
    let image = image(dir.path(), &tree, &options((size + missing + missing / 60).next_multiple_of(512)));
    fsck(&image, &tree);
}

#[test]
fn what_fat_cannot_hold_is_refused_by_name() {
    let with = |names: &[&str], node: Node| {
        let mut tree = Tree::new(Node::dir(O));
        for name in names {
            tree.insert(path(name), node.clone()).unwrap();
        }
        failure(&tree, &options(64 << 20))
    };
    let file = || Node::file(*b"", 0o644, O);
    for (node, what) in [
        (Node::symlink(*b"x", O), "symbolic link"),
        (Node::new(Kind::Fifo, 0o644, O), "named pipe"),
        (Node::new(Kind::CharDev { major: 1, minor: 3 }, 0o644, O), "character device"),
    ] {
        assert!(matches!(with(&["d/f"], node), Error::Kind { path, kind } if path == "d/f" && kind == what));
    }
    for (name, why) in [("d/a:b", NameReason::Character(':')), ("d/dot.", NameReason::End)] {
        assert!(
            matches!(with(&[name], file()), Error::Name { path, reason } if path == name && reason == why)
        );
    }
    for pair in [["d/Readme", "d/README"], ["d/\u{e4}", "d/\u{c4}"]] {
        assert!(matches!(with(&pair, file()), Error::CaseCollision { .. }), "{pair:?}");
    }
    let link = Node::new(Kind::Hardlink(path("nowhere")), 0o644, O);
    assert!(matches!(with(&["l"], link), Error::Hardlink { .. }));

    let dir = tempfile::tempdir().unwrap();
    let sparse = File::create_new(dir.path().join("sparse")).unwrap();
    sparse.set_len(4 << 30).unwrap();
    let open = std::sync::Arc::new(File::open(dir.path().join("sparse")).unwrap());
    let long = Node::new(Kind::File(Content::from_file(open, 0, 4 << 30, None)), 0o644, O);
    assert!(matches!(with(&["long"], long), Error::FileTooLong { len: 0x1_0000_0000, .. }));

    let many: Vec<_> = (0..33_000).map(|i| format!("d/f{i}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    assert!(matches!(with(&many, file()), Error::DirectoryTooLong { entries: 66_002, .. }));

    let empty = Tree::new(Node::dir(O));
    assert!(matches!(failure(&empty, &options(MIN_SIZE - 512)), Error::Size { min: MIN_SIZE, .. }));
    for label in ["twelve chars", "a*b", " a", "\u{e4}"] {
        let options = Options { label: label.into(), ..options(64 << 20) };
        assert!(matches!(failure(&empty, &options), Error::Label { .. }), "{label}");
    }
}

fn trees() -> impl Strategy<Value = Tree> {
    // Few letters, so that short names collide; mtools cannot match `[` and `~N` of others' long names.
    let name = "[a-cA-C]{1,9}[a-c +_-]{0,4}[a-c]{0,8}(\\.[a-c]{1,4})?"
        .prop_filter("ends", |n: &String| !n.ends_with(['.', ' ']));
    let at = prop::collection::vec(name, 1..4).prop_map(|parts| path(&parts.join("/")));
    let node = (at, prop::option::weighted(0.8, (0..60_000_usize, any::<u8>())));
    prop::collection::vec(node, 0..80).prop_map(|nodes| {
        let mut tree = Tree::new(Node::dir(O));
        let mut folded: BTreeMap<String, TreePath> = BTreeMap::new();
        for (at, content) in nodes {
            // Names that differ only in case are another test's.
            let ways: Vec<TreePath> = std::iter::once(at.clone()).chain(at.ancestors()).collect();
            let clash = |p: &TreePath| folded.get(&p.to_string().to_lowercase()).is_some_and(|q| q != p);
            if ways.iter().any(clash) {
                continue;
            }
            let node = content.map_or(Node::dir(O), |(len, seed)| Node::file(fill(len, seed), 0o644, O));
            if tree.get(&at).is_none() && tree.insert(at, node).is_ok() {
                folded.extend(ways.into_iter().map(|p| (p.to_string().to_lowercase(), p)));
            }
        }
        tree
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_tree_is_clean_and_comes_back(tree in trees()) {
        let dir = tempfile::tempdir().unwrap();
        let image = image(dir.path(), &tree, &options(40 << 20));
        fsck(&image, &tree);
        compare(dir.path(), &image, &tree);
    }
}

#[test]
fn what_is_written_is_read_again_with_every_sector_size() {
    for sector_size in [512, 1024, 2048, 4096] {
        let mut tree = Tree::new(Node::dir(O));
        let files = [
            ("EFI/BOOT/BOOTX64.EFI", fill(100_000, 1)),
            ("EFI/Linux/compute_20261123.0046+3.efi", fill(70_001, 2)),
            ("EFI/Linux/empty.efi", Vec::new()),
            ("loader/loader.conf", b"timeout 0\n".to_vec()),
        ];
        for (name, bytes) in &files {
            tree.insert(path(name), Node::file(bytes.clone(), 0o644, O)).unwrap();
        }
        let size = formats::fat::min_size(sector_size).next_multiple_of(1 << 20);
        let dir = tempfile::tempdir().unwrap();
        let at = image(dir.path(), &tree, &Options { sector_size, ..options(size) });
        fsck(&at, &tree);
        let file = File::open(&at).unwrap();
        let mut read = |at, buf: &mut [u8]| std::os::unix::fs::FileExt::read_exact_at(&file, buf, at);
        let mut volume = formats::fat::Volume::open(size, &mut read).unwrap();
        for (name, bytes) in &files {
            let (dir, name) = name.rsplit_once('/').unwrap();
            let entries = volume.dir(&dir.to_lowercase()).unwrap().unwrap();
            let entry = entries.iter().find(|e| e.name.eq_ignore_ascii_case(name)).unwrap();
            assert!(volume.read(entry).unwrap() == *bytes, "{name} with sectors of {sector_size}");
        }
        assert_eq!(volume.dir("EFI/none").unwrap(), None);
        assert_eq!(volume.dir("").unwrap().unwrap().len(), 2);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_damaged_filesystem_ends_in_an_error_or_in_files(
        changes in prop::collection::vec((0..3_usize, any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let mut tree = Tree::new(Node::dir(O));
        tree.insert(path("EFI/Linux/a long name of an image.efi"), Node::file(fill(9000, 1), 0o644, O)).unwrap();
        let mut out = std::io::Cursor::new(Vec::new());
        write(&mut out, &tree, &options(MIN_SIZE)).unwrap();
        let mut bytes = out.into_inner();
        // Boot sector, the start of the table, the start of the data.
        let data = bytes.windows(11).position(|w| w == b"ESP        ").unwrap();
        for (area, index, byte) in changes {
            let at = [0, 32 * 512, data][area] + index.index(if area == 2 { 2048 } else { 512 });
            bytes[at] = byte;
        }
        let size = bytes.len() as u64;
        let mut read = |at: u64, buf: &mut [u8]| {
            let at = usize::try_from(at).unwrap();
            buf.copy_from_slice(&bytes[at..at + buf.len()]);
            Ok(())
        };
        if let Ok(mut volume) = formats::fat::Volume::open(size, &mut read)
            && let Ok(Some(entries)) = volume.dir("EFI/Linux")
        {
            for entry in entries {
                let _ = volume.read(&entry);
            }
        }
    }
}
