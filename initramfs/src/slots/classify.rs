//! What is on a disk, from its first and last MiB. Pure.
//!
//! A disk is blank only when nothing at all is there: data of an unknown kind is
//! somebody's data. Offsets: util-linux, `libblkid/src/superblocks/*.c` (what
//! `wipefs` knows), and the kernel's headers of each format.

use crate::disks::Content;
use formats::gpt::Table;
use formats::layout::Role;

/// How much is looked at from both ends of a disk, in bytes.
pub const EDGE: u64 = 1 << 20;

/// Lies in the gap before the first partition while a disk is being prepared, so
/// that a disk whose preparation was cut off is known as ours, not as foreign.
pub const MARK: &[u8] = b"sledos: this disk is being prepared by an installation\n";
/// Where the mark lies, in bytes: behind every table, before every partition.
pub const MARK_AT: u64 = EDGE - 4096;

/// What is on a disk, as far as writing to it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing.
    Blank,
    /// An installation that was cut off before there was anything to keep.
    Unfinished,
    /// The partitions of a sledos disk.
    Ours(Table),
    /// Somebody's data, and what kind.
    Foreign(String),
    /// It does not let itself be read, and how.
    Unreadable(String),
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Blank => f.write_str("blank"),
            Self::Unfinished => f.write_str("an unfinished installation"),
            Self::Ours(_) => f.write_str("a sledos disk"),
            Self::Foreign(what) => write!(f, "has {what}"),
            Self::Unreadable(why) => write!(f, "unreadable: {why}"),
        }
    }
}

/// Where a signature lies, in bytes.
enum At {
    /// From the start of the disk.
    Start(usize),
    /// From its end.
    End(usize),
}
use At::{End, Start};

const GPT: &str = "a GPT partition table";
const MBR: &str = "an MBR partition table";

/// Signatures of what may lie on a whole disk. Several may hold; the first is named.
const SIGNATURES: [(&str, At, &[u8]); 41] = [
    ("an encrypted LUKS volume", Start(0), b"LUKS\xba\xbe"),
    ("an encrypted LUKS volume", Start(16384), b"SKUL\xba\xbe"),
    ("an LVM2 physical volume", Start(0), b"LABELONE"),
    ("an LVM2 physical volume", Start(512), b"LABELONE"),
    ("an LVM2 physical volume", Start(1024), b"LABELONE"),
    ("an LVM2 physical volume", Start(1536), b"LABELONE"),
    ("a member of a Linux RAID (1.1)", Start(0), b"\xfc\x4e\x2b\xa9"),
    ("a member of a Linux RAID (1.2)", Start(4096), b"\xfc\x4e\x2b\xa9"),
    ("a member of a DDF RAID", End(512), b"\xde\x11\xde\x11"),
    ("a member of an Intel RAID", End(1024), b"Intel Raid ISM Cfg Sig. "),
    ("a bcache device", Start(4120), b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca"),
    ("a Ceph BlueStore", Start(0), b"bluestore block device"),
    ("a Stratis device", Start(516), b"!Stra0tis"),
    ("a VDO volume", Start(0), b"dmvdo001"),
    ("an ext2/3/4 filesystem", Start(0x438), b"\x53\xef"),
    ("an XFS filesystem", Start(0), b"XFSB"),
    ("a Btrfs filesystem", Start(0x10040), b"_BHRfS_M"),
    ("an F2FS filesystem", Start(1024), b"\x10\x20\xf5\xf2"),
    ("a bcachefs filesystem", Start(4120), b"\xc6\x85\x73\xf6\x66\xce\x90\xa9"),
    ("a JFS filesystem", Start(32768), b"JFS1"),
    ("a ReiserFS filesystem", Start(0x10034), b"ReIsEr"),
    ("swap space", Start(4086), b"SWAPSPACE2"),
    ("swap space", Start(4086), b"SWAP-SPACE"),
    ("swap space", Start(65526), b"SWAPSPACE2"),
    ("a squashfs", Start(0), b"hsqs"),
    ("an EROFS", Start(1024), b"\xe2\xe1\xf5\xe0"),
    ("an ISO 9660 filesystem", Start(32769), b"CD001"),
    ("an NTFS filesystem", Start(3), b"NTFS    "),
    ("an exFAT filesystem", Start(3), b"EXFAT   "),
    ("a FAT filesystem", Start(82), b"FAT32   "),
    ("a FAT filesystem", Start(54), b"FAT16   "),
    ("a FAT filesystem", Start(54), b"FAT12   "),
    ("a FAT filesystem", Start(54), b"FAT     "),
    ("an HFS+ filesystem", Start(1024), b"H+"),
    ("an APFS container", Start(32), b"NXSB"),
    (GPT, Start(512), b"EFI PART"),
    (GPT, Start(4096), b"EFI PART"),
    (GPT, End(512), b"EFI PART"),
    (GPT, End(4096), b"EFI PART"),
    ("an Apple partition map", Start(512), b"PM\0\0"),
    (MBR, Start(510), b"\x55\xaa"),
];

/// Classifies a disk of `bytes` bytes. `head` and `tail` are its first and last
/// [`EDGE`] bytes, or the whole disk when it has less; `content` is what reading
/// its partition table gave.
pub fn classify(bytes: u64, head: &[u8], tail: &[u8], content: &Content) -> State {
    if let Content::Gpt(table) = content
        && is_ours(table)
    {
        return State::Ours(table.clone());
    }
    let named = SIGNATURES.iter().find(|(_, at, magic)| {
        let found = match at {
            Start(at) => head.get(*at..),
            End(back) => tail.len().checked_sub(*back).and_then(|at| tail.get(at..)),
        };
        found.is_some_and(|found| found.starts_with(magic))
    });
    let blank = |edge: &[u8]| {
        edge.first().is_none_or(|first| matches!(first, 0 | 0xff) && edge.iter().all(|b| b == first))
    };
    let whole_table = matches!(content, Content::Gpt(_)).then_some(GPT);
    let what = raid_at_the_end(bytes, tail)
        .or((is_zfs(head) || is_zfs(tail)).then_some("a member of a ZFS pool"))
        .or(named.map(|(what, ..)| *what).filter(|what| !matches!(*what, GPT | MBR)))
        .or(whole_table);
    // Our own table comes last in a preparation, and may be there in part.
    let mark = usize::try_from(MARK_AT).ok().and_then(|at| head.get(at..));
    let ours = mark.is_some_and(|mark| mark.starts_with(MARK)) && is_protective(head);
    if let Some(what) = what {
        State::Foreign(what.to_owned())
    } else if ours {
        State::Unfinished
    } else if let Some((what, ..)) = named {
        State::Foreign((*what).to_owned())
    } else if blank(head) && blank(tail) {
        State::Blank
    } else {
        State::Foreign("data of an unknown kind".to_owned())
    }
}

/// Whether an MBR, if there is one, only protects a GPT.
fn is_protective(head: &[u8]) -> bool {
    let Some(mbr) = head.get(446..510) else { return false };
    mbr.iter().all(|b| *b == 0) || (mbr[4] == 0xee && mbr[16..].iter().all(|b| *b == 0))
}

/// Whether a table has the partitions of a sledos disk: each name once, with its type.
/// OEM may be missing; others may be there as well.
fn is_ours(table: &Table) -> bool {
    Role::ALL.iter().all(|role| {
        let mut named = table.partitions.iter().filter(|p| p.name == role.label());
        match (named.next(), named.next()) {
            (Some(one), None) => one.type_guid == role.type_guid(),
            (None, _) => *role == Role::Oem,
            _ => false,
        }
    })
}

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
mod tests {
    use super::*;
    use formats::gpt::{Guid, Partition, Source};

    const SIZE: u64 = 4 << 20;

    fn state(head: &[u8], tail: &[u8]) -> State {
        classify(SIZE, head, tail, &Content::Other)
    }

    fn edge() -> Vec<u8> {
        vec![0; 1 << 20]
    }

    #[test]
    fn only_a_disk_with_nothing_on_it_is_blank() {
        assert_eq!(state(&edge(), &edge()), State::Blank);
        assert_eq!(state(&vec![0xff; 1 << 20], &edge()), State::Blank);
        for at in [0, 5000, (1 << 20) - 1] {
            let mut other = edge();
            other[at] = 1;
            assert_eq!(state(&other, &edge()), State::Foreign("data of an unknown kind".into()));
            assert_eq!(state(&edge(), &other), State::Foreign("data of an unknown kind".into()));
        }
    }

    #[test]
    fn every_signature_is_found() {
        for (what, at, magic) in &SIGNATURES {
            let (mut head, mut tail) = (edge(), edge());
            let (place, start) = match at {
                Start(at) => (&mut head, *at),
                End(back) => (&mut tail, (1 << 20) - back),
            };
            place[start..start + magic.len()].copy_from_slice(magic);
            assert_eq!(state(&head, &tail), State::Foreign((*what).into()));
        }
        for (at, what) in [((1 << 20) - 0x1_0000, "0.90"), ((1 << 20) - 0x2000, "1.0")] {
            let mut tail = edge();
            tail[at..at + 4].copy_from_slice(b"\xfc\x4e\x2b\xa9");
            assert_eq!(state(&edge(), &tail), State::Foreign(format!("a member of a Linux RAID ({what})")));
        }
        for at in [128 << 10, 255 << 10, 640 << 10] {
            let mut zfs = edge();
            zfs[at..at + 8].copy_from_slice(&0x00ba_b10c_u64.to_be_bytes());
            assert_eq!(state(&zfs, &edge()), State::Foreign("a member of a ZFS pool".into()));
            assert_eq!(state(&edge(), &zfs), State::Foreign("a member of a ZFS pool".into()));
        }
    }

    fn ours() -> Table {
        let partition = |(number, role): (u32, Role)| Partition {
            number,
            name: role.label().into(),
            type_guid: role.type_guid(),
            guid: Guid([1; 16]),
            start: 0,
            size: 4096,
            attributes: 0,
        };
        let partitions = (1..).zip(Role::ALL).map(partition).collect();
        Table { disk_guid: Guid([9; 16]), partitions, source: Source::Primary }
    }

    #[test]
    fn a_disk_is_ours_with_all_names_once_and_all_types() {
        let with = |change: fn(&mut Table)| {
            let mut table = ours();
            change(&mut table);
            classify(SIZE, &edge(), &edge(), &Content::Gpt(table))
        };
        let is_ours = |state| matches!(state, State::Ours(_));
        assert!(is_ours(with(|_| ())));
        assert!(is_ours(with(|t| drop(t.partitions.remove(5)))), "OEM may be missing");
        assert!(is_ours(with(|t| t
            .partitions
            .push(Partition { name: "data".into(), ..t.partitions[6].clone() }))));
        let foreign = State::Foreign("a GPT partition table".into());
        assert_eq!(with(|t| drop(t.partitions.remove(6))), foreign);
        assert_eq!(with(|t| t.partitions.push(t.partitions[6].clone())), foreign);
        assert_eq!(with(|t| t.partitions[6].type_guid = Guid([1; 16])), foreign);
    }

    #[test]
    fn the_mark_is_no_foreign_data_but_hides_none() {
        let mut head = edge();
        let at = usize::try_from(MARK_AT).unwrap();
        head[at..at + MARK.len()].copy_from_slice(MARK);
        assert_eq!(state(&head, &edge()), State::Unfinished);
        // Half of our own table.
        head[510..512].copy_from_slice(b"\x55\xaa");
        head[450] = 0xee;
        head[512..520].copy_from_slice(b"EFI PART");
        assert_eq!(state(&head, &edge()), State::Unfinished);
        assert!(matches!(classify(SIZE, &head, &edge(), &Content::Gpt(ours())), State::Ours(_)));
        // What somebody made since then.
        let mut other = ours();
        other.partitions.truncate(2);
        assert_eq!(classify(SIZE, &head, &edge(), &Content::Gpt(other)), State::Foreign(GPT.into()));
        let mut mbr = head.clone();
        mbr[450] = 0x83;
        assert!(matches!(state(&mbr, &edge()), State::Foreign(_)));
        head[..4].copy_from_slice(b"XFSB");
        assert_eq!(state(&head, &edge()), State::Foreign("an XFS filesystem".into()));
    }
}
