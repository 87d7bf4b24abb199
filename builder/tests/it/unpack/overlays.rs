//! Overlays laid over a tree.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use formats::tree::{Kind, Node, Origin, Tree, TreePath};
use sledos::recipe::model::{Attributes, Overlay};
use sledos::unpack::overlay::{Error, apply};

use crate::unpack::support::*;

const O: Origin = Origin::Fixup("test");

/// A `*` at the end stands for anything; enough of a pattern for these tests.
fn matches(pattern: &str, path: &TreePath) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => path.to_string().starts_with(start),
        None => path.to_string() == pattern,
    }
}

fn attributes(mode: Option<u16>, user: Option<&str>, group: Option<&str>) -> Attributes {
    Attributes { mode, user: user.map(Into::into), group: group.map(Into::into), capabilities: None }
}

fn overlay(dir: &Path, attributes: &[(&str, Attributes)]) -> Overlay {
    let attributes: BTreeMap<_, _> = attributes.iter().map(|(p, a)| ((*p).to_owned(), a.clone())).collect();
    Overlay { name: "site".into(), dir: dir.to_owned(), attributes }
}

/// A tree with the links of a merged /usr, as packages make it.
fn tree() -> Tree {
    let bench = Bench::new();
    let a = bench.deb("a", "", |root| {
        write(root, "etc/a.conf", b"old");
        symlink("../elsewhere", root.join("etc/link")).unwrap();
        fs::create_dir(root.join("root")).unwrap();
        fs::set_permissions(root.join("root"), fs::Permissions::from_mode(0o700)).unwrap();
    });
    bench.merge(&[a]).unwrap()
}

#[test]
fn modes_and_owners_come_from_the_recipe_alone() {
    let dir = tempfile::tempdir().unwrap();
    for (file, mode) in [("etc/new", 0o600), ("lib/tool", 0o777), ("root/.profile", 0o640)] {
        let file = write(dir.path(), file, b"x");
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    }
    fs::set_permissions(dir.path().join("root"), fs::Permissions::from_mode(0o777)).unwrap();
    let given = [
        ("usr/lib/tool", attributes(Some(0o755), None, None)),
        ("usr/lib/*", attributes(None, None, Some("adm"))),
        ("etc/new", attributes(None, Some("daemon"), Some("shadow"))),
    ];
    let mut tree = tree();
    let count = apply(&mut tree, &overlay(dir.path(), &given), &ids(), &matches).unwrap().files;
    assert_eq!(count, 3);
    let look = |path| {
        let node = tree.get(&p(path)).unwrap();
        (node.mode, node.uid, node.gid)
    };
    assert_eq!(look("etc/new"), (0o644, 1, 42));
    assert_eq!(look("usr/lib/tool"), (0o755, 0, 4));
    assert_eq!(look("root"), (0o700, 0, 0), "a directory of the image keeps its mode");
    assert_eq!(look("root/.profile"), (0o644, 0, 0));
    assert!(matches!(&tree.get(&p("lib")).unwrap().kind, Kind::Symlink(_)));

    let given = [("root", attributes(Some(0o750), None, None))];
    apply(&mut tree, &overlay(dir.path(), &given), &ids(), &matches).unwrap();
    assert_eq!(tree.get(&p("root")).unwrap().mode, 0o750);
}

#[test]
fn files_and_links_replace_files_and_links() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "etc/link", b"now a file");
    symlink("/run/a.conf", dir.path().join("etc/a.conf")).unwrap();
    let mut tree = tree();
    apply(&mut tree, &overlay(dir.path(), &[]), &ids(), &matches).unwrap();
    let node = tree.get(&p("etc/a.conf")).unwrap();
    assert!(matches!(&node.kind, Kind::Symlink(to) if to == b"/run/a.conf"));
    assert_eq!((node.mode, node.origin.clone()), (0o777, Origin::Overlay("site".into())));
    assert!(matches!(tree.get(&p("etc/link")).unwrap().kind, Kind::File(_)));
}

#[test]
fn a_link_on_the_host_is_never_followed() {
    let outside = tempfile::tempdir().unwrap();
    write(outside.path(), "secret", b"secret");
    let dir = tempfile::tempdir().unwrap();
    symlink(outside.path(), dir.path().join("leak")).unwrap();
    let mut tree = tree();
    apply(&mut tree, &overlay(dir.path(), &[]), &ids(), &matches).unwrap();
    assert!(matches!(&tree.get(&p("leak")).unwrap().kind, Kind::Symlink(_)));
    assert!(tree.get(&p("leak/secret")).is_none());
}

#[test]
fn what_leads_out_of_the_image_is_refused() {
    for (link, to, out) in [
        ("etc/x", "../../passwd", true),
        ("x", "..", true),
        ("etc/x", "/../x", true),
        ("etc/x", "a/../../../x", true),
        ("etc/x", "../x", false),
        ("lib/x", "../../x", false),
        ("etc/x", "..", false),
    ] {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join(link).parent().unwrap()).unwrap();
        symlink(to, dir.path().join(link)).unwrap();
        let result = apply(&mut tree(), &overlay(dir.path(), &[]), &ids(), &matches);
        assert_eq!(
            matches!(&result, Err(Error::Escape { target, .. }) if target == to),
            out,
            "{link} {result:?}"
        );
        assert_eq!(result.is_err(), out);
    }
    // Through a link of the image.
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "etc/link/x", b"x");
    let error = apply(&mut tree(), &overlay(dir.path(), &[]), &ids(), &matches).unwrap_err();
    assert_eq!(
        error.to_string(),
        "/etc/link is a directory in the overlay site, but a symbolic link in the image, from package a"
    );
}

#[test]
fn files_and_directories_do_not_replace_each_other() {
    for path in ["etc/a.conf/x", "etc"] {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), path, b"x");
        let error = apply(&mut tree(), &overlay(dir.path(), &[]), &ids(), &matches).unwrap_err();
        assert!(matches!(error, Error::Kind { .. }), "{error}");
    }
    let dir = tempfile::tempdir().unwrap();
    symlink("/opt/lib", dir.path().join("lib")).unwrap();
    let error = apply(&mut tree(), &overlay(dir.path(), &[]), &ids(), &matches).unwrap_err();
    assert!(matches!(error, Error::Kind { .. }), "{error}");
}

#[test]
fn special_files_and_doubles_and_missing_directories() {
    let dir = tempfile::tempdir().unwrap();
    run(Command::new("mkfifo").arg(dir.path().join("pipe")), "coreutils");
    let error = apply(&mut tree(), &overlay(dir.path(), &[]), &ids(), &matches).unwrap_err();
    assert!(matches!(&error, Error::Special { path, .. } if path.ends_with("pipe")), "{error}");

    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "lib/x", b"1");
    write(dir.path(), "usr/lib/x", b"2");
    let error = apply(&mut tree(), &overlay(dir.path(), &[]), &ids(), &matches).unwrap_err();
    assert!(matches!(&error, Error::Twice { path, .. } if *path == p("usr/lib/x")), "{error}");

    let error = apply(&mut tree(), &overlay(&dir.path().join("gone"), &[]), &ids(), &matches).unwrap_err();
    assert!(matches!(&error, Error::Read { path, .. } if path.ends_with("gone")), "{error}");
}

#[test]
fn attributes_that_match_nothing_contradict_or_name_nobody() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "etc/x", b"x");
    let with = |given: &[(&str, Attributes)]| {
        apply(&mut tree(), &overlay(dir.path(), given), &ids(), &matches).unwrap_err()
    };
    let error = with(&[("etc/typo", attributes(Some(0o600), None, None))]);
    assert!(matches!(&error, Error::Unmatched { pattern, .. } if pattern == "etc/typo"), "{error}");
    let error = with(&[
        ("etc/*", attributes(Some(0o600), None, None)),
        ("etc/x", attributes(Some(0o640), None, None)),
    ]);
    assert!(matches!(&error, Error::Contradiction { what: "mode", .. }), "{error}");
    let error = with(&[("etc/x", attributes(None, Some("nobody-knows"), None))]);
    assert!(
        chain(&error)
            .ends_with("the user nobody-knows does not exist in the image; add it to the recipe's `users:`")
    );
}

#[test]
fn a_large_file_is_the_same_as_a_small_one() {
    let dir = tempfile::tempdir().unwrap();
    let big = vec![3; (4 << 20) + 1];
    write(dir.path(), "big", &big);
    let mut tree = Tree::new(Node::dir(O));
    apply(&mut tree, &overlay(dir.path(), &[]), &ids(), &matches).unwrap();
    let Kind::File(content) = &tree.get(&p("big")).unwrap().kind else { panic!("big is no file") };
    assert!(content.to_vec().unwrap() == big && content.digest().unwrap() == sha256(&big));
}
