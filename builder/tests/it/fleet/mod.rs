//! `sledos fleet` and `sledos keys` as they are run: files on disk, exit codes, and the
//! stock minisign as judge.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod few;
mod fresh;
mod layout;
mod publish;
mod serve;
mod simulate;
mod support;
mod trust;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;

use support::Case;

/// Inode and time of every file, by path.
fn files(dir: &Path) -> BTreeMap<String, (u64, i64, i64)> {
    let mut found = BTreeMap::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(at) = todo.pop() {
        for entry in fs::read_dir(&at).unwrap().map(Result::unwrap) {
            let meta = entry.metadata().unwrap();
            if meta.is_dir() {
                todo.push(entry.path());
            } else {
                let path = entry.path().strip_prefix(dir).unwrap().display().to_string();
                found.insert(path, (meta.ino(), meta.mtime(), meta.mtime_nsec()));
            }
        }
    }
    found
}

#[test]
fn keys_are_private_and_never_overwritten() {
    let case = Case::new();
    let mode = fs::metadata(case.path("ops.key")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let before = fs::read(case.path("ops.key")).unwrap();
    case.fails(&["keys", "new", "ops"], 1, "not overwritten");
    assert_eq!(fs::read(case.path("ops.key")).unwrap(), before);

    fs::write(case.path("password"), "secret\n").unwrap();
    case.works(&["keys", "new", "locked", "--password-file", "password"]);
    let compile = ["fleet", "compile", "--key", "locked.key", "--output", "www"];
    case.fails(&compile, 5, "--password-file");
    case.fails(&["fleet", "compile", "--key", "ops.pub", "--output", "www"], 5, "public key");
    case.fails(&[&compile[..], &["--password-file", "password"]].concat(), 3, "is not in `trust:`");
    assert!(!case.path("www").exists());
}

#[test]
fn the_stock_minisign_verifies_every_document() {
    let case = Case::new();
    case.compile(1_800_000_000, &[]);
    let documents: Vec<_> = files(&case.path("www")).into_keys().filter(|p| p.ends_with(".json")).collect();
    assert!(documents.len() == 8, "{documents:?}");
    for document in documents {
        let verify = |key: &str| {
            Command::new("minisign")
                .args(["-V", "-q", "-p", key, "-m"])
                .arg(case.path("www").join(&document))
                .current_dir(case.path(""))
                .output()
                .expect("minisign is needed (Debian package minisign)")
        };
        let output = verify("ops.pub");
        assert!(output.status.success(), "{document}: {}", String::from_utf8_lossy(&output.stderr));
        if document.ends_with("/1.json") {
            case.works(&["keys", "new", "other"]);
            assert!(!verify("other.pub").status.success(), "another key must not do");
        }
    }
}

#[test]
fn what_does_not_change_is_the_same_file() {
    let case = Case::new();
    case.compile(1_800_000_000, &[]);
    let first = files(&case.path("www/v1"));
    case.compile(1_800_000_000 + 40 * 86_400, &[]);
    assert_eq!(files(&case.path("www/v1")), first, "no document is touched");

    case.edit("mtu: 9000", "mtu: 8900");
    case.edit("config: {}", "config: {networks: {data: {mtu: 9000}}}");
    case.compile(1_800_000_000 + 41 * 86_400, &[]);
    let second = files(&case.path("www/v1"));
    let touched = |sled: &str| first.iter().filter(|(p, _)| p.contains(sled)).any(|(p, at)| second[p] != *at);
    assert!(touched("ZM18AS036101") && !touched("ZM18AS036102"), "only the first sled has another MTU");
    let mut left: Vec<_> = fs::read_dir(case.path("www")).unwrap().map(|e| e.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, [".compiled", "v1"], "nothing half-made is left");
}

#[test]
fn images_are_held_against_the_fleet_when_they_are_given() {
    let case = Case::new();
    let check = ["fleet", "check", "--images", "output"];
    case.works(&check);
    let core = "{\"ignition\": {\"version\": \"3.3.0\"}, \"passwd\": {\"users\": [{\"name\": \"core\", \"groups\": [\"sudo\", \"GROUP\"]}]}}";
    fs::write(case.path("core.ign"), core.replace("GROUP", "wheel")).unwrap();
    case.edit("    image: compute\n", "    image: compute\n    ignition: core.ign\n");
    case.works(&["fleet", "check"]);
    let says = "`r12-b01` of image `compute`: there is no group `wheel`";
    case.fails(&check, 3, says);
    case.fails(&["fleet", "compile", "--key", "ops.key", "--output", "www"], 3, says);
    assert!(!case.path("www").exists());
    fs::write(case.path("core.ign"), core.replace("GROUP", "docker")).unwrap();
    case.works(&check);
    case.edit("image: compute\n", "image: compute@20261199.0000\n");
    case.works(&["fleet", "check"]);
    case.fails(&check, 3, "cannot use the image `compute@20261199.0000`");
}

#[test]
fn replaced_hardware_end_to_end() {
    let case = Case::new();
    case.compile(1_800_000_000, &[]);
    let out = case.works(&[
        "fleet",
        "replace",
        "r12/2",
        "--serial",
        "ZM18AS099999",
        "--mac",
        "52-54-00-99-00-01",
        "--date",
        "2026-11-24",
    ]);
    assert!(out.contains("retired on 2026-11-24: board ZM18AS036102"), "{out}");
    let text = fs::read_to_string(case.path("fleet.yaml")).unwrap();
    assert!(text.contains("# a comment that stays"));
    case.compile(1_800_000_001, &[]);
    let read = |path: &str| fs::read_to_string(case.path("www/v1").join(path)).unwrap();
    assert!(
        read("board/ZM18AS036102.json")
            .contains("\"retired\":\"replaced on 2026-11-24 by board ZM18AS099999\"")
    );
    assert!(read("mac/52-54-00-99-00-01.json").contains("\"sled\":\"r12-b02\""));
    assert!(read("location/r12/2.json").contains("\"generation\":2"));

    let before = fs::read(case.path("fleet.yaml")).unwrap();
    case.fails(&["fleet", "replace", "r12/2", "--serial", "ZM18AS036101"], 3, "is here twice");
    case.fails(&["fleet", "replace", "r12/2", "--mac", "nonsense"], 2, "not a MAC address");
    case.fails(&["fleet", "replace", "r12/2"], 2, "--serial");
    assert_eq!(fs::read(case.path("fleet.yaml")).unwrap(), before);
}

#[test]
fn a_sheet_is_shown_first_and_written_when_asked() {
    let case = Case::new();
    let sheet =
        "\u{feff}Slot;Board S/N;MAC\r\n3;ZM18AS036103;52-54-00-12-00-03\r\n4;ZM18AS036104;5254.0012.0004\r\n";
    fs::write(case.path("vendor.csv"), sheet).unwrap();
    let import = ["fleet", "import", "vendor.csv", "--rack", "r12", "--role", "compute"];
    let before = fs::read_to_string(case.path("fleet.yaml")).unwrap();
    let out = case.works(&import);
    assert!(out.contains("+  r12-b03: {rack: r12, bay: 3,") && out.contains("--write does it"), "{out}");
    assert_eq!(fs::read_to_string(case.path("fleet.yaml")).unwrap(), before);
    fs::write(case.path("bad.csv"), sheet.replace("ZM18AS036104", "1.2E+11")).unwrap();
    let bad = ["fleet", "import", "bad.csv", "--rack", "r12", "--role", "compute", "--write"];
    case.fails(&bad, 3, "bad.csv:3:3");
    assert_eq!(fs::read_to_string(case.path("fleet.yaml")).unwrap(), before);
    case.works(&[&import[..], &["--write"]].concat());
    case.works(&["fleet", "check"]);
    case.compile(1_800_000_000, &[]);
    assert!(case.path("www/v1/mac/52-54-00-12-00-04.json").exists());
}

#[test]
fn images_that_are_missing_or_broken_are_named() {
    let case = Case::new();
    let compile = ["fleet", "compile", "--key", "ops.key", "--output", "www"];
    let version = case.path("output/compute/20261124.0800");
    fs::write(version.join("usr.squashfs"), "longer than it was").unwrap();
    case.fails(&compile, 3, "its manifest says");
    fs::remove_dir_all(case.path("output/compute")).unwrap();
    case.fails(&compile, 3, "cannot use the image `compute`");
    assert!(!case.path("www").exists());
}

#[test]
fn show_and_check() {
    let case = Case::new();
    case.fails(&["fleet", "show", "r12-b1"], 2, "did you mean `r12-b01`?");
    let out = case.works(&["fleet", "show", "r12-b01", "--explain"]);
    let mtu = out.lines().find(|l| l.starts_with("config.networks.data.mtu")).unwrap();
    assert!(mtu.contains("9000") && mtu.contains("fleet.yaml:") && mtu.ends_with("role compute"), "{mtu}");
    let shown: serde_json::Value =
        serde_json::from_str(&case.works(&["fleet", "show", "r12-b01", "--json"])).unwrap();
    assert_eq!(shown["config"]["networks"]["data"]["addresses"][0], "10.0.1.11/16");
    case.edit("mtu: 9000", "mtu: 90000");
    case.fails(&["fleet", "check"], 3, "it must be 68 to 65535");
}

#[test]
fn what_no_image_of_ours_says_is_not_signed() {
    let case = Case::new();
    let file = case.path("output/compute/20261124.0800/manifest.json");
    let text = fs::read(&file).unwrap();
    let good: serde_json::Value = serde_json::from_slice(&text).unwrap();
    // The year 36812; before 1970; a line of its own in every boot script; a text shown backwards.
    let wrong = [
        ("/time", serde_json::json!(1_099_511_627_776_i64), "has the time"),
        ("/time", serde_json::json!(-1), "has the time"),
        ("/kernel/cmdline", serde_json::json!("quiet\nchain http://evil.test"), "control characters"),
        ("/kernel/cmdline", serde_json::json!("quiet \u{202e}x"), "control characters"),
    ];
    for (pointer, value, says) in wrong {
        let mut manifest = good.clone();
        *manifest.pointer_mut(pointer).unwrap() = value;
        fs::write(&file, manifest.to_string()).unwrap();
        case.fails(&["fleet", "compile", "--key", "ops.key", "--output", "www"], 3, says);
        assert!(!case.path("www/v1").exists());
    }
    fs::write(&file, &text).unwrap();
    case.works(&["fleet", "compile", "--key", "ops.key", "--output", "www"]);
}

/// A figure, not a test: printed with `--nocapture`.
#[test]
fn six_hundred_sleds() {
    let case = Case::new();
    case.grow(600);
    let first = case.compile(1_800_000_000, &["--json"]);
    let again = case.compile(1_800_000_000, &["--json"]);
    let seconds = |text: &str| {
        let json: serde_json::Value = serde_json::from_str(text).unwrap();
        (
            json["seconds"].as_f64().unwrap(),
            json["files"].to_string(),
            json["sleds"].as_object().unwrap().len(),
        )
    };
    let ((first, files, sleds), (again, ..)) = (seconds(&first), seconds(&again));
    assert_eq!(sleds, 600);
    println!("600 sleds: {first:.3} s at first, {again:.3} s without a change; {files}");
}
