//! Installations against a disk in memory whose power is cut, and against real loop
//! devices with the tools of others as judges.

mod cuts;
mod esp_cuts;
pub(crate) mod loops;
mod mirror;
mod sources;

use super::*;
use crate::disks::{Content, Disk as Seen};
use crate::slots::machine::Kernel;
use formats::{gpt, verity};
use metadata::document::{Artefact, DiskMatch, Layout, Wipe};
use metadata::values::Hash32;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

pub(crate) const NOW: u32 = 1_800_000_000;

/// The layout of recipes/base.yaml.
const BASE: Layout =
    Layout { esp: 128 << 20, usr: 512 << 20, verity: 8 << 20, oem: 64 << 20, root: 256 << 20 };

/// An image of so many blocks: the document's view and the files.
pub(crate) fn image(version: &str, blocks: usize) -> (Image, Files) {
    let mut state = Sha256::digest(version);
    let mut usr: Vec<u8> = Vec::new();
    while usr.len() < blocks * 4096 {
        state = Sha256::digest(state);
        usr.extend_from_slice(&state);
    }
    of_usr(version, usr)
}

/// An image with this /usr.
pub(super) fn of_usr(version: &str, usr: Vec<u8>) -> (Image, Files) {
    let built = verity::build(&usr[..], [3; 32], [4; 16]).unwrap();
    let mut tree = Vec::new();
    built.write(&mut tree).unwrap();
    let files = BTreeMap::from([
        ("usr.squashfs".to_owned(), usr),
        ("usr.verity".to_owned(), tree),
        ("compute.efi".to_owned(), uki(&built.root, version)),
    ]);
    let artefact = |file: &str| Artefact {
        file: file.into(),
        size: files[file].len() as u64,
        sha256: Hash32(Sha256::digest(&files[file]).into()),
    };
    let image = Image {
        name: "compute".into(),
        version: version.into(),
        root_hash: Hash32(built.root),
        urls: vec![],
        usr: artefact("usr.squashfs"),
        verity: artefact("usr.verity"),
        uki: artefact("compute.efi"),
        layout: Some(BASE),
        extensions: Default::default(),
    };
    (image, Files::new(files))
}

/// A PE image with nothing but a command line.
fn uki(root: &[u8; 32], version: &str) -> Vec<u8> {
    let line = format!("quiet sledos.usrhash={} v={version}", verity::hex(root));
    let mut pe = vec![0; 0x400];
    pe[0x3c] = 0x40;
    pe[0x40..0x44].copy_from_slice(b"PE\0\0");
    pe[0x46] = 1;
    let section = 0x58;
    pe[section..section + 8].copy_from_slice(b".cmdline");
    let len = u32::try_from(line.len()).unwrap().to_le_bytes();
    pe[section + 8..section + 12].copy_from_slice(&len);
    pe[section + 16..section + 20].copy_from_slice(&0x200_u32.to_le_bytes());
    pe[section + 20..section + 24].copy_from_slice(&0x200_u32.to_le_bytes());
    pe[0x200..0x200 + line.len()].copy_from_slice(line.as_bytes());
    pe
}

/// A source that has everything and breaks as told.
pub(crate) struct Files {
    files: BTreeMap<String, Vec<u8>>,
    /// For each file opened, in order: what goes wrong. Empty: nothing any more.
    faults: Mutex<Vec<Fault>>,
    /// What was asked for.
    pub(super) asked: Mutex<Vec<(String, u64)>>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// Nothing.
    None,
    /// The connection breaks after so many bytes.
    Break(usize),
    /// It ends there without an error.
    End(usize),
    /// The bit of a byte so far on is flipped.
    Flip(usize),
    /// The source gives up.
    GiveUp,
}

impl Files {
    fn new(files: BTreeMap<String, Vec<u8>>) -> Self {
        Self { files, faults: Mutex::default(), asked: Mutex::default() }
    }

    pub(super) fn with(self, faults: &[Fault]) -> Self {
        *self.faults.lock().unwrap() = faults.iter().rev().copied().collect();
        self
    }

    pub(super) fn asked_of(&self, file: &str) -> Vec<u64> {
        self.asked.lock().unwrap().iter().filter(|(name, _)| name == file).map(|(_, at)| *at).collect()
    }
}

impl Source for Files {
    fn open(&self, file: &str, from: u64) -> Result<Box<dyn io::Read + '_>, String> {
        self.asked.lock().unwrap().push((file.to_owned(), from));
        let mut bytes = self.files[file][usize::try_from(from).unwrap()..].to_vec();
        let mut broken = false;
        match self.faults.lock().unwrap().pop().unwrap_or(Fault::None) {
            Fault::None => {}
            Fault::GiveUp => return Err("no server answers".into()),
            Fault::End(at) => bytes.truncate(at),
            Fault::Break(at) => {
                bytes.truncate(at);
                broken = true;
            }
            Fault::Flip(at) => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 4;
                }
            }
        }
        Ok(Box::new(Pieces { bytes, at: 0, broken }))
    }
}

/// Gives odd pieces, as a network does.
struct Pieces {
    bytes: Vec<u8>,
    at: usize,
    broken: bool,
}

impl io::Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = &self.bytes[self.at..];
        if left.is_empty() && self.broken {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let n = left.len().min(buffer.len()).min(1 + self.at % 5003);
        buffer[..n].copy_from_slice(&left[..n]);
        self.at += n;
        Ok(n)
    }
}

pub(crate) fn log() -> Log {
    Log::new(|| Duration::from_secs(1))
}

pub(crate) fn random() -> io::Result<[u8; 16]> {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    bytes[..8].copy_from_slice(&NOW.to_be_bytes().repeat(2));
    Ok(bytes)
}

pub(super) fn install_on(job: &Job<'_>, what: &Installation<'_>, device: &Device) -> Result<Found, Error> {
    install_with(job, what, device, None)
}

pub(super) fn anything() -> Install {
    Install { disk: DiskMatch::default(), mirror: false, wipe: Wipe::Never }
}

pub(super) fn installation(install: &Install) -> Installation<'_> {
    let recognised = Recognised::Hardware;
    Installation {
        install,
        conf: "report=http://seed/\n",
        recognised,
        running: None,
        time: NOW,
        random: &random,
    }
}

/// What a disk carries, as PID 1 would see it.
pub(super) fn seen(disk: &dyn Disk, bytes: u64, sector: u32) -> Seen {
    let content = match gpt::read(bytes, sector, |at, buffer| disk.read(at, buffer)) {
        Ok(table) => Content::Gpt(table),
        Err(_) => Content::Other,
    };
    Seen { name: "sda".into(), bytes, model: String::new(), content }
}

pub(super) fn hash(image: &Image) -> RootHash {
    RootHash::from_bytes(image.root_hash.0)
}
