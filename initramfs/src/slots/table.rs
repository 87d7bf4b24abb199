//! Writes a partition table so that there is a whole one at any time.

use super::disk::Disk;
use formats::gpt::{self, Plan};
use std::io::{self, Seek, SeekFrom, Write};

/// Collects what is written, in order.
#[derive(Default)]
struct Pieces {
    at: u64,
    all: Vec<(u64, Vec<u8>)>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.all.push((self.at, bytes.to_vec()));
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Pieces {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match to {
            SeekFrom::Start(at) => self.at = at,
            SeekFrom::Current(by) => {
                self.at = self.at.checked_add_signed(by).ok_or(io::ErrorKind::InvalidInput)?
            }
            SeekFrom::End(_) => return Err(io::ErrorKind::InvalidInput.into()),
        }
        Ok(self.at)
    }
}

/// Writes both copies of a table and reads it back. A power cut leaves the old
/// table or the new one: the copy in use is written last, after the other is safe.
pub(crate) fn write(disk: &dyn Disk, plan: &Plan) -> Result<(), Failed> {
    let mut pieces = Pieces::default();
    gpt::write(&mut pieces, plan)?;
    let (mut first, mut second) = copies(pieces.all, plan);
    // Without a usable primary copy the backup is what holds the disk together.
    if matches!(read(disk, plan), Ok(gpt::Table { source: gpt::Source::Primary, .. })) {
        (first, second) = (second, first);
    }
    for copy in [first, second] {
        for (at, bytes) in copy {
            disk.write(at, &bytes)?;
        }
        disk.flush()?;
    }
    let found = read(disk, plan).map_err(|_| Failed::ReadBack)?;
    let mut expected = plan.partitions.clone();
    expected.sort_by_key(|p| p.number);
    if found.partitions != expected || found.disk_guid != plan.disk_guid {
        return Err(Failed::ReadBack);
    }
    Ok(())
}

/// One copy of a table: what is written where.
type Copy = Vec<(u64, Vec<u8>)>;

/// The copies in whole sectors: one at the start, with the protective MBR, and one at
/// the end.
fn copies(pieces: Copy, plan: &Plan) -> (Copy, Copy) {
    let sector = u64::from(plan.sector_size);
    // Each sector is written once, whole: a torn one is neither old nor new. There are
    // few, and each is mostly the one before.
    let mut sectors: Copy = Vec::new();
    for (at, bytes) in pieces {
        for (at, byte) in (at..).zip(bytes) {
            let start = at - at % sector;
            let known = sectors.iter().rposition(|(place, _)| *place == start).unwrap_or(sectors.len());
            if known == sectors.len() {
                sectors.push((start, vec![0; usize::try_from(sector).unwrap_or(0)]));
            }
            let raw = sectors.get_mut(known).map(|(_, raw)| raw);
            if let (Some(raw), Ok(offset)) = (raw, usize::try_from(at % sector))
                && let Some(place) = raw.get_mut(offset)
            {
                *place = byte;
            }
        }
    }
    sectors.into_iter().partition(|(at, _)| *at < plan.disk_size / 2)
}

fn read(disk: &dyn Disk, plan: &Plan) -> Result<gpt::Table, gpt::ReadError> {
    gpt::read(plan.disk_size, plan.sector_size, |at, buffer| disk.read(at, buffer))
}

/// Why a table is not on a disk.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// It cannot be made.
    #[error(transparent)]
    Plan(#[from] gpt::WriteError),
    /// The disk does not take it.
    #[error("the partition table could not be written")]
    Disk(#[from] io::Error),
    /// The disk took it and reads something else.
    #[error("the partition table does not read back as it was written")]
    ReadBack,
}
