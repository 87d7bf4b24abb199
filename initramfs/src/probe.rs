//! What lies on a disk or partition, by the signatures in its first and last MiB. Pure.
//!
//! Nothing is there only when nothing at all is there: data of an unknown kind is
//! somebody's data. Offsets: util-linux, `libblkid/src/superblocks/*.c` (what
//! `wipefs` knows), and the kernel's headers of each format.

/// How much is looked at from both ends, in bytes.
pub const EDGE: u64 = 1 << 20;

/// What kind of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A partition table.
    Table,
    /// XFS, which data disks have.
    Xfs,
    /// ext2, ext3 or ext4, which data disks have, too.
    Ext,
    /// Another filesystem, swap or an encrypted volume: data that is whole on this disk.
    Filesystem,
    /// Part of a RAID, a volume group or a pool, whose other parts are elsewhere.
    Member,
    /// Nobody knows.
    Unknown,
}

/// Somebody's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its kind.
    pub kind: Kind,
    /// What it is, for people: `an XFS filesystem`.
    pub what: &'static str,
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.what)
    }
}

/// Looks at a disk or partition of `bytes` bytes. `head` and `tail` are its first and
/// last [`EDGE`] bytes, or all of it when it has less. `None`: nothing at all is there.
pub fn probe(bytes: u64, head: &[u8], tail: &[u8]) -> Option<Found> {
    let matching = |(_, _, at, magic): &&(Kind, &str, At, &[u8])| {
        let found = match at {
            Start(at) => head.get(*at..),
            End(back) => tail.len().checked_sub(*back).and_then(|at| tail.get(at..)),
        };
        found.is_some_and(|found| found.starts_with(magic))
    };
    let blank = |edge: &[u8]| {
        edge.first().is_none_or(|first| matches!(first, 0 | 0xff) && edge.iter().all(|b| b == first))
    };
    let member = raid_at_the_end(bytes, tail)
        .or((is_zfs(head) || is_zfs(tail)).then_some("a member of a ZFS pool"))
        .map(|what| Found { kind: Kind::Member, what });
    // Several may hold; tables come last in the list.
    let named = || SIGNATURES.iter().find(matching).map(|(kind, what, ..)| Found { kind: *kind, what });
    let unknown = || {
        let nothing = blank(head) && blank(tail);
        (!nothing).then_some(Found { kind: Kind::Unknown, what: "data of an unknown kind" })
    };
    member.or_else(named).or_else(unknown)
}

/// Where a signature lies, in bytes.
enum At {
    /// From the start of the disk.
    Start(usize),
    /// From its end.
    End(usize),
}
use At::{End, Start};

/// A GPT, for people.
pub(crate) const GPT: &str = "a GPT partition table";
const MBR: &str = "an MBR partition table";

/// Signatures of what may lie on a whole disk. Several may hold; the first is named.
const SIGNATURES: [(Kind, &str, At, &[u8]); 41] = [
    (Kind::Filesystem, "an encrypted LUKS volume", Start(0), b"LUKS\xba\xbe"),
    (Kind::Filesystem, "an encrypted LUKS volume", Start(16384), b"SKUL\xba\xbe"),
    (Kind::Member, "an LVM2 physical volume", Start(0), b"LABELONE"),
    (Kind::Member, "an LVM2 physical volume", Start(512), b"LABELONE"),
    (Kind::Member, "an LVM2 physical volume", Start(1024), b"LABELONE"),
    (Kind::Member, "an LVM2 physical volume", Start(1536), b"LABELONE"),
    (Kind::Member, "a member of a Linux RAID (1.1)", Start(0), b"\xfc\x4e\x2b\xa9"),
    (Kind::Member, "a member of a Linux RAID (1.2)", Start(4096), b"\xfc\x4e\x2b\xa9"),
    (Kind::Member, "a member of a DDF RAID", End(512), b"\xde\x11\xde\x11"),
    (Kind::Member, "a member of an Intel RAID", End(1024), b"Intel Raid ISM Cfg Sig. "),
    (Kind::Member, "a bcache device", Start(4120), b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca"),
    (Kind::Member, "a Ceph BlueStore", Start(0), b"bluestore block device"),
    (Kind::Member, "a Stratis device", Start(516), b"!Stra0tis"),
    (Kind::Member, "a VDO volume", Start(0), b"dmvdo001"),
    (Kind::Ext, "an ext2/3/4 filesystem", Start(0x438), b"\x53\xef"),
    (Kind::Xfs, "an XFS filesystem", Start(0), b"XFSB"),
    (Kind::Filesystem, "a Btrfs filesystem", Start(0x10040), b"_BHRfS_M"),
    (Kind::Filesystem, "an F2FS filesystem", Start(1024), b"\x10\x20\xf5\xf2"),
    (Kind::Filesystem, "a bcachefs filesystem", Start(4120), b"\xc6\x85\x73\xf6\x66\xce\x90\xa9"),
    (Kind::Filesystem, "a JFS filesystem", Start(32768), b"JFS1"),
    (Kind::Filesystem, "a ReiserFS filesystem", Start(0x10034), b"ReIsEr"),
    (Kind::Filesystem, "swap space", Start(4086), b"SWAPSPACE2"),
    (Kind::Filesystem, "swap space", Start(4086), b"SWAP-SPACE"),
    (Kind::Filesystem, "swap space", Start(65526), b"SWAPSPACE2"),
    (Kind::Filesystem, "a squashfs", Start(0), b"hsqs"),
    (Kind::Filesystem, "an EROFS", Start(1024), b"\xe2\xe1\xf5\xe0"),
    (Kind::Filesystem, "an ISO 9660 filesystem", Start(32769), b"CD001"),
    (Kind::Filesystem, "an NTFS filesystem", Start(3), b"NTFS    "),
    (Kind::Filesystem, "an exFAT filesystem", Start(3), b"EXFAT   "),
    (Kind::Filesystem, "a FAT filesystem", Start(82), b"FAT32   "),
    (Kind::Filesystem, "a FAT filesystem", Start(54), b"FAT16   "),
    (Kind::Filesystem, "a FAT filesystem", Start(54), b"FAT12   "),
    (Kind::Filesystem, "a FAT filesystem", Start(54), b"FAT     "),
    (Kind::Filesystem, "an HFS+ filesystem", Start(1024), b"H+"),
    (Kind::Filesystem, "an APFS container", Start(32), b"NXSB"),
    (Kind::Table, GPT, Start(512), b"EFI PART"),
    (Kind::Table, GPT, Start(4096), b"EFI PART"),
    (Kind::Table, GPT, End(512), b"EFI PART"),
    (Kind::Table, GPT, End(4096), b"EFI PART"),
    (Kind::Table, "an Apple partition map", Start(512), b"PM\0\0"),
    (Kind::Table, MBR, Start(510), b"\x55\xaa"),
];

/// Linux RAID with its superblock at the end: version 0.90 in the last 64 KiB
/// boundary, 1.0 at least 8 KiB before the end.
fn raid_at_the_end(bytes: u64, tail: &[u8]) -> Option<&'static str> {
    const MAGIC: u32 = 0xa92b_4efc;
    let start = bytes.checked_sub(tail.len() as u64)?;
    let at = |at: u64| {
        let at = usize::try_from(at.checked_sub(start)?).ok()?;
        tail.get(at..at + 4).and_then(|b| <[u8; 4]>::try_from(b).ok())
    };
    let old = (bytes & !0xffff).checked_sub(0x1_0000).and_then(at);
    if old.is_some_and(|b| u32::from_le_bytes(b) == MAGIC || u32::from_be_bytes(b) == MAGIC) {
        return Some("a member of a Linux RAID (0.90)");
    }
    let new = bytes.checked_sub(0x2000).and_then(|from| at(from & !0xfff));
    new.is_some_and(|b| u32::from_le_bytes(b) == MAGIC).then_some("a member of a Linux RAID (1.0)")
}

/// A ZFS label, 256 KiB, has uberblocks in its second half, each 1 KiB or larger;
/// labels lie at multiples of 256 KiB from both ends.
fn is_zfs(edge: &[u8]) -> bool {
    const MAGIC: u64 = 0x00ba_b10c;
    let uberblocks = edge.chunks_exact(1024).enumerate().filter(|(i, _)| i % 256 >= 128);
    uberblocks
        .filter_map(|(_, block)| block.first_chunk::<8>())
        .any(|magic| u64::from_le_bytes(*magic) == MAGIC || u64::from_be_bytes(*magic) == MAGIC)
}

#[cfg(test)]
mod tests;
