//! The recipes and overlays of the repository, as far as they can be judged
//! without any package. Needs `sh` (dash) and python3 for JSON.

use std::path::{Path, PathBuf};
use std::process::Command;

use sledos::recipe::{self, Recipe};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn shipped() -> Vec<Recipe> {
    ["compute", "storage", "anynic"]
        .map(|name| {
            let file = repository().join(format!("recipes/{name}.yaml"));
            recipe::load(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
        })
        .into()
}

fn files(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("a directory of the repository") {
        let path = entry.expect("a directory of the repository").path();
        if path.is_dir() { files(&path, out) } else { out.push(path) }
    }
}

#[test]
fn every_shipped_recipe_loads_and_extends_compute() {
    let recipes = shipped();
    for recipe in &recipes {
        assert!(recipe.packages.contains("systemd-boot-efi"), "{}: no EFI stub", recipe.name);
        assert!(recipe.components.contains_key("mesos-agent"), "{}", recipe.name);
        assert!(recipe.enable.contains_key("docker.service"), "{}", recipe.name);
        for package in &recipe.packages {
            assert!(
                !recipe.provided.contains_key(package),
                "{}: {package} is asked for and left out",
                recipe.name
            );
        }
    }
    let all = recipes.iter().find(|r| r.name == "anynic").unwrap();
    assert!(all.nics.iter().all(|n| n.initramfs), "anynic leaves a family out of the initramfs");
}

#[test]
fn units_of_ours_that_are_enabled_are_in_an_overlay() {
    let seed = recipe::load(&repository().join("recipes/seed.yaml")).unwrap();
    for recipe in shipped().into_iter().chain([seed]) {
        for unit in recipe.enable.keys().filter(|u| u.starts_with("sledos-") || u.starts_with("mesos-")) {
            // An instance is made of its template.
            let unit = match unit.split_once('@') {
                Some((name, _)) => format!("{name}@.service"),
                None => unit.clone(),
            };
            let path = format!("usr/lib/systemd/system/{unit}");
            assert!(
                recipe.overlays.iter().any(|o| o.dir.join(&path).is_file()),
                "{}: no {path}",
                recipe.name
            );
        }
    }
}

#[test]
fn scripts_and_json_of_the_overlays_can_be_parsed() {
    let mut all = Vec::new();
    files(&repository().join("overlays"), &mut all);
    let judge = |program: &str, args: &[&str], file: &Path| {
        let output = Command::new(program).args(args).arg(file).output();
        let output = output.unwrap_or_else(|e| panic!("cannot run {program}: {e}; install dash, python3"));
        assert!(output.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
    };
    let (mut scripts, mut json) = (0, 0);
    for file in &all {
        if std::fs::read(file).unwrap().starts_with(b"#!/bin/sh\n") {
            judge("sh", &["-n"], file);
            scripts += 1;
        } else if file.extension().is_some_and(|e| e == "json") {
            judge("python3", &["-m", "json.tool"], file);
            json += 1;
        }
    }
    assert!(scripts >= 2 && json >= 1, "{scripts} scripts, {json} JSON files: the overlays have moved?");
}

/// Words that are no servers never get into chrony's configuration, and nothing is
/// rewritten when nothing changed.
#[test]
fn time_servers_of_the_network_are_names_and_addresses() {
    let dir = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../overlays/base/usr/lib/sledos/ntp-from-dhcp");
    let (state, out) = (dir.path().join("state"), dir.path().join("out"));
    let sources = out.join("networkd.sources");
    let run = |text: &str| {
        std::fs::write(&state, text).unwrap();
        let status = std::process::Command::new("sh").arg(&script).args([&state, &out]).status();
        assert!(status.unwrap().success());
        std::fs::read_to_string(&sources).unwrap()
    };
    assert_eq!(run("DNS=10.0.0.1\n"), "\n");
    let servers = run("DNS=10.0.0.1\nNTP=10.0.0.5 ntp.example.net fe80::1 $(id) ;x -a * a;b /etc\n");
    let expected = "server 10.0.0.5 iburst\nserver ntp.example.net iburst\nserver fe80::1 iburst\n";
    assert_eq!(servers, expected);
    let many: String = (0..99).map(|n| format!(" 10.0.0.{n}")).collect();
    assert_eq!(run(&format!("NTP={many}\n")).lines().count(), 8);
    std::fs::remove_file(&state).unwrap();
    let status = std::process::Command::new("sh").arg(&script).args([&state, &out]).status();
    assert!(status.unwrap().success() && std::fs::read_to_string(&sources).unwrap() == "\n");
}

/// wtmp and btmp keep whole records, the last ones, and stay the same file for whoever
/// has it open.
#[test]
fn logins_are_trimmed_to_the_last_records() {
    use std::os::unix::fs::MetadataExt as _;
    const RECORD: usize = 384;
    let dir = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../overlays/base/usr/lib/sledos/trim-logins");
    let run =
        || assert!(std::process::Command::new("sh").arg(&script).arg(dir.path()).status().unwrap().success());
    let records =
        |n: usize| (0..n).flat_map(|n| [u8::try_from(n % 251).unwrap(); RECORD]).collect::<Vec<_>>();
    let (wtmp, btmp) = (dir.path().join("wtmp"), dir.path().join("btmp"));
    // Nothing there, then too little, then too much.
    run();
    std::fs::write(&wtmp, records(8192)).unwrap();
    std::fs::write(&btmp, records(8193)).unwrap();
    let before = std::fs::metadata(&btmp).unwrap().ino();
    run();
    assert_eq!(std::fs::read(&wtmp).unwrap(), records(8192));
    assert_eq!(std::fs::read(&btmp).unwrap(), records(8193)[(8193 - 4096) * RECORD..]);
    assert_eq!(std::fs::metadata(&btmp).unwrap().ino(), before);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "nothing is left over");
}

/// systemd runs it when the sled has started and when it is ready, which may be at once.
#[test]
fn the_login_message_is_written_by_two_at_once() {
    let dir = tempfile::tempdir().expect("there is room");
    let (run, bin) = (dir.path().join("run"), dir.path().join("bin"));
    [&run, &bin].into_iter().for_each(|dir| std::fs::create_dir(dir).expect("there is room"));
    let sledctl = bin.join("sledctl");
    std::os::unix::fs::symlink("/bin/echo", &sledctl).expect("there is room");
    let script = std::fs::read_to_string(repository().join("overlays/base/usr/lib/sledos/motd"));
    let script = script.expect("it is there").replace("/run/sledos", &run.display().to_string());
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    for _ in 0..20 {
        let start =
            || Command::new("sh").args(["-c", &script]).env("PATH", &path).spawn().expect("sh is there");
        let both = [start(), start()];
        for mut one in both {
            assert!(one.wait().expect("it was started").success());
        }
    }
    let left: Vec<_> =
        std::fs::read_dir(&run).expect("it is there").flatten().map(|e| e.file_name()).collect();
    assert_eq!(left, ["motd"]);
    let message = std::fs::read_to_string(run.join("motd")).expect("it was written");
    assert!(message.starts_with("status\nas of      "), "{message}");
}
