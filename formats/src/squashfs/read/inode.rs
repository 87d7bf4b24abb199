//! Inodes of an image that may be damaged.

use super::meta::Cursor;
use super::{Image, ReadError};

/// Blocks of all files together: 2 TiB of content at the usual block size.
const MAX_BLOCKS: u64 = 16 << 20;
/// `SQUASHFS_INVALID_FRAG`, and `SQUASHFS_INVALID_XATTR`.
const NONE: u32 = u32::MAX;

#[derive(Debug)]
pub(super) struct Inode {
    /// 0..=0o7777.
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: u32,
    pub(super) number: u32,
    pub(super) xattrs: Option<u32>,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    /// Where its listing is in the directory table, and its bytes.
    Dir {
        reference: u64,
        size: u32,
    },
    File(File),
    Symlink(Vec<u8>),
    Block {
        major: u32,
        minor: u32,
    },
    Char {
        major: u32,
        minor: u32,
    },
    Fifo,
}

/// Where the content of a regular file is.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) size: u64,
    pub(super) start: u64,
    /// Stored size of each block, with a flag; 0 is a hole.
    pub(super) blocks: Vec<u32>,
    /// Number of a fragment, and the offset in it.
    pub(super) tail: Option<(u32, u32)>,
}

/// Reads the inode at a reference. `blocks` counts those of all files so far.
pub(super) fn read(image: &Image, reference: u64, blocks: &mut u64) -> Result<Inode, ReadError> {
    let mut at = Cursor::at(image, image.inodes(), reference)?;
    let (kind, mode) = (at.u16()?, at.u16()?);
    let (uid, gid) = (at.u16()?, at.u16()?);
    let owner = |index: u16| image.ids.get(usize::from(index)).copied();
    let (Some(uid), Some(gid)) = (owner(uid), owner(gid)) else {
        return Err(at.damaged("an owner's number is larger than their table"));
    };
    let (mtime, number) = (at.u32()?, at.u32()?);
    if mode > 0o7777 {
        return Err(at.damaged("a mode has more bits than there are"));
    }
    if number == 0 || number > image.superblock.inodes {
        return Err(at.damaged("an inode's number is impossible"));
    }
    let mut xattrs = NONE;
    let kind = match kind {
        1 => {
            let (block, _links, size, offset, _parent) =
                (at.u32()?, at.u32()?, at.u16()?, at.u16()?, at.u32()?);
            Kind::Dir { reference: u64::from(block) << 16 | u64::from(offset), size: size.into() }
        }
        8 => {
            let (_links, size, block, _parent) = (at.u32()?, at.u32()?, at.u32()?, at.u32()?);
            let (_indexed, offset) = (at.u16()?, at.u16()?);
            xattrs = at.u32()?;
            Kind::Dir { reference: u64::from(block) << 16 | u64::from(offset), size }
        }
        2 => {
            let (start, fragment, offset, size) = (at.u32()?, at.u32()?, at.u32()?, at.u32()?);
            Kind::File(file(image, &mut at, start.into(), size.into(), (fragment, offset), blocks)?)
        }
        9 => {
            let (start, size, _sparse, _links) = (at.u64()?, at.u64()?, at.u64()?, at.u32()?);
            let tail = (at.u32()?, at.u32()?);
            xattrs = at.u32()?;
            Kind::File(file(image, &mut at, start, size, tail, blocks)?)
        }
        3 | 10 => {
            let (_links, len) = (at.u32()?, at.u32()?);
            let len = usize::try_from(len).ok().filter(|len| (1..4096).contains(len));
            let target =
                at.vec(len.ok_or_else(|| at.damaged("the length of a link's target is impossible"))?)?;
            if kind == 10 {
                xattrs = at.u32()?;
            }
            Kind::Symlink(target)
        }
        4 | 5 | 11 | 12 => {
            let (_links, device) = (at.u32()?, at.u32()?);
            if kind > 7 {
                xattrs = at.u32()?;
            }
            // The kernel's `new_decode_dev`.
            let (major, minor) = ((device >> 8) & 0xfff, device & 0xff | (device >> 12) & 0xf_ff00);
            if kind % 7 == 4 { Kind::Block { major, minor } } else { Kind::Char { major, minor } }
        }
        6 | 13 => {
            let _links = at.u32()?;
            if kind == 13 {
                xattrs = at.u32()?;
            }
            Kind::Fifo
        }
        7 | 14 => return Err(at.damaged("it has a socket, and no image has one")),
        _ => return Err(at.damaged("an inode's type is unknown")),
    };
    Ok(Inode { mode, uid, gid, mtime, number, xattrs: Some(xattrs).filter(|n| *n != NONE), kind })
}

fn file(
    image: &Image,
    at: &mut Cursor<'_>,
    start: u64,
    size: u64,
    (fragment, offset): (u32, u32),
    blocks: &mut u64,
) -> Result<File, ReadError> {
    let block = u64::from(image.superblock.block_size);
    let tail = Some((fragment, offset)).filter(|_| fragment != NONE);
    let count = if tail.is_some() { size / block } else { size.div_ceil(block) };
    *blocks = blocks.saturating_add(count);
    if *blocks > MAX_BLOCKS {
        return Err(ReadError::TooMany { what: "data blocks", limit: MAX_BLOCKS });
    }
    if tail.is_some() && size.is_multiple_of(block) {
        return Err(at.damaged("a file has a fragment, but nothing in it"));
    }
    let blocks = (0..count).map(|_| at.u32()).collect::<Result<Vec<_>, _>>()?;
    Ok(File { size, start, blocks, tail })
}
