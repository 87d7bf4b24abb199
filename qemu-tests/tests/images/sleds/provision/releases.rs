//! Bad releases, one after the other, each in its way: the sled is back on the last good image by
//! itself, says why, does not try the bad one again, and the next release goes over the bad one.
//!
//! That takes some thirty starts: it runs when it is asked for (CONTRIBUTING.md).

use super::support::{self, MGMT, READY, SOON, Scene, sled};
use qemu_tests::{console, guest};
use sledos::output::SparseFile;
use sledos::qemu::{Boot, Bus, Disk, MachineSpec, machine};
use std::path::Path;

const DISK: u64 = 8 << 30;
const INSTALL: &str = "    install: {disk: {transport: [virtio], pick: first}}";
/// More starts than any bad release may cost.
const STARTS: usize = 8;
const UNIT: &str = "usr/lib/systemd/system/bad.service";
const ENABLE: &str = "enable: {bad.service: [sysinit.target]}\n";

/// A service that runs first thing.
fn service(command: &str) -> String {
    format!(
        "[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nExecStart={command}\n\
         [Install]\nWantedBy=sysinit.target\n"
    )
}

#[test]
#[ignore = "some thirty starts; see CONTRIBUTING.md"]
fn each_gives_way_and_the_last_good_one_stays() {
    let scene = Scene::new("releases");
    let panics = service("/bin/sh -c 'echo c > /proc/sysrq-trigger'");
    // systemd freezes, and feeds no watchdog any more.
    let freezes = service("/bin/kill -SEGV 1");
    let not_ready = [
        ("usr/lib/systemd/system/docker.service.d/bad.conf", "[Service]\nExecStart=\nExecStart=/bin/false\n"),
        ("usr/lib/systemd/system/sledos-ready.service.d/bad.conf", "[Service]\nTimeoutStartSec=60\n"),
    ];
    let bad = [
        ("panics", support::compute_with("panics", ENABLE, &[(UNIT, &panics)])),
        ("no-systemd", support::compute_with("no-systemd", "exclude: [usr/lib/systemd/systemd]\n", &[])),
        ("freezes", support::compute_with("freezes", ENABLE, &[(UNIT, &freezes)])),
        ("not-ready", support::compute_with("not-ready", "", &not_ready)),
    ];
    let images: Vec<&Path> = bad.iter().map(|(_, dir)| &**dir).chain([support::compute_2()]).collect();
    scene.add_images(&images);
    let document = |image: &str| {
        let yaml = scene.yaml(INSTALL, &sled("r1-b07", 7, MGMT));
        scene.serve_text(&yaml.replace("image: compute", &format!("image: compute@{image}")));
    };
    let until_ready = |name: &str, spec: &MachineSpec| {
        let starts = guest::until_ready(STARTS, READY, |n| scene.power_on(&format!("{name}-{n}"), spec));
        (scene.ready(starts.machine, MGMT), starts.images)
    };
    let file = scene.dir.join("disk.raw");
    drop(SparseFile::create(&file, DISK).expect("a sparse file can be made"));
    document("test");
    let mut spec = scene.blank(2048);
    spec.disks.push(Disk::new(file, Bus::Virtio));
    // What freezes is reset by nobody else.
    spec.extra = ["-device", "i6300esb"].map(str::to_owned).to_vec();
    let (guest, started) = until_ready("first", &spec);
    assert_eq!(started, ["test"]);
    guest.power_off().expect("goes off");

    spec.boot = Boot::Disk;
    spec.firmware = machine::uefi_vars(&scene.dir).expect("OVMF is installed");
    for (version, _) in bad {
        document(version);
        let (guest, started) = until_ready(version, &spec);
        let tries = started.iter().filter(|image| *image == version).count();
        assert_eq!(started.first().map(String::as_str), Some("test"), "{started:?}");
        assert_eq!(started.last().map(String::as_str), Some("test"), "{started:?}");
        assert!((1..=3).contains(&tries) && started.len() == tries + 2, "{started:?}");
        let status = guest.run("sledctl status");
        println!("{started:?}\n{status}");
        assert!(status.contains(&format!("wanted     compute {version}")), "{status}");
        let why = "stays with the booted image: the one the document asks for";
        assert!(status.contains(why), "{status}");
        let report = guest.run("cat /run/sledos/boot.json");
        assert!(report.contains(why), "the report says so, too: {report}");
        guest.power_off().expect("goes off");

        let machine = scene.power_on(&format!("{version}-again"), &spec);
        let said = machine.wait_for("sledos: hand-over", SOON).expect("it does not restart");
        assert_eq!(console::image(&said), Some("test"), "the bad one is not tried again");
    }

    document("test-2");
    let (guest, started) = until_ready("next", &spec);
    assert_eq!(started, ["test", "test-2"]);
    let entries = guest.run("mount -o ro /dev/disk/by-partlabel/EFI-SYSTEM /mnt; ls /mnt/EFI/Linux");
    println!("{entries}");
    let mut entries: Vec<_> =
        entries.lines().filter_map(|name| name.rsplit_once('_')).map(|(it, _)| it).collect();
    entries.sort_unstable();
    assert_eq!(entries, ["compute_test", "compute_test-2"], "the last good one stays, the bad ones go");
}
