//! ROOT as a RAID1 over two disks: finding its members and starting it.
//!
//! There is no mdadm in the initramfs: the kernel reads the superblocks itself once it is
//! told which devices belong together. Which those are is decided in [`decide`].

pub mod decide;

use crate::disks::{self, Content, Found};
use crate::log::Log;
use crate::modules;
use decide::{Decision, Seen, Standing, decide};
use formats::gpt::{Partition, types};
use formats::layout::Role;
use formats::md::{self, Member};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

/// The array's device. The number is the first that mdadm takes by itself.
const DEVICE: &str = "/dev/md127";
/// Makes it.
const NEW: &str = "/sys/module/md_mod/parameters/new_array";

/// How long a member that is missing may take to appear after the other.
const LATE: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// A partition that is a member.
#[derive(Clone, Debug)]
pub struct Half {
    /// Kernel name of the disk.
    pub disk: String,
    /// Its ROOT.
    pub root: Partition,
    /// What its superblock says.
    pub member: Member,
}

/// Whether a ROOT is made to be a member, whatever is on it.
pub fn is_half(root: &Partition) -> bool {
    root.type_guid == types::LINUX_RAID
}

/// What the superblock on a partition of a disk says; `None` without one.
pub fn read(disk: &str, root: &Partition) -> Option<Member> {
    let disk = File::open(disks::node(disk)).ok()?;
    // A running array writes past the cache of the disk.
    let _ = syscalls::block::drop_cache(&disk);
    let mut bytes = [0; 4096];
    disk.read_exact_at(&mut bytes, root.start + md::SUPERBLOCK).ok()?;
    md::parse(&bytes)
}

/// The ROOT of a disk that is made to be a member.
fn root_of(disk: &disks::Disk) -> Option<&Partition> {
    let Content::Gpt(table) = &disk.content else { return None };
    table.partitions.iter().find(|p| p.name == Role::Root.label() && is_half(p))
}

/// All members on these disks.
pub fn halves(all: &[disks::Disk]) -> Vec<Half> {
    let half = |disk: &disks::Disk| {
        let root = root_of(disk)?;
        Some(Half { disk: disk.name.clone(), root: root.clone(), member: read(&disk.name, root)? })
    };
    all.iter().filter_map(half).collect()
}

/// Whether a member of the same array that is not part of it has to be made blank before it
/// is added: it went on by itself, and would be synced as if it had only been out.
pub fn ran_apart(newest: &Member, other: &Member) -> bool {
    newest.array.uuid == other.array.uuid && decide::standing(newest, other) == Standing::Diverged
}

/// Whether the start of a ROOT is as PID 1 leaves it for one that is yet to be added.
pub fn is_blank(disk: &str, root: &Partition) -> bool {
    let edges = disks::edges(disk, root.start, root.size);
    edges.is_ok_and(|edges| edges.head.iter().all(|byte| *byte == 0))
}

/// Takes its superblock from a half that ran apart, so that it can be added like a new one.
///
/// # Errors
/// When it is in use, has another superblock by now, or does not take it.
pub fn forget(half: &Half) -> io::Result<()> {
    let flags = i32::try_from(rustix::fs::OFlags::EXCL.bits()).unwrap_or_default();
    let node = disks::device_of(&half.disk, &half.root)?;
    let part = OpenOptions::new().read(true).write(true).custom_flags(flags).open(node)?;
    if read(&half.disk, &half.root).as_ref() != Some(&half.member) {
        return Err(io::Error::other("it has another superblock than a moment ago"));
    }
    // The superblock goes last: until then it says what this is.
    let after = md::SUPERBLOCK + 4096;
    syscalls::block::zero(&part, after, md::DATA - after)?;
    part.sync_all()?;
    syscalls::block::zero(&part, 0, after)?;
    part.sync_all()
}

/// The halves of the array that a sled starts, as long as it is clear which one that is: that
/// of the disk it found its /usr on; when there is no superblock, that of the other disks with
/// this /usr, `same_usr`; else the only one there is.
fn of_array(disk: &str, same_usr: &[String], mut halves: Vec<Half>) -> Result<Vec<Half>, String> {
    let array = |half: &Half| half.member.array.uuid;
    let own = halves.iter().find(|half| half.disk == disk).map(array);
    let mut others: Vec<_> = halves.iter().filter(|half| same_usr.contains(&half.disk)).map(array).collect();
    if others.is_empty() {
        others = halves.iter().map(array).collect();
    }
    others.sort_unstable();
    others.dedup();
    let uuid = match (own, others.as_slice()) {
        (Some(uuid), _) => uuid,
        (None, [uuid]) => *uuid,
        (None, []) => return Ok(Vec::new()),
        (None, several) => {
            let (disks, count): (Vec<_>, _) =
                (halves.iter().map(|half| half.disk.as_str()).collect(), several.len());
            let disks = disks.join(", ");
            return Err(format!(
                "ROOT of {disk} has no superblock, and {disks} have halves of {count} arrays"
            ));
        }
    };
    halves.retain(|half| array(half) == uuid);
    Ok(halves)
}

/// Decides about halves as they are here.
fn decided(halves: &[Half]) -> Result<Decision, decide::Stuck> {
    let writable = |half: &Half| !disks::is_read_only(&half.disk, &half.root);
    let seen = halves.iter().map(|half| Seen { member: &half.member, writable: writable(half) });
    decide(&seen.collect::<Vec<_>>())
}

/// What is to be said about the halves of an array, a line each.
fn warnings(halves: &[Half], decision: &Decision) -> Vec<String> {
    let name = |place: usize| halves.get(place).map_or("", |half| half.disk.as_str());
    let newest = decision.start.first().copied().unwrap_or_default();
    let mut lines = Vec::new();
    for (place, (half, standing)) in halves.iter().zip(&decision.standing).enumerate() {
        let disk = &half.disk;
        if decision.start.contains(&place) {
            continue;
        }
        lines.push(match standing {
            Standing::Diverged => format!(
                "{disk} and {} ran apart, each without the other: ROOT is that of {}, with {} events; \
                 what was written to {disk} alone, with {} events, is not in it",
                name(newest),
                name(newest),
                halves.get(newest).map_or(0, |half| half.member.events),
                half.member.events
            ),
            Standing::InSync | Standing::Filling => format!("{disk} is write-protected: it is left out"),
            Standing::Behind => {
                format!("{disk} was out while ROOT was used: it is left out until it is synced")
            }
            Standing::Spare => format!("{disk} is a spare: it is left out until it is synced"),
        });
    }
    let (here, members) = (decision.start.len(), halves.first().map_or(0, |h| h.member.array.members.into()));
    if here < members {
        let names: Vec<_> = decision.start.iter().map(|place| name(*place)).collect();
        lines.push(format!("ROOT runs on {} alone: {here} of {members} disks", names.join(", ")));
    }
    lines
}

/// Starts the array that the ROOT beside a /usr is a member of. Returns its device.
///
/// # Errors
/// Why not, for people.
pub fn start(log: &Log, found: &Found) -> Result<String, String> {
    let deadline = log.now().saturating_add(LATE);
    let halves = loop {
        let all = disks::look();
        let same_usr: Vec<_> = disks::find(&all, &found.hash()).into_iter().map(|same| same.disk).collect();
        let halves = of_array(&found.disk, &same_usr, halves(&all));
        let whole = |halves: &Vec<Half>| {
            halves.first().is_some_and(|half| halves.len() >= usize::from(half.member.array.members))
        };
        if halves.as_ref().is_ok_and(whole) || log.now() >= deadline {
            break halves?;
        }
        std::thread::sleep(LOOK_AGAIN);
    };
    if halves.is_empty() {
        return Err(format!(
            "ROOT of {} has no superblock, or a damaged one, and no other half is there",
            found.disk
        ));
    }
    if !halves.iter().any(|half| half.disk == found.disk) {
        log.warn("mirror", format!("ROOT of {} has no superblock: it is started without", found.disk));
    }
    let decision = decided(&halves).map_err(|stuck| stuck.to_string())?;
    warnings(&halves, &decision).iter().for_each(|line| log.warn("mirror", line));
    let half = |place: &usize| halves.get(*place);
    let start: Vec<_> = decision.start.iter().filter_map(half).collect();
    modules::modprobe("md-mod");
    modules::modprobe("raid1");
    if !Path::new(DEVICE).exists() {
        fs::write(NEW, "md127")
            .map_err(|e| format!("{NEW}: {e}; module md-mod has to be in the initramfs"))?;
    }
    // All of them, newest first: the kernel holds the others against it. One that it does not
    // take, as with a disk that dies, must not keep the others from starting.
    let in_sync = |place: &&usize| decision.standing.get(**place) == Some(&Standing::InSync);
    let alone = decision.start.iter().filter(in_sync).filter_map(half).map(|half| vec![half]);
    let alone = alone.filter(|_| start.len() > 1);
    let mut error = String::new();
    for members in std::iter::once(start.clone()).chain(alone) {
        match run(&members) {
            Ok(()) => return Ok(DEVICE.to_owned()),
            Err(why) => {
                log.warn("mirror", &why);
                error = why;
            }
        }
    }
    Err(error)
}

/// Makes the kernel start the array from these halves.
fn run(halves: &[&Half]) -> Result<(), String> {
    let names: Vec<_> = halves.iter().map(|half| half.disk.as_str()).collect();
    let fail = |e: &dyn std::fmt::Display| format!("{DEVICE} of {} does not start: {e}", names.join(", "));
    let number = |half: &&Half| {
        let number = fs::metadata(disks::device_of(&half.disk, &half.root)?)?.rdev();
        Ok((rustix::fs::major(number), rustix::fs::minor(number)))
    };
    let numbers: io::Result<Vec<_>> = halves.iter().map(number).collect();
    let numbers = numbers.map_err(|e| fail(&format!("a member has no device ({e})")))?;
    let device = File::options().read(true).write(true).open(DEVICE).map_err(|e| fail(&e))?;
    syscalls::md::start(&device, &numbers).map_err(|e| fail(&e))
}

#[cfg(test)]
mod tests;
