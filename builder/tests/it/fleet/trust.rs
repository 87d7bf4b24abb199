//! Whose images documents are signed for.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use serde_json::json;

use super::support::Case;

const COMPILE: [&str; 6] = ["fleet", "compile", "--key", "ops.key", "--output", "www"];
const NEWEST: &str = "20261124.0800";

/// A case whose images need a signature by `release.key`.
fn case() -> Case {
    let case = Case::new();
    case.works(&["keys", "new", "release"]);
    let public = fs::read_to_string(case.path("release.pub")).unwrap();
    case.edit("trust: none", &format!("trust: [{}]", public.lines().nth(1).unwrap()));
    case
}

#[test]
fn a_fleet_file_that_does_not_say_whose_images_it_takes_makes_no_documents() {
    let case = Case::new();
    case.edit("images: {trust: none}\n", "");
    for verb in [&COMPILE[..], &["publish", "www", "--key", "ops.key"]] {
        case.fails(verb, 3, "add `images: {trust: [RW…]}`");
        case.fails(verb, 3, "`images: {trust: none}` when you build images here");
    }
    assert!(!case.path("www").exists());
    case.edit("racks:\n", "images: {trust: []}\nracks:\n");
    case.fails(&COMPILE, 3, "empty list");
    case.edit("trust: []", "trust: all");
    case.fails(&COMPILE, 3, "images.trust");
}

#[test]
fn documents_are_made_for_images_of_the_release_key_alone() {
    let case = case();
    case.fails(&COMPILE, 3, "there is no SHA256SUMS.minisig; `sledos sign DIR --key release.key`");
    case.works(&["keys", "new", "other"]);
    case.sign(NEWEST, "other.key");
    case.fails(&COMPILE, 3, "which is not trusted");
    assert!(!case.path("www").exists());
    case.sign(NEWEST, "release.key");
    let says = case.works(&COMPILE);
    let key = fs::read_to_string(case.path("release.pub")).unwrap();
    let key = metadata::signature::TrustedKey::parse(key.lines().nth(1).unwrap()).unwrap().id();
    assert!(says.contains(&format!("root hash {}, signed by {key}", "cd".repeat(32))), "{says}");

    // What is signed is what the manifest says: another root hash, another sum.
    let dir = case.path("output/compute").join(NEWEST);
    let file = dir.join("manifest.json");
    let good = fs::read_to_string(&file).unwrap();
    fs::write(&file, good.replace("cdcd", "abcd")).unwrap();
    case.fails(&COMPILE, 3, "SHA256SUMS has the hash of another manifest.json");
    case.sums(NEWEST);
    case.fails(&COMPILE, 3, "does not match");
    let mut other: serde_json::Value = serde_json::from_str(&good).unwrap();
    other["artefacts"]["usr.squashfs"]["sha256"] = json!("00".repeat(32));
    fs::write(&file, other.to_string()).unwrap();
    case.fails(&COMPILE, 3, "SHA256SUMS has the hash of another");
    fs::write(&file, good).unwrap();
    case.sums(NEWEST);
    case.works(&COMPILE);
}

#[test]
fn a_made_up_manifest_is_no_image() {
    let case = Case::new();
    let sums = case.path("output/compute").join(NEWEST).join("SHA256SUMS");
    let good = fs::read_to_string(&sums).unwrap();
    fs::remove_file(&sums).unwrap();
    case.fails(&COMPILE, 3, "there is no SHA256SUMS");
    let without: String =
        good.lines().filter(|line| !line.ends_with("usr.verity")).map(|l| format!("{l}\n")).collect();
    fs::write(&sums, without).unwrap();
    case.fails(&COMPILE, 3, "usr.verity is not in SHA256SUMS");
    fs::write(&sums, good).unwrap();
    let says = case.works(&COMPILE);
    assert!(says.contains("image compute/20261124.0800, ") && says.contains("unsigned"), "{says}");
}

#[test]
fn a_version_that_was_published_is_that_image_for_ever() {
    let case = Case::new();
    case.works(&COMPILE);
    let replace = |hash: &str| {
        let file = case.path("output/compute").join(NEWEST).join("manifest.json");
        let text = fs::read_to_string(&file).unwrap();
        let (before, rest) = text.split_once("\"root-hash\": \"").unwrap();
        fs::write(&file, format!("{before}\"root-hash\": \"{hash}{}", &rest[64..])).unwrap();
        case.sums(NEWEST);
    };
    let [then, now] = ["cd", "ab"].map(|byte| byte.repeat(32));
    replace(&now);
    let says = format!("published: {then}; now: {now}");
    case.fails(&COMPILE, 3, &says);
    case.fails(&["publish", "www", "--key", "ops.key"], 3, &says);
    assert!(!case.path("www/images").exists(), "nothing was exchanged for it");
    case.fails(&COMPILE, 3, "another --image-version");
    // It is remembered when no document names it any more.
    case.edit("image: compute\n", "image: compute@20261123.0800\n");
    case.works(&COMPILE);
    case.edit("compute@20261123.0800\n", "compute\n");
    case.fails(&COMPILE, 3, &says);
    replace(&then);
    case.works(&COMPILE);
}

#[test]
fn what_firmware_gets_is_what_the_manifest_says() {
    let case = Case::new();
    case.works(&["publish", "www", "--key", "ops.key"]);
    let (efi, handed) =
        (case.path("output/compute").join(NEWEST).join("compute.efi"), case.path("www/pxe/boot.efi"));
    let good = fs::read_to_string(&efi).unwrap();
    assert_ne!(fs::metadata(&efi).unwrap().ino(), fs::metadata(&handed).unwrap().ino(), "it is a copy");
    fs::write(&efi, good.replace("efi", "EFI")).unwrap();
    assert_eq!(fs::read_to_string(&handed).unwrap(), good);
    fs::remove_file(&handed).unwrap();
    case.fails(&["publish", "www", "--key", "ops.key"], 1, "it is not what its manifest says");
    assert!(!handed.exists());
}
