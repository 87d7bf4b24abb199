//! What a disk is, whatever is on it: as sysfs shows it, without opening it. The inventory
//! shows this, and documents recognise disks by it.

use crate::identity::read as text;
use std::fs;
use std::path::Path;

/// Kernel names of block devices that are no hardware: memory, loops, mappings, floppies,
/// optical drives, network devices.
const NOT_DISKS: [&str; 8] = ["loop", "ram", "zram", "dm-", "md", "fd", "sr", "nbd"];

/// A disk as its maker and its place describe it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// Kernel name: `nvme0n1`. Changes from boot to boot.
    pub name: String,
    /// Device path below /sys/devices. Starts with the bus address of the controller,
    /// which does not change.
    pub path: String,
    /// Size in bytes; 0 without a medium.
    pub bytes: u64,
    /// Bytes in a logical sector: 512 or 4096.
    pub sector: u32,
    /// Model. May be empty.
    pub model: String,
    /// Serial number. May be empty.
    pub serial: String,
    /// World wide name as udev writes it: `0x5000c500a1b2c3d4`, `eui.0025385b21404eb1`. May
    /// be empty.
    pub wwn: String,
    /// How it is attached: `nvme`, `sata`, `sas`, `usb`, `virtio`; empty for anything else.
    pub transport: &'static str,
    /// Whether it spins; `None` when the kernel does not say.
    pub rotational: Option<bool>,
    /// The bay it is in, as the enclosure or the controller tells.
    pub bay: Option<u32>,
}

/// Names of the disks below `sys`, which is `/sys`, sorted.
pub fn names(sys: &Path) -> Vec<String> {
    let entries = fs::read_dir(sys.join("block")).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    // `hidden`: one of the paths to a multipath NVMe disk, without a device node.
    let hidden = |name: &str| text(&sys.join("block").join(name).join("hidden")).as_deref() == Some("1");
    names.retain(|name| !NOT_DISKS.iter().any(|kind| name.starts_with(kind)) && !hidden(name));
    names.sort();
    names
}

/// Describes a block device below `sys` by its kernel name.
pub fn describe(sys: &Path, name: &str) -> Description {
    let dir = sys.join("block").join(name);
    let file = |name: &str| text(&dir.join(name));
    let path = fs::canonicalize(&dir).unwrap_or_default();
    let path = path.to_str().and_then(|path| path.split_once("/devices/")).map_or("", |(_, path)| path);
    let wwid = file("wwid").or_else(|| file("device/wwid"));
    Description {
        name: name.to_owned(),
        // In units of 512 bytes, whatever the sectors are.
        bytes: number(file("size")).and_then(|n| n.checked_mul(512)).unwrap_or(0),
        sector: number(file("queue/logical_block_size")).and_then(|n| n.try_into().ok()).unwrap_or(512),
        model: file("device/model").unwrap_or_default(),
        serial: file("device/serial")
            .or_else(|| file("serial"))
            .or_else(|| page_80(&dir))
            .unwrap_or_default(),
        wwn: wwid.map(|wwid| wwn(&wwid)).unwrap_or_default(),
        transport: transport(name, path, file("device/vendor").as_deref()),
        rotational: file("queue/rotational").map(|flag| flag == "1"),
        bay: bay(sys, path),
        path: path.to_owned(),
    }
}

fn number(text: Option<String>) -> Option<u64> {
    text?.parse().ok()
}

/// The bay of a disk behind a SAS controller, which numbers them.
fn bay(sys: &Path, path: &str) -> Option<u32> {
    let end = path.split('/').find(|part| part.starts_with("end_device-"))?;
    text(&sys.join("class/sas_device").join(end).join("bay_identifier"))?.parse().ok()
}

/// As udev's `ID_WWN` writes what the kernel calls `naa.5000c500a1b2c3d4`. `t10.…` is vendor,
/// model and serial number in one, and no world wide name.
fn wwn(wwid: &str) -> String {
    match wwid.strip_prefix("naa.") {
        Some(digits) => format!("0x{digits}"),
        None if wwid.starts_with("t10.") => String::new(),
        None => wwid.to_owned(),
    }
}

fn transport(name: &str, path: &str, vendor: Option<&str>) -> &'static str {
    let below = |kind: &str| {
        path.split('/').any(|part| {
            part.strip_prefix(kind).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        })
    };
    if name.starts_with("nvme") {
        "nvme"
    } else if below("usb") {
        // A SCSI disk as well, and maybe an ATA one.
        "usb"
    } else if below("ata") || vendor == Some("ATA") {
        // Behind a SAS controller a SATA disk has this vendor (SAT, 4.2).
        "sata"
    } else if below("end_device-") {
        "sas"
    } else if below("virtio") {
        "virtio"
    } else {
        ""
    }
}

/// The unit serial number page of SCSI (SPC-5 section 7.7.16): four bytes, the last two of
/// them a length, then text.
fn page_80(dir: &Path) -> Option<String> {
    let page = fs::read(dir.join("device/vpd_pg80")).ok()?;
    let length = usize::from(u16::from_be_bytes([*page.get(2)?, *page.get(3)?]));
    let serial = String::from_utf8_lossy(page.get(4..4 + length)?);
    let serial = serial.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    (!serial.is_empty()).then(|| serial.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::tests::files;
    use std::os::unix::fs::symlink;

    #[test]
    fn transports_and_names_are_as_udev_says() {
        for (path, vendor, transport) in [
            ("pci0000:00/0000:00:1f.2/ata3/host2/target2:0:0/2:0:0:0/block/sda", "ATA", "sata"),
            ("pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0/block/sda", "ATA", "usb"),
            (
                "pci0000:00/0000:03:00.0/host0/port-0:0/end_device-0:0/target0:0:0/0:0:0:0/block/sda",
                "SEAGATE",
                "sas",
            ),
            // SATA behind a SAS controller.
            (
                "pci0000:00/0000:03:00.0/host0/port-0:1/end_device-0:1/target0:0:1/0:0:1:0/block/sda",
                "ATA",
                "sata",
            ),
            ("pci0000:00/0000:00:05.0/virtio2/block/vda", "", "virtio"),
            ("virtual/block/loop0", "", ""),
        ] {
            assert_eq!(super::transport("sda", path, Some(vendor)), transport, "{path}");
        }
        assert_eq!(super::transport("nvme0n1", "pci0000:00/0000:01:00.0/nvme/nvme0/nvme0n1", None), "nvme");
        assert_eq!(wwn("naa.5000c500a1b2c3d4"), "0x5000c500a1b2c3d4");
        assert_eq!(wwn("eui.0025385b21404eb1"), "eui.0025385b21404eb1");
        assert_eq!(wwn("t10.ATA     INTEL"), "");
    }

    #[test]
    fn all_that_sysfs_has_is_read_and_what_is_no_disk_is_left_out() {
        let root = tempfile::tempdir().unwrap();
        let sas = "devices/pci0000:00/host0/port-0:0/end_device-0:0/target0:0:0/0:0:0:0";
        files(
            root.path(),
            &[
                (&format!("{sas}/model"), "ST4000NM0035\n"),
                (&format!("{sas}/vendor"), "SEAGATE \n"),
                (&format!("{sas}/wwid"), "naa.5000c500a1b2c3d4\n"),
                (&format!("{sas}/vpd_pg80"), "\0\u{0}\0\u{a}  ZC12ABCD"),
                (&format!("{sas}/block/sda/size"), "7814037168\n"),
                (&format!("{sas}/block/sda/queue/logical_block_size"), "4096\n"),
                (&format!("{sas}/block/sda/queue/rotational"), "1\n"),
                ("class/sas_device/end_device-0:0/bay_identifier", "11\n"),
                ("devices/virtual/block/loop0/size", "8\n"),
                ("devices/nvme0c0n1/hidden", "1\n"),
            ],
        );
        fs::create_dir_all(root.path().join("block")).unwrap();
        for (name, at) in [
            ("sda", format!("{sas}/block/sda")),
            ("loop0", "devices/virtual/block/loop0".into()),
            ("nvme0c0n1", "devices/nvme0c0n1".into()),
        ] {
            symlink(root.path().join(at), root.path().join("block").join(name)).unwrap();
        }
        symlink(root.path().join(sas), root.path().join(sas).join("block/sda/device")).unwrap();
        assert_eq!(names(root.path()), ["sda"]);
        let expected = Description {
            name: "sda".into(),
            path: format!("{}/block/sda", sas.strip_prefix("devices/").unwrap()),
            bytes: 4_000_787_030_016,
            sector: 4096,
            model: "ST4000NM0035".into(),
            serial: "ZC12ABCD".into(),
            wwn: "0x5000c500a1b2c3d4".into(),
            transport: "sas",
            rotational: Some(true),
            bay: Some(11),
        };
        assert_eq!(describe(root.path(), "sda"), expected);
        let nothing = Description { name: "sdz".into(), sector: 512, ..Description::default() };
        assert_eq!(describe(root.path(), "sdz"), nothing);
        // A page that is shorter than it says.
        files(root.path(), &[(&format!("{sas}/vpd_pg80"), "\0\u{0}\0\u{9}ZC12")]);
        assert_eq!(describe(root.path(), "sda").serial, "");
    }
}
