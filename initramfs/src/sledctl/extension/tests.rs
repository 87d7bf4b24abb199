use super::*;
use crate::sledctl::ready::tests::document;
use metadata::document::Document;
use serde_json::json;
use std::fs;

/// A document whose image has one extension.
fn with_debug(change: impl FnOnce(&mut Value)) -> SledDocument {
    let mut text = document();
    let file = |name: &str| json!({"file": name, "size": 1, "sha256": "ab".repeat(32)});
    text["image"]["extensions"]["debug"] = json!({
        "root-hash": "cd".repeat(32),
        "squashfs": file("debug.sysext.squashfs"),
        "verity": file("debug.sysext.verity"),
    });
    change(&mut text);
    match Document::parse(text.to_string().as_bytes()).unwrap() {
        Document::Sled(document) => *document,
        Document::Retired(_) => unreachable!("it is a sled's"),
    }
}

fn running() -> String {
    "ab".repeat(32)
}

#[test]
fn what_is_merged_is_what_the_document_names_for_the_running_image() {
    let image = wanted(&with_debug(|_| ()), &running(), "debug").unwrap();
    assert_eq!(image.root_hash.to_string(), "cd".repeat(32));
    assert_eq!((&*image.usr.file, &*image.verity.file), ("debug.sysext.squashfs", "debug.sysext.verity"));
    let refused = |document, running: &str, name| wanted(&document, running, name).unwrap_err();
    let other = refused(with_debug(|_| ()), &running(), "mesos");
    assert_eq!(other, "the signed document names no extension mesos; it names: debug");
    let none = refused(with_debug(|text| text["image"]["extensions"] = json!({})), &running(), "debug");
    assert!(none.ends_with("it names: none"), "{none}");
    let before = refused(with_debug(|_| ()), &"ef".repeat(32), "debug");
    assert!(before.contains("compute 1") && before.contains("another image"), "{before}");
}

#[test]
fn a_name_that_would_lead_elsewhere_is_refused_before_anything_else() {
    let root = tempfile::tempdir().unwrap();
    let sled = Sled::new(root.path());
    for name in ["", "..", "a/b", "../etc", "Debug", "a\n", "-a", &"a".repeat(33)] {
        assert!(
            wanted(&with_debug(|_| ()), &running(), name).unwrap_err().contains("is not the name"),
            "{name}"
        );
        assert!(unmerge(&sled, name).unwrap_err().contains("is not the name"), "{name}");
    }
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}

/// A sled with a systemd-sysext that lays nothing over anything.
fn sled(root: &std::path::Path) -> Sled {
    use std::os::unix::fs::PermissionsExt;
    for dir in ["run/sledos", "run/extensions", "usr/bin", "usr/lib/extension-release.d"] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    let program = root.join("usr/bin/systemd-sysext");
    fs::write(&program, "#!/bin/sh\nexit 0\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    Sled::new(root)
}

#[test]
fn only_what_usr_has_is_merged_and_unmerging_twice_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    let sled = sled(root.path());
    assert_eq!(unmerge(&sled, "debug").unwrap_err(), "debug is not merged");
    fs::create_dir_all(root.path().join("run/initramfs/extensions/debug")).unwrap();
    assert_eq!(state(&sled, "debug"), State::Half);
    let document = with_debug(|_| ());
    assert_eq!(super::json(&sled, &document), None);
    fs::create_dir(root.path().join("run/extensions/debug")).unwrap();
    let release = root.path().join("usr/lib/extension-release.d/extension-release.debug");
    fs::write(&release, "").unwrap();
    assert_eq!(state(&sled, "debug"), State::Merged);
    assert_eq!(super::json(&sled, &document), Some(json!(["debug"])));
    fs::remove_file(&release).unwrap();
    take_away(&sled, "debug").unwrap();
    assert_eq!(state(&sled, "debug"), State::Absent);
    assert!(!root.path().join("run/extensions/debug").exists());
}

#[test]
fn a_block_that_never_comes_right_is_asked_for_a_few_times() {
    struct Anything(Mutex<u32>);
    impl Source for Anything {
        fn open(&self, _: &str, _: u64) -> Result<Box<dyn Read + '_>, String> {
            *self.0.lock().unwrap() += 1;
            Ok(Box::new(std::io::empty()))
        }
    }
    let source = |late: &'static (dyn Fn() -> bool + Sync)| Patient {
        servers: Anything(Mutex::default()),
        late,
        last: Mutex::default(),
    };
    let few = source(&|| false);
    for at in [0, 4096, 8192, 8192, 8192] {
        few.open("a", at).unwrap();
    }
    let why = few.open("a", 8192).err().unwrap();
    assert_eq!(why, "no server gave block 2 as the root hash wants it");
    assert_eq!(*few.servers.0.lock().unwrap(), 5);
    few.open("b", 8192).unwrap();
    assert!(source(&|| true).open("a", 0).err().unwrap().contains("300 s"));
}
