//! The ESP of an installed disk: what is on it, and putting an image's boot files there.
//!
//! It is changed in place, by [`fat::Editor`]: a file is written where nothing leads to, and
//! becomes the file by one sector. The new image comes first, then the boot loader, then the
//! `default` that names the new image; what boots a /usr that is not on this disk goes last.
//! So at any moment firmware finds the old image or the new one. PID 1 has no vfat mounted and
//! needs none: its own writer has an order, which the kernel's has not, and is tried in tests
//! with a cut at every write.
//!
//! Files of others stay. Only an ESP without any filesystem gets a new one.

use super::disk::{Disk, Window, on};
use super::machine::{Machine, Share};
use super::plan::{Slot, Slots};
use super::{Error, Job, boot_option, firmware, stream};
use crate::disks::{self, Content, Found};
use formats::fat::{self, EditError, ReadError};
use formats::gpt::{Guid, Partition, Table};
use formats::layout::{self, EntryName, Role, Standing};
use formats::tree::{Node, Origin, Tree};
use formats::{cmdline, uki, verity};
use metadata::document::Image;
use metadata::values::Hash32;
use sha2::{Digest as _, Sha256};
use std::io;
use std::path::Path;

/// Sectors before the first table of a FAT.
const RESERVED: u32 = 32;
/// Files that are named when there is no room.
const NAMED: usize = 5;

/// An ESP as something a filesystem is on.
pub(super) struct Esp<'a> {
    pub(super) disk: &'a dyn Disk,
    pub(super) at: &'a Partition,
}

impl fat::Medium for Esp<'_> {
    fn read(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.disk.read(self.at.start + at, buffer)
    }

    fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.disk.write(self.at.start + at, bytes)
    }

    fn flush(&self) -> io::Result<()> {
        self.disk.flush()
    }
}

/// An image on an ESP.
pub(super) struct Uki {
    name: EntryName,
    bytes: Vec<u8>,
}

impl Uki {
    /// The program itself.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// The /usr that a UKI boots; `None` when it is none of ours.
fn hash_in(bytes: &[u8]) -> Option<[u8; 32]> {
    let line = uki::cmdline(bytes)?;
    let value = cmdline::params(line).filter(|p| p.is("sledos.usrhash")).find_map(|p| p.value)?;
    Some(value.parse::<Hash32>().ok()?.0)
}

/// All images on an ESP; none when it has no filesystem that reads.
pub(super) fn ukis(disk: &dyn Disk, esp: &Partition) -> Vec<Uki> {
    readable(disk, esp).unwrap_or_default()
}

/// All images on an ESP; none when it has no filesystem.
///
/// # Errors
/// When the disk does not read: then nobody knows.
fn readable(disk: &dyn Disk, esp: &Partition) -> io::Result<Vec<Uki>> {
    let images = read(disk, esp, &mut |volume| {
        let files = volume.dir(layout::UKI_DIR)?.unwrap_or_default();
        let named = |file: fat::Entry| Some((EntryName::parse(&file.name).filter(|_| !file.is_dir)?, file));
        let files = files.into_iter().filter_map(named);
        Ok(files.filter_map(|(name, f)| Some(Uki { bytes: volume.read(&f).ok()?, name })).collect())
    });
    match images {
        Ok(images) => Ok(images),
        Err(ReadError::Io(error)) => Err(error),
        Err(ReadError::NotFat(_) | ReadError::Chain(_)) => Ok(Vec::new()),
    }
}

fn read<T>(
    disk: &dyn Disk,
    esp: &Partition,
    work: &mut dyn FnMut(&mut fat::Volume<'_>) -> Result<T, ReadError>,
) -> Result<T, ReadError> {
    let mut at = |offset: u64, buffer: &mut [u8]| disk.read(esp.start + offset, buffer);
    fat::Volume::open(esp.size, &mut at).and_then(|mut volume| work(&mut volume))
}

/// What the slots of a disk hold.
///
/// # Errors
/// When the ESP does not read: then nobody knows which image was good.
pub(super) fn slots(disk: &dyn Disk, table: &Table) -> io::Result<Slots> {
    let named = |role: Role| table.partitions.iter().find(|p| p.name == role.label());
    let ukis = named(Role::Esp).map_or(Ok(Vec::new()), |esp| readable(disk, esp))?;
    let slot = |usr, verity| {
        let hash = named(usr).zip(named(verity)).and_then(|(usr, tree)| {
            let hash = hash_of(usr.guid, tree.guid);
            self::tree(disk, tree, &hash).map(|_| hash)
        });
        let own = || ukis.iter().filter(|uki| hash.is_some() && hash_in(&uki.bytes) == hash);
        let version = own().find_map(|uki| uki.name.version()).map(str::to_owned);
        Slot { hash, version, good: own().any(|uki| uki.name.standing() == Standing::Good) }
    };
    Ok(Slots([slot(Role::UsrA, Role::UsrAVerity), slot(Role::UsrB, Role::UsrBVerity)]))
}

/// The root hash that the ids of two partitions are the halves of.
fn hash_of(usr: Guid, tree: Guid) -> [u8; 32] {
    let mut hash = [0; 32];
    hash[..16].copy_from_slice(&usr.to_uuid());
    hash[16..].copy_from_slice(&tree.to_uuid());
    hash
}

/// The verity tree of a root hash on a partition, when it is whole.
pub(super) fn tree(disk: &dyn Disk, partition: &Partition, hash: &[u8; 32]) -> Option<verity::Tree> {
    let mut first = [0; 4096];
    disk.read(partition.start, &mut first).ok()?;
    let blocks = verity::Superblock::parse(&first).ok()?.data_blocks;
    let len = verity::device_bytes(blocks).filter(|len| *len <= partition.size)?;
    let mut bytes = vec![0; usize::try_from(len).ok()?];
    disk.read(partition.start, &mut bytes).ok()?;
    verity::Tree::verify(bytes, hash).ok()
}

/// How an image stands on the ESP of one disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnEsp {
    /// Kernel name of the disk.
    pub disk: String,
    /// The partition's id, as systemd-boot says it in `LoaderDevicePartUUID`.
    pub esp: Guid,
    /// How its entry stands.
    pub standing: Standing,
    /// Whether it is the one that loader.conf starts first.
    pub first: bool,
}

/// How an image stands on the ESP of the disk its slot was found on.
///
/// # Errors
/// When that does not read.
pub fn on_esp(machine: &dyn Machine, found: &Found, image: &Image) -> io::Result<OnEsp> {
    let (disk, _, esp) = open_esp(machine, &found.disk)?;
    let (standing, first) = standing(&*disk, &esp, image)?;
    Ok(OnEsp { disk: found.disk.clone(), esp: esp.guid, standing, first })
}

/// A disk, opened beside the system that runs from it, and its ESP.
fn open_esp(machine: &dyn Machine, name: &str) -> io::Result<(Box<dyn Disk + Sync>, disks::Disk, Partition)> {
    let none = |what: &str| io::Error::other(format!("{name} has no {what}"));
    let known = machine.disk(name).ok_or_else(|| none("medium any more"))?;
    let Content::Gpt(table) = &known.content else { return Err(none("partition table any more")) };
    let esp = table.partitions.iter().find(|p| p.name == Role::Esp.label()).cloned();
    let esp = esp.ok_or_else(|| none("EFI-SYSTEM"))?;
    Ok((machine.open(name, Share::Running)?, known, esp))
}

/// Whether systemd-boot may start another image from a disk than the one with this hash.
pub fn has_other(machine: &dyn Machine, name: &str, hash: &[u8; 32]) -> bool {
    let Ok((disk, known, esp)) = open_esp(machine, name) else { return false };
    let whole = |hash| {
        let hash = crate::options::RootHash::from_bytes(hash);
        !disks::find(std::slice::from_ref(&known), &hash).is_empty()
    };
    let other = |uki: &Uki| hash_in(&uki.bytes).filter(|other| other != hash).is_some_and(whole);
    let all = readable(&*disk, &esp).unwrap_or_default();
    all.iter().any(|uki| uki.name.standing() != Standing::Exhausted && other(uki))
}

/// Uses up the tries of an image on a disk, so that systemd-boot starts another one.
/// Returns what was done, for people.
///
/// # Errors
/// When the disk does not take it.
pub fn give_way(machine: &dyn Machine, name: &str, hash: &[u8; 32], time: u32) -> Result<String, Error> {
    let failed = || on(name, "is not written to");
    let bad = |source| Error::Esp { disk: name.to_owned(), source };
    let (disk, _, partition) = open_esp(machine, name).map_err(failed())?;
    let esp = Esp { disk: &*disk, at: &partition };
    let mut says = Vec::new();
    let own = readable(&*disk, &partition).map_err(failed())?;
    let mut fs = fat::Editor::open(partition.size, &esp, time).map_err(bad)?;
    for uki in own.iter().filter(|uki| hash_in(&uki.bytes) == Some(*hash)) {
        let (from, to) = (uki.name.to_string(), uki.name.exhausted().to_string());
        if from != to {
            fs.rename(layout::UKI_DIR, &from, &to).map_err(bad)?;
            says.push(format!("{from} on {name} is {to} now"));
        }
    }
    Ok(says.join("; "))
}

/// How an image stands on an ESP, and whether it is the one that is started first.
pub(super) fn standing(disk: &dyn Disk, esp: &Partition, image: &Image) -> io::Result<(Standing, bool)> {
    let entry = entry_of(image);
    let ukis = readable(disk, esp)?;
    // Another build of the same version may have an old name that would do.
    let own = ukis.iter().filter(|uki| hash_in(&uki.bytes) == Some(image.root_hash.0));
    let names: Vec<_> = own.map(|uki| uki.name.to_string()).collect();
    let standing = layout::standing(names.iter().map(String::as_str), &entry);
    let conf = layout::loader_conf(Some(&entry));
    let first = read(disk, esp, &mut |volume| {
        let (dir, name) = layout::LOADER_CONF.rsplit_once('/').unwrap_or_default();
        let files = volume.dir(dir)?.unwrap_or_default();
        let file = files.iter().find(|file| file.name.eq_ignore_ascii_case(name));
        file.map(|file| volume.read(file)).transpose()
    });
    Ok((standing, first.ok().flatten().is_some_and(|bytes| bytes == conf.as_bytes())))
}

fn entry_of(image: &Image) -> EntryName {
    EntryName::new(&image.name, &image.version, &image.root_hash.0)
}

/// Puts the boot files of the job's image on the ESP of the disk it is on: systemd-boot
/// from its mounted /usr, and its UKI from the source; it is the one that is started from
/// then on. Does nothing when they are there. Returns what it did, for people.
///
/// # Errors
/// When the ESP has no room, the disk does not take it, or the source gives up.
pub fn boot_files(job: &Job<'_>, found: &Found, usr: &Path, time: u32) -> Result<String, Error> {
    let name = &found.disk;
    let failed = || on(name, "is not written to");
    let known = job.machine.disk(name);
    let Some(known @ disks::Disk { content: Content::Gpt(table), .. }) = &known else {
        return Err(failed()(io::Error::other("it has no partition table any more")));
    };
    let sector = job.machine.describe(known).sector;
    let loader = usr.join(layout::BOOT_LOADER);
    let boot_loader = std::fs::read(&loader)
        .map_err(|source| Error::BootLoader { path: loader.display().to_string(), source })?;
    let disk = job.machine.open(name, Share::Running).map_err(failed())?;
    let mut says = vec![put(job, &*disk, table, name, sector, &boot_loader, time)?];
    says.extend(firmware::settle(&entry_of(job.image)).map_err(Error::Firmware)?);
    // Most firmware finds the boot loader without it, and its memory may be full.
    match boot_option::offer(job.machine, name) {
        Ok(done) => says.extend(done),
        Err(error) => says.push(error.to_string()),
    }
    Ok(says.join("; "))
}

/// A file in the directory of images.
struct Known {
    file: String,
    name: EntryName,
    hash: Option<[u8; 32]>,
    /// Whether it is the job's image, byte for byte.
    right: bool,
}

/// [`boot_files`] on any disk.
pub(super) fn put(
    job: &Job<'_>,
    disk: &dyn Disk,
    table: &Table,
    name: &str,
    sector: u32,
    boot_loader: &[u8],
    time: u32,
) -> Result<String, Error> {
    let failed = || on(name, "is not written to");
    let partition = table.partitions.iter().find(|p| p.name == Role::Esp.label());
    let partition = partition.ok_or_else(|| failed()(io::Error::other("it has no EFI-SYSTEM")))?;
    let esp = Esp { disk, at: partition };
    let bad = |source| Error::Esp { disk: name.to_owned(), source };
    let mut fs = open(&esp, name, sector, time)?;

    let entry = entry_of(job.image);
    let known = known(&fs, job.image).map_err(bad)?;
    let own = known.iter().find(|k| k.right && k.name.is(&entry));
    let old_name = known.iter().find(|k| k.right && k.name.is_old_name_of(&entry));
    let mut writes = Vec::new();
    if own.is_none() {
        let (file, bytes) = match old_name {
            // What it has been through stays with it.
            Some(old) => {
                (entry.counted_like(&old.name), fs.read(&at(&old.file)).map_err(bad)?.unwrap_or_default())
            }
            None => (entry.clone(), fetched(job)?),
        };
        writes.push((at(&file.to_string()), bytes));
    }
    let conf = layout::loader_conf(Some(&entry)).into_bytes();
    let files = layout::BOOT_PATHS.map(|path| (path, boot_loader)).into_iter();
    for (path, bytes) in files.chain([(layout::LOADER_CONF, conf.as_slice())]) {
        if !matches!(fs.read(path), Ok(Some(there)) if there == bytes) {
            writes.push((path.to_owned(), bytes.to_vec()));
        }
    }

    // Of ours, only what boots a /usr that is on this disk stays.
    let Slots(slots) = slots(disk, table).map_err(failed())?;
    let wanted = Some(job.image.root_hash.0);
    let ours = |k: &&Known| k.hash.is_some() || k.name.is(&entry) || k.name.is_old_name_of(&entry);
    let other = |k: &Known| k.hash.is_some() && k.hash != wanted && slots.iter().any(|s| s.hash == k.hash);
    let written = |k: &Known| writes.iter().any(|(path, _)| path.eq_ignore_ascii_case(&at(&k.file)));
    let is_own = |k: &Known| own.is_some_and(|own| own.file == k.file);
    let stale: Vec<_> =
        known.iter().filter(ours).filter(|k| !other(k) && !is_own(k) && !written(k)).collect();
    if writes.is_empty() && stale.is_empty() {
        return Ok(format!("{} is on {name} already", entry.stem()));
    }
    let mut stale: Vec<_> = stale.into_iter().map(|k| at(&k.file)).collect();
    // Each may need a cluster for a directory, too.
    let needs: u64 = writes.iter().map(|(_, bytes)| fs.takes(bytes.len() as u64) + fs.takes(1)).sum();
    if needs > fs.free() {
        // They start nothing any more. An old name of the image itself does.
        let (keep, gone) =
            stale.into_iter().partition(|path| old_name.is_some_and(|old| *path == at(&old.file)));
        stale = keep;
        remove(&mut fs, gone).map_err(bad)?;
    }
    if needs > fs.free() {
        return Err(no_room(&fs, name, needs));
    }
    for (path, bytes) in &writes {
        fs.put(path, bytes).map_err(bad)?;
    }
    remove(&mut fs, stale).map_err(bad)?;

    let stands = standing(disk, partition, job.image).map_err(failed())?;
    let right =
        |(path, bytes): &(String, Vec<u8>)| matches!(fs.read(path), Ok(Some(there)) if there == *bytes);
    if matches!(stands, (Standing::Missing, _) | (_, false)) || !writes.iter().all(right) {
        return Err(Error::ReadBack { disk: name.to_owned(), partition: partition.name.clone(), block: 0 });
    }
    let beside = if known.iter().any(other) { " beside the image of the other slot" } else { "" };
    Ok(format!("{} is on {name}{beside}", entry.stem()))
}

/// Where an image is.
fn at(file: &str) -> String {
    format!("{}/{file}", layout::UKI_DIR)
}

fn remove(fs: &mut fat::Editor<'_>, paths: Vec<String>) -> Result<(), EditError> {
    paths.iter().try_for_each(|path| fs.remove(path))?;
    fs.tidy()
}

/// The job's UKI, from its source.
fn fetched(job: &Job<'_>) -> Result<Vec<u8>, Error> {
    stream::whole(job.source, &job.image.uki, job.log, &|bytes| {
        let right = Sha256::digest(&bytes)[..] == job.image.uki.sha256.0;
        if right { Ok(bytes) } else { Err("it has another sha256 than the document says".to_owned()) }
    })
}

/// What is in the directory of images.
fn known(fs: &fat::Editor<'_>, image: &Image) -> Result<Vec<Known>, EditError> {
    let names = match fs.names(layout::UKI_DIR) {
        // A directory that leads nowhere is made anew when something is put into it.
        Err(EditError::Read(ReadError::Chain(_))) => Vec::new(),
        names => names?,
    };
    let mut all = Vec::new();
    for file in names {
        let Some(name) = EntryName::parse(&file) else { continue };
        let bytes = fs.read(&at(&file)).ok().flatten().unwrap_or_default();
        let right = bytes.len() as u64 == image.uki.size && Sha256::digest(&bytes)[..] == image.uki.sha256.0;
        all.push(Known { file, name, hash: hash_in(&bytes), right });
    }
    Ok(all)
}

/// Opens the filesystem of an ESP. One that is none is made.
fn open<'e>(esp: &'e Esp<'_>, name: &str, sector: u32, time: u32) -> Result<fat::Editor<'e>, Error> {
    let failed = || on(name, "is not written to");
    let bad = |source| Error::Esp { disk: name.to_owned(), source };
    fat::restore_boot_sector(esp.at.size, esp).map_err(failed())?;
    match fat::Editor::open(esp.at.size, esp, time) {
        Err(EditError::Read(ReadError::NotFat(_))) => {}
        opened => return opened.map_err(bad),
    }
    let [a, b, c, d, ..] = esp.at.guid.0;
    let options = fat::Options {
        size: esp.at.size,
        sector_size: sector,
        label: Role::Esp.label().to_owned(),
        volume_id: u32::from_le_bytes([a, b, c, d]),
        mtime: time,
    };
    // Its first sectors go last: it is none, or whole.
    esp.disk.zero(esp.at.start, esp.at.size).and_then(|()| esp.disk.flush()).map_err(failed())?;
    let held = usize::try_from(RESERVED * sector).unwrap_or(0);
    let mut window = Window::new(esp.disk, esp.at.start, held);
    let empty = Tree::new(Node::dir(Origin::Fixup("esp")));
    fat::write(&mut window, &empty, &options)
        .map_err(|source| Error::Fat { disk: name.to_owned(), source })?;
    window.finish().map_err(failed())?;
    fat::Editor::open(esp.at.size, esp, time).map_err(bad)
}

fn no_room(fs: &fat::Editor<'_>, name: &str, needs: u64) -> Error {
    let mut files = fs.files().to_vec();
    files.sort_by_key(|(_, len)| std::cmp::Reverse(*len));
    let most = files.iter().take(NAMED).map(|(path, len)| format!("{path} ({len})"));
    let taken = most.collect::<Vec<_>>().join(", ");
    Error::EspFull { disk: name.to_owned(), needs, has: fs.free(), taken }
}
