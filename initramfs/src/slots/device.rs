//! The disks of a sled as a document speaks of them.

use super::classify::{State, classify};
use crate::disks::{self, Content};
use std::cmp::Ordering;
use std::fs;
use std::io;
use std::path::Path;

/// A disk, with all by which a document may recognise it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Kernel name: `nvme0n1`. Changes from boot to boot.
    pub name: String,
    /// Device path below /sys/devices. Starts with the bus address of the
    /// controller, which does not change.
    pub path: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Bytes in a logical sector: 512 or 4096.
    pub sector: u32,
    /// Model. May be empty.
    pub model: String,
    /// Serial number. May be empty.
    pub serial: String,
    /// World wide name as udev writes it: `0x5000c500a1b2c3d4`, `eui.0025385b21404eb1`. May be empty.
    pub wwn: String,
    /// How it is attached: `nvme`, `sata`, `sas`, `usb`, `virtio`; empty for anything else.
    pub transport: &'static str,
    /// Whether it spins.
    pub rotational: bool,
    /// The bay it is in, as the enclosure or the controller tells.
    pub bay: Option<u32>,
    /// Whether this system uses it: it or a part of it is mounted or below another device.
    pub in_use: bool,
    /// What is on it.
    pub state: State,
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, bytes, model, serial, transport, state, .. } = self;
        write!(f, "{name} {}.{} GB", bytes / 1_000_000_000, bytes / 100_000_000 % 10)?;
        for text in [transport, model.as_str(), serial.as_str()] {
            if !text.is_empty() {
                write!(f, " {text}")?;
            }
        }
        write!(f, " ({state})")
    }
}

/// All disks.
pub fn look() -> Vec<Device> {
    disks::look().iter().map(device).collect()
}

/// That a disk is the one it was when it was described, by size, model, serial number and
/// what is on it: the kernel gives the name of one that went away to the next that comes.
///
/// # Errors
/// When it is not.
pub(crate) fn is_still(name: &str, says: &str) -> io::Result<()> {
    match disks::look_at(name).map(|disk| device(&disk).to_string()) {
        Some(now) if now == says => Ok(()),
        now => Err(io::Error::other(format!(
            "it is another disk than a moment ago, {}: nothing was written",
            now.as_deref().unwrap_or("or gone")
        ))),
    }
}

/// All about one disk.
pub(super) fn device(disk: &disks::Disk) -> Device {
    let dir = Path::new("/sys/class/block").join(&disk.name);
    let text = |file: &str| fs::read_to_string(dir.join(file)).unwrap_or_default().trim().to_owned();
    let first = |files: &[&str]| files.iter().map(|f| text(f)).find(|t| !t.is_empty()).unwrap_or_default();
    let path = fs::canonicalize(&dir).unwrap_or_default().display().to_string();
    let path = path.strip_prefix("/sys/devices/").unwrap_or(&path).to_owned();
    let mut serial = first(&["device/serial", "serial"]);
    if serial.is_empty() {
        serial = page_80(&fs::read(dir.join("device/vpd_pg80")).unwrap_or_default());
    }
    Device {
        name: disk.name.clone(),
        transport: transport(&path),
        bytes: disk.bytes,
        sector: sector(&disk.name),
        model: disk.model.clone(),
        serial,
        wwn: wwn(&first(&["wwid", "device/wwid"])),
        rotational: text("queue/rotational") == "1",
        bay: bay(&path),
        in_use: in_use(&dir),
        state: state(disk),
        path,
    }
}

/// Bytes in a logical sector of a disk.
pub(crate) fn sector(name: &str) -> u32 {
    let file = Path::new("/sys/class/block").join(name).join("queue/logical_block_size");
    fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(512)
}

/// The bay of a disk behind a SAS controller, which numbers them.
fn bay(path: &str) -> Option<u32> {
    let end = path.split('/').find(|part| part.starts_with("end_device-"))?;
    let file = Path::new("/sys/class/sas_device").join(end).join("bay_identifier");
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// Whether a disk or a partition of it is mounted or below another device.
fn in_use(dir: &Path) -> bool {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let used = |dir: &Path| {
        let held = fs::read_dir(dir.join("holders")).is_ok_and(|mut holders| holders.next().is_some());
        let number = fs::read_to_string(dir.join("dev")).unwrap_or_default();
        held || mounts.lines().any(|line| line.split(' ').nth(2) == Some(number.trim()))
    };
    let parts = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    used(dir) || parts.filter(|path| path.join("partition").exists()).any(|path| used(&path))
}

/// What is on a disk.
fn state(disk: &disks::Disk) -> State {
    let edges = disks::edges(&disk.name, 0, disk.bytes);
    match (edges, &disk.content) {
        (Err(error), _) => State::Unreadable(error.to_string()),
        // A damaged table is somebody's, and its signature is on the disk.
        (Ok(edges), content) => match classify(disk.bytes, &edges.head, &edges.tail, content) {
            State::Blank if matches!(content, Content::Unreadable(_)) => {
                State::Unreadable("its partition table does not read".to_owned())
            }
            state => state,
        },
    }
}

/// A SCSI serial number: page 0x80 has a header of four bytes.
fn page_80(page: &[u8]) -> String {
    String::from_utf8_lossy(page.get(4..).unwrap_or_default()).trim_matches([' ', '\0']).to_owned()
}

/// As udev's `ID_WWN` writes what the kernel calls `naa.5000c500a1b2c3d4`.
fn wwn(wwid: &str) -> String {
    match wwid.strip_prefix("naa.") {
        Some(digits) => format!("0x{digits}"),
        None => wwid.to_owned(),
    }
}

fn transport(path: &str) -> &'static str {
    let has = |part: &str| path.split('/').any(|p| p.starts_with(part));
    // A USB disk is a SCSI disk behind USB; virtio and ATA are buses, too.
    [("usb", "usb"), ("nvme", "nvme"), ("virtio", "virtio"), ("ata", "sata"), ("end_device", "sas")]
        .iter()
        .find(|(part, _)| has(part))
        .map_or("", |(_, name)| name)
}

/// Orders texts with numbers in them as people do: `ata2` before `ata10`.
pub fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        let digits = |s: &[u8]| s.iter().take_while(|c| c.is_ascii_digit()).count();
        let (n, m) = (digits(a), digits(b));
        if n > 0 && m > 0 {
            let number = |s: &[u8]| s.iter().position(|c| *c != b'0').map_or(s.len(), |zeroes| zeroes);
            let (x, y) = (&a[number(&a[..n])..n], &b[number(&b[..m])..m]);
            match x.len().cmp(&y.len()).then(x.cmp(y)).then(n.cmp(&m)) {
                Ordering::Equal => (a, b) = (&a[n..], &b[m..]),
                other => return other,
            }
        } else {
            match (a.split_first(), b.split_first()) {
                (Some((x, rest_a)), Some((y, rest_b))) if x == y => (a, b) = (rest_a, rest_b),
                (x, y) => return x.map(|x| x.0).cmp(&y.map(|y| y.0)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_numbers() {
        let mut all = ["ata10/x", "ata2", "ata2/host1", "ata02", "ata", "", "nvme0n1", "nvme0n10"];
        all.sort_by(|a, b| natural(a, b));
        assert_eq!(all, ["", "ata", "ata2", "ata2/host1", "ata02", "ata10/x", "nvme0n1", "nvme0n10"]);
        assert_eq!(natural("20261123.0046", "20261123.0046"), Ordering::Equal);
        assert_eq!(natural("20261123.0046", "20270101.0000"), Ordering::Less);
    }

    #[test]
    fn transports_names_and_serials_are_as_udev_says() {
        for (path, transport) in [
            ("pci0000:00/0000:00:1f.2/ata3/host2/target2:0:0/2:0:0:0/block/sda", "sata"),
            ("pci0000:00/0000:01:00.0/nvme/nvme0/nvme0n1", "nvme"),
            ("pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0/block/sdb", "usb"),
            ("pci0000:00/0000:03:00.0/host0/port-0:0/end_device-0:0/target0:0:0/0:0:0:0/block/sdc", "sas"),
            ("pci0000:00/0000:00:05.0/virtio2/block/vda", "virtio"),
            ("virtual/block/loop0", ""),
        ] {
            assert_eq!(super::transport(path), transport, "{path}");
        }
        assert_eq!(wwn("naa.5000c500a1b2c3d4"), "0x5000c500a1b2c3d4");
        assert_eq!(wwn("eui.0025385b21404eb1"), "eui.0025385b21404eb1");
        assert_eq!(page_80(b"\0\x80\0\x08  WD-1234"), "WD-1234");
        assert_eq!(page_80(b"\0"), "");
    }
}
