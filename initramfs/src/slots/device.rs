//! The disks of a sled as a document speaks of them.

use super::classify::{State, classify};
use crate::disks::{self, Content, Description};
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

impl Device {
    /// Whether this is the disk that the other describes, with the same on it; whether it is
    /// in use may have changed.
    fn is(&self, other: &Self) -> bool {
        Self { in_use: other.in_use, ..self.clone() } == *other
    }
}

/// All disks.
pub fn look() -> Vec<Device> {
    disks::look().iter().map(device).collect()
}

/// That a disk is the one it was when it was looked at, and has the same on it: the kernel
/// gives the name of one that went away to the next that comes.
///
/// # Errors
/// When it is not.
pub(crate) fn is_still(before: &Device) -> io::Result<()> {
    match disks::look_at(&before.name).map(|disk| device(&disk)) {
        Some(now) if now.is(before) => Ok(()),
        now => Err(io::Error::other(format!(
            "it is another disk than a moment ago, {}: nothing was written",
            now.map_or("or gone".to_owned(), |now| now.to_string())
        ))),
    }
}

/// All about one disk.
pub(crate) fn device(disk: &disks::Disk) -> Device {
    let Description { name, path, sector, model, serial, wwn, transport, rotational, bay, .. } =
        disks::describe(Path::new("/sys"), &disk.name);
    Device {
        bytes: disk.bytes,
        rotational: rotational.unwrap_or(false),
        in_use: in_use(&Path::new("/sys/block").join(&name)),
        state: state(disk),
        name,
        path,
        sector,
        model,
        serial,
        wwn,
        transport,
        bay,
    }
}

/// Bytes in a logical sector of a disk.
pub(crate) fn sector(name: &str) -> u32 {
    let file = Path::new("/sys/class/block").join(name).join("queue/logical_block_size");
    fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(512)
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
    fn a_disk_is_another_one_when_anything_but_its_use_differs() {
        let one = crate::slots::choose::tests::device("sda", "pci/ata1/block/sda", 10);
        assert!(one.is(&Device { in_use: true, ..one.clone() }));
        let changes: [fn(&mut Device); 10] = [
            |d| d.name = "sdb".into(),
            |d| d.path = "pci/ata2/block/sda".into(),
            |d| d.bytes += 4096,
            |d| d.sector = 4096,
            |d| d.model = "MODEL 2".into(),
            |d| d.serial = String::new(),
            |d| d.wwn = "0x5000c500a1b2c3d4".into(),
            |d| d.transport = "sas",
            |d| d.rotational = true,
            |d| d.state = State::Unfinished,
        ];
        for change in changes {
            let mut other = one.clone();
            change(&mut other);
            assert!(!one.is(&other) && !other.is(&one), "{other:?}");
        }
    }
}
