//! Data disks on real block devices: what a plan allows is done, what was there is gone, and a
//! disk that is another one by then is left alone.

use super::*;
use crate::identity::Recognised;
use crate::slots::tests::loops::{Sparse, judge};
use crate::storage::plan::{Plan, plan};
use formats::gpt::Guid;
use metadata::config::DiskSet;
use std::fs::File;
use std::os::unix::fs::FileExt;

const SIZE: u64 = (600 << 20) + 3 * 4096;

/// What a set with these keys plans for these disks.
fn planned(set: &str, disks: &[&Sparse]) -> Plan {
    let set: DiskSet = serde_json::from_str(&format!(r#"{{"match": {{"min-size": 1}}, {set}}}"#)).unwrap();
    let devices: Vec<_> = disks.iter().map(|disk| disk.look()).collect();
    let ids: Vec<_> = (1..).map(|n| [Guid([n; 16]), Guid([n + 100; 16])]).take(devices.len()).collect();
    plan("r1-b07", Recognised::Hardware, &[("data".to_owned(), set)].into(), &devices, &ids)
}

fn write_at(disk: &Sparse, at: u64, bytes: &[u8]) {
    File::options().write(true).open(disk.node()).unwrap().write_all_at(bytes, at).unwrap();
}

fn edges(disk: &Sparse, start: u64, bytes: u64) -> Vec<u8> {
    let edges = disks::edges(&disk.name(), start, bytes).unwrap();
    [edges.head, edges.tail].concat()
}

/// A disk full of somebody's data wherever it is looked at.
fn foreign(sector: u32) -> Sparse {
    let disk = Sparse::new(SIZE, sector);
    for at in [0, 1 << 20, 2 << 20, SIZE - (3 << 20), SIZE - (2 << 20), SIZE - (1 << 20)] {
        write_at(&disk, at, &vec![0x5a; 1 << 20]);
    }
    judge("e2fsprogs", "mke2fs", &["-q", "-F", "-E", "nodiscard", disk.node().to_str().unwrap()]);
    disk
}

#[test]
fn what_the_document_gives_up_is_wiped_and_nothing_of_it_is_found_any_more() {
    for sector in [512, 4096] {
        for allows in [r#""wipe": "all""#, r#""wipe": "never""#] {
            let disk = foreign(sector);
            let before = edges(&disk, 0, SIZE);
            let plan = planned(allows, &[&disk]);
            let done = carry_out(&plan.entries[0]).unwrap();
            assert_eq!(done, allows.contains("all"));
            if !done {
                assert!(edges(&disk, 0, SIZE) == before);
                continue;
            }
            let Action::Prepare { table, .. } = &plan.entries[0].action else { panic!("{plan}") };
            let partition = &table.partitions[0];
            assert!(edges(&disk, partition.start, partition.size).iter().all(|byte| *byte == 0));
            let State::Data(data) = disk.look().state else { panic!("{}", disk.look()) };
            assert!(data.fresh() && data.sled == "r1-b07" && data.bay == 1);
            judge("gdisk", "sgdisk", &["-v", disk.node().to_str().unwrap()]);
            let node = disks::device_of(&disk.name(), partition).unwrap();
            assert_eq!(judge("util-linux", "wipefs", &[node.to_str().unwrap()]), "");
            // A partition is no disk, and one of another size is another one.
            let name = node.file_name().unwrap().to_str().unwrap();
            assert_eq!(disks::look_at(name), None);
            let smaller = gpt::Partition { size: partition.size / 2, ..partition.clone() };
            assert!(disks::device_of(&disk.name(), &smaller).is_err());
            assert!(!disks::is_read_only(&disk.name(), partition));

            // Its filesystem is made.
            formatted(&disk.name(), partition).unwrap();
            let State::Data(data) = disk.look().state else { panic!("{}", disk.look()) };
            assert!(!data.fresh() && data.partition.guid == partition.guid);
            assert!(formatted(&disk.name(), partition).is_err(), "it is another partition now");
            assert!(matches!(planned(allows, &[&disk]).entries[0].action, Action::Keep { bay: 1, .. }));
        }
    }
}

#[test]
fn a_disk_that_is_another_one_by_then_or_is_in_use_is_not_written_to() {
    let disk = Sparse::new(SIZE, 512);
    let plan = planned(r#""wipe": "all""#, &[&disk]);
    let held = BlockDevice::open(disk.node()).unwrap();
    assert!(carry_out(&plan.entries[0]).is_err());
    drop(held);
    write_at(&disk, 0, b"XFSB");
    let before = edges(&disk, 0, SIZE);
    let error = carry_out(&plan.entries[0]).unwrap_err();
    let why = std::error::Error::source(&error).unwrap().to_string();
    assert!(why.starts_with("it is another disk than a moment ago"), "{why}");
    assert!(edges(&disk, 0, SIZE) == before);
    // The same bytes and another serial number.
    write_at(&disk, 0, &[0; 4]);
    let mut entry = plan.entries[0].clone();
    entry.device.serial = "S2".into();
    assert!(carry_out(&entry).is_err());
    carry_out(&plan.entries[0]).unwrap();
}

#[test]
fn a_disk_that_took_the_number_of_a_late_one_gets_another_with_all_that_is_on_it() {
    let (late, spare) = (Sparse::new(SIZE, 512), Sparse::new(SIZE, 512));
    carry_out(&planned(r#""wipe": "never""#, &[&late]).entries[0]).unwrap();
    // Later, while the first one is not there.
    let mut entry = planned(r#""wipe": "never""#, &[&spare]).entries.remove(0);
    let Action::Prepare { table, .. } = &mut entry.action else { panic!() };
    let mut id = [1; 16];
    id[6] = 0x71;
    table.disk_guid = Guid::from_uuid(id);
    let partition = table.partitions[0].clone();
    carry_out(&entry).unwrap();
    write_at(&spare, partition.start + 5000, b"data of a task");

    for disks in [[&late, &spare], [&spare, &late]] {
        let plan = planned(r#""wipe": "never""#, &disks);
        let kept = plan.entries.iter().find(|entry| entry.device.name == late.name()).unwrap();
        assert!(matches!(kept.action, Action::Keep { bay: 1, .. }), "{plan}");
        let moved = plan.entries.iter().find(|entry| entry.device.name == spare.name()).unwrap();
        assert!(matches!(moved.action, Action::Renumber { from: 1, bay: 2, .. }), "{plan}");
        entry = moved.clone();
    }
    assert!(carry_out(&entry).unwrap());
    let State::Data(data) = spare.look().state else { panic!("{}", spare.look()) };
    assert_eq!((data.bay, data.partition.start, data.partition.guid), (2, partition.start, partition.guid));
    let mut there = [0; 14];
    File::open(spare.node()).unwrap().read_exact_at(&mut there, partition.start + 5000).unwrap();
    assert_eq!(&there, b"data of a task");
    let plan = planned(r#""wipe": "never""#, &[&late, &spare]);
    assert!(plan.entries.iter().all(|entry| matches!(entry.action, Action::Keep { .. })), "{plan}");
}
