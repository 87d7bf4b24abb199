//! Disks, as sysfs shows them; none is opened.

use super::nics::link;
use crate::identity::read as text;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Names of block devices that are no hardware.
const NOT_DISKS: [&str; 8] = ["loop", "ram", "zram", "dm-", "md", "fd", "sr", "nbd"];

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
    /// World wide name: `naa.…`, `eui.…`.
    pub wwn: Option<String>,
    /// Whether it spins.
    pub rotational: Option<bool>,
    /// How it is attached: `nvme`, `sata`, `sas`, `usb`, `virtio`.
    pub transport: Option<&'static str>,
    /// Its place below /sys/devices.
    pub path: Option<String>,
}

pub(super) fn read(sys: &Path) -> Vec<Disk> {
    let entries = fs::read_dir(sys.join("block")).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| !NOT_DISKS.iter().any(|kind| name.starts_with(kind)));
    names.sort();
    let disk = |name: String| {
        let dir = sys.join("block").join(&name);
        let path = fs::canonicalize(dir.join("device")).ok();
        let path = path.as_ref().and_then(|path| path.to_str()?.split_once("/devices/"));
        let path = path.map(|(_, path)| path.to_owned());
        let file = |name: &str| text(&dir.join(name));
        Disk {
            // In units of 512 bytes, whatever the sectors are.
            size: file("size")
                .and_then(|n| n.parse().ok())
                .and_then(|n: u64| n.checked_mul(512))
                .unwrap_or(0),
            model: file("device/model"),
            serial: file("device/serial").or_else(|| file("serial")).or_else(|| page80(&dir)),
            wwn: file("wwid").or_else(|| file("device/wwid")).filter(|id| !id.starts_with("t10.")),
            rotational: file("queue/rotational").map(|flag| flag == "1"),
            transport: transport(
                &name,
                path.as_deref().unwrap_or_default(),
                file("device/vendor").as_deref(),
            )
            .or_else(|| (link(&dir.join("device/subsystem"))? == "virtio").then_some("virtio")),
            path,
            name,
        }
    };
    // `hidden`: one of the paths to a multipath NVMe disk.
    let shown = |name: &String| text(&sys.join("block").join(name).join("hidden")).as_deref() != Some("1");
    names.into_iter().filter(shown).map(disk).collect()
}

fn transport(name: &str, path: &str, vendor: Option<&str>) -> Option<&'static str> {
    let parts = || path.split('/');
    let below = |kind: &str| {
        parts().any(|part| {
            part.strip_prefix(kind).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        })
    };
    if name.starts_with("nvme") {
        Some("nvme")
    } else if below("usb") {
        Some("usb")
    } else if below("ata") || vendor == Some("ATA") {
        // Behind a SAS controller a SATA disk has this vendor (SAT, 4.2).
        Some("sata")
    } else if below("end_device-") {
        Some("sas")
    } else if name.starts_with("vd") || below("virtio") {
        Some("virtio")
    } else {
        None
    }
}

/// The unit serial number page of SCSI (SPC-5 section 7.7.16): four bytes, the last
/// two of them a length, then text.
fn page80(dir: &Path) -> Option<String> {
    let page = fs::read(dir.join("device/vpd_pg80")).ok()?;
    let length = usize::from(u16::from_be_bytes([*page.get(2)?, *page.get(3)?]));
    let serial = String::from_utf8_lossy(page.get(4..4 + length)?).trim().to_owned();
    (!serial.is_empty()).then_some(serial)
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
