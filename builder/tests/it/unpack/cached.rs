//! The cache of unpacked packages: used when good, made again when not.

use std::fs;
use std::ops::ControlFlow;
use std::sync::Arc;

use formats::tree::Kind;
use sledos::lock::model::Package as Locked;
use sledos::unpack;

use crate::unpack::support::*;

fn sample(bench: &Bench) -> Locked {
    let big: Vec<u8> = (0..400_000u32).map(|n| n.to_le_bytes()[1]).collect();
    bench.deb("a", "", |root| {
        write(root, "usr/big", &big);
        write(root, "usr/small", b"small");
        write(root, "usr/empty", b"");
    })
}

/// Opens as a later build would, and checks every file against its digest.
/// Returns whether the package was cached and how much was damaged.
fn later_build(bench: &Bench, locked: &Locked) -> (bool, u64) {
    let cache = bench.reopen();
    let packages =
        unpack::packages(&cache, std::slice::from_ref(locked), &|_, _| ControlFlow::Continue(())).unwrap();
    let was_cached = packages[0].archive.was_cached;
    let tree = unpack::merge::merge(&packages, &ids(), &|_| true).unwrap();
    assert_eq!(listing(&tree).len(), 12);
    let stats = cache.stats();
    assert_eq!(stats.unpacked_hits, u64::from(was_cached));
    (was_cached, stats.damaged)
}

fn entry(bench: &Bench, end: &str) -> std::path::PathBuf {
    let dir = bench.cache.dir().join("unpacked");
    let mut found = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    found.find(|p| p.to_string_lossy().ends_with(end)).unwrap()
}

#[test]
fn the_second_build_does_not_need_the_package() {
    let bench = Bench::new();
    let locked = sample(&bench);
    assert_eq!(later_build(&bench, &locked), (false, 0));
    fs::remove_file(bench.cache.deb_path(&locked.sha256)).unwrap();
    assert_eq!(later_build(&bench, &locked), (true, 0));
}

#[test]
fn a_damaged_or_missing_index_is_made_again() {
    let bench = Bench::new();
    let locked = sample(&bench);
    later_build(&bench, &locked);
    let index = entry(&bench, ".index");
    let good = fs::read(&index).unwrap();
    for i in (0..good.len()).step_by(7) {
        let mut bad = good.clone();
        bad[i] ^= 0x80;
        fs::write(&index, bad).unwrap();
        assert_eq!(later_build(&bench, &locked), (false, 1), "{i}");
        assert!(fs::read(&index).unwrap() == good);
    }
    fs::remove_file(&index).unwrap();
    assert_eq!(later_build(&bench, &locked), (false, 0));
}

#[test]
fn damaged_data_is_found_when_read_and_repaired() {
    let bench = Bench::new();
    let locked = sample(&bench);
    later_build(&bench, &locked);
    let data = entry(&bench, ".data");
    let good = fs::read(&data).unwrap();
    for i in [0, 1, 131_071, 131_072, 200_000, 399_999, good.len() - 1] {
        let mut bad = good.clone();
        bad[i] ^= 1;
        fs::write(&data, bad).unwrap();
        assert_eq!(later_build(&bench, &locked), (true, 1), "{i}");
        assert!(fs::read(&data).unwrap() == good, "{i}");
    }
    // A wrong length is found without reading.
    fs::write(&data, &good[..good.len() - 1]).unwrap();
    assert_eq!(later_build(&bench, &locked), (false, 1));
}

#[test]
fn data_damaged_beyond_repair_is_an_error_not_wrong_bytes() {
    let bench = Bench::new();
    let locked = sample(&bench);
    later_build(&bench, &locked);
    let data = entry(&bench, ".data");
    let mut bad = fs::read(&data).unwrap();
    bad[5] ^= 1;
    fs::write(&data, bad).unwrap();
    fs::remove_file(bench.cache.deb_path(&locked.sha256)).unwrap();
    let packages = bench.open(&[locked]).unwrap();
    let content = packages[0].archive.file(&p("usr/big")).unwrap();
    let error = content.to_vec().unwrap_err();
    let text = error.to_string();
    assert!(text.contains(data.to_str().unwrap()) && text.contains("damaged"), "{text}");
    assert_eq!(packages[0].archive.file(&p("usr/small")).unwrap().to_vec().unwrap(), b"small");
}

#[test]
fn reads_at_any_place_give_the_right_bytes() {
    let bench = Bench::new();
    let locked = sample(&bench);
    let packages = bench.open(&[locked]).unwrap();
    let content = packages[0].archive.file(&p("usr/big")).unwrap();
    let whole = content.to_vec().unwrap();
    for (from, to) in
        [(0, 1), (131_071, 131_073), (1, 399_999), (131_072, 262_144), (399_999, 400_000), (5, 5)]
    {
        let mut buf = vec![0; to - from];
        content.read_exact_at(&mut buf, from as u64).unwrap();
        assert!(buf == whole[from..to], "{from}..{to}");
    }
    assert!(content.read_exact_at(&mut [0; 2], 399_999).is_err());
}

#[test]
fn several_builds_at_once_share_a_cache() {
    let bench = Bench::new();
    let all: Vec<_> =
        (0..8).map(|n| bench.deb(&format!("p{n}"), "", |r| drop(write(r, &format!("f{n}"), b"x")))).collect();
    let trees: Vec<_> = std::thread::scope(|scope| {
        let builds: Vec<_> = (0..6)
            .map(|_| {
                scope.spawn(|| {
                    let cache = bench.reopen();
                    let packages = unpack::packages(&cache, &all, &|_, _| ControlFlow::Continue(())).unwrap();
                    listing(&unpack::merge::merge(&packages, &ids(), &|_| true).unwrap())
                })
            })
            .collect();
        builds.into_iter().map(|b| b.join().unwrap()).collect()
    });
    assert!(trees.iter().all(|t| *t == trees[0] && t.len() == 17), "{trees:?}");
    let left = fs::read_dir(bench.cache.dir().join("tmp")).unwrap().count();
    assert_eq!(left, 0);
}

#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let bench = Bench::new();
    let locked = sample(&bench);
    fs::remove_dir_all(bench.cache.dir().join("unpacked")).unwrap();
    let error = bench.open(&[locked]).unwrap_err();
    assert!(matches!(&error, unpack::Error::Cache { dir, .. } if dir == bench.cache.dir()), "{error}");
}

#[test]
fn packages_come_back_in_the_order_of_the_lock_whatever_their_size() {
    let bench = Bench::new();
    let sizes = [10usize, 90_000, 5, 40_000];
    let all: Vec<_> = sizes
        .iter()
        .map(|n| {
            bench.deb_with(&["-Znone"], &format!("p{n}"), "", |r| {
                drop(write(r, &format!("f{n}"), &vec![7; *n]))
            })
        })
        .collect();
    let seen = std::sync::Mutex::new(0);
    let packages = unpack::packages(&bench.cache, &all, &|_, cached| {
        assert!(!cached);
        *seen.lock().unwrap() += 1;
        ControlFlow::Continue(())
    })
    .unwrap();
    let names: Vec<_> = packages.iter().map(|p| Arc::clone(&p.name)).collect();
    assert_eq!(names.iter().map(|n| &**n).collect::<Vec<_>>(), ["p10", "p90000", "p5", "p40000"]);
    assert_eq!(*seen.lock().unwrap(), 4);
    let file = packages[0].archive.file(&p("f10"));
    assert!(file.is_some_and(|c| matches!(Kind::File(c), Kind::File(c) if c.len() == 10)));
}
