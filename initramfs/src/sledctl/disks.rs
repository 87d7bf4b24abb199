//! Data disks in the running system: filesystems on new partitions, mounts, and what the
//! Mesos agent offers of them. PID 1 has partitioned; a disk that came after that is
//! partitioned here, by the same plan.

use super::mirror;
use super::ready::say;
use super::sled::{DISKS, DISKS_ENV, Sled};
use crate::beneath::Dir;
use crate::durable;
use crate::log::Log;
use crate::probe::{EDGE, Kind, probe};
use crate::slots::classify::FRESH;
use crate::storage::plan::{Action, Entry, Plan};
use crate::storage::{self, execute};
use crate::{disks, early};
use formats::gpt::Partition;
use metadata::config::{DiskSet, Filesystem};
use metadata::document::SledDocument;
use metadata::envfile;
use metadata::generate::{self, Mounted};
use rustix::fs::FlockOperation;
use rustix::mount::{MountFlags, UnmountFlags};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::thread;

/// Where a new filesystem is tried.
const TRY: &str = "/run/sledos/try";

/// A disk that is in use now.
#[derive(Debug)]
struct Done {
    filesystem: &'static str,
    mount: String,
    megabytes: u64,
    formatted: bool,
}

/// What became of a disk.
type Outcome = (Entry, Result<Done, String>, u64);

/// Makes filesystems on new partitions, mounts all, and writes down what the agent
/// offers. What does not work is said and reported; the others serve.
///
/// # Errors
/// When there is no document, or the results cannot be written.
pub fn run(sled: &Sled) -> Result<(), String> {
    let document = sled.document()?;
    let mirror = mirror::run(sled);
    let mut plan = storage::look(&document);
    print!("{plan}");
    for entry in &plan.entries {
        if let Action::Prepare { table, .. } = &entry.action
            && let Err(error) = lock(&entry.disk).and_then(|_lock| {
                execute::partition(&entry.disk, &entry.says, table).map_err(|e| Log::chain(&e))
            })
        {
            say(sled, sled.uptime_ms(), &format!("disks: {} gets no partition: {error}", entry.says));
        }
    }
    if plan.entries.iter().any(|entry| matches!(entry.action, Action::Prepare { .. })) {
        plan = storage::look(&document);
    }
    let outcomes = all(sled, &document, &plan);
    offer(sled, &document, &outcomes)?;
    let mut report = report(&plan, &outcomes);
    if let Some(before) = sled.text(DISKS).and_then(|text| serde_json::from_str(&text).ok()) {
        remember(&mut report, &before);
    }
    if let Some(mirror) = mirror {
        report["mirror"] = mirror;
    }
    write(sled, DISKS, &report.to_string())
}

/// Every disk at the same time: they do not share anything that is slow.
fn all(sled: &Sled, document: &SledDocument, plan: &Plan) -> Vec<Outcome> {
    let (sender, outcomes) = mpsc::channel();
    let mut total = 0;
    let fresh =
        |e: &&Entry| matches!(&e.action, Action::Keep { partition, .. } if partition.attributes & FRESH != 0);
    let new = plan.entries.iter().filter(fresh).count();
    if new > 0 {
        say(sled, sled.uptime_ms(), &format!("disks: {new} new data disks get their filesystems"));
    }
    for entry in &plan.entries {
        let (Action::Keep { bay, partition, .. }, Some(set)) =
            (&entry.action, document.config.disks.get(&entry.set))
        else {
            continue;
        };
        total += 1;
        let (entry, sender, set) = (entry.clone(), sender.clone(), set.clone());
        let (bay, partition) = (*bay, partition.clone());
        thread::spawn(move || {
            let start = early::uptime();
            let result = one(&entry, &set, bay, &partition);
            let took = early::uptime().saturating_sub(start).as_millis();
            // The other end waits for all of them.
            let _ = sender.send((entry, result, u64::try_from(took).unwrap_or(u64::MAX)));
        });
    }
    drop(sender);
    let mut all: Vec<Outcome> = Vec::new();
    for (entry, result, took) in outcomes {
        all.push((entry, result, took));
        let (Some((entry, result, took)), n) = (all.last(), all.len()) else { continue };
        let serial = &entry.serial;
        let text = match result {
            Ok(Done { formatted: false, .. }) => continue,
            Ok(done) => format!(
                "{} on {} {serial} formatted with {} in {}.{} s",
                done.mount,
                entry.disk,
                done.filesystem,
                took / 1000,
                took / 100 % 10
            ),
            Err(why) => format!("{} of set {} fails: {why}", entry.says, entry.set),
        };
        say(sled, sled.uptime_ms(), &format!("disks: {text} ({n} of {total})"));
    }
    all.sort_by(|(a, ..), (b, ..)| key(a).cmp(&key(b)));
    let works = all.iter().filter(|(_, result, _)| result.is_ok()).count();
    if plan.entries.is_empty() && plan.notes.is_empty() {
        return all;
    }
    let refused = plan.entries.len() - total;
    let text = format!("disks: {works} data disks serve, {} fail, {refused} refused", total - works);
    say(sled, sled.uptime_ms(), &text);
    for entry in plan.entries.iter().filter(|e| matches!(e.action, Action::Refuse(_))) {
        say(sled, sled.uptime_ms(), &format!("disks: {entry}"));
    }
    plan.notes.iter().for_each(|note| say(sled, sled.uptime_ms(), &format!("disks: warning: {note}")));
    all
}

fn key(entry: &Entry) -> (&str, u32) {
    match &entry.action {
        Action::Keep { bay, .. } | Action::Prepare { bay, .. } => (&entry.set, *bay),
        Action::Refuse(_) => (&entry.set, u32::MAX),
    }
}

/// A lock that keeps udev from reading the partition table meanwhile (systemd,
/// "Locking Block Device Access").
fn lock(disk: &str) -> Result<File, String> {
    let file = File::open(disks::node(disk)).map_err(|e| format!("{disk} does not open ({e})"))?;
    rustix::fs::flock(&file, FlockOperation::LockExclusive).map_err(|e| format!("{disk}: {e}"))?;
    Ok(file)
}

/// One disk, from its partition to its mount.
fn one(entry: &Entry, set: &DiskSet, bay: u32, partition: &Partition) -> Result<Done, String> {
    let _lock = lock(&entry.disk)?;
    execute::still_has(&entry.disk, partition).map_err(|e| e.to_string())?;
    let node = disks::device_of(&entry.disk, partition).map_err(|e| format!("no partition ({e})"))?;
    let mount = format!("{}/{bay:02}", set.directory(&entry.set));
    let mut kind = look(&node, partition.size)?;
    let mut formatted = false;
    if partition.attributes & FRESH != 0 {
        // A partition whose filesystem was never used: that of a run that was cut off is
        // whole when it mounts. Only what can be the half of one is overwritten.
        let label = format!("{}-{bay:02}", entry.set);
        let whole = matches!(kind, Content::Filesystem(kind) if kind == set.filesystem && mounts(&node, kind, &label));
        if !whole {
            if matches!(kind, Content::Other(_)) {
                return Err(format!("the partition is new and {kind} all the same"));
            }
            format(&node, set.filesystem, &label)?;
            kind = look(&node, partition.size)?;
        }
        execute::formatted(&entry.disk, partition).map_err(|e| Log::chain(&e))?;
        formatted = true;
    }
    let Content::Filesystem(kind) = kind else { return Err(format!("the partition {kind}")) };
    // Users may own directories above it, and mounts go where was looked.
    let at = Dir::open(Path::new("/")).and_then(|root| root.make(Path::new(&mount)));
    let at = at.map_err(|e| format!("{mount}: {e}"))?;
    if !is_mounted(&node, &mount)? {
        if kind == Filesystem::Ext4 {
            // 1: it repaired something, and all is well.
            run_tool("e2fsck", &["-p"], &node, 1)?;
        }
        rustix::mount::mount(&node, at.handle(), kind.name(), MountFlags::empty(), None)
            .map_err(|e| format!("does not mount as {} ({e})", kind.name()))?;
    }
    let stat = rustix::fs::statvfs(mount.as_str()).map_err(|e| format!("{mount}: {e}"))?;
    let megabytes = stat.f_blocks.saturating_mul(stat.f_frsize) >> 20;
    Ok(Done { filesystem: kind.name(), mount, megabytes, formatted })
}

/// What a partition holds.
#[derive(Clone, Copy)]
enum Content {
    Nothing,
    Filesystem(Filesystem),
    /// The half of something, or nobody knows what.
    Unknown,
    Other(&'static str),
}

impl std::fmt::Display for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nothing => f.write_str("holds nothing, and is not a new one: it is not formatted"),
            Self::Filesystem(kind) => f.write_str(kind.name()),
            Self::Unknown => f.write_str("holds data of an unknown kind"),
            Self::Other(what) => write!(f, "holds {what}"),
        }
    }
}

fn look(node: &Path, bytes: u64) -> Result<Content, String> {
    let len = usize::try_from(bytes.min(EDGE)).unwrap_or(0);
    let (mut head, mut tail) = (vec![0; len], vec![0; len]);
    let read = File::open(node).and_then(|file| {
        file.read_exact_at(&mut head, 0)?;
        file.read_exact_at(&mut tail, bytes - len as u64)
    });
    read.map_err(|e| format!("does not read ({e})"))?;
    Ok(match probe(bytes, &head, &tail) {
        None => Content::Nothing,
        Some(found) if found.what == "an XFS filesystem" => Content::Filesystem(Filesystem::Xfs),
        Some(found) if found.what == "an ext2/3/4 filesystem" => Content::Filesystem(Filesystem::Ext4),
        Some(found) if found.kind == Kind::Unknown => Content::Unknown,
        Some(found) => Content::Other(found.what),
    })
}

fn mounts(node: &Path, kind: Filesystem, label: &str) -> bool {
    let at = format!("{TRY}-{label}");
    let done = fs::create_dir_all(&at).is_ok()
        && rustix::mount::mount(node, at.as_str(), kind.name(), MountFlags::RDONLY, None).is_ok();
    if done {
        let _ = rustix::mount::unmount(at.as_str(), UnmountFlags::empty());
    }
    let _ = fs::remove_dir(&at);
    done
}

fn format(node: &Path, kind: Filesystem, label: &str) -> Result<(), String> {
    match kind {
        // The half of an earlier run is no reason to stop; what else is there was looked at.
        // Nothing is discarded: some disks take hours for that, and `fstrim` does it at night.
        Filesystem::Xfs => run_tool("mkfs.xfs", &["-q", "-f", "-K", "-L", label], node, 0),
        // Nobody is kept from the last blocks: only data is on it.
        Filesystem::Ext4 => {
            let arguments = ["-q", "-F", "-m", "0", "-E", "nodiscard", "-L", label];
            run_tool("mkfs.ext4", &arguments, node, 0)
        }
    }
}

/// Runs a tool on a device. `most` is the greatest exit code that is good.
fn run_tool(tool: &str, arguments: &[&str], node: &Path, most: i32) -> Result<(), String> {
    let done = Command::new(tool).args(arguments).arg(node).output();
    let done = done.map_err(|e| format!("{tool}: {e}"))?;
    if done.status.code().is_some_and(|code| code <= most) {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    Err(format!("{tool} fails ({}): {last}", done.status))
}

/// Whether this device is at this mount point.
///
/// # Errors
/// When another one is.
fn is_mounted(node: &Path, at: &str) -> Result<bool, String> {
    use std::os::unix::fs::MetadataExt;
    let number = fs::metadata(node).map_err(|e| format!("{}: {e}", node.display()))?.rdev();
    let number = format!("{}:{}", rustix::fs::major(number), rustix::fs::minor(number));
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let last = mounts.lines().rev().map(|line| line.split(' ').collect::<Vec<_>>());
    for line in last {
        if line.get(4) == Some(&at) {
            let same = line.get(2) == Some(&number.as_str());
            return if same { Ok(true) } else { Err(format!("{at} has another disk mounted")) };
        }
    }
    Ok(false)
}

/// Writes down what the agent offers: disks that are there, and no others.
fn offer(sled: &Sled, document: &SledDocument, outcomes: &[Outcome]) -> Result<(), String> {
    let offered = outcomes.iter().filter_map(|(entry, result, _)| {
        let set = document.config.disks.get(&entry.set)?;
        let done = result.as_ref().ok().filter(|_| set.mesos)?;
        Some(Mounted { path: done.mount.clone(), megabytes: done.megabytes })
    });
    let offered: Vec<_> = offered.collect();
    let mut text = String::from("# The data disks that are mounted; made by `sledctl disks`.\n");
    if let Some(resources) = generate::resources(document, &offered).map_err(|e| e.to_string())? {
        text += &format!("MESOS_RESOURCES={}\n", envfile::quote(&resources));
    }
    write(sled, DISKS_ENV, &text)
}

fn report(plan: &Plan, outcomes: &[Outcome]) -> Value {
    let mut disks: Vec<Value> = Vec::new();
    for (entry, result, took) in outcomes {
        let (set, bay) = key(entry);
        let mut disk = json!({"set": set, "bay": bay, "disk": entry.disk, "serial": entry.serial});
        match result {
            Ok(done) => {
                disk["state"] = "serves".into();
                disk["filesystem"] = done.filesystem.into();
                disk["mount"] = done.mount.as_str().into();
                disk["megabytes"] = done.megabytes.into();
                disk["formatted"] = done.formatted.into();
                disk["took_ms"] = (*took).into();
            }
            Err(why) => {
                disk["state"] = "fails".into();
                disk["problem"] = why.as_str().into();
            }
        }
        disks.push(disk);
    }
    for entry in &plan.entries {
        let (state, why) = match &entry.action {
            Action::Refuse(why) => ("refused", why.as_str()),
            Action::Prepare { .. } => ("fails", "it got no partition"),
            Action::Keep { .. } => continue,
        };
        disks.push(json!({
            "set": entry.set, "disk": entry.disk, "serial": entry.serial, "state": state,
            "says": entry.says, "problem": why,
        }));
    }
    json!({"disks": disks, "warnings": plan.notes})
}

/// What an earlier run of this boot formatted stays in the report: udev starts further runs
/// for disks that appear, and at boot all of them do.
fn remember(report: &mut Value, before: &Value) {
    let list = |all: &Value| all.get("disks").and_then(Value::as_array).cloned().unwrap_or_default();
    let before = list(before);
    let Some(disks) = report.get_mut("disks").and_then(Value::as_array_mut) else { return };
    for disk in disks {
        let same = |old: &&Value| ["disk", "serial", "mount"].iter().all(|key| old.get(key) == disk.get(key));
        if let Some(old) = before.iter().find(same)
            && old.get("formatted") == Some(&true.into())
        {
            disk["formatted"] = true.into();
            disk["took_ms"] = old.get("took_ms").cloned().unwrap_or_default();
        }
    }
}

fn write(sled: &Sled, path: &str, text: &str) -> Result<(), String> {
    let path: PathBuf = sled.path(path);
    let (dir, name) = (path.parent(), path.file_name().and_then(|name| name.to_str()));
    let (Some(dir), Some(name)) = (dir, name) else { return Err(format!("{} is no file", path.display())) };
    durable::write(dir, name, text.as_bytes(), 0o644).map_err(|e| format!("{}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_formatted_at_this_boot_stays_in_the_report() {
        let disk = |serial: &str, formatted: bool, took: u64| {
            json!({
                "disk": "sda", "serial": serial, "mount": "/data/01", "state": "serves",
                "formatted": formatted, "took_ms": took,
            })
        };
        let all = |disk: Value| json!({"disks": [disk], "warnings": []});
        let mut report = all(disk("A", false, 5));
        remember(&mut report, &all(disk("A", true, 900)));
        assert_eq!(report, all(disk("A", true, 900)));
        // Another disk in its place, or nothing to remember.
        let mut report = all(disk("B", false, 5));
        remember(&mut report, &all(disk("A", true, 900)));
        remember(&mut report, &json!("damaged"));
        assert_eq!(report, all(disk("B", false, 5)));
        // One that fails now has no mount.
        let mut report = all(json!({"disk": "sda", "serial": "A", "state": "fails"}));
        remember(&mut report, &all(disk("A", true, 900)));
        assert!(report["disks"][0].get("formatted").is_none());
    }
}
