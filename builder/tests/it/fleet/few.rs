//! A few documents that change among many: all others are left alone, and nobody's word is taken for them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::support::Case;

const NOW: u64 = 1_800_000_000;
const SLEDS: usize = 40;
/// The only sled of its rack.
const ALONE: &str = "  alone: {rack: r13, bay: 1, role: compute, board-serial: ZM18AS099999}\n";

/// Inode, time of the last change and bytes of a file.
type File = (u64, (i64, i64), Vec<u8>);

/// All of a directory, by path.
fn files(dir: &Path) -> BTreeMap<String, File> {
    let mut found = BTreeMap::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(at) = todo.pop() {
        for path in fs::read_dir(&at).unwrap().map(|entry| entry.unwrap().path()) {
            let meta = fs::metadata(&path).unwrap();
            if meta.is_dir() {
                todo.push(path);
                continue;
            }
            let changed = (meta.ctime(), meta.ctime_nsec());
            let name = path.strip_prefix(dir).unwrap().display().to_string();
            found.insert(name, (meta.ino(), changed, fs::read(&path).unwrap()));
        }
    }
    found
}

fn bytes(case: &Case) -> BTreeMap<String, Vec<u8>> {
    files(&case.path("www/v1")).into_iter().map(|(path, (.., bytes))| (path, bytes)).collect()
}

/// Compiled, and all of it known: 104 bytes of each document, 56 of each of as many scripts.
fn settled() -> Case {
    let case = Case::new();
    case.grow(SLEDS);
    case.edit(
        "racks:\n",
        "racks:\n  r13: {bays: 2, subnets: {data: {network: 10.1.0.0/16, first: 10.1.1.11}}}\n",
    );
    case.edit("  # a comment that stays\n", ALONE);
    let start = Instant::now();
    let known = || fs::metadata(case.path("www/.compiled")).map_or(0, |meta| meta.len());
    while known() < u64::try_from(88 + (SLEDS + 1) * (104 + 56)).unwrap() {
        case.compile(NOW, &[]);
        assert!(start.elapsed() < Duration::from_secs(60), "{} bytes are known", known());
    }
    case
}

#[test]
fn one_sled_that_changes_leaves_all_others_alone() {
    let case = settled();
    let top = |case: &Case| fs::metadata(case.path("www/v1")).unwrap().ino();
    let (first, inode) = (files(&case.path("www/v1")), top(&case));
    case.edit("config: {}", "config: {networks: {data: {mtu: 8900}}}");
    let says = case.compile(NOW + 1, &[]);
    assert!(says.contains("1 documents new, 40 as they were; 8 files written"), "{says}");
    let second = files(&case.path("www/v1"));
    let differ: Vec<_> =
        second.iter().filter(|(path, at)| first.get(*path) != Some(*at)).map(|(p, _)| p).collect();
    let own = ["fleet.json", "location/r12/2.json", "Ethernet2.json", "ZM18AS036102.json"];
    assert!(differ.iter().all(|path| own.iter().any(|own| path.contains(own))), "{differ:?}");
    assert_eq!((differ.len(), top(&case)), (8, inode), "{differ:?}");
    assert_eq!(
        second["board/ZM18AS036102.json"].0, second["location/r12/2.json"].0,
        "one document is one file"
    );
    // As one who knows nothing would have made it.
    let fast = bytes(&case);
    fs::remove_file(case.path("www/.compiled")).unwrap();
    let says = case.compile(NOW + 1, &[]);
    assert!(says.contains("0 documents new, 41 as they were; 0 files written"), "{says}");
    assert!(bytes(&case) == fast);
    assert_eq!(fs::metadata(case.path("www/.compiled")).unwrap().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(case.path("www")).unwrap().count(), 2, "nothing half-made is left");

    // Who goes takes its files along, and their directories.
    case.edit(ALONE, "");
    let says = case.compile(NOW + 2, &[]);
    assert!(
        says.contains("0 documents new, 40 as they were; 2 files written") && says.contains("4 removed"),
        "{says}"
    );
    assert!(!case.path("www/v1/location/r13").exists());
    assert_eq!((bytes(&case).len(), top(&case)), (fast.len() - 4, inode));
}

#[test]
fn a_file_that_somebody_changed_is_mended_whatever_is_known() {
    let case = settled();
    let good = bytes(&case);
    let document = case.path("www/v1/location/r12/7.json");
    let before = fs::metadata(&document).unwrap();
    // Of the same length, with the time that it had, in the same file.
    let other = fs::read_to_string(&document).unwrap().replace("\"mtu\":9000", "\"mtu\":1280");
    assert_ne!(other.as_bytes(), good["location/r12/7.json"]);
    fs::write(&document, &other).unwrap();
    fs::File::options()
        .write(true)
        .open(&document)
        .unwrap()
        .set_modified(before.modified().unwrap())
        .unwrap();
    let after = fs::metadata(&document).unwrap();
    assert_eq!((after.ino(), after.len(), after.mtime()), (before.ino(), before.len(), before.mtime()));
    case.compile(NOW + 1, &[]);
    let now = bytes(&case);
    let text = String::from_utf8(now["location/r12/7.json"].clone()).unwrap();
    assert!(text.contains("\"mtu\":9000"), "{text}");
    assert_eq!(now["location/r12/8.json"], good["location/r12/8.json"]);

    // A name elsewhere, by which it could be changed unseen: it is read.
    fs::hard_link(&document, case.path("elsewhere")).unwrap();
    fs::write(case.path("www/.compiled"), b"lies").unwrap();
    let says = case.compile(NOW + 1, &[]);
    assert!(says.contains("0 documents new, 41 as they were; 0 files written"), "{says}");
    // A list of sleds that does not read is nobody's to forget.
    fs::write(case.path("www/v1/fleet.json"), b"").unwrap();
    let compile = ["fleet", "compile", "--key", "ops.key", "--output", "www"];
    case.fails(&compile, 3, "v1/fleet.json in the output directory is no list of sleds");
}
