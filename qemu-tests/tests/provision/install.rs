//! A blank disk, then no network at all.

use super::support::{MGMT, READY, SOON, Scene, said};
use qemu_tests::console;
use qemu_tests::guest::{Guest, Way};
use sledos::output::SparseFile;
use sledos::qemu::{Boot, Bus, Disk, machine};

const DISK: u64 = 8 << 30;

#[test]
fn an_installed_sled_comes_up_from_its_disk_when_nobody_answers() {
    let mut scene = Scene::new("install");
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

    // From the disk, by the firmware: no DHCP server answers, no provisioning server, no
    // master. The test is on the data network, which has a static address.
    scene.rack.stop_dhcp();
    scene.rack.web.set_down(true);
    scene.rack.namespace.ip(&["address", "add", "10.77.1.1/24", "dev", "br0"]);
    let mut spec = scene.blank(2048);
    spec.firmware = machine::uefi_vars(&scene.dir).expect("OVMF is installed");
    spec.boot = Boot::Disk;
    spec.disks.push(disk);
    let machine = scene.power_on("second", &spec);
    machine.wait_for("from /var, stored earlier: no server answered", SOON).expect("it uses what it stored");
    machine.wait_for("login:", READY).expect("it comes up by itself");
    let way = Way::Namespace { name: scene.rack.namespace.name().to_owned(), address: "10.77.1.17".into() };
    let guest = Guest::attach(machine, way, &scene.key);
    assert_eq!(guest.run(identity), first);
    println!("{}", guest.run("sledctl status; bootctl --no-pager status || true; ls /sys/firmware/efi"));
    let all = guest.power_off().expect("goes off");
    println!("{}", said(&all));
}
