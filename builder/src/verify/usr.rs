//! /usr: its verity tree and its files.

use std::collections::BTreeSet;

use formats::squashfs::Listing;
use formats::tree::{Kind, ReadAt as _, TreePath};
use formats::verity;
use rayon::prelude::*;

use super::{Subject, causes, gather};
use crate::artefacts::{self, Piece};
use crate::digest::parse_sha256;
use crate::image::manifest::Extension;

/// Blocks hashed at one time.
const BATCH: u64 = 256;
/// Problems of one kind that are named.
const MOST: usize = 10;

/// The tree leads to the root hash, and every block to the tree.
pub(super) fn verity(subject: &Subject<'_>) -> Vec<String> {
    gather(|problems| {
        let root = subject.root_hash.clone()?;
        let owner = |from, to| owner(subject, from, to);
        blocks(subject, ["usr.squashfs", "usr.verity"], &root, &owner, problems)
    })
}

/// The same of each extension, and that systemd would take it.
pub(super) fn extensions(subject: &Subject<'_>) -> Vec<String> {
    gather(|problems| {
        for (name, extension) in &subject.manifest.extensions {
            let files = Extension::files(name);
            let root = parse_sha256(&extension.root_hash)
                .ok_or_else(|| format!("the root hash {:?} of {name} is none", extension.root_hash))?;
            let names = [files[0].as_str(), files[1].as_str()];
            blocks(subject, names, &root, &|_, _| format!("extension {name}"), problems)?;
            let [path, _] = files.map(|file| subject.dir.join(file));
            let there =
                artefacts::usr(Piece::open(&path).map_err(|e| causes(&e))?).map_err(|e| causes(&e))?;
            let release = format!("usr/lib/extension-release.d/extension-release.{name}");
            let release = TreePath::parse(release.as_bytes()).map_err(|e| e.to_string())?;
            if there.listing.tree.get(&release).is_none() {
                problems.push(format!("{} has no /{release}: systemd-sysext refuses it", path.display()));
            }
        }
        Ok(())
    })
}

/// Whether a verity tree leads to a root hash, and every block of its data to the tree. `owner` says
/// what lies in a range of bytes.
fn blocks(
    subject: &Subject<'_>,
    [squashfs, verity]: [&str; 2],
    root: &[u8; 32],
    owner: &dyn Fn(u64, u64) -> String,
    problems: &mut Vec<String>,
) -> Result<(), String> {
    let path = subject.dir.join(verity);
    let bytes = std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let len = bytes.len();
    let tree = verity::Tree::verify(bytes, root).map_err(|e| causes(&e))?;
    if tree.bytes().len() != len {
        problems.push(format!("{verity} goes on for {} bytes behind its tree", len - tree.bytes().len()));
    }
    let data = Piece::open(&subject.dir.join(squashfs)).map_err(|e| causes(&e))?;
    let blocks = tree.blocks();
    if data.len != blocks * verity::BLOCK {
        let (has, covers) = (data.len, blocks * verity::BLOCK);
        problems.push(format!("{squashfs} has {has} bytes, the tree is for {covers}"));
    }
    let whole = blocks.min(data.len / verity::BLOCK);
    let starts: Vec<u64> = (0..whole).step_by(usize::try_from(BATCH).unwrap_or(1)).collect();
    let bad = starts.into_par_iter().map(|first| -> Result<Vec<u64>, String> {
        let count = BATCH.min(whole - first);
        let mut bytes = vec![0; usize::try_from(count * verity::BLOCK).unwrap_or(0)];
        data.read_exact_at(&mut bytes, first * verity::BLOCK).map_err(|e| causes(&e))?;
        let (chunks, _) = bytes.as_chunks::<4096>();
        let wrong = (first..).zip(chunks).filter(|(number, block)| !tree.check_block(*number, block));
        Ok(wrong.map(|(number, _)| number).collect())
    });
    let bad: Vec<u64> = bad.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
    for number in bad.iter().take(MOST) {
        let (from, to) = (number * verity::BLOCK, (number + 1) * verity::BLOCK);
        problems
            .push(format!("block {number} of {squashfs} (from byte {from}) is damaged: {}", owner(from, to)));
    }
    if bad.len() > MOST {
        problems.push(format!("… and {} more blocks", bad.len() - MOST));
    }
    Ok(())
}

/// What lies in a range of bytes: the files, or the table.
fn owner(subject: &Subject<'_>, from: u64, to: u64) -> String {
    match &subject.usr {
        Ok(usr) => {
            let files = files_at(&usr.listing, from, to);
            if files.is_empty() { usr.image.place(from).to_owned() } else { files.join(", ") }
        }
        Err(error) => error.clone(),
    }
}

/// Files that have content in a range of bytes.
pub(super) fn files_at(listing: &Listing, from: u64, to: u64) -> Vec<String> {
    let within = listing.extents.iter().filter(|e| e.start < to && e.start + e.len > from);
    let names: BTreeSet<String> = within.map(|e| format!("/usr/{}", e.path)).collect();
    let more = names.len().saturating_sub(3);
    let mut shown: Vec<String> = names.into_iter().take(3).collect();
    if more > 0 {
        shown.push(format!("{more} more in the same fragment"));
    }
    shown
}

/// Every file reads to its end and has the time of the image.
pub(super) fn content(subject: &Subject<'_>) -> Vec<String> {
    gather(|problems| {
        let usr = subject.usr.as_ref().map_err(Clone::clone)?;
        let nodes: Vec<_> = usr.listing.tree.iter().collect();
        let bad = nodes.into_par_iter().filter_map(|(path, node)| match &node.kind {
            Kind::File(content) => content.digest().err().map(|error| format!("/usr/{path}: {error}")),
            _ => None,
        });
        let bad: Vec<String> = bad.collect();
        problems.extend(bad.iter().take(MOST).cloned());
        let time = subject.manifest.time;
        if i64::from(usr.image.superblock().mtime) != time {
            problems
                .push(format!("the image's time is {}, the manifest's {time}", usr.image.superblock().mtime));
        }
        let odd = usr.listing.odd_times.iter().take(MOST);
        problems.extend(odd.map(|(path, time)| format!("/usr/{path} has the time {time}")));
        Ok(())
    })
}
