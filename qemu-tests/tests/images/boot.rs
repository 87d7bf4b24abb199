//! The compute image from the real mirror, booted.

mod containers;
mod host;

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

use qemu_tests::guest::{Guest, Key, POWER_OFF};
use qemu_tests::image;
use qemu_tests::scratch::Scratch;
use qemu_tests::turn::Turn;
use sledos::artefacts::Image;
use sledos::cli::boot::{self, FirmwareKind};
use sledos::qemu::{Boot, Machine, MachineSpec};

/// Bigger than the image, so that ROOT has something to grow into.
const DISK: u64 = 6 << 30;
/// From power-on to PID 1's verdict.
const VERDICT: Duration = Duration::from_secs(240);

fn scratch(name: &str) -> Scratch {
    Scratch::new(Path::new(env!("CARGO_TARGET_TMPDIR")).join("boot").join(name))
}

fn compute() -> &'static Path {
    image::compute(Path::new(env!("CARGO_TARGET_TMPDIR")))
}

fn spec(firmware: FirmwareKind, dir: &Path, key: Option<&Key>) -> MachineSpec {
    let mut spec = boot::spec(compute(), firmware, DISK, dir).expect("the image is complete");
    spec.oem_strings.extend(key.map(Key::oem_string));
    spec
}

/// Adds to the command line of a kernel given directly.
fn append(spec: &mut MachineSpec, change: impl Fn(&str) -> String) {
    if let Boot::Kernel { cmdline, .. } = &mut spec.boot {
        *cmdline = change(cmdline);
    }
}

fn healthy(guest: &Guest) {
    let state = guest.try_run("systemctl is-system-running --wait", &[]).1;
    let failed = guest.run("systemctl --failed --no-legend --plain");
    assert_eq!((state.trim(), failed.trim()), ("running", ""));
    for unit in ["ssh", "docker", "containerd", "chrony", "systemd-networkd", "systemd-resolved"] {
        assert_eq!(guest.run(&format!("systemctl is-active {unit}")).trim(), "active", "{unit}");
    }
    // Verified and read-only.
    let table = guest.run("dmsetup table usr");
    assert!(table.contains(" verity 1 "), "{table}");
    let manifest = boot::manifest(compute()).expect("the image has one");
    assert!(table.contains(&manifest.root_hash), "{table}");
    assert!(guest.run("dmsetup status usr").trim_end().ends_with('V'));
    // What no longer matches restarts the sled.
    assert!(table.trim_end().ends_with(" 1 panic_on_corruption"), "{table}");
    assert_ne!(guest.run("cat /proc/sys/kernel/panic").trim(), "0");
    let mount = guest.run("findmnt -no FSTYPE,OPTIONS /usr");
    assert!(mount.starts_with("squashfs") && mount.contains("ro"), "{mount}");
    assert!(!guest.try_run("touch /usr/x", &[]).0, "/usr can be written");
    // What the Mesos agent needs.
    assert_eq!(guest.run("stat -fc %T /sys/fs/cgroup").trim(), "tmpfs");
    assert_eq!(guest.run("findmnt -no FSTYPE /sys/fs/cgroup/memory").trim(), "cgroup");
    assert_eq!(guest.run("docker info --format '{{.CgroupVersion}} {{.Driver}}'").trim(), "1 overlay2");
    host::is_good(guest, &manifest);
}

/// Whether ext4 on ROOT was left as if the power had been cut: its journal is to be
/// replayed (`EXT4_FEATURE_INCOMPAT_RECOVER`, Linux `Documentation/filesystems/ext4`, super).
fn needs_recovery(dir: &Path) -> bool {
    let manifest = boot::manifest(compute()).expect("the image has one");
    let root = manifest.partitions.iter().find(|p| p.label == "ROOT").expect("it has a /var");
    let disk = File::open(dir.join("disk.raw")).expect("the copy is there");
    let mut incompatible = [0; 4];
    disk.read_exact_at(&mut incompatible, root.start + 1024 + 0x60).expect("within the disk");
    u32::from_le_bytes(incompatible) & 4 != 0
}

#[test]
fn uefi_boot_to_docker_and_back_with_the_same_identity() {
    let _turn = Turn::take();
    let dir = scratch("uefi");
    let key = Key::new(&dir);
    let mut spec = spec(FirmwareKind::Uefi, &dir, Some(&key));
    // One container takes all of it.
    spec.memory = 1536;
    let guest = Guest::boot("first", &spec, &key, &dir).expect("boots");
    healthy(&guest);

    containers::load(&guest, &dir);
    containers::run(&guest);
    host::once(&guest);

    // ROOT fills the disk: 6 GiB less the 1.3 GiB before it.
    let root: u64 =
        guest.run("df --output=size -B1 /var | tail -n1").trim().parse().expect("df prints a number");
    assert!(root > 4 << 30, "/var has {root} bytes");
    println!(
        "{}",
        guest.run("systemd-analyze; systemd-analyze blame | head -n 12; cat /run/sledos/boot.json")
    );
    let identity = "cat /etc/machine-id /var/lib/sledos/ssh/*.pub";
    let first = guest.run(identity);
    containers::fill(&guest);
    // Something that never lets go of /var by itself.
    guest.run("cd /var && exec 3>held && (setsid sleep 1d </dev/null >/dev/null 2>&1 &)");
    assert!(needs_recovery(&dir), "/var is in use");
    let said = guest.power_off().expect("goes off");
    assert_eq!(containers::trouble(&said), Vec::<&str>::new());
    assert!(said.contains("sledos: shutdown: let go of "), "{said}");
    assert!(!needs_recovery(&dir), "{said}");

    let guest = Guest::boot("second", &spec, &key, &dir).expect("boots again");
    containers::free(&guest);
    healthy(&guest);
    assert_eq!(guest.run(identity), first);
    containers::say_hello(&guest);
    let said = guest.power_off().expect("goes off");
    assert_eq!(containers::trouble(&said), Vec::<&str>::new());
}

/// Changes one byte of /usr on the test's own disk; `at` in bytes from its start.
fn flip(dir: &Path, at: u64) {
    let manifest = boot::manifest(compute()).expect("the image has one");
    let usr = manifest.partitions.iter().find(|p| p.label == "USR-A").expect("it has a /usr");
    let disk = File::options().read(true).write(true).open(dir.join("disk.raw")).expect("the copy is there");
    let mut byte = [0];
    disk.read_exact_at(&mut byte, usr.start + at).expect("within the disk");
    disk.write_all_at(&[byte[0] ^ 1], usr.start + at).expect("within the disk");
}

#[test]
fn bios_boot_and_a_flipped_byte_in_usr_restarts_the_sled_and_is_never_data() {
    let _turn = Turn::take();
    let dir = scratch("flipped");
    let key = Key::new(&dir);
    let mut spec = spec(FirmwareKind::Bios, &dir, Some(&key));
    // The last one counts.
    append(&mut spec, |line| format!("{line} panic=1"));
    // In the middle of firmware that this machine has no device for. Data lies in the order
    // of paths.
    let origins = Image::open(compute()).expect("it is an image").origins().expect("it says who owns what");
    let is_firmware = |path: &str| path.starts_with("lib/firmware/");
    let files = &origins.usr.files;
    let before: u64 = files.iter().take_while(|(path, ..)| !is_firmware(path)).map(|(.., cost)| *cost).sum();
    let firmware: u64 = files.iter().filter(|(path, ..)| is_firmware(path)).map(|(.., cost)| *cost).sum();
    let block = (before + firmware / 2) / 4096;
    flip(&dir, block * 4096 + 17);
    let guest = Guest::boot("flipped", &spec, &key, &dir).expect("boots: nothing there is read");
    healthy(&guest);
    let (whole, read, _) = guest.try_run(&format!("dd if=/dev/mapper/usr bs=4k skip={block} count=1"), &[]);
    assert!(!whole && read.is_empty(), "the damaged block was read");
    let said = guest.machine.wait_off(POWER_OFF).expect("panics and restarts");
    assert!(said.contains(&format!("data block {block} is corrupted")), "{said}");
    assert!(said.contains("dm-verity device corrupted"), "{said}");
}

/// Starts PID 1 and waits for the machine to end with its verdict.
fn verdict(name: &str, spec: &MachineSpec, dir: &Path) -> String {
    Machine::start(name, spec, dir)
        .expect("QEMU starts")
        .wait_off(VERDICT)
        .expect("PID 1 gives up and reboots")
}

#[test]
fn pid1_refuses_a_damaged_superblock_with_code_104() {
    let _turn = Turn::take();
    let dir = scratch("superblock");
    let mut spec = spec(FirmwareKind::Bios, &dir, None);
    append(&mut spec, |line| format!("{line} sledos.onfail-delay=1"));
    flip(&dir, 4);
    let said = verdict("superblock", &spec, &dir);
    assert!(said.contains("SLED-104"), "{said}");
}

#[test]
fn pid1_refuses_any_other_usr_with_code_101() {
    let _turn = Turn::take();
    let dir = scratch("other-hash");
    let mut spec = spec(FirmwareKind::Bios, &dir, None);
    let hash = boot::manifest(compute()).expect("the image has one").root_hash;
    append(&mut spec, |line| {
        format!("{} sledos.wait=3 sledos.onfail-delay=1", line.replace(&hash, &"5".repeat(64)))
    });
    let said = verdict("other-hash", &spec, &dir);
    assert!(said.contains("SLED-101"), "{said}");
}
