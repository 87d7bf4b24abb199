//! /usr when no disk has it: into memory, or onto the disk the document names. And
//! the image the document asks for, when it is not the one that is booted.

use super::download::Download;
use super::{Sled, random};
use crate::disks::Found;
use crate::failure::{Code, Failure};
use crate::fetch::Got;
use crate::identity::Recognised;
use crate::log::Log;
use crate::options::RootHash;
use crate::site::Site;
use crate::slots::{self, Installation, Job, Live};
use metadata::document::{Identity, Image, Install};
use std::path::Path;
use std::time::Duration;

/// How long an image that is only wanted, not needed, may take to come.
const UPDATE: Duration = Duration::from_secs(20 * 60);

/// How the sled gets its /usr.
#[derive(Debug)]
pub enum Way {
    /// From a slot it was installed into just now.
    Installed(Box<Found>),
    /// From memory.
    Live(Live),
}

/// Brings the document's image, which has to be the booted one.
///
/// # Errors
/// When it is another one, when it does not fit, and when a disk cannot be used.
pub fn bring(sled: &Sled, site: &Site, got: &Got, hash: &RootHash, time: u32) -> Result<Way, Failure> {
    let image = &got.document.image;
    if image.root_hash.0 != *hash.bytes() {
        let detail = format!(
            "the document of {} asks for {} {} ({}), the kernel that was started is of {hash}",
            got.document.head.sled, image.name, image.version, image.root_hash
        );
        return Err(Failure::new(Code::OtherImage, detail));
    }
    let log = sled.log;
    let source = Download::new(&sled.client, log, random, &urls(site, image), None);
    let job = Job { image, source: &source, log };
    match &got.document.install {
        Some(wanted) => log.step("install", || {
            let mut all = install(&job, site, (wanted, &got.document.head.identity), None, time)?;
            let says = format!("{} {} in {}", image.name, image.version, list(&all));
            let none = || Failure::new(Code::InstallFailed, "no disk shows what was installed");
            let found = if all.is_empty() { None } else { Some(all.remove(0)) };
            Ok((Way::Installed(Box::new(found.ok_or_else(none)?)), says))
        }),
        None => log.step("live", || {
            let live = slots::live(&job).map_err(failure)?;
            let mib = live.bytes.div_ceil(1 << 20);
            Ok((Way::Live(live), format!("{} {} in {mib} MiB of memory", image.name, image.version)))
        }),
    }
}

/// Puts the boot files of a freshly installed image onto the disk.
///
/// # Errors
/// When the disk does not take them.
pub fn boot_files(
    sled: &Sled,
    site: &Site,
    image: &Image,
    found: &Found,
    usr: &Path,
    time: u32,
) -> Result<(), Failure> {
    let log = sled.log;
    let source = Download::new(&sled.client, log, random, &urls(site, image), Some(UPDATE));
    let job = Job { image, source: &source, log };
    log.step("boot files", || {
        let files = |found: &Found| slots::boot_files(&job, found, usr, time).map_err(failure);
        let says: Result<Vec<_>, _> = slots::both(found).iter().map(files).collect();
        Ok(((), says?.join("; ")))
    })
}

/// Prepares a disk that takes the place of one that a mirrored ROOT has lost: everything
/// but ROOT, whose content the running system syncs.
pub fn heal(sled: &Sled, site: &Site, got: &Got, running: &Found, hash: &RootHash, usr: &Path, time: u32) {
    let (log, image) = (sled.log, &got.document.image);
    let Some(install) = got.document.install.as_ref().filter(|_| image.root_hash.0 == *hash.bytes()) else {
        return;
    };
    let Some(device) = slots::replacement(install, running) else { return };
    let done = log.step("mirror", || {
        let broken = |e: std::io::Error| Failure::new(Code::InstallFailed, format!("{}: {e}", running.disk));
        let source = slots::Other::new(image, running).map_err(broken)?;
        let job = Job { image, source: &source, log };
        let conf = site.oem_text();
        let recognised = Recognised::here(&got.document.head.identity);
        let running_hash = Some(*hash.bytes());
        let random = &crate::boot::random;
        let what = Installation { install, conf: &conf, recognised, running: running_hash, time, random };
        let found = slots::replace(&job, &what, &device, running).map_err(failure)?;
        let files = slots::boot_files(&job, &found, usr, time).map_err(failure)?;
        Ok(((), format!("{} takes the place of the missing disk: {found}, {files}", device.name)))
    });
    if let Err(failure) = done {
        log.warn("mirror", format!("{} does not take the place of the missing disk: {failure}", device.name));
    }
}

fn list(all: &[Found]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}

/// Finishes an installation of the running image that was cut off before its boot files
/// were there. Has nothing to do on any other boot.
pub fn complete(
    sled: &Sled,
    site: &Site,
    got: &Got,
    running: &Found,
    hash: &RootHash,
    usr: &Path,
    time: u32,
) {
    let image = &got.document.image;
    if got.document.install.is_some()
        && image.root_hash.0 == *hash.bytes()
        && let Err(failure) = boot_files(sled, site, image, running, usr, time)
    {
        sled.log.warn("boot files", failure);
    }
}

/// Sees to it that the image the document asks for is started when another one is
/// running from a disk: installs it, or tells systemd-boot to start it when it is the one
/// in the other slot. Returns whether that was done now: then the sled had better restart.
/// An image that has used up its tries is left alone.
pub fn update(
    sled: &Sled,
    site: &Site,
    got: &Got,
    running: &Found,
    hash: &RootHash,
    usr: &Path,
    time: u32,
) -> bool {
    let (log, image) = (sled.log, &got.document.image);
    let Some(wanted) = got.document.install.as_ref().filter(|_| image.root_hash.0 != *hash.bytes()) else {
        return false;
    };
    let asked = format!("{} {} ({})", image.name, image.version, image.root_hash);
    let found = crate::disks::find(&crate::disks::look(), &RootHash::from_bytes(image.root_hash.0));
    let there = found.into_iter().find(|found| found.disk == running.disk);
    if there.as_ref().is_some_and(|found| !slots::can_be_chosen(found, image)) {
        log.warn("image", format!("the document asks for {asked}, which is installed and did not start"));
        return false;
    }
    let source = Download::new(&sled.client, log, random, &urls(site, image), Some(UPDATE));
    let job = Job { image, source: &source, log };
    let done = log.step("update", || {
        let all = match there {
            Some(found) => slots::both(&found),
            None => install(&job, site, (wanted, &got.document.head.identity), Some(*hash.bytes()), time)?,
        };
        let files = |found: &Found| slots::boot_files(&job, found, usr, time).map_err(failure);
        let files: Result<Vec<_>, _> = all.iter().map(files).collect();
        Ok(((), format!("{asked} in {}; {}", list(&all), files?.join("; "))))
    });
    if let Err(failure) = &done {
        log.warn("update", format!("{failure}; the running image stays"));
    }
    done.is_ok()
}

fn install(
    job: &Job<'_>,
    site: &Site,
    (install, identity): (&Install, &Identity),
    running: Option<[u8; 32]>,
    time: u32,
) -> Result<Vec<Found>, Failure> {
    let conf = site.oem_text();
    let recognised = Recognised::here(identity);
    let random = &crate::boot::random;
    let what = Installation { install, conf: &conf, recognised, running, time, random };
    slots::install(job, &what).map_err(failure)
}

fn urls(site: &Site, image: &Image) -> Vec<String> {
    let mut urls = site.image.clone();
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
