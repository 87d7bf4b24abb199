//! Blocks, holes, fragments, duplicates, and who pays for them.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use formats::squashfs::{BlockCache, Error, NoCache, Options, Plan};
use formats::tree::{Content, Kind, Node, Tree};

use super::judge::{compare, unsquashfs};
use super::{OPTIONS, file, image, noise, package, path, text, tree};

/// What a file costs.
fn cost(stats: &formats::squashfs::Stats, at: &str) -> u64 {
    let at = path(at);
    stats.files.iter().find(|(path, _)| *path == at).unwrap().1
}

#[test]
fn lengths_around_the_block_size() {
    let mut tree = Tree::new(Node::dir(package("a")));
    for len in [0, 1, 2, 4095, 4096, 4097, 8191, 8192, 8193, 12288, 50_000] {
        tree.insert(path(&format!("text{len}")), file(text(len, 5))).unwrap();
        tree.insert(path(&format!("noise{len}")), file(noise(len, 6))).unwrap();
        tree.insert(path(&format!("zero{len}")), file(vec![0; len])).unwrap();
    }
    compare(&tree, &OPTIONS, &image(&tree, &OPTIONS).0);
}

#[test]
fn noise_is_stored_as_it_is_and_holes_are_not_stored() {
    let mut holes = vec![0; 40 * 4096];
    holes[20 * 4096..21 * 4096].copy_from_slice(&noise(4096, 3));
    let tree = tree([
        ("noise", file(noise(10 * 4096, 1))),
        ("holes", file(holes)),
        ("nothing", file(vec![0; 81920])),
    ]);
    let (bytes, stats) = image(&tree, &OPTIONS);
    assert_eq!(cost(&stats, "noise"), 10 * 4096);
    assert_eq!(cost(&stats, "holes"), 4096);
    assert_eq!(cost(&stats, "nothing"), 0);
    compare(&tree, &OPTIONS, &bytes);
}

#[test]
fn content_is_stored_once_and_the_first_file_pays() {
    let content = noise(3 * 4096 + 100, 1);
    let small = noise(77, 2);
    let link = Node::new(Kind::Hardlink(path("b")), 0o644, package("a"));
    let tree = tree([
        ("b", file(content.clone())),
        ("c", file(content.clone())),
        ("d/e", file(content)),
        ("a", link),
        ("x", file(small.clone())),
        ("y", file(small)),
    ]);
    let (bytes, stats) = image(&tree, &OPTIONS);
    let costs: Vec<_> = ["b", "c", "d/e", "a", "x", "y"].iter().map(|at| cost(&stats, at)).collect();
    assert_eq!(costs, [3 * 4096 + 100, 0, 0, 0, 77, 0]);
    assert_eq!((stats.duplicates, stats.duplicate_bytes), (3, 2 * (3 * 4096 + 100) + 77));
    compare(&tree, &OPTIONS, &bytes);
}

#[test]
fn fragments_belong_to_one_origin() {
    let mut tree = Tree::new(Node::dir(package("a")));
    // Interleaved in the tree: three packages, each with less than one block.
    for i in 0..30 {
        let origin = package(["a", "b", "c"][i % 3]);
        tree.insert(path(&format!("f{i:02}")), Node::file(text(100, i as u64), 0o644, origin)).unwrap();
    }
    let (bytes, stats) = image(&tree, &OPTIONS);
    assert_eq!(stats.fragments, 3);
    compare(&tree, &OPTIONS, &bytes);
}

/// Counts entries without keeping them.
struct Count(std::sync::atomic::AtomicUsize);

impl BlockCache for Count {
    fn get(&self, _: &formats::tree::Digest) -> Option<Vec<u8>> {
        None
    }
    fn put(&self, _: &formats::tree::Digest, data: &[u8]) {
        assert!(data.len() < 9 << 20, "an entry of {} bytes", data.len());
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

#[test]
fn a_file_above_4_gib_comes_in_several_entries() {
    let len = (4 << 30) + 4096 + 5;
    let disk = tempfile::tempfile().unwrap();
    disk.set_len(len).unwrap();
    disk.write_all_at(b"first", (1 << 30) - 2).unwrap();
    disk.write_all_at(b"after", 4 << 30).unwrap();
    disk.write_all_at(b"last!", len - 5).unwrap();
    let content = Content::from_file(Arc::new(disk), 0, len, Some([1; 32]));
    let tree = tree([("large", Node::new(Kind::File(content), 0o644, package("a"))), ("next", file("next"))]);
    let options = Options { block_size: 1 << 20, ..OPTIONS };
    let cache = Count(0.into());
    let (bytes, _) = super::write(&tree, &options, &cache).unwrap();
    // 4096 whole blocks, eight to an entry, and one fragment for both tails.
    assert_eq!(cache.0.into_inner(), 4096 / 8 + 1);
    let said = unsquashfs(&["-lln", "-UTC"], &bytes);
    assert!(said.contains("4294971397 2023-11-14 22:13 squashfs-root/large"), "{said}");

    let dir = tempfile::tempdir().unwrap();
    let (image, root) = (dir.path().join("image"), dir.path().join("root"));
    std::fs::write(&image, bytes).unwrap();
    let mut command = std::process::Command::new("unsquashfs");
    let out = command.args(["-quiet", "-no-progress", "-dest"]).args([&root, &image]).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let large = File::open(root.join("large")).unwrap();
    let read = |at: u64, count: usize| {
        let mut buf = vec![0; count];
        large.read_exact_at(&mut buf, at).unwrap();
        buf
    };
    assert_eq!(large.metadata().unwrap().len(), len);
    assert_eq!(read((1 << 30) - 3, 7), b"\0first\0");
    assert_eq!(read((4 << 30) - 1, 7), b"\0after\0");
    assert_eq!(read(len - 6, 6), b"\0last!");
    assert_eq!(std::fs::read(root.join("next")).unwrap(), b"next");
}

#[test]
fn progress_adds_up_to_the_content() {
    let tree = tree([("a", file(text(100_000, 1))), ("b", file(text(5, 1))), ("c", file(text(5, 1)))]);
    let plan = Plan::new(&tree, &OPTIONS).unwrap();
    let done = std::sync::atomic::AtomicU64::new(0);
    let progress = |bytes| {
        done.fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
        std::ops::ControlFlow::Continue(())
    };
    plan.write(&mut std::io::Cursor::new(Vec::new()), &NoCache, &progress).unwrap();
    assert_eq!(plan.content_bytes(), 100_005);
    assert_eq!(done.into_inner(), 100_005);
}

#[test]
fn stops_at_the_next_block() {
    let tree = tree([("a", file(text(40 << 20, 1)))]);
    let options = Options { block_size: 131_072, level: 3, mtime: 5 };
    let plan = Plan::new(&tree, &options).unwrap();
    let blocks = std::sync::atomic::AtomicU64::new(0);
    let progress = |_| match blocks.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
        0..5 => std::ops::ControlFlow::Continue(()),
        _ => std::ops::ControlFlow::Break(()),
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    let error = pool.install(|| plan.write(&mut std::io::Cursor::new(Vec::new()), &NoCache, &progress));
    assert!(matches!(error, Err(Error::Stopped)), "{error:?}");
    // Those that were begun are finished: a few of 320.
    assert!((6..20).contains(&blocks.load(std::sync::atomic::Ordering::Relaxed)), "{blocks:?}");
}
