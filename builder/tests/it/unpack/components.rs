//! Components added to a tree.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use formats::tree::{Kind, Origin, Tree};
use sledos::accounts::Ids;
use sledos::cache::Cache;
use sledos::unpack::component::{Added, Error, Given, open};

use crate::unpack::support::*;

const AGENT: &str = "usr/sbin/agent";

fn given<'a>(file: &'a Path, provides: &'a formats::tree::TreePath) -> Given<'a> {
    Given { name: "agent", file, sha256: None, provides, arch: "amd64" }
}

fn add(tree: &mut Tree, cache: &Arc<Cache>, given: &Given<'_>, ids: &Ids) -> Result<Added, Error> {
    open(cache, given)?.add(tree, ids)
}

fn base(bench: &Bench) -> Tree {
    let a = bench.deb("a", "", |root| drop(write(root, "etc/shared", b"same")));
    bench.merge(&[a]).unwrap()
}

fn file(bench: &Bench, name: &str, bytes: &[u8]) -> PathBuf {
    write(bench.dir.path(), name, bytes)
}

fn try_tar(bench: &Bench, members: &[Member]) -> Result<(Tree, Added), Error> {
    let file = file(bench, "agent.tar", &tar(members));
    let mut tree = base(bench);
    add(&mut tree, &bench.cache, &given(&file, &p(AGENT)), &ids()).map(|added| (tree, added))
}

#[test]
fn a_tar_in_any_compression_whatever_its_name() {
    let plain = tar(&[
        Member::dir("sbin"),
        Member::file("sbin/agent", b"agent"),
        Member::file("etc/shared", b"same"),
    ]);
    let mut gz = flate2::read::GzEncoder::new(&plain[..], flate2::Compression::fast());
    let mut gzipped = Vec::new();
    std::io::Read::read_to_end(&mut gz, &mut gzipped).unwrap();
    for bytes in [plain.clone(), xz(&plain), zstd::encode_all(&plain[..], 1).unwrap(), gzipped] {
        let bench = Bench::new();
        let file = file(&bench, "download", &bytes);
        let mut tree = base(&bench);
        let added = add(&mut tree, &bench.cache, &given(&file, &p("sbin/agent")), &ids()).unwrap();
        assert_eq!((added.sha256, added.package, added.files), (sha256(&bytes), None, 2));
        let node = tree.get(&p(AGENT)).unwrap();
        assert_eq!(node.origin, Origin::Component("agent".into()));
        assert!(matches!(&node.kind, Kind::File(c) if c.to_vec().unwrap() == b"agent"));
        assert_eq!(tree.get(&p("etc/shared")).unwrap().origin, Origin::Package("a".into()));
    }
}

#[test]
fn a_debian_package_says_its_version_and_what_nobody_resolved() {
    let bench = Bench::new();
    let locked =
        bench.deb("mesos", "Depends: libx (>= 2), liby\n", |root| drop(write(root, AGENT, b"agent")));
    let path = bench.cache.deb_path(&locked.sha256);
    let mut tree = base(&bench);
    let added = add(&mut tree, &bench.cache, &given(&path, &p(AGENT)), &ids()).unwrap();
    let package = added.package.unwrap();
    assert_eq!((&*package.name, &*package.version, &*package.depends), ("mesos", "1", "libx (>= 2), liby"));

    let other = fs::read(&path).unwrap();
    let text = control("mesos", "").replace("Architecture: all", "Architecture: arm64");
    let control = tar(&[Member::file("control", text.as_bytes())]);
    let arm = ar(&[("debian-binary", b"2.0\n"), ("control.tar", &control), ("data.tar", &tar(&[]))]);
    assert_ne!(arm, other);
    let file = file(&bench, "arm.deb", &arm);
    let error = add(&mut tree, &bench.cache, &given(&file, &p(AGENT)), &ids()).unwrap_err();
    assert!(matches!(&error, Error::Arch { found, .. } if found == "arm64"), "{error}");
}

#[test]
fn a_component_may_only_add() {
    let bench = Bench::new();
    let agent = || Member::file(AGENT, b"agent");
    let error = try_tar(&bench, &[agent(), Member::file("etc/shared", b"different")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "/etc/shared of the component agent is in the image already, different, from package a"
    );
    for bad in [
        Member { group: "shadow", ..Member::file("etc/shared", b"same") },
        Member::dir("etc/shared"),
        Member::file("etc/shared/x", b""),
        Member::file("etc", b""),
        Member::symlink("lib", "somewhere"),
        Member::file("lib", b""),
    ] {
        let error = try_tar(&bench, &[agent(), bad]).unwrap_err();
        assert!(matches!(error, Error::Conflict { .. }), "{error}");
    }
    try_tar(&bench, &[agent(), Member::dir("lib"), Member::hardlink("usr/agent2", AGENT)]).unwrap();
}

#[test]
fn what_it_is_there_for_must_be_in_it() {
    let bench = Bench::new();
    for members in [
        vec![Member::file("usr/sbin/other", b"x")],
        vec![Member::file("usr/libexec/agent", b"x")],
        vec![Member::dir(AGENT), Member::dir("usr/bin/agent")],
        vec![],
    ] {
        let error = try_tar(&bench, &members).unwrap_err();
        assert!(matches!(&error, Error::NotProvided { provides, .. } if *provides == p(AGENT)), "{error}");
    }
}

#[test]
fn a_program_is_at_both_of_its_places_whichever_a_build_has_chosen() {
    let link = |tree: &Tree, path: &str| match &tree.get(&p(path)).unwrap().kind {
        Kind::Symlink(to) => String::from_utf8(to.clone()).unwrap(),
        other => format!("{other:?}"),
    };
    for (has, other, to) in [
        ("usr/bin/agent", "usr/sbin/agent", "../bin/agent"),
        ("usr/sbin/agent", "usr/bin/agent", "../sbin/agent"),
        ("bin/agent", "usr/sbin/agent", "../bin/agent"),
    ] {
        let (tree, added) = try_tar(&Bench::new(), &[Member::file(has, b"agent")]).unwrap();
        assert_eq!((link(&tree, other).as_str(), added.files), (to, 1));
        assert_eq!(tree.get(&p(other)).unwrap().origin, Origin::Component("agent".into()));
    }
    // What a package has there itself stays.
    let own = Member::symlink("usr/sbin/agent", "../bin/agent");
    let (tree, _) = try_tar(&Bench::new(), &[Member::file("usr/bin/agent", b"agent"), own]).unwrap();
    assert_eq!(link(&tree, "usr/sbin/agent"), "../bin/agent");
}

#[test]
fn a_wrong_damaged_or_missing_file_is_named() {
    let bench = Bench::new();
    let path = file(&bench, "agent.tar", &tar(&[Member::file(AGENT, b"x")]));
    let mut tree = base(&bench);
    let provides = p(AGENT);
    let wrong = Given { sha256: Some(&[1; 32]), ..given(&path, &provides) };
    let error = add(&mut tree, &bench.cache, &wrong, &ids()).unwrap_err();
    assert!(matches!(&error, Error::Digest { file, .. } if *file == path), "{error}");
    let right = sha256(&fs::read(&path).unwrap());
    add(&mut tree, &bench.cache, &Given { sha256: Some(&right), ..wrong }, &ids()).unwrap();

    let cut = file(&bench, "cut.tar", &open_tar(&[Member::file(AGENT, b"x")]));
    let error = add(&mut tree, &bench.cache, &given(&cut, &provides), &ids()).unwrap_err();
    assert!(matches!(&error, Error::Unpack { .. }), "{error}");
    let escape = file(&bench, "escape.tar", &tar(&[Member::file("../x", b"x")]));
    let error = add(&mut tree, &bench.cache, &given(&escape, &provides), &ids()).unwrap_err();
    assert!(chain(&error).contains("has a `..` in it"), "{}", chain(&error));
    let gone = bench.dir.path().join("gone");
    let error = add(&mut tree, &bench.cache, &given(&gone, &provides), &ids()).unwrap_err();
    assert!(matches!(&error, Error::Read { file, .. } if *file == gone), "{error}");
    let error = try_tar(&bench, &[Member { group: "nobody", ..Member::file(AGENT, b"x") }]).unwrap_err();
    assert!(matches!(&error, Error::Owner { .. }), "{error}");
}

#[test]
fn a_program_alone_is_what_it_is_there_for() {
    let bench = Bench::new();
    let program = file(&bench, "agent", sledos::build::INIT);
    let mut tree = base(&bench);
    // By the way that /sbin is: it leads to /usr/sbin.
    let added = add(&mut tree, &bench.cache, &given(&program, &p("sbin/agent")), &ids()).unwrap();
    assert_eq!((added.sha256, added.package, added.files), (sha256(sledos::build::INIT), None, 1));
    let node = tree.get(&p(AGENT)).unwrap();
    assert_eq!((node.mode, node.uid, node.gid), (0o755, 0, 0));
    assert!(matches!(&node.kind, Kind::File(c) if c.to_vec().unwrap() == sledos::build::INIT));
    let again = add(&mut tree, &bench.cache, &given(&program, &p(AGENT)), &ids()).unwrap_err();
    assert!(matches!(again, Error::Conflict { .. }), "{again}");

    let own = std::env::current_exe().unwrap();
    let error = add(&mut base(&bench), &bench.cache, &given(&own, &p(AGENT)), &ids()).unwrap_err();
    assert!(matches!(error, Error::Dynamic { .. }), "{error}");
}
