//! A disk in memory with a volatile cache, and the power cut at every step.

use super::*;
use crate::slots::choose::tests::{XFS, device};
use crate::slots::classify::{EDGE, State, classify};
use formats::layout::{EntryName, Role, Standing};
use proptest::prelude::*;
use std::cell::{Cell, RefCell};

const BLOCK: u64 = 512;
const SIZE: u64 = 2200 << 20;

/// systemd-boot.
pub(super) const LOADER: &[u8] = b"MZ loader";

/// What was written, by sector; what is not in it is zero.
pub(super) type Sectors = BTreeMap<u64, [u8; 512]>;

/// A write: first sector, its bytes or `None` for zeroes, how many sectors.
type Write = (u64, Option<[u8; 512]>, u64);

/// Writes go to a cache; a flush makes them lasting. When the power is cut, of what
/// is in the cache any part may have reached the disk.
pub(super) struct Memory {
    pub(super) lasting: RefCell<Sectors>,
    /// In the order they were written; `None` is a zeroed range.
    cache: RefCell<Vec<Write>>,
    pub(super) view: RefCell<Sectors>,
    /// Operations until the power is cut.
    pub(super) left: Cell<u64>,
    flushes: Cell<u64>,
    /// After how many operations there were flushes.
    flushed: RefCell<Vec<u64>>,
    pub(super) steps: Cell<u64>,
}

impl Memory {
    pub(super) fn new(sectors: Sectors) -> Self {
        Self {
            lasting: RefCell::new(sectors.clone()),
            cache: RefCell::default(),
            view: RefCell::new(sectors),
            left: Cell::new(u64::MAX),
            flushes: Cell::new(0),
            flushed: RefCell::default(),
            steps: Cell::new(0),
        }
    }

    fn step(&self) -> io::Result<()> {
        let left = self.left.get();
        if left == 0 {
            return Err(io::Error::other("power cut"));
        }
        self.left.set(left - 1);
        self.steps.set(self.steps.get() + 1);
        Ok(())
    }

    fn apply(to: &mut Sectors, (at, bytes, len): &Write) {
        match bytes {
            Some(bytes) => {
                to.insert(*at, *bytes);
            }
            None => {
                let gone: Vec<_> = to.range(*at..at + len).map(|(at, _)| *at).collect();
                for at in gone {
                    to.remove(&at);
                }
            }
        }
    }

    /// What is on the disk after a power cut: each cached write with its own luck.
    pub(super) fn after_cut(&self, mut luck: u64) -> Sectors {
        let mut sectors = self.lasting.borrow().clone();
        for write in self.cache.borrow().iter() {
            luck = luck.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            if luck >> 63 == 1 {
                Self::apply(&mut sectors, write);
            }
        }
        sectors
    }
}

impl Disk for Memory {
    fn read(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        assert!(at + buffer.len() as u64 <= SIZE);
        let view = self.view.borrow();
        buffer.fill(0);
        let end = at + buffer.len() as u64;
        for (number, sector) in view.range(at / BLOCK..end.div_ceil(BLOCK)) {
            for (at, byte) in (number * BLOCK..)
                .zip(sector)
                .filter(|(place, _)| (at..end).contains(place))
                .map(|(place, byte)| (place - at, byte))
            {
                buffer[usize::try_from(at).unwrap()] = *byte;
            }
        }
        Ok(())
    }

    fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        assert!(at + bytes.len() as u64 <= SIZE, "{} bytes at {at}", bytes.len());
        self.step()?;
        let (mut view, mut cache) = (self.view.borrow_mut(), self.cache.borrow_mut());
        let (mut at, mut rest) = (at, bytes);
        while !rest.is_empty() {
            let offset = usize::try_from(at % BLOCK).unwrap();
            let n = rest.len().min(512 - offset);
            let sector = view.entry(at / BLOCK).or_insert([0; 512]);
            sector[offset..offset + n].copy_from_slice(&rest[..n]);
            cache.push((at / BLOCK, Some(*sector), 1));
            (at, rest) = (at + n as u64, &rest[n..]);
        }
        Ok(())
    }

    fn zero(&self, at: u64, len: u64) -> io::Result<()> {
        assert!(at + len <= SIZE && at.is_multiple_of(BLOCK) && len.is_multiple_of(BLOCK), "{len} at {at}");
        self.step()?;
        let write = (at / BLOCK, None, len / BLOCK);
        Self::apply(&mut self.view.borrow_mut(), &write);
        self.cache.borrow_mut().push(write);
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        self.step()?;
        self.flushes.set(self.flushes.get() + 1);
        self.flushed.borrow_mut().push(self.steps.get());
        *self.lasting.borrow_mut() = self.view.borrow().clone();
        self.cache.borrow_mut().clear();
        Ok(())
    }
}

fn look(disk: &Memory) -> Device {
    let edge = usize::try_from(EDGE).unwrap();
    let (mut head, mut tail) = (vec![0; edge], vec![0; edge]);
    disk.read(0, &mut head).unwrap();
    disk.read(SIZE - EDGE, &mut tail).unwrap();
    let state = classify(SIZE, &head, &tail, &seen(disk, SIZE, 512).content);
    Device { bytes: SIZE, state, ..device("sda", "pci/1", 1) }
}

/// One run, as [`install_on`] does it, then the boot files.
pub(super) fn run(disk: &Memory, image: &Image, files: &Files, wipe: Wipe) -> Result<(), Error> {
    let log = log();
    let job = Job { image, source: files, log: &log, machine: &Kernel };
    let install = Install { wipe, ..anything() };
    let what = installation(&install);
    let device = look(disk);
    choose::allowed(&device, what.permitted(&device)?)?;
    if disks::find(&[seen(disk, SIZE, 512)], &hash(image)).is_empty() {
        let tree = stream::tree(files, image, &log)?;
        let plan = plan_for(&job, &what, &device, disk, None)?;
        execute::carry_out(&plan, disk, &tree, &job, what.conf)?;
    }
    let Content::Gpt(table) = seen(disk, SIZE, 512).content else { panic!("no table") };
    esp::put(&job, disk, &table, "sda", 512, LOADER, NOW).map(drop)
}

/// Either no slot with this image, or one whose every byte is right.
pub(super) fn none_or_whole(disk: &Memory, image: &Image, files: &Files) -> bool {
    let found = disks::find(&[seen(disk, SIZE, 512)], &hash(image));
    for found in &found {
        let mut usr = vec![0; files.files["usr.squashfs"].len()];
        let mut tree = vec![0; files.files["usr.verity"].len()];
        disk.read(found.usr.start, &mut usr).unwrap();
        disk.read(found.verity.start, &mut tree).unwrap();
        assert!(usr == files.files["usr.squashfs"] && tree == files.files["usr.verity"], "{found}");
        assert!(found.root.is_some() && found.oem.is_some());
    }
    !found.is_empty()
}

fn root_bytes(disk: &Memory) -> Vec<u8> {
    let Content::Gpt(table) = seen(disk, SIZE, 512).content else { panic!("no table") };
    let root = table.partitions.iter().find(|p| p.name == "ROOT").unwrap();
    let mut bytes = vec![0; 1 << 20];
    disk.read(root.start, &mut bytes).unwrap();
    bytes
}

/// The name of an image that was never started.
pub(super) fn entry(image: &Image) -> String {
    EntryName::new(&image.name, &image.version, &image.root_hash.0).to_string()
}

pub(super) fn table_of(disk: &dyn Disk) -> gpt::Table {
    let Content::Gpt(table) = seen(disk, SIZE, 512).content else { panic!("no table") };
    table
}

pub(super) fn esp_of(disk: &dyn Disk) -> gpt::Partition {
    table_of(disk).partitions.into_iter().find(|p| p.name == Role::Esp.label()).unwrap()
}

pub(super) fn ukis(disk: &dyn Disk) -> Vec<String> {
    let esp = esp_of(disk);
    let mut at = |offset: u64, buffer: &mut [u8]| disk.read(esp.start + offset, buffer);
    let Ok(mut volume) = fat::Volume::open(esp.size, &mut at) else { return vec![] };
    volume.dir("EFI/Linux").unwrap().unwrap().into_iter().map(|f| f.name).collect()
}

/// Cuts the power at the steps of a run that starts from `start`; after each, a
/// second run must come to a good end. Returns how many steps there were. Of the
/// thousands of writes of a filesystem only some are tried: nothing flushes between
/// them, and what had reached the disk of the ones before is luck anyway.
fn cut_everywhere(start: &Sectors, image: &Image, files: &Files, check: &dyn Fn(&Memory)) -> u64 {
    let counted = Memory::new(start.clone());
    run(&counted, image, files, Wipe::Never).unwrap();
    let steps = counted.steps.get();
    let flushed = counted.flushed.borrow();
    let near = |step: u64| flushed.iter().any(|flush| flush.abs_diff(step) <= 8);
    let mut tried = 0;
    for step in (0..steps).filter(|step| near(*step) || step % 499 == 0) {
        tried += 1;
        let disk = Memory::new(start.clone());
        disk.left.set(step);
        run(&disk, image, files, Wipe::Never).unwrap_err();
        for luck in 0..2 {
            let after = Memory::new(disk.after_cut(step * 31 + luck));
            none_or_whole(&after, image, files);
            check(&after);
            // A disk that was ours, or nobody's, must not have become somebody's.
            let state = look(&after).state;
            assert!(!matches!(state, State::Foreign(_)), "step {step}: {state}");
            run(&after, image, files, Wipe::Never).unwrap_or_else(|e| panic!("step {step}: {e}"));
            assert!(none_or_whole(&after, image, files), "step {step}");
            assert!(ukis(&after).contains(&entry(image)), "step {step}");
            check(&after);
        }
    }
    tried
}

#[test]
fn the_power_may_be_cut_at_any_step_of_a_first_installation() {
    let (image, files) = image("1", 150);
    let steps = cut_everywhere(&Sectors::new(), &image, &files, &|_| ());
    assert!(steps > 100, "{steps}");
    // The mark of a preparation goes with the end of it.
    let disk = Memory::new(Sectors::new());
    run(&disk, &image, &files, Wipe::Never).unwrap();
    let mut mark = [1; 4096];
    disk.read(classify::MARK_AT, &mut mark).unwrap();
    assert!(mark.iter().all(|byte| *byte == 0));
}

#[test]
fn the_power_may_be_cut_at_any_step_of_an_update_and_root_and_the_old_image_stay() {
    let (old, old_files) = image("1", 100);
    let disk = Memory::new(Sectors::new());
    run(&disk, &old, &old_files, Wipe::Never).unwrap();
    let (new, new_files) = image("2", 150);
    let start = disk.lasting.borrow().clone();
    let root = root_bytes(&disk);
    cut_everywhere(&start, &new, &new_files, &|after| {
        assert!(none_or_whole(after, &old, &old_files), "the old image is gone");
        assert!(root_bytes(after) == root, "ROOT changed");
    });
}

#[test]
fn a_third_image_replaces_the_older_one_and_its_uki() {
    let disk = Memory::new(Sectors::new());
    let images: Vec<_> = ["20260101.0000", "20260301.0000", "20260201.0000"].map(|v| image(v, 40)).into();
    for (image, files) in &images {
        run(&disk, image, files, Wipe::Never).unwrap();
    }
    let there: Vec<_> = images.iter().map(|(image, files)| none_or_whole(&disk, image, files)).collect();
    assert_eq!(there, [false, true, true]);
    let mut there = ukis(&disk);
    there.sort();
    assert_eq!(there, [2, 1].map(|n: usize| entry(&images[n].0)));
    // Nothing to do: nothing is written.
    let flushes = disk.flushes.get();
    run(&disk, &images[2].0, &images[2].1, Wipe::Never).unwrap();
    assert_eq!(disk.flushes.get(), flushes);
}

#[test]
fn the_image_asked_for_last_is_started_first_while_it_has_tries() {
    let disk = Memory::new(Sectors::new());
    let images: Vec<_> = ["2", "1"].map(|v| image(v, 40)).into();
    let standing = |n: usize| esp::standing(&disk, &esp_of(&disk), &images[n].0).unwrap();
    let new = Standing::OnTrial { left: 3, done: 0 };
    for (image, files) in &images {
        run(&disk, image, files, Wipe::Never).unwrap();
    }
    // The older one was asked for last.
    assert_eq!((standing(0), standing(1)), ((new, false), (new, true)));
    let other = image("3", 4).0;
    assert_eq!(esp::standing(&disk, &esp_of(&disk), &other).unwrap(), (Standing::Missing, false));
    let (image, files) = &images[0];
    run(&disk, image, files, Wipe::Never).unwrap();
    assert_eq!((standing(0), standing(1)), ((new, true), (new, false)));
    assert_eq!(ukis(&disk), [0, 1].map(|n: usize| entry(&images[n].0)));
}

#[test]
fn an_interrupted_stream_goes_on_where_it_was_after_a_power_cut() {
    let (image, files) = image("1", 500);
    let files = files.with(&[Fault::None, Fault::Break(400 * 4096), Fault::GiveUp]);
    let disk = Memory::new(Sectors::new());
    assert!(matches!(run(&disk, &image, &files, Wipe::Never), Err(Error::Source { .. })));
    assert!(!none_or_whole(&disk, &image, &files));
    run(&disk, &image, &files, Wipe::Never).unwrap();
    assert_eq!(files.asked_of("usr.squashfs"), [0, 400 * 4096, 400 * 4096]);
}

#[test]
fn a_damaged_first_table_is_repaired_on_the_way() {
    let (old, old_files) = image("1", 40);
    let disk = Memory::new(Sectors::new());
    run(&disk, &old, &old_files, Wipe::Never).unwrap();
    let mut start = disk.lasting.borrow().clone();
    start.get_mut(&1).unwrap()[20] ^= 1;
    let (new, new_files) = image("2", 40);
    cut_everywhere(&start, &new, &new_files, &|after| {
        assert!(none_or_whole(after, &old, &old_files), "the old image is gone");
    });
}

#[test]
fn foreign_data_is_left_alone_unless_the_document_gives_it_up() {
    let (image, files) = image("1", 40);
    let mut xfs = [0; 512];
    xfs[..4].copy_from_slice(b"XFSB");
    let disk = Memory::new(Sectors::from([(0, xfs)]));
    assert!(matches!(run(&disk, &image, &files, Wipe::Never), Err(Error::Refused(Refusal::Data(_)))));
    assert_eq!((disk.view.borrow().len(), disk.flushes.get()), (1, 0));
    run(&disk, &image, &files, Wipe::Foreign).unwrap();
    assert!(none_or_whole(&disk, &image, &files));
}

/// A disk that lies: it takes a block and keeps another.
struct Liar<'a>(&'a Memory, u64);

impl Disk for Liar<'_> {
    fn read(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read(at, buffer)?;
        if let Some(byte) = self.1.checked_sub(at).and_then(|i| buffer.get_mut(usize::try_from(i).ok()?)) {
            *byte ^= 1;
        }
        Ok(())
    }
    fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write(at, bytes)
    }
    fn zero(&self, at: u64, len: u64) -> io::Result<()> {
        self.0.zero(at, len)
    }
    fn flush(&self) -> io::Result<()> {
        self.0.flush()
    }
}

#[test]
fn a_disk_that_returns_something_else_gets_no_valid_slot() {
    let (image, files) = image("1", 40);
    let log = log();
    let job = Job { image: &image, source: &files, log: &log, machine: &Kernel };
    let tree = stream::tree(&files, &image, &log).unwrap();
    for verity in [false, true] {
        let disk = Memory::new(Sectors::new());
        let install = anything();
        let plan = plan_for(&job, &installation(&install), &look(&disk), &disk, None).unwrap();
        let partition = plan.partition(if verity { plan.verity } else { plan.usr }).unwrap();
        let liar = Liar(&disk, partition.start + 4096 + 99);
        let error = execute::carry_out(&plan, &liar, &tree, &job, "").unwrap_err();
        let expected = if verity { "USR-A-VERITY" } else { "USR-A" };
        assert!(matches!(&error, Error::ReadBack { partition, .. } if partition == expected), "{error}");
        assert!(!none_or_whole(&disk, &image, &files));
    }
}

fn any_device() -> impl Strategy<Value = Device> {
    let state = prop_oneof![
        Just(State::Blank),
        Just(State::Unfinished),
        Just(State::Foreign(XFS)),
        Just(State::Unreadable("EIO".into())),
    ];
    (0..4_u64, 0..3_usize, 0..3_u64, any::<bool>(), state).prop_map(
        |(path, transport, size, rotational, state)| Device {
            transport: ["nvme", "sata", "usb"][transport],
            rotational,
            state,
            serial: format!("S{}", path % 2),
            ..device("sdx", &format!("pci/{path}"), 4 + 4 * size)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn no_plan_touches_a_disk_that_the_document_does_not_name_and_allow(
        devices in prop::collection::vec(any_device(), 0..5),
        serial in prop::option::of(0..3_u8),
        transport in prop::option::of(0..3_usize),
        rotational in prop::option::of(any::<bool>()),
        min_size in prop::option::of(0..14_000_000_000_u64),
        pick in prop::option::of(0..3_usize),
        wipe in 0..3_usize,
    ) {
        use metadata::document::Pick;
        let (image, _) = image("1", 3);
        let wanted = DiskMatch {
            serial: serial.map(|n| format!("S{n}")).into_iter().collect(),
            transport: transport.map(|n| ["nvme", "sata", "usb"][n].to_owned()).into_iter().collect(),
            rotational,
            min_size,
            pick: pick.map(|n| [Pick::First, Pick::Smallest, Pick::Largest][n]),
            ..DiskMatch::default()
        };
        let wipe = [Wipe::Never, Wipe::Foreign, Wipe::All][wipe];
        let Ok(device) = choose::choose(&devices, &wanted) else { return Ok(()) };
        let fits = |d: &Device| {
            wanted.serial.iter().all(|s| *s == d.serial)
                && wanted.transport.iter().all(|t| t == d.transport)
                && rotational.is_none_or(|r| r == d.rotational)
                && min_size.is_none_or(|m| d.bytes >= m)
        };
        prop_assert!(fits(device));
        prop_assert!(pick.is_some() || devices.iter().filter(|d| fits(d)).count() == 1);
        let ids = plan::Ids::new(&random).unwrap();
        if let Ok(plan) = Plan::new(device, wipe, &image, &Slots::default(), None, &ids, NOW) {
            match &device.state {
                State::Unreadable(_) => prop_assert!(false, "planned on an unreadable disk"),
                State::Foreign(_) => prop_assert!(wipe != Wipe::Never),
                _ => {}
            }
            let whole = plan.whole.unwrap();
            for (at, len) in whole.zero {
                prop_assert!(at + len <= device.bytes);
            }
            prop_assert!(plan.table.partitions.iter().all(|p| p.start % (1 << 20) == 0 && p.start + p.size < device.bytes));
        }
    }
}

/// The plan for a data disk, and the same with its filesystem made.
fn data_disk() -> [gpt::Plan; 2] {
    use crate::storage::plan::{Action, plan};
    let set: metadata::config::DiskSet =
        serde_json::from_str(r#"{"match": {"transport": ["sata"]}}"#).unwrap();
    let device = look(&Memory::new(Sectors::new()));
    let ids = [[gpt::Guid([1; 16]), gpt::Guid([2; 16])]];
    let sets = [("data".to_owned(), set)].into();
    let entries = plan("r1-b07", Recognised::Hardware, &sets, &[device], &ids).entries;
    let Action::Prepare { table, .. } = &entries[0].action else { panic!("{entries:?}") };
    let mut formatted = table.clone();
    formatted.partitions[0].attributes = 0;
    [table.clone(), formatted]
}

#[test]
fn the_power_may_be_cut_at_any_step_of_partitioning_a_data_disk() {
    use crate::storage::execute;
    let [plan, formatted] = data_disk();
    let mut foreign = [0; 512];
    foreign[..4].copy_from_slice(b"XFSB");
    let mut tried = 0;
    for start in [Sectors::new(), Sectors::from([(0, foreign)])] {
        let counted = Memory::new(start.clone());
        execute::write(&counted, &plan).unwrap();
        for step in 0..counted.steps.get() {
            for luck in 0..8 {
                let disk = Memory::new(start.clone());
                disk.left.set(step);
                execute::write(&disk, &plan).unwrap_err();
                let after = Memory::new(disk.after_cut(step * 31 + luck));
                // As it was, nothing, on the way, or done: never somebody else's, and never
                // without the mark that it has no filesystem.
                match look(&after).state {
                    State::Foreign(found) => {
                        assert!(found == XFS && !start.is_empty(), "step {step}: {found}")
                    }
                    State::Blank | State::Unfinished => {}
                    State::Data(data) => assert!(data.fresh(), "step {step}"),
                    other => panic!("step {step}: {other}"),
                }
                execute::write(&after, &plan).unwrap();
                assert!(matches!(look(&after).state, State::Data(data) if data.fresh()));
                tried += 1;
            }
        }
    }
    // Its filesystem is made: the mark goes, the partition stays.
    let done = Memory::new(Sectors::new());
    execute::write(&done, &plan).unwrap();
    let start = done.lasting.borrow().clone();
    table::write(&done, &formatted).unwrap();
    let steps = done.steps.get();
    for step in 0..steps {
        let disk = Memory::new(start.clone());
        disk.left.set(step);
        let _ = table::write(&disk, &formatted);
        for luck in 0..8 {
            let after = Memory::new(disk.after_cut(step * 31 + luck));
            assert!(matches!(look(&after).state, State::Data(_)), "step {step}");
            tried += 1;
        }
    }
    println!("{tried} power cuts");
}
