//! Boot counting: systemd-boot takes one from the tries in the name of an image before
//! each boot and, when none are left, boots another. An image that got ready loses
//! its counter.
//!
//! Source: Boot Loader Specification, "Boot counting" (`uapi-group.org`):
//! `NAME+LEFT-DONE.efi` or `NAME+LEFT.efi`.

use super::sled::{GIVEN_BACK, Sled};
use crate::disks::{self, Content};
use crate::options::{Options, RootHash};
use crate::slots;
use formats::gpt::types;
use rustix::mount::{MountFlags, UnmountFlags};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Where the ESP is mounted meanwhile; below /run, only for root.
const AT: &str = "/run/sledos/esp";

/// How the running image stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trial {
    /// It has no counter.
    Good,
    /// It has one.
    OnTrial {
        /// Name of its file.
        file: String,
        /// Tries that are left.
        left: u32,
        /// Whether systemd-boot has another image to boot instead.
        other: bool,
    },
    /// The ESP does not have it: booted by PXE, or by somebody's hand.
    Absent,
}

/// What an entry's name says.
struct Entry<'n> {
    name: &'n str,
    tries: Option<u32>,
}

fn entry(file: &str) -> Option<Entry<'_>> {
    let stem = file.strip_suffix(".efi")?;
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?;
    let counted = stem.rsplit_once('+').and_then(|(name, counter)| {
        let (left, done) = counter.split_once('-').unwrap_or((counter, "0"));
        let _: u32 = number(done)?;
        Some(Entry { name, tries: Some(number(left)?) })
    });
    Some(counted.unwrap_or(Entry { name: stem, tries: None }))
}

/// Reads the names in EFI/Linux. Pure.
pub fn trial(names: &[String], image: &str, version: &str) -> Trial {
    let running = format!("{image}_{version}");
    let entries: Vec<_> = names.iter().filter_map(|file| Some((file, entry(file)?))).collect();
    let usable = |e: &Entry<'_>| e.name != running && e.tries != Some(0);
    let other = entries.iter().any(|(_, e)| usable(e));
    let mut own = entries.iter().filter(|(_, e)| e.name == running);
    match own.next() {
        None => Trial::Absent,
        // A good copy beside a counted one: a rename that was cut off. It is good.
        Some(_) if names.contains(&format!("{running}.efi")) => Trial::Good,
        Some((file, e)) => Trial::OnTrial { file: (*file).clone(), left: e.tries.unwrap_or_default(), other },
    }
}

/// Takes the counter away, on both disks of a mirrored system: any of them may be the one
/// that firmware starts. Nothing to do when the sled runs from memory.
///
/// # Errors
/// When no ESP can be changed.
pub fn good(sled: &Sled) -> Result<(), String> {
    let says = on_esps(sled, MountFlags::empty(), &|dir, trial, running| {
        let Trial::OnTrial { file, .. } = trial else { return Ok(()) };
        fs::rename(dir.join(file), dir.join(format!("{running}.efi")))?;
        // FAT has no journal: on disk before anybody believes it.
        File::open(dir)?.sync_all()
    })?;
    let (image, version, _) = sled.image();
    println!(
        "{}",
        match says {
            None => "runs from memory: there is nothing to mark".to_owned(),
            Some(Trial::Good) => format!("{image} {version} is good already"),
            Some(Trial::Absent) => format!("{image} {version} is not on this disk's ESP: nothing to mark"),
            Some(Trial::OnTrial { .. }) => format!("{image} {version} is good: it is not on trial any more"),
        }
    );
    Ok(())
}

/// Gives an image on trial back the try that this boot took, once in a boot.
///
/// # Errors
/// When no ESP can be changed.
pub fn give_back(sled: &Sled) -> Result<(), String> {
    // Before: a boot must not give back two.
    match File::options().write(true).create_new(true).open(sled.path(GIVEN_BACK)) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        made => made.map(drop).map_err(|e| format!("{GIVEN_BACK}: {e}"))?,
    }
    let says = on_esps(sled, MountFlags::empty(), &|dir, trial, _| {
        let Trial::OnTrial { file, .. } = trial else { return Ok(()) };
        let Some(before) = before(file) else { return Ok(()) };
        fs::rename(dir.join(file), dir.join(before))?;
        File::open(dir)?.sync_all()
    })?;
    if matches!(says, Some(Trial::OnTrial { .. })) {
        println!("the image has its try back");
    }
    Ok(())
}

/// The name of an entry before this boot's try was taken: of `+2-1` it is `+3`.
fn before(file: &str) -> Option<String> {
    let (name, counter) = file.strip_suffix(".efi")?.rsplit_once('+')?;
    let (left, done) = counter.split_once('-')?;
    let (left, done): (u32, u32) = (left.parse().ok()?, done.parse().ok()?);
    let (left, done) = (left.checked_add(1)?, done.checked_sub(1)?);
    Some(if done == 0 { format!("{name}+{left}.efi") } else { format!("{name}+{left}-{done}.efi") })
}

/// How the running image stands; `None` when it runs from memory. Of a pair of disks it is
/// the one with fewer tries.
///
/// # Errors
/// When no ESP can be read.
pub fn look(sled: &Sled) -> Result<Option<Trial>, String> {
    on_esps(sled, MountFlags::RDONLY, &|_, _, _| Ok(()))
}

/// What is done to an ESP: its directory, how the image stands there, and its name.
type Work<'w> = &'w dyn Fn(&Path, &Trial, &str) -> io::Result<()>;

fn on_esps(sled: &Sled, flags: MountFlags, work: Work<'_>) -> Result<Option<Trial>, String> {
    let Some(disk) = boot_disk(sled)? else { return Ok(None) };
    let (image, version, hash) = sled.image();
    let mut disks = vec![disk];
    let usrhash = Some(hash);
    if let Ok(hash) = RootHash::of(&Options { usrhash, ..Options::default() })
        && let Some(found) = disks::find(&disks::look(), &hash).iter().find(|f| f.disk == disks[0])
    {
        disks = slots::both(found).into_iter().map(|found| found.disk).collect();
    }
    let mut all = Vec::new();
    let mut first = None;
    for disk in &disks {
        match on_esp(sled, disk, flags, &image, &version, work) {
            Ok(trial) => all.push(trial),
            Err(error) => {
                // The other of a pair may be dying.
                if disks.len() > 1 {
                    eprintln!("{error}");
                }
                first.get_or_insert(error);
            }
        }
    }
    match first {
        Some(error) if all.is_empty() => Err(error),
        _ => Ok(worst(all)),
    }
}

/// The one that says most about what happens at the next boot.
fn worst(all: Vec<Trial>) -> Option<Trial> {
    all.into_iter().min_by_key(|trial| match trial {
        Trial::OnTrial { left, .. } => (0, *left),
        Trial::Good => (1, 0),
        Trial::Absent => (2, 0),
    })
}

fn on_esp(
    sled: &Sled,
    disk: &str,
    flags: MountFlags,
    image: &str,
    version: &str,
    work: Work<'_>,
) -> Result<Trial, String> {
    let device = esp(disk)?;
    let at = sled.path(AT);
    let fail = |what: &str, e: io::Error| format!("ESP {}: {what}: {e}", device.display());
    fs::create_dir_all(&at).map_err(|e| fail("mkdir", e))?;
    let safe = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount(&device, &at, "vfat", flags | safe, c"umask=0077")
        .map_err(|e| fail("mount", e.into()))?;
    let dir = at.join("EFI/Linux");
    let result = names(&dir).and_then(|names| {
        let trial = trial(&names, image, version);
        work(&dir, &trial, &format!("{image}_{version}"))?;
        Ok(trial)
    });
    let unmounted = rustix::mount::unmount(&at, UnmountFlags::empty());
    let _ = fs::remove_dir(&at);
    let trial = result.map_err(|e| fail("EFI/Linux", e))?;
    unmounted.map_err(|e| fail("unmount", e.into()))?;
    Ok(trial)
}

fn names(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        names.extend(entry?.file_name().into_string().ok());
    }
    names.sort();
    Ok(names)
}

/// The disk below the verified /usr; `None` when that is in memory.
fn boot_disk(sled: &Sled) -> Result<Option<String>, String> {
    let blocks = fs::read_dir(sled.path("/sys/block")).map_err(|e| format!("/sys/block: {e}"))?;
    let usr = blocks
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .find(|name| sled.text(&format!("/sys/block/{name}/dm/name")).as_deref() == Some("usr"))
        .ok_or("there is no device-mapper device named usr: not booted by sledos")?;
    let slaves = fs::read_dir(sled.path(&format!("/sys/block/{usr}/slaves")))
        .map_err(|e| format!("/sys/block/{usr}/slaves: {e}"))?;
    let below = slaves.flatten().filter_map(|entry| {
        // …/block/vda/vda2: a partition is in the directory of its disk.
        let path = fs::canonicalize(entry.path()).ok()?;
        path.join("partition").exists().then_some(())?;
        path.parent()?.file_name()?.to_str().map(str::to_owned)
    });
    let mut disks: Vec<_> = below.filter(|disk| !disk.starts_with("loop")).collect();
    disks.sort();
    disks.dedup();
    match disks.as_slice() {
        [] => Ok(None),
        [disk] => Ok(Some(disk.clone())),
        [..] => Err(format!("/usr is on several disks: {}", disks.join(", "))),
    }
}

/// The device of that disk's ESP.
fn esp(disk: &str) -> Result<PathBuf, String> {
    let all = disks::look();
    let found = all.iter().find(|d| d.name == disk).ok_or_else(|| format!("{disk} is not a disk"))?;
    let Content::Gpt(table) = &found.content else { return Err(format!("{found}")) };
    let esp = table.partitions.iter().find(|p| p.type_guid == types::ESP);
    let esp = esp.ok_or_else(|| format!("{disk} has no EFI system partition"))?;
    disks::device_of(disk, esp).map_err(|e| format!("{disk}, partition {}: {e}", esp.number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str]) -> Trial {
        let names: Vec<_> = names.iter().map(|n| (*n).to_owned()).collect();
        trial(&names, "compute", "2")
    }

    #[test]
    fn of_a_pair_the_disk_with_fewer_tries_counts() {
        let on = |left| Trial::OnTrial { file: String::new(), left, other: true };
        assert_eq!(worst(vec![Trial::Good, on(2), on(1)]), Some(on(1)));
        assert_eq!(worst(vec![Trial::Absent, Trial::Good]), Some(Trial::Good));
        assert_eq!(worst(vec![]), None);
    }

    #[test]
    fn the_counter_is_in_the_name() {
        let on = |file: &str, left, other| Trial::OnTrial { file: file.to_owned(), left, other };
        for (names, expected) in [
            (&["compute_2.efi"][..], Trial::Good),
            (&["compute_2+3.efi"], on("compute_2+3.efi", 3, false)),
            (&["compute_1.efi", "compute_2+2-1.efi"], on("compute_2+2-1.efi", 2, true)),
            (&["compute_1+0-3.efi", "compute_2+0-3.efi"], on("compute_2+0-3.efi", 0, false)),
            (&["compute_2+1-2.efi", "compute_2.efi"], Trial::Good),
            (&["compute_20.efi", "compute_2.efi.old", "compute_2+x.efi", "readme"], Trial::Absent),
            (&[], Trial::Absent),
        ] {
            assert_eq!(of(names), expected, "{names:?}");
        }
    }

    #[test]
    fn a_try_that_was_taken_is_given_back_and_no_other() {
        for (now, then) in [
            ("compute_2+2-1.efi", Some("compute_2+3.efi")),
            ("compute_2+0-3.efi", Some("compute_2+1-2.efi")),
            ("compute_2+deb12+1-2.efi", Some("compute_2+deb12+2-1.efi")),
            ("compute_2+3.efi", None),
            ("compute_2+3-0.efi", None),
            ("compute_2.efi", None),
        ] {
            assert_eq!(before(now).as_deref(), then, "{now}");
        }
    }

    #[test]
    fn a_version_may_have_a_plus_in_it() {
        let names = ["compute_2+deb12+1.efi".to_owned()];
        let file = names[0].clone();
        assert_eq!(trial(&names, "compute", "2+deb12"), Trial::OnTrial { file, left: 1, other: false });
    }

    /// A sysfs with /usr on these devices.
    fn sysfs(slaves: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let make = |path: &str, text: Option<&str>| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            text.map_or_else(|| fs::create_dir_all(&path), |text| fs::write(&path, text)).unwrap();
        };
        make("sys/block/dm-0/dm/name", Some("usr\n"));
        make("sys/block/dm-0/slaves", None);
        for slave in slaves {
            make(&format!("sys/devices/block/{slave}/partition"), Some("2\n"));
            let (_, name) = slave.split_once('/').unwrap();
            let link = root.path().join("sys/block/dm-0/slaves").join(name);
            std::os::unix::fs::symlink(format!("../../../devices/block/{slave}"), link).unwrap();
        }
        root
    }

    #[test]
    fn the_boot_disk_is_the_one_usr_is_on() {
        let disk = |slaves: &[&str]| boot_disk(&Sled::new(sysfs(slaves).path()));
        assert_eq!(disk(&["vda/vda2", "vda/vda3"]), Ok(Some("vda".into())));
        assert_eq!(disk(&[]), Ok(None));
        assert_eq!(disk(&["sda/sda2", "sdb/sdb3"]), Err("/usr is on several disks: sda, sdb".into()));
    }
}
