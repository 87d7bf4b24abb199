//! Carries out what was decided, and decides again when it did not work. What touches the
//! machine is behind [`Host`], so that a model of one can stand in its place.

use super::history::History;
use super::{Facts, Hash, Next, Refuse, Slot, Stay, Wanted, decide};
use crate::disks::Found;
use crate::failure::{Code, Failure};
use crate::slots::{Chance, Live};
use metadata::document::Image;

/// What a boot can do about images.
pub trait Host {
    /// What is remembered of images.
    fn history(&mut self) -> History;
    /// Remembers it; when this returns it lasts.
    ///
    /// # Errors
    /// When it does not.
    fn remember(&mut self, history: &History) -> Result<(), Failure>;
    /// What keeps an image from being started from a disk; `None` when it is not there.
    fn chance(&mut self, disk: &str, image: &Image) -> Option<Chance>;
    /// Whether systemd-boot may start another image from a disk than this one.
    fn has_other(&mut self, disk: &str, hash: &Hash) -> bool;
    /// One line on the console.
    fn say(&mut self, line: &str);
    /// A warning, on the console and in the report.
    fn warn(&mut self, line: &str);

    /// Finishes an installation of the running image that was cut off, and fills a blank
    /// disk that takes the place of a lost half of its mirror.
    fn complete(&mut self);
    /// Gets the image into memory, and mounts it.
    ///
    /// # Errors
    /// Why not.
    fn live(&mut self) -> Result<Live, Failure>;
    /// Gets the image onto the disk that the document describes, and mounts it.
    ///
    /// # Errors
    /// Why not.
    fn install(&mut self) -> Result<Found, Failure>;
    /// Writes the slot on this disk again, and mounts it.
    ///
    /// # Errors
    /// Why not; what is mounted has not changed.
    fn repair(&mut self, disk: &str) -> Result<Found, Failure>;
    /// Gets the image that is wanted into the free slot of this disk, and makes it the one
    /// that is started.
    ///
    /// # Errors
    /// Why not; the image that runs is started as before.
    fn update(&mut self, disk: &str) -> Result<(), Failure>;
    /// Makes the image that is wanted, and is on this disk, the one that is started.
    ///
    /// # Errors
    /// Why not.
    fn switch(&mut self, disk: &str) -> Result<(), Failure>;
    /// Whether the network started this kernel, and firmware can be told to start a disk next.
    fn uncounted(&mut self) -> bool;
    /// Tells firmware to start this disk next.
    ///
    /// # Errors
    /// Why not.
    fn start_next(&mut self, disk: &str) -> Result<(), Failure>;
    /// Uses up the tries of the booted image on this disk.
    ///
    /// # Errors
    /// Why not.
    fn give_way(&mut self, disk: &str) -> Result<(), Failure>;
}

/// How it ended.
#[derive(Debug)]
pub enum End {
    /// The booted image runs, from this disk if any.
    Runs(Option<Box<Found>>),
    /// It runs from memory.
    Live(Live),
    /// The sled restarts into another image.
    Restart,
}

/// Decides and does until the sled has an image to run, or restarts into one. `found`: the
/// slot of the booted image, when a disk has one; `why`: what is wrong with it.
///
/// # Errors
/// When there is nothing to run.
pub fn carry_out(
    host: &mut dyn Host,
    wanted: Option<Wanted<'_>>,
    booted: &Hash,
    slot: &Slot,
    found: Option<Found>,
    mut why: Option<Failure>,
) -> Result<End, Failure> {
    let mut history = host.history();
    let mut unrepaired = false;
    let uncounted = host.uncounted();
    loop {
        let (chance, other) = match slot {
            Slot::Mounted(disk) | Slot::Rotten(disk) => {
                let another = wanted.filter(|wanted| wanted.image.root_hash.0 != *booted);
                let chance = another.and_then(|wanted| host.chance(disk, wanted.image));
                (chance, host.has_other(disk, booted))
            }
            Slot::None => (None, false),
        };
        let chance = chance.as_ref();
        let facts = Facts { wanted, booted, slot, chance, other, unrepaired, uncounted, history: &history };
        let next = decide(&facts);
        if next != Next::Run {
            host.say(&format!("image: {next}"));
        }
        return match next {
            Next::Run => {
                host.complete();
                remember(host, &mut history, |history| history.boots(booted, true));
                Ok(End::Runs(found.map(Box::new)))
            }
            Next::Live => host.live().map(End::Live),
            Next::Install => {
                let found = host.install()?;
                let mut history = host.history();
                remember(host, &mut history, |history| history.boots(booted, true));
                Ok(End::Runs(Some(Box::new(found))))
            }
            Next::Repair(disk) => match host.repair(&disk) {
                Ok(found) => {
                    remember(host, &mut history, |history| {
                        history.repaired(booted);
                        history.boots(booted, true);
                    });
                    Ok(End::Runs(Some(Box::new(found))))
                }
                Err(failure) => {
                    host.warn(&format!("the slot on {disk} stays damaged: {failure}"));
                    unrepaired = true;
                    why = Some(failure);
                    continue;
                }
            },
            Next::Update(disk) | Next::Switch(disk) => {
                let into = wanted.map_or(*booted, |wanted| wanted.image.root_hash.0);
                let done = match chance {
                    None => host.update(&disk),
                    Some(_) => host.switch(&disk),
                };
                // Without a memory of it the sled might restart for ever.
                let done = done.and_then(|()| {
                    history.restarts_into(&into);
                    host.remember(&history)
                });
                match done {
                    Ok(()) => Ok(End::Restart),
                    Err(failure) => {
                        host.warn(&format!("{failure}; the running image stays"));
                        remember(host, &mut history, |history| history.boots(booted, false));
                        Ok(End::Runs(found.map(Box::new)))
                    }
                }
            }
            Next::Stay(stay) => {
                // That tries are used up is all that is to say of one that failed.
                let more = chance.filter(|_| stay != Stay::Failed);
                let more = more.map(|chance| format!(" ({chance})")).unwrap_or_default();
                host.warn(&format!("{}{more}", Next::Stay(stay)));
                let failed = wanted.filter(|_| stay == Stay::Failed);
                remember(host, &mut history, |history| {
                    failed.into_iter().for_each(|wanted| history.failed(&wanted.image.root_hash.0));
                    history.boots(booted, false);
                });
                Ok(End::Runs(found.map(Box::new)))
            }
            Next::GiveWay(disk) => {
                remember(host, &mut history, |history| history.failed(booted));
                host.give_way(&disk).map(|()| End::Restart)
            }
            Next::Leave(disk) => {
                remember(host, &mut history, |history| history.failed(booted));
                match host.give_way(&disk).and_then(|()| host.start_next(&disk)) {
                    Ok(()) => Ok(End::Restart),
                    Err(failure) => {
                        host.warn(&format!("{failure}; the booted image stays"));
                        remember(host, &mut history, |history| history.boots(booted, true));
                        Ok(End::Runs(found.map(Box::new)))
                    }
                }
            }
            Next::Refuse(refuse) => Err(refused(refuse, why, wanted, booted)),
        };
    }
}

/// Changes what is remembered. A disk that does not keep it is no reason to stop.
fn remember(host: &mut dyn Host, history: &mut History, change: impl FnOnce(&mut History)) {
    change(history);
    if let Err(failure) = host.remember(history) {
        host.warn(&failure.to_string());
    }
}

fn refused(refuse: Refuse, why: Option<Failure>, wanted: Option<Wanted<'_>>, booted: &Hash) -> Failure {
    let hash = formats::verity::hex(booted);
    match (refuse, wanted) {
        (Refuse::OtherImage, Some(Wanted { image, .. })) => Failure::new(
            Code::OtherImage,
            format!(
                "it asks for {} {} ({}), the kernel that was started is of {hash}",
                image.name, image.version, image.root_hash
            ),
        ),
        (Refuse::NotFound, _) => Failure::new(Code::UsrNotFound, hash),
        _ => why.unwrap_or_else(|| Failure::new(Code::UsrCorrupt, refuse)),
    }
}
