//! The same cuts without a start: what would be started is whole, and other people's tools find
//! nothing to ask about /var and the data disk. Hundreds take no longer than ten starts.

use super::{DATA, Operation, SSD};
use formats::layout::{self, BOOT_PATHS, Role};
use formats::{gpt, md};
use qemu_tests::cuts::{self, Recording};
use qemu_tests::judge;
use qemu_tests::startable::{self, Judge, Known};
use sledos::cli::boot::manifest;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr as _;

/// A data disk whose filesystem is not whole yet has this attribute.
const FRESH: u64 = 1 << 48;

/// What a cut may have left.
pub(super) struct Host {
    dir: PathBuf,
    known: Vec<Known>,
    loader: Vec<u8>,
}

impl Host {
    /// `dir` has room for disks; `installed` is a bay with a pair as it should be.
    pub(super) fn new(dir: &Path, images: &[&Path], installed: &Path) -> Self {
        let known = images.iter().map(|image| {
            let manifest = manifest(image).expect("the image has one");
            let hash = metadata::values::Hash32::from_str(&manifest.root_hash).expect("a root hash").0;
            let uki = std::fs::read(image.join("compute.efi")).expect("the image has it");
            Known { hash, uki }
        });
        let disk = File::open(installed).expect("it is there");
        let read = |at: u64, buffer: &mut [u8]| disk.read_exact_at(buffer, at);
        let table = gpt::read(SSD, 512, read).expect("it is installed");
        let loader =
            startable::esp_file(&table.partitions, BOOT_PATHS[0], &read).expect("systemd-boot is there");
        Self { dir: dir.to_owned(), known: known.collect(), loader }
    }

    /// Cuts an operation at some places. Returns how many there were, and what was lost.
    pub(super) fn cut(&self, what: &Operation, count: usize, seed: u64) -> (usize, Vec<String>) {
        let recording = Recording::open(&what.log).expect("QEMU wrote it");
        let places = recording.places(count, &what.parts, seed);
        let base = self.dir.join("judged.raw");
        let mut rebuilt = recording.rebuild(&what.before, &base).expect("there is room");
        let mut halves = [0, SSD].map(|start| (start, Judge::new(&self.known, &self.loader)));
        let mut lost = Vec::new();
        for after in &places {
            let changes = rebuilt.cut(*after, seed ^ *after as u64).expect("the places are in order");
            let disk = File::open(&base).expect("it was made just now");
            let mut said = Vec::new();
            for (n, (start, judge)) in halves.iter_mut().enumerate() {
                let own = changes.iter().filter(|c| (*start..*start + SSD).contains(&c.start));
                judge.changed(&own.map(|c| c.start - *start..c.end - *start).collect::<Vec<_>>());
                let has_to = n < what.halves;
                let read = |at: u64, buffer: &mut [u8]| disk.read_exact_at(buffer, *start + at);
                said.push(match judge.starts(SSD, &read) {
                    Ok(Some(image)) => Ok(image),
                    Ok(None) if !has_to => continue,
                    Ok(None) => Err("nothing to start".to_owned()),
                    Err(why) => Err(why),
                });
                if has_to {
                    said.extend(self.var(&base, *start, &read).err().map(Err));
                }
            }
            if what.serves {
                said.extend(self.data(&base, &disk).err().map(Err));
            }
            lost.extend(said.into_iter().filter_map(Result::err).map(|why| {
                let name = what.name;
                format!("{name}, seed {seed}, cut at {after}: {why}")
            }));
        }
        println!("{}, seed {seed}: {} judged of {}, {lost:#?}", what.name, places.len(), recording.len());
        if what.halves > 0 && lost.is_empty() {
            self.sees_damage(&base, &mut halves[0].1);
        }
        (places.len(), lost)
    }

    /// A changed byte of the /usr that is started is seen.
    fn sees_damage(&self, bay: &Path, judge: &mut Judge<'_>) {
        let disk = File::options().read(true).write(true).open(bay).expect("it is there");
        let read = |at: u64, buffer: &mut [u8]| disk.read_exact_at(buffer, at);
        let started = judge.starts(SSD, &read).expect("it was whole").expect("something is started");
        let (usr, _) = layout::usr_guids(&self.known[started].hash);
        let table = gpt::read(SSD, 512, read).expect("it was read before");
        let at = table.partitions.iter().find(|p| p.guid == usr).expect("its slot").start + (9 << 20);
        let mut byte = [0];
        read(at, &mut byte).expect("it is there");
        disk.write_all_at(&[!byte[0]], at).expect("it is there");
        judge.changed(std::slice::from_ref(&(at..at + 1)));
        let why = judge.starts(SSD, &read).expect_err("a block of it is not right");
        assert!(why.contains("block 2304 of its /usr is damaged"), "{why}");
    }

    /// e2fsck repairs /var without a question, and what was on it is there.
    fn var(&self, bay: &Path, start: u64, read: startable::ReadAt<'_>) -> Result<(), String> {
        let table = gpt::read(SSD, 512, read).map_err(|e| e.to_string())?;
        let root = table.partitions.iter().find(|p| p.name == Role::Root.label()).ok_or("no ROOT")?;
        let mut superblock = [0; 4096];
        read(root.start + md::SUPERBLOCK, &mut superblock).map_err(|e| e.to_string())?;
        md::parse(&superblock).ok_or("ROOT is no half of an array")?;
        let from = start + root.start;
        let file = self.part(bay, from + md::DATA..from + root.size)?;
        let mut checked = tool("e2fsck", &["-p".as_ref(), file.as_os_str()])?;
        // As PID 1 does it: of two sectors of a superblock one may be of another write.
        if checked.status.code() == Some(8) {
            let copy = ["-p", "-b", "32768", "-B", "4096"].map(std::ffi::OsStr::new);
            let args: Vec<_> = copy.into_iter().chain([file.as_os_str()]).collect();
            checked = tool("e2fsck", &args)?;
        }
        // 1: it repaired something, and all is well.
        if !matches!(checked.status.code(), Some(0 | 1)) {
            return Err(format!("e2fsck: {}", String::from_utf8_lossy(&checked.stdout)));
        }
        let marker = tool("debugfs", &["-R".as_ref(), "cat /marker".as_ref(), file.as_os_str()])?;
        if marker.stdout == b"kept\n" { Ok(()) } else { Err("what was on /var is not there".to_owned()) }
    }

    /// A data disk is blank, marked as new, or has a filesystem that mounts.
    fn data(&self, bay: &Path, disk: &File) -> Result<(), String> {
        let read = |at: u64, buffer: &mut [u8]| disk.read_exact_at(buffer, DATA.start + at);
        let Ok(table) = gpt::read(DATA.end - DATA.start, 512, read) else { return Ok(()) };
        let Some(part) = table.partitions.first().filter(|p| p.attributes & FRESH == 0) else {
            return Ok(());
        };
        let from = DATA.start + part.start;
        let file = self.part(bay, from..from + part.size)?;
        let at = self.dir.join("mount");
        std::fs::create_dir_all(&at).map_err(|e| e.to_string())?;
        let options = ["-t", "xfs", "-o", "loop"].map(std::ffi::OsStr::new);
        let args: Vec<_> = options.into_iter().chain([file.as_os_str(), at.as_os_str()]).collect();
        let mounted = tool("mount", &args)?;
        if !mounted.status.success() {
            return Err(format!("its filesystem: {}", String::from_utf8_lossy(&mounted.stderr)));
        }
        judge::run("mount", "umount", [at]);
        Ok(())
    }

    fn part(&self, bay: &Path, part: std::ops::Range<u64>) -> Result<PathBuf, String> {
        let file = self.dir.join("judged.part");
        cuts::part(bay, part, &file).map_err(|e| e.to_string())?;
        Ok(file)
    }
}

/// Runs a tool that may find fault.
fn tool(name: &str, args: &[&std::ffi::OsStr]) -> Result<std::process::Output, String> {
    let done: io::Result<_> =
        Command::new(name).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").args(args).output();
    done.map_err(|e| format!("{name}: {e}"))
}

/// What was recorded by another run, and is in this directory: `SLEDOS_CUTS_RECORDS`.
#[test]
#[ignore = "needs what another run recorded; see CONTRIBUTING.md"]
fn what_was_recorded_is_whole_after_a_power_cut() {
    let Some(records) = std::env::var_os("SLEDOS_CUTS_RECORDS") else { return };
    let records = Path::new(&records);
    let images = records.join("www/images/compute");
    let images = [images.join("test"), images.join("test-2")];
    let dir = tempfile::tempdir_in(records).expect("there is room");
    let update = records.join("update.before");
    let host = Host::new(dir.path(), &[&images[0], &images[1]], &update);
    let operations = super::operations(records, &update);
    let operations: Vec<_> = operations.iter().filter(|what| what.log.exists()).collect();
    super::judge(&host, &operations);
}
