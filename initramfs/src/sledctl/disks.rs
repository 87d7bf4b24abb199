//! Data disks in the running system: filesystems on new partitions, mounts, and what the
//! Mesos agent offers of them. PID 1 has partitioned; a disk that came after that is
//! partitioned here, by the same plan.

use super::mirror;
use super::places::{self, Place};
use super::ready::say;
use super::sled::{DISKS, DISKS_ENV, DISKS_LOCK, DISKS_SEEN, Sled};
use crate::beneath::Dir;
use crate::durable;
use crate::log::Log;
use crate::probe::{Kind, probe};
use crate::root::{self, Checked};
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

/// Whether there is something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// In any case.
    Always,
    /// When a disk appeared since the last time.
    New,
}

/// Makes filesystems on new partitions, mounts all, and writes down what the agent
/// offers. What does not work is said and reported; the others serve.
///
/// # Errors
/// When there is no document, or the results cannot be written.
pub fn run(sled: &Sled, when: When) -> Result<(), String> {
    // Each disk that appears starts one: they wait for each other, and none looks at disks that
    // another works on.
    let _lock = only_one(sled)?;
    let there = appearances(&sled.path("/sys"));
    if when == When::New && sled.text(DISKS_SEEN).is_some_and(|seen| !is_news(&seen, &there)) {
        return Ok(());
    }
    work(sled)?;
    // Those that appeared meanwhile are not among them.
    write(sled, DISKS_SEEN, &(there.join("\n") + "\n"))
}

/// Waits until no other one runs.
fn only_one(sled: &Sled) -> Result<File, String> {
    let fail = |e: std::io::Error| format!("{DISKS_LOCK}: {e}");
    let file = File::create(sled.path(DISKS_LOCK)).map_err(fail)?;
    rustix::fs::flock(&file, FlockOperation::LockExclusive).map_err(|e| fail(e.into()))?;
    Ok(file)
}

/// The disks that are there: the name of each, and the number of its appearance, which no
/// other one gets while this kernel runs.
fn appearances(sys: &Path) -> Vec<String> {
    let number = |name: &str| fs::read_to_string(sys.join("block").join(name).join("diskseq"));
    let names = disks::names(sys).into_iter();
    names.map(|name| format!("{name} {}", number(&name).unwrap_or_default().trim())).collect()
}

/// Whether a disk is there that was not seen.
fn is_news(seen: &str, there: &[String]) -> bool {
    there.iter().any(|disk| !seen.lines().any(|line| line.trim() == disk.trim()))
}

fn work(sled: &Sled) -> Result<(), String> {
    let document = sled.document()?;
    let mirror = mirror::run(sled);
    let mut plan = storage::look(&document);
    print!("{plan}");
    for entry in &plan.entries {
        if to_do(entry)
            && let Err(error) = lock(&entry.device.name)
                .and_then(|_lock| execute::carry_out(entry).map_err(|e| Log::chain(&e)))
        {
            say(sled, sled.uptime_ms(), &format!("disks: {} gets no partition: {error}", entry.device));
        }
    }
    if plan.entries.iter().any(to_do) {
        plan = storage::look(&document);
    }
    places::make_room(sled, &mount_points(&document, &plan));
    let outcomes = all(sled, &document, &plan);
    let places = places::settle(sled, &document, &serve(&document, &outcomes));
    places.notes.iter().for_each(|note| say(sled, sled.uptime_ms(), &format!("disks: warning: {note}")));
    offer(sled, &document, &places.mounted())?;
    let mut report = report(&plan, &outcomes);
    places.report(&mut report);
    if let Some(mirror) = mirror {
        report["mirror"] = mirror;
    }
    if let Some(before) = sled.text(DISKS).and_then(|text| serde_json::from_str(&text).ok()) {
        remember(&mut report, &before);
    }
    write(sled, DISKS, &report.to_string())
}

/// Whether PID 1 would have done something, had the disk been there.
fn to_do(entry: &Entry) -> bool {
    matches!(entry.action, Action::Prepare { .. } | Action::Renumber { .. })
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
        let serial = &entry.device.serial;
        let text = match result {
            Ok(Done { formatted: false, .. }) => continue,
            Ok(done) => format!(
                "{} on {} {serial} formatted with {} in {}.{} s",
                done.mount,
                entry.device.name,
                done.filesystem,
                took / 1000,
                took / 100 % 10
            ),
            Err(why) => format!("{} of set {} fails: {why}", entry.device, entry.set),
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
        Action::Keep { bay, .. } | Action::Prepare { bay, .. } | Action::Renumber { bay, .. } => {
            (&entry.set, *bay)
        }
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
    let disk = &entry.device.name;
    let _lock = lock(disk)?;
    execute::still_has(disk, partition).map_err(|e| e.to_string())?;
    let node = disks::device_of(disk, partition).map_err(|e| format!("no partition ({e})"))?;
    let mount = set.mount_point(&entry.set, bay);
    let mut kind = look(&node, partition)?;
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
            kind = look(&node, partition)?;
            if !matches!(kind, Content::Filesystem(made) if made == set.filesystem) {
                return Err(format!("mkfs ended well, and the partition {kind}"));
            }
        }
        execute::formatted(disk, partition).map_err(|e| Log::chain(&e))?;
        formatted = true;
    }
    let Content::Filesystem(kind) = kind else { return Err(format!("the partition {kind}")) };
    // Users may own directories above it, and mounts go where was looked.
    let at = Dir::open(Path::new("/")).and_then(|root| root.make(Path::new(&mount)));
    let at = at.map_err(|e| format!("{mount}: {e}"))?;
    if !is_mounted(&node, &mount)? {
        if kind == Filesystem::Ext4 {
            match root::check(&|| Command::new("/usr/sbin/e2fsck"), &node) {
                Checked::Clean | Checked::Repaired(_) => {}
                Checked::Broken(said) | Checked::Not(said) => return Err(format!("has errors: {said}")),
            }
        }
        // What is damaged is not written to any more, and checked at the next boot. XFS shuts
        // down by itself.
        let options = (kind == Filesystem::Ext4).then_some(c"errors=remount-ro");
        rustix::mount::mount(&node, at.handle(), kind.name(), MountFlags::empty(), options)
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

/// Looks through the partition's node, as mkfs writes.
fn look(node: &Path, partition: &Partition) -> Result<Content, String> {
    let edges = disks::edges_of(node, 0, partition.size);
    let edges = edges.map_err(|e| format!("does not read ({e})"))?;
    Ok(match probe(partition.size, &edges.head, &edges.tail) {
        None => Content::Nothing,
        Some(found) => match found.kind {
            Kind::Xfs => Content::Filesystem(Filesystem::Xfs),
            Kind::Ext => Content::Filesystem(Filesystem::Ext4),
            Kind::Unknown => Content::Unknown,
            Kind::Table | Kind::Filesystem | Kind::Member => Content::Other(found.what),
        },
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
        Filesystem::Xfs => run_tool("mkfs.xfs", &["-q", "-f", "-K", "-L", label], node),
        // Nobody is kept from the last blocks: only data is on it.
        Filesystem::Ext4 => {
            let arguments = ["-q", "-F", "-m", "0", "-E", "nodiscard", "-L", label];
            run_tool("mkfs.ext4", &arguments, node)
        }
    }
}

/// Runs a tool on a device.
fn run_tool(tool: &str, arguments: &[&str], node: &Path) -> Result<(), String> {
    let done = Command::new(tool).args(arguments).arg(node).output();
    let done = done.map_err(|e| format!("{tool}: {e}"))?;
    if done.status.success() {
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

/// Where the disks of a plan are to be mounted.
fn mount_points(document: &SledDocument, plan: &Plan) -> Vec<String> {
    let point = |entry: &Entry| match &entry.action {
        Action::Keep { bay, .. } => {
            Some(document.config.disks.get(&entry.set)?.mount_point(&entry.set, *bay))
        }
        _ => None,
    };
    plan.entries.iter().filter_map(point).collect()
}

/// The disks that are mounted and are for the agent.
fn serve(document: &SledDocument, outcomes: &[Outcome]) -> Vec<Place> {
    let place = |(entry, result, _): &Outcome| {
        document.config.disks.get(&entry.set).filter(|set| set.mesos)?;
        let (done, (set, bay)) = (result.as_ref().ok()?, key(entry));
        let (set, mount, serial) = (set.to_owned(), done.mount.clone(), entry.device.serial.clone());
        Some(Place { set, bay, mount, serial, megabytes: done.megabytes })
    };
    outcomes.iter().filter_map(place).collect()
}

/// Writes down what the agent offers.
fn offer(sled: &Sled, document: &SledDocument, offered: &[Mounted]) -> Result<(), String> {
    let mut text = String::from("# The data disks of this sled; made by `sledctl disks`.\n");
    if let Some(resources) = generate::resources(document, offered).map_err(|e| e.to_string())? {
        text += &format!("MESOS_RESOURCES={}\n", envfile::quote(&resources));
    }
    write(sled, DISKS_ENV, &text)
}

fn report(plan: &Plan, outcomes: &[Outcome]) -> Value {
    let mut disks: Vec<Value> = Vec::new();
    for (entry, result, took) in outcomes {
        let (set, bay) = key(entry);
        let mut disk =
            json!({"set": set, "bay": bay, "disk": entry.device.name, "serial": entry.device.serial});
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
            Action::Prepare { .. } | Action::Renumber { .. } => ("fails", "it got no partition"),
            Action::Keep { .. } => continue,
        };
        disks.push(json!({
            "set": entry.set, "disk": entry.device.name, "serial": entry.device.serial, "state": state,
            "says": entry.device.to_string(), "problem": why,
        }));
    }
    json!({"disks": disks, "warnings": plan.notes})
}

/// What an earlier run of this boot formatted, and the halves of a mirror that it found to have
/// run apart, stay in the report: udev starts further runs for disks that appear, and at boot
/// all of them do.
fn remember(report: &mut Value, before: &Value) {
    let apart = |all: &Value| all.get("mirror").and_then(|mirror| mirror.get("apart")).cloned();
    if let Some(then) = apart(before).and_then(|then| Some(then.as_array()?.clone()))
        && let Some(now) = report.get_mut("mirror").and_then(|mirror| mirror.get_mut("apart"))
        && let Some(now) = now.as_array_mut()
    {
        let new: Vec<_> = then.into_iter().filter(|half| !now.contains(half)).collect();
        now.splice(0..0, new);
        // A half that stays as it is is found again at each run.
        now.dedup();
    }
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
    fn every_appearance_of_a_disk_is_news_once() {
        let root = tempfile::tempdir().unwrap();
        let sled = Sled::new(root.path());
        let appear = |name: &str, number: &str| {
            let dir = root.path().join("sys/block").join(name);
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("diskseq"), format!("{number}\n")).unwrap();
        };
        let there = || appearances(&sled.path("/sys"));
        appear("sda", "7");
        appear("loop0", "8");
        assert_eq!(there(), ["sda 7"]);
        assert!(is_news("", &there()));
        let mut seen = there().join("\n");
        assert!(!is_news(&seen, &there()));
        appear("sdb", "9");
        assert!(is_news(&seen, &there()));
        seen = there().join("\n");
        fs::remove_dir_all(root.path().join("sys/block/sda")).unwrap();
        assert!(!is_news(&seen, &there()), "one that went away");
        // Another one in its place, with its name.
        appear("sda", "10");
        assert!(is_news(&seen, &there()));
    }

    #[test]
    fn they_work_one_after_the_other() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("run/sledos")).unwrap();
        let sled = Sled::new(root.path());
        let first = only_one(&sled).unwrap();
        let other = File::open(sled.path(DISKS_LOCK)).unwrap();
        let try_it = || rustix::fs::flock(&other, FlockOperation::NonBlockingLockExclusive);
        assert!(try_it().is_err());
        drop(first);
        try_it().unwrap();
    }

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
        // Halves that ran apart were made to fit: that they did is still to be known.
        let mirror = |apart: &[&str]| json!({"disks": [], "mirror": {"device": "md127", "apart": apart}});
        let mut report = mirror(&["b"]);
        remember(&mut report, &mirror(&["a", "b"]));
        assert_eq!(report, mirror(&["a", "b"]));
        // One that fails now has no mount.
        let mut report = all(json!({"disk": "sda", "serial": "A", "state": "fails"}));
        remember(&mut report, &all(disk("A", true, 900)));
        assert!(report["disks"][0].get("formatted").is_none());
    }
}
