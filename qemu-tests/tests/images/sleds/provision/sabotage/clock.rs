//! Clocks that are wrong.

use super::{Case, Seen, goes_on, scene};
use sledos::qemu::MachineSpec;

fn rtc(spec: &mut MachineSpec, date: &str) {
    // By the machine's own clock: QEMU keeps the distance to the host's in 32 bits.
    spec.extra = vec!["-rtc".into(), format!("base={date}T00:00:00,clock=vm")];
}

pub(super) fn clock_in_1970(case: &Case) -> Seen {
    let (scene, mut spec) = scene(case);
    rtc(&mut spec, "1970-01-01");
    let machine = scene.power_on(case.test, &spec);
    goes_on(&machine);
    case.seen(&machine)
}

pub(super) fn clock_in_2099(case: &Case) -> Seen {
    let (scene, mut spec) = scene(case);
    rtc(&mut spec, "2099-01-01");
    let machine = scene.power_on(case.test, &spec);
    case.seen(&machine)
}
