//! Inodes as they are on disk.

use super::Error;
use super::dir::Listing;
use super::xattr;
use crate::tree::{Kind, TreePath};

/// What every inode has.
pub(super) struct Inode {
    /// 0..=0o7777.
    pub(super) mode: u16,
    /// Index in the id table.
    pub(super) uid: u16,
    /// Index in the id table.
    pub(super) gid: u16,
    pub(super) mtime: u32,
    pub(super) number: u32,
    pub(super) links: u32,
    /// Number of its xattr set, or [`xattr::NONE`].
    pub(super) xattrs: u32,
}

/// What a regular file has besides.
#[derive(Default)]
pub(super) struct File<'a> {
    pub(super) size: u64,
    /// Where its blocks start in the image.
    pub(super) start: u64,
    /// Stored size of each whole block.
    pub(super) blocks: &'a [u32],
    /// The fragment its tail is in, and the offset in it.
    pub(super) tail: Option<(u32, u32)>,
    /// Bytes of blocks that are holes.
    pub(super) sparse: u64,
}

/// Basic inode types, also used in directory entries. The extended type is
/// [`EXTENDED`] more.
pub(super) fn basic_type(kind: &Kind) -> u16 {
    match kind {
        Kind::Dir => DIRECTORY,
        Kind::File(_) | Kind::Hardlink(_) => FILE,
        Kind::Symlink(_) => 3,
        Kind::BlockDev { .. } => 4,
        Kind::CharDev { .. } => 5,
        Kind::Fifo => 6,
    }
}

const DIRECTORY: u16 = 1;
const FILE: u16 = 2;
const EXTENDED: u16 = 7;
/// `SQUASHFS_INVALID_FRAG`.
const NO_FRAGMENT: u32 = u32::MAX;

impl Inode {
    /// `squashfs_base_inode`, of the basic or the extended type.
    fn base(&self, basic: u16, extended: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        let kind = if extended { basic + EXTENDED } else { basic };
        put16(&mut out, [kind, self.mode, self.uid, self.gid]);
        put32(&mut out, [self.mtime, self.number]);
        out
    }

    fn has_xattrs(&self) -> bool {
        self.xattrs != xattr::NONE
    }

    /// `squashfs_dir_inode` or `squashfs_ldir_inode`. `parent`: the inode
    /// number of the directory it is in; the root's is one more than all inodes.
    pub(super) fn dir(&self, listing: &Listing, parent: u32) -> Result<Vec<u8>, Error> {
        let start = listing.start;
        // The size on disk counts `.` and `..` as three bytes.
        let limit = Error::TooMany { what: "bytes in one directory", limit: u64::from(u32::MAX) - 3 };
        let size = listing.size.checked_add(3).ok_or(limit)?;
        Ok(match u16::try_from(size) {
            Ok(size) if listing.indexed == 0 && !self.has_xattrs() => {
                let mut out = self.base(DIRECTORY, false);
                put32(&mut out, [start.block, self.links]);
                put16(&mut out, [size, start.offset]);
                put32(&mut out, [parent]);
                out
            }
            _ => {
                let mut out = self.base(DIRECTORY, true);
                put32(&mut out, [self.links, size, start.block, parent]);
                put16(&mut out, [listing.indexed, start.offset]);
                put32(&mut out, [self.xattrs]);
                out.extend_from_slice(&listing.index);
                out
            }
        })
    }

    /// `squashfs_reg_inode` or `squashfs_lreg_inode`.
    pub(super) fn file(&self, file: &File<'_>) -> Vec<u8> {
        let (fragment, offset) = file.tail.unwrap_or((NO_FRAGMENT, 0));
        let plain = self.links == 1 && !self.has_xattrs() && file.sparse == 0;
        let mut out = match (u32::try_from(file.start), u32::try_from(file.size)) {
            (Ok(start), Ok(size)) if plain => {
                let mut out = self.base(FILE, false);
                put32(&mut out, [start, fragment, offset, size]);
                out
            }
            _ => {
                let mut out = self.base(FILE, true);
                for x in [file.start, file.size, file.sparse] {
                    out.extend(x.to_le_bytes());
                }
                put32(&mut out, [self.links, fragment, offset, self.xattrs]);
                out
            }
        };
        out.extend(file.blocks.iter().flat_map(|size| size.to_le_bytes()));
        out
    }

    /// Symbolic links, devices and pipes.
    pub(super) fn other(&self, path: &TreePath, kind: &Kind) -> Result<Vec<u8>, Error> {
        let unsupported = |why| Error::Unsupported { path: path.clone(), why };
        let mut out = self.base(basic_type(kind), self.has_xattrs());
        put32(&mut out, [self.links]);
        match kind {
            Kind::Symlink(target) => {
                let length = u32::try_from(target.len()).ok().filter(|length| (1..4096).contains(length));
                let length = length.ok_or("a symbolic link must have a target of 1 to 4095 bytes");
                put32(&mut out, [length.map_err(unsupported)?]);
                out.extend_from_slice(target);
            }
            Kind::CharDev { major, minor } | Kind::BlockDev { major, minor } => {
                if *major > 0xfff || *minor > 0xf_ffff {
                    return Err(unsupported("a device number must be at most 4095:1048575"));
                }
                // The kernel's `new_encode_dev`.
                put32(&mut out, [minor & 0xff | major << 8 | (minor & !0xff) << 12]);
            }
            Kind::Fifo => {}
            Kind::Dir | Kind::File(_) | Kind::Hardlink(_) => {
                unreachable!("these have functions of their own")
            }
        }
        if self.has_xattrs() {
            put32(&mut out, [self.xattrs]);
        }
        Ok(out)
    }
}

fn put16<const N: usize>(out: &mut Vec<u8>, xs: [u16; N]) {
    out.extend(xs.iter().flat_map(|x| x.to_le_bytes()));
}

fn put32<const N: usize>(out: &mut Vec<u8>, xs: [u32; N]) {
    out.extend(xs.iter().flat_map(|x| x.to_le_bytes()));
}
