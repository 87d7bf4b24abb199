//! Judge: GNU cpio lists and unpacks what we write.
#![cfg(feature = "write")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use formats::cpio;
use formats::tree::{Kind, Node, Origin, Tree, TreePath};

const O: Origin = Origin::Fixup("test");
const TIME: u32 = 1_700_000_000;

fn p(s: &[u8]) -> TreePath {
    TreePath::parse(s).unwrap()
}

fn archive(tree: &Tree) -> Vec<u8> {
    let mut out = Vec::new();
    cpio::write(tree, TIME, &mut out).unwrap();
    out
}

/// Runs GNU cpio on an archive and returns what it printed.
fn gnu_cpio(archive: &[u8], dir: &Path, args: &[&str]) -> String {
    let mut child = Command::new("cpio")
        .args(args)
        .current_dir(dir)
        .env("TZ", "UTC")
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("cpio is needed: apt-get install cpio");
    child.stdin.take().unwrap().write_all(archive).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

fn tree() -> Tree {
    let mut t = Tree::new(Node::dir(O));
    let put = |t: &mut Tree, path: &[u8], node| {
        t.insert(p(path), node).unwrap();
    };
    let mut owned = Node::file(*b"0123456", 0o4751, O);
    (owned.uid, owned.gid) = (12, 345);
    put(&mut t, b"bin/owned", owned);
    put(&mut t, b"empty", Node::file(*b"", 0o600, O));
    put(&mut t, b"init", Node::symlink(*b"bin/owned", O));
    put(&mut t, b"caf\xe9", Node::file(*b"not UTF-8", 0o644, O));
    put(&mut t, b"m/file", Node::file(*b"three names", 0o640, O));
    put(&mut t, b"a-link", Node::new(Kind::Hardlink(p(b"m/file")), 0o640, O));
    put(&mut t, b"z-link", Node::new(Kind::Hardlink(p(b"m/file")), 0o640, O));
    put(&mut t, b"dev/console", Node::new(Kind::CharDev { major: 5, minor: 1 }, 0o600, O));
    put(&mut t, b"dev/vda", Node::new(Kind::BlockDev { major: 254, minor: 0 }, 0o660, O));
    put(&mut t, b"dev/fifo", Node::new(Kind::Fifo, 0o644, O));
    put(&mut t, b"tmp", Node::new(Kind::Dir, 0o1777, O));
    t
}

#[test]
fn gnu_cpio_lists_every_attribute() {
    let dir = tempfile::tempdir().unwrap();
    let archive = archive(&tree());
    assert_eq!(archive.len() % 512, 0);
    let listing = gnu_cpio(&archive, dir.path(), &["-itv", "--numeric-uid-gid", "--quiet"]);
    let lines: Vec<String> =
        listing.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        lines,
        [
            "drwxr-xr-x 6 0 0 0 Nov 14 2023 .",
            "-rw-r----- 3 0 0 0 Nov 14 2023 a-link",
            "drwxr-xr-x 2 0 0 0 Nov 14 2023 bin",
            "-rwsr-x--x 1 12 345 7 Nov 14 2023 bin/owned",
            "-rw-r--r-- 1 0 0 9 Nov 14 2023 caf\u{fffd}",
            "drwxr-xr-x 2 0 0 0 Nov 14 2023 dev",
            "crw------- 1 0 0 5, 1 Nov 14 2023 dev/console",
            "prw-r--r-- 1 0 0 0 Nov 14 2023 dev/fifo",
            "brw-rw---- 1 0 0 254, 0 Nov 14 2023 dev/vda",
            "-rw------- 1 0 0 0 Nov 14 2023 empty",
            "lrwxrwxrwx 1 0 0 9 Nov 14 2023 init -> bin/owned",
            "drwxr-xr-x 2 0 0 0 Nov 14 2023 m",
            "-rw-r----- 3 0 0 0 Nov 14 2023 m/file",
            "drwxrwxrwt 2 0 0 0 Nov 14 2023 tmp",
            "-rw-r----- 3 0 0 11 Nov 14 2023 z-link",
        ]
    );
}

#[test]
fn gnu_cpio_unpacks_files_and_links() {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::MetadataExt;
    let dir = tempfile::tempdir().unwrap();
    // Without the devices: making them needs root, unpacking files does not.
    let mut t = tree();
    t.remove(&p(b"dev"));
    let archive = archive(&t);
    gnu_cpio(&archive, dir.path(), &["-idm", "--quiet", "--no-preserve-owner"]);
    let at = |name: &[u8]| dir.path().join(std::ffi::OsStr::from_bytes(name));
    for name in [&b"m/file"[..], b"a-link", b"z-link"] {
        assert_eq!(std::fs::read(at(name)).unwrap(), b"three names");
        let meta = std::fs::metadata(at(name)).unwrap();
        assert_eq!((meta.nlink(), meta.mtime()), (3, i64::from(TIME)));
    }
    assert_eq!(std::fs::read(at(b"caf\xe9")).unwrap(), b"not UTF-8");
    assert_eq!(std::fs::read(at(b"empty")).unwrap(), b"");
    assert_eq!(std::fs::read_link(at(b"init")).unwrap(), Path::new("bin/owned"));
}

#[test]
fn zstd_gives_the_archive_back() {
    let archive = archive(&tree());
    let packed = cpio::compress(&archive, 19, &|| true).unwrap();
    assert_eq!(packed, cpio::compress(&archive, 19, &|| true).unwrap());
    let stopped = cpio::compress(&archive, 19, &|| false).unwrap_err();
    assert_eq!(stopped.kind(), std::io::ErrorKind::Interrupted);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("initramfs.zst");
    std::fs::write(&file, &packed).unwrap();
    let out = Command::new("zstd").args(["-dc", "-M128MB"]).arg(&file).output();
    let out = out.expect("zstd is needed: apt-get install zstd");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(out.stdout, archive);
}

mod reader {
    use formats::cpio::{self, ReadError};
    use formats::tree::{Kind, Node, Origin, Tree, TreePath};

    const O: Origin = Origin::Fixup("test");

    fn p(s: &str) -> TreePath {
        TreePath::parse(s.as_bytes()).unwrap()
    }

    fn archive() -> Vec<u8> {
        let mut tree = Tree::new(Node::dir(O));
        for (at, kind) in [
            ("init", Kind::File(formats::tree::Content::from_bytes(*b"hello"))),
            ("dev/console", Kind::CharDev { major: 5, minor: 1 }),
            ("link", Kind::Symlink(b"init".to_vec())),
            ("other", Kind::Hardlink(p("init"))),
            ("pipe", Kind::Fifo),
        ] {
            tree.insert(p(at), Node::new(kind, 0o640, O)).unwrap();
        }
        let mut out = Vec::new();
        cpio::write(&tree, 77, &mut out).unwrap();
        out
    }

    #[test]
    fn what_was_written_comes_back() {
        let read = cpio::read(&archive()).unwrap();
        let names: Vec<_> = read.tree.iter().map(|(path, _)| path.to_string()).collect();
        assert_eq!(names, ["", "dev", "dev/console", "init", "link", "other", "pipe"]);
        assert!(read.times.values().all(|time| *time == 77));
        let kind = |at: &str| &read.tree.get(&p(at)).unwrap().kind;
        assert!(matches!(kind("init"), Kind::File(c) if c.to_vec().unwrap() == b"hello"));
        assert!(matches!(kind("other"), Kind::Hardlink(to) if *to == p("init")));
        assert!(matches!(kind("dev/console"), Kind::CharDev { major: 5, minor: 1 }));
        assert!(matches!(kind("link"), Kind::Symlink(to) if to == b"init"));
        assert_eq!(read.tree.get(&p("pipe")).unwrap().mode, 0o640);
        // The kernel takes several archives; the later file wins.
        let twice = cpio::read(&[archive(), archive()].concat()).unwrap();
        assert_eq!(twice.tree.len(), read.tree.len());
    }

    #[test]
    fn damage_is_named_with_its_place() {
        let good = archive();
        let last = good.iter().rposition(|b| *b != 0).unwrap();
        for len in 0..=last {
            assert_eq!(cpio::read(&good[..len]).unwrap_err(), ReadError::CutOff(len));
        }
        let second = 112; // behind the header and name of the root
        let at = |offset, why| ReadError::Damaged { structure: "a header", offset, why };
        for (byte, value, expected) in [
            (0, b'1', ReadError::Magic(0)),
            (second + 5, b'2', ReadError::Magic(second)),
            (second + 10, b'g', at(second, "a number is not one")),
            (second + 18, b'0', at(second, "the type of the file is unknown")),
            (second + 94, b'F', at(second, "the length of the name is impossible")),
            (second + 109, b'1', at(second, "it has a checksum, which this kind has not")),
            (second + 110, 0, at(second, "the name is impossible")),
            (second + 113, b'x', at(second, "the name does not end")),
        ] {
            let mut bad = good.clone();
            bad[byte] = value;
            assert_eq!(cpio::read(&bad).unwrap_err(), expected, "byte {byte}");
        }
    }

    /// `FUZZ_CASES=1000000` for a long run.
    fn cases() -> u32 {
        std::env::var("FUZZ_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(1000)
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(cases()))]
        #[test]
        fn flipped_bytes_never_panic(at in proptest::prelude::any::<proptest::sample::Index>(), flip in 1..=255u8) {
            let mut bad = archive();
            let at = at.index(bad.len());
            bad[at] ^= flip;
            let _ = cpio::read(&bad);
        }
    }
}
