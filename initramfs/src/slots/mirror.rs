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
use super::plan::{Ids, Plan, layout_of};
use super::{Error, Installation, Job, Refusal, Slots, Source, choose, devices, esp, install_with};
use crate::disks::{self, Found};
use crate::log::Log;
use crate::options::RootHash;
use crate::raid;
use formats::gpt::{Partition, Table};
use formats::layout::{Layout, Role};
use formats::md::{self, Array};
use metadata::document::{self, Image, Install};
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

/// The partitions of a sledos disk.
fn partitions(device: &Device) -> &[Partition] {
    if let State::Ours(table) = &device.state { &table.partitions } else { &[] }
}

/// The ROOT of a sledos disk.
fn root_of(device: &Device) -> Option<&Partition> {
    partitions(device).iter().find(|p| p.name == Role::Root.label())
}

/// The array that a disk's ROOT is half of.
fn array_of(machine: &dyn Machine, device: &Device) -> Option<Array> {
    let root = root_of(device).filter(|root| raid::is_half(root))?;
    Some(machine.member(&device.name, root)?.array)
}

/// The other disks whose ROOT is in the same array as that of this one.
pub(super) fn halves<'a>(machine: &dyn Machine, all: &'a [Device], own: &Device) -> Vec<&'a Device> {
    let Some(array) = array_of(machine, own) else { return Vec::new() };
    let same = |device: &Device| array_of(machine, device).is_some_and(|other| other.uuid == array.uuid);
    all.iter().filter(|device| device.name != own.name && same(device)).collect()
}

/// The image for a disk beside one that has its partitions: it gets the same, so that both
/// take the same images and its ROOT has room for the array. Only the ESP, which depends on
/// the sectors of a disk, may be smaller.
fn beside(image: &Image, there: &[Partition]) -> Image {
    let size = |role: Role| Some(there.iter().find(|p| p.name == role.label())?.size);
    let Ok(there) = Layout::of(size) else { return image.clone() };
    let Layout { esp, root, .. } = layout_of(image);
    let Layout { usr, verity, oem, .. } = there;
    let layout = document::Layout { esp: esp.min(there.esp), usr, verity, oem, root };
    Image { layout: Some(layout), ..image.clone() }
}

/// Installs the job's image on the pair the document names. What one disk does not take
/// is only said, as long as the other does.
pub(super) fn install(
    job: &Job<'_>,
    what: &Installation<'_>,
    devices: &[Device],
) -> Result<Vec<Found>, Error> {
    let chosen = choose::pair(devices, &what.install.disk)?;
    // A half without a superblock is one that waits to be added.
    let single = |device: &&&Device| root_of(device).is_some_and(|root| !raid::is_half(root));
    if let Some(device) = chosen.iter().find(single) {
        let why = "has a ROOT of its own from before: it is used, and not mirrored";
        job.log.warn("mirror", format!("{device} {why}"));
        return install_with(job, what, device, None).map(|found| vec![found]);
    }
    let ids = Ids::new(what.random).map_err(Error::Random)?;
    // /var may be on it already.
    let running = chosen.iter().filter(|device| device.in_use);
    let there = running.chain(&chosen).find_map(|device| Some((device, array_of(job.machine, device)?)));
    let fresh = there.is_none();
    let (image, array) = match there {
        Some((device, array)) => (beside(job.image, partitions(device)), array),
        None => (job.image.clone(), new(job.image, what, &chosen, &ids)?),
    };
    let job = &Job { image: &image, ..*job };
    if chosen.len() < usize::from(array.members) {
        job.log.warn("mirror", "there is one disk for it only");
    }
    let mut done = Vec::new();
    let mut first = None;
    for (number, device) in (0..).zip(&chosen) {
        if array_of(job.machine, device).is_some_and(|other| other.uuid != array.uuid) {
            job.log.warn("mirror", format!("{device} is half of another array: it is not written to"));
            continue;
        }
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
        let plan = what
            .permitted(device)
            .and_then(|wipe| Plan::new(device, wipe, image, &Slots::default(), what.running, ids, what.time));
        match plan {
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

/// What a disk is to the array of the running sled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    /// Nothing yet, and blank.
    Blank,
    /// It has a ROOT for half of this array, which is that or waits to be added; and whether
    /// the running image is whole on it.
    Half { image: bool },
    /// None of its business.
    Other,
}

/// What a disk is to an array.
fn side(machine: &dyn Machine, device: &Device, array: &Array, image: &RootHash) -> Side {
    let half = |root: &&Partition| match machine.member(&device.name, root) {
        Some(member) => member.array.uuid == array.uuid,
        None => machine.is_blank(&device.name, root),
    };
    match &device.state {
        State::Blank | State::Unfinished if !device.in_use => Side::Blank,
        State::Ours(_) if root_of(device).filter(|root| raid::is_half(root)).is_some_and(|r| half(&r)) => {
            let known = machine.disk(&device.name);
            Side::Half { image: !disks::find(&known.into_iter().collect::<Vec<_>>(), image).is_empty() }
        }
        _ => Side::Other,
    }
}

/// The disk that is to be filled, of a pair with so many members: first one whose preparation
/// was cut off before its slot was whole, then a blank one for a member that is missing. Each
/// is given with whether the document means it. Pure.
fn to_fill(parts: &[(Side, bool)], members: u16) -> Option<usize> {
    let halves = parts.iter().filter(|(part, _)| matches!(part, Side::Half { .. })).count();
    let first = |wanted| parts.iter().position(|(part, meant)| *meant && *part == wanted);
    let missing = halves < usize::from(members);
    first(Side::Half { image: false }).or_else(|| if missing { first(Side::Blank) } else { None })
}

/// A disk that takes the place of one that is missing from the running array, or that took
/// it and was cut off, if there is one. Nobody watches: whatever `wipe` allows for an
/// installation, only a blank one does.
pub fn replacement(machine: &dyn Machine, install: &Install, running: &Found) -> Option<Device> {
    let array = array_beside(machine, running).filter(|_| install.mirror)?;
    let devices = devices(machine);
    let chosen = choose::pair(&devices, &install.disk).ok()?;
    let hash = running.hash();
    let of = |device: &Device| {
        let meant = device.name != running.disk && chosen.iter().any(|chosen| chosen.name == device.name);
        // The running one is whole: its /usr is mounted.
        let own = device.name == running.disk;
        (if own { Side::Half { image: true } } else { side(machine, device, &array, &hash) }, meant)
    };
    let parts: Vec<_> = devices.iter().map(of).collect();
    let place = to_fill(&parts, array.members)?;
    devices.into_iter().nth(place)
}

/// The array that the ROOT of a disk is half of, or is to be: without a superblock it is that
/// of the other disks with the same /usr.
fn array_beside(machine: &dyn Machine, found: &Found) -> Option<Array> {
    let array =
        |f: &Found| f.root.as_ref().filter(|r| raid::is_half(r)).and_then(|r| machine.member(&f.disk, r));
    found.root.as_ref().filter(|root| raid::is_half(root))?;
    let own = array(found).map(|member| member.array);
    own.or_else(|| {
        let others = disks::find(&machine.disks(), &found.hash());
        let mut arrays = others.iter().filter_map(array).map(|member| member.array);
        let first = arrays.next()?;
        arrays.all(|other| other.uuid == first.uuid).then_some(first)
    })
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
    let array = array_beside(job.machine, running).ok_or_else(gone)?;
    let half = Half { array, number: None, filesystem: [[0; 16]; 2] };
    let image = match table(job.machine, &running.disk) {
        Some(table) => beside(job.image, &table.partitions),
        None => job.image.clone(),
    };
    install_with(&Job { image: &image, ..*job }, what, device, Some(&half))
}

/// The partition table of a disk.
fn table(machine: &dyn Machine, disk: &str) -> Option<Table> {
    match machine.disk(disk)?.content {
        disks::Content::Gpt(table) => Some(table),
        _ => None,
    }
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
        let table = table(machine, &running.disk);
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

/// All disks with this image whose ROOT is half of the array of this one, or waits to be
/// added to it; itself first.
pub fn both(machine: &dyn Machine, found: &Found) -> Vec<Found> {
    let mut all = vec![found.clone()];
    if let Some(array) = array_beside(machine, found) {
        let same = |f: &Found| {
            let root = f.root.as_ref().filter(|root| raid::is_half(root));
            root.is_some_and(|root| match machine.member(&f.disk, root) {
                Some(member) => member.array.uuid == array.uuid,
                None => machine.is_blank(&f.disk, root),
            })
        };
        let others = disks::find(&machine.disks(), &found.hash()).into_iter();
        all.extend(others.filter(|f| f.disk != found.disk && same(f)));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use formats::gpt::Guid;
    use formats::layout;

    /// Later images have other layouts, and a lost half is replaced all the same.
    #[test]
    fn a_disk_beside_another_gets_its_partitions_whatever_the_layout_of_the_image() {
        let (image, _) = super::super::tests::image("1", 1);
        let there = {
            let (esp, usr, verity) = (300 << 20, 700 << 20, 12 << 20);
            let layout = Layout { esp, usr, verity, oem: 80 << 20, root: 300 << 20 };
            let id = |_: Role| Guid([1; 16]);
            layout::plan(&layout, Some(40 << 30), 512, Guid([9; 16]), &id).unwrap().partitions
        };
        for (esp, usr) in [(128_u64, 4096_u64), (4096, 256)] {
            let layout = document::Layout { esp: esp << 20, usr: usr << 20, ..image.layout.unwrap() };
            let image = Image { layout: Some(layout), ..image.clone() };
            let got = beside(&image, &there).layout.unwrap();
            let expected = (esp.min(300) << 20, 700 << 20, 12 << 20, 80 << 20, layout.root);
            assert_eq!((got.esp, got.usr, got.verity, got.oem, got.root), expected);
        }
        assert_eq!(beside(&image, &[]), image);
    }

    #[test]
    fn what_was_cut_off_is_finished_before_a_spare_takes_a_place_and_no_third_one_does() {
        let (blank, other) = (Side::Blank, Side::Other);
        let (whole, cut) = (Side::Half { image: true }, Side::Half { image: false });
        for (parts, expected) in [
            (&[(whole, false), (blank, true)][..], Some(1)),
            (&[(whole, false), (other, true)], None),
            (&[(whole, false), (whole, true), (blank, true)], None),
            // The table was there, the slot was not.
            (&[(whole, false), (cut, true)], Some(1)),
            (&[(blank, true), (whole, false), (cut, true)], Some(2)),
            // Not what the document means.
            (&[(whole, false), (cut, false), (blank, true)], None),
            (&[(whole, false), (blank, false)], None),
            (&[], None),
        ] {
            assert_eq!(to_fill(parts, 2), expected, "{parts:?}");
        }
    }
}
