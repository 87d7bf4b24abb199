//! Places of data disks: what the Mesos agent has offered once is remembered on ROOT, and a
//! place whose disk is missing is kept.
//!
//! An agent that has written down a reservation or a persistent volume does not start
//! without the resources it is part of, and of a disk of its own (MOUNT) neither with more
//! nor with less of it. So one missing disk would stop the whole sled. A place that is kept
//! is a small file system in memory that nobody can write to, and is offered with the size
//! that its disk had (tried with Mesos 1.11).

use super::sled::{DISKS, Sled};
use crate::beneath::Dir;
use crate::durable;
use metadata::document::SledDocument;
use metadata::generate::Mounted;
use rustix::mount::{MountFlags, UnmountFlags};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fs;
use std::io::{self, Read};
use std::path::Path;

/// On ROOT: the places of this sled.
const MEMORY: &str = "/var/lib/sledos/data-disks.json";
/// Longest memory that is read, in bytes: 200 for each of 9999 disks.
const MAX_MEMORY: u64 = 2 << 20;
/// The "device" of a place that is kept, in /proc/mounts.
const SOURCE: &str = "sledos-place";

/// A place of a data disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Its set.
    pub set: String,
    /// Its number there.
    pub bay: u32,
    /// Mount point.
    pub mount: String,
    /// Serial number of its disk. May be empty.
    pub serial: String,
    /// Size of its filesystem in MB (2^20 bytes).
    pub megabytes: u64,
}

#[derive(Deserialize, Serialize)]
struct Memory {
    sled: String,
    places: Vec<Place>,
}

/// What becomes of all places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// What the agent offers, and what is remembered.
    pub offered: Vec<Place>,
    /// Those of them that have no disk.
    pub kept: Vec<Place>,
    /// What is to be said, one line each.
    pub notes: Vec<String>,
}

impl Decision {
    /// As the agent's resources have it.
    pub fn mounted(&self) -> Vec<Mounted> {
        let one = |place: &Place| Mounted { path: place.mount.clone(), megabytes: place.megabytes };
        self.offered.iter().map(one).collect()
    }

    /// Adds the places that are kept to the report on data disks.
    pub fn report(&self, report: &mut Value) {
        let Some(disks) = report.get_mut("disks").and_then(Value::as_array_mut) else { return };
        disks.extend(self.kept.iter().map(|place| {
            json!({
                "set": place.set, "bay": place.bay, "serial": place.serial, "mount": place.mount,
                "megabytes": place.megabytes, "state": "missing",
                "problem": "its disk is not there; the place is kept, read-only, for what the agent has on it",
            })
        }));
        let Some(warnings) = report.get_mut("warnings").and_then(Value::as_array_mut) else { return };
        warnings.extend(self.notes.iter().map(|note| note.as_str().into()));
    }
}

/// Decides. `serve`: disks that are mounted now and are the agent's. `wanted`: whether the
/// document still has a place. `bound`: whether the agent can do without what it offered
/// before. Pure.
pub fn decide(
    remembered: &[Place],
    serve: &[Place],
    wanted: &dyn Fn(&Place) -> bool,
    bound: bool,
) -> Decision {
    let mut decision = Decision::default();
    for now in serve {
        let mut place = now.clone();
        if let Some(before) = remembered.iter().find(|before| before.mount == now.mount).filter(|_| bound) {
            let (mount, old, new) = (&now.mount, &before.serial, &now.serial);
            if old != new {
                decision.notes.push(format!(
                    "{mount} is on disk {new} now and was on {old}: persistent volumes that were there are lost"
                ));
            }
            if before.megabytes > now.megabytes {
                decision.notes.push(format!(
                    "{mount} has {} MB, and the agent goes on offering {} MB: Mesos does not start with less than \
                     it has reserved",
                    now.megabytes, before.megabytes
                ));
            }
            place.megabytes = before.megabytes;
        }
        decision.offered.push(place);
    }
    let missing = remembered.iter().filter(|before| !serve.iter().any(|now| now.mount == before.mount));
    for place in missing.filter(|place| bound && wanted(place)) {
        let Place { mount, serial, megabytes, .. } = place;
        decision.notes.push(format!(
            "{mount} has no disk (it was {serial}): its place is kept, read-only, and {megabytes} MB of it are \
             still offered, because the agent has reservations or volumes on this sled"
        ));
        decision.kept.push(place.clone());
        decision.offered.push(place.clone());
    }
    decision.offered.sort_by(|a, b| (&a.set, a.bay).cmp(&(&b.set, b.bay)));
    decision
}

/// Decides for a sled, mounts places that are kept and remembers what is offered. What does
/// not work is a note.
pub fn settle(sled: &Sled, document: &SledDocument, serve: &[Place]) -> Decision {
    let name = &document.head.sled;
    let (remembered, problem) = match recall(sled, name) {
        Ok(places) => (places, None),
        Err(error) => (Vec::new(), Some(format!("{MEMORY}: {error}: places of missing disks are not kept"))),
    };
    let wanted = |place: &Place| {
        let set = document.config.disks.get(&place.set).filter(|set| set.mesos);
        set.is_some_and(|set| place.mount == set.mount_point(&place.set, place.bay))
    };
    let mut decision = decide(&remembered, serve, &wanted, is_bound(sled));
    decision.notes.extend(problem);
    for place in &decision.kept {
        if let Err(error) = keep(sled, &place.mount) {
            decision.notes.push(format!("{}: its place cannot be kept ({error})", place.mount));
        }
    }
    if remembered != decision.offered
        && let Err(error) = remember(sled, name, &decision.offered)
    {
        decision.notes.push(format!("{MEMORY}: {error}"));
    }
    decision
}

/// Whether the agent has written down what is reserved, or has run in this boot already:
/// then it starts only with what it offered before.
fn is_bound(sled: &Sled) -> bool {
    let environment = sled.agent_environment();
    let work_dir = environment.get("MESOS_WORK_DIR").map_or("/var/lib/mesos", String::as_str);
    let written = fs::read_dir(sled.path(&format!("{work_dir}/meta/resources")));
    let written = written.into_iter().flatten().flatten();
    let has_run = fs::read_link(sled.path(&format!("{work_dir}/meta/slaves/latest"))).is_ok();
    // A file without a message says that nothing is reserved.
    written.into_iter().any(|entry| entry.metadata().is_ok_and(|file| file.is_file() && file.len() > 0))
        || (has_run && sled.path(DISKS).exists())
}

fn recall(sled: &Sled, name: &str) -> io::Result<Vec<Place>> {
    let mut bytes = Vec::new();
    match fs::File::open(sled.path(MEMORY)) {
        Ok(file) => file.take(MAX_MEMORY).read_to_end(&mut bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let memory: Memory = serde_json::from_slice(&bytes)?;
    // A ROOT that was another sled's says nothing of these disks.
    Ok(if memory.sled == name { memory.places } else { Vec::new() })
}

fn remember(sled: &Sled, name: &str, places: &[Place]) -> io::Result<()> {
    let path = sled.path(MEMORY);
    let (Some(dir), Some(file)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Err(io::ErrorKind::InvalidFilename.into());
    };
    fs::create_dir_all(dir)?;
    let memory = Memory { sled: name.to_owned(), places: places.to_vec() };
    durable::write(dir, file, &serde_json::to_vec(&memory)?, 0o644)
}

/// A mount, from /proc/self/mountinfo (proc_pid_mountinfo(5)).
struct Mount<'l> {
    /// `major:minor`.
    device: &'l str,
    point: &'l str,
    source: &'l str,
}

fn mounts(text: &str) -> impl DoubleEndedIterator<Item = Mount<'_>> {
    text.lines().filter_map(|line| {
        let (front, back) = line.split_once(" - ")?;
        let mut front = front.split(' ').skip(2);
        Some(Mount { device: front.next()?, point: front.nth(1)?, source: back.split(' ').nth(1)? })
    })
}

/// Puts a file system that nobody can write to there, unless there is one.
fn keep(sled: &Sled, mount: &str) -> io::Result<()> {
    let at = sled.path(mount);
    let all = fs::read_to_string(sled.path("/proc/self/mountinfo"))?;
    if mounts(&all).rfind(|m| Path::new(m.point) == at).is_some_and(|m| m.source == SOURCE) {
        return Ok(());
    }
    // Users may own directories above it.
    let at = Dir::open(&sled.path("/"))?.make(Path::new(mount))?;
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    Ok(rustix::mount::mount(SOURCE, at.handle(), "tmpfs", flags, c"size=4k,mode=755")?)
}

/// Takes away what is in the way of disks that are to be mounted: places that were kept, and
/// file systems of disks that are not there any more.
pub fn make_room(sled: &Sled, wanted: &[String]) {
    let all = fs::read_to_string(sled.path("/proc/self/mountinfo")).unwrap_or_default();
    for mount in mounts(&all).rev() {
        let gone = || {
            let real = mount.source.starts_with("/dev/");
            real && !sled.path(&format!("/sys/dev/block/{}", mount.device)).exists()
        };
        let in_the_way = wanted.iter().any(|at| sled.path(at) == Path::new(mount.point));
        if in_the_way && (mount.source == SOURCE || gone()) {
            // Who still has a file open there keeps that one.
            let _ = rustix::mount::unmount(mount.point, UnmountFlags::DETACH);
        }
    }
}

#[cfg(test)]
mod tests;
