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
//! | /usr in memory | `live` |
//!
//! An installation is [`install`], then the mount of /usr as from any disk, then
//! [`boot_files`], which takes systemd-boot from it. The slot is valid before the boot
//! files are there: an old image boots until the new one is whole, and [`boot_files`]
//! is done again at any boot until it has nothing to do.

pub mod choose;
pub mod classify;
pub mod device;
pub(crate) mod disk;
mod esp;
mod execute;
mod live;
mod mirror;
mod only_check;
pub mod plan;
mod stream;
pub(crate) mod table;

#[cfg(test)]
pub(crate) mod tests;

pub use choose::Refusal;
pub use esp::{boot_files, can_be_chosen};
pub use live::{Live, live};
pub use mirror::{Other, both, replace, replacement};
pub use only_check::check;
pub use plan::Plan;

use crate::disks::{self, Found};
use crate::identity::Recognised;
use crate::log::Log;
use crate::options::{Options, RootHash};
use choose::Way;
use device::Device;
use disk::{BlockDevice, Disk, on};
use formats::{ext4, fat, verity};
use metadata::document::{Image, Install, Wipe};
use plan::{Ids, Slots};
use std::io;

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
    #[error("{disk} does not read back what was written: {partition}, block {block}")]
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
    /// The image has no boot loader.
    #[error("the image has no boot loader {path}")]
    BootLoader {
        /// Where it should be.
        path: String,
        /// Why not.
        source: io::Error,
    },
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
    let devices = device::look();
    for device in &devices {
        job.log.say(&format!("install: sees {device} at {}", device.path));
    }
    if what.install.mirror {
        return mirror::install(job, what, &devices);
    }
    let device = choose::choose(&devices, &what.install.disk)?;
    install_with(job, what, device, None).map(|found| vec![found])
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
    let disk = match BlockDevice::open(&disks::node(name)) {
        // The system runs from it, or its ROOT is: only its free slot is written to.
        Err(error) if matches!(way, Way::Slot(_)) && error.kind() == io::ErrorKind::ResourceBusy => {
            BlockDevice::open_shared(&disks::node(name))
        }
        opened => opened,
    };
    let disk = disk.map_err(on(name, "is in use or does not open"))?;
    device::is_still(device).map_err(on(name, "is not written to"))?;
    let plan = plan_for(job, what, device, &disk, half)?;
    plan.to_string().lines().for_each(|line| job.log.say(line));
    if plan.whole.is_some() {
        // Fails at the first one that is mounted; then nothing was written.
        disk.forget_partitions(name).map_err(on(name, "has partitions in use"))?;
    }
    execute::carry_out(&plan, &disk, &tree, job, what.conf)?;
    if plan.whole.is_some() {
        disk.reread_partitions();
    }
    drop(disk);
    found(job.image, name)
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
        classify::State::Ours(table) => esp::slots(disk, table),
        _ => Slots::default(),
    };
    let ids = Ids::new(what.random).map_err(Error::Random)?;
    let plan = Plan::new(device, what.permitted(device)?, job.image, &slots, what.running, &ids, what.time)?;
    Ok(match half {
        Some(half) => plan.mirrored(half, ids.random[7])?,
        None => plan,
    })
}

/// The slot with an image on a disk.
fn found(image: &Image, name: &str) -> Option<Found> {
    let usrhash = Some(verity::hex(&image.root_hash.0));
    let hash = RootHash::of(&Options { usrhash, ..Options::default() }).ok()?;
    disks::find(&[disks::look_at(name)?], &hash).into_iter().next()
}
