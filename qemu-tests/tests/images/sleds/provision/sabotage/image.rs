//! Images that are not what the document says.

use super::{Case, Seen, goes_on, roomy, scene};
use crate::sleds::provision::support::{READY, SOON};
use qemu_tests::web::Fault;
use sledos::qemu::Machine;

/// Waits until more of the image has come.
fn comes(machine: &Machine, what: &str) {
    let is = |text: &str| text.lines().any(|line| super::says(line, what));
    machine.wait_until(what, SOON, is).expect("the image comes");
}

pub(super) fn flipped_byte(case: &Case) -> Seen {
    let (scene, spec) = roomy(case);
    scene.rack.web.fault("usr.squashfs", Fault::Flip(5), 1);
    let machine = scene.power_on(case.test, &spec);
    let seen = case.seen(&machine);
    comes(&machine, "usr.squashfs: … of … MiB (… %), … MiB/s");
    seen
}

pub(super) fn wrong_root_hash(case: &Case) -> Seen {
    let (scene, spec) = scene(case);
    let path = scene.fleet.root.join("v1/mac/52-54-00-00-07-01.json");
    let text = std::fs::read_to_string(&path).expect("it was compiled");
    let hash = &scene.manifest.root_hash.to_string();
    assert!(text.contains(hash), "{text}");
    scene.fleet.sign(&path, text.replace(hash, &"ab".repeat(32)).as_bytes());
    let machine = scene.power_on(case.test, &spec);
    goes_on(&machine);
    let console = machine.wait_off(READY).expect("it reboots");
    assert!(console.contains("sledos: reboots now"), "{console}");
    case.seen_in(&console)
}

pub(super) fn hash_tree_of_another_image(case: &Case) -> Seen {
    let (scene, spec) = roomy(case);
    // Behind the superblock is the top of the tree.
    scene.rack.web.fault("usr.verity", Fault::Flip(4096), u32::MAX);
    let machine = scene.power_on(case.test, &spec);
    let seen = case.seen(&machine);
    assert!(!machine.console().contains("usr.squashfs: "), "{}", machine.console());
    scene.rack.web.clear_faults();
    comes(&machine, "usr.squashfs: … of … MiB (… %), … MiB/s");
    seen
}

pub(super) fn image_of_another_size(case: &Case) -> Seen {
    let (scene, spec) = roomy(case);
    scene.rack.web.fault("usr.squashfs", Fault::Length(1 << 20), u32::MAX);
    let machine = scene.power_on(case.test, &spec);
    let seen = case.seen(&machine);
    scene.rack.web.clear_faults();
    comes(&machine, "usr.squashfs: … of … MiB (… %), … MiB/s");
    seen
}
