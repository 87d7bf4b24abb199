//! FAT filesystems of somebody else's making, changed in place, with the power cut at every
//! write; mkfs.fat makes them, fsck.fat and mtools judge.
#![cfg(feature = "write")]

use super::judge::{fill, run};
use formats::fat::{EditError, Editor, Medium, ReadError, Volume, restore_boot_sector};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::process::Command;

const NOW: u32 = 1_800_000_000;

/// A disk with a cache: of what was not flushed any sector may be lost, whatever came later.
struct Disk {
    lasting: RefCell<Vec<u8>>,
    view: RefCell<Vec<u8>>,
    cache: RefCell<Vec<(usize, [u8; 512])>>,
    /// Writes and flushes until the power is cut.
    left: Cell<u64>,
    steps: Cell<u64>,
    /// A sector that does not read.
    bad: Option<u64>,
}

impl Disk {
    fn new(bytes: Vec<u8>) -> Self {
        Self {
            lasting: RefCell::new(bytes.clone()),
            view: RefCell::new(bytes),
            cache: RefCell::default(),
            left: Cell::new(u64::MAX),
            steps: Cell::new(0),
            bad: None,
        }
    }

    fn step(&self) -> io::Result<()> {
        if self.left.get() == 0 {
            return Err(io::Error::other("power cut"));
        }
        self.left.set(self.left.get() - 1);
        self.steps.set(self.steps.get() + 1);
        Ok(())
    }

    fn after_cut(&self, luck: &mut Luck) -> Vec<u8> {
        let mut bytes = self.lasting.borrow().clone();
        for (at, sector) in self.cache.borrow().iter() {
            if luck.below(2) == 1 {
                bytes[*at..at + 512].copy_from_slice(sector);
            }
        }
        bytes
    }
}

impl Medium for Disk {
    fn read(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        if self.bad.is_some_and(|bad| (at..at + buffer.len() as u64).contains(&bad)) {
            return Err(io::Error::from_raw_os_error(5));
        }
        let at = usize::try_from(at).unwrap();
        buffer.copy_from_slice(&self.view.borrow()[at..at + buffer.len()]);
        Ok(())
    }

    fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.step()?;
        let at = usize::try_from(at).unwrap();
        assert!(at % 512 == 0 && bytes.len().is_multiple_of(512), "{} bytes at {at}", bytes.len());
        self.view.borrow_mut()[at..at + bytes.len()].copy_from_slice(bytes);
        let sectors = bytes.chunks(512).enumerate().map(|(n, s)| (at + n * 512, s.try_into().unwrap()));
        self.cache.borrow_mut().extend(sectors);
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        self.step()?;
        for (at, sector) in self.cache.borrow_mut().drain(..) {
            self.lasting.borrow_mut()[at..at + 512].copy_from_slice(&sector);
        }
        Ok(())
    }
}

/// Numbers that are the same each time.
struct Luck(u64);

impl Luck {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

type Files = BTreeMap<String, Vec<u8>>;

/// mkfs.fat with these words, and files of others on it.
fn made(dir: &Path, kib: &str, words: &[&str]) -> (Vec<u8>, Files) {
    let image = dir.join("fat.img");
    let _ = std::fs::remove_file(&image);
    let mut args: Vec<_> = words.iter().map(std::ffi::OsStr::new).collect();
    args.extend(["-C".as_ref(), image.as_os_str(), kib.as_ref()]);
    run("dosfstools", "mkfs.fat", &args);
    let files = ["FSCK0000.REC", "EFI/Vendor of firmware/an update that waits.bin"];
    let model = files.map(|name| (name.to_lowercase(), fill(5_000, 9)));
    // mtools takes none with so few clusters for FAT32.
    if words.contains(&"32") {
        let disk = Disk::new(std::fs::read(image).unwrap());
        let mut fs = Editor::open(disk.lasting.borrow().len() as u64, &disk, NOW).unwrap();
        files.iter().for_each(|name| fs.put(name, &fill(5_000, 9)).unwrap());
        fs.tidy().unwrap();
        drop(fs);
        return (disk.lasting.into_inner(), Files::from(model));
    }
    let foreign = dir.join("FSCK0000.REC");
    std::fs::write(&foreign, fill(5_000, 9)).unwrap();
    for to in ["::EFI", "::EFI/Vendor of firmware"] {
        run("mtools", "mmd", &["-i".as_ref(), image.as_os_str(), to.as_ref()]);
    }
    for to in ["::FSCK0000.REC", "::EFI/Vendor of firmware/an update that waits.bin"] {
        run("mtools", "mcopy", &["-i".as_ref(), image.as_os_str(), foreign.as_os_str(), to.as_ref()]);
    }
    (std::fs::read(image).unwrap(), Files::from(model))
}

/// Filesystems as different makers have them.
const KINDS: [(&str, &[&str]); 6] = [
    ("720", &["-F", "12"]),
    ("1440", &["-F", "12", "-s", "8", "-f", "1"]),
    ("5000", &["-F", "16", "-s", "1", "-r", "64"]),
    ("12000", &["-F", "16", "-s", "4"]),
    ("4000", &["-F", "32", "-s", "1", "-n", "SYSTEM"]),
    ("6000", &["-F", "32", "-s", "2", "-S", "1024"]),
];

/// Everything on it, by our reader.
fn all(bytes: &[u8]) -> Files {
    let mut read = |at: u64, buffer: &mut [u8]| {
        let at = usize::try_from(at).unwrap();
        buffer.copy_from_slice(&bytes[at..at + buffer.len()]);
        Ok(())
    };
    let mut volume = Volume::open(bytes.len() as u64, &mut read).unwrap();
    let mut files = Files::new();
    let mut dirs = vec![String::new()];
    while let Some(dir) = dirs.pop() {
        for entry in volume.dir(&dir).unwrap().unwrap() {
            let path = format!("{dir}{}", entry.name).to_lowercase();
            if entry.is_dir {
                dirs.push(path + "/");
            } else {
                let twice = files.insert(path.clone(), volume.read(&entry).unwrap());
                assert!(twice.is_none(), "{path} is there twice");
            }
        }
    }
    files
}

/// What fsck.fat complains of; nothing of a clean one.
fn complaints(dir: &Path, bytes: &[u8]) -> Vec<String> {
    let image = dir.join("fsck.img");
    std::fs::write(&image, bytes).unwrap();
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let out = Command::new("fsck.fat").arg("-n").arg(&image).env("PATH", path).output().unwrap();
    let said = String::from_utf8(out.stdout).unwrap();
    let lines = said.lines().map(str::to_owned).filter(|line| {
        !(line.starts_with("fsck.fat ") || line.contains(" files, ") && line.contains(" clusters"))
    });
    lines.collect()
}

/// What a cut may leave: all of it is passed over by firmware.
fn harmless(line: &str) -> bool {
    [
        "Orphaned long file name part",
        "Long filename fragment ",
        "  (Maybe the start bit is missing",
        "  Not auto-correcting this.",
        "  Auto-deleting.",
        "Reclaimed ",
        "Free cluster summary wrong",
        "FATs differ",
        "  Auto-correcting.",
        "  Using first FAT.",
        "  Auto-setting.",
        "Leaving filesystem unchanged.",
        "/",
        "  and",
        "  share clusters.",
        "  Truncating ",
        "  File size is ",
        "  Contains a free cluster",
        "1) ",
        "2) ",
        "Perform changes ?",
        "Filesystem was changed",
    ]
    .iter()
    .any(|start| line.starts_with(start) || line.trim().is_empty())
}

#[derive(Clone, Debug)]
enum Change {
    Put(String, Vec<u8>),
    Rename(&'static str, String, String),
    Remove(String),
}

impl Change {
    fn carry_out(&self, disk: &Disk) -> Result<(), EditError> {
        let mut fs = Editor::open(disk.lasting.borrow().len() as u64, disk, NOW)?;
        match self {
            Self::Put(path, bytes) => fs.put(path, bytes)?,
            Self::Rename(dir, from, to) => fs.rename(dir, from, to)?,
            Self::Remove(path) => fs.remove(path)?,
        }
        fs.tidy()
    }

    fn in_model(&self, files: &Files) -> Files {
        let mut files = files.clone();
        match self {
            Self::Put(path, bytes) => drop(files.insert(path.clone(), bytes.clone())),
            Self::Rename(dir, from, to) => {
                let bytes = files.remove(&format!("{dir}/{from}")).unwrap();
                files.entry(format!("{dir}/{to}")).or_insert(bytes);
            }
            Self::Remove(path) => drop(files.remove(path)),
        }
        files
    }

    /// Whether this may be there after a cut.
    fn may_leave(&self, before: &Files, after: &Files, there: &Files) -> bool {
        let both: Files = before.iter().chain(after).map(|(k, v)| (k.clone(), v.clone())).collect();
        there == before || there == after || matches!(self, Self::Rename(..)) && *there == both
    }
}

fn some_change(luck: &mut Luck, files: &Files, cluster: u64) -> Change {
    let images =
        ["efi/linux/compute_1.4_abababababababab.efi", "efi/linux/compute_1.4_abababababababab+2-1.efi"];
    let names = [
        images[0],
        images[1],
        "efi/linux/a name so long that it does not fit into one sector of a directory, whatever is done with it, because it takes more than sixteen entries of thirteen characters each, and there are only sixteen of them in five hundred and twelve bytes.efi",
        "efi/linux/b.efi",
        "loader/loader.conf",
        "efi/boot/bootx64.efi",
    ];
    let ours: Vec<_> = files.keys().filter(|path| names.contains(&path.as_str())).cloned().collect();
    let some = |luck: &mut Luck, n: usize| usize::try_from(luck.below(n as u64)).unwrap();
    match luck.below(6) {
        0 if !ours.is_empty() => Change::Remove(ours[some(luck, ours.len())].clone()),
        1 | 2 if !ours.is_empty() => {
            let from = ours[some(luck, ours.len())].clone();
            let dir =
                ["efi/linux", "efi/boot", "loader"].into_iter().find(|dir| from.starts_with(dir)).unwrap();
            let (from, to) =
                (from[dir.len() + 1..].to_owned(), names[some(luck, 4)].rsplit_once('/').unwrap().1);
            if from == to {
                Change::Remove(format!("{dir}/{from}"))
            } else {
                Change::Rename(dir, from, to.into())
            }
        }
        _ => {
            let len = [0, 1, cluster, cluster + 1, 3 * cluster, 9_999][some(luck, 6)];
            let bytes = fill(usize::try_from(len).unwrap(), u8::try_from(luck.below(250)).unwrap());
            Change::Put(names[some(luck, names.len())].into(), bytes)
        }
    }
}

#[test]
fn at_every_cut_each_file_is_as_it_was_or_as_it_is_to_be() {
    let dir = tempfile::tempdir().unwrap();
    let mut luck = Luck(14);
    let (mut cuts, mut judged) = (0, 0);
    for (kib, words) in KINDS {
        let (mut bytes, mut files) = made(dir.path(), kib, words);
        assert_eq!(all(&bytes), files, "{words:?}");
        for n in 0..12 {
            let change = some_change(&mut luck, &files, 1024);
            let after = change.in_model(&files);
            let disk = Disk::new(bytes.clone());
            change.carry_out(&disk).unwrap_or_else(|e| panic!("{words:?} {n} {change:?}: {e}"));
            for step in 0..disk.steps.get() {
                let cut = Disk::new(bytes.clone());
                cut.left.set(step);
                change.carry_out(&cut).unwrap_err();
                for _ in 0..2 {
                    cuts += 1;
                    let left = cut.after_cut(&mut luck);
                    let there = all(&left);
                    let names = there.keys().collect::<Vec<_>>();
                    assert!(
                        change.may_leave(&files, &after, &there),
                        "{words:?} {change:?} {step}: {names:?}"
                    );
                    let judge = cuts % 11 == 0;
                    if judge {
                        judged += 1;
                        let said = complaints(dir.path(), &left);
                        assert!(said.iter().all(|l| harmless(l)), "{words:?} {change:?} {step}: {said:?}");
                    }
                    // The next run cleans up.
                    let next = Disk::new(left);
                    Editor::open(bytes.len() as u64, &next, NOW).unwrap();
                    let clean = next.lasting.borrow();
                    assert_eq!(all(&clean), there);
                    let shared =
                        matches!(change, Change::Rename(..)) && there.len() > files.len().min(after.len());
                    if judge && !shared {
                        let said = complaints(dir.path(), &clean);
                        assert!(said.is_empty(), "{words:?} {change:?} {step}: {said:?}");
                    }
                }
            }
            bytes = disk.lasting.into_inner();
            assert!(all(&bytes) == after, "{words:?} {change:?}");
            assert_eq!(complaints(dir.path(), &bytes), Vec::<String>::new(), "{words:?} {change:?}");
            files = after;
        }
        if !words.contains(&"32") {
            copied_out(dir.path(), &bytes, &files);
        }
    }
    println!("{cuts} power cuts, {judged} judged by fsck.fat");
    assert!(cuts > 800, "{cuts}");
}

/// mtools reads the same.
fn copied_out(dir: &Path, bytes: &[u8], files: &Files) {
    let (image, out) = (dir.join("mtools.img"), dir.join("out"));
    std::fs::write(&image, bytes).unwrap();
    for (path, content) in files {
        let from = format!("::{path}");
        let _ = std::fs::remove_file(&out);
        let args = ["-i".as_ref(), image.as_os_str(), from.as_ref(), out.as_os_str()];
        run("mtools", "mcopy", &args);
        assert!(std::fs::read(&out).unwrap() == *content, "{path}");
    }
}

#[test]
fn mtools_reads_a_large_one() {
    let dir = tempfile::tempdir().unwrap();
    let (bytes, mut files) = made(dir.path(), "36000", &["-F", "32", "-s", "1"]);
    let disk = Disk::new(bytes);
    let mut fs = Editor::open(disk.lasting.borrow().len() as u64, &disk, NOW).unwrap();
    for (path, len) in
        [("EFI/Linux/compute_1.4_abababababababab+3.efi", 5_000_000), ("loader/loader.conf", 10)]
    {
        fs.put(path, &fill(len, 3)).unwrap();
        files.insert(path.to_lowercase(), fill(len, 3));
    }
    fs.rename("efi/linux", "compute_1.4_abababababababab+3.efi", "x.efi").unwrap();
    let moved = files.remove("efi/linux/compute_1.4_abababababababab+3.efi").unwrap();
    files.insert("efi/linux/x.efi".into(), moved);
    fs.tidy().unwrap();
    drop(fs);
    let bytes = disk.lasting.into_inner();
    copied_out(dir.path(), &bytes, &files);
    assert_eq!(complaints(dir.path(), &bytes), Vec::<String>::new());
}

#[test]
fn what_does_not_fit_is_said_and_nothing_is_changed() {
    let dir = tempfile::tempdir().unwrap();
    for (kib, words) in KINDS {
        let (bytes, files) = made(dir.path(), kib, words);
        let disk = Disk::new(bytes.clone());
        let mut fs = Editor::open(bytes.len() as u64, &disk, NOW).unwrap();
        let free = fs.free();
        // All of it can be used: a file in the root needs no other cluster.
        fs.put("full.bin", &vec![7; usize::try_from(free).unwrap()]).unwrap();
        assert_eq!(fs.free(), 0);
        fs.tidy().unwrap();
        let before = disk.lasting.borrow().clone();
        assert!(matches!(fs.put("one.bin", &[1]), Err(EditError::Full { has: 0, .. })), "{words:?}");
        assert!(before == *disk.lasting.borrow());
        assert_eq!(fs.files().iter().map(|(_, len)| u64::from(*len)).max(), Some(free));
        fs.remove("full.bin").unwrap();
        fs.tidy().unwrap();
        assert_eq!(fs.free(), free);
        assert_eq!(all(&disk.lasting.borrow()), files);
        assert!(complaints(dir.path(), &disk.lasting.borrow()).is_empty(), "{words:?}");
    }
}

#[test]
fn a_root_of_a_fixed_size_gets_full_and_others_grow() {
    let dir = tempfile::tempdir().unwrap();
    for (kib, words) in KINDS {
        let (bytes, _) = made(dir.path(), kib, words);
        let disk = Disk::new(bytes.clone());
        let mut fs = Editor::open(bytes.len() as u64, &disk, NOW).unwrap();
        for n in 0..40 {
            fs.put(&format!("EFI/Linux/an image with a name {n}.efi"), &[n; 3]).unwrap();
        }
        assert_eq!(fs.names("efi/linux").unwrap().len(), 40);
        let outcome = (0..200).try_for_each(|n| fs.put(&format!("of the root, too {n}"), &[]));
        if !words.contains(&"32") {
            assert!(matches!(outcome, Err(EditError::DirectoryFull(_))), "{outcome:?}");
        } else {
            outcome.unwrap();
        }
        fs.tidy().unwrap();
        assert!(complaints(dir.path(), &disk.lasting.borrow()).is_empty(), "{words:?}");
    }
}

#[test]
fn what_is_damaged_is_read_as_far_as_it_goes_and_nothing_that_is_there_is_given_out() {
    let dir = tempfile::tempdir().unwrap();
    let (bytes, _) = made(dir.path(), "4000", &["-F", "32", "-s", "1"]);
    let size = bytes.len() as u64;
    let disk = Disk::new(bytes);
    let mut fs = Editor::open(size, &disk, NOW).unwrap();
    for n in 0..20 {
        fs.put(&format!("EFI/Linux/an image with a name {n}.efi"), &fill(3000, n)).unwrap();
    }
    let good = disk.lasting.into_inner();
    let before = all(&good);
    let mut luck = Luck(4);
    let table = 32 * 512;
    for _ in 0..300 {
        let mut bytes = good.clone();
        for _ in 0..=luck.below(3) {
            let at = table + 8 + usize::try_from(luck.below(300 * 4)).unwrap();
            bytes[at] = u8::try_from(luck.below(256)).unwrap();
        }
        let disk = Disk::new(bytes.clone());
        let readable = |bytes: &[u8]| {
            let disk = Disk::new(bytes.to_vec());
            let Ok(fs) = Editor::open(size, &disk, NOW) else { return Files::new() };
            let read = |path: &String| Some((path.clone(), fs.read(path).ok()??));
            before.keys().filter_map(read).collect()
        };
        let there = readable(&bytes);
        let Ok(mut fs) = Editor::open(size, &disk, NOW) else { continue };
        if fs.put("EFI/Linux/new.efi", &fill(9000, 77)).is_ok() {
            drop(fs);
            let left = disk.lasting.into_inner();
            let after = readable(&left);
            assert!(there.iter().all(|(path, bytes)| after.get(path) == Some(bytes)));
        }
    }
}

#[test]
fn a_first_sector_that_is_gone_comes_back_from_its_copy() {
    let dir = tempfile::tempdir().unwrap();
    for (kib, words) in KINDS {
        let (good, files) = made(dir.path(), kib, words);
        let size = good.len() as u64;
        let mut bytes = good.clone();
        bytes[..512].fill(0);
        let disk = Disk::new(bytes);
        assert_eq!(restore_boot_sector(size, &disk).unwrap(), words.contains(&"32"), "{words:?}");
        if words.contains(&"32") {
            assert_eq!(all(&disk.lasting.borrow()), files);
        } else {
            let error = Editor::open(size, &disk, NOW).unwrap_err();
            assert!(matches!(error, EditError::Read(ReadError::NotFat(_))), "{error}");
        }
        // One that is there stays, and one that does not read is an error.
        let disk = Disk::new(good.clone());
        assert!(!restore_boot_sector(size, &disk).unwrap());
        assert_eq!(disk.steps.get(), 0);
        let disk = Disk { bad: Some(0), ..Disk::new(good) };
        restore_boot_sector(size, &disk).unwrap_err();
        assert!(matches!(Editor::open(size, &disk, NOW), Err(EditError::Read(ReadError::Io(_)))));
        assert_eq!(disk.steps.get(), 0);
    }
}

#[test]
fn a_table_that_does_not_read_or_differs_is_made_like_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let (good, files) = made(dir.path(), "4000", &["-F", "32", "-s", "1"]);
    let size = good.len() as u64;
    let second =
        32 * 512 + usize::try_from(u32::from_le_bytes(good[36..40].try_into().unwrap())).unwrap() * 512;
    let mut bytes = good.clone();
    bytes[second + 512..second + 1024].fill(0x11);
    let disk = Disk::new(bytes);
    Editor::open(size, &disk, NOW).unwrap();
    assert!(*disk.lasting.borrow() == good);
    let disk = Disk { bad: Some(32 * 512 + 512), ..Disk::new(good) };
    let mut fs = Editor::open(size, &disk, NOW).unwrap();
    fs.put("new.bin", &[1; 700]).unwrap();
    fs.tidy().unwrap();
    drop(fs);
    let left = disk.lasting.into_inner();
    assert_eq!(all(&left).len(), files.len() + 1);
    assert!(complaints(dir.path(), &left).is_empty());
}

#[test]
fn paths_that_cannot_be_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (bytes, files) = made(dir.path(), "720", &["-F", "12"]);
    let size = bytes.len() as u64;
    let disk = Disk::new(bytes);
    let mut fs = Editor::open(size, &disk, NOW).unwrap();
    assert!(matches!(fs.put("FSCK0000.REC/x", &[]), Err(EditError::Kind(_))));
    assert!(matches!(fs.put("EFI", &[]), Err(EditError::Kind(_))));
    assert!(matches!(fs.remove("EFI"), Err(EditError::Kind(_))));
    assert!(matches!(fs.put("a:b", &[]), Err(EditError::Name { .. })));
    assert!(matches!(fs.rename("EFI", "none", "x"), Err(EditError::Kind(_))));
    fs.remove("none").unwrap();
    fs.remove("none/at/all").unwrap();
    assert_eq!(fs.read("none").unwrap(), None);
    assert_eq!(fs.names("none").unwrap(), Vec::<String>::new());
    assert_eq!(all(&disk.lasting.borrow()), files);
}
