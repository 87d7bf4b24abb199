//! A blank disk; then no network at all; then another image, whose installation is cut at
//! many places; and an old document.

use super::cuts::{Wanted, comes_up, copy, seed, setting};
use super::support::{self, MGMT, READY, SOON, Scene, said, sled};
use qemu_tests::console;
use qemu_tests::cuts::{self, Bay, Recording};
use qemu_tests::guest::{Guest, Way};
use sledos::output::SparseFile;
use sledos::qemu::{Boot, Bus, Disk, MachineSpec, machine};
use std::path::Path;

const DISK: u64 = 8 << 30;
/// The disk where it is recorded.
const BAY: [(u64, &str); 1] = [(DISK, "virtio-blk-pci,serial=cut")];
/// How many power cuts of the update are tried: `SLEDOS_CUTS`.
const CUTS: usize = 2;

#[test]
fn an_installed_sled_comes_up_alone_updates_itself_and_takes_no_older_document() {
    let mut scene = Scene::new("install");
    let install = "    install: {disk: {transport: [virtio], pick: first}}";
    scene.serve(install);
    let file = scene.dir.join("disk.raw");
    drop(SparseFile::create(&file, DISK).expect("a sparse file can be made"));
    let disk = Disk::new(file, Bus::Virtio);
    let mut spec = scene.blank(2048);
    spec.disks.push(disk.clone());
    let machine = scene.power_on("first", &spec);
    let guest = scene.ready(machine, MGMT);
    let identity =
        "cat /etc/machine-id /var/lib/sledos/ssh/*.pub; hostname; readlink /var/lib/mesos/meta/slaves/latest";
    let first = guest.run(identity);
    println!("{}", guest.run("lsblk -o NAME,SIZE,PARTLABEL,MOUNTPOINTS; cat /run/sledos/oem/sledos.conf"));
    assert_eq!(scene.agents().len(), 1);
    let all = guest.power_off().expect("goes off");
    println!("{}", said(&all));
    assert_eq!(console::trouble(&all), Vec::<&str>::new());

    // From the disk, by the firmware: no DHCP server answers, no provisioning server, no
    // master. The test is on the data network, which has a static address.
    scene.rack.stop_dhcp();
    scene.rack.web.set_down(true);
    scene.rack.namespace.ip(&["address", "add", "10.77.1.1/24", "dev", "br0"]);
    let mut spec = scene.blank(2048);
    spec.firmware = machine::uefi_vars(&scene.dir).expect("OVMF is installed");
    spec.boot = Boot::Disk;
    spec.disks.push(disk);
    let machine = scene.power_on("alone", &spec);
    machine.wait_for("from /var, stored earlier: no server answered", SOON).expect("it uses what it stored");
    machine.wait_for("login:", READY).expect("it comes up by itself");
    let way = Way::Namespace { name: scene.rack.namespace.name().to_owned(), address: "10.77.1.17".into() };
    let guest = Guest::attach(machine, way, &scene.key);
    assert_eq!(guest.run(identity), first);
    println!("{}", guest.run("sledctl status; bootctl --no-pager status || true; ls /sys/firmware/efi"));
    let all = guest.power_off().expect("goes off");
    println!("{}", said(&all));

    // The servers are back, and the document names another image: it goes into the free
    // slot, and the sled restarts into it.
    scene.rack.namespace.ip(&["address", "del", "10.77.1.1/24", "dev", "br0"]);
    scene.rack.start_dhcp();
    scene.rack.web.set_down(false);
    let (documents, old) = (scene.fleet.root.join("v1"), scene.dir.join("v1-old"));
    let copied = std::process::Command::new("cp").arg("-a").args([&documents, &old]).status();
    assert!(copied.expect("cp can be run").success());
    scene.add_images(&[support::compute_2()]);
    let yaml = scene.yaml(install, &sled("r1-b07", 7, MGMT));
    scene.serve_text(&yaml.replace("image: compute", "image: compute@test-2"));
    let (before, log) = (scene.dir.join("before.raw"), scene.dir.join("writes.log"));
    copy(&spec.disks[0].file, &before);
    cuts::empty(log.clone(), 0).expect("a file can be made");
    let mut recorded = spec.clone();
    let bay = Bay::Recorded { file: &recorded.disks.remove(0).file, log: &log };
    recorded.extra = cuts::arguments(bay, &BAY);
    let machine = scene.power_on("update", &recorded);
    let all = machine.wait_off(READY).expect("it restarts by itself");
    println!("{}", said(&all));
    assert!(all.contains("metadata: r1-b07 generation 2 from "), "{}", said(&all));
    assert!(all.contains("beside the image of the other slot"), "{}", said(&all));
    assert!(all.contains("reboots now: starts another image"), "{}", said(&all));

    is_whole_after_every_cut(&scene, &spec, &before, &log);

    // Somebody plays the first document back. The sled has seen the second, which it stored.
    std::fs::remove_dir_all(&documents).expect("it was compiled");
    std::fs::rename(&old, &documents).expect("it was kept");
    let machine = scene.power_on("replay", &spec);
    let replayed = "is refused: older generation replayed: seen 2, offered 1";
    machine.wait_for(replayed, SOON).expect("it does not believe it");
    let console = machine.wait_for("sledos: hand-over", SOON).expect("it goes on");
    assert!(
        console.contains("metadata: r1-b07 generation 2 from /var, stored earlier"),
        "{}",
        said(&console)
    );
    let guest = scene.ready(machine, MGMT);
    assert_eq!(guest.run(identity), first);
    assert_eq!(guest.run(". /etc/os-release; echo $IMAGE_VERSION").trim(), "test-2");
    println!(
        "{}",
        guest.run("sledctl status; bootctl --no-pager list || true; cat /efi/loader/loader.conf || true")
    );
    let all = guest.power_off().expect("goes off");
    println!("{}", said(&all));
    assert_eq!(console::trouble(&all), Vec::<&str>::new());
}

/// The power goes at many places of the update. From what is left on the disk the sled comes up
/// by itself: with the new image, or with the old one, which installs the new one again and
/// restarts into it.
fn is_whole_after_every_cut(scene: &Scene, spec: &MachineSpec, before: &Path, log: &Path) {
    let recording = Recording::open(log).expect("QEMU wrote it");
    let whole = 0..DISK;
    let places = recording.places(setting("SLEDOS_CUTS", CUTS), std::slice::from_ref(&whole), seed());
    println!("{} writes and flushes, cut at {places:?}", recording.len());
    let disk = scene.dir.join("cut.raw");
    let mut rebuilt = recording.rebuild(before, &disk).expect("there is room");
    let dir = scene.dir.join("cuts");
    std::fs::create_dir(&dir).expect("the scene is new");
    let mut spec = spec.clone();
    spec.disks.clear();
    spec.firmware = machine::uefi_vars(&dir).expect("OVMF is installed");
    for after in places {
        rebuilt.cut(after, seed() ^ after as u64).expect("the places are in order");
        let layer = cuts::over(&disk, dir.join("layer.qcow2"));
        spec.extra = cuts::arguments(Bay::Over(&layer), &BAY);
        let wanted = Wanted { image: "test-2", machine_id: None };
        let came_up = comes_up(scene, "cut", &spec, wanted);
        came_up.unwrap_or_else(|why| panic!("after a cut at {after}: {why}"));
    }
}
