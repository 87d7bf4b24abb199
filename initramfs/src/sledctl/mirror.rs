//! The mirrored ROOT in the running system: a disk that took a place is added to it.

use super::ready::say;
use super::sled::Sled;
use crate::raid::{self, Half};
use crate::{disks, slots::classify::State, slots::device};
use formats::layout::Role;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// The array that /var is on.
struct Array {
    /// Kernel name: `md127`.
    name: String,
    sys: PathBuf,
    /// Kernel names of the partitions in it.
    members: Vec<String>,
}

impl Array {
    fn find(sled: &Sled) -> Option<Self> {
        let mounts = sled.text("/proc/self/mountinfo")?;
        let line = mounts.lines().rfind(|line| line.split(' ').nth(4) == Some("/var"))?;
        let sys = fs::canonicalize(sled.path(&format!("/sys/dev/block/{}", line.split(' ').nth(2)?))).ok()?;
        sys.join("md").exists().then_some(())?;
        let name = sys.file_name()?.to_str()?.to_owned();
        let mut members: Vec<_> = fs::read_dir(sys.join("slaves"))
            .ok()?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        members.sort();
        Some(Self { name, sys, members })
    }

    fn text(&self, file: &str) -> String {
        fs::read_to_string(self.sys.join("md").join(file)).unwrap_or_default().trim().to_owned()
    }

    fn degraded(&self) -> bool {
        self.text("degraded").parse::<u32>().is_ok_and(|n| n > 0)
    }
}

/// Adds what is missing, if it is there. Returns how the array is, for the report;
/// `None` when /var is on none.
pub(super) fn run(sled: &Sled) -> Option<Value> {
    let array = Array::find(sled)?;
    let mut apart = Vec::new();
    // While it is synced it is degraded as well, and the new member is among the others.
    if array.degraded() && array.text("sync_action") == "idle" {
        for candidate in candidates(&array) {
            let text = match join(&array, &candidate) {
                Ok(how) => format!("{} joins {} and is synced{how}", candidate.name, array.name),
                Err(why) => format!("{} does not join {}: {why}", candidate.name, array.name),
            };
            if matches!(candidate.how, How::Apart(_) | How::Newer(_)) {
                apart.push(json!({"partition": candidate.name, "says": text}));
            }
            say(sled, sled.uptime_ms(), &format!("mirror: {text}"));
        }
    }
    let array = Array::find(sled)?;
    let degraded = array.degraded();
    if degraded && array.text("sync_action") == "idle" {
        let text = format!("mirror: warning: {} runs on {} alone", array.name, array.members.join(", "));
        say(sled, sled.uptime_ms(), &text);
    }
    Some(json!({
        "device": array.name, "members": array.members, "degraded": degraded,
        "action": array.text("sync_action"), "apart": apart,
    }))
}

/// A ROOT that may be added.
struct Candidate {
    /// Kernel name of the partition.
    name: String,
    node: PathBuf,
    how: How,
}

/// How a ROOT is added.
enum How {
    /// It is new, or was only out: what it missed is synced.
    Add,
    /// It ran apart: its superblock goes first.
    Apart(Half),
    /// It ran apart, and further than this array: which is right is not decided here.
    Newer(Half),
}

/// Adds a ROOT. Returns what is to be said besides.
fn join(array: &Array, candidate: &Candidate) -> Result<String, String> {
    let mut says = String::new();
    match &candidate.how {
        How::Add => {}
        How::Apart(half) => {
            let events = half.member.events;
            raid::forget(half).map_err(|e| format!("it ran apart and keeps its superblock ({e})"))?;
            says = format!(
                " as a new one: it ran apart, and what was written to it alone ({events} events) is gone"
            );
        }
        How::Newer(half) => {
            return Err(format!(
                "it ran apart and has more events ({}); the next boot starts it, or `mdadm \
                 --zero-superblock {}` gives it up",
                half.member.events,
                candidate.node.display()
            ));
        }
    }
    let done = Command::new("mdadm")
        .args(["--manage", &format!("/dev/{}", array.name), "--add"])
        .arg(&candidate.node)
        .output();
    match done {
        Ok(done) if done.status.success() => Ok(says),
        Ok(done) => Err(String::from_utf8_lossy(&done.stderr).trim().replace('\n', "; ")),
        Err(error) => Err(format!("mdadm: {error}")),
    }
}

/// ROOTs that are made to be a member and are not, or not any more: new ones with nothing
/// on them, and ones of this very array.
fn candidates(array: &Array) -> Vec<Candidate> {
    let all = disks::look();
    let mut halves: Vec<(String, PathBuf, Half)> = Vec::new();
    for half in raid::halves(&all) {
        if let Some((name, node)) = node_of(&half.disk, &half.root) {
            halves.push((name, node, half));
        }
    }
    let running = halves.iter().filter(|(name, ..)| array.members.contains(name));
    let Some(newest) = running.max_by_key(|(_, _, half)| half.member.events).map(|(.., half)| half.clone())
    else {
        // Nothing says what the others would be added to.
        return Vec::new();
    };
    let mut found = Vec::new();
    for device in device::look() {
        let State::Ours(table) = &device.state else { continue };
        let root = table.partitions.iter().find(|p| p.name == Role::Root.label() && raid::is_half(p));
        let Some((root, (name, node))) = root.and_then(|root| Some((root, node_of(&device.name, root)?)))
        else {
            continue;
        };
        let half = halves.iter().find(|(other, ..)| *other == name).map(|(.., half)| half.clone());
        if array.members.contains(&name) {
            continue;
        }
        let how = match half {
            Some(half) => how(&newest, half),
            // PID 1 has made the start of a new one zeroes.
            None => raid::is_blank(&device.name, root).then_some(How::Add),
        };
        found.extend(how.map(|how| Candidate { name, node, how }));
    }
    found
}

/// How a half is added to the array of a running one; `None` for one of another array.
fn how(running: &Half, half: Half) -> Option<How> {
    if half.member.array.uuid != running.member.array.uuid {
        return None;
    }
    Some(if !raid::ran_apart(&running.member, &half.member) {
        How::Add
    } else if half.member.events <= running.member.events {
        How::Apart(half)
    } else {
        How::Newer(half)
    })
}

fn node_of(disk: &str, root: &formats::gpt::Partition) -> Option<(String, PathBuf)> {
    let node = disks::device_of(disk, root).ok()?;
    Some((node.file_name()?.to_str()?.to_owned(), node))
}
