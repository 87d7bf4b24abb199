//! System extensions: tools laid over /usr while the sled runs, and taken away again.
//!
//! The signed document names the extensions of its image by their root hashes. The files come
//! from the image's servers into memory, each block verified, and dm-verity verifies again what
//! is read of them; systemd-sysext(8) lays them over /usr. Nothing of it is on a disk.

use super::sled::Sled;
use crate::action::Action;
use crate::http::{Client, Limits};
use crate::log::Log;
use crate::options::{Options, RootHash};
use crate::provision::download::Download;
use crate::provision::{image, random};
use crate::slots::machine::Kernel;
use crate::slots::{self, Job, Source};
use crate::{early, usr};
use formats::verity::BLOCK;
use metadata::document::{Extension, Image, SledDocument, is_extension_name};
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, unmount};
use serde_json::Value;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use syscalls::dm::Mapper;

/// The extension that `sledctl debug` merges.
pub const DEBUG: &str = "debug";
/// The files of each merged extension, in a filesystem in memory. What is below /run/initramfs,
/// systemd leaves to the shutdown program, which takes their devices away first.
const FILES: &str = "/run/initramfs/extensions";
/// Where systemd-sysext looks for extensions.
const SYSEXT: &str = "/run/extensions";
/// Held while one is merged or unmerged: one at a time.
const LOCK: &str = "/run/sledos/extensions.lock";
/// How long all of it may take: somebody waits.
const AT_MOST: Duration = Duration::from_secs(300);
/// How long to try when no server answers.
const PATIENCE: Duration = Duration::from_secs(60);
/// Fewer bytes a second are a server that drips.
const RATE: u64 = 16 << 10;
/// How often the same block may be asked for.
const TRIES: u32 = 3;

/// What of an extension is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing.
    Absent,
    /// Something, but /usr does not have it: merging it was cut off.
    Half,
    /// It is laid over /usr.
    Merged,
}

/// Brings an extension and merges it. One that is merged stays.
///
/// # Errors
/// Why it is not; nothing of it is left then.
pub fn merge(sled: &Sled, name: &str) -> Result<(), String> {
    let document = sled.document()?;
    let wanted = wanted(&document, &sled.image().2, name)?;
    let _lock = only_one(sled)?;
    match state(sled, name) {
        State::Merged => {
            println!("{name} is merged already");
            return Ok(());
        }
        State::Half => drop(take_away(sled, name)),
        State::Absent => {}
    }
    let started = early::uptime();
    let merged = bring(sled, name, &wanted).and_then(|()| {
        let said = refresh(sled)?;
        match state(sled, name) {
            State::Merged => Ok(()),
            _ => Err(format!("systemd-sysext does not take it: {said}")),
        }
    });
    if let Err(why) = merged {
        // The first reason is the one worth telling.
        let _ = take_away(sled, name);
        return Err(format!("{name} is not merged: {why}"));
    }
    let took = early::uptime().saturating_sub(started);
    let kib = (wanted.usr.size.saturating_add(wanted.verity.size)) >> 10;
    let (seconds, tenths) = (took.as_secs(), took.subsec_millis() / 100);
    println!(
        "{name} is merged: {kib} KiB of memory, {seconds}.{tenths} s; `sledctl extension unmerge {name}` ends it"
    );
    Ok(())
}

/// Takes an extension away.
///
/// # Errors
/// When it is not there, or something of it stays.
pub fn unmerge(sled: &Sled, name: &str) -> Result<(), String> {
    check(name)?;
    let _lock = only_one(sled)?;
    if state(sled, name) == State::Absent {
        return Err(format!("{name} is not merged"));
    }
    take_away(sled, name)?;
    println!("{name} is unmerged");
    Ok(())
}

/// Prints the extensions of the document and which are merged.
///
/// # Errors
/// When there is no document.
pub fn list(sled: &Sled) -> Result<(), String> {
    let document = sled.document()?;
    for (name, extension) in &document.image.extensions {
        let state = match state(sled, name) {
            State::Merged => "merged",
            State::Half => "half merged",
            State::Absent => "not merged",
        };
        let kib = extension.squashfs.size >> 10;
        println!("{name:<12} {state:<12} {kib:>7} KiB, root hash {}", extension.root_hash);
    }
    Ok(())
}

/// Those of the document that are merged, for status and reports; nothing without any.
pub fn json(sled: &Sled, document: &SledDocument) -> Option<Value> {
    let merged = document.image.extensions.keys().filter(|name| state(sled, name) == State::Merged);
    let merged: Vec<Value> = merged.map(|name| name.as_str().into()).collect();
    (!merged.is_empty()).then(|| merged.into())
}

fn check(name: &str) -> Result<(), String> {
    is_extension_name(name).then_some(()).ok_or_else(|| format!("{name:?} is not the name of an extension"))
}

/// An extension as an image of its own, when the document names it and is that of the running
/// image. Pure.
fn wanted(document: &SledDocument, running: &str, name: &str) -> Result<Image, String> {
    check(name)?;
    let image = &document.image;
    if image.root_hash.to_string() != running {
        let Image { name: of, version, .. } = image;
        return Err(format!(
            "the document's extensions are those of {of} {version}, and this sled runs another image: restart it"
        ));
    }
    let Some(Extension { root_hash, squashfs, verity }) = image.extensions.get(name) else {
        let all: Vec<&str> = image.extensions.keys().map(String::as_str).collect();
        let all = if all.is_empty() { "none".to_owned() } else { all.join(", ") };
        return Err(format!("the signed document names no extension {name}; it names: {all}"));
    };
    let (root_hash, usr, verity) = (*root_hash, squashfs.clone(), verity.clone());
    Ok(Image { name: name.to_owned(), root_hash, usr, verity, ..image.clone() })
}

/// What is there of it.
fn state(sled: &Sled, name: &str) -> State {
    let release = sled.path(&format!("/usr/lib/extension-release.d/extension-release.{name}"));
    let files = sled.path(FILES).join(name).exists();
    match (files, sled.path(SYSEXT).join(name).exists() && release.exists()) {
        (true, true) => State::Merged,
        (true, false) => State::Half,
        (false, _) => State::Absent,
    }
}

/// Waits until no other one runs.
fn only_one(sled: &Sled) -> Result<File, String> {
    let fail = |e: std::io::Error| format!("{LOCK}: {e}");
    let file = File::create(sled.path(LOCK)).map_err(fail)?;
    rustix::fs::flock(&file, FlockOperation::LockExclusive).map_err(|e| fail(e.into()))?;
    Ok(file)
}

/// What the names of its devices begin with. The loop device makes each another: one that is
/// unmerged and still in use is not in the way of the next.
const MAPPING: &str = "extension-";

/// The device that is mounted for systemd-sysext, when one is.
fn mapping(sled: &Sled, at: &Path) -> Option<String> {
    let device = rustix::fs::stat(at).ok()?.st_dev;
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    sled.text(&format!("/sys/dev/block/{major}:{minor}/dm/name")).filter(|name| name.starts_with(MAPPING))
}

/// From the servers into memory, to a verified device, to where systemd-sysext looks.
fn bring(sled: &Sled, name: &str, wanted: &Image) -> Result<(), String> {
    let log = Log::new(early::uptime);
    std::io::stderr().as_fd().try_clone_to_owned().into_iter().for_each(|fd| log.attach(fd.into()));
    let limits = Limits { rate: RATE, total: Some(AT_MOST), ..Limits::default() };
    let client = Client::new(limits);
    client.names().set(&[[127, 0, 0, 53].into()], &[]);
    let line = sled.text("/proc/cmdline").unwrap_or_default();
    let urls = image::urls(&Options::parse(&line).0.image, wanted);
    let servers = Download::new(&client, &log, random, &urls, Some(PATIENCE));
    let until = log.now().saturating_add(AT_MOST);
    let source = Patient { servers, late: &|| log.now() > until, last: Mutex::default() };

    let (files, at) = (sled.path(FILES).join(name), sled.path(SYSEXT).join(name));
    for dir in [&sled.path(FILES), &files, &sled.path(SYSEXT), &at] {
        let mkdir = Action::mkdir(dir.display().to_string());
        mkdir.run().map_err(|e| format!("{mkdir}: {e}"))?;
    }
    let job = Job { image: wanted, source: &source, log: &log, machine: &Kernel };
    let live = slots::live_at(&job, &files).map_err(|e| Log::chain(&e))?;
    let hash = RootHash::from_bytes(wanted.root_hash.0);
    let number = live.usr().file_name().unwrap_or_default().to_string_lossy();
    let mapping = format!("{MAPPING}{name}-{number}");
    let device = usr::open_as(&mapping, live.usr(), live.verity(), live.bytes, &hash);
    let device = device.map_err(|failure| failure.detail)?;
    let flags = MountFlags::RDONLY | MountFlags::NODEV | MountFlags::NOSUID;
    let mount = Action::mount(&device, &at.display().to_string(), "squashfs", flags, "");
    mount.run().map_err(|e| {
        let _ = remove_mapping(&mapping);
        format!("{mount}: {e}")
    })
}

/// Removes a device, at once or when the last program that uses it ends.
fn remove_mapping(name: &str) -> Result<(), String> {
    Mapper::open().and_then(|mapper| mapper.remove_when_unused(name)).map_err(|e| e.to_string())
}

/// Takes everything of an extension away, what is missing already passed over.
///
/// # Errors
/// With the first thing that stays; the others go all the same.
fn take_away(sled: &Sled, name: &str) -> Result<(), String> {
    let (files, at) = (sled.path(FILES).join(name), sled.path(SYSEXT).join(name));
    // Programs of it may run on: what is in use goes when the last one ends.
    let detach = |path: &PathBuf| match unmount(path, UnmountFlags::DETACH) {
        Ok(()) | Err(Errno::INVAL | Errno::NOENT) => Ok(()),
        Err(error) => Err(format!("{}: {error}", path.display())),
    };
    let remove = |path: &PathBuf| match rustix::fs::rmdir(path) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(format!("{}: {error}", path.display())),
    };
    let mapping = mapping(sled, &at);
    let all = [
        detach(&at).and_then(|()| remove(&at)),
        refresh(sled).map(drop),
        mapping.map_or(Ok(()), |mapping| remove_mapping(&mapping)),
        detach(&files).and_then(|()| remove(&files)),
    ];
    all.into_iter().collect()
}

/// Lays over /usr what is in [`SYSEXT`] now, in place of what was there before. Returns what
/// systemd-sysext says: it ends with 0 after some failures, too.
fn refresh(sled: &Sled) -> Result<String, String> {
    let program = sled.path("/usr/bin/systemd-sysext");
    let output = Command::new(&program).arg("refresh").output();
    let output = output.map_err(|e| format!("{}: {e}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
    if output.status.success() { Ok(said) } else { Err(format!("systemd-sysext: {said}")) }
}

/// A source that is asked for the same block a few times and not for ever: somebody waits.
struct Patient<'a, S> {
    servers: S,
    /// Whether it took too long already.
    late: &'a (dyn Fn() -> bool + Sync),
    /// What was asked for last, from which byte on, and how often.
    last: Mutex<(String, u64, u32)>,
}

impl<S: Source> Source for Patient<'_, S> {
    fn open(&self, file: &str, from: u64) -> Result<Box<dyn Read + '_>, String> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let tries = if last.0 == file && last.1 == from { last.2.saturating_add(1) } else { 1 };
        *last = (file.to_owned(), from, tries);
        drop(last);
        if tries > TRIES {
            return Err(format!("no server gave block {} as the root hash wants it", from / BLOCK));
        }
        if (self.late)() {
            return Err(format!("it did not come within {} s", AT_MOST.as_secs()));
        }
        self.servers.open(file, from)
    }
}

#[cfg(test)]
mod tests;
