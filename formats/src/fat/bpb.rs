//! Where everything is in a FAT filesystem that somebody made: FAT12, FAT16 or FAT32.
//!
//! Source: Microsoft's "FAT32 File System Specification" 1.03, "Boot Sector and BPB" and
//! "FAT Type Determination".

use super::ReadError;
use std::ops::Range;

/// Largest table that is read, in bytes: 16 million clusters.
const MAX_FAT: u64 = 64 << 20;
/// Clusters of FAT12 and of FAT16 are fewer than these.
const FAT12_END: u64 = 4085;
const FAT16_END: u64 = 65_525;

/// How wide entries of the table are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Fat12,
    Fat16,
    Fat32,
}

/// The root directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Root {
    /// A range of bytes, before the clusters.
    Fixed(Range<u64>),
    /// A chain of clusters.
    Chain(u32),
}

/// What the first sector says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bpb {
    pub(super) kind: Kind,
    /// Bytes in a sector.
    pub(super) sector: u64,
    pub(super) cluster_size: u64,
    /// Where the tables start, in bytes; the one in use first. More than one is kept alike.
    pub(super) tables: Vec<u64>,
    /// Bytes in a table.
    pub(super) table_len: usize,
    pub(super) root: Root,
    /// Where clusters start, in bytes.
    pub(super) data: u64,
    pub(super) clusters: u32,
    /// Where the count of free clusters is, in bytes.
    pub(super) fs_info: Option<u64>,
}

impl Bpb {
    /// Reads the first sector of a filesystem of at most `size` bytes.
    pub(super) fn parse(boot: &[u8; 512], size: u64) -> Result<Self, ReadError> {
        let u16_at = |at: usize| u64::from(u16::from_le_bytes([boot[at], boot[at + 1]]));
        let u32_at = |at: usize| u32::from_le_bytes([boot[at], boot[at + 1], boot[at + 2], boot[at + 3]]);
        if boot[510..] != [0x55, 0xaa] {
            return Err(ReadError::NotFat("no boot sector"));
        }
        let (sector, per_cluster) = (u16_at(11), u64::from(boot[13]));
        if !matches!(sector, 512 | 1024 | 2048 | 4096) || !per_cluster.is_power_of_two() {
            return Err(ReadError::NotFat("impossible sectors"));
        }
        let either = |small: u64, large: usize| if small == 0 { u64::from(u32_at(large)) } else { small };
        let (reserved, fats, root_entries) = (u16_at(14), u64::from(boot[16]), u16_at(17));
        let (sectors, fat_sectors) = (either(u16_at(19), 32), either(u16_at(22), 36));
        let (table_len, root_len) = (fat_sectors * sector, (root_entries * 32).next_multiple_of(sector));
        let impossible = || ReadError::NotFat("impossible sizes");
        if fat_sectors == 0 || reserved == 0 || fats == 0 || sectors * sector > size || table_len > MAX_FAT {
            return Err(impossible());
        }
        let root_at = reserved * sector + fats * table_len;
        let data = root_at + root_len;
        let clusters = (sectors * sector).checked_sub(data).ok_or_else(impossible)? / (per_cluster * sector);
        let kind = match clusters {
            _ if root_entries == 0 && u16_at(22) == 0 => Kind::Fat32,
            n if n < FAT12_END => Kind::Fat12,
            n if n < FAT16_END => Kind::Fat16,
            _ => return Err(ReadError::NotFat("another kind of FAT")),
        };
        let bits = (clusters + 2)
            * match kind {
                Kind::Fat12 => 12,
                Kind::Fat16 => 16,
                Kind::Fat32 => 32,
            };
        let clusters =
            u32::try_from(clusters).ok().filter(|n| bits.div_ceil(8) <= table_len && *n < 0x0fff_fff5);
        let wide = kind == Kind::Fat32;
        // FAT32 may use one table and leave the others as they are: bit 7, and its number.
        let flags = if wide { u16_at(40) } else { 0 };
        let (single, active) = (flags & 0x80 != 0, (flags & 0x0f).min(fats - 1));
        let table = |n: u64| reserved * sector + n * table_len;
        let tables = if single { vec![table(active)] } else { (0..fats).map(table).collect() };
        let info = u16_at(48);
        let fs_info = (wide && info != 0 && info < reserved).then_some(info * sector);
        Ok(Self {
            kind,
            sector,
            cluster_size: per_cluster * sector,
            tables,
            table_len: usize::try_from(table_len).map_err(|_| impossible())?,
            root: if wide {
                Root::Chain(u32_at(44))
            } else {
                Root::Fixed(root_at..root_at + root_entries * 32)
            },
            data,
            clusters: clusters.ok_or_else(impossible)?,
            fs_info,
        })
    }

    /// Where a cluster starts, in bytes; `None` when there is no such cluster.
    pub(super) fn at(&self, cluster: u32) -> Option<u64> {
        let index = cluster.checked_sub(2).filter(|index| *index < self.clusters)?;
        Some(self.data + u64::from(index) * self.cluster_size)
    }

    /// All clusters.
    pub(super) fn numbers(&self) -> Range<u32> {
        2..self.clusters + 2
    }
}
