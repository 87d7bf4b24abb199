//! The mirrored ROOT in the running system: a disk that took a place is added to it.

use super::ready::say;
use super::sled::Sled;
use crate::raid::{self, Half};
use crate::{disks, slots::classify::State, slots::device};
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
    // While it is synced it is degraded as well, and the new member is among the others.
    if array.degraded() && array.text("sync_action") == "idle" {
        for (partition, node) in candidates(&array) {
            let done = Command::new("mdadm")
                .args(["--manage", &format!("/dev/{}", array.name), "--add"])
                .arg(&node)
                .output();
            let text = match done {
                Ok(done) if done.status.success() => {
                    format!("{partition} joins {} and is synced", array.name)
                }
                Ok(done) => {
                    let said = String::from_utf8_lossy(&done.stderr);
                    format!("{partition} does not join {}: {}", array.name, said.trim().replace('\n', "; "))
                }
                Err(error) => format!("{partition} does not join {}: mdadm: {error}", array.name),
            };
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
        "device": array.name, "members": array.members, "degraded": degraded, "action": array.text("sync_action"),
    }))
}

/// ROOTs that are made to be a member and are not, or not any more: new ones with nothing
/// on them, and ones of this very array.
fn candidates(array: &Array) -> Vec<(String, PathBuf)> {
    let all = disks::look();
    let halves = raid::halves(&all);
    let named = |half: &Half| Some((node_of(&half.disk, &half.root)?, half.member.array.uuid));
    let known: Vec<_> = halves.iter().filter_map(named).collect();
    let own = known.iter().find(|((name, _), _)| array.members.contains(name)).map(|(_, uuid)| *uuid);
    let mut found = Vec::new();
    for device in device::look() {
        let State::Ours(table) = &device.state else { continue };
        let root = table.partitions.iter().find(|p| p.name == "ROOT" && raid::is_half(p));
        let Some((name, node)) = root.and_then(|root| node_of(&device.name, root)) else { continue };
        let uuid = known.iter().find(|((other, _), _)| *other == name).map(|(_, uuid)| *uuid);
        // PID 1 has made the start of a new one zeroes.
        let blank = || root.is_some_and(|root| is_blank(&device.name, root.start));
        let may = match uuid {
            Some(uuid) => own == Some(uuid),
            None => blank(),
        };
        if may && !array.members.contains(&name) {
            found.push((name, node));
        }
    }
    found
}

fn node_of(disk: &str, root: &formats::gpt::Partition) -> Option<(String, PathBuf)> {
    let node = disks::device_of(disk, root).ok()?;
    Some((node.file_name()?.to_str()?.to_owned(), node))
}

fn is_blank(disk: &str, start: u64) -> bool {
    use std::os::unix::fs::FileExt;
    let mut head = vec![0; 1 << 20];
    let read = fs::File::open(disks::node(disk)).and_then(|file| file.read_exact_at(&mut head, start));
    read.is_ok() && head.iter().all(|byte| *byte == 0)
}
