//! From a recipe to a lock file, end to end.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use sledos::apt::fetch::{self, Patience, Problem, Silent};
use sledos::apt::release::{self, Clock};
use sledos::apt::{LockRequest, archive, lock_recipe};
use sledos::lock::{Error, Lock, path_of};
use sledos::recipe::model::{Component, Extension, Recipe, Repository};
use tempfile::TempDir;

use crate::apt::recipe::recipe;
use crate::apt::repo::{Key, NOW, Repo, small};
use crate::apt::server::{Manner, Server};

fn lock(recipe: &Recipe, mirrors: &[String], cache: &Path) -> Result<Lock, Error> {
    let request = LockRequest {
        recipe,
        mirrors,
        etc_apt: Path::new("/nonexistent"),
        cache,
        clock: Clock { now: NOW, archived: false },
        patience: Patience::default(),
        output: None,
        needs: &[],
    };
    lock_recipe(&request, &Silent).map(|(lock, _)| lock)
}

#[test]
fn a_recipe_becomes_a_lock_file() {
    let (repo, dir) = (small(), TempDir::new().unwrap());
    let recipe = recipe(dir.path(), &repo.keyring(), &["curl"]);
    let made = lock(&recipe, &[repo.url()], dir.path()).unwrap();
    let because: Vec<(&str, String)> =
        made.packages.iter().map(|p| (p.name.as_str(), p.because.join(" "))).collect();
    let expected = [
        ("base", "essential"),
        ("curl", "recipe"),
        ("libssl", "recipe curl"),
        ("linux-image-amd64", "kernel"),
    ];
    assert_eq!(because, expected.map(|(name, why)| (name, why.to_owned())));
    assert_eq!(made.timestamp, 1_740_787_200);
    assert_eq!(made.releases[0].signed_by, repo.key.fingerprint);
    let unreviewed =
        BTreeMap::from([("libssl".into(), "postinst 2: adduser --system ssl; runs adduser".into())]);
    assert_eq!(made.unreviewed, unreviewed);
    assert_eq!(Lock::read(&path_of(&recipe)).unwrap(), made);
    // The same again is the same file.
    let before = fs::read(path_of(&recipe)).unwrap();
    lock(&recipe, &[repo.url()], TempDir::new().unwrap().path()).unwrap();
    assert_eq!(fs::read(path_of(&recipe)).unwrap(), before);
}

#[test]
fn an_extension_has_what_the_image_has_not_and_fits_its_versions() {
    let mut repo = Repo::new();
    repo.add("base", "1.0", "Essential: yes\n", "");
    repo.add("curl", "7.88", "Depends: libssl (= 3.0)\n", "");
    repo.add("libssl", "3.0", "", "");
    repo.add("libssl", "3.1", "", "");
    repo.add("tool", "1", "Depends: libssl, libtool\n", "#!/bin/sh\nadduser --system tool\n");
    repo.add("libtool", "1", "", "");
    repo.add("newer", "1", "Depends: libssl (>= 3.1)\n", "");
    repo.add("linux-image-amd64", "6.1", "", "");
    repo.publish("bookworm");
    let dir = TempDir::new().unwrap();
    let plain = recipe(dir.path(), &repo.keyring(), &["curl"]);
    let without = lock(&plain, &[repo.url()], dir.path()).unwrap();
    let with = |packages: &[&str]| {
        let packages = packages.iter().map(|name| (*name).to_owned()).collect();
        let extension = Extension { description: String::new(), packages };
        Recipe { extensions: [("debug".to_owned(), extension)].into(), ..plain.clone() }
    };
    let recipe = with(&["tool", "curl"]);
    assert!(matches!(without.is_current_for(&recipe), Err(Error::Stale { added, .. }) if added == ["tool"]));
    let made = lock(&recipe, &[repo.url()], dir.path()).unwrap();
    // The image is what it is without; libssl is not there twice, nor in the newest version.
    assert_eq!(made.packages, without.packages);
    let of_extension: Vec<(&str, String)> =
        made.extensions["debug"].iter().map(|p| (p.name.as_str(), p.because.join(" "))).collect();
    assert_eq!(of_extension, [("libtool", "recipe tool".to_owned()), ("tool", "recipe".to_owned())]);
    assert!(made.unreviewed.contains_key("tool"), "{:?}", made.unreviewed);
    assert_eq!(Lock::read(&path_of(&recipe)).unwrap(), made);
    assert!(made.is_current_for(&plain).is_err());

    let error = lock(&with(&["newer"]), &[repo.url()], dir.path()).unwrap_err();
    assert_eq!(error.to_string(), "the extension debug does not fit the image");
    let why = std::error::Error::source(&error).unwrap().to_string();
    assert!(why.contains("libssl"), "{why}");
}

#[test]
fn a_reviewed_script_is_not_listed() {
    let (repo, dir) = (small(), TempDir::new().unwrap());
    let mut recipe = recipe(dir.path(), &repo.keyring(), &["curl"]);
    recipe.reviewed_scripts.insert("libssl".into(), "users come from the recipe".into());
    assert_eq!(lock(&recipe, &[repo.url()], dir.path()).unwrap().unreviewed, BTreeMap::new());
}

#[test]
fn a_stale_lock_says_what_changed() {
    let (repo, dir) = (small(), TempDir::new().unwrap());
    let mut recipe = recipe(dir.path(), &repo.keyring(), &["curl"]);
    let made = lock(&recipe, &[repo.url()], dir.path()).unwrap();
    made.is_current_for(&recipe).unwrap();
    recipe.reviewed_scripts.insert("libssl".into(), "no new packages by this".into());
    made.is_current_for(&recipe).unwrap();
    recipe.packages = ["libssl".to_owned()].into();
    match made.is_current_for(&recipe) {
        Err(Error::Stale { added, removed }) => {
            assert_eq!((added, removed), (vec!["libssl".into()], vec!["curl".into()]))
        }
        other => panic!("{other:?}"),
    }
    recipe.packages = ["curl".to_owned()].into();
    recipe.debian.recommends = true;
    assert!(matches!(made.is_current_for(&recipe), Err(Error::Stale { .. })));
}

#[test]
fn a_missing_and_a_corrupt_lock() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("x.lock");
    assert!(matches!(Lock::read(&file), Err(Error::Missing { .. })));
    fs::write(&file, "format: 1\nwhat: else\n").unwrap();
    assert!(matches!(Lock::read(&file), Err(Error::Corrupt { .. })));
    fs::write(&file, [0xff]).unwrap();
    assert!(matches!(Lock::read(&file), Err(Error::Corrupt { .. })));
}

#[test]
fn an_inrelease_of_somebody_else_names_the_mirror_and_leaves_the_old_lock() {
    let (repo, dir) = (small(), TempDir::new().unwrap());
    let recipe = recipe(dir.path(), &repo.keyring(), &["curl"]);
    fs::write(path_of(&recipe), "old").unwrap();
    fs::write(repo.path("keyring.gpg"), Key::new("ed25519", "sign").export(true)).unwrap();
    let error = lock(&recipe, &[repo.url()], dir.path()).unwrap_err();
    assert!(error.to_string().contains("--mirror"), "{error}");
    let Error::Archive(archive::Error::Release { source, .. }) = error else { panic!("{error}") };
    assert!(matches!(*source, release::Error::UnknownSigner { .. }));
    assert_eq!(fs::read_to_string(path_of(&recipe)).unwrap(), "old");
}

#[test]
fn a_release_that_is_older_than_the_lock_is_refused() {
    let (mut repo, dir) = (small(), TempDir::new().unwrap());
    let recipe = recipe(dir.path(), &repo.keyring(), &["curl"]);
    lock(&recipe, &[repo.url()], dir.path()).unwrap();
    let before = fs::read(path_of(&recipe)).unwrap();
    // Signed, not expired, and without the update that is in the lock.
    repo.add("libssl", "2.9", "", "");
    repo.publish_on("bookworm", "Fri, 28 Feb 2025 23:59:59 UTC");
    let error = lock(&recipe, &[repo.url()], dir.path()).unwrap_err();
    assert!(matches!(&error, Error::Backwards { suite, .. } if suite == "bookworm"), "{error}");
    assert!(error.to_string().contains("2025-02-28 23:59:59") && error.to_string().contains("--archived"));
    assert_eq!(fs::read(path_of(&recipe)).unwrap(), before);
    // On purpose, and from a lock that nothing is known of, it is an archive like any other.
    fs::write(path_of(&recipe), "no lock").unwrap();
    lock(&recipe, &[repo.url()], dir.path()).unwrap();
    repo.publish_on("bookworm", "Thu, 27 Feb 2025 00:00:00 UTC");
    let request = LockRequest {
        recipe: &recipe,
        mirrors: &[repo.url()],
        etc_apt: Path::new("/nonexistent"),
        cache: dir.path(),
        clock: Clock { now: NOW, archived: true },
        patience: Patience::default(),
        output: None,
        needs: &[],
    };
    assert!(lock_recipe(&request, &Silent).is_ok());
}

#[test]
fn a_wrong_index_is_refused() {
    let (repo, dir) = (small(), TempDir::new().unwrap());
    let recipe = recipe(dir.path(), &repo.keyring(), &["curl"]);
    let server = Server::start(repo.dir.path(), |path| {
        if path.ends_with("Packages.xz") { Manner::Wrong } else { Manner::Good }
    });
    let error = lock(&recipe, &[server.url.clone()], dir.path()).unwrap_err();
    let Error::Archive(archive::Error::Fetch(fetch::Error::Mirrors { attempts, .. })) = error else {
        panic!("{error}")
    };
    assert!(matches!(attempts[0].problem, Problem::WrongHash));
    // The next mirror has the right one.
    lock(&recipe, &[server.url.clone(), repo.url()], dir.path()).unwrap();
}

#[test]
fn security_updates_come_from_beside_the_archive_and_win() {
    let (root, dir) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (main, mut security) = (small(), Repo::new());
    security.add("libssl", "3.0-1+deb12u1", "", "");
    security.publish("bookworm-security");
    fs::rename(main.dir.path(), root.path().join("debian")).unwrap();
    fs::rename(security.dir.path(), root.path().join("debian-security")).unwrap();
    let keyring = root.path().join("k.gpg");
    fs::write(&keyring, [main.key.export(false), security.key.export(false)].concat()).unwrap();
    let mut recipe = recipe(dir.path(), &keyring, &["curl"]);
    recipe.debian.extra_suites = vec!["bookworm-security".into()];
    let server = Server::start(root.path(), |_| Manner::Good);
    let made = lock(&recipe, &[format!("{}/debian", server.url)], dir.path()).unwrap();
    let libssl = made.packages.iter().find(|p| p.name == "libssl").unwrap();
    assert_eq!((&*libssl.version, libssl.release), ("3.0-1+deb12u1", 1));
    assert_eq!(made.releases[1].suite, "bookworm-security");
}

#[test]
fn a_repository_brings_its_component() {
    let (repo, dir, mut extra) = (small(), TempDir::new().unwrap(), Repo::new());
    extra.add("mesos", "1.11", "Depends: libssl\n", "");
    extra.publish("stable");
    let mut recipe = recipe(dir.path(), &repo.keyring(), &[]);
    let component = Component {
        description: String::new(),
        provides: formats::tree::TreePath::parse(b"usr/sbin/mesos-agent").unwrap(),
        source: None,
        package: Some("mesos".into()),
    };
    recipe.components.insert("mesos-agent".into(), component);
    let without = lock(&recipe, &[repo.url()], dir.path()).unwrap();
    assert!(without.packages.iter().all(|p| p.name != "mesos"));
    recipe.repositories.push(Repository {
        name: "fork".into(),
        url: extra.url(),
        suite: "stable".into(),
        components: vec!["main".into()],
        packages: None,
        keyring: extra.keyring(),
    });
    assert!(matches!(without.is_current_for(&recipe), Err(Error::Stale { .. })));
    let with = lock(&recipe, &[repo.url()], dir.path()).unwrap();
    let mesos = with.packages.iter().find(|p| p.name == "mesos").unwrap();
    assert_eq!(
        (&*with.releases[mesos.release].archive, mesos.because.join(" ")),
        ("fork", "component".into())
    );
}

#[test]
fn what_changes_is_shown_and_check_writes_nothing() {
    let (mut repo, dir) = (small(), TempDir::new().unwrap());
    let recipe = format!(
        "name: test\ndescription: a test\ndebian: {{suite: bookworm, components: [main], keyring: {}}}\n\
         packages: [curl]\nkernel: {{package: linux-image-amd64}}\n",
        repo.keyring().display()
    );
    fs::write(dir.path().join("test.yaml"), recipe).unwrap();
    let url = repo.url();
    let sledos = |more: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sledos"));
        command.current_dir(dir.path()).args(["lock", "test.yaml", "--archived", "--progress=none"]);
        let out = command.args(["--cache", "cache", "--mirror", &url]).args(more).output().unwrap();
        let text = [out.stdout, out.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        (out.status.code().unwrap(), text)
    };
    let lock = || fs::read_to_string(dir.path().join("test.lock")).ok();

    let (code, text) = sledos(&["--check"]);
    assert_eq!((code, lock()), (6, None), "{text}");
    assert_eq!(sledos(&[]).0, 0);
    let first = lock();
    let (code, text) = sledos(&["--check"]);
    assert_eq!((code, text.as_str()), (0, ""));

    repo.add("libssl", "3.1", "", "");
    repo.publish("bookworm");
    let (code, text) = sledos(&["--check"]);
    assert_eq!((code, lock() == first), (6, true), "{text}");
    assert!(text.contains("libssl 3.0 → 3.1") && text.contains("is not what would be locked now"), "{text}");
    let (code, text) = sledos(&[]);
    assert!(code == 0 && text.contains("libssl 3.0 → 3.1"), "{text}");
    assert_eq!(sledos(&["--check"]).0, 0);
}
