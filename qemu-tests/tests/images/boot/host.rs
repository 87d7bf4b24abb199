//! A sled as a host: what listens, what is enabled, who is let in.

use qemu_tests::guest::Guest;
use sledos::image::manifest::Manifest;

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
pub(super) fn is_good(guest: &Guest, manifest: &Manifest) {
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
    for program in ["chronyd", "dbus-daemon"] {
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
    assert_eq!(packages.trim(), manifest.packages.len().to_string());
    guest.run("grep -q CONFIG_DM_VERITY=m /usr/lib/modules/$(uname -r)/config");
    guest.run("test -d /usr/local/bin && test -x /usr/bin/editor && tcpdump --version && lsof -v");
    guest.run("test ! -e /etc/modules-load.d/modules.conf");
    // Without a document.
    assert_eq!(guest.run("hostname").trim(), "sled");
    // Errors of the kernel are on the console, and no more.
    assert_eq!(guest.run("cut -f1 /proc/sys/kernel/printk").trim(), "4");
    // The status of the sled, then what lasts on it.
    let motd = guest.run("cat /run/motd.dynamic /etc/motd");
    assert!(motd.contains("image ") && motd.contains("/var stays"), "{motd}");
}

/// What one boot is enough for: nobody gets in by a password, the kernel makes tunnels, and no link leads nowhere.
pub(super) fn once(guest: &Guest) {
    let ssh = "ssh -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
               -o PubkeyAuthentication=no root@127.0.0.1 true 2>&1 || true";
    let said = guest.run(ssh);
    assert!(said.contains("Permission denied (publickey)."), "{said}");
    guest.run("ip link add wg0 type wireguard && ip link delete wg0");
    assert_eq!(guest.run("find /usr /etc -path /usr/share/sledos/etc -prune -o -xtype l -print"), "");
}
