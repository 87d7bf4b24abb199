//! Machines that are doubled, switched off or hang.

use super::{Case, Seen, forget, goes_on, scene, tell};
use crate::sleds::provision::support::{MGMT, READY, sled};
use qemu_tests::guest::POWER_OFF;

const UUID: &str = "4c4c4544-0042-3510-8051-b7c04f333832";

pub(super) fn two_sleds_with_one_uuid(case: &Case) -> Seen {
    let (scene, _) = scene(case);
    let (other, data) = ("52:54:00:00:08:01", "52:54:00:00:08:02");
    let known = sled("r1-b07", 7, MGMT).replace("macs:", &format!("uuid: {UUID}, macs:"));
    forget(&scene);
    scene.serve_text(&scene.yaml("", &(known + &sled("r1-b08", 8, other))));
    let (mut spec, _) = scene.given_kernel(1536, other, data);
    spec.smbios.uuid = Some(UUID.into());
    let machine = scene.power_on(case.test, &spec);
    let seen = case.seen(&machine);
    machine.wait_for("metadata: r1-b08 generation 1 from ", super::SOON).expect("it is the other one");
    drop(machine);
    // Who has one of the MAC addresses, too, is the sled.
    let mut spec = scene.blank(1536);
    spec.smbios.uuid = Some(UUID.into());
    let console = goes_on(&scene.power_on("the-first", &spec));
    assert!(console.contains(&format!(" by uuid {UUID}, ")), "{console}");
    seen
}

pub(super) fn power_button(case: &Case) -> Seen {
    let (scene, spec) = scene(case);
    scene.rack.web.set_down(true);
    let machine = scene.power_on(case.test, &spec);
    machine.wait_for("sledos: metadata: http", super::SOON).expect("it asks");
    let console = machine.power_off(POWER_OFF).expect("it goes off");
    case.seen_in(&console)
}

pub(super) fn watchdog_expiry(case: &Case) -> Seen {
    let (scene, mut spec) = scene(case);
    scene.rack.web.set_down(true);
    spec.extra = ["-device", "i6300esb", "-action", "watchdog=poweroff"].map(str::to_owned).to_vec();
    // A kernel that has panicked and does not reboot is one that hangs.
    tell(&mut spec, "unknown_nmi_panic panic=0");
    let mut machine = scene.power_on(case.test, &spec);
    let seen = case.seen(&machine);
    machine.qmp("inject-nmi", serde_json::json!({})).expect("QEMU does that");
    machine.wait_for("Kernel panic - not syncing", super::SOON).expect("the kernel stops");
    // Nobody but the watchdog ends it now.
    machine.wait_off(READY).expect("the watchdog does");
    seen
}
