use super::*;
use crate::probe::{Found, Kind};
use crate::slots::choose::tests::{XFS, device};
use crate::storage::wipe::COLUMNS;
use formats::gpt::{Source, Table};
use metadata::document::{DiskMatch, Wipe};
use proptest::prelude::*;
use std::slice::from_ref as one;
use std::sync::atomic::{AtomicU32, Ordering};

const SLED: &str = "r1-b07";

fn set(wipe: Wipe, serials: &[&str]) -> DiskSet {
    DiskSet {
        disk: DiskMatch { rotational: Some(true), ..DiskMatch::default() },
        count: None,
        filesystem: Default::default(),
        mount: None,
        mesos: true,
        wipe,
        wipe_serials: serials.iter().map(|s| (*s).to_owned()).collect(),
    }
}

fn sets(set: DiskSet) -> BTreeMap<String, DiskSet> {
    BTreeMap::from([("data".to_owned(), set)])
}

fn hdd(name: &str, path: &str, state: State) -> Device {
    Device { rotational: true, state, ..device(name, path, 6000) }
}

fn data(sled: &str, set: &str, bay: u32, fresh: bool) -> State {
    let partition = Partition {
        number: 1,
        name: partition_name(sled, set, bay),
        type_guid: types::SLEDOS_DATA,
        guid: Guid([7; 16]),
        start: ALIGNMENT,
        size: 4096 * ALIGNMENT,
        attributes: if fresh { FRESH } else { 0 },
    };
    let (sled, set) = (sled.to_owned(), set.to_owned());
    State::Data(Data { sled, set, bay, disk_guid: Guid([8; 16]), partition })
}

fn ids(devices: &[Device]) -> Vec<[Guid; 2]> {
    (0..devices.len()).map(|n| [0, 1].map(|k| Guid([u8::try_from(2 * n + k + 1).unwrap(); 16]))).collect()
}

fn planned(sets: &BTreeMap<String, DiskSet>, devices: &[Device]) -> Plan {
    plan(SLED, Recognised::Hardware, sets, devices, &ids(devices))
}

fn foreign(kind: Kind) -> State {
    State::Foreign(Found { kind, what: "something" })
}

/// A disk for each row of the table.
fn disk_with(what: What) -> Device {
    let table = Table { disk_guid: Guid([9; 16]), partitions: vec![], source: Source::Primary };
    let state = match what {
        What::Blank | What::InUse => State::Blank,
        What::Own => data(SLED, "data", 3, false),
        What::System => State::Ours(table),
        What::OtherSet => data(SLED, "other", 3, false),
        What::OtherSled => data("r1-b08", "data", 3, false),
        What::Table => foreign(Kind::Table),
        What::Filesystem => State::Foreign(XFS),
        What::Member => foreign(Kind::Member),
        What::Unknown => foreign(Kind::Unknown),
        What::Unreadable => State::Unreadable("EIO".into()),
    };
    Device { in_use: what == What::InUse, ..hdd("sda", "p1", state) }
}

/// The sets that give each permission for the serial number `Ssda`; more than one may.
fn permitting(permission: Permission) -> Vec<DiskSet> {
    match permission {
        Permission::Nothing => {
            // When one is late, `pick` means another.
            let mut picked = set(Wipe::All, &[]);
            picked.disk.pick = Some(Pick::First);
            vec![set(Wipe::Never, &[]), set(Wipe::Foreign, &["other"]), set(Wipe::All, &["other"]), picked]
        }
        Permission::Foreign => vec![set(Wipe::Foreign, &["other", "Ssda"])],
        Permission::All => vec![set(Wipe::All, &[])],
        Permission::Listed => {
            let mut matched = set(Wipe::All, &[]);
            (matched.disk.serial, matched.disk.pick) = (vec!["Ssda".into()], Some(Pick::First));
            vec![set(Wipe::All, &["other", "Ssda"]), matched]
        }
    }
}

/// The one outcome of a cell, whatever of its permissions and recognitions holds.
fn cell(what: What, permissions: &[Permission], recognised: &[Recognised]) -> Outcome {
    let pairs = permissions.iter().flat_map(|p| recognised.iter().map(|r| outcome(what, *p, *r)));
    let all: Vec<_> = pairs.collect();
    assert!(all.iter().all(|outcome| *outcome == all[0]), "{what:?}: {all:?}");
    all[0]
}

fn page() -> String {
    let mut table = String::from("| what is on the disk |");
    COLUMNS.iter().for_each(|(.., name)| table += &format!(" {name} |"));
    table += &format!("\n|{}\n", "---|".repeat(1 + COLUMNS.len()));
    for (what, name) in What::ALL {
        table += &format!("| {name} |");
        COLUMNS.iter().for_each(|(p, r, _)| table += &format!(" {} |", cell(what, p, r)));
        table += "\n";
    }
    table
}

#[test]
fn the_table_in_the_documentation_is_the_table_in_the_code() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/disks.md");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let (before, rest) = text.split_once("<!-- wipe table -->\n").expect("docs/disks.md has the mark");
    let (old, after) = rest.split_once("<!-- end -->").expect("docs/disks.md has the end");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let text = format!("{before}<!-- wipe table -->\n{}<!-- end -->{after}", page());
        return std::fs::write(path, text).unwrap();
    }
    assert!(old == page(), "docs/disks.md should have:\n{}", page());
}

#[test]
fn every_cell_of_the_wipe_table() {
    use Outcome::{Keep, Prepare, Refuse};
    // Written down here a second time, so that a slip in the code is one.
    let foreign = [Refuse, Prepare, Prepare, Prepare, Prepare, Prepare];
    let expected = [
        [Prepare; 6],
        [Keep; 6],
        [Refuse, Refuse, Prepare, Prepare, Refuse, Refuse],
        [Refuse, Refuse, Prepare, Prepare, Refuse, Refuse],
        [Refuse, Refuse, Prepare, Refuse, Refuse, Refuse],
        foreign,
        foreign,
        foreign,
        foreign,
        [Refuse; 6],
        [Refuse; 6],
    ];
    let mut cells = 0;
    for ((what, name), row) in What::ALL.into_iter().zip(expected) {
        for ((permissions, recognised, column), cell) in COLUMNS.into_iter().zip(row) {
            for (permission, recognised) in
                permissions.iter().flat_map(|p| recognised.iter().map(move |r| (*p, *r)))
            {
                for set in permitting(permission) {
                    let disk = disk_with(what);
                    assert_eq!(What::of(&disk, SLED, "data"), what);
                    assert_eq!(Permission::of(&set, &disk), permission);
                    let plan = plan(SLED, recognised, &sets(set), one(&disk), &ids(one(&disk)));
                    let got = match plan.entries.as_slice() {
                        [Entry { action: Action::Keep { .. }, .. }] => Keep,
                        [Entry { action: Action::Prepare { .. }, .. }] => Prepare,
                        [Entry { action: Action::Refuse(why), .. }] => {
                            assert!(!why.is_empty());
                            Refuse
                        }
                        other => panic!("{name}, {column}: {other:?}"),
                    };
                    assert_eq!(got, cell, "{name}, {column}, {recognised:?}");
                    cells += 1;
                }
            }
        }
    }
    println!("{cells} cases in {} cells of the wipe table", expected.len() * COLUMNS.len());
}

#[test]
fn a_disk_that_is_refused_is_told_what_would_allow_it() {
    let says = |what, set: DiskSet, recognised| {
        let disk = disk_with(what);
        let plan = plan(SLED, recognised, &sets(set), one(&disk), &ids(one(&disk)));
        match plan.entries.as_slice() {
            [Entry { action: Action::Refuse(why), .. }] => why.clone(),
            other => panic!("{other:?}"),
        }
    };
    let (all, never) = (|| set(Wipe::All, &[]), || set(Wipe::Never, &[]));
    let mut picked = all();
    picked.disk.pick = Some(Pick::Largest);
    for (what, set, recognised, word) in [
        (What::Unreadable, all(), Recognised::Hardware, "does not read"),
        (What::InUse, all(), Recognised::Hardware, "is using it"),
        (What::Filesystem, picked, Recognised::Hardware, "`pick`"),
        (What::System, all(), Recognised::Stranger, "another board"),
        (What::OtherSled, all(), Recognised::Hardware, "its serial number"),
        (What::System, all(), Recognised::Place, "by its place"),
        (What::System, never(), Recognised::Hardware, "an installation"),
        (What::OtherSet, never(), Recognised::Hardware, "another set"),
        (What::Filesystem, never(), Recognised::Hardware, "does not allow"),
        (What::Filesystem, set(Wipe::Foreign, &["other"]), Recognised::Hardware, "does not list"),
    ] {
        let said = says(what, set, recognised);
        assert!(said.contains(word), "{what:?}: {said}");
    }
}

#[test]
fn blank_disks_are_numbered_by_their_paths_and_a_new_one_gets_the_gap() {
    let blank = |name: &str, path: &str| hdd(name, path, State::Blank);
    let devices = [blank("sda", "p10"), blank("sdb", "p2"), blank("sdc", "p1")];
    let plan = planned(&sets(set(Wipe::Never, &[])), &devices);
    assert_eq!(
        plan.to_string(),
        "\
data disks: 0 kept, 3 to prepare, 0 refused
  data-01: partition and format sdc 6000.0 GB sata MODEL 1 Ssdc (blank)
  data-02: partition and format sdb 6000.0 GB sata MODEL 1 Ssdb (blank)
  data-03: partition and format sda 6000.0 GB sata MODEL 1 Ssda (blank)
"
    );
    let Action::Prepare { table, .. } = &plan.entries[0].action else { panic!() };
    assert_eq!(table.partitions[0].name, "r1-b07:data:01");
    assert_eq!(table.partitions[0].start, 1 << 20);

    let devices = [
        hdd("sda", "p1", data(SLED, "data", 3, false)),
        blank("sdb", "p2"),
        hdd("sdc", "p3", data(SLED, "data", 1, true)),
        hdd("sdd", "p4", State::Foreign(XFS)),
        hdd("sde", "p5", data("r1-b08", "data", 4, false)),
        hdd("sdf", "p6", data(SLED, "data", 3, false)),
        hdd("sdg", "p7", State::Unreadable("EIO".into())),
    ];
    let plan = planned(&sets(DiskSet { count: Some(8), ..set(Wipe::Never, &[]) }), &devices);
    assert_eq!(
        plan.to_string(),
        "\
data disks: 3 kept, 1 to prepare, 3 refused
  data-03: keep sda 6000.0 GB sata MODEL 1 Ssda (data disk data-03 of sled r1-b07)
  data-01: format sdc 6000.0 GB sata MODEL 1 Ssdc (data disk data-01 of sled r1-b07)
  data-02: keep sdf 6000.0 GB sata MODEL 1 Ssdf (data disk data-03 of sled r1-b07), which has the number 03 of an older disk
  data-04: partition and format sdb 6000.0 GB sata MODEL 1 Ssdb (blank)
  data: refuse sdd 6000.0 GB sata MODEL 1 Ssdd (has an XFS filesystem): the document does not allow to wipe it
  data: refuse sde 6000.0 GB sata MODEL 1 Ssde (data disk data-04 of sled r1-b08): data of another sled is wiped only with `wipe: all` and its serial number in `wipe-serials`
  data: refuse sdg 6000.0 GB sata MODEL 1 Ssdg (unreadable: EIO): a disk that does not read is not written to
  warning: set data has 4 of 8 disks
"
    );
    assert_eq!(plan.missing, 1);
}

/// Of two disks with the same number the older one has it, wherever they are; while one of them
/// is in use the other waits.
#[test]
fn a_spare_that_took_the_number_of_a_late_disk_gives_it_back() {
    let disk = |name: &str, path: &str, time: Option<u8>| {
        let mut state = data(SLED, "data", 3, false);
        if let (State::Data(data), Some(time)) = (&mut state, time) {
            let mut id = [0; 16];
            (id[5], id[6], id[8]) = (time, 0x70, 0x80);
            data.disk_guid = Guid::from_uuid(id);
        }
        hdd(name, path, state)
    };
    let says = |devices: &[Device]| {
        let plan = planned(&sets(set(Wipe::Never, &[])), devices);
        let says = |entry: &Entry| match &entry.action {
            Action::Keep { bay, .. } => format!("{} keeps {bay}", entry.device.name),
            Action::Renumber { from, bay, .. } => format!("{} {from} to {bay}", entry.device.name),
            other => format!("{} {other:?}", entry.device.name),
        };
        plan.entries.iter().map(says).collect::<Vec<_>>().join(", ")
    };
    // From before there was a time in it, or with an earlier one.
    for old in [None, Some(4)] {
        for (a, b) in [("p1", "p2"), ("p2", "p1")] {
            let (late, spare) = (disk("sda", a, old), disk("sdb", b, Some(5)));
            assert_eq!(says(&[late.clone(), spare.clone()]), "sda keeps 3, sdb 3 to 1", "{old:?}");
            let mounted = Device { in_use: true, ..spare.clone() };
            let refused = "sdb keeps 3, sda Refuse(\"sdb is data-03, too\")";
            assert_eq!(says(&[late.clone(), mounted]), refused, "{old:?}");
            let mounted = Device { in_use: true, ..late };
            assert_eq!(says(&[mounted, spare]), "sda keeps 3, sdb 3 to 1", "{old:?}");
        }
    }
}

#[test]
fn counts_picks_and_bays() {
    let sized = |name: &str, path: &str, gb: u64| Device { bytes: gb << 30, ..hdd(name, path, State::Blank) };
    let devices =
        [sized("sda", "p1", 20), sized("sdb", "p2", 10), sized("sdc", "p3", 20), sized("sdd", "p4", 10)];
    let pick = |pick, count| {
        let mut set = set(Wipe::Never, &[]);
        (set.disk.pick, set.count) = (Some(pick), count);
        planned(&sets(set), &devices).entries.iter().map(|e| e.device.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(pick(Pick::Smallest, Some(2)), ["sdb", "sdd"]);
    assert_eq!(pick(Pick::Largest, None), ["sda"]);
    assert_eq!(pick(Pick::First, Some(9)).len(), 4);
    let plan = planned(&sets(DiskSet { count: Some(3), ..set(Wipe::Never, &[]) }), &devices);
    assert!(matches!(&plan.entries[3].action, Action::Refuse(why) if why == "the set has its 3 disks"));

    let told = |name: &str, path: &str, bay| Device { bay: Some(bay), ..hdd(name, path, State::Blank) };
    let devices = [told("sda", "p1", 12), told("sdb", "p2", 12), told("sdc", "p3", 0)];
    let bays: Vec<_> = planned(&sets(set(Wipe::Never, &[])), &devices)
        .entries
        .iter()
        .map(|e| match e.action {
            Action::Prepare { bay, .. } => bay,
            _ => 0,
        })
        .collect();
    assert_eq!(bays, [12, 1, 2]);
    let small = Device { bytes: 100 << 20, ..hdd("sda", "p1", State::Blank) };
    let plan = planned(&sets(set(Wipe::Never, &[])), &[small]);
    assert!(plan.to_string().contains("it is smaller than 514 MiB"), "{plan}");
}

#[test]
fn a_disk_of_two_sets_is_nobodys_until_it_has_a_label() {
    let two = |a: DiskSet, b: DiskSet| BTreeMap::from([("fast".to_owned(), a), ("data".to_owned(), b)]);
    let sets = two(set(Wipe::Never, &[]), set(Wipe::All, &[]));
    let devices = [hdd("sda", "p1", State::Blank), hdd("sdb", "p2", data(SLED, "fast", 1, false))];
    let plan = planned(&sets, &devices);
    assert_eq!(
        plan.to_string(),
        "\
data disks: 1 kept, 0 to prepare, 1 refused
  data: refuse sda 6000.0 GB sata MODEL 1 Ssda (blank): the sets data and fast both match it
  fast-01: keep sdb 6000.0 GB sata MODEL 1 Ssdb (data disk fast-01 of sled r1-b07)
"
    );
}

fn any_disk() -> impl Strategy<Value = Device> {
    let what = (0..What::ALL.len()).prop_map(|n| What::ALL[n].0);
    let label = (0..3_usize, 0..3_usize, 1..4_u32, any::<bool>());
    (what, label, any::<bool>(), any::<bool>(), 0..4_u64, 0..6_u8, prop::option::of(0..4_u32)).prop_map(
        |(what, (sled, set, bay, fresh), rotational, in_use, size, path, told)| {
            let mut device = disk_with(what);
            if matches!(device.state, State::Data(_)) {
                let (sled, set) = ([SLED, SLED, "r1-b08"][sled], ["data", "data", "fast"][set]);
                device.state = data(sled, set, bay, fresh);
            }
            Device {
                rotational,
                in_use: in_use && what == What::InUse,
                bytes: size * 300_000_000,
                serial: format!("S{}", path % 4),
                path: format!("p{path}"),
                bay: told,
                ..device
            }
        },
    )
}

fn any_set() -> impl Strategy<Value = DiskSet> {
    let serials = prop::collection::vec(0..4_u8, 0..3);
    (
        prop::option::of(any::<bool>()),
        prop::option::of(0..3_usize),
        prop::option::of(1..4_u32),
        0..3_usize,
        serials,
    )
        .prop_map(|(rotational, pick, count, wipe, serials)| DiskSet {
            disk: DiskMatch {
                rotational,
                pick: pick.map(|n| [Pick::First, Pick::Smallest, Pick::Largest][n]),
                ..DiskMatch::default()
            },
            count,
            wipe: [Wipe::Never, Wipe::Foreign, Wipe::All][wipe],
            wipe_serials: serials.iter().map(|n| format!("S{n}")).collect(),
            ..set(Wipe::Never, &[])
        })
}

static CASES: AtomicU32 = AtomicU32::new(0);
static WRITES: AtomicU32 = AtomicU32::new(0);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]
    fn no_plan_touches_what_the_document_does_not_allow(
        devices in prop::collection::vec(any_disk(), 0..8),
        one in any_set(),
        two in prop::option::of(any_set()),
        recognised in 0..3_usize,
    ) {
        let recognised = [Recognised::Hardware, Recognised::Place, Recognised::Stranger][recognised];
        let devices: Vec<_> = devices.into_iter().zip(0..).map(|(d, n)| Device { name: format!("sd{n}"), ..d }).collect();
        let mut sets = sets(one);
        sets.extend(two.map(|set| ("fast".to_owned(), set)));
        let plan = plan(SLED, recognised, &sets, &devices, &ids(&devices));
        CASES.fetch_add(1, Ordering::Relaxed);
        for (n, entry) in plan.entries.iter().enumerate() {
            prop_assert!(plan.entries[..n].iter().all(|e| e.device.name != entry.device.name), "{} twice", entry.device.name);
            let device = devices.iter().find(|d| d.name == entry.device.name).unwrap();
            let set = &sets[&entry.set];
            prop_assert!(set.disk.rotational.is_none_or(|r| r == device.rotational));
            let bay = match &entry.action {
                Action::Refuse(_) => continue,
                Action::Keep { bay, .. } => {
                    let State::Data(data) = &device.state else { panic!("kept {device}") };
                    prop_assert_eq!((data.sled.as_str(), data.set.as_str(), data.bay), (SLED, entry.set.as_str(), *bay));
                    *bay
                }
                Action::Renumber { from, bay, partition } => {
                    let State::Data(data) = &device.state else { panic!("renumbered {device}") };
                    prop_assert_eq!((data.sled.as_str(), data.set.as_str(), data.bay), (SLED, entry.set.as_str(), *from));
                    prop_assert!(!device.in_use);
                    let named = Partition { name: data.partition.name.clone(), ..partition.clone() };
                    prop_assert_eq!(&named, &data.partition);
                    *bay
                }
                Action::Prepare { bay, table } => {
                    WRITES.fetch_add(1, Ordering::Relaxed);
                    // Said in other words than the table has it.
                    let listed = set.wipe_serials.contains(&device.serial);
                    let allowed = match &device.state {
                        State::Blank | State::Unfinished => true,
                        State::Foreign(_) => match set.wipe {
                            Wipe::Never => false,
                            Wipe::Foreign => listed,
                            Wipe::All => listed || (set.wipe_serials.is_empty() && set.disk.pick.is_none()),
                        },
                        State::Data(d) if d.sled == SLED && d.set == entry.set => false,
                        State::Data(d) if d.sled != SLED => {
                            set.wipe == Wipe::All && listed && recognised != Recognised::Stranger
                        }
                        State::Data(_) | State::Ours(_) => {
                            set.wipe == Wipe::All
                                && match recognised {
                                    Recognised::Hardware => {
                                        listed || (set.wipe_serials.is_empty() && set.disk.pick.is_none())
                                    }
                                    Recognised::Place => listed,
                                    Recognised::Stranger => false,
                                }
                        }
                        State::Unreadable(_) => false,
                    };
                    prop_assert!(allowed && !device.in_use, "{entry}");
                    // What another set of this sled keeps is not taken.
                    if let State::Data(d) = &device.state {
                        let owner = sets.get(&d.set).filter(|_| d.sled == SLED);
                        prop_assert!(owner.is_none_or(|o| o.disk.rotational.is_some_and(|r| r != device.rotational)));
                    }
                    let [partition] = table.partitions.as_slice() else { panic!("{table:?}") };
                    prop_assert!(partition.start >= ALIGNMENT);
                    prop_assert!(partition.start + partition.size + (34 * u64::from(device.sector)) <= device.bytes);
                    *bay
                }
            };
            let same = |e: &&Entry| e.set == entry.set && matches!(&e.action,
                Action::Keep { bay: b, .. } | Action::Prepare { bay: b, .. } | Action::Renumber { bay: b, .. } if *b == bay);
            prop_assert_eq!(plan.entries.iter().filter(same).count(), 1, "two {}-{}", &entry.set, bay);
        }
        for (name, set) in &sets {
            let prepared = plan.entries.iter().filter(|e| e.set == *name && matches!(e.action, Action::Prepare { .. })).count();
            let kept = plan.entries.iter().filter(|e| e.set == *name && matches!(e.action, Action::Keep { .. } | Action::Renumber { .. })).count();
            let most = set.count.map(|n| n as usize).unwrap_or(if set.disk.pick.is_some() { 1 } else { 99 });
            prop_assert!(prepared == 0 || prepared + kept <= most);
        }
    }
}

#[test]
fn no_plan_ever_touches_what_the_document_does_not_allow() {
    no_plan_touches_what_the_document_does_not_allow();
    let (cases, writes) = (CASES.load(Ordering::Relaxed), WRITES.load(Ordering::Relaxed));
    println!("{cases} random fleets of disks, {writes} disks written to, none against the document");
    assert!(cases >= 20_000 && writes >= 1000);
}
