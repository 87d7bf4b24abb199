//! Where /usr comes from when no disk has it: streamed from a server, into memory or
//! into the free slot of a disk the sled's document names.
//!
//! | Step | Module |
//! |---|---|
//! | artefacts, verified block by block as they come | [`mod@stream`] |
//! | what is on a disk, from its first and last MiB | [`classify`] |
//! | a pair of disks | `mirror` |
//! | which disk, and whether it may be written to | [`choose`], [`device`] |
//! | every place, size and id | [`plan`] |
//! | writing the table, the slot, the boot files | [`table`], `execute`, `esp` |
//! | whether an installed image can be started, and why not | [`chance`] |
//! | systemd-boot's variables in the firmware | [`firmware`] |
//! | what firmware starts, and starts next | [`boot_option`] |
//! | /usr in memory | `live` |
//!
//! An installation is [`install`], then the mount of /usr as from any disk, then
//! [`boot_files`], which takes systemd-boot from it. The slot is valid before the boot
//! files are there: an old image boots until the new one is whole, and [`boot_files`]
//! is done again at any boot until it has nothing to do.

pub mod boot_option;
pub mod chance;
pub mod choose;
pub mod classify;
pub mod device;
pub(crate) mod disk;
mod esp;
mod execute;
pub mod firmware;
mod live;
pub mod machine;
mod mirror;
mod only_check;
pub mod plan;
mod stream;
pub(crate) mod table;

#[cfg(test)]
pub(crate) mod tests;

pub use chance::{Chance, chance};
pub use choose::Refusal;
pub use esp::{OnEsp, boot_files, give_way, has_other, on_esp};
pub use live::{Live, live, live_at};
pub use mirror::{Other, both, replace, replacement};
pub use only_check::check;
pub use plan::Plan;

use crate::disks::{self, Found};
use crate::identity::Recognised;
use crate::log::Log;
use crate::options::RootHash;
use choose::Way;
use device::Device;
use disk::{Disk, on};
use formats::{ext4, fat};
use machine::{Machine, Share};
use metadata::document::{Image, Install, Wipe};
use plan::{Ids, Slots};
use std::io;
use std::path::Path;

/// Where artefacts come from.
pub trait Source: Sync {
    /// Opens an artefact of the image at a byte offset. Tries servers, retries, is
    /// patient. Asked for the same offset again, it gave nothing usable the last time:
    /// it waits longer, and asks another server first.
    ///
    /// # Errors
    /// When it gives up, and why.
    fn open(&self, file: &str, from: u64) -> Result<Box<dyn io::Read + '_>, String>;
}

/// An image that is to be brought onto this sled.
pub struct Job<'a> {
    /// Which.
    pub image: &'a Image,
    /// Where from.
    pub source: &'a dyn Source,
    /// Where to say how far it is.
    pub log: &'a Log,
    /// Whose disks it may come onto.
    pub machine: &'a dyn Machine,
}

impl std::fmt::Debug for Job<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").field("image", &self.image.name).finish_non_exhaustive()
    }
}

/// Why there is no /usr.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The source gave up.
    #[error("{file} cannot be had: {why}")]
    Source {
        /// The artefact.
        file: String,
        /// What the source said.
        why: String,
    },
    /// The document says what cannot be.
    #[error("the document's image is impossible: {0}")]
    Document(
        /// What.
        String,
    ),
    /// Too little memory for a live boot. Nothing was fetched.
    #[error("the image does not fit into memory: it needs {needs} MiB and {has} MiB are available")]
    Memory {
        /// MiB.
        needs: u64,
        /// MiB.
        has: u64,
    },
    /// The kernel refuses what a live boot needs.
    #[error("cannot {doing} for the image")]
    Live {
        /// What.
        doing: &'static str,
        /// Why.
        source: io::Error,
    },
    /// No disk may be written to. Nothing was changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A disk does not do what it should.
    #[error("{disk} {doing}")]
    Disk {
        /// Kernel name.
        disk: String,
        /// What it does not do.
        doing: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A disk took what was written and reads something else.
    #[error("{disk} does not hold what was written: {partition}, block {block}")]
    ReadBack {
        /// Kernel name.
        disk: String,
        /// The partition.
        partition: String,
        /// Number of the first block of 4096 bytes that differs.
        block: u64,
    },
    /// The partition table is not on the disk.
    #[error("{disk} has no new partition table")]
    Table {
        /// Kernel name.
        disk: String,
        /// Why.
        source: table::Failed,
    },
    /// A filesystem cannot be made.
    #[error("{role} of {disk} gets no filesystem")]
    Ext4 {
        /// Kernel name of the disk.
        disk: String,
        /// The partition.
        role: &'static str,
        /// Why.
        source: ext4::Error,
    },
    /// The ESP cannot be made.
    #[error("EFI-SYSTEM of {disk} gets no filesystem")]
    Fat {
        /// Kernel name of the disk.
        disk: String,
        /// Why.
        source: fat::Error,
    },
    /// The filesystem of the ESP cannot be changed.
    #[error("EFI-SYSTEM of {disk} is not changed")]
    Esp {
        /// Kernel name of the disk.
        disk: String,
        /// Why.
        source: fat::EditError,
    },
    /// The ESP has no room. Nothing was changed.
    #[error(
        "EFI-SYSTEM of {disk} has no room: {needs} bytes are needed and {has} are free; most is taken by {taken}"
    )]
    EspFull {
        /// Kernel name of the disk.
        disk: String,
        /// Bytes.
        needs: u64,
        /// Bytes.
        has: u64,
        /// The largest files, with their lengths.
        taken: String,
    },
    /// The image has no boot loader.
    #[error("the image has no boot loader {path}")]
    BootLoader {
        /// Where it should be.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// The firmware starts something else, and lets nobody change that.
    #[error("the firmware starts something else")]
    Firmware(
        /// What stands before the image.
        #[source]
        io::Error,
    ),
    /// The kernel gives no random numbers.
    #[error("the kernel gives no random numbers")]
    Random(
        /// Why.
        #[source]
        io::Error,
    ),
}

/// What an installation is told beside the image.
pub struct Installation<'a> {
    /// Which disk, and what of it may go.
    pub install: &'a Install,
    /// Text of `sledos.conf` on OEM, when the disk is partitioned.
    pub conf: &'a str,
    /// By what the document recognises this sled.
    pub recognised: Recognised,
    /// Root hash of what this sled was booted from: that slot is kept.
    pub running: Option<[u8; 32]>,
    /// Seconds since 1970, for what is written.
    pub time: u32,
    /// 16 random bytes.
    pub random: &'a dyn Fn() -> io::Result<[u8; 16]>,
}

impl Installation<'_> {
    /// What may be destroyed on a disk.
    fn permitted(&self, device: &Device) -> Result<Wipe, Refusal> {
        choose::permitted(device, self.install, self.recognised, self.running.is_some())
    }
}

impl std::fmt::Debug for Installation<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Installation").field("install", &self.install).finish_non_exhaustive()
    }
}

/// Installs the job's image on the disk its document names, or on both of a pair; returns
/// each slot, which is mounted like that of any disk. There is at least one. The plan is
/// said before it is carried out.
///
/// # Errors
/// See [`Error`]. After [`Error::Refused`] and errors of the source before the first
/// line of the plan nothing was changed.
pub fn install(job: &Job<'_>, what: &Installation<'_>) -> Result<Vec<Found>, Error> {
    let devices = devices(job.machine);
    for device in &devices {
        job.log.say(&format!("install: sees {device} at {}", device.path));
    }
    if what.install.mirror {
        return mirror::install(job, what, &devices);
    }
    let device = choose::choose(&devices, &what.install.disk)?;
    install_with(job, what, device, None).map(|found| vec![found])
}

/// Installs the job's image on the disk that the sled runs from, and on the other half of
/// its mirror; returns each slot, that of this disk first. No other disk is written to.
///
/// # Errors
/// See [`Error`]. What the other half does not take is only said.
pub fn update(job: &Job<'_>, what: &Installation<'_>, disk: &str) -> Result<Vec<Found>, Error> {
    let all = devices(job.machine);
    let own = all.iter().find(|device| device.name == disk);
    let own = own.filter(|device| matches!(device.state, classify::State::Ours(_)));
    let own = own.ok_or_else(|| Refusal::NotOurs(disk.to_owned()))?;
    let mut done = vec![install_with(job, what, own, None)?];
    for other in mirror::halves(job.machine, &all, own) {
        match install_with(job, what, other, None) {
            Ok(found) => done.push(found),
            Err(error) => {
                job.log.warn("mirror", format!("{} stays as it is: {}", other.name, Log::chain(&error)));
            }
        }
    }
    Ok(done)
}

/// Writes the slot of the job's image on this disk again; blocks that are right stay.
///
/// # Errors
/// See [`Error`].
pub fn repair(job: &Job<'_>, what: &Installation<'_>, disk: &str) -> Result<Found, Error> {
    let own = devices(job.machine).into_iter().find(|device| device.name == disk);
    let own = own.filter(|device| matches!(device.state, classify::State::Ours(_)));
    install_with(job, what, &own.ok_or_else(|| Refusal::NotOurs(disk.to_owned()))?, None)
}

/// Makes the job's image the one that is started from each of these disks, which have it.
/// Returns what was done, for people.
///
/// # Errors
/// See [`boot_files`].
pub fn select(job: &Job<'_>, all: &[Found], usr: &Path, time: u32) -> Result<String, Error> {
    let says: Result<Vec<_>, _> = all.iter().map(|found| boot_files(job, found, usr, time)).collect();
    Ok(says?.join("; "))
}

/// Reads all of a slot against the verity tree beside it. Returns how many blocks it has.
///
/// # Errors
/// Names the first block that is wrong.
pub fn read_whole(machine: &dyn Machine, found: &Found, hash: &[u8; 32]) -> Result<u64, Error> {
    let failed = || on(&found.disk, "does not read");
    let disk = machine.open(&found.disk, Share::Running).map_err(failed())?;
    let wrong = |partition: &formats::gpt::Partition, block| Error::ReadBack {
        disk: found.disk.clone(),
        partition: partition.name.clone(),
        block,
    };
    let tree = esp::tree(&*disk, &found.verity, hash).ok_or_else(|| wrong(&found.verity, 0))?;
    let right = tree.good_blocks(&|at, buffer: &mut [u8]| disk.read(found.usr.start + at, buffer));
    if right < tree.blocks() { Err(wrong(&found.usr, right)) } else { Ok(right) }
}

/// Whether a slot opens: its tree is whole and its first block is right. The others are
/// looked at when they are used.
#[cfg(test)]
pub(crate) fn opens(disk: &dyn Disk, found: &Found, hash: &[u8; 32]) -> bool {
    let Some(tree) = esp::tree(disk, &found.verity, hash) else { return false };
    tree.good_blocks(&|at, buffer: &mut [u8]| disk.read(found.usr.start + at, buffer)) > 0
}

/// The slot with the job's image on a disk.
///
/// # Errors
/// When there is none.
pub fn on_disk(job: &Job<'_>, disk: &str) -> Result<Found, Error> {
    found(job, disk).ok_or_else(|| on(disk, "has not the image any more")(io::ErrorKind::NotFound.into()))
}

/// [`install`] on a disk that was chosen, maybe as half of a pair.
fn install_with(
    job: &Job<'_>,
    what: &Installation<'_>,
    device: &Device,
    half: Option<&mirror::Half>,
) -> Result<Found, Error> {
    let wipe = what.permitted(device)?;
    let way = choose::allowed(device, wipe)?;
    let name = &device.name;
    // Before anything is changed: without it the disk stays as it is.
    let tree = stream::tree(job.source, job.image, job.log)?;
    let disk = match job.machine.open(name, Share::Exclusive) {
        // The system runs from it, or its ROOT is: only its free slot is written to.
        Err(error) if matches!(way, Way::Slot(_)) && error.kind() == io::ErrorKind::ResourceBusy => {
            job.machine.open(name, Share::Running)
        }
        opened => opened,
    };
    let disk = disk.map_err(on(name, "is in use or does not open"))?;
    let disk = &*disk;
    job.machine.is_still(device).map_err(on(name, "is not written to"))?;
    let plan = plan_for(job, what, device, disk, half)?;
    plan.to_string().lines().for_each(|line| job.log.say(line));
    if plan.whole.is_some() {
        // Fails at the first one that is mounted; then nothing was written.
        disk.forget_partitions(name).map_err(on(name, "has partitions in use"))?;
    }
    execute::carry_out(&plan, disk, &tree, job, what.conf)?;
    if plan.whole.is_some() {
        disk.reread_partitions();
    }
    found(job, name)
        .ok_or_else(|| on(name, "does not show what was installed")(io::ErrorKind::NotFound.into()))
}

fn plan_for(
    job: &Job<'_>,
    what: &Installation<'_>,
    device: &Device,
    disk: &dyn Disk,
    half: Option<&mirror::Half>,
) -> Result<Plan, Error> {
    let slots = match &device.state {
        classify::State::Ours(table) => {
            esp::slots(disk, table).map_err(on(&device.name, "does not say which image was good"))?
        }
        _ => Slots::default(),
    };
    let ids = Ids::new(what.random).map_err(Error::Random)?;
    let plan = Plan::new(device, what.permitted(device)?, job.image, &slots, what.running, &ids, what.time)?;
    Ok(match half {
        Some(half) => plan.mirrored(half, ids.random[7])?,
        None => plan,
    })
}

/// The slot with the job's image on a disk.
fn found(job: &Job<'_>, name: &str) -> Option<Found> {
    let hash = RootHash::from_bytes(job.image.root_hash.0);
    disks::find(&[job.machine.disk(name)?], &hash).into_iter().next()
}

/// The disks of a machine as a document speaks of them.
fn devices(machine: &dyn Machine) -> Vec<Device> {
    machine.disks().iter().map(|disk| machine.describe(disk)).collect()
}
