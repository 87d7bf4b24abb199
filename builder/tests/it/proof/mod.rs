//! `inspect`, `explain`, `diff` and `verify` on small images of real formats, whole and
//! damaged.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod damage;
mod support;

use std::fs;

use support::{PLAIN, Taste, said, sledos, small};

fn text(path: &std::path::Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_sound_image_is_found_to_be_sound() {
    let dir = tempfile::tempdir().unwrap();
    let image = small(dir.path(), PLAIN);
    let (code, report) = said(&["verify", text(&image), "--artifact-only"]);
    assert_eq!((code, report.matches("WRONG").count()), (0, 0), "{report}");
    assert_eq!(report.lines().filter(|line| line.starts_with("ok ")).count(), 15, "{report}");
}

#[test]
fn inspect_shows_parts_listings_and_files() {
    let dir = tempfile::tempdir().unwrap();
    let image = small(dir.path(), PLAIN);
    let (code, overview) = said(&["inspect", text(&image)]);
    assert_eq!(code, 0, "{overview}");
    for sentence in [
        "image small 1",
        " 2 USR-A ",
        "squashfs",
        "ext4 (not listed)",
        "primary table: ok",
        "backup table: ok",
        "esp:/efi/Linux/small_1_",
        ".cmdline",
        "command line quiet sledos.usrhash=",
        "package base-files",
    ] {
        assert!(overview.contains(sentence), "no {sentence:?} in\n{overview}");
    }
    // The same file, whatever of the image is given.
    let file = |name: &str| image.join(name);
    for (what, path, bytes) in [
        (image.clone(), "/usr/bin/bash", &b"#!bash 5.2-1\n"[..]),
        (file("disk.raw"), "usr/bin/rbash", b"#!bash 5.2-1\n"),
        (file("usr.squashfs"), "/bin/su", b"su"),
        (image.clone(), "uki:.uname", b"6.1.0-1-amd64"),
        (file("small.efi"), "initramfs:/init", sledos::build::INIT),
        (file("initramfs.zst"), "/init", sledos::build::INIT),
        (file("disk.raw"), "esp:/loader/loader.conf", b"timeout 0\neditor no\nauto-entries no\n"),
    ] {
        let out = sledos(&["inspect", text(&what), path]);
        assert!(
            out.stdout == bytes,
            "{path} of {}: {}",
            what.display(),
            String::from_utf8_lossy(&out.stderr)
        );
    }
    let (_, listing) = said(&["inspect", text(&image), "/usr/bin"]);
    let lines: Vec<&str> = listing.lines().collect();
    assert_eq!(lines.len(), 5, "{listing}");
    assert!(listing.contains("-rwsr-xr-x         0:0           2 /usr/bin/su"), "{listing}");
    assert!(listing.contains("/usr/bin/sh -> bash"), "{listing}");
    let (code, refusal) = said(&["inspect", text(&image), "/usr/bin/none"]);
    assert_eq!(code, 2);
    assert!(refusal.contains("has no /usr/bin/none"), "{refusal}");

    for (name, start) in [("map.svg", "<svg "), ("map.html", "<!doctype html>")] {
        let map = dir.path().join("..").join(format!("{name}-{}", std::process::id()));
        let map = map.with_extension(name.rsplit('.').next().unwrap());
        let (code, _) = said(&["inspect", text(&image), "--size-report", text(&map)]);
        assert_eq!(code, 0);
        assert!(fs::read_to_string(&map).unwrap().starts_with(start));
        fs::remove_file(&map).unwrap();
    }
    let json: serde_json::Value =
        serde_json::from_slice(&sledos(&["inspect", text(&image), "--json"]).stdout).unwrap();
    assert_eq!(json["partitions"].as_array().unwrap().len(), 7);
}

#[test]
fn explain_names_owner_lock_line_and_cost() {
    let dir = tempfile::tempdir().unwrap();
    let image = small(dir.path(), PLAIN);
    let (code, bash) = said(&["explain", "/usr/bin/bash", "--image", text(&image)]);
    assert_eq!(code, 0, "{bash}");
    let lock = fs::read_to_string(image.join("small.lock")).unwrap();
    let line = lock.lines().position(|line| line.contains("- name: bash")).unwrap() + 1;
    for sentence in
        ["package bash 5.2-1", &format!("small.lock:{line}"), "of usr.squashfs", "USR-A", "because: [recipe]"]
    {
        assert!(bash.contains(sentence), "no {sentence:?} in\n{bash}");
    }
    let (_, motd) = said(&["explain", "/usr/share/sledos/etc/motd", "--image", text(&image)]);
    assert!(motd.contains("overlay small"), "{motd}");
    let (_, init) = said(&["explain", "initramfs:/init", "--image", text(&image)]);
    assert!(init.contains("fix-up initramfs") && init.contains("of initramfs.zst"), "{init}");
    // /usr as a whole costs all of it.
    let json = sledos(&["explain", "/usr", "--json", "--image", text(&image)]).stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["cost"], fs::metadata(image.join("usr.squashfs")).unwrap().len());
}

#[test]
fn diff_shows_what_differs_and_says_so_with_its_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let a = small(&dir.path().join("a"), PLAIN);
    let same = small(&dir.path().join("same"), PLAIN);
    let other = Taste { version: "2", bash: "5.2-2+longer", argument: "debug", kernel: "6.1.0-2-amd64" };
    let b = small(&dir.path().join("b"), other);
    let (code, nothing) = said(&["diff", text(&a), text(&same)]);
    assert_eq!(code, 0, "{nothing}");
    assert!(nothing.contains("are the same"), "{nothing}");

    let (code, text_form) = said(&["diff", "--cache", text(dir.path()), text(&a), text(&b)]);
    assert_eq!(code, 8, "{text_form}");
    for sentence in [
        "version: 1 → 2",
        "command line: -quiet",
        "command line: +debug",
        "bash 5.2-1 → 5.2-2+longer",
        "no changelog: its .deb is not in the cache",
        "/etc/motd\n    -quiet\n    +debug",
        "~ /usr/bin/bash  content, +7 B",
        "~ /usr/bin/rbash  content",
        ".initrd:",
        "kernel: 6.1.0-1-amd64 → 6.1.0-2-amd64",
        "linux-image-6.1.0-2-amd64 6.1 → 6.1  (was linux-image-6.1.0-1-amd64)",
    ] {
        assert!(text_form.contains(sentence), "no {sentence:?} in\n{text_form}");
    }
    // Nor are modules that only moved with their kernel.
    for same in ["/usr/lib/large", "modules.builtin"] {
        assert!(!text_form.contains(same), "{same} in\n{text_form}");
    }
    let (code, markdown) = said(&["diff", "--markdown", text(&a), text(&b)]);
    assert_eq!(code, 8);
    assert!(markdown.contains("| bash | 5.2-1 | 5.2-2+longer |"), "{markdown}");
    let json = sledos(&["diff", "--json", text(&a.join("small.lock")), text(&b.join("small.lock"))]).stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["packages"][0]["new"], "5.2-2+longer");
    assert!(json["files"].as_array().unwrap().is_empty());
    // Disks are compared without anything beside them.
    let (code, disks) = said(&["diff", text(&a.join("disk.raw")), text(&b.join("disk.raw"))]);
    assert_eq!(code, 8);
    assert!(disks.contains("~ /usr/bin/bash") && disks.contains("esp:/efi/Linux/small_2_"), "{disks}");
}

#[test]
fn a_signature_is_the_same_every_time_and_holds_for_its_image_and_key_only() {
    let dir = tempfile::tempdir().unwrap();
    let image = small(&dir.path().join("image"), PLAIN);
    let key = |name: &str| dir.path().join(name);
    for name in ["release", "other"] {
        assert_eq!(said(&["keys", "new", text(&key(name))]).0, 0);
    }
    let (secret, public, other) = (key("release.key"), key("release.pub"), key("other.pub"));
    let check =
        |key: &std::path::Path| said(&["verify", text(&image), "--artifact-only", "--key", text(key)]);
    let (code, report) = check(&public);
    assert_eq!(code, 5, "an image that nobody signed: {report}");
    assert!(report.contains("cannot read") && report.contains("SHA256SUMS.minisig"), "{report}");

    // Only what was built again and came out the same is signed, unless somebody says so.
    let kept = dir.path().join("cache");
    let sign_verified = || said(&["sign", text(&image), "--key", text(&secret), "--cache", text(&kept)]);
    let (code, report) = sign_verified();
    assert_eq!(code, 5, "{report}");
    assert!(report.contains("run `sledos verify`") && report.contains("--unverified"), "{report}");
    let cache = sledos::cache::Cache::open(&kept).unwrap();
    cache.record_verified(&sledos::verify::identity(&image).unwrap()).unwrap();
    assert_eq!(sign_verified().0, 0);

    let files = ["SHA256SUMS.minisig", "provenance.intoto.jsonl"].map(|name| image.join(name));
    let sign = || {
        assert_eq!(said(&["sign", text(&image), "--unverified", "--key", text(&secret)]).0, 0);
        files.each_ref().map(|file| fs::read(file).unwrap())
    };
    assert_eq!(sign(), sign());
    let (code, report) = check(&public);
    assert_eq!(code, 0, "{report}");
    assert!(report.contains("ok     a trusted key signed"), "{report}");
    let (code, report) = said(&["verify", text(&image), "--artifact-only"]);
    assert_eq!(code, 0, "{report}");
    assert!(report.contains("not looked at: it is signed; --key says whom to trust"), "{report}");
    let (code, report) = check(&other);
    assert_eq!(code, 5, "{report}");
    assert!(
        report.contains("which is not trusted") && report.contains("no trusted key signed it"),
        "{report}"
    );
    // One of several keys is enough.
    let both = ["verify", text(&image), "--artifact-only", "--key", text(&other), "--key", text(&public)];
    assert_eq!(said(&both).0, 0);
    let (code, wrong) = check(&secret);
    assert_eq!(code, 5, "{wrong}");
    assert!(wrong.contains("the file that ends in .pub"), "{wrong}");

    // The signatures of another image of the same key.
    let taste = Taste { version: "2", ..PLAIN };
    let second = small(&dir.path().join("second"), taste);
    assert_eq!(said(&["sign", text(&second), "--unverified", "--key", text(&secret)]).0, 0);
    for (n, sentence) in [(0, "does not match the document"), (1, "it says something else than the image's")]
    {
        let own = fs::read(&files[n]).unwrap();
        fs::copy(second.join(files[n].file_name().unwrap()), &files[n]).unwrap();
        let (code, report) = check(&public);
        assert_eq!((code, report.matches("\n         ").count()), (5, 1), "{report}");
        assert!(report.contains(sentence), "{report}");
        fs::write(&files[n], own).unwrap();
    }
    // A damaged image is not signed.
    fs::write(second.join("vmlinuz"), b"another kernel").unwrap();
    let before = fs::read(second.join("SHA256SUMS.minisig")).unwrap();
    let (code, report) = said(&["sign", text(&second), "--unverified", "--key", text(&secret)]);
    assert_eq!(code, 5, "{report}");
    assert_eq!(fs::read(second.join("SHA256SUMS.minisig")).unwrap(), before);
}
