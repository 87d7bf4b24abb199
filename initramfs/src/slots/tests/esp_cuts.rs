//! The ESP with the power cut at every write: some image boots, always; and ESPs that are full,
//! damaged, unreadable or somebody else's.

use super::cuts::{LOADER, Memory, Sectors, entry, esp_of, run, table_of, ukis};
use super::*;
use formats::layout::{EntryName, Standing};

/// What firmware and systemd-boot start: the boot loader is whole, the entry is the one that
/// loader.conf names, else another that has tries left, and its bytes are those of an image
/// whose slot is there.
fn boots(disk: &dyn Disk, images: &[&(Image, Files)]) -> Option<String> {
    let esp = esp_of(disk);
    let mut at = |offset: u64, buffer: &mut [u8]| disk.read(esp.start + offset, buffer);
    let mut volume = fat::Volume::open(esp.size, &mut at).ok()?;
    let mut file = |dir: &str, name: &str| {
        let files = volume.dir(dir).ok()??;
        volume.read(files.iter().find(|file| file.name.eq_ignore_ascii_case(name))?).ok()
    };
    (file("EFI/BOOT", "BOOTX64.EFI")? == LOADER).then_some(())?;
    let conf = String::from_utf8(file("loader", "loader.conf").unwrap_or_default()).unwrap();
    let mut names = ukis(disk);
    names.retain(|name| EntryName::parse(name).is_some_and(|name| name.standing() != Standing::Exhausted));
    names.sort();
    let is_first = |name: &&String| {
        EntryName::parse(name).is_some_and(|name| conf.contains(&format!("default {}\n", name.pattern())))
    };
    let name = names.iter().find(is_first).or(names.last())?;
    let bytes = file("EFI/Linux", name)?;
    let (image, _) = images.iter().find(|(_, files)| files.files["compute.efi"] == bytes)?;
    disks::find(&[seen(disk, disk_size(), 512)], &hash(image)).first()?;
    Some(image.version.clone())
}

fn disk_size() -> u64 {
    2200 << 20
}

fn put(disk: &dyn Disk, (image, files): &(Image, Files)) -> Result<String, Error> {
    let log = log();
    let job = Job { image, source: files, log: &log, machine: &Kernel };
    esp::put(&job, disk, &table_of(disk), "sda", 512, LOADER, NOW)
}

/// Changes the ESP by the editor, as somebody else would.
fn edit(disk: &Memory, work: impl FnOnce(&mut fat::Editor<'_>)) {
    let at = esp_of(disk);
    let esp = esp::Esp { disk, at: &at };
    let mut fs = fat::Editor::open(at.size, &esp, NOW).unwrap();
    work(&mut fs);
    fs.tidy().unwrap();
}

/// A disk with v1, which got ready, and v2 in the other slot, which was never started.
fn two() -> (Memory, [(Image, Files); 2]) {
    let images = ["1", "2"].map(|version| image(version, 3));
    let disk = Memory::new(Sectors::new());
    run(&disk, &images[0].0, &images[0].1, Wipe::Never).unwrap();
    mark_good(&disk, &images[0].0);
    run(&disk, &images[1].0, &images[1].1, Wipe::Never).unwrap();
    (disk, images)
}

fn mark_good(disk: &Memory, image: &Image) {
    let good = EntryName::parse(&entry(image)).unwrap().good().to_string();
    edit(disk, |fs| fs.rename("EFI/Linux", &entry(image), &good).unwrap());
}

/// [`put`] with a cut at every step: before and after the next run something boots. Returns
/// how many cuts there were.
fn cut(start: &Sectors, what: &(Image, Files), all: &[&(Image, Files)]) -> u64 {
    let whole = Memory::new(start.clone());
    let before = boots(&whole, all);
    assert!(before.is_some());
    put(&whole, what).unwrap();
    assert_eq!(boots(&whole, all).as_ref(), Some(&what.0.version));
    for step in 0..whole.steps.get() {
        let disk = Memory::new(start.clone());
        disk.left.set(step);
        put(&disk, what).unwrap_err();
        for luck in 0..3 {
            let after = Memory::new(disk.after_cut(step * 31 + luck));
            let now = boots(&after, all);
            assert!(now == before || now.as_ref() == Some(&what.0.version), "step {step}: {now:?}");
            put(&after, what).unwrap();
            assert_eq!(boots(&after, all).as_ref(), Some(&what.0.version), "step {step}");
        }
    }
    3 * whole.steps.get()
}

#[test]
fn an_image_boots_at_every_cut_of_an_update_a_new_default_and_an_old_name() {
    let (disk, images) = two();
    let all: Vec<_> = images.iter().collect();
    assert_eq!(boots(&disk, &all).as_deref(), Some("2"));
    let full = disk.lasting.borrow().clone();
    // The default alone.
    let mut cuts = cut(&full, &images[0], &all);
    // The new image's files, with the old one there; and what is on the disk of an earlier
    // release, which has no hash in its name.
    edit(&disk, |fs| fs.remove(&format!("EFI/Linux/{}", entry(&images[1].0))).unwrap());
    put(&disk, &images[0]).unwrap();
    cuts += cut(&disk.lasting.borrow(), &images[1], &all);
    let good = EntryName::parse(&entry(&images[0].0)).unwrap().good().to_string();
    edit(&disk, |fs| {
        fs.rename("EFI/Linux", &good, "compute_1+2-1.efi").unwrap();
        fs.put("loader/loader.conf", b"timeout 0\ndefault compute_1[+.][1-9e]*\n").unwrap();
    });
    cuts += cut(&disk.lasting.borrow(), &images[0], &all);
    put(&disk, &images[0]).unwrap();
    // What it has been through stays.
    let stem = EntryName::parse(&good).unwrap();
    assert_eq!(ukis(&disk), [format!("{}+2-1.efi", stem.stem())]);
    println!("{cuts} power cuts");
    assert!(cuts > 30, "{cuts}");
}

#[test]
fn files_of_others_stay_and_what_boots_nothing_goes() {
    let (disk, images) = two();
    let foreign =
        ["FSCK0000.REC", "EFI/Vendor/firmware.bin", "EFI/Linux/memtest.efi", "EFI/Linux/other.conf"];
    // An image whose slot is gone, one that is cut short, and another build of version 2.
    let gone = image("0", 2);
    let uki = gone.1.files["compute.efi"].clone();
    edit(&disk, |fs| {
        foreign.iter().for_each(|path| fs.put(path, path.as_bytes()).unwrap());
        fs.put(&format!("EFI/Linux/{}", entry(&gone.0)), &uki).unwrap();
        fs.put("EFI/Linux/compute_2+1-2.efi", &uki).unwrap();
        fs.put(&format!("EFI/Linux/{}", entry(&images[1].0)), b"MZ half").unwrap();
    });
    put(&disk, &images[1]).unwrap();
    edit(&disk, |fs| {
        for path in foreign {
            assert_eq!(fs.read(path).unwrap().as_deref(), Some(path.as_bytes()), "{path}");
        }
    });
    let mut there = ukis(&disk);
    there.sort();
    let v1 = EntryName::parse(&entry(&images[0].0)).unwrap().good().to_string();
    assert_eq!(there, [v1, entry(&images[1].0), "memtest.efi".into(), "other.conf".into()]);
    // Nothing to do: nothing is written.
    let steps = disk.steps.get();
    assert!(put(&disk, &images[1]).unwrap().ends_with("already"));
    assert_eq!(disk.steps.get(), steps);
}

#[test]
fn a_full_esp_is_said_with_what_takes_it_and_stays_as_it_is() {
    let (disk, images) = two();
    edit(&disk, |fs| {
        fs.remove(&format!("EFI/Linux/{}", entry(&images[1].0))).unwrap();
        fs.tidy().unwrap();
        let free = usize::try_from(fs.free()).unwrap();
        fs.put("firmware.cap", &vec![5; free - 8192]).unwrap();
        fs.put("EFI/Linux/compute_2_0011223344556677+3.efi", &[1; 1024]).unwrap();
    });
    put(&disk, &images[0]).unwrap();
    let before = disk.view.borrow().clone();
    let mut large = image("2", 3);
    let mut bytes = large.1.files["compute.efi"].clone();
    bytes.resize(64 << 10, 0);
    large.0.uki.size = bytes.len() as u64;
    large.0.uki.sha256 = Hash32(Sha256::digest(&bytes).into());
    large.1.files.insert("compute.efi".into(), bytes);
    let error = put(&disk, &large).unwrap_err().to_string();
    assert!(
        error.contains("EFI-SYSTEM of sda has no room") && error.contains("by firmware.cap ("),
        "{error}"
    );
    assert!(before == *disk.view.borrow());
    assert_eq!(boots(&disk, &[&images[0]]).as_deref(), Some("1"));
}

/// A disk of which some bytes do not read.
struct Unreadable<'a>(&'a Memory, std::ops::Range<u64>);

impl Disk for Unreadable<'_> {
    fn read(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        if at < self.1.end && self.1.start < at + buffer.len() as u64 {
            return Err(io::Error::from_raw_os_error(5));
        }
        self.0.read(at, buffer)
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
fn an_esp_that_does_not_read_is_not_made_anew_and_one_that_is_none_is() {
    let (disk, images) = two();
    let all: Vec<_> = images.iter().collect();
    let esp = esp_of(&disk);
    let steps = disk.steps.get();
    let bad = Unreadable(&disk, esp.start..esp.start + 512);
    put(&bad, &images[0]).unwrap_err();
    esp::slots(&bad, &table_of(&disk)).unwrap_err();
    esp::standing(&bad, &esp, &images[0].0).unwrap_err();
    assert_eq!(disk.steps.get(), steps);
    // Without its first sector firmware finds nothing; the copy of it does for everything.
    disk.write(esp.start, &[0; 512]).unwrap();
    disk.flush().unwrap();
    assert_eq!(boots(&disk, &all), None);
    put(&disk, &images[0]).unwrap();
    assert_eq!((boots(&disk, &all).as_deref(), ukis(&disk).len()), (Some("1"), 2));
    disk.zero(esp.start, 64 << 10).unwrap();
    disk.flush().unwrap();
    put(&disk, &images[0]).unwrap();
    assert_eq!((boots(&disk, &all).as_deref(), ukis(&disk).len()), (Some("1"), 1));
}

#[test]
fn slots_say_what_is_whole_which_version_it_is_and_whether_it_got_ready() {
    let (disk, images) = two();
    let of = |disk: &dyn Disk| {
        let Slots([a, b]) = esp::slots(disk, &table_of(disk)).unwrap();
        [(a.hash, a.version, a.good), (b.hash, b.version, b.good)]
    };
    let hashes = [0, 1].map(|n: usize| Some(images[n].0.root_hash.0));
    let expected = [(hashes[0], Some("1".into()), true), (hashes[1], Some("2".into()), false)];
    assert_eq!(of(&disk), expected);
    // A tree that is not that of the ids is no slot, whatever the ESP says.
    let table = table_of(&disk);
    let tree = table.partitions.iter().find(|p| p.name == "USR-A-VERITY").unwrap();
    let byte = tree.start + 4096 + 9;
    let mut sector = [0; 1];
    disk.read(byte, &mut sector).unwrap();
    disk.write(byte, &[sector[0] ^ 1]).unwrap();
    assert_eq!(of(&disk), [(None, None, false), expected[1].clone()]);
    // A slot without an entry has no version and was never good.
    edit(&disk, |fs| fs.remove(&format!("EFI/Linux/{}", entry(&images[1].0))).unwrap());
    assert_eq!(of(&disk)[1], (hashes[1], None, false));
}
