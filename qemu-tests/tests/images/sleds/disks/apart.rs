//! A mirror whose halves ran apart: first one alone, then the other, then both.

use super::drives::{HDD, hdd, ssd};
use super::sled::{off, until};
use super::support::{MGMT, scene};
use qemu_tests::guest::Guest;
use sledos::qemu::{Disk, MachineSpec};

#[test]
#[ignore = "four boots of a storage sled; see CONTRIBUTING.md"]
fn of_halves_that_ran_apart_one_history_is_kept_whole_and_which_is_said() {
    let scene = scene("apart");
    scene.serve_disks(2);
    let dir = &scene.dir;
    let halves = ["SSD-A", "SSD-B"].map(|serial| ssd(dir, serial));
    let hdds = ["HDD-01", "HDD-02"].map(|serial| hdd(dir, serial, HDD, 512));
    let with = |ssds: &[Disk]| -> Vec<Disk> { ssds.iter().chain(&hdds).cloned().collect() };
    let boot = |name: &str, spec: &MachineSpec| scene.ready(scene.power_on(name, spec), MGMT);
    let in_sync = |guest: &Guest| until(guest, "cat /proc/mdstat", |said| said.contains("[2/2] [UU]"));

    let guest = boot("both", &scene.netboot(with(&halves)));
    in_sync(&guest);
    guest.run("echo both > /var/history; sync");
    off(guest);

    let mut sums = Vec::new();
    for (half, name) in halves.iter().zip(["a", "b"]) {
        let guest = boot(name, &scene.diskboot(with(std::slice::from_ref(half))));
        assert_eq!(guest.run("cat /var/history"), "both\n", "{name} knows nothing of the other");
        guest.run(&format!(
            "echo {name} >> /var/history; head -c 8000000 /dev/urandom > /var/written-{name}; sync"
        ));
        sums.push(guest.run("cat /var/history; sha256sum /var/written-*"));
        off(guest);
    }

    let guest = boot("again", &scene.diskboot(with(&halves)));
    println!("{}", guest.run("cat /proc/mdstat; sledctl status; cat /run/sledos/disks.json"));
    let kept = guest.run("cat /var/history; sha256sum /var/written-*");
    assert!(sums.contains(&kept), "neither {sums:?} but {kept}");
    assert!(guest.run("cat /run/sledos/disks.json").contains("\"apart\""), "the report says so");
    in_sync(&guest);
    // Both halves hold the same, block by block.
    guest.run("echo check > /sys/block/md127/md/sync_action");
    until(&guest, "cat /sys/block/md127/md/sync_action", |action| action.trim() == "idle");
    assert_eq!(guest.run("cat /sys/block/md127/md/mismatch_cnt").trim(), "0");
    assert_eq!(guest.run("cat /var/history; sha256sum /var/written-*"), kept);
    let all = off(guest);
    assert!(all.contains("ran apart, each without the other: ROOT is that of nvme"), "{all}");
}
