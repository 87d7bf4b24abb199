//! What differs between two builds of one image: per artefact, per partition, per file,
//! down to the first bytes.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use formats::tree::Tree;
use serde::Serialize;

use super::usr::files_at;
use crate::artefacts::{Disk, Error, Piece, Uki, Usr, disk::fat_tree, initramfs, usr};
use crate::diff::files::{self, Change, FileChange};
use crate::image::plan::Role;
use crate::provenance::{PROVENANCE, SIGNATURE};

/// One thing that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Where: an artefact, or a partition of one.
    pub place: String,
    /// The first byte of it that differs; `None` when it is not there at all.
    pub byte: Option<u64>,
    /// What of its content differs, the cause of the bytes.
    pub files: Vec<String>,
}

/// Files named for one place.
const MOST: usize = 20;

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.byte {
            Some(byte) => write!(f, "{} differs from byte {byte} on", self.place)?,
            None => f.write_str(&self.place)?,
        }
        for file in self.files.iter().take(MOST) {
            write!(f, "\n  {file}")?;
        }
        if self.files.len() > MOST {
            write!(f, "\n  … and {} more", self.files.len() - MOST)?;
        }
        Ok(())
    }
}

/// Compares all files of two image directories.
///
/// # Errors
/// When a file does not read. What has damage is said to differ, with the damage.
pub fn directories(a: &Path, b: &Path) -> Result<Vec<Difference>, Error> {
    let names = |dir: &Path| -> Result<BTreeSet<String>, Error> {
        let entries = std::fs::read_dir(dir).map_err(Error::io("read", dir))?;
        let name =
            |entry: std::io::Result<std::fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
        // Who signed an image is no part of it.
        let ours = |name: &Result<String, _>| !matches!(name.as_deref(), Ok(SIGNATURE | PROVENANCE));
        entries.map(name).filter(ours).collect::<std::io::Result<_>>().map_err(Error::io("read", dir))
    };
    let (ours, theirs) = (names(a)?, names(b)?);
    let mut out = Vec::new();
    for name in ours.union(&theirs) {
        if !ours.contains(name) || !theirs.contains(name) {
            let place = format!("{name} is in one of them only");
            out.push(Difference { place, byte: None, files: Vec::new() });
            continue;
        }
        let (x, y) = (Piece::open(&a.join(name))?, Piece::open(&b.join(name))?);
        let Some(byte) = x.first_difference(&y).map_err(Error::io("read", a))? else { continue };
        if name == "disk.raw"
            && let (Ok(x), Ok(y)) = (Disk::open(x.clone()), Disk::open(y.clone()))
        {
            out.extend(disks(&x, &y)?);
            continue;
        }
        let files = explain(name, &x, &y).unwrap_or_else(|error| vec![super::causes(&error)]);
        out.push(Difference { place: name.clone(), byte: Some(byte), files });
    }
    Ok(out)
}

/// Compares two disks: their partitions, and what lies between.
///
/// # Errors
/// When one does not read.
pub fn disks(a: &Disk, b: &Disk) -> Result<Vec<Difference>, Error> {
    let mut out = Vec::new();
    let mut at = 0;
    let name = |part: &str| format!("disk.raw: {part}");
    let mut partitions: Vec<_> = a.table.partitions.iter().collect();
    partitions.sort_by_key(|p| p.start);
    let mut compare = |part: String, start: u64, len: u64, label: &str| -> Result<(), Error> {
        let (x, y) = (a.piece.part(part.clone(), start, len), b.piece.part(part.clone(), start, len));
        let Some(byte) = x.first_difference(&y).map_err(Error::io("read", Path::new(&a.piece.name)))? else {
            return Ok(());
        };
        let files = explain(label, &x, &y).unwrap_or_else(|error| vec![super::causes(&error)]);
        out.push(Difference { place: name(&part), byte: Some(byte), files });
        Ok(())
    };
    for p in partitions {
        let before = if at == 0 { "the primary partition table" } else { "the gap before a partition" };
        compare(format!("{before} (from byte {at})"), at, p.start.saturating_sub(at), "")?;
        compare(format!("partition {}", p.name), p.start, p.size, &p.name)?;
        at = p.start + p.size;
    }
    let end = a.piece.len.max(b.piece.len);
    compare(format!("the backup partition table (from byte {at})"), at, end.saturating_sub(at), "")?;
    Ok(out)
}

/// What of the content of two artefacts or partitions differs.
fn explain(name: &str, a: &Piece, b: &Piece) -> Result<Vec<String>, Error> {
    const SMALL: u64 = 1 << 30;
    let label = |role: Role| role.label() == name;
    if name == "usr.squashfs" || label(Role::UsrA) || label(Role::UsrB) {
        return squashfs(&usr(a.clone())?, &usr(b.clone())?);
    }
    if label(Role::Esp) {
        return trees("esp:", &fat_tree(a)?, &fat_tree(b)?);
    }
    let read = |piece: &Piece| piece.to_vec(SMALL);
    if name == "initramfs.zst" {
        let (x, y) = (initramfs::read(name, &read(a)?)?, initramfs::read(name, &read(b)?)?);
        let mut out = trees("initramfs:", &x.tree, &y.tree)?;
        for (path, time) in &x.times {
            if let Some(other) = y.times.get(path).filter(|other| *other != time) {
                out.push(format!("initramfs:/{path}: time {time} → {other}"));
            }
        }
        return Ok(out);
    }
    if name.ends_with(".efi") {
        let uki = |piece: &Piece| Ok::<_, Error>(Uki { name: piece.name.clone(), bytes: read(piece)? });
        let (x, y) = (uki(a)?, uki(b)?);
        let (x, y) = (x.sections()?, y.sections()?);
        let differ = x.iter().zip(&y).filter(|(s, t)| (s.name, s.data) != (t.name, t.data));
        return Ok(differ.map(|(s, _)| format!("section {}", s.name)).collect());
    }
    let text = [".json", ".lock", ".ipxe", "SUMS"].iter().any(|end| name.ends_with(end));
    if text && let (Ok(x), Ok(y)) = (String::from_utf8(read(a)?), String::from_utf8(read(b)?)) {
        let line = x.lines().zip(y.lines()).enumerate().find(|(_, (s, t))| s != t);
        return Ok(line
            .map(|(n, (s, t))| format!("line {}: {} ≠ {}", n + 1, s.trim(), t.trim()))
            .into_iter()
            .collect());
    }
    let first =
        files::first_difference(&a.content(), &b.content()).map_err(Error::io("read", Path::new(&a.name)))?;
    Ok(first.map(|first| format!("bytes {} ≠ {}", first.old, first.new)).into_iter().collect())
}

fn trees(top: &str, a: &Tree, b: &Tree) -> Result<Vec<String>, Error> {
    let changes = files::compare(top, a, b).map_err(Error::io("read", Path::new(top)))?;
    Ok(changes.iter().map(shown).collect())
}

fn shown(change: &FileChange) -> String {
    let path = &change.path;
    match (change.change, &change.first) {
        (Change::Added, _) => format!("{path}: only in the second"),
        (Change::Removed, _) => format!("{path}: only in the first"),
        (Change::Changed, Some(first)) => {
            format!(
                "{path}: {} from byte {}: {} ≠ {}",
                change.what.join(", "),
                first.offset,
                first.old,
                first.new
            )
        }
        (Change::Changed, None) => format!("{path}: {}", change.what.join(", ")),
    }
}

fn squashfs(a: &Usr, b: &Usr) -> Result<Vec<String>, Error> {
    let mut out = trees("/usr", &a.listing.tree, &b.listing.tree)?;
    let times =
        |usr: &Usr| usr.listing.odd_times.iter().map(|(p, t)| (p.clone(), *t)).collect::<BTreeSet<_>>();
    let (x, y) = (times(a), times(b));
    out.extend(
        x.symmetric_difference(&y)
            .map(|(path, time)| format!("/usr/{path}: time {time} in one of them only")),
    );
    let (s, t) = (a.image.superblock(), b.image.superblock());
    if s.mtime != t.mtime {
        out.push(format!("the time of all files: {} → {}", s.mtime, t.mtime));
    }
    if out.is_empty() {
        let at = a
            .piece
            .first_difference(&b.piece)
            .map_err(Error::io("read", Path::new(&a.piece.name)))?
            .unwrap_or(0);
        let files = files_at(&a.listing, at, at + 1);
        let place = if files.is_empty() { a.image.place(at).to_owned() } else { files.join(", ") };
        out.push(format!(
            "all files are the same, but they are stored differently from byte {at} on: {place}"
        ));
    }
    Ok(out)
}
