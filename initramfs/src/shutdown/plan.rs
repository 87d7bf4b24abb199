//! What to let go of, in which order. Pure.

use std::fmt;

/// Where systemd-shutdown leaves the root it came from.
pub const OLD_ROOT: &str = "/oldroot";

/// A mount, of `/proc/self/mountinfo` (proc(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where.
    pub at: String,
    /// Type of the file system.
    pub kind: String,
    /// What is mounted; the path of a device for file systems on disks.
    pub source: String,
    /// Whether the file system takes no writes.
    pub read_only: bool,
}

/// A device that holds others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Device {
    /// A device-mapper device, by its name.
    Mapping(String),
    /// A loop device: `loop0`.
    Loop(String),
    /// An md array: `md127`.
    Array(String),
}

/// What is held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// In the order the kernel lists them: a mount comes after the one it is on.
    pub mounts: Vec<Mount>,
    /// In any order.
    pub devices: Vec<Device>,
    /// Whole disks: `vda`, `nvme0n1`.
    pub disks: Vec<String>,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Unmount a file system.
    Unmount {
        /// Where.
        at: String,
        /// Without asking a server that may be gone.
        remote: bool,
    },
    /// Write back what is cached and take no more writes.
    ReadOnly(String),
    /// Take a device away.
    Release(Device),
    /// Empty the write cache of a disk.
    Flush(String),
}

impl Mount {
    /// The mounts below [`OLD_ROOT`] and that itself. A line that is not understood is
    /// left out: it cannot be unmounted.
    pub fn all(mountinfo: &str) -> Vec<Self> {
        mountinfo.lines().filter_map(Self::parse).filter(|mount| is_below(&mount.at)).collect()
    }

    /// `36 35 98:0 /in/it /at rw,noatime shared:1 - ext4 /dev/sda1 rw,errors=continue`
    fn parse(line: &str) -> Option<Self> {
        let (mount, filesystem) = line.split_once(" - ")?;
        let at = mount.split(' ').nth(4).map(unescape)?;
        let mut words = filesystem.split(' ');
        let (kind, source, options) = (words.next()?, words.next()?, words.next().unwrap_or_default());
        let read_only = options.split(',').any(|option| option == "ro");
        Some(Self { at, kind: kind.to_owned(), source: unescape(source), read_only })
    }

    fn on_disk(&self) -> bool {
        self.source.starts_with("/dev/")
    }

    fn remote(&self) -> bool {
        let kinds = ["nfs", "nfs4", "cifs", "smb3", "ceph", "9p", "fuse"];
        kinds.contains(&self.kind.as_str()) || self.kind.starts_with("fuse.")
    }
}

fn is_below(at: &str) -> bool {
    at.strip_prefix(OLD_ROOT).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The kernel writes space, tab, newline and backslash as `\` and three octal digits.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let octal = tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        let octal = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()).filter(|_| *first == b'\\');
        bytes.push(octal.unwrap_or(*first));
        rest = if octal.is_some() { tail.get(3..).unwrap_or_default() } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Mounts from the last to the first, then devices. What is still in use the kernel
/// refuses, and the next round has it again.
pub fn plan(state: &State) -> Vec<Action> {
    let mounts = state.mounts.iter().rev();
    let mounts = mounts.map(|mount| Action::Unmount { at: mount.at.clone(), remote: mount.remote() });
    mounts.chain(state.devices.iter().cloned().map(Action::Release)).collect()
}

impl State {
    /// What to do about what cannot be let go of, and for the disks at last.
    pub(super) fn rest(&self) -> Vec<Action> {
        let writes = self.mounts.iter().rev().filter(|mount| mount.on_disk() && !mount.read_only);
        let writes = writes.map(|mount| Action::ReadOnly(mount.at.clone()));
        writes.chain(self.disks.iter().cloned().map(Action::Flush)).collect()
    }
}

impl Action {
    /// Whether it is worth a line that it failed: what is left in memory is lost on purpose.
    pub(super) fn matters(&self, left: &State) -> bool {
        match self {
            Self::Unmount { at, .. } => left.mounts.iter().any(|mount| mount.at == *at && mount.on_disk()),
            Self::Release(device) => left.devices.contains(device),
            Self::ReadOnly(_) | Self::Flush(_) => true,
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mapping(name) => write!(f, "the mapping {name}"),
            Self::Loop(name) => write!(f, "{name}"),
            Self::Array(name) => write!(f, "the array {name}"),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unmount { at, .. } => write!(f, "unmount {at}"),
            Self::ReadOnly(at) => write!(f, "remount {at} read-only"),
            Self::Release(device) => write!(f, "release {device}"),
            Self::Flush(disk) => write!(f, "flush {disk}"),
        }
    }
}
