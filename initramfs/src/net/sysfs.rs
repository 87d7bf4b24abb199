//! What only sysfs tells of a link: driver, speed, place.

use std::fs;
use std::path::{Component, Path};

/// Where links are.
pub const NET: &str = "/sys/class/net";

/// The driver's name, or nothing.
pub fn driver(net: &Path, name: &str) -> String {
    let link = fs::read_link(net.join(name).join("device/driver")).unwrap_or_default();
    link.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Megabits per second. The file reads `EINVAL` while the link is off and -1
/// when the driver does not know.
pub fn speed(net: &Path, name: &str) -> Option<u32> {
    let text = fs::read_to_string(net.join(name).join("speed")).ok()?;
    text.trim().parse().ok().filter(|speed| *speed > 0 && *speed < u32::MAX)
}

/// The address of the PCI function, or the name of the device on another bus.
pub fn place(net: &Path, name: &str) -> String {
    fs::canonicalize(net.join(name).join("device")).map(|path| place_of(&path)).unwrap_or_default()
}

/// virtio puts a device of its own between the function and the link.
fn place_of(path: &Path) -> String {
    let parts = || {
        path.components().rev().filter_map(|part| match part {
            Component::Normal(part) => part.to_str(),
            _ => None,
        })
    };
    parts().find(|part| is_pci(part)).or(parts().next()).unwrap_or_default().to_owned()
}

/// `dddd:bb:dd.f`; the domain may be longer.
fn is_pci(text: &str) -> bool {
    let mut parts = text.split([':', '.']);
    let mut hex =
        |min: usize| parts.next().is_some_and(|p| p.len() >= min && p.bytes().all(|b| b.is_ascii_hexdigit()));
    text.matches(':').count() == 2 && hex(4) && hex(2) && hex(2) && hex(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn the_place_is_the_pci_function_even_behind_virtio() {
        let place = |path: &str| place_of(Path::new(path));
        assert_eq!(place("/sys/devices/pci0000:00/0000:00:02.0/0000:03:00.1"), "0000:03:00.1");
        assert_eq!(place("/sys/devices/pci0000:00/0000:00:03.0/virtio0"), "0000:00:03.0");
        assert_eq!(place("/sys/devices/platform/LNRO0005:00/virtio1"), "virtio1");
        assert_eq!(place("/"), "");
    }

    #[test]
    fn what_is_not_there_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        let eth0 = dir.path().join("eth0");
        assert_eq!((driver(dir.path(), "eth0"), speed(dir.path(), "eth0")), (String::new(), None));
        assert_eq!(place(dir.path(), "eth0"), "");
        fs::create_dir_all(eth0.join("device")).unwrap();
        symlink("../../../bus/pci/drivers/ixgbe", eth0.join("device/driver")).unwrap();
        for (text, mbps) in [("10000\n", Some(10_000)), ("-1\n", None), ("0\n", None), ("4294967295\n", None)]
        {
            fs::write(eth0.join("speed"), text).unwrap();
            assert_eq!(speed(dir.path(), "eth0"), mbps);
        }
        assert_eq!(driver(dir.path(), "eth0"), "ixgbe");
    }
}
