//! `sledos publish`: releases that readers see whole, and images that never change.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::Value;

use super::support::Case;

const PUBLISH: [&str; 4] = ["publish", "www", "--key", "ops.key"];
const BOARD: &str = "www/v1/board/ZM18AS036101.json";

/// The document of a sled, and where the image it names was published.
fn document(case: &Case) -> (Value, PathBuf) {
    let value: Value = serde_json::from_slice(&fs::read(case.path(BOARD)).unwrap()).unwrap();
    let version = value["image"]["version"].as_str().unwrap().to_owned();
    (value, case.path("www/images/compute").join(version))
}

#[test]
fn a_release_has_all_that_its_documents_name_and_a_second_one_changes_nothing() {
    let case = Case::new();
    let says = case.works(&PUBLISH);
    assert!(says.contains("compute/20261124.0800            new"), "{says}");
    let (value, image) = document(&case);
    assert_eq!(fs::read_to_string(image.join("usr.squashfs")).unwrap(), "usr.squashfs of 20261124.0800");
    assert_eq!(value["image"]["urls"][0], "http://10.0.0.2:8080/images/compute/20261124.0800");
    assert!(image.join("manifest.json").is_file());
    assert!(!case.path("www/images/compute/20261123.0800").exists(), "no document names it");
    // One UKI for firmware that takes one.
    assert_eq!(fs::read_to_string(case.path("www/pxe/boot.efi")).unwrap(), "compute.efi of 20261124.0800");
    let before = fs::metadata(case.path(BOARD)).unwrap().modified().unwrap();
    let says = case.works(&PUBLISH);
    assert!(says.contains("0 images new (0 MiB), 0 documents new, 2 as they were"), "{says}");
    assert_eq!(fs::metadata(case.path(BOARD)).unwrap().modified().unwrap(), before);
}

#[test]
fn what_is_broken_or_changed_is_not_published_and_the_old_release_stays() {
    let case = Case::new();
    case.works(&PUBLISH);
    case.image("20261125.0800", 3);
    let usr = case.path("output/compute/20261125.0800/usr.squashfs");
    fs::write(&usr, fs::read_to_string(&usr).unwrap().replace("usr", "USR")).unwrap();
    case.fails(&PUBLISH, 5, "is not what the manifest beside it says");
    assert!(document(&case).1.ends_with("20261124.0800"));
    let left = fs::read_dir(case.path("www/images/compute")).unwrap().count();
    assert_eq!(left, 1, "nothing half is left");
    // The same version, built again from something else.
    fs::remove_dir_all(case.path("output/compute/20261125.0800")).unwrap();
    case.image("20261124.0800", 4);
    case.fails(&PUBLISH, 5, "was published before, and is another image");
}

#[test]
fn a_link_beside_an_image_publishes_nothing_of_its_publisher() {
    let case = Case::new();
    let from = case.path("output/compute/20261124.0800");
    std::os::unix::fs::symlink(case.path("ops.key"), from.join("notes.txt")).unwrap();
    fs::write(from.join("README"), "ours").unwrap();
    case.works(&PUBLISH);
    let (_, image) = document(&case);
    assert!(image.join("README").is_file() && image.join("SHA256SUMS").is_file());
    assert!(!image.join("notes.txt").exists(), "the key is published");
}

#[test]
fn a_reader_never_sees_half_a_release() {
    let case = Case::new();
    case.works(&PUBLISH);
    let (done, reads) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut versions = std::collections::BTreeSet::new();
            while !done.load(Ordering::Relaxed) {
                let (value, image) = document(&case);
                let length = fs::metadata(image.join("usr.squashfs")).unwrap().len();
                assert_eq!(Some(length), value["image"]["usr"]["size"].as_u64());
                versions.insert(image);
                reads.fetch_add(1, Ordering::Relaxed);
            }
            versions.len()
        });
        for n in 1..=8 {
            case.image(&format!("20261201.000{n}"), 10 + n);
            let before = reads.load(Ordering::Relaxed);
            case.works(&PUBLISH);
            while reads.load(Ordering::Relaxed) < before + 2 && !reader.is_finished() {
                std::thread::yield_now();
            }
        }
        done.store(true, Ordering::Relaxed);
        assert!(reader.join().unwrap() >= 8);
    });
}
