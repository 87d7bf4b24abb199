//! Packages that are damaged or mean harm: each a named error, none a panic.

use sledos::unpack::{Error, ar, control, deb, tarball};

use crate::unpack::support::*;

/// What is wrong with a package that has these data members.
fn data_error(members: &[Member]) -> tarball::Error {
    error_of_data(&tar(members))
}

fn error_of_data(data: &[u8]) -> tarball::Error {
    let bench = Bench::new();
    let locked = bench.lock("bad", &raw_deb("bad", "data.tar", data));
    match bench.open(&[locked]) {
        Err(Error::Package { source: deb::Error::Data(e), .. }) => e,
        other => panic!("{other:?}"),
    }
}

fn deb_error(bytes: &[u8]) -> deb::Error {
    let bench = Bench::new();
    let locked = bench.lock("bad", bytes);
    match bench.open(&[locked]) {
        Err(Error::Package { source, .. }) => source,
        other => panic!("{other:?}"),
    }
}

#[test]
fn paths_that_lead_out_are_refused_by_name() {
    for path in ["../x", "./usr/../../x", "usr/.."] {
        let error = data_error(&[Member::file(path, b"x")]);
        assert!(matches!(&error, tarball::Error::Path { member, .. } if member == path), "{error}");
        let error = data_error(&[Member::file("x", b"x"), Member::hardlink("y", path)]);
        assert!(matches!(&error, tarball::Error::Path { member, .. } if member == path), "{error}");
    }
    for kind in [Member::file("/etc/x", b"x"), Member::dir("/etc"), Member::symlink("//x", "y")] {
        assert!(matches!(data_error(&[kind]), tarball::Error::Absolute(_)));
    }
    let error = data_error(&[Member::file("x", b"x"), Member::hardlink("y", "/x")]);
    assert!(matches!(error, tarball::Error::Absolute(_)), "{error}");
}

#[test]
fn the_message_names_the_package_and_the_member() {
    let bench = Bench::new();
    let bytes = raw_deb("bad", "data.tar", &tar(&[Member::file("./usr/../../etc/shadow", b"x")]));
    let locked = bench.lock("bad", &bytes);
    let error = bench.open(std::slice::from_ref(&locked)).unwrap_err();
    assert_eq!(
        chain(&error),
        format!(
            "cannot unpack {}: its member \"./usr/../../etc/shadow\" must not be unpacked: \
             the path \"./usr/../../etc/shadow\" has a `..` in it",
            bench.cache.deb_path(&locked.sha256).display()
        )
    );
}

#[test]
fn a_file_through_a_symbolic_link_is_refused_in_either_order() {
    let members = || [Member::symlink("a", "/etc"), Member::file("a/x", b"x")];
    let mut reversed = members();
    reversed.reverse();
    for members in [members(), reversed] {
        let error = data_error(&members);
        assert!(matches!(&error, tarball::Error::Through { through, .. } if through == "a"), "{error}");
    }
    let error = data_error(&[Member::file("a", b""), Member::dir("a/b/c")]);
    assert!(matches!(error, tarball::Error::Through { .. }), "{error}");
}

#[test]
fn duplicate_members() {
    let twice = |m: fn() -> Member| data_error(&[m(), m()]);
    assert!(matches!(twice(|| Member::file("f", b"x")), tarball::Error::Twice(_)));
    assert!(matches!(twice(|| Member::symlink("f", "x")), tarball::Error::Twice(_)));
    let mixed = data_error(&[Member::dir("f"), Member::file("./f", b"")]);
    assert!(matches!(mixed, tarball::Error::Twice(_)));
    let bench = Bench::new();
    let good = raw_deb("a", "data.tar", &tar(&[Member::dir("./"), Member::dir("d/"), Member::dir("d")]));
    bench.open(&[bench.lock("a", &good)]).unwrap();
}

#[test]
fn hard_links_to_nothing_to_later_and_to_other_things() {
    for members in [
        vec![Member::hardlink("a", "b")],
        vec![Member::hardlink("a", "b"), Member::file("b", b"x")],
        vec![Member::hardlink("a", "a")],
        vec![Member::symlink("b", "/etc/shadow"), Member::hardlink("a", "b")],
        vec![Member::dir("b"), Member::hardlink("a", "b")],
    ] {
        let error = data_error(&members);
        assert!(matches!(&error, tarball::Error::Hardlink { member, .. } if member == "a"), "{error}");
    }
}

#[test]
fn sizes_that_are_not_true() {
    for size in [1, 513, 1 << 20, 7 << 30] {
        let error = data_error(&[Member { size: Some(size), ..Member::file("f", b"") }]);
        assert!(matches!(error, tarball::Error::Stream(_) | tarball::Error::NoEnd), "{size}: {error}");
    }
    let error = data_error(&[Member { size: Some((8 << 30) + 1), ..Member::file("f", b"") }]);
    assert!(matches!(error, tarball::Error::TooLarge(_)), "{error}");
    for kind in [Member::dir("d"), Member::symlink("l", "x")] {
        let error = data_error(&[Member { size: Some(3), data: b"abc".to_vec(), ..kind }]);
        assert!(matches!(error, tarball::Error::Member { .. }), "{error}");
    }
    // An extension header that would fill the memory.
    for kind in [b'L', b'K', b'x', b'g'] {
        let data = vec![b'a'; (1 << 20) + 1];
        let error = data_error(&[Member { data, ..Member::new(kind, "././@") }]);
        assert!(matches!(error, tarball::Error::TooLarge(_)), "{}: {error}", kind as char);
    }
}

#[test]
fn members_no_package_has() {
    for bad in [
        Member::new(b'S', "sparse"),
        Member::new(b'7', "contiguous"),
        Member::new(b'V', "volume"),
        Member::symlink("l", ""),
        Member::new(b'p', "./"),
        Member::file("", b""),
        Member { data: b"30 path=x\n".to_vec(), ..Member::new(b'x', "pax") },
        Member { data: b"18 SCHILY.acl.x=y\n".to_vec(), ..Member::new(b'x', "pax") },
        Member { data: b"9 path=x\n".to_vec(), ..Member::new(b'g', "pax") },
    ] {
        let name = String::from_utf8_lossy(&bad.name).into_owned();
        let error = data_error(&[bad]);
        assert!(matches!(error, tarball::Error::Member { .. }), "{name}: {error}");
    }
    let long = || Member { data: b"name\0".to_vec(), ..Member::new(b'L', "././@LongLink") };
    assert!(matches!(data_error(&[long(), long()]), tarball::Error::Member { .. }));
    assert!(matches!(data_error(&[long()]), tarball::Error::NoEnd));
}

#[test]
fn extension_headers_say_what_they_say() {
    // A capability with a line end in it, as real ones may have.
    let cap = b"\x01\0\0\x02\n\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let records = [&b"57 SCHILY.xattr.security.capability="[..], cap, b"\n16 gname=shadow\n"].concat();
    let bench = Bench::new();
    let data = tar(&[
        Member { data: records, ..Member::new(b'x', "pax") },
        Member::file("short", b"x"),
        Member { data: vec![b'n'; 180], ..Member::new(b'L', "././@LongLink") },
        Member::file("cut", b"y"),
    ]);
    let tree = bench.merge(&[bench.lock("a", &raw_deb("a", "data.tar", &data))]).unwrap();
    let node = tree.get(&p("short")).unwrap();
    assert_eq!(node.xattrs[&b"security.capability"[..]], cap);
    assert_eq!(node.gid, 42);
    assert!(tree.get(&p(&"n".repeat(180))).is_some() && tree.get(&p("cut")).is_none());
}

#[test]
fn a_package_cut_off_anywhere_is_refused() {
    let bench = Bench::new();
    let noise: Vec<u8> = (0..3000u32).map(|n| (n * n / 7).to_le_bytes()[0]).collect();
    for options in ["-Zxz", "-Zgzip", "-Zzstd", "-Znone"] {
        let name = format!("cut{options}").to_lowercase();
        let whole = bench.deb_with(&[options], &name, "", |root| drop(write(root, "usr/f", &noise)));
        let bytes = bench.bytes(&whole);
        for n in (0..bytes.len()).step_by(41).chain(bytes.len() - 20..bytes.len()) {
            let cut = bench.lock(&name, &bytes[..n]);
            let result = bench.open(&[cut]);
            // Only the padding after the last member may be missing.
            let padding = bytes.len().is_multiple_of(2) && n == bytes.len() - 1 && bytes.ends_with(b"\n");
            assert!(result.is_err() || padding, "{options} cut at {n} of {}", bytes.len());
        }
    }
}

#[test]
fn a_flipped_byte_is_the_wrong_file() {
    let bench = Bench::new();
    let locked = bench.deb("a", "", |root| drop(write(root, "usr/f", &[7; 3000])));
    let good = bench.bytes(&locked);
    for i in (0..good.len()).step_by(13) {
        let mut bad = good.clone();
        bad[i] ^= 4;
        std::fs::write(bench.cache.deb_path(&locked.sha256), &bad).unwrap();
        let error = bench.open(std::slice::from_ref(&locked)).unwrap_err();
        assert!(matches!(error, Error::Digest { .. }), "{i}: {error}");
        // Even when the lock says so, it must not go wrong badly.
        let _ = bench.open(&[bench.lock("a", &bad)]);
    }
    std::fs::write(bench.cache.deb_path(&locked.sha256), &good).unwrap();
    bench.open(&[locked]).unwrap();
}

#[test]
fn members_in_the_wrong_order_and_unknown_forms() {
    let control = tar(&[Member::file("control", control("bad", "").as_bytes())]);
    let data = tar(&[]);
    let version: (&str, &[u8]) = ("debian-binary", b"2.0\n");
    let (c, d) = (("control.tar", &control[..]), ("data.tar", &data[..]));
    let wanted = |bytes: &[u8]| match deb_error(bytes) {
        deb::Error::Order { wanted, .. } => wanted,
        other => panic!("{other}"),
    };
    assert_eq!(wanted(&ar(&[version, d, c])), "control.tar");
    assert_eq!(wanted(&ar(&[version, c, c])), "data.tar");
    assert_eq!(wanted(&ar(&[version, c])), "data.tar");
    assert_eq!(wanted(&ar(&[c, d])), "debian-binary");
    assert_eq!(wanted(&ar(&[])), "debian-binary");
    assert!(
        matches!(deb_error(&ar(&[("debian-binary", b"3.0\n"), c, d])), deb::Error::Format(v) if v == "3.0")
    );
    let lzma = ar(&[version, c, ("data.tar.lzma", &data)]);
    assert!(matches!(deb_error(&lzma), deb::Error::Compression(m) if m == "data.tar.lzma"));
    assert!(matches!(deb_error(b"PK\x03\x04 not a package"), deb::Error::Ar(ar::Error::Magic)));
    let bench = Bench::new();
    bench
        .open(&[bench.lock("bad", &ar(&[version, ("_extra", b"x"), c, ("_more", b""), d, ("after", b"")]))])
        .unwrap();
}

#[test]
fn content_that_does_not_end_properly() {
    let open = open_tar(&[Member::file("f", b"x")]);
    assert!(matches!(error_of_data(&open), tarball::Error::NoEnd));
    assert!(matches!(error_of_data(&[]), tarball::Error::NoEnd));
    let mut flipped = tar(&[Member::file("f", b"x")]);
    flipped[0] ^= 1;
    assert!(matches!(error_of_data(&flipped), tarball::Error::Stream(_)));
    let junk = [&xz(&tar(&[Member::file("f", b"x")]))[..], b"junk"].concat();
    let error = deb_error(&raw_deb("bad", "data.tar.xz", &junk));
    assert!(matches!(error, deb::Error::Data(tarball::Error::Stream(_))), "{error}");
}

#[test]
fn control_files_that_are_missing_or_lie() {
    let package = |members: &[Member]| {
        ar(&[("debian-binary", b"2.0\n"), ("control.tar", &tar(members)), ("data.tar", &tar(&[]))])
    };
    let error = deb_error(&package(&[Member::file("other", b"x")]));
    assert!(matches!(error, deb::Error::Control(control::Error::NoControl)), "{error}");
    let error = deb_error(&package(&[Member::file("control", b"Package: bad\n")]));
    assert!(matches!(error, deb::Error::Control(control::Error::NoField("Version"))), "{error}");

    let bench = Bench::new();
    let mut other = bench.lock("bad", &raw_deb("bad", "data.tar", &tar(&[])));
    other.version = "2".into();
    let error = bench.open(&[other]).unwrap_err();
    assert!(
        matches!(&error, Error::NotAsLocked { field: "Version", found, locked, .. } if found == "1" && locked == "2")
    );
}

#[test]
fn a_missing_package_is_named() {
    let bench = Bench::new();
    let error = bench.open(&[locked("gone", "1", "all", [7; 32], 1)]).unwrap_err();
    assert!(matches!(&error, Error::Read { file, .. } if *file == bench.cache.deb_path(&[7; 32])), "{error}");
}
