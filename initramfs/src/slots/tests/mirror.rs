//! A pair of disks, judged by mdadm and e2fsck.

use super::loops::{Sparse, judge};
use super::*;
use crate::slots::disk::BlockDevice;
use crate::slots::mirror;
use formats::layout::Role;
use formats::md;
use metadata::document::Pick;
use std::fs::File;
use std::os::unix::fs::FileExt;

fn pair() -> Install {
    Install {
        disk: DiskMatch { pick: Some(Pick::First), ..DiskMatch::default() },
        mirror: true,
        wipe: Wipe::Never,
    }
}

fn bytes(disk: &Sparse, at: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    File::open(disk.node()).unwrap().read_exact_at(&mut bytes, at).unwrap();
    bytes
}

#[test]
fn both_disks_get_the_same_and_a_root_over_both() {
    // Of different size, and with different sectors.
    let disks = [Sparse::new(2600 << 20, 512), Sparse::new(2700 << 20, 4096)];
    let (image, files) = image("1", 40);
    let log = log();
    let job = Job { image: &image, source: &files, log: &log, machine: &Kernel };
    let install = pair();
    let what = installation(&install);
    let devices: Vec<_> = disks.iter().map(Sparse::look).collect();
    let found = mirror::install(&job, &what, &devices).unwrap();
    assert_eq!(found.len(), 2);
    // The smaller ROOT says how large it is: that of the larger disk, whose ESP has to be
    // larger because its sectors are.
    let smaller = found.iter().filter_map(|f| f.root.as_ref()).map(found_size).min();
    let dir = tempfile::tempdir().unwrap();
    let mut sides = Vec::new();
    for ((disk, found), number) in disks.iter().zip(&found).zip(0..) {
        let root = found.root.as_ref().unwrap();
        let node = disks::device_of(&disk.name(), root).unwrap();
        let said = judge("mdadm", "mdadm", &["--examine", node.to_str().unwrap()]);
        assert!(said.contains(&format!("Device Role : Active device {number}")), "{said}");
        assert!(said.contains("State : clean") && said.contains("- correct"), "{said}");
        let member = crate::raid::read(&disk.name(), root).unwrap();
        assert_eq!(Some(member.array.size), smaller);
        let fs = bytes(disk, root.start + md::DATA, 256 << 20);
        let path = dir.path().join(format!("fs{number}"));
        std::fs::write(&path, &fs).unwrap();
        judge("e2fsprogs", "e2fsck", &["-fn", path.to_str().unwrap()]);
        sides.push((member.array, fs));
    }
    assert_eq!(sides[0].0, sides[1].0);
    assert!(sides[0].1 == sides[1].1, "both have the same filesystem");

    // A second run finds them as they are, and changes only the slots.
    let devices: Vec<_> = disks.iter().map(Sparse::look).collect();
    assert_eq!(mirror::install(&job, &what, &devices).unwrap().len(), 2);
    for (disk, found) in disks.iter().zip(&found) {
        let member = crate::raid::read(&disk.name(), found.root.as_ref().unwrap());
        assert_eq!(member.unwrap().array, sides[0].0);
    }

    // A new disk gets everything but ROOT, from the other disk.
    let third = Sparse::new(2700 << 20, 512);
    let other = mirror::Other::new(&Kernel, &image, &found[0]).unwrap();
    let job = Job { image: &image, source: &other, log: &log, machine: &Kernel };
    let new = mirror::replace(&job, &what, &third.look(), &found[0]).unwrap();
    let root = new.root.unwrap();
    assert!(crate::raid::is_half(&root) && crate::raid::read(&third.name(), &root).is_none());
    assert!(bytes(&third, root.start, 2 << 20).iter().all(|b| *b == 0));
    let (ours, theirs) =
        (bytes(&third, new.usr.start, 40 * 4096), bytes(&disks[0], found[0].usr.start, 40 * 4096));
    assert!(ours == theirs);

    // What the other disk does not give three times in a row it will not give.
    let open = |from| other.open("usr.squashfs", from).map(drop);
    assert!((0..3).all(|_| open(4096).is_ok()) && open(4096).is_err());
    assert!(open(8192).is_ok() && open(4096).is_ok());
    assert!(other.open("something", 0).is_err());

    // It counts as one of the pair: its boot files are kept up, too.
    let all: Vec<_> = disks.iter().chain([&third]).filter_map(|disk| disks::look_at(&disk.name())).collect();
    let with_usr = disks::find(&all, &hash(&image));
    assert_eq!(with_usr.len(), 3);

    // One that is too small does not become half of it.
    let small = Sparse::new(2500 << 20, 512);
    let refused = mirror::replace(&job, &what, &small.look(), &found[0]);
    assert!(matches!(refused, Err(Error::Refused(Refusal::TooSmall { what: "ROOT", .. }))), "{refused:?}");
    assert_eq!(small.look().state, classify::State::Blank);
}

fn found_size(root: &gpt::Partition) -> u64 {
    assert_eq!(root.name, Role::Root.label());
    md::capacity(root.size)
}

#[test]
fn with_one_disk_or_one_that_is_refused_the_other_is_installed() {
    let disks = [Sparse::new(2600 << 20, 512), Sparse::new(2600 << 20, 512)];
    File::options().write(true).open(disks[0].node()).unwrap().write_all_at(b"XFSB", 0).unwrap();
    let (image, files) = image("1", 3);
    let log = log();
    let job = Job { image: &image, source: &files, log: &log, machine: &Kernel };
    let install = pair();
    let devices: Vec<_> = disks.iter().map(Sparse::look).collect();
    let found = mirror::install(&job, &installation(&install), &devices).unwrap();
    assert_eq!((found.len(), found[0].disk.as_str()), (1, disks[1].name().as_str()));
    assert_eq!(bytes(&disks[0], 0, 4), b"XFSB");
    let warned = log.entries().iter().any(|e| e.detail.contains("is no part of it"));
    assert!(warned, "{:?}", log.entries());
    let refused = mirror::install(&job, &installation(&install), &devices[..1]);
    assert!(matches!(refused, Err(Error::Refused(Refusal::Data(_)))), "{refused:?}");
}

#[test]
fn half_of_another_sleds_array_in_the_place_of_one_is_not_written_to() {
    let disks = [0, 1].map(|_| Sparse::new(2600 << 20, 512));
    let log = log();
    let install = pair();
    let (image_1, files_1) = image("1", 3);
    let job = Job { image: &image_1, source: &files_1, log: &log, machine: &Kernel };
    for disk in &disks {
        // Each is the first half of an array of its own.
        assert_eq!(mirror::install(&job, &installation(&install), &[disk.look()]).unwrap().len(), 1);
    }
    let (image_2, files_2) = image("2", 3);
    let job = Job { image: &image_2, source: &files_2, log: &log, machine: &Kernel };
    // What is mounted is this sled's, whichever is first.
    for running in [1, 0] {
        let look = |(n, disk): (usize, &Sparse)| Device { in_use: n == running, ..disk.look() };
        let devices: Vec<_> = disks.iter().enumerate().map(look).collect();
        let found = mirror::install(&job, &installation(&install), &devices).unwrap();
        let names: Vec<_> = found.iter().map(|found| found.disk.clone()).collect();
        assert_eq!(names, [disks[running].name()]);
        let other = &disks[1 - running];
        assert_eq!(Device { in_use: false, ..other.look() }, devices[1 - running]);
        let said = format!("{} is half of another array: it is not written to", devices[1 - running]);
        assert!(log.entries().iter().any(|entry| entry.detail == said), "{:?}", log.entries());
    }
}

#[test]
fn a_half_that_ran_apart_becomes_as_a_new_one_and_only_that_one() {
    let disks = [Sparse::new(2600 << 20, 512), Sparse::new(2600 << 20, 512)];
    let (image, files) = image("1", 3);
    let log = log();
    let job = Job { image: &image, source: &files, log: &log, machine: &Kernel };
    let install = pair();
    let devices: Vec<_> = disks.iter().map(Sparse::look).collect();
    mirror::install(&job, &installation(&install), &devices).unwrap();
    let seen: Vec<_> = disks.iter().map(|disk| disks::look_at(&disk.name()).unwrap()).collect();
    let [half, other] = crate::raid::halves(&seen).try_into().unwrap();
    let node = disks::device_of(&half.disk, &half.root).unwrap();
    let filesystem = bytes(&disks[0], half.root.start + md::DATA, 1 << 20);

    // One that has another superblock by now, or is in use, keeps it.
    let mut before = half.clone();
    before.member.events += 1;
    assert!(crate::raid::forget(&before).is_err());
    let held = BlockDevice::open(&node).unwrap();
    assert_eq!(crate::raid::forget(&half).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
    drop(held);
    assert!(!crate::raid::is_blank(&half.disk, &half.root));
    judge("mdadm", "mdadm", &["--examine", node.to_str().unwrap()]);

    crate::raid::forget(&half).unwrap();
    assert_eq!(crate::raid::read(&half.disk, &half.root), None);
    assert!(crate::raid::is_blank(&half.disk, &half.root));
    assert!(bytes(&disks[0], half.root.start, 4 << 20).iter().all(|b| *b == 0));
    // It is synced over; nothing else is destroyed before.
    assert!(bytes(&disks[0], half.root.start + md::DATA, 1 << 20) == filesystem);
    assert_eq!(crate::raid::read(&other.disk, &other.root), Some(other.member));
}
