//! Reading a GUID partition table, the second copy when the first is damaged.
//!
//! Source: UEFI Specification 2.10, section 5.3.

use super::{Gpt, Partition};
use std::io;

/// Why a disk has no table that can be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("no GPT")]
    None,
    #[error("the GPT is damaged, both copies")]
    Damaged,
    #[error("does not read ({0})")]
    Io(io::Error),
}

/// Entries are at least this long; longer ones have more behind.
const ENTRY: usize = 128;
/// Upper limits for what is read into memory: 1024 entries of 512 bytes.
const MAX_ENTRIES: usize = 1024;
const MAX_ENTRY: usize = 512;

/// Reads `buffer.len()` bytes at an offset.
pub(super) type ReadAt<'f> = &'f dyn Fn(u64, &mut [u8]) -> io::Result<()>;

/// Reads the table of a disk of `bytes` bytes with sectors of `sector` bytes.
pub(super) fn read(disk: ReadAt<'_>, bytes: u64, sector: u64) -> Result<Gpt, Error> {
    let last = (bytes / sector).saturating_sub(1);
    match copy(disk, 1, sector) {
        Ok(gpt) => Ok(gpt),
        Err(first) => match copy(disk, last, sector) {
            Ok(gpt) => Ok(Gpt { from_backup: true, ..gpt }),
            Err(Error::None) => Err(first),
            Err(second) => Err(second),
        },
    }
}

fn copy(disk: ReadAt<'_>, lba: u64, sector: u64) -> Result<Gpt, Error> {
    let mut header = [0; 512];
    disk(lba.saturating_mul(sector), &mut header).map_err(Error::Io)?;
    let header = Header::parse(&header, lba)?;
    let size = header.count.checked_mul(header.size).ok_or(Error::Damaged)?;
    let mut entries = vec![0; size];
    disk(header.entries.saturating_mul(sector), &mut entries).map_err(Error::Io)?;
    if crc32(&entries) != header.crc {
        return Err(Error::Damaged);
    }
    let mut partitions = Vec::new();
    for (number, entry) in (1..).zip(entries.chunks_exact(header.size)) {
        partitions.extend(partition(number, entry, sector));
    }
    Ok(Gpt { guid: header.guid, from_backup: false, partitions })
}

struct Header {
    guid: String,
    entries: u64,
    count: usize,
    size: usize,
    crc: u32,
}

impl Header {
    fn parse(sector: &[u8; 512], lba: u64) -> Result<Self, Error> {
        let u32_at =
            |at: usize| sector.get(at..).and_then(|b| b.first_chunk()).copied().map_or(0, u32::from_le_bytes);
        let u64_at =
            |at: usize| sector.get(at..).and_then(|b| b.first_chunk()).copied().map_or(0, u64::from_le_bytes);
        if !sector.starts_with(b"EFI PART") {
            return Err(Error::None);
        }
        let size = usize::try_from(u32_at(12)).map_err(|_| Error::Damaged)?;
        let covered = sector.get(..size).filter(|b| b.len() >= 92).ok_or(Error::Damaged)?;
        let mut zeroed = covered.to_vec();
        zeroed.iter_mut().skip(16).take(4).for_each(|b| *b = 0);
        let count = usize::try_from(u32_at(80)).map_err(|_| Error::Damaged)?;
        let entry = usize::try_from(u32_at(84)).map_err(|_| Error::Damaged)?;
        if crc32(&zeroed) != u32_at(16)
            || u64_at(24) != lba
            || count > MAX_ENTRIES
            || !(ENTRY..=MAX_ENTRY).contains(&entry)
        {
            return Err(Error::Damaged);
        }
        let guid = sector.get(56..).map(guid).unwrap_or_default();
        Ok(Self { guid, entries: u64_at(72), count, size: entry, crc: u32_at(88) })
    }
}

/// An entry that is in use.
fn partition(number: u32, entry: &[u8], sector: u64) -> Option<Partition> {
    let (kind, rest) = entry.split_first_chunk::<16>()?;
    let (own, rest) = rest.split_first_chunk::<16>()?;
    let (first, rest) = rest.split_first_chunk()?;
    let (last, rest) = rest.split_first_chunk()?;
    let (first, last) = (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
    if *kind == [0; 16] {
        return None;
    }
    let sectors = last.checked_sub(first)?.checked_add(1)?;
    let name = rest.get(8..80)?.chunks_exact(2).map(|c| u16::from_le_bytes([c[0], c[1]]));
    let name: Vec<u16> = name.take_while(|c| *c != 0).collect();
    Some(Partition {
        number,
        kind: guid(kind),
        guid: guid(own),
        name: String::from_utf16_lossy(&name),
        start: first.checked_mul(sector)?,
        bytes: sectors.checked_mul(sector)?,
    })
}

/// Text of a GUID: the first three fields are little-endian (UEFI, appendix A).
fn guid(bytes: &[u8]) -> String {
    let order = [3, 2, 1, 0, 16, 5, 4, 16, 7, 6, 16, 8, 9, 16, 10, 11, 12, 13, 14, 15];
    order
        .iter()
        .map(|at| bytes.get(*at).filter(|_| *at < 16).map_or("-".to_owned(), |b| format!("{b:02x}")))
        .collect()
}

/// CRC-32 (ISO-HDLC), bit by bit: the tables are a few kilobytes.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}
