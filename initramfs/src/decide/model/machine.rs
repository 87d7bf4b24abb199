//! The machine: disks, firmware, servers, and what its images do once they run.

use super::disk::{Memory, Power};
use super::firmware;
use crate::decide::carry_out::{End, Host, carry_out};
use crate::decide::history::History;
use crate::decide::{Hash, Slot, Wanted};
use crate::disks::{self, Content, Found};
use crate::failure::{Code, Failure};
use crate::identity::Recognised;
use crate::log::Log;
use crate::options::RootHash;
use crate::slots::classify::{EDGE, classify};
use crate::slots::device::Device;
use crate::slots::disk::Disk;
use crate::slots::machine::{Machine, Share};
use crate::slots::tests::{Files, NOW, image, log, random};
use crate::slots::{self, Chance, Installation, Job, Live};
use formats::fat;
use formats::gpt::{self, Guid, Partition};
use formats::layout::{self, Role};
use formats::md::{self, Member};
use metadata::document::{Image, Install};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Boot scripts a sled gets without a report before it is sent to its disk.
const ASKS: u32 = 4;

pub(super) const BOOT_LOADER: &[u8] = b"MZ a boot loader";

/// What an image does once its kernel runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behaviour {
    /// Gets ready.
    Good,
    /// Its kernel or its PID 1 dies.
    Panics,
    /// systemd runs, and the sled restarts because it does not get ready.
    NeverReady,
}

/// An image that the servers have.
pub(super) struct Release {
    pub(super) image: Image,
    pub(super) files: Files,
    pub(super) behaviour: Behaviour,
}

/// A disk in its bay.
#[derive(Clone, Debug)]
pub(super) struct Drive {
    pub(super) name: String,
    /// Where it is attached: the order of `pick: first`.
    pub(super) path: String,
    pub(super) memory: Memory,
    /// Whether the kernel sees it at this boot.
    pub(super) present: bool,
}

/// What firmware tries, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Firmware {
    Disks,
    NetworkFirst,
}

/// How a boot ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// This release is ready.
    Ready(usize),
    /// The sled restarts because PID 1 wants it.
    Restart,
    /// It restarts because something died.
    Reset,
    /// The power was cut.
    PowerCut,
    /// There is nothing to start, or nobody to ask.
    Waits,
    /// PID 1 gives up.
    Refused(Code),
}

/// What is broken on purpose, to see that it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// An update goes to the disk that the document describes.
    UpdateChoosesDisk,
    /// Nothing is remembered.
    Forgets,
}

/// Everything that lasts from boot to boot, and the world around.
pub(super) struct Sled {
    pub(super) power: Power,
    pub(super) drives: Vec<Drive>,
    pub(super) releases: Arc<Vec<Release>>,
    /// The release that the document names.
    pub(super) wanted: usize,
    pub(super) server: bool,
    pub(super) firmware: Firmware,
    /// The disk that firmware starts next, and only then.
    pub(super) next: Option<String>,
    /// How often the sled asked for its boot script since it last reported.
    pub(super) asks: u32,
    /// Whether the network started the kernel that runs.
    pub(super) by_network: bool,
    /// The release whose entry, once it has no count of tries, a variable of the firmware starts
    /// whatever loader.conf says; it does not let itself be removed.
    pub(super) pinned: Option<usize>,
    pub(super) install: Install,
    /// What lies on each ROOT: what is remembered of images, and the document's release.
    pub(super) roots: BTreeMap<Guid, (History, Option<usize>)>,
    /// A directory with systemd-boot, as /usr has it.
    pub(super) usr: Arc<tempfile::TempDir>,
    pub(super) story: Vec<String>,
    pub(super) broken: Option<Broken>,
    /// How often it was started.
    pub(super) boots: u64,
    /// The release that was ready last.
    pub(super) last_good: Option<usize>,
    /// Whether a slot has rotted.
    pub(super) rotten: bool,
}

/// Releases of so many blocks, versions 1, 2, ….
pub(super) fn releases(behaviours: &[Behaviour]) -> Arc<Vec<Release>> {
    let release = |(n, behaviour): (usize, &Behaviour)| {
        let (image, files) = image(&format!("{n}"), 6 + n);
        Release { image, files, behaviour: *behaviour }
    };
    Arc::new((1..).zip(behaviours).map(release).collect())
}

impl Sled {
    pub(super) fn new(drives: usize, releases: &Arc<Vec<Release>>, install: Install) -> Self {
        let power = Power::default();
        let usr = tempfile::tempdir().unwrap();
        let loader = usr.path().join(layout::BOOT_LOADER);
        std::fs::create_dir_all(loader.parent().unwrap()).unwrap();
        std::fs::write(loader, BOOT_LOADER).unwrap();
        let drive = |n: usize| Drive {
            name: format!("sd{}", char::from(b'a' + u8::try_from(n).unwrap())),
            path: format!("pci/{n}"),
            memory: Memory::new(2200 << 20, &power),
            present: true,
        };
        Self {
            drives: (0..drives).map(drive).collect(),
            power,
            releases: Arc::clone(releases),
            wanted: 0,
            server: true,
            firmware: Firmware::Disks,
            next: None,
            by_network: false,
            asks: 0,
            pinned: None,
            install,
            roots: BTreeMap::new(),
            usr: Arc::new(usr),
            story: Vec::new(),
            broken: None,
            boots: 0,
            last_good: None,
            rotten: false,
        }
    }

    /// The same sled, to try something on.
    pub(super) fn copy(&self) -> Self {
        let power = Power::default();
        let drive = |drive: &Drive| Drive { memory: drive.memory.copy(&power), ..drive.clone() };
        Self {
            drives: self.drives.iter().map(drive).collect(),
            releases: Arc::clone(&self.releases),
            roots: self.roots.clone(),
            usr: Arc::clone(&self.usr),
            story: self.story.clone(),
            install: self.install.clone(),
            next: self.next.clone(),
            power,
            ..*self
        }
    }

    pub(super) fn says(&mut self, line: String) {
        self.story.push(line);
    }

    fn drive(&self, name: &str) -> Option<&Drive> {
        self.drives.iter().find(|drive| drive.present && drive.name == name)
    }

    fn release_of(&self, hash: &Hash) -> Option<usize> {
        self.releases.iter().position(|release| release.image.root_hash.0 == *hash)
    }

    fn root_of(&self, disk: &str) -> Option<Guid> {
        let Content::Gpt(table) = self.disk(disk)?.content else { return None };
        table.partitions.iter().find(|p| p.name == Role::Root.label()).map(|p| p.guid)
    }

    /// Firmware and systemd-boot: which image is started, and from which disk.
    fn start(&mut self) -> Option<(Hash, Option<String>)> {
        let network = self.server.then(|| (self.releases[self.wanted].image.root_hash.0, None));
        let next = self.next.take();
        if self.firmware == Firmware::NetworkFirst && next.is_none() && self.server {
            self.asks += 1;
            // `sledos serve` sends one that starts again and again without a report to its disk.
            let to_disk = !self.roots.is_empty() && self.asks > ASKS && self.asks.is_multiple_of(2);
            if !to_disk {
                return network;
            }
            self.says("the boot script leads to the disk".to_owned());
        }
        let is_next = |drive: &&Drive| next.as_ref() == Some(&drive.name);
        let all = self.drives.iter().filter(is_next).chain(self.drives.iter().filter(|d| !is_next(d)));
        for drive in all.filter(|drive| drive.present) {
            let Some(menu) = firmware::menu(&drive.memory, BOOT_LOADER) else { continue };
            let image = self.pinned.map(|release| &self.releases[release].image);
            let pinned = image.map(|i| layout::EntryName::new(&i.name, &i.version, &i.root_hash.0).good());
            let pinned = pinned.map(|entry| entry.to_string());
            let pinned = menu.entries.iter().find(|entry| pinned.as_ref() == Some(&entry.file));
            let chosen = || menu.chosen.and_then(|at| menu.entries.get(at));
            let Some(entry) = pinned.or_else(chosen) else { continue };
            if let Some(new) = firmware::counted(entry) {
                rename(&drive.memory, &entry.file, &new);
            }
            if let Some(hash) = entry.hash {
                let says = format!("systemd-boot on {} starts {}", drive.name, entry.file);
                let name = drive.name.clone();
                self.says(says);
                return Some((hash, Some(name)));
            }
        }
        network
    }

    /// One boot, from power-on to an end.
    pub(super) fn boot(&mut self) -> Outcome {
        let outcome = self.boot_once();
        let outcome = if self.power.is_gone() { Outcome::PowerCut } else { outcome };
        self.boots += 1;
        if let Outcome::Ready(release) = outcome {
            self.last_good = Some(release);
        }
        self.says(format!("  {outcome:?}"));
        outcome
    }

    fn boot_once(&mut self) -> Outcome {
        let Some((hash, from)) = self.start() else { return Outcome::Waits };
        let Some(booted) = self.release_of(&hash) else { return Outcome::Reset };
        self.by_network = from.is_none();
        if self.by_network {
            self.says(format!("the network starts {}", self.releases[booted].image.version));
        }
        let behaviour = self.releases[booted].behaviour;
        if behaviour == Behaviour::Panics {
            return Outcome::Reset;
        }
        let all = disks::find(&self.disks(), &RootHash::from_bytes(hash));
        let mounted = all.iter().find(|found| self.mounts(found, &hash)).cloned();
        let found = mounted.clone().or_else(|| all.first().cloned());
        let root = found.as_ref().and_then(|found| self.root_of(&found.disk));
        let past = root.as_ref().and_then(|root| self.roots.get(root));
        let boots = past.map_or(0, |(history, _)| history.of(&hash).boots);
        let whole = mounted.filter(|found| boots == 0 || slots::read_whole(self, found, &hash).is_ok());
        let slot = match (&found, &whole) {
            (_, Some(found)) => Slot::Mounted(found.disk.clone()),
            (Some(found), None) => Slot::Rotten(found.disk.clone()),
            (None, None) => Slot::None,
        };
        if self.server {
            self.asks = 0;
        }
        let stored = past.and_then(|(_, stored)| *stored);
        let Some(named) = (if self.server { Some(self.wanted) } else { stored }) else {
            return Outcome::Waits;
        };
        let releases = Arc::clone(&self.releases);
        if let Some(root) = &root
            && self.power.operation().is_ok()
        {
            self.roots.entry(*root).or_default().1 = Some(named);
        }
        let document = &releases[named].image;
        let install = self.install.clone();
        let mut host = Real { sled: self, root, named, install, booted: hash, log: log() };
        let wanted = Some(Wanted { image: document, install: true });
        match carry_out(&mut host, wanted, &hash, &slot, found, None) {
            Ok(End::Restart) => Outcome::Restart,
            Ok(End::Live(_)) => Outcome::Ready(booted),
            Ok(End::Runs(found)) => self.system(booted, found.map(|found| *found), behaviour),
            Err(failure) => {
                self.says(format!("  {failure}"));
                Outcome::Refused(failure.code)
            }
        }
    }

    /// What happens after the hand-over.
    fn system(&mut self, booted: usize, found: Option<Found>, behaviour: Behaviour) -> Outcome {
        let hash = self.releases[booted].image.root_hash.0;
        // A block that is read and does not match ends the kernel.
        if found.as_ref().is_none_or(|found| slots::read_whole(self, found, &hash).is_err()) {
            return Outcome::Reset;
        }
        if behaviour != Behaviour::Good {
            return Outcome::Reset;
        }
        let all = found.map(|found| slots::both(self, &found)).unwrap_or_default();
        for found in all {
            mark_good(&self.drives, &found, &hash);
            let root = self.root_of(&found.disk);
            if let Some(root) = root
                && self.power.operation().is_ok()
            {
                self.roots.entry(root).or_default().0.ready(&hash);
            }
        }
        Outcome::Ready(booted)
    }

    /// Whether dm-verity opens it and the filesystem mounts: the tree and the first block.
    fn mounts(&self, found: &Found, hash: &Hash) -> bool {
        let Some(drive) = self.drive(&found.disk) else { return false };
        slots::opens(&drive.memory, found, hash)
    }
}

impl Machine for Sled {
    fn disks(&self) -> Vec<disks::Disk> {
        self.drives.iter().filter_map(|drive| self.disk(&drive.name)).collect()
    }

    fn disk(&self, name: &str) -> Option<disks::Disk> {
        let memory = &self.drive(name)?.memory;
        let content = match gpt::read(memory.size, 512, |at, buffer| memory.read(at, buffer)) {
            Ok(table) => Content::Gpt(table),
            Err(_) if memory.unreadable => Content::Unreadable("does not read".to_owned()),
            Err(_) => Content::Other,
        };
        Some(disks::Disk { name: name.to_owned(), bytes: memory.size, model: String::new(), content })
    }

    fn describe(&self, disk: &disks::Disk) -> Device {
        let drive = self.drives.iter().find(|drive| drive.name == disk.name).unwrap();
        let edge = usize::try_from(EDGE).unwrap();
        let (mut head, mut tail) = (vec![0; edge], vec![0; edge]);
        let read = drive.memory.read(0, &mut head);
        let read = read.and_then(|()| drive.memory.read(drive.memory.size - EDGE, &mut tail));
        let state = match read {
            Ok(()) => classify(drive.memory.size, &head, &tail, &disk.content),
            Err(error) => slots::classify::State::Unreadable(error.to_string()),
        };
        let known = crate::slots::choose::tests::device(&drive.name, &drive.path, 1);
        Device { bytes: drive.memory.size, state, ..known }
    }

    fn open(&self, name: &str, _: Share) -> io::Result<Box<dyn Disk + Sync>> {
        let drive = self.drive(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(drive.memory.clone()))
    }

    fn is_still(&self, device: &Device) -> io::Result<()> {
        let now = self.disk(&device.name).map(|disk| self.describe(&disk));
        if now.as_ref() == Some(device) { Ok(()) } else { Err(io::Error::other("it is another disk")) }
    }

    fn member(&self, disk: &str, root: &Partition) -> Option<Member> {
        let mut bytes = [0; 4096];
        self.drive(disk)?.memory.read(root.start + md::SUPERBLOCK, &mut bytes).ok()?;
        md::parse(&bytes)
    }

    fn is_blank(&self, disk: &str, root: &Partition) -> bool {
        let mut head = vec![0; 1 << 20];
        let read = self.drive(disk).map(|drive| drive.memory.read(root.start, &mut head));
        matches!(read, Some(Ok(()))) && head.iter().all(|byte| *byte == 0)
    }
}

/// Servers that do not answer.
struct Nobody;

impl slots::Source for Nobody {
    fn open(&self, _: &str, _: u64) -> Result<Box<dyn io::Read + '_>, String> {
        Err("no server answers".to_owned())
    }
}

/// The ESP of a disk, to be changed as firmware and the running system do.
struct Esp<'a> {
    memory: &'a Memory,
    start: u64,
}

impl fat::Medium for Esp<'_> {
    fn read(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.memory.read(self.start + at, buffer)
    }

    fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.memory.write(self.start + at, bytes)
    }

    fn flush(&self) -> io::Result<()> {
        self.memory.flush()
    }
}

/// Takes the count of tries from an image that got ready, as `sledctl mark-good` does.
fn mark_good(drives: &[Drive], found: &Found, hash: &Hash) {
    let Some(drive) = drives.iter().find(|drive| drive.name == found.disk) else { return };
    let menu = firmware::menu(&drive.memory, BOOT_LOADER).unwrap_or_default();
    for entry in menu.entries.iter().filter(|entry| entry.hash == Some(*hash)) {
        if let Some(name) = layout::EntryName::parse(&entry.file)
            && name.good() != name
        {
            rename(&drive.memory, &entry.file, &name.good().to_string());
        }
    }
}

/// Renames an entry. A power cut is seen by whoever looks for it.
fn rename(memory: &Memory, from: &str, to: &str) {
    let Ok(table) = gpt::read(memory.size, 512, |at, buffer| memory.read(at, buffer)) else { return };
    let Some(esp) = table.partitions.iter().find(|p| p.name == Role::Esp.label()) else { return };
    let esp_of = Esp { memory, start: esp.start };
    if let Ok(mut editor) = fat::Editor::open(esp.size, &esp_of, NOW) {
        let _ = editor.rename(layout::UKI_DIR, from, to);
    }
}

/// What PID 1 can do about images in the model.
struct Real<'s> {
    sled: &'s mut Sled,
    root: Option<Guid>,
    named: usize,
    install: Install,
    booted: Hash,
    log: Log,
}

impl Real<'_> {
    fn with<T>(
        &mut self,
        running: Option<Hash>,
        work: &dyn Fn(&Job<'_>, &Installation<'_>, &Path) -> Result<T, slots::Error>,
    ) -> Result<T, Failure> {
        let release = &self.sled.releases[self.named];
        let source: &dyn slots::Source = if self.sled.server { &release.files } else { &Nobody };
        let job = Job { image: &release.image, source, log: &self.log, machine: &*self.sled };
        let recognised = Recognised::Hardware;
        let told = Installation {
            install: &self.install,
            conf: "",
            recognised,
            running,
            time: NOW,
            random: &random,
        };
        work(&job, &told, self.sled.usr.path()).map_err(|e| Failure::new(Code::InstallFailed, Log::chain(&e)))
    }
}

impl Host for Real<'_> {
    fn history(&mut self) -> History {
        let known = self.root.as_ref().and_then(|root| self.sled.roots.get(root));
        known.map(|(history, _)| history.clone()).unwrap_or_default()
    }

    fn remember(&mut self, history: &History) -> Result<(), Failure> {
        self.sled.power.operation().map_err(|e| Failure::new(Code::Var, e))?;
        if self.sled.broken == Some(Broken::Forgets) {
            return Ok(());
        }
        if let Some(root) = &self.root {
            self.sled.roots.entry(*root).or_default().0 = history.clone();
        }
        Ok(())
    }

    fn chance(&mut self, disk: &str, image: &Image) -> Option<Chance> {
        let hash = RootHash::from_bytes(image.root_hash.0);
        let found = disks::find(&[self.sled.disk(disk)?], &hash).into_iter().next()?;
        Some(slots::chance(self.sled, &found, image))
    }

    fn has_other(&mut self, disk: &str, hash: &Hash) -> bool {
        slots::has_other(self.sled, disk, hash)
    }

    fn say(&mut self, line: &str) {
        self.sled.says(format!("  {line}"));
    }

    fn warn(&mut self, line: &str) {
        self.sled.says(format!("  warning: {line}"));
    }

    fn complete(&mut self) {
        let hash = RootHash::from_bytes(self.booted);
        let done = self.with(None, &|job, _, usr| {
            let all = disks::find(&job.machine.disks(), &hash);
            slots::select(job, &all, usr, NOW)
        });
        if let Err(failure) = done {
            self.warn(&failure.to_string());
        }
    }

    fn live(&mut self) -> Result<Live, Failure> {
        Err(Failure::new(Code::Live, "not in this model"))
    }

    fn install(&mut self) -> Result<Found, Failure> {
        let found = self.with(None, &|job, told, usr| {
            let all = slots::install(job, told)?;
            slots::select(job, &all, usr, NOW)?;
            Ok(all.into_iter().next())
        })?;
        let found = found.ok_or_else(|| Failure::new(Code::InstallFailed, "no slot"))?;
        self.root = self.sled.root_of(&found.disk);
        if let Some(root) = &self.root
            && self.sled.power.operation().is_ok()
        {
            self.sled.roots.entry(*root).or_default().1 = Some(self.named);
        }
        Ok(found)
    }

    fn repair(&mut self, disk: &str) -> Result<Found, Failure> {
        self.with(Some(self.booted), &|job, told, _| slots::repair(job, told, disk))
    }

    fn update(&mut self, disk: &str) -> Result<(), Failure> {
        let broken = self.sled.broken == Some(Broken::UpdateChoosesDisk);
        self.with(Some(self.booted), &|job, told, usr| {
            let all = if broken { slots::install(job, told)? } else { slots::update(job, told, disk)? };
            slots::select(job, &all, usr, NOW).map(drop)
        })
    }

    fn switch(&mut self, disk: &str) -> Result<(), Failure> {
        self.with(Some(self.booted), &|job, _, usr| {
            let found = slots::on_disk(job, disk)?;
            slots::select(job, &slots::both(job.machine, &found), usr, NOW).map(drop)
        })
    }

    fn uncounted(&mut self) -> bool {
        self.sled.by_network
    }

    fn start_next(&mut self, disk: &str) -> Result<(), Failure> {
        self.sled.next = Some(disk.to_owned());
        Ok(())
    }

    fn give_way(&mut self, disk: &str) -> Result<(), Failure> {
        let done = slots::give_way(self.sled, disk, &self.booted, NOW);
        done.map(drop).map_err(|e| Failure::new(Code::InstallFailed, Log::chain(&e)))
    }
}
