//! One mutation, one named error; nothing makes a verb panic.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sledos::artefacts::manifest;
use sledos::verify;

use crate::proof::support::{PLAIN, said, seal, small};
use crate::proof::text;

fn flip(file: &Path, at: u64) {
    let open = File::options().read(true).write(true).open(file).unwrap();
    let mut byte = [0];
    open.read_exact_at(&mut byte, at).unwrap();
    open.write_all_at(&[byte[0] ^ 0x40], at).unwrap();
}

/// What `verify` says of a damaged image whose sums were made again.
fn problems(dir: &Path) -> Vec<String> {
    seal(dir);
    match verify::artefacts(dir, &[]) {
        Ok(report) => report
            .checks
            .iter()
            .flat_map(|check| check.problems.iter().map(|problem| format!("{}: {problem}", check.name)))
            .collect(),
        Err(error) => {
            let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |e| e.source());
            vec![causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")]
        }
    }
}

#[test]
fn each_flipped_byte_is_found_where_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let image = small(&dir.path().join("image"), PLAIN);
    let parts = manifest(&image.join("manifest.json")).unwrap().partitions;
    let start = |label: &str| parts.iter().find(|p| p.label == label).unwrap().start;
    let disk_len = fs::metadata(image.join("disk.raw")).unwrap().len();
    for (file, at, expected) in [
        ("disk.raw", 0, "disk.raw: the primary partition table (from byte 0) differs from byte 0 on"),
        ("disk.raw", 512, "the primary partition table: it has no signature"),
        ("disk.raw", 512 + 17, "the primary partition table: the checksum of its header is wrong"),
        ("disk.raw", 1024 + 20, "the primary partition table: the checksum of its entries is wrong"),
        ("disk.raw", disk_len - 512, "the backup partition table: it has no signature"),
        ("disk.raw", start("EFI-SYSTEM") + 3, "partition EFI-SYSTEM differs from byte 3 on"),
        ("disk.raw", start("EFI-SYSTEM") + 510, "there is no such filesystem: no boot sector"),
        ("disk.raw", start("USR-A"), "byte 0 of USR-A is another than in usr.squashfs"),
        ("disk.raw", start("USR-A-VERITY") + 4096, "byte 4096 of USR-A-VERITY is another than in usr.verity"),
        ("disk.raw", start("USR-B") + 77, "byte 77 of USR-B is not zero"),
        ("disk.raw", start("OEM") + 5000, "disk.raw: partition OEM differs from byte 5000 on"),
        ("disk.raw", start("ROOT") + 1080, "disk.raw: partition ROOT differs from byte 1080 on"),
        ("usr.squashfs", 0, "squashfs: there is none: the magic number"),
        ("usr.squashfs", 5000, "block 1 of usr.squashfs (from byte 4096) is damaged: /usr/lib/large"),
        ("usr.verity", 0, "there is no verity superblock"),
        ("usr.verity", 4096, "block 1 of the verity tree does not lead to the root hash"),
        (
            "debug.sysext.squashfs",
            100,
            "block 0 of debug.sysext.squashfs (from byte 0) is damaged: extension debug",
        ),
        ("debug.sysext.verity", 0, "there is no verity superblock"),
        ("initramfs.zst", 0, "initramfs.zst does not unpack"),
        ("vmlinuz", 0, ".linux of the UKI is not vmlinuz"),
        ("small.efi", 0, "not a readable 64-bit PE image"),
        ("boot.ipxe", 0, "the manifest and SHA256SUMS have different hashes"),
        ("files.json.zst", 0, "files.json.zst does not unpack"),
        ("small.lock", 2, "the lock beside the image is not the one in the manifest's inputs"),
        ("manifest.json", 0, "is no manifest of this version of sledos"),
    ] {
        flip(&image.join(file), at);
        let found = problems(&image);
        assert!(
            found.iter().any(|problem| problem.contains(expected)),
            "{file}, byte {at}: no {expected:?} in {found:#?}"
        );
        flip(&image.join(file), at);
    }
    seal(&image);
    assert_eq!(problems(&image), Vec::<String>::new());
    // Without new sums, the sums tell.
    flip(&image.join("vmlinuz"), 3);
    let (code, report) = said(&["verify", "--artifact-only", text(&image)]);
    assert_eq!(code, 5);
    assert!(report.contains("vmlinuz has the sha256"), "{report}");
    fs::write(image.join("more"), "x").unwrap();
    fs::remove_file(image.join("boot.ipxe")).unwrap();
    let (_, report) = said(&["verify", "--artifact-only", text(&image)]);
    assert!(
        report.contains("more is not in SHA256SUMS") && report.contains("boot.ipxe is missing"),
        "{report}"
    );
}

#[test]
fn a_cut_at_every_boundary_is_an_error_with_a_name() {
    let dir = tempfile::tempdir().unwrap();
    let image = small(&dir.path().join("image"), PLAIN);
    let parts = manifest(&image.join("manifest.json")).unwrap().partitions;
    let cut = dir.path().join("cut");
    let disk = File::open(image.join("disk.raw")).unwrap();
    // Sparse: only what is cut off matters.
    let mut ends: Vec<u64> = parts.iter().flat_map(|p| [p.start, p.start + p.size]).collect();
    ends.extend([0, 1, 511, 512, 519, 520, 1024, 1536, 17_408]);
    for end in ends {
        let mut head = vec![0; usize::try_from(end.min(17 << 10)).unwrap()];
        disk.read_exact_at(&mut head, 0).unwrap();
        fs::write(&cut, head).unwrap();
        File::options().write(true).open(&cut).unwrap().set_len(end).unwrap();
        let (code, refusal) = said(&["inspect", text(&cut)]);
        let named = ["has no usable partition table", "is no image: ", "an empty file"]
            .iter()
            .any(|s| refusal.contains(s));
        assert!(named && [2, 5].contains(&code), "cut at {end}: {code} {refusal}");
    }
    for (name, boundaries) in [
        ("usr.squashfs", [1, 95, 96, 4096]),
        ("initramfs.zst", [3, 4, 20, 5000]),
        ("small.efi", [1, 63, 64, 1000]),
    ] {
        let whole = fs::read(image.join(name)).unwrap();
        for end in boundaries.into_iter().chain([whole.len() - 4097]) {
            fs::write(&cut, &whole[..end]).unwrap();
            let (code, refusal) = said(&["inspect", text(&cut)]);
            // What is left of a UKI may still have all headers; then its sections are cut.
            assert!([2, 5].contains(&code), "{name} cut at {end}: {code} {refusal}");
        }
    }
}

#[test]
fn what_is_no_image_is_refused_by_every_verb() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    for (bytes, expected) in [
        (&b""[..], "an empty file"),
        (b"#!/bin/sh\n", "no format of ours"),
        (&[0; 5000], "no format of ours"),
        (b"MZ", "cannot read"),
        (b"hsqs", "there is none: it is too short"),
        (b"\x28\xb5\x2f\xfd", "does not unpack"),
    ] {
        fs::write(&file, bytes).unwrap();
        let image = text(&file);
        for args in [
            &["inspect", image][..],
            &["inspect", image, "/usr"],
            &["diff", image, image],
            &["explain", "/usr", "--image", image],
            &["verify", image],
        ] {
            let (code, refusal) = said(args);
            // Verbs that need a directory say that first.
            let refused = [expected, "is a single file", "has no "].iter().any(|s| refusal.contains(s));
            let same = args[0] == "diff" && code == 0;
            assert!(same || refused && [2, 5].contains(&code), "{args:?} on {bytes:?}: {code} {refusal}");
        }
    }
    let (code, refusal) = said(&["inspect", text(dir.path())]);
    assert_eq!(code, 2);
    assert!(refusal.contains("a directory without manifest.json"), "{refusal}");
    let (code, _) = said(&["inspect", "/nowhere/at/all"]);
    assert_eq!(code, 1);
}

/// Many more than one byte, anywhere in the files that are read.
#[test]
fn random_damage_never_panics() {
    let dir = tempfile::tempdir().unwrap();
    let image = small(&dir.path().join("image"), PLAIN);
    let names = ["usr.squashfs", "usr.verity", "initramfs.zst", "small.efi", "files.json.zst", "disk.raw"];
    let strategy = (0..names.len(), prop::collection::vec(any::<prop::sample::Index>(), 1..6));
    let mut runner = TestRunner::new(Config { cases: 60, failure_persistence: None, ..Config::default() });
    runner
        .run(&strategy, |(file, places)| {
            let file = image.join(names[file]);
            let len = usize::try_from(fs::metadata(&file).unwrap().len()).unwrap().min(2 << 20);
            let places: Vec<u64> = places.iter().map(|at| at.index(len) as u64).collect();
            places.iter().for_each(|at| flip(&file, *at));
            let found = verify::artefacts(&image, &[]);
            let even = places.iter().all(|at| places.iter().filter(|p| *p == at).count() % 2 == 0);
            prop_assert!(even || found.is_err() || found.is_ok_and(|report| report.problems().count() > 0));
            places.iter().for_each(|at| flip(&file, *at));
            Ok(())
        })
        .unwrap();
}
