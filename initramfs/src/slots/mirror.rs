//! A pair of disks: each with its own boot files and slots, so that each boots alone, and
//! a ROOT over both.
//!
//! The members of a new array are equal where it matters: both get the same filesystem
//! before it is ever mounted, and what a filesystem has not written it does not read. So
//! there is nothing to sync. A disk that replaces one gets all but the array's
//! superblock; the running system adds it, and then the kernel syncs.

use super::classify::State;
use super::device::Device;
use super::disk::Disk;
use super::machine::{Machine, Share};
use super::plan::{Ids, Plan};
use super::{Error, Installation, Job, Refusal, Slots, Source, choose, devices, esp, install_with};
use crate::disks::{self, Found};
use crate::log::Log;
use crate::raid;
use formats::layout::Role;
use formats::md::{self, Array};
use metadata::document::{Image, Install};
use sha2::{Digest as _, Sha256};
use std::io::{self, Read};
use std::sync::{Mutex, PoisonError};

/// What makes the ROOT of a disk half of an array.
#[derive(Clone, Debug)]
pub(super) struct Half {
    /// The array.
    pub(super) array: Array,
    /// Its place in a new one; `None` when it comes to one that is there.
    pub(super) number: Option<u16>,
    /// UUID and hash seed of the filesystem, which are the same on both.
    pub(super) filesystem: [[u8; 16]; 2],
}

/// The array that a disk's ROOT is half of.
fn array_of(machine: &dyn Machine, device: &Device) -> Option<Array> {
    let State::Ours(table) = &device.state else { return None };
    let root = table.partitions.iter().find(|p| p.name == Role::Root.label() && raid::is_half(p))?;
    Some(machine.member(&device.name, root)?.array)
}

/// The other disks whose ROOT is in the same array as that of this one.
pub(super) fn halves<'a>(machine: &dyn Machine, all: &'a [Device], own: &Device) -> Vec<&'a Device> {
    let Some(array) = array_of(machine, own) else { return Vec::new() };
    let same = |device: &Device| array_of(machine, device).is_some_and(|other| other.uuid == array.uuid);
    all.iter().filter(|device| device.name != own.name && same(device)).collect()
}

/// Installs the job's image on the pair the document names. What one disk does not take
/// is only said, as long as the other does.
pub(super) fn install(
    job: &Job<'_>,
    what: &Installation<'_>,
    devices: &[Device],
) -> Result<Vec<Found>, Error> {
    let chosen = choose::pair(devices, &what.install.disk)?;
    let single =
        |device: &&&Device| matches!(device.state, State::Ours(_)) && array_of(job.machine, device).is_none();
    if let Some(device) = chosen.iter().find(single) {
        let why = "has a ROOT of its own from before: it is used, and not mirrored";
        job.log.warn("mirror", format!("{device} {why}"));
        return install_with(job, what, device, None).map(|found| vec![found]);
    }
    let ids = Ids::new(what.random).map_err(Error::Random)?;
    let there = chosen.iter().find_map(|device| array_of(job.machine, device));
    let fresh = there.is_none();
    let array = match there {
        Some(array) => array,
        None => new(job.image, what, &chosen, &ids)?,
    };
    if chosen.len() < usize::from(array.members) {
        job.log.warn("mirror", "there is one disk for it only");
    }
    let mut done = Vec::new();
    let mut first = None;
    for (number, device) in (0..).zip(&chosen) {
        let half = Half {
            array: array.clone(),
            number: fresh.then_some(number),
            filesystem: [ids.random[10], ids.random[11]],
        };
        match install_with(job, what, device, Some(&half)) {
            Ok(found) => done.push(found),
            Err(error) => {
                job.log.warn("mirror", format!("{} is no part of it: {}", device.name, Log::chain(&error)));
                first.get_or_insert(error);
            }
        }
    }
    match first {
        Some(error) if done.is_empty() => Err(error),
        _ => Ok(done),
    }
}

/// A new array over these disks: as large as the smallest allows.
fn new(image: &Image, what: &Installation<'_>, chosen: &[&Device], ids: &Ids) -> Result<Array, Error> {
    let mut size = None;
    let mut refused = None;
    for device in chosen {
        match Plan::new(device, what.install.wipe, image, &Slots::default(), what.running, ids, what.time) {
            Ok(plan) => {
                let root = plan.table.partitions.iter().find(|p| p.name == Role::Root.label());
                let has = root.map_or(0, |root| md::capacity(root.size));
                size = Some(size.map_or(has, |size: u64| size.min(has)));
            }
            Err(error) => drop(refused.get_or_insert(error)),
        }
    }
    let none = || Refusal::NoMatch("none at all".to_owned());
    let size = size.ok_or_else(|| refused.unwrap_or_else(none))?;
    Ok(Array {
        uuid: (what.random)().map_err(Error::Random)?,
        name: "root".into(),
        size,
        members: 2,
        time: what.time,
    })
}

/// A disk that takes the place of one that is missing from the running array, if there is
/// one. Nobody watches: whatever `wipe` allows for an installation, only a blank one does.
pub fn replacement(machine: &dyn Machine, install: &Install, running: &Found) -> Option<Device> {
    let root = running.root.as_ref().filter(|root| install.mirror && raid::is_half(root))?;
    let array = machine.member(&running.disk, root)?.array;
    let devices = devices(machine);
    let members = devices.iter().filter(|d| array_of(machine, d).is_some_and(|a| a.uuid == array.uuid));
    if members.count() >= usize::from(array.members) {
        return None;
    }
    let chosen = choose::pair(&devices, &install.disk).ok()?;
    let new = |d: &&&Device| {
        !d.in_use
            && d.name != running.disk
            && matches!(d.state, State::Blank | State::Unfinished)
            && matches!(choose::allowed(d, install.wipe), Ok(choose::Way::Whole))
    };
    chosen.iter().find(new).map(|d| (**d).clone())
}

/// Puts the running image on a disk that [`replacement`] named, from the other disk.
///
/// # Errors
/// See [`Error`].
pub fn replace(
    job: &Job<'_>,
    what: &Installation<'_>,
    device: &Device,
    running: &Found,
) -> Result<Found, Error> {
    let gone = || Error::Document("the running array has no superblock any more".to_owned());
    let root = running.root.as_ref().ok_or_else(gone)?;
    let array = job.machine.member(&running.disk, root).ok_or_else(gone)?.array;
    let half = Half { array, number: None, filesystem: [[0; 16]; 2] };
    install_with(job, what, device, Some(&half))
}

/// How often the other disk is asked for the same bytes: what it does not give then, it
/// will not.
const TRIES: u32 = 3;

/// The artefacts of the running image, from the disk it was booted from.
pub struct Other<'a> {
    /// What it was asked for last, and how often in a row.
    asked: Mutex<(String, u64, u32)>,
    disk: Box<dyn Disk + Sync>,
    image: &'a Image,
    running: &'a Found,
    uki: Vec<u8>,
}

impl std::fmt::Debug for Other<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Other").field("running", &self.running).finish_non_exhaustive()
    }
}

impl<'a> Other<'a> {
    /// The disk with the running image.
    ///
    /// # Errors
    /// When it does not open.
    pub fn new(machine: &dyn Machine, image: &'a Image, running: &'a Found) -> io::Result<Self> {
        let disk = machine.open(&running.disk, Share::Running)?;
        let known = machine.disk(&running.disk);
        let table = known.and_then(|known| match known.content {
            disks::Content::Gpt(table) => Some(table),
            _ => None,
        });
        let esp = table.as_ref().and_then(|t| t.partitions.iter().find(|p| p.name == Role::Esp.label()));
        let right = |bytes: &Vec<u8>| Sha256::digest(bytes)[..] == image.uki.sha256.0;
        let ukis = esp.map(|esp| esp::ukis(&*disk, esp)).unwrap_or_default();
        let uki = ukis.into_iter().map(esp::Uki::into_bytes).find(right).unwrap_or_default();
        Ok(Self { asked: Mutex::default(), disk, image, running, uki })
    }
}

impl Source for Other<'_> {
    fn open(&self, file: &str, from: u64) -> Result<Box<dyn Read + '_>, String> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let tries = if (asked.0.as_str(), asked.1) == (file, from) { asked.2 + 1 } else { 1 };
        *asked = (file.to_owned(), from, tries);
        if tries > TRIES {
            return Err(format!("{} gives nothing usable from byte {from}", self.running.disk));
        }
        let part = |start: u64, len: u64| -> Result<Box<dyn Read + '_>, String> {
            Ok(Box::new(Part { disk: &*self.disk, at: start + from.min(len), end: start + len }))
        };
        if file == self.image.usr.file {
            part(self.running.usr.start, self.image.usr.size)
        } else if file == self.image.verity.file {
            part(self.running.verity.start, self.image.verity.size)
        } else if file == self.image.uki.file && !self.uki.is_empty() {
            let from = usize::try_from(from).unwrap_or(usize::MAX);
            Ok(Box::new(self.uki.get(from..).unwrap_or_default()))
        } else {
            Err(format!("{} does not have it", self.running.disk))
        }
    }
}

/// Part of a disk, as a stream.
struct Part<'a> {
    disk: &'a (dyn Disk + Sync),
    at: u64,
    end: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let len = buffer.len().min(left);
        self.disk.read(self.at, &mut buffer[..len])?;
        self.at += len as u64;
        Ok(len)
    }
}

/// All disks with this image whose ROOT is half of the array of this one, itself first.
pub fn both(machine: &dyn Machine, found: &Found) -> Vec<Found> {
    let array =
        |f: &Found| f.root.as_ref().filter(|r| raid::is_half(r)).and_then(|r| machine.member(&f.disk, r));
    let mut all = vec![found.clone()];
    if let Some(own) = array(found) {
        let mut hash = [0; 32];
        hash[..16].copy_from_slice(&found.usr.guid.to_uuid());
        hash[16..].copy_from_slice(&found.verity.guid.to_uuid());
        let hash = crate::options::RootHash::from_bytes(hash);
        let others = disks::find(&machine.disks(), &hash).into_iter();
        let same = |f: &Found| array(f).is_some_and(|m| m.array.uuid == own.array.uuid);
        all.extend(others.filter(|f| f.disk != found.disk && same(f)));
    }
    all
}
