use super::*;
use crate::slots::choose::tests::{XFS, device};
use crate::slots::classify::State;
use formats::gpt::Source;
use metadata::document::Artefact;
use metadata::values::Hash32;
use proptest::prelude::*;

fn image(usr: u64) -> Image {
    let artefact = |file: &str, size| Artefact { file: file.into(), size, sha256: Hash32([0; 32]) };
    Image {
        name: "compute".into(),
        version: "20261123.0046".into(),
        root_hash: Hash32([0xab; 32]),
        urls: vec![],
        usr: artefact("usr.squashfs", usr),
        verity: artefact("usr.verity", usr / 127),
        uki: artefact("compute.efi", 16 << 20),
        layout: None,
        extensions: Default::default(),
    }
}

fn ids() -> Ids {
    let mut ids = Ids { random: [[0; 16]; 12] };
    (1..).zip(&mut ids.random).for_each(|(n, id)| *id = [n; 16]);
    ids
}

fn ours(usr: u64) -> Device {
    let blank = device("sda", "pci0000:00/ata1", 480);
    let plan = Plan::new(&blank, Wipe::Never, &image(usr), &Slots::default(), None, &ids(), 0).unwrap();
    let formats::gpt::Plan { disk_guid, partitions, .. } = plan.table;
    let table = Table { disk_guid, partitions, source: Source::Primary };
    Device { state: State::Ours(table), ..blank }
}

/// Another layout than any recipe has by default.
fn other_layout() -> document::Layout {
    let [esp, usr, verity, oem, root] = [300, 700, 9, 20, 3000].map(|mib| mib << 20);
    document::Layout { esp, usr, verity, oem, root }
}

/// Ids of a later run.
fn later() -> Ids {
    Ids { random: [[0x77; 16]; 12].map(|id| id) }
}

fn golden(name: &str, text: &str) {
    let path = format!("{}/src/slots/plan/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(text == expected, "{path} should be:\n{text}");
}

#[test]
fn plans_are_these() {
    let mut text = String::new();
    let blank = device("nvme0n1", "pci0000:00/0000:01:00.0/nvme/nvme0/nvme0n1", 480);
    let large = Device { sector: 4096, state: State::Foreign(XFS), ..device("sdb", "x", 6000) };
    for (device, size) in [(&blank, 300 << 20), (&large, 900 << 20), (&ours(300 << 20), 310 << 20)] {
        let plan =
            Plan::new(device, Wipe::Foreign, &image(size), &Slots::default(), None, &ids(), 0).unwrap();
        text += &format!("{plan}\n");
    }
    // As its recipe says; on sectors for which no FAT is as small.
    let layout = document::Layout { esp: 40 << 20, ..other_layout() };
    let image = Image { layout: Some(layout), ..image(300 << 20) };
    for device in [&blank, &large] {
        let plan = Plan::new(device, Wipe::Foreign, &image, &Slots::default(), None, &ids(), 0).unwrap();
        text += &format!("{plan}\n");
    }
    golden("plans.txt", &text);
}

#[test]
fn the_slot_to_write_is_the_one_that_is_missed_least() {
    let (wanted, one, two) = ([9; 32], [1; 32], [2; 32]);
    let slot =
        |hash: Option<[u8; 32]>, version: &str, good| Slot { hash, version: Some(version.into()), good };
    let new = |hash, version: &str| slot(hash, version, false);
    let good = |hash, version: &str| slot(hash, version, true);
    for (a, b, running, expected) in [
        (new(None, ""), new(None, ""), None, Some(0)),
        (new(Some(one), "1"), new(None, ""), None, Some(1)),
        (new(Some(one), "1"), new(Some(two), "2"), None, Some(0)),
        (new(Some(one), "10"), new(Some(two), "2"), None, Some(1)),
        (new(Some(one), "1"), new(Some(two), "2"), Some(one), Some(1)),
        (new(Some(one), "1"), new(Some(two), "2"), Some(two), Some(0)),
        (new(Some(one), "1"), new(Some(wanted), "2"), Some(wanted), Some(1)),
        (new(None, ""), new(Some(wanted), "2"), None, Some(1)),
        // The one that got ready stays, whatever its version.
        (good(Some(one), "1"), new(Some(two), "2"), None, Some(1)),
        (good(Some(one), "1"), new(Some(two), "2"), Some(one), Some(1)),
        (new(Some(one), "2"), good(Some(two), "1"), None, Some(0)),
        (good(Some(one), "1"), good(Some(two), "2"), Some(two), Some(0)),
        (good(Some(one), "1"), good(Some(two), "2"), None, Some(0)),
        // A third while the second is on trial.
        (good(Some(one), "1"), new(Some(two), "2"), Some(two), None),
        (new(Some(one), "2"), good(Some(two), "1"), Some(one), None),
        // One that is not whole any more is not the last good one.
        (slot(None, "1", true), good(Some(two), "2"), None, Some(0)),
        (slot(None, "1", true), good(Some(two), "2"), Some(two), Some(0)),
    ] {
        assert_eq!(free(&Slots([a.clone(), b.clone()]), &wanted, running), expected, "{a:?} {b:?}");
    }
}

/// A life of a disk: what is asked for, what gets ready, what is started, in any order. The
/// image that got ready last is never the slot that is written, nor the one that runs.
#[test]
fn neither_the_last_good_image_nor_the_running_one_is_ever_written() {
    let mut tried = 0_u32;
    for life in 0..6_u32.pow(6) {
        let mut slots = Slots::default();
        let mut running: Option<usize> = None;
        let mut last_good: Option<usize> = None;
        let mut next = 1_u8;
        for step in 0..6 {
            match life / 6_u32.pow(step) % 6 {
                // A new image, which is started or not.
                what @ (0 | 1) => {
                    next += 1;
                    let hash = running.and_then(|index| slots.0[index].hash);
                    let Some(index) = free(&slots, &[next; 32], hash) else {
                        assert!(running.is_some() && last_good.is_some() && running != last_good);
                        continue;
                    };
                    assert_ne!(Some(index), running, "life {life}");
                    assert_ne!(Some(index), last_good, "life {life}");
                    slots.0[index] =
                        Slot { hash: Some([next; 32]), version: Some(next.to_string()), good: false };
                    if what == 1 {
                        running = Some(index);
                    }
                    tried += 1;
                }
                // What runs gets ready.
                2 => {
                    if let Some(index) = running {
                        slots.0[index].good = true;
                        last_good = Some(index);
                    }
                }
                // Another start: of what is good, of a slot, of the network's.
                3 => running = last_good,
                what => {
                    let index = usize::try_from(what).unwrap() - 4;
                    running = slots.0[index].hash.map(|_| index);
                }
            }
            // What got ready once and runs again is the last good one.
            last_good = running.filter(|index| slots.0[*index].good).or(last_good);
        }
    }
    assert!(tried > 10_000, "{tried}");
}

#[test]
fn a_slot_plan_changes_two_ids_and_nothing_else() {
    let device = ours(300 << 20);
    let State::Ours(before) = &device.state else { panic!() };
    let slots = Slots([Slot { hash: Some([1; 32]), ..Slot::default() }, Slot::default()]);
    let mut ids = later();
    ids.random[3] = [0x78; 16];
    let plan = Plan::new(&device, Wipe::All, &image(310 << 20), &slots, None, &ids, 0).unwrap();
    assert!(plan.whole.is_none());
    let last = plan.final_table();
    assert_eq!(last.disk_guid, before.disk_guid);
    for (old, new) in before.partitions.iter().zip(&last.partitions) {
        let written = new.name.starts_with("USR-B");
        assert_eq!(old.guid != new.guid, written, "{}", new.name);
        let same = Partition { guid: old.guid, ..new.clone() };
        assert_eq!(*old, same);
    }
}

#[test]
fn an_installed_disk_keeps_its_partitions_whatever_the_layout_of_the_image() {
    let plan = |device: &Device, image: &Image| {
        Plan::new(device, Wipe::All, image, &Slots::default(), None, &later(), 0).unwrap()
    };
    let [without, with] = [None, Some(other_layout())].map(|layout| Image { layout, ..image(300 << 20) });
    for (before, after) in [(&without, &with), (&with, &without), (&with, &with)] {
        let blank = device("sda", "pci0000:00/ata1", 480);
        let gpt::Plan { disk_guid, partitions, .. } = plan(&blank, before).table;
        let table = Table { disk_guid, partitions, source: Source::Primary };
        let places = |partitions: &[Partition]| -> Vec<_> {
            partitions.iter().map(|p| (p.number, p.name.clone(), p.start, p.size)).collect()
        };
        let there = places(&table.partitions);
        let plan = plan(&Device { state: State::Ours(table), ..blank }, after);
        assert!(plan.whole.is_none());
        assert_eq!(places(&plan.table.partitions), there);
    }
}

#[test]
fn a_slot_that_is_too_small_is_an_error_unless_everything_may_go() {
    let device = ours(100 << 20);
    let plan =
        |wipe, running| Plan::new(&device, wipe, &image(700 << 20), &Slots::default(), running, &later(), 0);
    // The disk that a sled runs from stays even then.
    for (wipe, running) in [(Wipe::Never, None), (Wipe::Foreign, None), (Wipe::All, Some([1; 32]))] {
        let error = plan(wipe, running).unwrap_err();
        let Refusal::Partition { role: Role::UsrA, has, needs, .. } = error else { panic!("{error}") };
        assert_eq!((has, needs), (512 << 20, 700 << 20));
        let says = error.to_string();
        assert!(says.contains("USR-A has 536870912 bytes and the image needs 734003200"), "{says}");
    }
    assert!(plan(Wipe::All, None).unwrap().whole.is_some());
}

proptest! {
    /// A document is signed, but that makes no number in it a possible one.
    #[test]
    fn whatever_a_document_says_the_table_can_be_written_or_the_disk_is_refused(
        sizes in prop::array::uniform5(prop_oneof![
            Just(0), Just(u64::MAX), any::<u64>(), 0_u64..(4 << 40), 0_u64..(1 << 31),
        ]),
        artefacts in prop::array::uniform3(prop_oneof![0_u64..(1 << 31), any::<u64>()]),
        (bytes, sector) in (0_u64..(8 << 40), prop_oneof![Just(512_u32), Just(4096)]),
    ) {
        let [esp, usr, verity, oem, root] = sizes;
        let mut image = image(1);
        [image.usr.size, image.verity.size, image.uki.size] = artefacts;
        image.layout = Some(document::Layout { esp, usr, verity, oem, root });
        let device = Device { bytes, sector, ..device("sda", "x", 1) };
        match Plan::new(&device, Wipe::Never, &image, &Slots::default(), None, &ids(), 0) {
            Ok(plan) => {
                let whole = plan.whole.as_ref().unwrap();
                prop_assert!(whole.zero.iter().all(|(at, len)| at + len <= bytes));
                let file = tempfile::tempfile().unwrap();
                gpt::write(&mut &file, &plan.table).unwrap();
                let size = |role: Role| plan.table.partitions.iter().find(|p| p.name == role.label()).unwrap().size;
                prop_assert!(size(Role::UsrB) >= artefacts[0] && size(Role::UsrBVerity) >= artefacts[1]);
                prop_assert!(size(Role::Esp) >= 3 * artefacts[2]);
            }
            Err(Refusal::TooSmall { has, needs, .. }) => prop_assert!(has == bytes && has < needs),
            Err(other) => prop_assert!(false, "{other}"),
        }
    }
}

#[test]
fn a_disk_that_is_too_small_is_refused_with_what_it_needs() {
    let small = device("sda", "x", 1);
    let error =
        Plan::new(&small, Wipe::Never, &image(300 << 20), &Slots::default(), None, &ids(), 0).unwrap_err();
    let Refusal::TooSmall { what: "the disk", has, needs, .. } = error else { panic!("{error}") };
    assert_eq!(has, small.bytes);
    let enough = Device { bytes: needs, ..small.clone() };
    Plan::new(&enough, Wipe::Never, &image(300 << 20), &Slots::default(), None, &ids(), 0).unwrap();
    let less = Device { bytes: needs - (1 << 20), ..small };
    Plan::new(&less, Wipe::Never, &image(300 << 20), &Slots::default(), None, &ids(), 0).unwrap_err();
}
