//! Reads a table that may be damaged or hostile.

use std::io;

use super::{Guid, Partition};
use crate::crc::CRC32;

/// Bytes of the fields of a header; it may be longer.
const HEADER_SIZE: usize = 92;
const MIN_ENTRY_SIZE: u32 = 128;
/// Longest table that is read, in bytes: 64 times the usual one.
const MAX_ENTRIES_SIZE: u64 = 1 << 20;
const NAME_UNITS: usize = 36;

/// A partition table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// GUID of the disk.
    pub disk_guid: Guid,
    /// The partitions, by number.
    pub partitions: Vec<Partition>,
    /// Which copy this is.
    pub source: Source,
}

/// The copies of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The one at the start of the disk.
    Primary,
    /// The one at its end; the primary one is damaged.
    Backup,
}

/// No copy of the table can be used.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The sector size is not one that disks have.
    #[error("GPT: sectors of {0} bytes are not possible; 512 to 4096 in powers of two are")]
    SectorSize(
        /// The size asked for.
        u32,
    ),
    /// Both copies are unusable.
    #[error("GPT: there is no usable partition table: primary: {primary}; backup: {backup}")]
    Unusable {
        /// What is wrong with the primary one.
        primary: HeaderError,
        /// What is wrong with the backup.
        backup: HeaderError,
    },
}

/// What is wrong with one copy of a table.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// The disk could not be read.
    #[error("it cannot be read ({0})")]
    Io(
        /// What the reader said.
        io::Error,
    ),
    /// The disk's sector size is not one that disks have.
    #[error("sectors of {0} bytes are not possible; 512 to 4096 in powers of two are")]
    SectorSize(
        /// The size given, bytes.
        u32,
    ),
    /// The disk is too small to have one.
    #[error("the disk is too small")]
    DiskTooSmall,
    /// No `EFI PART`.
    #[error("it has no signature")]
    Signature,
    /// Not revision 1.0.
    #[error("its revision {0:#x} is unknown")]
    Revision(
        /// The revision.
        u32,
    ),
    /// Shorter than its fields or longer than a sector.
    #[error("its header of {0} bytes has an impossible length")]
    HeaderSize(
        /// The length, bytes.
        u32,
    ),
    /// The checksum of the header is wrong.
    #[error("the checksum of its header is wrong")]
    HeaderChecksum,
    /// It says to be in another place than it was found at.
    #[error("its header belongs to sector {0}")]
    WrongPlace(
        /// The sector it says to be in.
        u64,
    ),
    /// The range for partitions is not one, or not within the disk.
    #[error("its usable range {first}-{last} is impossible")]
    UsableRange {
        /// First sector.
        first: u64,
        /// Last sector.
        last: u64,
    },
    /// The entries have an impossible size, or there are too many of them.
    #[error("{count} entries of {size} bytes are impossible")]
    EntrySize {
        /// Number of entries.
        count: u32,
        /// Size of each, bytes.
        size: u32,
    },
    /// The entries are not within the disk.
    #[error("its entries start at the impossible sector {0}")]
    EntriesPlace(
        /// First sector of the entries.
        u64,
    ),
    /// The checksum of the entries is wrong.
    #[error("the checksum of its entries is wrong")]
    EntriesChecksum,
    /// A partition is not within the usable range.
    #[error("partition {number} covers the impossible sectors {first}-{last}")]
    PartitionRange {
        /// Its number.
        number: u32,
        /// First sector.
        first: u64,
        /// Last sector.
        last: u64,
    },
    /// Two partitions share sectors.
    #[error("partitions {0} and {1} overlap")]
    Overlap(
        /// The number of one.
        u32,
        /// The number of the other.
        u32,
    ),
}

/// Reads the table of a disk: the primary copy, or the backup when that is
/// damaged.
///
/// `read_at` fills a buffer from an offset in bytes; it is asked for whole
/// sectors within the `disk_size` bytes of the disk only. `sector_size` is the
/// disk's logical one.
///
/// # Errors
/// When neither copy can be used.
pub fn read(
    disk_size: u64,
    sector_size: u32,
    mut read_at: impl FnMut(u64, &mut [u8]) -> io::Result<()>,
) -> Result<Table, ReadError> {
    if !matches!(sector_size, 512 | 1024 | 2048 | 4096) {
        return Err(ReadError::SectorSize(sector_size));
    }
    let mut disk = Disk { sectors: disk_size / u64::from(sector_size), sector_size, read_at: &mut read_at };
    let primary = match disk.table(1, Source::Primary) {
        Ok(table) => return Ok(table),
        Err(error) => error,
    };
    let last = disk.sectors.saturating_sub(1);
    disk.table(last, Source::Backup).map_err(|backup| ReadError::Unusable { primary, backup })
}

/// Reads one copy of the table, without falling back to the other: for saying whether
/// both are sound. Arguments are those of [`read`].
///
/// # Errors
/// When this copy cannot be used.
pub fn read_copy(
    source: Source,
    disk_size: u64,
    sector_size: u32,
    mut read_at: impl FnMut(u64, &mut [u8]) -> io::Result<()>,
) -> Result<Table, HeaderError> {
    if !matches!(sector_size, 512 | 1024 | 2048 | 4096) {
        return Err(HeaderError::SectorSize(sector_size));
    }
    let mut disk = Disk { sectors: disk_size / u64::from(sector_size), sector_size, read_at: &mut read_at };
    let lba = match source {
        Source::Primary => 1,
        Source::Backup => disk.sectors.saturating_sub(1),
    };
    disk.table(lba, source)
}

struct Disk<'a> {
    sectors: u64,
    sector_size: u32,
    read_at: &'a mut dyn FnMut(u64, &mut [u8]) -> io::Result<()>,
}

impl Disk<'_> {
    /// The table whose header is in a sector.
    fn table(&mut self, lba: u64, source: Source) -> Result<Table, HeaderError> {
        if self.sectors < 3 {
            return Err(HeaderError::DiskTooSmall);
        }
        let sector = self.sectors_at(lba, u64::from(self.sector_size))?;
        let raw = Fields(&sector);
        if raw.bytes(0) != *b"EFI PART" {
            return Err(HeaderError::Signature);
        }
        let revision = raw.u32(8);
        if revision != 0x0001_0000 {
            return Err(HeaderError::Revision(revision));
        }
        let header_size = raw.u32(12);
        let len = usize::try_from(header_size).ok().filter(|len| (HEADER_SIZE..=sector.len()).contains(len));
        let header = len.and_then(|len| sector.get(..len)).ok_or(HeaderError::HeaderSize(header_size))?;
        // The checksum counts as zero in itself.
        let crc =
            [&header[..16], &[0; 4], &header[20..]].iter().fold(!0, |crc, part| CRC32.update(crc, part));
        if !crc != raw.u32(16) {
            return Err(HeaderError::HeaderChecksum);
        }
        if raw.u64(24) != lba {
            return Err(HeaderError::WrongPlace(raw.u64(24)));
        }
        let (first, last) = (raw.u64(40), raw.u64(48));
        if first < 2 || first > last || last >= self.sectors {
            return Err(HeaderError::UsableRange { first, last });
        }
        let (count, size) = (raw.u32(80), raw.u32(84));
        let len = u64::from(count) * u64::from(size);
        if !size.is_power_of_two() || size < MIN_ENTRY_SIZE || len > MAX_ENTRIES_SIZE {
            return Err(HeaderError::EntrySize { count, size });
        }
        let entries_lba = raw.u64(72);
        let end = entries_lba.checked_add(len.div_ceil(self.sector_size.into()));
        if entries_lba < 2 || end.is_none_or(|end| end > self.sectors) {
            return Err(HeaderError::EntriesPlace(entries_lba));
        }
        let entries = self.sectors_at(entries_lba, len)?;
        if !CRC32.update(!0, &entries) != raw.u32(88) {
            return Err(HeaderError::EntriesChecksum);
        }
        let size = usize::try_from(size).map_err(|_| HeaderError::EntrySize { count, size })?;
        let partitions = self.partitions(&entries, size, first, last)?;
        Ok(Table { disk_guid: Guid(raw.bytes(56)), partitions, source })
    }

    fn partitions(
        &self,
        entries: &[u8],
        entry_size: usize,
        first_usable: u64,
        last_usable: u64,
    ) -> Result<Vec<Partition>, HeaderError> {
        let mut found = Vec::new();
        for (number, entry) in (1..).zip(entries.chunks_exact(entry_size)) {
            let raw = Fields(entry);
            let type_guid = Guid(raw.bytes(0));
            if type_guid.is_zero() {
                continue;
            }
            let (first, last) = (raw.u64(32), raw.u64(40));
            if first < first_usable || last > last_usable || first > last {
                return Err(HeaderError::PartitionRange { number, first, last });
            }
            let units: Vec<u16> = (0..NAME_UNITS)
                .map(|i| u16::from_le_bytes(raw.bytes(56 + 2 * i)))
                .take_while(|u| *u != 0)
                .collect();
            // Both are below the number of sectors, so that nothing overflows.
            found.push(Partition {
                number,
                name: String::from_utf16_lossy(&units),
                type_guid,
                guid: Guid(raw.bytes(16)),
                start: first * u64::from(self.sector_size),
                size: (last - first + 1) * u64::from(self.sector_size),
                attributes: raw.u64(48),
            });
        }
        let mut by_start: Vec<_> = found.iter().collect();
        by_start.sort_unstable_by_key(|p| p.start);
        for pair in by_start.windows(2) {
            if let [a, b] = pair
                && a.start + a.size > b.start
            {
                return Err(HeaderError::Overlap(a.number.min(b.number), a.number.max(b.number)));
            }
        }
        Ok(found)
    }

    /// `len` bytes from the start of a sector, read in whole sectors.
    fn sectors_at(&mut self, lba: u64, len: u64) -> Result<Vec<u8>, HeaderError> {
        let whole = len.next_multiple_of(self.sector_size.into());
        let narrow = |n| usize::try_from(n).map_err(|_| HeaderError::Io(io::ErrorKind::OutOfMemory.into()));
        let mut buf = vec![0; narrow(whole)?];
        (self.read_at)(lba * u64::from(self.sector_size), &mut buf).map_err(HeaderError::Io)?;
        buf.truncate(narrow(len)?);
        Ok(buf)
    }
}

/// Little-endian fields at fixed offsets; what is past the end reads as zero.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn bytes<const N: usize>(&self, at: usize) -> [u8; N] {
        let field = self.0.get(at..at + N).and_then(|b| <[u8; N]>::try_from(b).ok());
        field.unwrap_or([0; N])
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.bytes(at))
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.bytes(at))
    }
}
