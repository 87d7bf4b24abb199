//! The image a document asks for, on a real sled: into memory, onto the disk it names, into
//! the other slot. What is done when is decided in [`crate::decide`].

use super::download::Download;
use super::{Sled, random};
use crate::decide::Hash;
use crate::decide::carry_out::Host;
use crate::decide::history::History;
use crate::disks::{self, Found};
use crate::failure::{Code, Failure};
use crate::fetch::Got;
use crate::identity::Recognised;
use crate::log::Log;
use crate::options::RootHash;
use crate::root;
use crate::site::Site;
use crate::slots::machine::Kernel;
use crate::slots::{self, Chance, Installation, Job, Live};
use metadata::document::{Image, Install};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long an image that is only wanted, not needed, may take to come.
const UPDATE: Duration = Duration::from_secs(20 * 60);

/// A sled with a fleet, and its document.
#[derive(Clone, Copy, Debug)]
pub struct Fleet<'a> {
    /// Its network.
    pub sled: &'a Sled,
    /// Whom it may ask.
    pub site: &'a Site,
    /// The document.
    pub got: &'a Got,
}

/// Where a /usr is mounted from.
#[derive(Clone, Copy, Debug)]
pub enum From<'a> {
    /// A disk: its ROOT and OEM are mounted, too.
    Disk(&'a Found),
    /// Memory.
    Memory(&'a Live),
}

/// A real boot.
pub struct Real<'a> {
    /// `None` without a fleet: then nothing can be fetched.
    pub fleet: Option<Fleet<'a>>,
    /// The console and the report.
    pub log: &'static Log,
    /// The image of the kernel that was started.
    pub booted: &'a Hash,
    /// Its slot, when a disk has one.
    pub found: Option<Found>,
    /// Where ROOT is mounted, if it is.
    pub var: Option<PathBuf>,
    /// Mounts /usr; returns where ROOT is.
    pub mount: &'a mut dyn FnMut(From<'_>) -> Result<Option<PathBuf>, Failure>,
    /// Seconds since 1970, for what is written.
    pub time: u32,
}

impl std::fmt::Debug for Real<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Real").field("found", &self.found).finish_non_exhaustive()
    }
}

impl<'a> Real<'a> {
    /// The fleet, and how it wants an image on disks.
    fn installs(&self) -> Result<(Fleet<'a>, &'a Install), Failure> {
        let fleet = self.fleet.and_then(|fleet| Some((fleet, fleet.got.document.install.as_ref()?)));
        fleet.ok_or_else(|| Failure::new(Code::ImageSource, "no document says where to get the image"))
    }

    fn source<'f>(&self, fleet: Fleet<'f>, at_most: Option<Duration>) -> Download<'f> {
        let urls = urls(&fleet.site.image, &fleet.got.document.image);
        Download::new(&fleet.sled.client, self.log, random, &urls, at_most)
    }

    /// What an installation is told beside the image, which keeps the slot that runs.
    fn told<'f>(&self, install: &'f Install, conf: &'f str, running: Option<Hash>) -> Installation<'f> {
        let recognised = match self.fleet {
            Some(fleet) => Recognised::here(&fleet.got.document.head.identity),
            None => Recognised::Stranger,
        };
        Installation { install, conf, recognised, running, time: self.time, random: &crate::boot::random }
    }

    fn job<'j>(&self, image: &'j Image, source: &'j dyn slots::Source) -> Job<'j> {
        Job { image, source, log: self.log, machine: &Kernel }
    }

    fn boot_files(&self, job: &Job<'_>, all: &[Found]) -> Result<String, Failure> {
        slots::select(job, all, &usr(), self.time).map_err(failure)
    }

    /// Finishes an installation of the running image that was cut off before its boot files
    /// were there. Has nothing to do on any other boot.
    fn finish(&self, found: &Found) {
        let Ok((fleet, _)) = self.installs() else { return };
        let source = self.source(fleet, Some(UPDATE));
        let job = self.job(&fleet.got.document.image, &source);
        let all = slots::both(&Kernel, found);
        if let Err(failure) = self.log.step("boot files", || Ok(((), self.boot_files(&job, &all)?))) {
            self.log.warn("boot files", failure);
        }
    }

    /// Prepares a disk that takes the place of one that a mirrored ROOT has lost: everything
    /// but ROOT, whose content the running system syncs.
    fn heal(&self, found: &Found) {
        let Ok((fleet, install)) = self.installs() else { return };
        let Some(device) = slots::replacement(&Kernel, install, found) else { return };
        let (log, image) = (self.log, &fleet.got.document.image);
        let done = log.step("mirror", || {
            let broken =
                |e: std::io::Error| Failure::new(Code::InstallFailed, format!("{}: {e}", found.disk));
            let source = slots::Other::new(&Kernel, image, found).map_err(broken)?;
            let (job, conf) = (self.job(image, &source), fleet.site.oem_text());
            let new = slots::replace(&job, &self.told(install, &conf, Some(*self.booted)), &device, found)
                .map_err(failure)?;
            let files = self.boot_files(&job, std::slice::from_ref(&new))?;
            Ok(((), format!("{} takes the place of the missing disk: {new}, {files}", device.name)))
        });
        if let Err(failure) = done {
            log.warn(
                "mirror",
                format!("{} does not take the place of the missing disk: {failure}", device.name),
            );
        }
    }

    /// Mounts a slot that was written just now, and stores the document on its ROOT.
    fn use_slot(&mut self, found: &Found) -> Result<(), Failure> {
        self.var = (self.mount)(From::Disk(found))?;
        self.found = Some(found.clone());
        if let Some(fleet) = self.fleet
            && let Err(error) = fleet.got.keep(&crate::fetch::store::Store::new(self.var.as_deref()))
        {
            self.log.warn("metadata", format!("the document is not stored on /var ({error})"));
        }
        Ok(())
    }
}

impl Host for Real<'_> {
    fn history(&mut self) -> History {
        self.var.as_deref().map(History::load).unwrap_or_default()
    }

    fn remember(&mut self, history: &History) -> Result<(), Failure> {
        let Some(var) = &self.var else { return Ok(()) };
        let lost = |e| Failure::new(Code::Var, format!("what became of images is not stored on /var ({e})"));
        history.save(var).map_err(lost)
    }

    fn chance(&mut self, disk: &str, image: &Image) -> Option<Chance> {
        let hash = RootHash::from_bytes(image.root_hash.0);
        let found = disks::find(&[disks::look_at(disk)?], &hash).into_iter().next()?;
        Some(slots::chance(&Kernel, &found, image))
    }

    fn has_other(&mut self, disk: &str, hash: &Hash) -> bool {
        slots::has_other(&Kernel, disk, hash)
    }

    fn say(&mut self, line: &str) {
        self.log.say(line);
    }

    fn warn(&mut self, line: &str) {
        self.log.warn("image", line);
    }

    fn complete(&mut self) {
        if let Some(found) = self.found.clone() {
            self.finish(&found);
            self.heal(&found);
        }
    }

    fn live(&mut self) -> Result<Live, Failure> {
        let none = || Failure::new(Code::ImageSource, "no document says where to get the image");
        let fleet = self.fleet.ok_or_else(none)?;
        let image = &fleet.got.document.image;
        let source = self.source(fleet, None);
        let live = self.log.step("live", || {
            let live = slots::live(&self.job(image, &source)).map_err(failure)?;
            let mib = live.bytes.div_ceil(1 << 20);
            Ok((live, format!("{} {} in {mib} MiB of memory", image.name, image.version)))
        })?;
        (self.mount)(From::Memory(&live))?;
        Ok(live)
    }

    fn install(&mut self) -> Result<Found, Failure> {
        let (fleet, install) = self.installs()?;
        let image = &fleet.got.document.image;
        let source = self.source(fleet, None);
        let conf = fleet.site.oem_text();
        let all = self.log.step("install", || {
            let told = self.told(install, &conf, None);
            let all = slots::install(&self.job(image, &source), &told).map_err(failure)?;
            let says = format!("{} {} in {}", image.name, image.version, list(&all));
            Ok((all, says))
        })?;
        let none = || Failure::new(Code::InstallFailed, "no disk shows what was installed");
        let found = all.first().cloned().ok_or_else(none)?;
        let source = self.source(fleet, Some(UPDATE));
        self.use_slot(&found)?;
        let job = self.job(image, &source);
        self.log.step("boot files", || Ok(((), self.boot_files(&job, &slots::both(&Kernel, &found))?)))?;
        Ok(found)
    }

    fn repair(&mut self, disk: &str) -> Result<Found, Failure> {
        let (fleet, install) = self.installs()?;
        let image = &fleet.got.document.image;
        let source = self.source(fleet, Some(UPDATE));
        let conf = fleet.site.oem_text();
        let found = self.log.step("repair", || {
            let told = self.told(install, &conf, Some(*self.booted));
            let found = slots::repair(&self.job(image, &source), &told, disk).map_err(failure)?;
            let says = format!("{} {} in {found}", image.name, image.version);
            Ok((found, says))
        })?;
        self.use_slot(&found)?;
        Ok(found)
    }

    fn update(&mut self, disk: &str) -> Result<(), Failure> {
        let (fleet, install) = self.installs()?;
        let image = &fleet.got.document.image;
        let source = self.source(fleet, Some(UPDATE));
        let conf = fleet.site.oem_text();
        self.log.step("update", || {
            let job = self.job(image, &source);
            let told = self.told(install, &conf, Some(*self.booted));
            let all = slots::update(&job, &told, disk).map_err(failure)?;
            let files = self.boot_files(&job, &all)?;
            Ok(((), format!("{} in {}; {files}", named(image), list(&all))))
        })
    }

    fn switch(&mut self, disk: &str) -> Result<(), Failure> {
        let (fleet, _) = self.installs()?;
        let image = &fleet.got.document.image;
        let source = self.source(fleet, Some(UPDATE));
        self.log.step("update", || {
            let job = self.job(image, &source);
            let found = slots::on_disk(&job, disk).map_err(failure)?;
            let all = slots::both(&Kernel, &found);
            let files = self.boot_files(&job, &all)?;
            Ok(((), format!("{} in {}; {files}", named(image), list(&all))))
        })
    }

    fn uncounted(&mut self) -> bool {
        slots::firmware::is_there() && slots::firmware::look().esp.is_none()
    }

    fn start_next(&mut self, disk: &str) -> Result<(), Failure> {
        slots::boot_option::start_next(&Kernel, disk).map_err(|e| Failure::new(Code::InstallFailed, e))
    }

    fn give_way(&mut self, disk: &str) -> Result<(), Failure> {
        self.log.step("update", || {
            let says = slots::give_way(&Kernel, disk, self.booted, self.time).map_err(failure)?;
            Ok(((), says))
        })
    }
}

/// Where the image's /usr is mounted.
fn usr() -> PathBuf {
    Path::new(root::AT).join("usr")
}

fn named(image: &Image) -> String {
    format!("{} {} ({})", image.name, image.version, image.root_hash)
}

fn list(all: &[Found]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}

/// Where an image's files lie: `first`, then where its document says.
pub fn urls(first: &[String], image: &Image) -> Vec<String> {
    let mut urls = first.to_vec();
    let more = image.urls.iter().map(|url| url.trim_end_matches('/').to_owned());
    more.for_each(|url| {
        if !urls.contains(&url) {
            urls.push(url);
        }
    });
    urls
}

/// The code of an error, and its whole chain in one line.
fn failure(error: slots::Error) -> Failure {
    let code = match &error {
        slots::Error::Memory { .. } => Code::LiveMemory,
        slots::Error::Refused(_) => Code::InstallRefused,
        slots::Error::Source { .. } | slots::Error::Document(_) => Code::ImageSource,
        slots::Error::Live { .. } => Code::Live,
        _ => Code::InstallFailed,
    };
    Failure::new(code, Log::chain(&error))
}
