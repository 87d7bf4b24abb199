//! Firmware that starts the network first, and an image that does not get ready: the sled is
//! back on the last good one, from its disk, by itself.
//!
//! Each takes many boots: they run when they are asked for (CONTRIBUTING.md).

use super::support::{READY, SOON, Scene, compute, compute_with};
use qemu_tests::guest::{self, Starts};
use sledos::output::SparseFile;
use sledos::qemu::{Bus, Disk, NicModel, machine};

const MAC: &str = "52:54:00:00:01:01";
const BAD: &str = "bad";
/// More starts than any bad image may cost.
const STARTS: usize = 20;

/// PID 1 counts what systemd-boot does not see, and has firmware start the disk (`BootNext`).
#[test]
#[ignore = "some eight boots; see CONTRIBUTING.md"]
fn one_that_never_gets_ready_gives_way_by_boot_next() {
    let files = [
        ("usr/lib/systemd/system/docker.service.d/bad.conf", "[Service]\nExecStart=\nExecStart=/bin/false\n"),
        ("usr/lib/systemd/system/sledos-ready.service.d/bad.conf", "[Service]\nTimeoutStartSec=60\n"),
    ];
    let said = gives_way("by-boot-next", "", &files);
    assert!(said.contains("the booted image did not get ready: restarts into the other one"), "{said}");
}

/// Nothing on the sled counts: the server sends it to its disk.
#[test]
#[ignore = "some fifteen boots; see CONTRIBUTING.md"]
fn one_whose_kernel_finds_no_pid_1_gives_way_by_the_boot_script() {
    let said = gives_way("by-script", "kernel: {cmdline: [panic=1, rdinit=/none]}\n", &[]);
    assert!(said.contains("Kernel panic"), "{said}");
}

/// Returns what the consoles said after the document named the bad image.
fn gives_way(name: &str, lines: &str, files: &[(&str, &str)]) -> String {
    let mut scene = Scene::new(name);
    let bad = compute_with(BAD, lines, files);
    let images = scene.dir.join("images");
    std::fs::create_dir_all(images.join("compute")).expect("the directory was made just now");
    for image in [compute(), &bad] {
        let version = image.file_name().expect("it is NAME/VERSION");
        let link = images.join("compute").join(version);
        std::os::unix::fs::symlink(image, link).expect("the image can be linked");
    }
    let fleet = |scene: &Scene, version: &str| {
        let config =
            "hostname: '{rack}-b{bay:02}', networks: {mgmt: {match: {driver: virtio_net}, address: dhcp}}";
        let install = "disk: {transport: [virtio], pick: first}";
        scene.fleet_of(
            &format!(
                "  compute: {{image: compute@{version}, install: {{{install}}}, config: {{{config}}}}}\n"
            ),
            &format!("  r1-b01: {{rack: r1, bay: 1, role: compute, macs: ['{MAC}']}}\n"),
        );
    };
    fleet(&scene, "test");
    let file = scene.dir.join("disk.raw");
    drop(SparseFile::create(&file, 8 << 30).expect("a sparse file can be made"));
    let firmware = machine::uefi_vars(&scene.dir).expect("OVMF is installed");
    let mut spec = scene.blank(NicModel::Virtio, MAC, firmware);
    spec.memory += 600;
    spec.disks.push(Disk::new(file, Bus::Virtio));
    let wanted = |scene: &Scene, version: &str| {
        scene.until(version, SOON, |status| {
            status["sleds"][0]["image"].as_str().is_some_and(|image| image.ends_with(version))
        });
    };
    scene.serve_images(&images, &["--pxe-range", "10.77.0.100,10.77.0.200"]);
    wanted(&scene, "test");
    // Until it is ready; then it is switched off.
    let until_ready = |name: &str| {
        let Starts { machine, images, said } =
            guest::until_ready(STARTS, READY, |n| scene.power_on(&format!("{name}-{n}"), &spec));
        machine.power_off(READY).expect("goes off");
        println!("{images:?}");
        (images, said)
    };
    assert_eq!(until_ready("first").0, ["test"]);

    fleet(&scene, BAD);
    wanted(&scene, BAD);
    let (started, said) = until_ready("bad");
    assert_eq!(started.last().map(String::as_str), Some("test"), "{started:?}");
    said
}
