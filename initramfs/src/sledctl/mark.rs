//! Boot counting: systemd-boot takes one from the tries in the name of an image before
//! each boot and, when none are left, boots another. An image that got ready loses
//! its counter.
//!
//! Source: Boot Loader Specification, "Boot counting" (`uapi-group.org`):
//! `NAME+LEFT-DONE.efi` or `NAME+LEFT.efi`.

use super::sled::{GIVEN_BACK, Sled};
use crate::decide::history::History;
use crate::disks::{self, Content};
use crate::options::{Options, RootHash};
use crate::slots;
use formats::fat::{self, EditError, ReadError};
use formats::gpt::types;
use formats::layout::{self, EntryName, Standing, UKI_DIR};
use metadata::values::Hash32;
use rustix::fs::OFlags;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::time::SystemTime;

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

/// Reads the names in EFI/Linux. Pure.
pub fn trial(names: &[String], running: &EntryName) -> Trial {
    let names = || names.iter().map(String::as_str);
    let Some(own) = layout::own(names(), running) else { return Trial::Absent };
    let entries = names().filter_map(EntryName::parse);
    let other = |e: &EntryName| !e.is(&own) && !e.is(running) && e.standing() != Standing::Exhausted;
    let left = match own.standing() {
        Standing::Good | Standing::Missing => return Trial::Good,
        Standing::OnTrial { left, .. } => left,
        Standing::Exhausted => 0,
    };
    Trial::OnTrial { file: own.to_string(), left, other: entries.into_iter().any(|e| other(&e)) }
}

/// Takes the counter away, on both disks of a mirrored system: any of them may be the one
/// that firmware starts. Nothing to do when the sled runs from memory.
///
/// # Errors
/// When no ESP can be changed.
pub fn good(sled: &Sled) -> Result<(), String> {
    let says = on_esps(sled, &mut |esp, trial| {
        let Trial::OnTrial { file, .. } = trial else { return Ok(()) };
        let good = EntryName::parse(file).map(|name| name.good().to_string()).unwrap_or_default();
        esp.rename(file, &good, &sled.text("/proc/self/mountinfo").unwrap_or_default())
    })?;
    let (image, version, hash) = sled.image();
    remember(sled, &hash)?;
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

/// Remembers that the running image got ready, for PID 1's next decisions.
fn remember(sled: &Sled, hash: &str) -> Result<(), String> {
    let var = sled.path("/var");
    let Ok(hash) = hash.parse::<Hash32>() else { return Ok(()) };
    let mut history = History::load(&var);
    let past = history.of(&hash.0);
    history.ready(&hash.0);
    if history.of(&hash.0) == past {
        return Ok(());
    }
    history.save(&var).map_err(|e| format!("what became of images is not stored on /var: {e}"))
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
    let says = on_esps(sled, &mut |esp, trial| {
        let Trial::OnTrial { file, .. } = trial else { return Ok(()) };
        let before = EntryName::parse(file).and_then(|name| name.before_last_try());
        let Some(before) = before else { return Ok(()) };
        esp.rename(file, &before.to_string(), &sled.text("/proc/self/mountinfo").unwrap_or_default())
    })?;
    if matches!(says, Some(Trial::OnTrial { .. })) {
        println!("the image has its try back");
    }
    Ok(())
}

/// How the running image stands; `None` when it runs from memory. Of a pair of disks it is
/// the one with fewer tries.
///
/// # Errors
/// When no ESP can be read.
pub fn look(sled: &Sled) -> Result<Option<Trial>, String> {
    on_esps(sled, &mut |_, _| Ok(()))
}

/// What is done to an ESP, and how the image stands there.
type Work<'w> = &'w mut dyn FnMut(&Esp, &Trial) -> io::Result<()>;

fn on_esps(sled: &Sled, work: Work<'_>) -> Result<Option<Trial>, String> {
    let Some(disk) = boot_disk(sled)? else { return Ok(None) };
    let (image, version, hash) = sled.image();
    let root: Hash32 = hash.parse().map_err(|_| "the boot report does not say what runs".to_owned())?;
    let running = EntryName::new(&image, &version, &root.0);
    let mut disks = vec![disk];
    let usrhash = Some(hash);
    if let Ok(hash) = RootHash::of(&Options { usrhash, ..Options::default() })
        && let Some(found) = disks::find(&disks::look(), &hash).iter().find(|f| f.disk == disks[0])
    {
        disks = slots::both(&slots::machine::Kernel, found).into_iter().map(|found| found.disk).collect();
    }
    let mut all = Vec::new();
    let mut first = None;
    for disk in &disks {
        match on_esp(disk, &running, work) {
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

fn on_esp(disk: &str, running: &EntryName, work: Work<'_>) -> Result<Trial, String> {
    let esp = esp(disk)?;
    let fail = |e: io::Error| format!("ESP {}: {e}", esp.device.display());
    let trial = trial(&esp.names().map_err(fail)?, running);
    work(&esp, &trial).map_err(fail)?;
    Ok(trial)
}

/// An ESP. It is read below any filesystem: systemd mounts it where it wants, when somebody
/// looks at /boot, and what the kernel's vfat has not written yet is in the same cache.
struct Esp {
    device: PathBuf,
    size: u64,
}

/// The partition as something a filesystem is on.
struct Raw(File);

impl fat::Medium for Raw {
    fn read(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(buffer, at)
    }
    fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, at)
    }
    fn flush(&self) -> io::Result<()> {
        self.0.sync_all()
    }
}

impl Esp {
    /// The names in EFI/Linux.
    fn names(&self) -> io::Result<Vec<String>> {
        let file = File::open(&self.device)?;
        let mut read = |at: u64, buffer: &mut [u8]| file.read_exact_at(buffer, at);
        let names = fat::Volume::open(self.size, &mut read).and_then(|mut volume| volume.dir(UKI_DIR));
        let names = names.map_err(|error| match error {
            ReadError::Io(error) => error,
            other => io::Error::other(other),
        })?;
        Ok(names.unwrap_or_default().into_iter().map(|entry| entry.name).collect())
    }

    /// Gives a file in EFI/Linux another name. Where nobody has the ESP mounted that is done in
    /// place, so that a power cut leaves an image that boots, and nobody can mount it meanwhile.
    /// Where somebody has, the kernel's vfat does it, which has no order in what it writes.
    fn rename(&self, from: &str, to: &str, mountinfo: &str) -> io::Result<()> {
        let excl = i32::try_from(OFlags::EXCL.bits()).unwrap_or_default();
        match File::options().read(true).write(true).custom_flags(excl).open(&self.device) {
            Ok(file) => {
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                let now = u32::try_from(now.as_secs()).unwrap_or(u32::MAX);
                let raw = Raw(file);
                fat::Editor::open(self.size, &raw, now)
                    .and_then(|mut fs| fs.rename(UKI_DIR, from, to))
                    .map_err(|error| match error {
                        EditError::Write(error) | EditError::Read(ReadError::Io(error)) => error,
                        other => io::Error::other(other),
                    })
            }
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                let number = fs::metadata(&self.device)?.rdev();
                let number = (rustix::fs::major(number), rustix::fs::minor(number));
                let at = writable_mount(mountinfo, number)
                    .ok_or_else(|| io::Error::other("somebody has it mounted read-only, or holds it"))?;
                let dir = at.join(UKI_DIR);
                fs::rename(dir.join(from), dir.join(to))?;
                // FAT has no journal: on disk before anybody believes it.
                let dir = File::open(dir)?;
                dir.sync_all()?;
                Ok(rustix::fs::syncfs(&dir)?)
            }
            Err(error) => Err(error),
        }
    }
}

/// Where a device is mounted as a whole and for writing, as proc_pid_mountinfo(5) has it. Pure.
fn writable_mount(mountinfo: &str, (major, minor): (u32, u32)) -> Option<PathBuf> {
    let number = format!("{major}:{minor}");
    mountinfo.lines().find_map(|line| {
        let (mount, filesystem) = line.split_once(" - ")?;
        let mount: Vec<_> = mount.split(' ').collect();
        let writes = |options: &str| options.split(',').any(|option| option == "rw");
        let [_, _, device, "/", at, options, ..] = mount.as_slice() else { return None };
        (*device == number && writes(options) && writes(filesystem.rsplit(' ').next()?)).then_some(())?;
        Some(PathBuf::from(at.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")))
    })
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

/// That disk's ESP.
fn esp(disk: &str) -> Result<Esp, String> {
    let all = disks::look();
    let found = all.iter().find(|d| d.name == disk).ok_or_else(|| format!("{disk} is not a disk"))?;
    let Content::Gpt(table) = &found.content else { return Err(format!("{found}")) };
    let esp = table.partitions.iter().find(|p| p.type_guid == types::ESP);
    let esp = esp.ok_or_else(|| format!("{disk} has no EFI system partition"))?;
    let device = disks::device_of(disk, esp).map_err(|e| format!("{disk}, partition {}: {e}", esp.number))?;
    Ok(Esp { device, size: esp.size })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str]) -> Trial {
        let names: Vec<_> = names.iter().map(|n| (*n).to_owned()).collect();
        trial(&names, &EntryName::new("compute", "2", &[0xab; 32]))
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
            (&["compute_2_abababababababab.efi"][..], Trial::Good),
            (&["compute_2_abababababababab+3.efi"], on("compute_2_abababababababab+3.efi", 3, false)),
            // Another build of the same version is another image.
            (
                &["compute_2_0123456789abcdef.efi", "compute_2_abababababababab+2-1.efi"],
                on("compute_2_abababababababab+2-1.efi", 2, true),
            ),
            (&["compute_2_0123456789abcdef.efi"], Trial::Absent),
            // Of an earlier release.
            (&["compute_2.efi"], Trial::Good),
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
            let before = EntryName::parse(now).and_then(|name| name.before_last_try());
            assert_eq!(before.map(|name| name.to_string()).as_deref(), then, "{now}");
        }
    }

    #[test]
    fn a_version_may_have_a_plus_in_it() {
        let names = ["compute_2+deb12_abababababababab+1.efi".to_owned()];
        let file = names[0].clone();
        let running = EntryName::new("compute", "2+deb12", &[0xab; 32]);
        assert_eq!(trial(&names, &running), Trial::OnTrial { file, left: 1, other: false });
    }

    /// A loop device with an ESP that has this image.
    fn esp_with(file: &str) -> (Esp, syscalls::loopdev::Loop, tempfile::NamedTempFile) {
        use formats::tree::{Node, Origin, Tree, TreePath};
        let origin = Origin::Fixup("test");
        let mut tree = Tree::new(Node::dir(origin.clone()));
        let path = TreePath::parse(format!("{UKI_DIR}/{file}").as_bytes()).unwrap();
        tree.insert(path, Node::file(*b"MZ an image", 0o644, origin)).unwrap();
        let size = 40 << 20;
        let options =
            fat::Options { size, sector_size: 512, label: "esp".into(), volume_id: 1, mtime: 1_800_000_000 };
        let mut image = tempfile::NamedTempFile::new().unwrap();
        fat::write(image.as_file_mut(), &tree, &options).unwrap();
        let device = syscalls::loopdev::attach(image.as_file(), 512, false)
            .unwrap_or_else(|e| panic!("no loop device ({e}): this test needs root and /dev/loop-control"));
        (Esp { device: device.node.clone(), size }, device, image)
    }

    #[test]
    fn an_esp_that_somebody_holds_is_read_and_one_that_nobody_holds_is_changed() {
        let (esp, _device, _file) = esp_with("compute_2_abababababababab+2-1.efi");
        let names = |expected: &str| assert_eq!(esp.names().unwrap(), [expected]);
        let excl = i32::try_from(OFlags::EXCL.bits()).unwrap();
        // As a mount does.
        let held = File::options().read(true).custom_flags(excl).open(&esp.device).unwrap();
        names("compute_2_abababababababab+2-1.efi");
        let to = "compute_2_abababababababab.efi";
        let error = esp.rename("compute_2_abababababababab+2-1.efi", to, "").unwrap_err();
        assert!(error.to_string().contains("mounted read-only"), "{error}");
        // It is held while it is mounted somewhere: there the name is changed.
        let number = fs::metadata(&esp.device).unwrap().rdev();
        let at = tempfile::tempdir().unwrap();
        fs::create_dir_all(at.path().join(UKI_DIR)).unwrap();
        fs::write(at.path().join(UKI_DIR).join("a"), "x").unwrap();
        let (major, minor, at) = (rustix::fs::major(number), rustix::fs::minor(number), at.path());
        let line = format!("1 2 {major}:{minor} / {} rw - vfat /dev/x rw", at.display());
        esp.rename("a", "b", &line).unwrap();
        assert!(at.join(UKI_DIR).join("b").exists());
        names("compute_2_abababababababab+2-1.efi");
        drop(held);
        esp.rename("compute_2_abababababababab+2-1.efi", to, "").unwrap();
        names(to);
    }

    #[test]
    fn the_mount_that_writes_is_found() {
        let line = |device: &str, root: &str, at: &str, options: &str, of_all: &str| {
            format!("36 35 {device} {root} {at} {options} shared:1 - vfat /dev/vda1 {of_all}\n")
        };
        let found = |text: &str| writable_mount(text, (254, 1)).map(|at| at.display().to_string());
        let whole = line("254:1", "/", "/boot", "rw,relatime", "rw,fmask=0077");
        assert_eq!(found(&whole).as_deref(), Some("/boot"));
        for (device, root, options, of_all) in [
            ("254:10", "/", "rw", "rw"),
            ("254:1", "/EFI", "rw", "rw"),
            ("254:1", "/", "ro", "rw"),
            ("254:1", "/", "rw", "ro"),
            ("254:1", "/", "noexec,ro", "errors=remount-rw"),
        ] {
            assert_eq!(found(&line(device, root, "/boot", options, of_all)), None, "{device} {root}");
        }
        let both = line("254:1", "/", "/ro", "ro", "rw") + &line("254:1", "/", "/a\\040b", "rw", "rw");
        assert_eq!(found(&both).as_deref(), Some("/a b"));
        assert_eq!(found("nonsense"), None);
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
