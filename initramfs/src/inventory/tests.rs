//! A storage sled in a directory.

use super::*;
use crate::identity::tests::files;
use std::os::unix::fs::symlink;

fn sled() -> (tempfile::TempDir, Inventory) {
    let root = tempfile::tempdir().unwrap();
    let sas = "sys/devices/pci0000:00/0000:03:00.0/host0/port-0:0/end_device-0:0/target0:0:0/0:0:0:0";
    let ata = "sys/devices/pci0000:00/0000:00:1f.2/ata1/host1/target1:0:0/1:0:0:0";
    files(
        root.path(),
        &[
            ("sys/class/dmi/id/board_vendor", "Supermicro\n"),
            ("sys/class/dmi/id/board_name", "X10DRH-iT\n"),
            ("sys/class/dmi/id/board_serial", "ZM18AS036112\n"),
            ("sys/class/dmi/id/product_serial", "To be filled by O.E.M.\n"),
            ("sys/devices/pci0000:00/0000:01:00.0/x", ""),
            ("sys/class/net/eth0/address", "02:00:00:00:00:01\n"),
            ("sys/class/net/eth0/addr_assign_type", "0\n"),
            ("sys/class/net/eth0/carrier", "1\n"),
            ("sys/class/net/eth0/speed", "10000\n"),
            ("sys/class/net/eth1/device/x", ""),
            ("sys/class/net/eth1/carrier", "0\n"),
            ("sys/class/net/eth1/speed", "-1\n"),
            (&format!("{sas}/model"), "ST4000NM0035\n"),
            (&format!("{sas}/wwid"), "naa.5000c500a1b2c3d4\n"),
            (&format!("{sas}/vpd_pg80"), "\0\u{0}\0\u{8}ZC12ABCD"),
            (&format!("{ata}/model"), "INTEL SSDSC2BB48\n"),
            (&format!("{ata}/wwid"), "t10.ATA     INTEL\n"),
            (&format!("{sas}/block/sda/size"), "7814037168\n"),
            (&format!("{sas}/block/sda/queue/rotational"), "1\n"),
            (&format!("{sas}/block/sdb/size"), "7814037168\n"),
            (&format!("{ata}/block/sdc/size"), "937703088\n"),
            (&format!("{ata}/block/sdc/queue/rotational"), "0\n"),
            ("sys/block/loop0/size", "8\n"),
            ("proc/meminfo", "MemTotal:       24683656 kB\nMemFree:        1 kB\n"),
            (
                "proc/cpuinfo",
                "processor : 0\nmodel name : Xeon\nphysical id : 0\ncore id : 0\n\n\
                 processor : 1\nmodel name : Xeon\nphysical id : 1\ncore id : 0\n\n\
                 processor : 2\nmodel name : Xeon\nphysical id : 1\ncore id : 0\n\n",
            ),
        ],
    );
    let link = |to: &str, at: &str| symlink(root.path().join(to), root.path().join(at)).unwrap();
    link("sys/devices/pci0000:00/0000:01:00.0", "sys/class/net/eth0/device");
    link("sys/bus/pci/drivers/ixgbe", "sys/devices/pci0000:00/0000:01:00.0/driver");
    for (disk, at) in [("sda", sas), ("sdb", sas), ("sdc", ata)] {
        link(at, &format!("{at}/block/{disk}/device"));
        link(&format!("{at}/block/{disk}"), &format!("sys/block/{disk}"));
    }
    let neighbour = |chassis: &str, port: &str, name: Option<&str>| Neighbour {
        chassis: chassis.into(),
        port: port.into(),
        name: name.map(str::to_owned),
    };
    let neighbours = vec![neighbour("c", "Ethernet1/7", Some("tor1")), neighbour("d", "1", None)];
    let seen = Seen { alternative_names: vec!["data0".into()], neighbours };
    let inventory = Inventory::below(root.path(), &[("eth0".to_owned(), seen)].into());
    (root, inventory)
}

#[test]
fn everything_is_read_and_what_is_not_there_is_null() {
    let (_root, inventory) = sled();
    let json = inventory.json(State::Unknown, &["board ZM18AS036112".into()]);
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&value["state"], &value["keys"][0]), (&"unknown".into(), &"board ZM18AS036112".into()));
    let hardware = &value["hardware"];
    // As it is: people see what the firmware answers.
    assert_eq!(hardware["smbios"]["product_serial"], "To be filled by O.E.M.");
    assert!(hardware["smbios"]["product_uuid"].is_null() && hardware["bmc_mac"].is_null());
    let nic = &hardware["nics"][0];
    assert_eq!((&nic["driver"], &nic["device"]), (&"ixgbe".into(), &"0000:01:00.0".into()));
    assert_eq!((&nic["speed"], &nic["neighbour"]["port"]), (&10000.into(), &"Ethernet1/7".into()));
    assert_eq!(nic["alternative_names"][0], "data0");
    assert_eq!(nic["other_neighbours"][0]["chassis"], "d");
    assert!(hardware["nics"][1]["speed"].is_null() && hardware["nics"][1]["other_neighbours"].is_null());
    let disk = &hardware["disks"][0];
    assert_eq!((&disk["serial"], &disk["wwn"]), (&"ZC12ABCD".into(), &"0x5000c500a1b2c3d4".into()));
    assert_eq!((&disk["size"], &disk["transport"]), (&4_000_787_030_016_u64.into(), &"sas".into()));
    assert_eq!(
        disk["path"],
        "pci0000:00/0000:03:00.0/host0/port-0:0/end_device-0:0/target0:0:0/0:0:0:0/block/sda"
    );
    let disk = &hardware["disks"][2];
    assert_eq!((&disk["transport"], disk["wwn"].is_null()), (&"sata".into(), true));
    assert_eq!(hardware["memory"], 24_683_656_u64 * 1024);
}

#[test]
fn the_console_has_six_lines_at_most() {
    let (_root, mut inventory) = sled();
    inventory.bmc_mac = Some("02:00:00:00:00:09".into());
    assert_eq!(
        inventory.lines(),
        [
            "board Supermicro X10DRH-iT, serial ZM18AS036112",
            "product none none, serial To be filled by O.E.M., uuid none",
            "Xeon, sockets 2, cores 2, threads 3; memory 24105 MiB",
            "NICs: eth0 (data0) 02:00:00:00:00:01 ixgbe 10000 Mbit/s at tor1 port Ethernet1/7, also d port 1; eth1 no link",
            "disks: sdc 480 GB INTEL SSDSC2BB48 sata; sda…sdb, 2 of 4000 GB ST4000NM0035 sas",
            "BMC: 02:00:00:00:00:09",
        ]
    );
    assert_eq!(Inventory::default().lines().len(), 5);
}

#[test]
fn the_machine_this_runs_on_has_memory_and_processors() {
    let inventory = Inventory::read(&BTreeMap::new());
    assert!(inventory.memory.unwrap() > 1 << 20 && inventory.cpus.threads > 0);
}
