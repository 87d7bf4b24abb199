//! The same bytes whatever the threads and the cache; what a cache saves.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::sync::{Arc, Mutex};

use formats::squashfs::{BlockCache, Error, NoCache, Options};
use formats::tree::{Content, Digest, Kind, Node, Tree};
use sha2::Digest as _;

use super::kinds::everything;
use super::{OPTIONS, file, image, noise, package, path, text, tree, write};

/// A cache in memory.
#[derive(Default)]
struct Memory(Mutex<BTreeMap<Digest, Vec<u8>>>);

impl BlockCache for Memory {
    fn get(&self, key: &Digest) -> Option<Vec<u8>> {
        self.0.lock().unwrap().get(key).cloned()
    }
    fn put(&self, key: &Digest, data: &[u8]) {
        self.0.lock().unwrap().insert(*key, data.to_vec());
    }
}

impl Memory {
    fn spoil(&self, how: impl Fn(usize, &mut Vec<u8>)) {
        self.0.lock().unwrap().values_mut().enumerate().for_each(|(i, data)| how(i, data));
    }
}

/// Several batches of jobs, several jobs in a file, all sorts of small files.
fn busy() -> Tree {
    let mut tree = everything();
    tree.insert(path("bin/large"), file(text(50 << 20, 9))).unwrap();
    tree.insert(path("bin/noise"), file(noise(3 << 20, 9))).unwrap();
    for i in 0..300 {
        let origin = package(["a", "b", "c"][i % 3]);
        let bytes = text(i * 97, i as u64);
        tree.insert(path(&format!("share/{i}")), Node::file(bytes, 0o644, origin)).unwrap();
    }
    tree
}

#[test]
fn neither_threads_nor_cache_change_a_byte() {
    let tree = busy();
    let options = Options { block_size: 131_072, level: 1, mtime: 5 };
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let with =
        |threads, cache: &dyn BlockCache| pool(threads).install(|| write(&tree, &options, cache).unwrap());
    let (first, plain) = with(1, &NoCache);
    assert!(first == with(2, &NoCache).0, "2 threads");
    assert!(first == with(5, &NoCache).0, "5 threads");

    let cache = Memory::default();
    let (cold, stats) = with(2, &cache);
    assert!(first == cold, "cold cache");
    assert_eq!((stats.cache_hits, stats.cache_misses), (0, plain.cache_misses));
    let (warm, stats) = with(5, &cache);
    assert!(first == warm, "warm cache");
    assert_eq!((stats.cache_hits, stats.cache_misses), (plain.cache_misses, 0));

    let other = cache.0.lock().unwrap().values().next().unwrap().clone();
    cache.spoil(|i, data| match i % 5 {
        0 => data.clear(),
        1 => data[i % 10] ^= 0x40,
        2 => data.truncate(data.len() - 1),
        3 => *data.last_mut().unwrap() ^= 1,
        _ => data.clone_from(&other),
    });
    let (spoiled, stats) = with(2, &cache);
    assert!(first == spoiled, "spoiled cache");
    assert!(stats.cache_hits <= 1, "{} spoiled entries were used", stats.cache_hits);
    assert!(first == with(1, &cache).0, "mended cache");
}

#[test]
fn a_full_cache_needs_no_content() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("content");
    let bytes = text(50_000, 4);
    File::create(&at).unwrap().write_all(&bytes).unwrap();
    let on_disk = || {
        let digest = sha2::Sha256::digest(&bytes).into();
        let content = Content::from_file(Arc::new(File::open(&at).unwrap()), 0, 50_000, Some(digest));
        tree([("usr/f", Node::new(Kind::File(content), 0o644, package("a")))])
    };
    let cache = Memory::default();
    let first = write(&on_disk(), &OPTIONS, &cache).unwrap().0;
    File::create(&at).unwrap().set_len(10).unwrap();
    assert!(first == write(&on_disk(), &OPTIONS, &cache).unwrap().0);

    let error = write(&on_disk(), &OPTIONS, &NoCache).unwrap_err();
    assert!(matches!(&error, Error::Read { path, .. } if *path == super::path("usr/f")), "{error:?}");
    assert_eq!(error.to_string(), "cannot read the content of /usr/f");
}

#[test]
fn settings_have_entries_of_their_own() {
    let tree = tree([("f", file(text(300_000, 1)))]);
    let cache = Memory::default();
    for options in [OPTIONS, Options { level: 4, ..OPTIONS }, Options { block_size: 8192, ..OPTIONS }] {
        let (bytes, stats) = write(&tree, &options, &cache).unwrap();
        assert_eq!(stats.cache_hits, 0);
        assert!(bytes == image(&tree, &options).0);
    }
    // The time is not in the blocks.
    let (_, stats) = write(&tree, &Options { mtime: 9, ..OPTIONS }, &cache).unwrap();
    assert_eq!(stats.cache_misses, 0);
}

#[test]
fn a_new_file_costs_only_the_fragments_of_its_package() {
    let mut tree = busy();
    let cache = Memory::default();
    write(&tree, &OPTIONS, &cache).unwrap();
    tree.insert(path("share/0new"), Node::file(text(50, 1), 0o644, package("new"))).unwrap();
    let (_, stats) = write(&tree, &OPTIONS, &cache).unwrap();
    assert_eq!(stats.cache_misses, 1);
}
