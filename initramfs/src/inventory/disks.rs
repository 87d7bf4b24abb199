//! Disks, as documents recognise them.

use crate::disks::{Description, describe, names};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// One disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Disk {
    /// The kernel's name.
    pub name: String,
    /// Bytes; 0 without a medium.
    pub size: u64,
    /// Model.
    pub model: Option<String>,
    /// Serial number.
    pub serial: Option<String>,
    /// World wide name: `0x5000c500a1b2c3d4`, `eui.0025385b21404eb1`.
    pub wwn: Option<String>,
    /// Whether it spins.
    pub rotational: Option<bool>,
    /// How it is attached: `nvme`, `sata`, `sas`, `usb`, `virtio`.
    pub transport: Option<&'static str>,
    /// Its place below /sys/devices.
    pub path: Option<String>,
}

impl From<Description> for Disk {
    fn from(disk: Description) -> Self {
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        Self {
            name: disk.name,
            size: disk.bytes,
            model: some(disk.model),
            serial: some(disk.serial),
            wwn: some(disk.wwn),
            rotational: disk.rotational,
            transport: Some(disk.transport).filter(|transport| !transport.is_empty()),
            path: some(disk.path),
        }
    }
}

pub(super) fn read(sys: &Path) -> Vec<Disk> {
    names(sys).iter().map(|name| describe(sys, name).into()).collect()
}

/// Equal disks together: `16 × 4000 GB ST4000NM0035 sas`.
pub(super) fn groups(disks: &[Disk]) -> Vec<String> {
    let mut groups: BTreeMap<(u64, &str, &str), Vec<&str>> = BTreeMap::new();
    for disk in disks {
        let model = disk.model.as_deref().unwrap_or("unknown model");
        let key = (disk.size, model, disk.transport.unwrap_or_default());
        groups.entry(key).or_default().push(&disk.name);
    }
    let show = |((size, model, transport), names): (_, Vec<&str>)| {
        let names = match names.as_slice() {
            [one] => (*one).to_owned(),
            [first, .., last] => format!("{first}…{last}, {} of", names.len()),
            [] => String::new(),
        };
        let (gb, transport): (u64, &str) = (size / 1_000_000_000, transport);
        format!("{names} {gb} GB {model} {transport}").trim_end().to_owned()
    };
    groups.into_iter().map(show).collect()
}
