//! Mirrors that fail in every way, and the second one that does not.

use std::fs;
use std::time::Duration;

use sledos::apt::fetch::{Client, DebCache, Error, LockedFetcher, Patience, Problem, Silent};
use sledos::apt::sources::Mirrors;
use sledos::lock::Lock;
use sledos::lock::model::{Package, Release};
use tempfile::TempDir;

use crate::apt::recipe::recipe;
use crate::apt::repo::{Repo, deb_of, file_name, small};
use crate::apt::server::{Manner, Server, refused};

/// Short, so that a hang is noticed soon; nothing depends on how soon.
const PATIENCE: Patience = Patience { connect: Duration::from_secs(5), stall: Duration::from_millis(300) };

fn lock_of(repo: &Repo, names: &[&str]) -> Lock {
    let packages = names.iter().map(|name| {
        let deb = deb_of(repo, name);
        let bytes = fs::read(&deb).unwrap();
        Package {
            name: (*name).to_owned(),
            version: "1".into(),
            arch: "all".into(),
            sha256: sledos::digest::sha256(&bytes),
            size: bytes.len().try_into().unwrap(),
            release: 0,
            path: format!("pool/{}", file_name(&deb)),
            because: vec!["recipe".into()],
        }
    });
    Lock {
        timestamp: 0,
        request: [0; 32],
        asked: vec![],
        releases: vec![Release {
            archive: "debian".into(),
            suite: "bookworm".into(),
            date: 0,
            sha256: [0; 32],
            signed_by: String::new(),
        }],
        packages: packages.collect(),
        extensions: Default::default(),
        unreviewed: Default::default(),
    }
}

fn fetch(lock: &Lock, mirrors: &[String], cache: &TempDir) -> Result<Vec<std::path::PathBuf>, Error> {
    let recipe = recipe(cache.path(), cache.path(), &[]);
    let mirrors = Mirrors::choose(&recipe, &[], mirrors).unwrap();
    let client = Client::new(PATIENCE);
    let debs = DebCache::open(cache.path()).unwrap();
    LockedFetcher::new(&client, &debs, &mirrors, lock).fetch(&Silent)
}

/// The problem of a fetch of `curl` from a mirror of this manner alone.
fn problem(repo: &Repo, manner: Manner) -> Problem {
    let server = Server::start(repo.dir.path(), move |_| manner);
    let error =
        fetch(&lock_of(repo, &["curl"]), &[server.url.clone()], &TempDir::new().unwrap()).unwrap_err();
    let Error::Mirrors { mut attempts, .. } = error else { panic!("{error}") };
    assert!(attempts[0].url.starts_with(&server.url));
    attempts.pop().unwrap().problem
}

#[test]
fn a_mirror_that_worked_and_cannot_be_reached_once_is_asked_again() {
    let repo = small();
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let server = Server::start(repo.dir.path(), move |path| match path.contains("curl") {
        true if asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 => Manner::HangUp,
        _ => Manner::Good,
    });
    let cache = TempDir::new().unwrap();
    let recipe = recipe(cache.path(), cache.path(), &[]);
    let mirrors = Mirrors::choose(&recipe, &[], std::slice::from_ref(&server.url)).unwrap();
    let debs = DebCache::open(cache.path()).unwrap();
    for name in ["base", "curl"] {
        // A client of its own, so that no connection is left over from the last.
        LockedFetcher::new(&Client::new(PATIENCE), &debs, &mirrors, &lock_of(&repo, &[name]))
            .fetch(&Silent)
            .unwrap();
    }
    assert_eq!(server.requests().iter().filter(|path| path.contains("curl")).count(), 2);
    // Alone, it is a mirror that cannot be reached.
    assert!(matches!(problem(&repo, Manner::HangUp), Problem::Connect(_)));
}

#[test]
fn every_failure_has_its_name() {
    let repo = small();
    assert!(matches!(problem(&repo, Manner::Half), Problem::Truncated { got, wanted } if got < wanted));
    assert!(matches!(problem(&repo, Manner::HangHalfWay), Problem::Stalled));
    assert!(matches!(problem(&repo, Manner::Silent), Problem::Stalled));
    assert!(matches!(problem(&repo, Manner::Wrong), Problem::WrongHash));
    assert!(matches!(problem(&repo, Manner::Endless), Problem::TooLarge { .. }));
    assert!(matches!(problem(&repo, Manner::Status(503)), Problem::Status(503)));
    assert!(matches!(problem(&repo, Manner::Status(404)), Problem::NotFound));
}

#[test]
fn a_404_for_a_locked_deb_says_to_lock_again() {
    let repo = small();
    let lock = lock_of(&repo, &["curl"]);
    fs::remove_file(deb_of(&repo, "curl")).unwrap();
    let server = Server::start(repo.dir.path(), |_| Manner::Good);
    let error = fetch(&lock, &[server.url.clone(), repo.url()], &TempDir::new().unwrap()).unwrap_err();
    let text = error.to_string();
    let Error::Mirrors { attempts, .. } = error else { panic!("{text}") };
    assert!(attempts.iter().all(|a| matches!(a.problem, Problem::NotFound)) && attempts.len() == 2);
    assert!(text.contains("lock again") && text.contains(&server.url), "{text}");
}

#[test]
fn the_second_mirror_helps_whatever_the_first_does() {
    let repo = small();
    let lock = lock_of(&repo, &["base", "curl", "libssl"]);
    let good = Server::start(repo.dir.path(), |_| Manner::Good);
    for manner in [
        Manner::Half,
        Manner::HangHalfWay,
        Manner::Silent,
        Manner::Wrong,
        Manner::Endless,
        Manner::Status(404),
        Manner::Status(500),
    ] {
        let bad = Server::start(repo.dir.path(), move |_| manner);
        let cache = TempDir::new().unwrap();
        let files = fetch(&lock, &[bad.url.clone(), good.url.clone()], &cache).unwrap();
        for (file, package) in files.iter().zip(&lock.packages) {
            assert_eq!(fs::read(file).unwrap(), fs::read(repo.path(&package.path)).unwrap(), "{manner:?}");
        }
        let left = fs::read_dir(cache.path().join("debs")).unwrap();
        let parts = left.filter(|e| file_name(&e.as_ref().unwrap().path()).ends_with(".part")).count();
        assert_eq!(parts, 0, "{manner:?}");
    }
    let files = fetch(&lock, &[refused(), good.url.clone()], &TempDir::new().unwrap()).unwrap();
    assert_eq!(files.len(), 3);
}

#[test]
fn what_came_before_a_hang_is_not_fetched_again() {
    let repo = small();
    let lock = lock_of(&repo, &["curl"]);
    let (path, size) = (&lock.packages[0].path, lock.packages[0].size);
    let bad = Server::start(repo.dir.path(), |_| Manner::HangHalfWay);
    let good = Server::start(repo.dir.path(), |_| Manner::Good);
    fetch(&lock, &[bad.url.clone(), good.url.clone()], &TempDir::new().unwrap()).unwrap();
    assert_eq!(good.requests(), [format!("/{path}@{}", size / 2)]);
}

#[test]
fn a_mirror_that_cannot_continue_starts_over() {
    let repo = small();
    let lock = lock_of(&repo, &["curl"]);
    let cache = TempDir::new().unwrap();
    let bad = Server::start(repo.dir.path(), |_| Manner::Half);
    assert!(fetch(&lock, &[bad.url.clone()], &cache).is_err());
    let good = Server::start(repo.dir.path(), |_| Manner::NoRanges);
    let files = fetch(&lock, &[good.url.clone()], &cache).unwrap();
    assert_eq!(fs::read(&files[0]).unwrap(), fs::read(deb_of(&repo, "curl")).unwrap());
    assert_eq!(good.requests().len(), 2);
}

#[test]
fn the_cache_is_used_and_a_damaged_file_in_it_replaced() {
    let repo = small();
    let lock = lock_of(&repo, &["base", "curl"]);
    let cache = TempDir::new().unwrap();
    let server = Server::start(repo.dir.path(), |_| Manner::Good);
    let files = fetch(&lock, &[server.url.clone()], &cache).unwrap();
    fetch(&lock, &[server.url.clone()], &cache).unwrap();
    assert_eq!(server.requests().len(), 2, "all was there");
    let mut bytes = fs::read(&files[1]).unwrap();
    bytes[1000] ^= 0x40;
    fs::write(&files[1], &bytes).unwrap();
    fetch(&lock, &[server.url.clone()], &cache).unwrap();
    assert_eq!(server.requests().len(), 3);
    assert_eq!(fs::read(&files[1]).unwrap(), fs::read(deb_of(&repo, "curl")).unwrap());
}

#[test]
fn two_at_once_fetch_a_file_once() {
    let repo = small();
    let lock = lock_of(&repo, &["base", "curl", "libssl"]);
    let cache = TempDir::new().unwrap();
    let server = Server::start(repo.dir.path(), |_| Manner::Good);
    let urls = [server.url.clone()];
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| fetch(&lock, &urls, &cache).unwrap());
        }
    });
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn a_mirror_that_stumbles_once_is_asked_again() {
    let repo = small();
    let lock = lock_of(&repo, &["curl"]);
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let server = Server::start(repo.dir.path(), move |_| {
        match asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => Manner::HangHalfWay,
            _ => Manner::Good,
        }
    });
    fetch(&lock, &[server.url.clone()], &TempDir::new().unwrap()).unwrap();
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_cache_that_cannot_be_written_is_no_mirrors_fault() {
    let repo = small();
    let lock = lock_of(&repo, &["curl"]);
    let cache = TempDir::new().unwrap();
    let file = DebCache::open(cache.path()).unwrap().path(&lock.packages[0].sha256);
    fs::create_dir(file.with_extension("part")).unwrap();
    let error = fetch(&lock, &[repo.url()], &cache).unwrap_err();
    assert!(matches!(error, Error::Cache { .. }), "{error}");
}
