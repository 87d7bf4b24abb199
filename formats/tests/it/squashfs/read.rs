//! The reader: it reads what the writer wrote, and damage never makes it panic.

use std::sync::Arc;

use formats::squashfs::{Image, Listing, ReadError};
use formats::tree::ReadAt;
use proptest::prelude::*;

use super::*;

#[derive(Debug)]
struct Bytes(Vec<u8>);

impl ReadAt for Bytes {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
        let from = usize::try_from(offset).unwrap();
        buf.copy_from_slice(self.0.get(from..from + buf.len()).ok_or(std::io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

fn open(bytes: &[u8]) -> Result<Listing, ReadError> {
    let size = bytes.len() as u64;
    Image::open(Arc::new(Bytes(bytes.to_vec())), size)?.listing()
}

/// Reads all there is.
fn exhaust(bytes: &[u8]) -> Result<(), String> {
    let listing = open(bytes).map_err(|e| e.to_string())?;
    for (_, node) in listing.tree.iter() {
        if let Kind::File(content) = &node.kind {
            content.digest().map_err(|e| e.to_string())?;
        }
    }
    Ok(())
}

/// One of everything.
fn zoo() -> Tree {
    let mut many: Vec<(&'static str, Node)> = vec![
        ("empty", file([])),
        ("small", file(*b"hello")),
        ("large", file(noise(50_000, 1))),
        ("soft", file(text(30_000, 2))),
        ("exact", file(noise(8192, 3))),
        ("hole", file([vec![0; 8192], text(5000, 4)].concat())),
        ("copy", file(text(30_000, 2))),
        ("link", node(Kind::Symlink(b"dir/large".to_vec()))),
        ("hard", node(Kind::Hardlink(path("large")))),
        ("dir/deep/deeper/x", file(*b"x")),
        ("char", node(Kind::CharDev { major: 5, minor: 0x12345 })),
        ("block", node(Kind::BlockDev { major: 259, minor: 7 })),
        ("pipe", node(Kind::Fifo)),
    ];
    let mut ping = file(*b"ping");
    ping.xattrs = xattrs(&[("security.capability", &[1, 2, 3]), ("user.x", b"y")]);
    (ping.mode, ping.uid, ping.gid) = (0o4755, 7, 70_000);
    many.push(("ping", ping));
    let mut tree = tree(many);
    for i in 0..700 {
        tree.insert(path(&format!("many/{i:04}")), file(format!("{i}"))).unwrap();
    }
    tree
}

#[test]
fn what_was_written_comes_back() {
    let tree = zoo();
    let (bytes, stats) = image(&tree, &OPTIONS);
    let read = open(&bytes).unwrap();
    assert!(read.odd_times.is_empty(), "{:?}", read.odd_times);
    assert_eq!(read.tree.len(), tree.len());
    for (at, ours) in tree.iter() {
        let theirs = read.tree.get(at).unwrap_or_else(|| panic!("no /{at}"));
        // A link has what its file has, whatever its own node says.
        let ours = if let Kind::Hardlink(to) = &ours.kind { tree.get(to).unwrap() } else { ours };
        assert_eq!(
            (ours.mode, ours.uid, ours.gid, &ours.xattrs),
            (theirs.mode, theirs.uid, theirs.gid, &theirs.xattrs),
            "{at}"
        );
        match (&ours.kind, &theirs.kind) {
            (Kind::File(a), Kind::File(b)) => {
                assert_eq!(a.to_vec().unwrap(), b.to_vec().unwrap(), "{at}");
                // Pieces that start and end anywhere.
                for (from, len) in [(1, 3), (4095, 2), (8000, 9000)] {
                    let mut piece = vec![0; len];
                    if from + len as u64 <= b.len() {
                        b.read_exact_at(&mut piece, from).unwrap();
                        let from = usize::try_from(from).unwrap();
                        assert_eq!(piece, a.to_vec().unwrap()[from..from + len], "{at}");
                    }
                }
            }
            // Which name of a file is the link to the other is the reader's choice.
            (Kind::File(_), _) if ["hard", "large"].contains(&&*at.to_string()) => {}
            (a, b) => assert_eq!(format!("{a:?}"), format!("{b:?}"), "{at}"),
        }
    }
    let real = |name: &str| match &read.tree.get(&path(name)).unwrap().kind {
        Kind::Hardlink(to) => (true, read.tree.get(to).unwrap().kind.clone()),
        other => (false, other.clone()),
    };
    let (hard, large) = (real("hard"), real("large"));
    assert!(hard.0 != large.0, "one of them is a link to the other");
    for (_, kind) in [hard, large] {
        assert!(matches!(kind, Kind::File(content) if content.to_vec().unwrap() == noise(50_000, 1)));
    }
    // Extents cover all content that is stored, and nothing else.
    let mut places: Vec<_> = read.extents.iter().map(|e| (e.start, e.len)).collect();
    places.dedup();
    let stored: u64 = places.iter().map(|(_, len)| len).sum();
    assert_eq!(stored + stats.metadata, stats.bytes);
}

#[test]
fn every_cut_is_found() {
    let (bytes, _) = image(&zoo(), &OPTIONS);
    let used = usize::try_from(u64::from_le_bytes(bytes[40..48].try_into().unwrap())).unwrap();
    for len in (0..96).chain((96..used).step_by(997)).chain([used - 1]) {
        let error = open(&bytes[..len]).unwrap_err();
        let short = matches!(error, ReadError::NotSquashfs(_) if len < 96)
            || matches!(error, ReadError::Damaged { structure: "the superblock", offset: 0, why } if why.contains("cut off"));
        assert!(short, "{len}: {error}");
    }
    open(&bytes[..used]).unwrap();
}

#[test]
fn one_wrong_field_one_error() {
    let (good, _) = image(&zoo(), &OPTIONS);
    let field =
        |at: usize| usize::try_from(u64::from_le_bytes(good[at..at + 8].try_into().unwrap())).unwrap();
    let (ids, xattrs, inodes, dirs, fragments, exports) =
        (field(48), field(56), field(64), field(72), field(80), field(88));
    for (at, byte, expected) in [
        (0, b'H', "there is none: the magic number"),
        (20, 1, "compression 1 is not supported, only zstd (6)"),
        (28, 3, "is not supported, only 4.0"),
        (13, 0x20, "the block size and its logarithm disagree"),
        (12, 1, "the block size is impossible"),
        (26, 0, "no inodes or no owners"),
        (34, 0xff, "the inode table at byte"),
        (47, 1, "it was cut off"),
        (55, 1, "a table lies outside of its place"),
        (71, 1, "a table lies outside of its place"),
        (ids + 7, 1, "the table of owners at byte"),
        (xattrs + 7, 1, "the table of xattrs at byte"),
        (inodes + 1, 0x7f, "the inode table at byte"),
        (dirs + 1, 0x7f, "the directory table at byte"),
        (fragments + 7, 1, "the table of fragments at byte"),
        (exports + 7, 1, "the table of inode references at byte"),
    ] {
        let mut bad = good.clone();
        assert_ne!(bad[at], byte, "byte {at}");
        bad[at] = byte;
        let error = exhaust(&bad).expect_err(expected);
        assert!(error.contains(expected), "byte {at}: {error}");
    }
}

#[test]
fn a_damaged_block_is_named() {
    let tree = tree([("a", file(text(9000, 1)))]);
    let (mut bytes, _) = image(&tree, &OPTIONS);
    let start = open(&bytes).unwrap().extents[0].start;
    let at = usize::try_from(start).unwrap();
    bytes[at..at + 4].fill(0); // zstd's magic number
    let error = exhaust(&bytes).unwrap_err();
    assert_eq!(error, format!("squashfs: a data block at byte {start} is damaged: it does not unpack"));
}

/// `FUZZ_CASES=1000000` for a long run.
fn cases() -> u32 {
    std::env::var("FUZZ_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(1000)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]
    #[test]
    fn flipped_bytes_never_panic(flips in prop::collection::vec((any::<prop::sample::Index>(), 1..=255u8), 1..4), metadata in any::<bool>()) {
        static GOOD: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
        let mut bytes = GOOD.get_or_init(|| image(&zoo(), &OPTIONS).0).clone();
        let inodes = usize::try_from(u64::from_le_bytes(bytes[64..72].try_into().unwrap())).unwrap();
        for (at, flip) in flips {
            let at = if metadata { inodes + at.index(bytes.len() - inodes) } else { at.index(bytes.len()) };
            bytes[at] ^= flip;
        }
        let _ = exhaust(&bytes);
    }
}
