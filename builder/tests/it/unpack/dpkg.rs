//! Packages as dpkg unpacks them.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;

use formats::tree::{Kind, Origin, TreePath};
use sledos::unpack::merge;

use crate::unpack::support::{Bench, chain, ids, listing, listing_of_host, p, run, write};

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn everything(root: &Path) {
    let owned = write(root, "usr/bin/shadowy", b"setgid");
    chown(&owned, Some(0), Some(42)).unwrap();
    mode(&owned, 0o2755);
    mode(&write(root, "usr/bin/su", b"setuid"), 0o4755);
    let numeric = write(root, "usr/share/numeric", b"");
    chown(&numeric, Some(64_321), Some(64_322)).unwrap();
    write(root, "usr/share/empty", b"");
    let big: Vec<u8> = (0..700_001u32).map(|n| n.to_le_bytes()[1]).collect();
    write(root, "usr/share/big", &big);
    write(root, &format!("usr/share/{}/{}/x", "d".repeat(120), "n".repeat(200)), b"long");
    symlink("n".repeat(300), root.join("usr/share/long-link")).unwrap();
    symlink("/etc/../absolute", root.join("usr/share/absolute")).unwrap();
    fs::hard_link(root.join("usr/bin/su"), root.join("usr/bin/su2")).unwrap();
    fs::hard_link(root.join("usr/bin/su"), root.join("usr/share/su3")).unwrap();
    fs::create_dir(root.join("usr/share/sticky")).unwrap();
    mode(&root.join("usr/share/sticky"), 0o1777);
    fs::write(root.join(OsStr::from_bytes(b"usr/share/latin-\xe9")), "x").unwrap();
    run(Command::new("mknod").arg(root.join("usr/share/null")).args(["c", "1", "3"]), "coreutils (as root)");
    run(Command::new("mknod").arg(root.join("usr/share/disk")).args(["b", "8", "17"]), "coreutils (as root)");
    run(Command::new("mkfifo").arg(root.join("usr/share/fifo")), "coreutils");
}

#[test]
fn every_kind_of_file_is_as_dpkg_unpacks_it() {
    for compression in ["-Zxz", "-Zzstd", "-Zgzip", "-Znone"] {
        let bench = Bench::new();
        let locked = bench.deb_with(&[compression], "everything", "", everything);
        let out = bench.dir.path().join("out");
        run(Command::new("dpkg-deb").arg("-x").arg(bench.cache.deb_path(&locked.sha256)).arg(&out), "dpkg");
        let mut ours = listing(&bench.merge(&[locked]).unwrap());
        for link in ["bin", "lib", "lib64", "sbin"] {
            assert!(ours.remove(link).unwrap().starts_with(&format!("link usr/{link} ")));
            if link != "bin" {
                ours.remove(&format!("usr/{link}")).unwrap();
            }
        }
        assert_eq!(ours, listing_of_host(&out), "{compression}");
    }
}

#[test]
fn what_is_below_lib_lands_below_usr_lib_and_hard_links_follow() {
    let bench = Bench::new();
    let locked = bench.deb("a", "", |root| {
        write(root, "lib/x", b"x");
        fs::create_dir_all(root.join("usr/lib")).unwrap();
        fs::hard_link(root.join("lib/x"), root.join("usr/lib/y")).unwrap();
        fs::create_dir(root.join("sbin")).unwrap();
    });
    let tree = bench.merge(&[locked]).unwrap();
    assert!(matches!(&tree.get(&p("lib")).unwrap().kind, Kind::Symlink(to) if to == b"usr/lib"));
    let names = ["usr/lib/x", "usr/lib/y"].map(|n| tree.get(&p(n)).unwrap().kind.clone());
    assert!(matches!(&names, [Kind::File(_), Kind::Hardlink(to)] if *to == p("usr/lib/x")), "{names:?}");
    assert!(tree.get(&p("usr/sbin")).unwrap().is_dir());
}

#[test]
fn one_file_in_two_packages_is_refused_unless_one_replaces_it() {
    let bench = Bench::new();
    let a = bench.deb("a", "", |root| {
        write(root, "usr/f", b"a");
        fs::hard_link(root.join("usr/f"), root.join("usr/g")).unwrap();
        fs::hard_link(root.join("usr/f"), root.join("usr/h")).unwrap();
    });
    let b = |name, fields| bench.deb(name, fields, |root| drop(write(root, "usr/f", b"b")));
    let plain = b("b", "");
    let error = bench.merge(&[a.clone(), plain]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the packages a and b both have /usr/f; leave one of them out, or exclude the path"
    );
    assert!(bench.merge(&[a.clone(), b("c", "Replaces: a (<< 1)\n")]).is_err());
    // Whichever name comes first.
    for name in ["d", "0d"] {
        let tree = bench.merge(&[a.clone(), b(name, "Replaces: x, a (<= 1)\n")]).unwrap();
        let content = |path| match &tree.get(&p(path)).unwrap().kind {
            Kind::File(content) => content.to_vec().unwrap(),
            kind => panic!("{path}: {kind:?}"),
        };
        assert_eq!((content("usr/f"), content("usr/g")), (b"b".to_vec(), b"a".to_vec()));
        assert!(matches!(&tree.get(&p("usr/h")).unwrap().kind, Kind::Hardlink(to) if *to == p("usr/g")));
        assert_eq!(tree.get(&p("usr/f")).unwrap().origin, Origin::Package(name.into()));
    }
}

#[test]
fn directories_keep_what_base_files_says_of_them_else_the_first_name() {
    let bench = Bench::new();
    let dir = |name, bits| {
        bench.deb(name, "", |root| {
            for dir in ["srv", "usr/shared"] {
                fs::create_dir_all(root.join(dir)).unwrap();
                mode(&root.join(dir), bits);
            }
            if name == "base-files" {
                fs::remove_dir(root.join("usr/shared")).unwrap();
            }
        })
    };
    let all = [dir("z", 0o711), dir("b", 0o750), dir("base-files", 0o700)];
    let tree = bench.merge(&all).unwrap();
    assert_eq!(tree.get(&p("srv")).unwrap().mode, 0o700);
    assert_eq!(tree.get(&p("usr/shared")).unwrap().mode, 0o750);
    // The order of the lock does not matter.
    let other = bench.merge(&[all[2].clone(), all[0].clone(), all[1].clone()]).unwrap();
    assert_eq!(listing(&tree), listing(&other));
}

#[test]
fn what_is_left_out_cannot_collide_and_keeps_what_others_need() {
    let bench = Bench::new();
    let a = bench.deb("a", "", |root| {
        write(root, "usr/doc/x", b"x");
        write(root, "usr/doc/deep/kept", b"k");
        mode(&root.join("usr/doc/deep"), 0o700);
        write(root, "usr/doc/empty/y", b"y");
        fs::hard_link(root.join("usr/doc/x"), root.join("usr/linked")).unwrap();
    });
    let b = bench.deb("b", "", |root| drop(write(root, "usr/doc/x", b"other")));
    let wanted = |path: &TreePath| !path.is_below(&p("usr/doc")) || path.name() == b"kept";
    let tree = merge::merge(&bench.open(&[a, b]).unwrap(), &ids(), &wanted).unwrap();
    assert!(tree.get(&p("usr/doc/x")).is_none() && tree.get(&p("usr/doc/empty")).is_none());
    assert_eq!(tree.get(&p("usr/doc/deep")).unwrap().mode, 0o700);
    let Kind::File(content) = &tree.get(&p("usr/linked")).unwrap().kind else {
        panic!("a hard link to nothing")
    };
    assert_eq!(content.to_vec().unwrap(), b"x");
}

#[test]
fn collisions_of_different_kinds() {
    let bench = Bench::new();
    let link = bench.deb("a", "", |root| {
        fs::create_dir(root.join("usr")).unwrap();
        symlink("/etc", root.join("usr/d")).unwrap();
    });
    let dir = bench.deb("b", "", |root| drop(write(root, "usr/d/x", b"x")));
    let error = bench.merge(&[link.clone(), dir]).unwrap_err();
    assert!(matches!(&error, merge::Error::NotBothDirs { path, .. } if *path == p("usr/d")), "{error}");

    let bin = bench.deb("c", "", |root| symlink("usr/sbin", root.join("bin")).unwrap());
    let error = bench.merge(&[bin]).unwrap_err();
    assert!(matches!(&error, merge::Error::Alias { path, .. } if *path == p("bin")), "{error}");
    let bin = bench.deb("d", "", |root| symlink("usr/bin", root.join("bin")).unwrap());
    bench.merge(&[bin]).unwrap();
    let usr = bench.deb("e", "", |root| drop(write(root, "usr", b"x")));
    let error = bench.merge(&[usr]).unwrap_err();
    assert!(matches!(&error, merge::Error::NoUsr(_)), "{error}");
}

#[test]
fn an_owner_nobody_knows_is_named() {
    let bench = Bench::new();
    let locked = bench.deb("a", "", |root| {
        let file = write(root, "usr/f", b"");
        // A group of every Debian system that the test's ids lack.
        chown(&file, None, Some(5)).unwrap();
    });
    let error = bench.merge(&[locked]).unwrap_err();
    assert_eq!(
        chain(&error),
        "cannot tell the owner of /usr/f in the package a: \
         the group tty does not exist in the image; add it to the recipe's `groups:`"
    );
}
