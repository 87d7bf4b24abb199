//! The ESP of an installed disk: what is on it, and putting an image's boot files there.
//!
//! It is written as a whole, with the UKI of the other slot taken over. In that time
//! it is no filesystem at all: its first sectors go last, so that firmware sees the
//! old one, none, or the new one, and never half of a UKI. Without one it goes on to
//! the network, where this sled has been before; the next run writes it again.

use super::disk::{Disk, Window, on};
use super::machine::{Machine, Share};
use super::plan::{Slot, Slots};
use super::{Error, Job, stream};
use crate::disks::{self, Content, Found};
use formats::gpt::{Guid, Partition, Table};
use formats::layout::{self, Role};
use formats::{cmdline, fat, uki, verity};
use metadata::document::Image;
use metadata::values::Hash32;
use sha2::{Digest as _, Sha256};
use std::path::Path;

/// Sectors before the first table of a FAT.
const RESERVED: u32 = 32;

/// An image on an ESP.
pub(super) struct Uki {
    /// Its file name, with systemd-boot's count of tries.
    name: String,
    bytes: Vec<u8>,
}

impl Uki {
    /// The program itself.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Name and version, without the count of tries.
    fn entry(&self) -> &str {
        let stem = self.name.rsplit_once('.').map_or(self.name.as_str(), |(stem, _)| stem);
        match stem.rsplit_once('+') {
            Some((entry, tries)) if tries.bytes().all(|b| b.is_ascii_digit() || b == b'-') => entry,
            _ => stem,
        }
    }

    /// The /usr it boots.
    fn hash(&self) -> Option<[u8; 32]> {
        let line = uki::cmdline(&self.bytes)?;
        let value = cmdline::params(line).filter(|p| p.is("sledos.usrhash")).find_map(|p| p.value)?;
        Some(value.parse::<Hash32>().ok()?.0)
    }
}

/// Whether systemd-boot has tried an image as often as it may (Boot Loader Specification,
/// "Boot counting": `+LEFT-DONE` before the ending).
pub(super) fn exhausted(name: &str) -> bool {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let left = stem.rsplit_once('+').map(|(_, tries)| tries.split('-').next().unwrap_or(tries));
    left.is_some_and(|left| !left.is_empty() && left.bytes().all(|b| b == b'0'))
}

/// All images on an ESP; none when it has no filesystem that reads.
pub(super) fn ukis(disk: &dyn Disk, esp: &Partition) -> Vec<Uki> {
    read(disk, esp, &mut |volume| {
        let files = volume.dir(layout::UKI_DIR)?.unwrap_or_default();
        let files = files.into_iter().filter(|f| !f.is_dir && f.name.to_ascii_lowercase().ends_with(".efi"));
        Ok(files.filter_map(|f| Some(Uki { bytes: volume.read(&f).ok()?, name: f.name })).collect())
    })
    .unwrap_or_default()
}

fn read<T>(
    disk: &dyn Disk,
    esp: &Partition,
    work: &mut dyn FnMut(&mut fat::Volume<'_>) -> Result<T, fat::ReadError>,
) -> Option<T> {
    let mut at = |offset: u64, buffer: &mut [u8]| disk.read(esp.start + offset, buffer);
    fat::Volume::open(esp.size, &mut at).and_then(|mut volume| work(&mut volume)).ok()
}

/// What the slots of a disk hold.
pub(super) fn slots(disk: &dyn Disk, table: &Table) -> Slots {
    let named = |role: Role| table.partitions.iter().find(|p| p.name == role.label());
    let ukis = named(Role::Esp).map(|esp| ukis(disk, esp)).unwrap_or_default();
    let slot = |usr, verity| {
        let hash = named(usr).zip(named(verity)).and_then(|(usr, tree)| {
            let hash = hash_of(usr.guid, tree.guid);
            self::tree(disk, tree, &hash).map(|_| hash)
        });
        let uki = ukis.iter().find(|uki| hash.is_some() && uki.hash() == hash);
        let version = uki.and_then(|uki| uki.entry().rsplit_once('_')).map(|(_, version)| version.to_owned());
        Slot { hash, version }
    };
    Slots([slot(Role::UsrA, Role::UsrAVerity), slot(Role::UsrB, Role::UsrBVerity)])
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

/// How an image stands on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// No slot of it is whole.
    Absent,
    /// Its slot is whole. It has tries left, or is good, or its boot files are missing.
    Installed,
    /// systemd-boot has tried it as often as it may.
    Exhausted,
}

/// How an image stands on a disk. One that does not read has none.
pub fn presence(machine: &dyn Machine, disk: &str, image: &Image) -> Presence {
    let Some((known, ukis)) = known_ukis(machine, disk) else { return Presence::Absent };
    let entry = entry_of(image);
    let mut own = ukis.iter().filter(|uki| uki.entry() == entry && uki.hash() == Some(image.root_hash.0));
    if own.clone().next().is_some() && own.all(|uki| exhausted(&uki.name)) {
        return Presence::Exhausted;
    }
    let hash = crate::options::RootHash::from_bytes(image.root_hash.0);
    if disks::find(&[known], &hash).is_empty() { Presence::Absent } else { Presence::Installed }
}

/// Whether systemd-boot may start another image from a disk than the one with this hash.
pub fn has_other(machine: &dyn Machine, disk: &str, hash: &[u8; 32]) -> bool {
    let Some((known, ukis)) = known_ukis(machine, disk) else { return false };
    let whole = |hash| {
        let hash = crate::options::RootHash::from_bytes(hash);
        !disks::find(std::slice::from_ref(&known), &hash).is_empty()
    };
    ukis.iter()
        .any(|uki| !exhausted(&uki.name) && uki.hash().is_some_and(|other| other != *hash && whole(other)))
}

fn known_ukis(machine: &dyn Machine, name: &str) -> Option<(disks::Disk, Vec<Uki>)> {
    let known = machine.disk(name)?;
    let Content::Gpt(table) = &known.content else { return None };
    let esp = table.partitions.iter().find(|p| p.name == Role::Esp.label())?;
    let disk = machine.open(name, Share::Running).ok()?;
    let ukis = ukis(&*disk, esp);
    Some((known, ukis))
}

/// Whether systemd-boot starts this image first; `None` when it is not there or has no
/// tries left.
pub(super) fn chosen(disk: &dyn Disk, esp: &Partition, entry: &str) -> Option<bool> {
    ukis(disk, esp).iter().find(|uki| uki.entry() == entry && !exhausted(&uki.name))?;
    Some(has_file(disk, esp, layout::LOADER_CONF, layout::loader_conf(Some(entry)).as_bytes()))
}

fn entry_of(image: &Image) -> String {
    format!("{}_{}", image.name, image.version)
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
        return Err(failed()(std::io::Error::other("it has no partition table any more")));
    };
    let sector = job.machine.describe(known).sector;
    let loader = usr.join(layout::BOOT_LOADER);
    let boot_loader = std::fs::read(&loader)
        .map_err(|source| Error::BootLoader { path: loader.display().to_string(), source })?;
    let disk = job.machine.open(name, Share::Running).map_err(failed())?;
    put(job, &*disk, table, name, sector, boot_loader, time)
}

/// [`boot_files`] on any disk.
pub(super) fn put(
    job: &Job<'_>,
    disk: &dyn Disk,
    table: &Table,
    name: &str,
    sector: u32,
    boot_loader: Vec<u8>,
    time: u32,
) -> Result<String, Error> {
    let failed = || on(name, "is not written to");
    let esp = table.partitions.iter().find(|p| p.name == Role::Esp.label());
    let esp = esp.ok_or_else(|| failed()(std::io::Error::other("it has no EFI-SYSTEM")))?;
    let image = job.image;
    let entry = entry_of(image);
    let is_image = |uki: &Uki| {
        uki.entry() == entry
            && uki.bytes.len() as u64 == image.uki.size
            && Sha256::digest(&uki.bytes)[..] == image.uki.sha256.0
    };
    let old = ukis(disk, esp);
    let ours = old.iter().any(is_image);
    let complete = || {
        has_file(disk, esp, layout::BOOT_PATHS[0], &boot_loader)
            && has_file(disk, esp, layout::LOADER_CONF, layout::loader_conf(Some(&entry)).as_bytes())
    };
    if ours && complete() {
        return Ok(format!("{entry} is on {name} already"));
    }

    // Of what is there, only what boots a /usr that is on this disk.
    let Slots(slots) = slots(disk, table);
    let wanted = Some(image.root_hash.0);
    let mut keep: Vec<_> = old
        .into_iter()
        .filter(|uki| {
            let hash = uki.hash();
            is_image(uki) || (hash.is_some() && hash != wanted && slots.iter().any(|slot| slot.hash == hash))
        })
        .map(|uki| (uki.name, uki.bytes))
        .collect();
    let kept = keep.len() - usize::from(ours);
    if !ours {
        let bytes = stream::whole(job.source, &image.uki, job.log, &|bytes| {
            let right = Sha256::digest(&bytes)[..] == image.uki.sha256.0;
            if right { Ok(bytes) } else { Err("it has another sha256 than the document says".to_owned()) }
        })?;
        keep.push((layout::uki_name(&image.name, &image.version), bytes));
    }
    let tree =
        layout::esp(boot_loader.clone(), keep, Some(&entry)).map_err(|e| Error::Document(e.to_string()))?;
    let [a, b, c, d, ..] = esp.guid.0;
    let options = fat::Options {
        size: esp.size,
        sector_size: sector,
        label: Role::Esp.label().to_owned(),
        volume_id: u32::from_le_bytes([a, b, c, d]),
        mtime: time,
    };
    // Whether it fits is known before the old one is gone.
    let fat_failed = |source| Error::Fat { disk: name.to_owned(), source };
    fat::check(&tree, &options).map_err(fat_failed)?;
    disk.zero(esp.start, esp.size).and_then(|()| disk.flush()).map_err(failed())?;
    let held = usize::try_from(RESERVED * sector).unwrap_or(0);
    let mut window = Window::new(disk, esp.start, held);
    fat::write(&mut window, &tree, &options).map_err(fat_failed)?;
    window.finish().map_err(failed())?;
    if !ukis(disk, esp).iter().any(is_image) || !complete() {
        return Err(Error::ReadBack { disk: name.to_owned(), partition: esp.name.clone(), block: 0 });
    }
    Ok(format!("{entry} is on {name}{}", if kept > 0 { " beside the image of the other slot" } else { "" }))
}

/// Whether the ESP has a file with just these bytes.
fn has_file(disk: &dyn Disk, esp: &Partition, path: &str, want: &[u8]) -> bool {
    let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
    let found = read(disk, esp, &mut |volume| {
        let files = volume.dir(dir)?.unwrap_or_default();
        let file = files.iter().find(|file| file.name.eq_ignore_ascii_case(name));
        file.map(|file| volume.read(file)).transpose()
    });
    found.flatten().is_some_and(|bytes| bytes == want)
}
