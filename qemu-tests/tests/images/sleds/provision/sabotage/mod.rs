//! The sabotage suite: one thing is wrong in each test, and what PID 1 says about it is
//! the row of docs/sabotage.md.
//!
//! Most boots are of kernel and initramfs only and end at the sentence.

mod cases;
mod clock;
mod dhcp;
mod disk;
mod image;
mod machine;
mod network;
mod server;

use super::support::{SOON, Scene};
use sledos::qemu::{Boot, Machine, MachineSpec};
use std::time::Duration;

/// A row of the table.
#[derive(Clone, Copy, Debug)]
struct Case {
    /// Name of the test.
    test: &'static str,
    /// What is wrong.
    fault: &'static str,
    /// What the console says behind `sledos: `, `…` for what differs from sled to sled.
    sentence: &'static str,
    /// What becomes of the sled.
    outcome: &'static str,
}

/// That the sentence was on the console. Only [`Case::seen`] makes one, so that no row is
/// without.
#[must_use]
struct Seen;

impl Case {
    /// Waits for the sentence.
    fn seen(&self, machine: &Machine) -> Seen {
        self.seen_within(machine, SOON)
    }

    fn seen_within(&self, machine: &Machine, deadline: Duration) -> Seen {
        let is = |text: &str| text.lines().any(|line| says(line, self.sentence));
        machine
            .wait_until(self.sentence, deadline, is)
            .unwrap_or_else(|e| panic!("{}: {e}\n{}", self.test, super::support::said(&machine.console())));
        Seen
    }

    /// The same on a console that has ended.
    fn seen_in(&self, console: &str) -> Seen {
        let said = super::support::said(console);
        assert!(console.lines().any(|line| says(line, self.sentence)), "{}: {said}", self.test);
        Seen
    }
}

/// Whether a line of the console is this sentence.
fn says(line: &str, sentence: &str) -> bool {
    let Some((_, mut rest)) = line.trim_end().split_once("sledos: ") else { return false };
    let mut parts = sentence.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(after) = rest.strip_prefix(first) else { return false };
    rest = after;
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        // The last part ends the line, wherever it was found before.
        rest = if sentence.ends_with(part) && rest.ends_with(part) { "" } else { after };
    }
    rest.is_empty() || sentence.ends_with('…')
}

/// A scene with a sled in bay 7, and its machine before it is switched on.
fn scene(case: &Case) -> (Scene, MachineSpec) {
    let scene = Scene::new(case.test);
    scene.serve("");
    let spec = scene.blank(1536);
    (scene, spec)
}

/// As [`scene`], with room for the image in memory.
fn roomy(case: &Case) -> (Scene, MachineSpec) {
    let (scene, mut spec) = scene(case);
    let mib = scene.manifest.artefacts["usr.squashfs"].size.div_ceil(1 << 20);
    spec.memory = 1024 + u32::try_from(mib).expect("an image is not that large");
    (scene, spec)
}

/// Adds to the kernel's command line.
fn tell(spec: &mut MachineSpec, words: &str) {
    let Boot::Kernel { cmdline, .. } = &mut spec.boot else { panic!("it boots a kernel") };
    *cmdline += &format!(" {words}");
}

/// Removes what was compiled: the next documents are of the first generation again.
fn forget(scene: &Scene) {
    std::fs::remove_dir_all(scene.fleet.root.join("v1")).expect("it was compiled");
}

/// Waits until the sled has its document, and has said all of the line that says so.
fn goes_on(machine: &Machine) -> String {
    let told = "metadata: r1-b07 generation 1 from ";
    let whole = |text: &str| text.split_once(told).is_some_and(|(_, rest)| rest.contains('\n'));
    machine.wait_until(told, SOON, whole).expect("it gets its document")
}

#[test]
fn a_sentence_is_matched_whole() {
    let line = "[    3.210] sledos: metadata: http://10.77.0.1:80/v1/x.json: the server answers 500\r";
    assert!(says(line, "metadata: http://…: the server answers 500"));
    assert!(says(line, "metadata: …"));
    assert!(!says(line, "metadata: http://…: the server answers"));
    assert!(!says(line, "http://…: the server answers 500"));
    assert!(!says(line, "metadata: http://…: the server answers 503"));
    assert!(!says("no line of PID 1", "…"));
}
