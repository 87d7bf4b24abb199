//! The compute image from the real mirror, booted.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

use qemu_tests::guest::{Guest, Key, POWER_OFF};
use qemu_tests::scratch::Scratch;
use qemu_tests::turn::Turn;
use qemu_tests::{console, docker, image};
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
    host(guest);
}

/// Sockets of a compute sled: protocol, address without the interface, and why.
const LISTENS: [(&str, &str, &str); 10] = [
    ("tcp", "0.0.0.0:22", "sshd"),
    ("tcp", "[::]:22", "sshd"),
    ("tcp", "127.0.0.53:53", "resolved, for this sled"),
    ("tcp", "127.0.0.54:53", "resolved, for this sled"),
    ("udp", "127.0.0.53:53", "resolved, for this sled"),
    ("udp", "127.0.0.54:53", "resolved, for this sled"),
    ("udp", "127.0.0.1:323", "chronyc"),
    ("udp", "[::1]:323", "chronyc"),
    ("udp", "10.0.2.15:68", "DHCP, IPv4"),
    ("udp", "link-local:546", "DHCP, IPv6"),
];

/// What a good host does, whatever runs on it.
fn host(guest: &Guest) {
    for line in guest.run("ss -Hlntu").lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        let [protocol, _, _, _, address, ..] = words[..] else { panic!("{line}") };
        let (place, port) = address.rsplit_once(':').expect("ss prints a port");
        let place = match place.split_once('%') {
            Some((link, _)) if link.starts_with("[fe80:") => "link-local",
            Some((place, _)) => place,
            None if place.starts_with("[fe80:") => "link-local",
            None => place,
        };
        let is = (protocol, format!("{place}:{port}"));
        let known = LISTENS.iter().any(|(protocol, address, _)| (*protocol, (*address).to_owned()) == is);
        assert!(known, "a socket nobody asked for: {line}");
    }
    for unit in ["docker", "docker.socket", "ssh", "chrony", "sledos-ready", "tmp.mount"] {
        assert_eq!(guest.run(&format!("systemctl is-enabled {unit}")).trim(), "enabled", "{unit}");
    }
    let show = |unit: &str, property: &str| {
        guest.run(&format!("systemctl show --value -p {property} {unit}")).trim().to_owned()
    };
    // The console's login waits for no device; Docker comes back however often it failed.
    for property in ["BindsTo", "Requires", "After"] {
        let units = show("serial-getty@ttyS0", property);
        assert!(!units.contains(".device"), "{property}: {units}");
    }
    assert_eq!(show("docker", "Restart"), "always");
    assert_eq!(show("docker", "StartLimitIntervalUSec"), "0");
    assert_eq!(show("docker.socket", "TriggerLimitIntervalUSec"), "0");
    assert_eq!(guest.run("cat /proc/$(pgrep -x dockerd)/oom_score_adj").trim(), "-500");
    for program in ["chronyd", "lldpd"] {
        let limits = guest.run(&format!("cat /proc/$(pgrep -ox {program})/limits"));
        let core = limits.lines().find(|line| line.starts_with("Max core file size"));
        assert_eq!(core.and_then(|line| line.split_whitespace().nth(4)), Some("0"), "{program}: {limits}");
    }
    let tmp = guest.run("findmnt -no FSTYPE,OPTIONS /tmp");
    assert!(["tmpfs", "nosuid", "nodev", "size="].iter().all(|word| tmp.contains(word)), "{tmp}");
    // A twentieth of /var is not for containers, which are root without this capability.
    let limited = "setpriv --bounding-set -sys_resource --inh-caps -sys_resource";
    guest
        .run(&format!("! {limited} fallocate -l $(($(stat -fc '%f * %S' /var) - (64 << 20))) /var/too-much"));
    guest.run("rm -f /var/too-much && findmnt -no OPTIONS /var | grep -q resuid=65533");
    // What is in the image is what the lock has.
    let packages = guest.run("grep -c ^Package: /var/lib/dpkg/status");
    let manifest = boot::manifest(compute()).expect("the image has one");
    assert_eq!(packages.trim(), manifest.packages.len().to_string());
    guest.run("grep -q CONFIG_DM_VERITY=m /usr/lib/modules/$(uname -r)/config");
    guest.run("test -d /usr/local/bin && test -x /usr/bin/editor && tcpdump --version && lsof -v");
    guest.run("test ! -e /etc/modules-load.d/modules.conf");
    // The status of the sled, then what lasts on it.
    let motd = guest.run("cat /run/motd.dynamic /etc/motd");
    assert!(motd.contains("image ") && motd.contains("/var stays"), "{motd}");
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
    let spec = spec(FirmwareKind::Uefi, &dir, Some(&key));
    let guest = Guest::boot("first", &spec, &key, &dir).expect("boots");
    healthy(&guest);

    let line = "a container on a sled says hello";
    let tar = docker::image("hello", &docker::hello(line, &dir));
    guest.feed("docker load", &tar);
    assert_eq!(guest.run("docker run --rm hello").trim(), line);

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
    // Something that never lets go of /var by itself.
    guest.run("cd /var && exec 3>held && (setsid sleep 1d </dev/null >/dev/null 2>&1 &)");
    assert!(needs_recovery(&dir), "/var is in use");
    let said = guest.power_off().expect("goes off");
    assert_eq!(console::trouble(&said), Vec::<&str>::new());
    assert!(said.contains("sledos: shutdown: let go of "), "{said}");
    assert!(!needs_recovery(&dir), "{said}");

    let guest = Guest::boot("second", &spec, &key, &dir).expect("boots again");
    healthy(&guest);
    assert_eq!(guest.run(identity), first);
    assert_eq!(guest.run("docker run --rm hello").trim(), line);
    let said = guest.power_off().expect("goes off");
    assert_eq!(console::trouble(&said), Vec::<&str>::new());
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
