//! Built images, opened for reading without mounting anything: a directory
//! `output/NAME/VERSION`, or one of its files alone.
//!
//! Everything here may be damaged or somebody else's. Each part is read when it is asked
//! for, and what is wrong with it is an [`Error`] that names the part and its place.

pub mod disk;
mod error;
pub mod initramfs;
mod piece;

pub use disk::Disk;
pub use error::Error;
pub use piece::Piece;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use formats::tree::{Kind, Tree};
use formats::{cpio, pe, squashfs};

use crate::image::manifest::Manifest;
use crate::image::plan::Role;
use crate::origins::Origins;

/// Largest UKI, initramfs or table that is read into memory.
const MAX_PART: u64 = 1 << 30;

/// What was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// `output/NAME/VERSION`.
    Directory,
    /// `disk.raw`.
    Disk,
    /// A unified kernel image.
    Uki,
    /// `usr.squashfs`.
    Usr,
    /// `initramfs.zst`.
    Initramfs,
}

/// An image, or a file of one.
#[derive(Debug)]
pub struct Image {
    /// What was opened.
    pub path: PathBuf,
    /// What it is.
    pub what: What,
    /// `manifest.json` of a directory.
    pub manifest: Option<Manifest>,
    /// The disk, when there is one.
    pub disk: Option<Disk>,
}

/// /usr, open.
#[derive(Debug)]
pub struct Usr {
    /// Where it is.
    pub piece: Piece,
    /// The filesystem.
    pub image: Arc<squashfs::Image>,
    /// What is in it; paths start below /usr.
    pub listing: squashfs::Listing,
}

/// A unified kernel image.
#[derive(Debug)]
pub struct Uki {
    /// Where it is, for messages.
    pub name: String,
    /// The whole file.
    pub bytes: Vec<u8>,
}

impl Image {
    /// Opens a directory or a file.
    ///
    /// # Errors
    /// When it is no image; when its manifest or partition table cannot be used.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let meta = std::fs::metadata(path).map_err(Error::io("open", path))?;
        let not = |found| Error::NotAnImage { path: path.to_owned(), found };
        let mut image = Self { path: path.to_owned(), what: What::Directory, manifest: None, disk: None };
        if meta.is_dir() {
            let file = path.join("manifest.json");
            if !file.is_file() {
                return Err(not("a directory without manifest.json"));
            }
            image.manifest = Some(manifest(&file)?);
            let disk = path.join("disk.raw");
            if disk.is_file() {
                image.disk = Some(Disk::open(Piece::open(&disk)?)?);
            }
            return Ok(image);
        }
        if !meta.is_file() {
            return Err(not("neither a file nor a directory"));
        }
        let piece = Piece::open(path)?;
        let head = piece.head(520).map_err(Error::io("read", path))?;
        let last = piece.len.saturating_sub(512);
        let mut backup = [0; 8];
        formats::tree::ReadAt::read_exact_at(&piece, &mut backup, last).ok();
        image.what = match head.as_slice() {
            [] => return Err(not("an empty file")),
            _ if head.get(512..520) == Some(b"EFI PART") || backup == *b"EFI PART" => What::Disk,
            _ if head.starts_with(b"hsqs") => What::Usr,
            _ if head.starts_with(b"MZ") => What::Uki,
            // RFC 8878, 3.1.1: magic number of a frame.
            _ if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) => What::Initramfs,
            // CPU microcode comes first, in an archive of its own.
            _ if head.starts_with(b"070701") => What::Initramfs,
            _ => return Err(not("no format of ours")),
        };
        if image.what == What::Disk {
            image.disk = Some(Disk::open(piece)?);
        }
        Ok(image)
    }

    /// A file of the directory, when this is one that has it.
    pub fn file(&self, name: &str) -> Option<PathBuf> {
        let path = self.path.join(name);
        (self.what == What::Directory && path.is_file()).then_some(path)
    }

    fn whole(&self, what: What) -> Option<PathBuf> {
        (self.what == what).then(|| self.path.clone())
    }

    /// Opens /usr and reads its directories.
    ///
    /// # Errors
    /// When there is none, or a damaged one.
    pub fn usr(&self) -> Result<Usr, Error> {
        let piece = match self.file("usr.squashfs").or_else(|| self.whole(What::Usr)) {
            Some(path) => Some(Piece::open(&path)?),
            None => self.disk.as_ref().and_then(|disk| disk.partition(Role::UsrA.label())),
        };
        usr(piece.ok_or_else(|| self.without("/usr"))?)
    }

    /// The files of the ESP.
    ///
    /// # Errors
    /// When there is none, or a damaged one.
    pub fn esp(&self) -> Result<Tree, Error> {
        let esp = self.disk.as_ref().and_then(|disk| disk.partition(Role::Esp.label()));
        disk::fat_tree(&esp.ok_or_else(|| self.without("EFI system partition"))?)
    }

    /// The unified kernel image: that of the directory, or the first one on the ESP.
    ///
    /// # Errors
    /// When there is none, or it does not read.
    pub fn uki(&self) -> Result<Uki, Error> {
        let named = self.manifest.as_ref().and_then(|m| self.file(&format!("{}.efi", m.image)));
        if let Some(path) = named.or_else(|| self.whole(What::Uki)) {
            let piece = Piece::open(&path)?;
            return Ok(Uki { bytes: piece.to_vec(MAX_PART)?, name: piece.name });
        }
        let esp = self.esp().map_err(|error| match error {
            Error::Without { .. } => self.without("unified kernel image"),
            other => other,
        })?;
        let dir = disk::fat_path(&esp, formats::layout::UKI_DIR);
        for (path, node) in dir.iter().flat_map(|dir| esp.children(dir)) {
            if let Kind::File(content) = &node.kind {
                let name = format!("/{path} on the ESP of {}", self.path.display());
                let bytes = content.to_vec().map_err(Error::io("read", &self.path))?;
                return Ok(Uki { name, bytes });
            }
        }
        Err(self.without("unified kernel image"))
    }

    /// The initramfs: the directory's, or the UKI's.
    ///
    /// # Errors
    /// When there is none, or a damaged one.
    pub fn initramfs(&self) -> Result<cpio::Listing, Error> {
        if let Some(path) = self.file("initramfs.zst").or_else(|| self.whole(What::Initramfs)) {
            let piece = Piece::open(&path)?;
            return initramfs::read(&piece.name, &piece.to_vec(MAX_PART)?);
        }
        let uki = self.uki()?;
        let sections = uki.sections()?;
        let initrd = sections.iter().find(|section| section.name == ".initrd");
        let initrd = initrd.ok_or_else(|| self.without("initramfs"))?;
        initramfs::read(&format!(".initrd of {}", uki.name), initrd.data)
    }

    /// Who put what into the image.
    ///
    /// # Errors
    /// When the directory has no such table, or it does not read.
    pub fn origins(&self) -> Result<Origins, Error> {
        let path = self.file(crate::origins::FILE).ok_or_else(|| self.without(crate::origins::FILE))?;
        let piece = Piece::open(&path)?;
        Origins::read(&piece.name, &piece.to_vec(MAX_PART)?)
    }

    /// An error: this image has not what was asked for.
    pub(crate) fn without(&self, wanted: &str) -> Error {
        Error::Without { path: self.path.clone(), wanted: wanted.to_owned() }
    }
}

/// A part that an image may be without.
pub(crate) fn optional<T>(part: Result<T, Error>) -> Result<Option<T>, Error> {
    match part {
        Ok(part) => Ok(Some(part)),
        Err(Error::Without { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Opens a /usr.
///
/// # Errors
/// When it is none, or a damaged one.
pub fn usr(piece: Piece) -> Result<Usr, Error> {
    let failed = |source| Error::Squashfs { part: piece.name.clone(), offset: piece.start, source };
    let image = squashfs::Image::open(Arc::new(piece.clone()), piece.len).map_err(failed)?;
    let listing = image.listing().map_err(failed)?;
    Ok(Usr { piece, image, listing })
}

impl Uki {
    /// Its sections, in the order of its table.
    ///
    /// # Errors
    /// When it is no PE image, or a damaged one.
    pub fn sections(&self) -> Result<Vec<pe::Section<'_>>, Error> {
        pe::sections(&self.bytes).map_err(|source| Error::Pe { part: self.name.clone(), source })
    }
}

/// A manifest.
///
/// # Errors
/// When it does not read or is none of ours.
pub fn manifest(file: &Path) -> Result<Manifest, Error> {
    let text = std::fs::read(file).map_err(Error::io("read", file))?;
    serde_json::from_slice(&text).map_err(|source| Error::Manifest { path: file.to_owned(), source })
}
