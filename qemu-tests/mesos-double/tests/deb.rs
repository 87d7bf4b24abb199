//! The package, as dpkg sees it.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use mesos_double::deb;

fn dpkg_deb(args: &[&str], deb: &Path, rest: &[&Path]) -> String {
    let output = Command::new("dpkg-deb").args(args).arg(deb).args(rest).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn dpkg_takes_the_package_of_the_static_agent() {
    let agent = deb::build_static();
    let dir = tempfile::tempdir().unwrap();
    let [one, two, tree] = ["one.deb", "two.deb", "tree"].map(|n| dir.path().join(n));
    let layout = deb::Layout::Autotools;
    deb::package(&agent, layout, &one).unwrap();
    deb::package(&agent, layout, &two).unwrap();
    assert!(fs::read(&one).unwrap() == fs::read(&two).unwrap(), "the same agent, two packages");

    let fields = dpkg_deb(&["-f"], &one, &[]);
    assert!(fields.contains("Package: mesos-agent-double\n"), "{fields}");
    assert!(fields.contains("not Apache Mesos"), "{fields}");
    let list = dpkg_deb(&["-c"], &one, &[]);
    let line = list.lines().find(|l| l.ends_with(" usr/sbin/mesos-agent")).unwrap();
    assert!(line.starts_with("-rwxr-xr-x root/root"), "{line}");
    assert!(list.lines().all(|l| l.contains("1970-01-01")), "{list}");

    dpkg_deb(&["-x"], &one, &[&tree]);
    let unpacked = tree.join(layout.agent());
    assert!(fs::read(&unpacked).unwrap() == fs::read(&agent).unwrap(), "another agent came out");
    assert_eq!(fs::metadata(&unpacked).unwrap().permissions().mode() & 0o7777, 0o755);

    // No program header asks for a dynamic linker.
    let headers = Command::new("readelf").args(["-lW"]).arg(&unpacked).output().unwrap();
    let headers = String::from_utf8(headers.stdout).unwrap();
    assert!(headers.contains("LOAD") && !headers.contains("INTERP"), "{headers}");
    let version = Command::new(&unpacked).env_clear().arg("--version").output().unwrap();
    assert!(String::from_utf8_lossy(&version.stdout).contains("TEST DOUBLE"), "{version:?}");
    assert!(deb::build_static_master().is_file());
}

#[test]
fn packages_of_today_have_it_elsewhere_with_a_wrapper_and_a_unit() {
    let dir = tempfile::tempdir().unwrap();
    let [agent, file] = ["agent", "today.deb"].map(|n| dir.path().join(n));
    fs::write(&agent, "agent").unwrap();
    deb::package(&agent, deb::Layout::CMake, &file).unwrap();
    let list = dpkg_deb(&["-c"], &file, &[]);
    for (path, mode) in [
        ("usr/bin/mesos-agent", "-rwxr-xr-x"),
        ("usr/bin/mesos-init-wrapper", "-rwxr-xr-x"),
        ("etc/systemd/system/mesos-agent.service", "-rw-r--r--"),
    ] {
        let line = list.lines().find(|l| l.ends_with(&format!(" {path}"))).unwrap();
        assert!(line.starts_with(mode), "{line}");
    }
    assert!(!list.contains("usr/sbin"), "{list}");
}
