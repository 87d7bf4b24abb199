//! The real Ignition, run on a small image, and that image.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

const IGNITION: &str = "/usr/lib/dracut/modules.d/30ignition/ignition";

const FILES: &[(&str, u32, &str)] = &[
    (
        "etc/passwd",
        0o644,
        "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n\
        nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\nchrony:x:101:101::/var/lib/chrony:/bin/false\n\
        ops:x:1005:1005:Ops:/home/ops:/bin/sh\n",
    ),
    (
        "etc/group",
        0o644,
        "root:x:0:\ndaemon:x:1:\nsudo:x:27:ops\nshadow:x:42:\nusers:x:100:\nchrony:x:101:\n\
        docker:x:998:\nnogroup:x:65534:\nops:x:1005:\n",
    ),
    (
        "etc/shadow",
        0o640,
        "root:*:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\nnobody:*:19000:0:99999:7:::\n\
        chrony:!:19000::::::\nops:!:19000:0:99999:7:::\n",
    ),
    (
        "etc/gshadow",
        0o640,
        "root:*::\ndaemon:*::\nsudo:*::ops\nshadow:*::\nusers:*::\nchrony:!::\ndocker:!::\n\
        nogroup:*::\nops:!::\n",
    ),
    ("etc/profile", 0o644, "# the image's\n"),
    ("etc/ssl/private/old.key", 0o640, "key\n"),
    ("etc/selinux/config", 0o644, "SELINUX=disabled\nSELINUXTYPE=default\n"),
    ("etc/default/useradd", 0o644, "SHELL=/bin/sh\nGROUP=100\n"),
    ("usr/lib/systemd/system-preset/99-default.preset", 0o644, "disable *\n"),
    ("usr/lib/systemd/system/docker.service", 0o644, "[Service]\nExecStart=/bin/true\n"),
];

/// A small image below `root`: what both begin with.
pub(crate) fn image(root: &Path) {
    for (path, mode, content) in FILES {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).unwrap();
    }
    // Debian's, with homes that only their users read.
    let defs = fs::read_to_string("/etc/login.defs").expect("install the Debian package login");
    fs::write(root.join("etc/login.defs"), format!("{defs}\nHOME_MODE 0700\n")).unwrap();
    for dir in ["etc/systemd/system", "var/lib", "home/ops", "root", "srv"] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    fs::set_permissions(root.join("etc/ssl/private"), fs::Permissions::from_mode(0o710)).unwrap();
    for path in ["etc/ssl/private", "etc/shadow", "etc/gshadow"] {
        std::os::unix::fs::chown(root.join(path), Some(0), Some(42)).expect("this test runs as root");
    }
    symlink("/usr/share/zoneinfo/UTC", root.join("etc/localtime")).unwrap();
}

/// Carries a config out below `root`, or says why Ignition does not.
pub(crate) fn run(config: &str, root: &Path) -> Result<(), String> {
    let work = tempfile::tempdir().unwrap();
    let at = |name: &str| work.path().join(name);
    // This version calls 3.4 experimental still.
    fs::write(at("config.ign"), config.replace("\"3.4.0\"", "\"3.4.0-experimental\"")).unwrap();
    // SELinux labels are not looked at.
    fs::write(at("setfiles"), "#!/bin/sh\nexit 0\n").unwrap();
    fs::set_permissions(at("setfiles"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", work.path().display(), std::env::var("PATH").unwrap_or_default());
    for stage in ["fetch", "files"] {
        let out = Command::new(IGNITION)
            .args(["--log-to-stdout", "--platform", "file", "--stage", stage, "--root"])
            .arg(root)
            .arg("--config-cache")
            .arg(at("cache.json"))
            .arg("--state-file")
            .arg(at("state"))
            .arg("--neednet")
            .arg(at("neednet"))
            .env("IGNITION_CONFIG_FILE", at("config.ign"))
            .env("PATH", &path)
            .output()
            .unwrap_or_else(|e| panic!("{IGNITION}: {e}; install the Debian package ignition"));
        let log = String::from_utf8_lossy(&out.stdout).into_owned();
        // All is done then: it asks for systemd's version only to warn of an old one.
        let no_systemd = log.contains("failed to create units: dial unix /run/systemd/private");
        if !out.status.success() && !no_systemd {
            return Err(log.lines().filter(|l| l.contains("CRITICAL")).collect::<Vec<_>>().join("\n"));
        }
    }
    preset(root)?;
    // What Ignition says about itself, and what has another form with us: see `differences`.
    for own in [".ignition-result.json", "systemd/system-preset/20-ignition.preset", ".pwd.lock"] {
        drop(fs::remove_file(root.join("etc").join(own)));
    }
    drop(fs::remove_dir(root.join("etc/systemd/system-preset")));
    for backup in ["passwd-", "group-", "shadow-", "gshadow-"] {
        drop(fs::remove_file(root.join("etc").join(backup)));
    }
    keys(root);
    Ok(())
}

/// What systemd does with Ignition's preset on the first boot.
fn preset(root: &Path) -> Result<(), String> {
    let out = Command::new("systemctl")
        .arg(format!("--root={}", root.display()))
        .arg("preset-all")
        .output()
        .unwrap_or_else(|e| panic!("systemctl: {e}; install the Debian package systemd"));
    if out.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&out.stderr).into_owned()) }
}

/// Moves keys from where Ignition puts them to where the image's sshd looks.
fn keys(root: &Path) {
    let passwd = fs::read_to_string(root.join("etc/passwd")).unwrap();
    for line in passwd.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        let ssh = root.join(fields[5].trim_start_matches('/')).join(".ssh");
        let Ok(keys) = fs::read(ssh.join("authorized_keys.d/ignition")) else { continue };
        assert_eq!(fs::metadata(&ssh).unwrap().uid().to_string(), fields[2]);
        fs::remove_dir_all(&ssh).unwrap();
        let to = root.join("etc/ssh/authorized_keys.d");
        fs::create_dir_all(&to).unwrap();
        fs::write(to.join(fields[0]), keys).unwrap();
        let mode = if fields[0] == "root" { 0o600 } else { 0o644 };
        fs::set_permissions(to.join(fields[0]), fs::Permissions::from_mode(mode)).unwrap();
    }
}

/// Lays a directory over another, as the overlay file system would show both.
pub(crate) fn overlay(over: &Path, below: &Path) {
    for entry in fs::read_dir(over).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), below.join(entry.file_name()));
        let meta = fs::symlink_metadata(&from).unwrap();
        if meta.is_dir() && fs::symlink_metadata(&to).is_ok_and(|m| m.is_dir()) {
            overlay(&from, &to);
            std::os::unix::fs::chown(&to, Some(meta.uid()), Some(meta.gid())).unwrap();
            fs::set_permissions(&to, meta.permissions()).unwrap();
            continue;
        }
        drop(fs::remove_file(&to));
        fs::rename(from, to).unwrap();
    }
}
