//! The extension `debug` on a running sled: the part of [`super::live`] that merges it.

use std::time::Duration;

use qemu_tests::guest::Guest;
use qemu_tests::web::Fault;

use super::support::Scene;

/// All that an extension could leave behind.
const LEFT: &str = "find /run/extensions /run/initramfs/extensions -mindepth 1; \
    grep -E 'sysext|extension' /proc/self/mounts; \
    dmsetup ls | grep extension; losetup --list --noheadings --output BACK-FILE | grep sysext; \
    command -v strace kdig jq; true";

/// From nothing to tools that work, and back to nothing.
pub(super) fn are_merged_and_leave_nothing(scene: &Scene, guest: &Guest) {
    let nothing = guest.run(LEFT);
    assert!(!nothing.contains("debug") && !nothing.contains("strace"), "{nothing}");
    assert!(guest.run("sledctl extension list").contains("not merged"));

    // A byte that is not the one whose hash is signed, at every try.
    let web = &scene.rack.web;
    let block = 300;
    web.fault("debug.sysext.squashfs", Fault::Flip(block * 4096 + 17), u32::MAX);
    let (ok, _, why) = guest.try_run("sledctl debug", &[]);
    println!("{why}");
    assert!(!ok && why.contains("block 300 does not match the root hash"), "{why}");
    assert!(why.contains("debug is not merged: debug.sysext.squashfs cannot be had"), "{why}");
    web.clear_faults();
    assert_eq!(guest.run(LEFT), nothing);

    // No other name leads anywhere.
    for name in ["mesos", "../usr", "debug/..", "''"] {
        let (ok, _, why) = guest.try_run(&format!("sledctl extension merge {name}"), &[]);
        assert!(!ok && why.contains("extension"), "{why}");
    }
    let (ok, _, why) = guest.try_run("sledctl extension unmerge debug", &[]);
    assert!(!ok && why.contains("debug is not merged"), "{why}");

    // Twice at the same time: one merges, the other finds it merged.
    let both = guest.run("sledctl debug & sledctl debug; wait");
    println!("{both}");
    assert!(both.contains("debug is merged: ") && both.contains("debug is merged already"), "{both}");
    assert!(guest.run("sledctl status").contains("debug is merged into /usr"));
    assert!(guest.run("sledctl status --json").contains("\"extensions\""));

    // What it has works, and sees what is on the wire of the data network.
    println!(
        "{}",
        guest.run("strace -c true 2>&1 | tail -3; kdig --version; jq --version; mtr --version; findmnt /usr")
    );
    let ping = "ping -c 20 -i 0.5 -I data0 10.77.1.99 >/dev/null 2>&1 &";
    let packet = guest.run(&format!("{ping} timeout 120 tcpdump -n -c 1 -i data0 arp 2>/dev/null"));
    println!("{packet}");
    assert!(packet.contains("who-has 10.77.1.99"), "{packet}");
    // Below is /usr as it was: the mount of a service that was started before.
    assert_eq!(guest.run("systemctl is-active docker").trim(), "active");
    let state = guest.run("dmsetup status $(dmsetup ls | grep -o '^extension-debug-loop[0-9]*')");
    assert!(state.trim_end().ends_with("verity V"), "{state}");

    // In use while it goes: the program runs on, and what it holds goes with it.
    guest.run("strace -o /dev/null sleep 600 >/dev/null 2>&1 </dev/null & echo $! >/run/strace.pid");
    guest.run("sledctl extension unmerge debug");
    assert!(guest.run("cat /proc/$(cat /run/strace.pid)/comm").contains("strace"));
    guest.run("kill $(cat /run/strace.pid); rm /run/strace.pid; pkill -f 'sleep 60[0]'; true");
    let mut left = String::new();
    for _ in 0..60 {
        left = guest.run(LEFT);
        if left == nothing {
            break;
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    assert_eq!(left, nothing, "something is left");
    let (ok, _, why) = guest.try_run("sledctl extension unmerge debug", &[]);
    assert!(!ok && why.contains("debug is not merged"), "{why}");
    assert_eq!(guest.run("systemctl --failed --no-legend --plain").trim(), "");
}
