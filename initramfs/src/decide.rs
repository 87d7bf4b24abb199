//! What a boot does about its image once the sled has its document (or knows that it gets
//! none): one pure function of what is known. What it says is printed and reported, and
//! then carried out by [`carry_out`].
//!
//! A sled restarts into an image once. When another one comes up after that, the outcome
//! is in [`history`], and the sled stays with what runs until its document names another
//! image: no chain of restarts is longer than the tries of its images.

pub mod carry_out;
pub mod history;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use crate::slots::Chance;
use formats::layout;
use history::History;
use metadata::document::Image;

/// Root hash of an image: its identity.
pub type Hash = [u8; 32];

/// How often a slot is written again, without its image getting ready in between, before the
/// other image is started.
pub const REPAIRS: u32 = 2;

/// Where the /usr of the kernel that was started is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Slot {
    /// On this disk, and it is mounted.
    Mounted(String),
    /// On this disk, but what it holds is not the image.
    Rotten(String),
    /// On no disk.
    None,
}

/// What the sled's document asks for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Which image.
    pub image: &'a Image,
    /// Whether it is to be on a disk.
    pub install: bool,
}

/// What is known.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// `None` for a sled without a fleet.
    pub wanted: Option<Wanted<'a>>,
    /// The image of the kernel that was started.
    pub booted: &'a Hash,
    /// Where its /usr is.
    pub slot: &'a Slot,
    /// What keeps the wanted image, when it is another one, from being started from the disk
    /// of that slot; `None` when that disk does not have it.
    pub chance: Option<&'a Chance>,
    /// Whether that disk has another image that systemd-boot may start.
    pub other: bool,
    /// Whether writing the rotten slot again was tried at this boot, without success.
    pub unrepaired: bool,
    /// The network started this kernel, so that systemd-boot does not count its tries, and
    /// firmware can be told to start the disk next.
    pub uncounted: bool,
    /// What became of images at earlier boots.
    pub history: &'a History,
}

/// What is done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Goes on with the image that runs; an installation that was cut off is finished.
    Run,
    /// Gets the image into memory.
    Live,
    /// Gets the image onto the disk that the document describes.
    Install,
    /// Writes the slot on this disk again.
    Repair(String),
    /// Gets the image into the free slot of this disk, and restarts into it.
    Update(String),
    /// The image is in the other slot of this disk: restarts into that.
    Switch(String),
    /// Goes on with the image that runs although another one is wanted.
    Stay(Stay),
    /// Uses up the tries of the image on this disk, and restarts into the other one.
    GiveWay(String),
    /// The same with an image that the network started, and that does not get ready: firmware
    /// starts this disk next.
    Leave(String),
    /// Ends the boot.
    Refuse(Refuse),
}

/// Why the image that is wanted is not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stay {
    /// It was started as often as it may, and never got ready.
    Failed,
    /// It failed before, and is not on the disk any more.
    FailedBefore,
    /// The sled restarted into it, and firmware or boot loader started this one.
    NotChosen,
    /// The ESP does not read.
    Unreadable,
    /// The document wants it in memory, and the sled runs from a disk.
    NotInstalled,
}

/// Why a boot ends here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refuse {
    /// The kernel that was started is of another image than the document's.
    OtherImage,
    /// The slot does not hold the image, and nothing else can be started.
    Rotten,
    /// No disk has the image, and no document says where from to get it.
    NotFound,
}

/// Decides. Pure.
pub fn decide(facts: &Facts<'_>) -> Next {
    match facts.wanted {
        Some(wanted) if wanted.image.root_hash.0 != *facts.booted => other_image(facts, wanted),
        Some(Wanted { install, .. }) => match facts.slot {
            Slot::Mounted(disk) if spent(facts) => Next::Leave(disk.clone()),
            Slot::Mounted(_) => Next::Run,
            Slot::None if install => Next::Install,
            Slot::Rotten(disk) if install => {
                // What rots again and again gives way, if there is something else.
                let often = facts.history.of(facts.booted).repairs >= REPAIRS && facts.other;
                if often || facts.unrepaired { without(facts, disk) } else { Next::Repair(disk.clone()) }
            }
            Slot::Rotten(_) | Slot::None => Next::Live,
        },
        None => match facts.slot {
            Slot::Mounted(_) => Next::Run,
            Slot::Rotten(disk) => without(facts, disk),
            Slot::None => Next::Refuse(Refuse::NotFound),
        },
    }
}

/// The document asks for another image than the one of the kernel that was started.
fn other_image(facts: &Facts<'_>, wanted: Wanted<'_>) -> Next {
    let disk = match facts.slot {
        Slot::Mounted(disk) => disk.clone(),
        Slot::Rotten(disk) if facts.other => return Next::GiveWay(disk.clone()),
        Slot::Rotten(_) | Slot::None => return Next::Refuse(Refuse::OtherImage),
    };
    if !wanted.install {
        return Next::Stay(Stay::NotInstalled);
    }
    let past = facts.history.of(&wanted.image.root_hash.0);
    match facts.chance {
        Some(Chance::Exhausted) => Next::Stay(Stay::Failed),
        Some(Chance::Unknown(_)) => Next::Stay(Stay::Unreadable),
        _ if past.failed => Next::Stay(Stay::FailedBefore),
        _ if past.restarts > 0 => Next::Stay(Stay::NotChosen),
        None => Next::Update(disk),
        Some(Chance::Choose | Chance::NotChosen(_) | Chance::Failed(_)) => Next::Switch(disk),
    }
}

/// Whether the tries of an image that nobody else counts are used up.
fn spent(facts: &Facts<'_>) -> bool {
    let past = facts.history.of(facts.booted);
    facts.uncounted && facts.other && (past.failed || !past.good && past.boots >= layout::TRIES)
}

/// Nothing of the rotten slot on this disk can be used.
fn without(facts: &Facts<'_>, disk: &str) -> Next {
    if facts.other { Next::GiveWay(disk.to_owned()) } else { Next::Refuse(Refuse::Rotten) }
}

impl std::fmt::Display for Next {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Run => f.write_str("runs the booted image"),
            Self::Live => f.write_str("gets the image into memory"),
            Self::Install => f.write_str("installs the image"),
            Self::Repair(disk) => write!(f, "the slot on {disk} is damaged: writes it again"),
            Self::Update(disk) => write!(f, "installs the image on {disk}, then restarts into it"),
            Self::Switch(disk) => write!(f, "the image is on {disk}: restarts into it"),
            Self::Stay(stay) => {
                write!(f, "stays with the booted image: the one the document asks for {stay}")
            }
            Self::GiveWay(disk) => write!(f, "the slot on {disk} is damaged: restarts into the other image"),
            Self::Leave(disk) => {
                write!(f, "the booted image did not get ready: restarts into the other one on {disk}")
            }
            Self::Refuse(why) => write!(f, "cannot go on: {why}"),
        }
    }
}

impl std::fmt::Display for Stay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Failed => "was started as often as it may and did not get ready",
            Self::FailedBefore => "failed on this sled before",
            Self::NotChosen => "was not chosen by firmware or boot loader after a restart",
            Self::Unreadable => "is on a disk whose ESP does not read",
            Self::NotInstalled => "is not to be installed, and this sled runs from a disk",
        })
    }
}

impl std::fmt::Display for Refuse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::OtherImage => "the kernel that was started is of another image than the document's",
            Self::Rotten => "the slot is damaged, no server gives the image, and there is no other one",
            Self::NotFound => "no disk has the image",
        })
    }
}
