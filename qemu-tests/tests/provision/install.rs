//! A blank disk, then no network at all.

use super::support::{MGMT, READY, SOON, Scene, said};
use qemu_tests::console;
use qemu_tests::guest::{Guest, Way};
use sledos::output::SparseFile;
use sledos::qemu::{Boot, Bus, Disk, Link, Nic, NicModel, machine};

const DISK: u64 = 8 << 30;

#[test]
fn an_installed_sled_comes_up_from_its_disk_when_nobody_answers() {
    let scene = Scene::new("install");
    scene.serve("    install: {disk: {transport: [virtio], pick: first}}");
    let file = scene.dir.join("disk.raw");
    drop(SparseFile::create(&file, DISK).expect("a sparse file can be made"));
    let disk = Disk { file, bus: Bus::Virtio, discard_writes: false };
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

    // From the disk, by the firmware; servers, DHCP and switch are gone.
    let mut spec = scene.blank(2048);
    spec.firmware = machine::uefi_vars(&scene.dir).expect("OVMF is installed");
    spec.boot = Boot::Disk;
    spec.disks.push(disk);
    spec.nics.clear();
    spec.oem_strings = vec![scene.key.oem_string()];
    // The test's own way in, in place of the network.
    spec.netns = None;
    spec.nics.push(Nic {
        model: NicModel::Virtio,
        link: Link::User { forward: Some(22) },
        mac: Some(MGMT.into()),
    });
    let mut machine = scene.power_on("second", &spec);
    machine.wait_for("from /var, stored earlier: no server answered", SOON).expect("it uses what it stored");
    machine.wait_for("sledos: ready: r1-b07", READY).expect("it gets ready without a network");
    let port = machine.forwarded_port(22).expect("the port is forwarded");
    let guest = Guest::attach(machine, Way::Forward(port), &scene.key);
    assert_eq!(guest.run(identity), first);
    println!("{}", guest.run("sledctl status; bootctl --no-pager status || true; ls /sys/firmware/efi"));
    let all = guest.power_off().expect("goes off");
    println!("{}", said(&all));
}
