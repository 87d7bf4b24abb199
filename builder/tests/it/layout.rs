//! One planner: the partitions of `disk.raw` are those that PID 1 makes on a disk, whatever
//! the recipe's `layout:` is.
#![allow(clippy::unwrap_used)]

use formats::gpt;
use formats::layout;
use metadata::document::{Artefact, Image, Layout, Wipe};
use metadata::values::Hash32;
use proptest::prelude::*;
use sledos::image::ids::Seed;
use sledos::image::plan::table;
use sledos_init::slots::Refusal;
use sledos_init::slots::classify::State;
use sledos_init::slots::device::Device;
use sledos_init::slots::plan::{Ids, Plan, Slots};

const MIB: u64 = 1 << 20;

fn disk(bytes: u64, sector: u32) -> Device {
    Device {
        name: "sda".into(),
        path: "pci0000:00/ata1".into(),
        bytes,
        sector,
        model: "MODEL".into(),
        serial: "S1".into(),
        wwn: String::new(),
        transport: "sata",
        rotational: false,
        bay: None,
        in_use: false,
        state: State::Blank,
    }
}

/// An image for which there is just room enough.
fn image(layout: Layout) -> Image {
    let artefact = |size| Artefact { file: "x".into(), size, sha256: Hash32([0; 32]) };
    Image {
        name: "compute".into(),
        version: "1".into(),
        root_hash: Hash32([0xab; 32]),
        urls: vec![],
        usr: artefact(layout.usr),
        verity: artefact(layout.verity),
        uki: artefact((layout.esp - 8 * MIB) / 3),
        layout: Some(layout),
        extensions: Default::default(),
    }
}

fn installed(disk: &Device, image: &Image) -> Result<gpt::Plan, Refusal> {
    let mut ids = Ids { random: [[0; 16]; 12] };
    (1..).zip(&mut ids.random).for_each(|(n, id)| *id = [n; 16]);
    Plan::new(disk, Wipe::Never, image, &Slots::default(), None, &ids, 0).map(|plan| plan.table)
}

/// What does not differ from disk to disk.
fn places(table: &gpt::Plan) -> Vec<(u32, &str, gpt::Guid, u64, u64)> {
    table.partitions.iter().map(|p| (p.number, p.name.as_str(), p.type_guid, p.start, p.size)).collect()
}

/// What a `disk.raw` of the shipped layout has always been.
#[test]
fn the_partitions_of_the_compute_image_stay_where_they_are() {
    let layout = layout::Layout { root: 256 * MIB, ..layout::Layout::default() };
    let table = table(&layout, &Seed::of_image("compute")).unwrap();
    let (mut text, mut end) = (String::new(), 0);
    for p in &table.partitions {
        text += &format!("{} {} {} {} {} {}\n", p.number, p.name, p.type_guid, p.guid, p.start, p.size);
        end = p.start + p.size;
    }
    let golden = "\
1 EFI-SYSTEM c12a7328-f81f-11d2-ba4b-00a0c93ec93b 0d38fc6f-9d07-8002-8ed2-0903c3e8da01 1048576 134217728
2 USR-A 8484680c-9521-48c6-9c11-b0720656f69e USR_A 135266304 536870912
3 USR-A-VERITY 77ff5f63-e7b6-4633-acf4-1565b864c0e6 USR_V 672137216 8388608
4 USR-B 8484680c-9521-48c6-9c11-b0720656f69e 9a8f01a0-273d-877c-af2a-9fafa4d37645 680525824 536870912
5 USR-B-VERITY 77ff5f63-e7b6-4633-acf4-1565b864c0e6 45e6cc42-a7d9-883a-b9c9-6dfcc4934746 1217396736 8388608
6 OEM 0fc63daf-8483-4772-8e79-3d69d8477de4 5c179850-c302-8326-a795-b98d93bba0c9 1225785344 67108864
7 ROOT 0fc63daf-8483-4772-8e79-3d69d8477de4 7e852ac7-8fc4-8166-b5b2-5608485e3c7f 1292894208 268435456
";
    let seed = Seed::of_image("compute");
    // The root hash takes their place.
    let id = |label| gpt::Guid::from_uuid(seed.uuid(label)).to_string();
    let golden = golden.replace("USR_A", &id("USR-A")).replace("USR_V", &id("USR-A-VERITY"));
    assert_eq!(text, golden);
    assert_eq!((table.disk_size, table.sector_size), (end + MIB, 512));
}

prop_compose! {
    /// Layouts that each kind of sectors has room for, in MiB.
    fn layouts()(esp in 260_u64..600, usr in 1_u64..3000, verity in 1_u64..40, oem in 8_u64..200, root in 96_u64..9000)
        -> Layout {
        Layout { esp: esp * MIB, usr: usr * MIB, verity: verity * MIB, oem: oem * MIB, root: root * MIB }
    }
}

proptest! {
    #[test]
    fn builder_and_pid_1_make_the_same_partitions(
        layout in layouts(),
        more in 0_u64..(4 << 40),
        sector in prop_oneof![Just(512_u32), Just(4096)],
    ) {
        let Layout { esp, usr, verity, oem, root } = layout;
        let sizes = layout::Layout { esp, usr, verity, oem, root };
        let built = table(&sizes, &Seed::of_image("compute")).unwrap();
        let image = image(layout);

        let same = installed(&disk(built.disk_size, sector), &image).unwrap();
        prop_assert_eq!(places(&same), places(&built));

        // On a larger disk ROOT goes to its end, as that of `disk.raw` does when it grows.
        let bytes = built.disk_size + more;
        let larger = installed(&disk(bytes, sector), &image).unwrap();
        let mut grown = built.clone();
        let grown_root = grown.partitions.last_mut().unwrap();
        grown_root.size = gpt::end(bytes) - grown_root.start;
        prop_assert_eq!(places(&larger), places(&grown));

        let smaller = installed(&disk(built.disk_size - 1, sector), &image);
        match smaller {
            Err(Refusal::TooSmall { has, needs, .. }) => {
                prop_assert_eq!((has, needs), (built.disk_size - 1, built.disk_size));
            }
            other => prop_assert!(false, "{other:?}"),
        }
    }
}
