//! Bad releases, each in its way: the sled is back on the last good image by itself, says why,
//! does not try the bad one again, and the next release goes over the bad one.
//!
//! Each takes some ten boots: they run when they are asked for (CONTRIBUTING.md).

use super::support::{self, MGMT, READY, Scene, said, sled};
use qemu_tests::guest::Guest;
use sledos::output::SparseFile;
use sledos::qemu::{Boot, Bus, Disk, MachineSpec, machine};

const DISK: u64 = 8 << 30;
const INSTALL: &str = "    install: {disk: {transport: [virtio], pick: first}}";
/// More boots than any bad release may cost.
const BOOTS: usize = 8;

/// A service that runs first thing.
fn service(command: &str) -> String {
    format!(
        "[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nExecStart={command}\n\
         [Install]\nWantedBy=sysinit.target\n"
    )
}

const UNIT: &str = "usr/lib/systemd/system/bad.service";
const ENABLE: &str = "enable: {bad.service: [sysinit.target]}\n";

#[test]
#[ignore = "some ten boots; see CONTRIBUTING.md"]
fn one_that_panics() {
    let unit = service("/bin/sh -c 'echo c > /proc/sysrq-trigger'");
    gives_way("panics", ENABLE, &[(UNIT, &unit)]);
}

#[test]
#[ignore = "some ten boots; see CONTRIBUTING.md"]
fn one_whose_systemd_dies_and_is_reset_by_the_watchdog() {
    gives_way("freezes", ENABLE, &[(UNIT, &service("/bin/kill -SEGV 1"))]);
}

#[test]
#[ignore = "some ten boots; see CONTRIBUTING.md"]
fn one_without_systemd() {
    gives_way("no-systemd", "exclude: [usr/lib/systemd/systemd]\n", &[]);
}

#[test]
#[ignore = "some ten boots; see CONTRIBUTING.md"]
fn one_that_never_gets_ready() {
    let files = [
        ("usr/lib/systemd/system/docker.service.d/bad.conf", "[Service]\nExecStart=\nExecStart=/bin/false\n"),
        ("usr/lib/systemd/system/sledos-ready.service.d/bad.conf", "[Service]\nTimeoutStartSec=60\n"),
    ];
    gives_way("not-ready", "", &files);
}

/// Boots until the sled is ready: into whatever image its disk and its document lead to.
/// Returns it with the images that were started.
fn until_ready(scene: &Scene, name: &str, spec: &MachineSpec) -> (Guest, Vec<String>) {
    let mut started = Vec::new();
    for boot in 0..BOOTS {
        let machine = scene.power_on(&format!("{name}-{boot}"), spec);
        let ready = machine.wait_until("sledos: ready: ", READY, |all| all.contains("sledos: ready: "));
        let all = machine.console();
        let image = all.lines().find_map(|line| line.split_once("sledos: image: compute "));
        started.extend(image.map(|(_, version)| version.trim().to_owned()));
        println!("--- {name}, boot {boot}\n{}", said(&all));
        if ready.is_ok() {
            return (scene.ready(machine, MGMT), started);
        }
    }
    panic!("{name}: not ready after {BOOTS} boots: {started:?}");
}

fn gives_way(version: &str, lines: &str, files: &[(&str, &str)]) {
    let scene = Scene::new(&format!("release-{version}"));
    let bad = support::compute_with(version, lines, files);
    let next = support::compute_version("test-2", "output-with-agent-2");
    scene.add_images(&[bad, next]);
    let document = |image: &str| {
        let yaml = scene.yaml(INSTALL, &sled("r1-b07", 7, MGMT));
        scene.serve_text(&yaml.replace("image: compute", &format!("image: compute@{image}")));
    };
    let file = scene.dir.join("disk.raw");
    drop(SparseFile::create(&file, DISK).expect("a sparse file can be made"));
    document("test");
    let mut spec = scene.blank(2048);
    spec.disks.push(Disk::new(file, Bus::Virtio));
    let (guest, started) = until_ready(&scene, "first", &spec);
    assert_eq!(started, ["test"]);
    guest.power_off().expect("goes off");

    spec.boot = Boot::Disk;
    spec.firmware = machine::uefi_vars(&scene.dir).expect("OVMF is installed");
    document(version);
    let (guest, started) = until_ready(&scene, "bad", &spec);
    let tries = started.iter().filter(|image| *image == version).count();
    assert_eq!(started.first().map(String::as_str), Some("test"), "{started:?}");
    assert_eq!(started.last().map(String::as_str), Some("test"), "{started:?}");
    assert!((1..=3).contains(&tries), "{started:?}");
    let status = guest.run("sledctl status");
    println!("{status}");
    assert!(status.contains(&format!("wanted     compute {version}")), "{status}");
    assert!(status.contains("stays with the booted image: the one the document asks for"), "{status}");
    guest.power_off().expect("goes off");

    let (guest, started) = until_ready(&scene, "again", &spec);
    assert_eq!(started, ["test"], "the bad one is not tried again");
    guest.power_off().expect("goes off");

    document("test-2");
    let (guest, started) = until_ready(&scene, "next", &spec);
    assert_eq!(started, ["test", "test-2"]);
    let entries = guest.run("mount -o ro /dev/disk/by-partlabel/EFI-SYSTEM /mnt; ls /mnt/EFI/Linux");
    println!("{entries}");
    assert!(entries.contains("compute_test_"), "the last good one stays: {entries}");
    assert!(!entries.contains(&format!("compute_{version}_")), "the next goes over the bad one: {entries}");
}
