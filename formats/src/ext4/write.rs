//! Carries out a plan.

use std::io::{Seek, Write};

use super::group::Group;
use super::inode::Seed;
use super::layout::{INODE_SIZE, Layout};
use super::plan::{FileData, Plan};
use super::{BLOCK, BLOCK_SIZE, Error, Options, superblock};
use crate::sparse::Sparse;

/// A block of metadata and where it goes.
pub(super) struct Block {
    pub(super) block: u64,
    /// [`BLOCK`] bytes.
    pub(super) bytes: Vec<u8>,
}

/// Where the superblock starts in block 0.
const SUPERBLOCK_OFFSET: u64 = 1024;
/// Bytes of a file that are in memory at a time.
const CHUNK: usize = 256 * BLOCK;

pub(super) fn write<W: Write + Seek>(out: &mut W, plan: &Plan<'_>, options: &Options) -> Result<(), Error> {
    let layout = &plan.layout;
    let seed = Seed::of_filesystem(&options.uuid);
    let mut out = Sparse::new(out)?;

    let mut descriptors = Vec::new();
    let (mut free_blocks, mut free_inodes) = (0, 0);
    for number in 0..layout.groups {
        let group = Group::new(plan, number, seed);
        descriptors.extend(group.descriptor);
        free_blocks += group.free_blocks;
        free_inodes += group.free_inodes;
        for bitmap in &group.bitmaps {
            out.put(bitmap.block * BLOCK_SIZE, &bitmap.bytes)?;
        }
    }
    for group in std::iter::once(0).chain(layout.backups()) {
        let start = layout.group_start(group.into()) * BLOCK_SIZE;
        // Only the low bits fit: past group 65535 there is no copy with more.
        let number = u16::try_from(group & 0xffff).expect("masked to 16 bits");
        let raw = superblock::encode(plan, options, free_blocks, free_inodes, number);
        out.put(start + if group == 0 { SUPERBLOCK_OFFSET } else { 0 }, &raw)?;
        out.put(start + BLOCK_SIZE, &descriptors)?;
    }
    inode_tables(&mut out, plan, options.mtime, seed)?;
    for block in &plan.blocks {
        out.put(block.block * BLOCK_SIZE, &block.bytes)?;
    }
    for file in &plan.files {
        write_file(&mut out, file)?;
    }
    Ok(out.finish(options.size)?)
}

fn inode_tables<W: Write + Seek>(
    out: &mut Sparse<'_, W>,
    plan: &Plan<'_>,
    mtime: u32,
    seed: Seed,
) -> Result<(), Error> {
    let Layout { inodes_per_group, .. } = plan.layout;
    // The reserved inodes have no content, but checksums.
    let reserved: Vec<_> = (1..super::layout::FIRST_INODE)
        .filter(|number| plan.inodes.iter().all(|inode| inode.number != *number))
        .map(|number| (number, super::inode::Inode::plain(number, 0, 0)))
        .collect();
    let mut all: Vec<_> = plan.inodes.iter().map(|inode| (inode.number, inode)).collect();
    all.extend(reserved.iter().map(|(number, inode)| (*number, inode)));
    all.sort_unstable_by_key(|(number, _)| *number);
    for table in all.chunk_by(|a, b| (a.0 - 1) / inodes_per_group == (b.0 - 1) / inodes_per_group) {
        let Some((first, _)) = table.first() else { continue };
        let (group, index) = ((first - 1) / inodes_per_group, (first - 1) % inodes_per_group);
        let bytes: Vec<u8> = table.iter().flat_map(|(_, inode)| inode.encode(mtime, seed)).collect();
        let at = plan.layout.inode_table(group) * BLOCK_SIZE + u64::from(index) * INODE_SIZE as u64;
        out.put(at, &bytes)?;
    }
    Ok(())
}

fn write_file<W: Write + Seek>(out: &mut Sparse<'_, W>, file: &FileData<'_>) -> Result<(), Error> {
    let mut buf = vec![0; CHUNK];
    let mut offset: u64 = 0;
    for run in &file.runs {
        let end = (offset + u64::from(run.len) * BLOCK_SIZE).min(file.content.len());
        let mut at = run.start * BLOCK_SIZE;
        while offset < end {
            let take = usize::try_from(end - offset).unwrap_or(CHUNK).min(CHUNK);
            file.content
                .read_exact_at(&mut buf[..take], offset)
                .map_err(|source| Error::Read { path: file.path.to_string(), source })?;
            // What is all zeroes stays a hole.
            if buf[..take].iter().any(|byte| *byte != 0) {
                out.put(at, &buf[..take])?;
            }
            at += take as u64;
            offset += take as u64;
        }
    }
    Ok(())
}
