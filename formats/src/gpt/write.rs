//! Plans and writes a table.

use std::collections::BTreeSet;
use std::io::{self, Read, Seek, SeekFrom, Write};

use gptman::{GPT, GPTHeader, GPTPartitionEntry};

use super::{Guid, Partition};

/// Where partitions start: at a multiple of this, which suits every disk.
pub const ALIGNMENT: u64 = 1 << 20;
/// Entries in the table.
const ENTRIES: u32 = 128;
const ENTRY_SIZE: u32 = 128;
const NAME_UNITS: usize = 36;

/// A whole table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Size of the disk in bytes, a multiple of the sector size.
    pub disk_size: u64,
    /// Bytes in a logical sector: 512 or 4096.
    pub sector_size: u32,
    /// GUID of the disk.
    pub disk_guid: Guid,
    /// The partitions. Numbers may be left out; they are kept as they are.
    pub partitions: Vec<Partition>,
}

/// Why a table cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The sector size is not 512 or 4096.
    #[error("GPT: sectors of {0} bytes are not possible; 512 and 4096 are")]
    SectorSize(
        /// The size asked for.
        u32,
    ),
    /// The disk is too small for any table, or not a multiple of the sector size.
    #[error("GPT: a disk of {0} bytes is not possible; it must have whole sectors, and room for two tables")]
    DiskSize(
        /// The size of the disk, bytes.
        u64,
    ),
    /// A number is out of range.
    #[error("GPT: partition {number} ({name}): the number must be 1 to 128")]
    Number {
        /// The number.
        number: u32,
        /// Name of the partition.
        name: String,
    },
    /// Two partitions have the same number.
    #[error("GPT: two partitions have the number {0}; give each its own")]
    DuplicateNumber(
        /// The number.
        u32,
    ),
    /// A name is too long or has a NUL in it.
    #[error("GPT: the partition name {0:?} is not possible; it may have 36 UTF-16 units, without NUL")]
    Name(
        /// The name.
        String,
    ),
    /// A GUID is zero.
    #[error("GPT: partition {0} has a GUID or a type of zero, which means that it is unused")]
    ZeroGuid(
        /// Number of the partition.
        u32,
    ),
    /// Two partitions have the same GUID.
    #[error("GPT: two partitions have the GUID {0}; give each its own")]
    DuplicateGuid(
        /// The GUID.
        Guid,
    ),
    /// A partition is empty, or does not start or end with a sector.
    #[error("GPT: partition {number} ({size} bytes from {start}) must have whole sectors, at least one")]
    Sectors {
        /// Number of the partition.
        number: u32,
        /// Its start, bytes.
        start: u64,
        /// Its size, bytes.
        size: u64,
    },
    /// A partition reaches into the tables or past the end of the disk.
    #[error(
        "GPT: partition {number} ({size} bytes from {start}) is not within {first} to {end}, where partitions may be; enlarge the disk or move it"
    )]
    OutOfDisk {
        /// Number of the partition.
        number: u32,
        /// Its start, bytes.
        start: u64,
        /// Its size, bytes.
        size: u64,
        /// Where partitions may start, bytes.
        first: u64,
        /// Where they must have ended, bytes.
        end: u64,
    },
    /// Two partitions share sectors.
    #[error("GPT: partitions {0} and {1} overlap; move one")]
    Overlap(
        /// The number of one.
        u32,
        /// The number of the other.
        u32,
    ),
    /// All sizes together are past what can be counted.
    #[error("GPT: the partitions are larger together than any disk")]
    TooLarge,
    /// The table could not be made.
    #[error("GPT: the table could not be made")]
    Table(
        /// What gptman said.
        #[from]
        gptman::Error,
    ),
    /// The disk could not be written.
    #[error("GPT: the table could not be written")]
    Write(
        /// What the writer said.
        #[from]
        io::Error,
    ),
}

/// Gives the partitions their places: in the order given, each start aligned to
/// [`ALIGNMENT`], nothing else between them. Returns the size in bytes, a multiple
/// of [`ALIGNMENT`], of the smallest disk for them.
///
/// # Errors
/// When the sizes are past what can be counted.
pub fn lay_out(partitions: &mut [Partition]) -> Result<u64, WriteError> {
    let mut at = ALIGNMENT;
    for partition in partitions {
        partition.start = at;
        let end = at.checked_add(partition.size).and_then(|end| end.checked_next_multiple_of(ALIGNMENT));
        at = end.ok_or(WriteError::TooLarge)?;
    }
    // The second table fits into the last unit with both sector sizes.
    at.checked_add(ALIGNMENT).ok_or(WriteError::TooLarge)
}

/// Where partitions end on a disk of so many bytes: [`lay_out`] leaves its last unit to the
/// second table.
pub const fn end(disk_size: u64) -> u64 {
    disk_size.saturating_sub(ALIGNMENT) / ALIGNMENT * ALIGNMENT
}

/// Writes the protective MBR, the table and its backup. The current position of
/// `out` becomes the start of the disk; the rest of the disk is not touched.
///
/// # Errors
/// When the plan is impossible, in which case nothing is written, and for I/O.
pub fn write<W: Write + Seek>(out: &mut W, plan: &Plan) -> Result<(), WriteError> {
    let header = header(plan)?;
    check(plan, &header)?;
    let sector = u64::from(plan.sector_size);
    let mut entries = vec![GPTPartitionEntry::empty(); usize::try_from(ENTRIES).unwrap_or_default()];
    for p in &plan.partitions {
        let slot = usize::try_from(p.number).ok().and_then(|n| entries.get_mut(n.checked_sub(1)?));
        if let Some(entry) = slot {
            *entry = GPTPartitionEntry {
                partition_type_guid: p.type_guid.0,
                unique_partition_guid: p.guid.0,
                starting_lba: p.start / sector,
                ending_lba: (p.start + p.size) / sector - 1,
                attribute_bits: p.attributes,
                partition_name: p.name.as_str().into(),
            };
        }
    }
    let mut disk = Disk { origin: out.stream_position()?, size: plan.disk_size, inner: out };
    GPT::write_protective_mbr_into(&mut disk, sector)?;
    let mut backup = GPTHeader {
        primary_lba: header.backup_lba,
        backup_lba: header.primary_lba,
        partition_entry_lba: header.last_usable_lba + 1,
        ..header.clone()
    };
    let mut header = header;
    for copy in [&mut header, &mut backup] {
        copy.write_into(&mut disk, sector, &entries)?;
        // The rest of the sector is reserved, and the disk ends with it.
        disk.seek(SeekFrom::Start(copy.primary_lba * sector + u64::from(copy.header_size)))?;
        let rest = sector.saturating_sub(copy.header_size.into());
        io::copy(&mut io::repeat(0).take(rest), &mut disk)?;
    }
    Ok(())
}

/// The primary header, its checksums left out.
fn header(plan: &Plan) -> Result<GPTHeader, WriteError> {
    if !matches!(plan.sector_size, 512 | 4096) {
        return Err(WriteError::SectorSize(plan.sector_size));
    }
    let sector = u64::from(plan.sector_size);
    let table = u64::from(ENTRIES * ENTRY_SIZE) / sector;
    let sectors = plan.disk_size / sector;
    // MBR, two headers, two tables, and something between them.
    if !plan.disk_size.is_multiple_of(sector) || sectors < 4 + 2 * table {
        return Err(WriteError::DiskSize(plan.disk_size));
    }
    Ok(GPTHeader {
        signature: *b"EFI PART",
        revision: [0, 0, 1, 0],
        header_size: 92,
        crc32_checksum: 0,
        reserved: [0; 4],
        primary_lba: 1,
        backup_lba: sectors - 1,
        first_usable_lba: 2 + table,
        last_usable_lba: sectors - table - 2,
        disk_guid: plan.disk_guid.0,
        partition_entry_lba: 2,
        number_of_partition_entries: ENTRIES,
        size_of_partition_entry: ENTRY_SIZE,
        partition_entry_array_crc32: 0,
    })
}

fn check(plan: &Plan, header: &GPTHeader) -> Result<(), WriteError> {
    let sector = u64::from(plan.sector_size);
    let (first, end) = (header.first_usable_lba * sector, (header.last_usable_lba + 1) * sector);
    let (mut numbers, mut guids) = (BTreeSet::new(), BTreeSet::new());
    for p in &plan.partitions {
        let &Partition { number, start, size, .. } = p;
        if !(1..=ENTRIES).contains(&number) {
            return Err(WriteError::Number { number, name: p.name.clone() });
        }
        if !numbers.insert(number) {
            return Err(WriteError::DuplicateNumber(number));
        }
        if p.name.encode_utf16().count() > NAME_UNITS || p.name.contains('\0') {
            return Err(WriteError::Name(p.name.clone()));
        }
        if p.guid.is_zero() || p.type_guid.is_zero() {
            return Err(WriteError::ZeroGuid(number));
        }
        if !guids.insert(p.guid) {
            return Err(WriteError::DuplicateGuid(p.guid));
        }
        if size == 0 || !start.is_multiple_of(sector) || !size.is_multiple_of(sector) {
            return Err(WriteError::Sectors { number, start, size });
        }
        if start < first || start.checked_add(size).is_none_or(|to| to > end) {
            return Err(WriteError::OutOfDisk { number, start, size, first, end });
        }
    }
    let mut by_start: Vec<_> = plan.partitions.iter().collect();
    by_start.sort_unstable_by_key(|p| p.start);
    for pair in by_start.windows(2) {
        if let [a, b] = pair
            && a.start + a.size > b.start
        {
            return Err(WriteError::Overlap(a.number, b.number));
        }
    }
    Ok(())
}

/// A disk within the output: gptman counts from its start and asks for its end.
struct Disk<'a, W> {
    inner: &'a mut W,
    origin: u64,
    size: u64,
}

impl<W: Seek> Seek for Disk<'_, W> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(at) => SeekFrom::Start(self.origin + at),
            SeekFrom::End(offset) => {
                let at = (self.origin + self.size).checked_add_signed(offset);
                SeekFrom::Start(at.ok_or(io::ErrorKind::InvalidInput)?)
            }
            current @ SeekFrom::Current(_) => current,
        };
        let at = self.inner.seek(to)?;
        at.checked_sub(self.origin).ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }
}

impl<W: Write> Write for Disk<'_, W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.inner.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
