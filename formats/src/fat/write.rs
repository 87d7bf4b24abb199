//! Carries out a plan.

use std::io::{Seek, Write};

use super::geometry::{FATS, Geometry, RESERVED_SECTORS};
use super::plan::{Data, Plan, ROOT_CLUSTER};
use super::{Error, Options};
use crate::sparse::Sparse;

/// Sector of the FSInfo block.
const FS_INFO: u16 = 1;
/// Sector where the copies of boot sector and FSInfo start.
const BACKUP: u16 = 6;
const MEDIA_FIXED: u8 = 0xf8;
const END_OF_CHAIN: u32 = 0x0fff_ffff;
/// Bytes of a file that are in memory at a time.
const CHUNK: usize = 1 << 20;

type Sector = [u8; 512];

pub(super) fn write<W: Write + Seek>(out: &mut W, plan: &Plan<'_>, options: &Options) -> Result<(), Error> {
    let geometry = &plan.geometry;
    let mut out = Sparse::new(out)?;
    for copy in [0, BACKUP] {
        let at = u64::from(copy) * u64::from(geometry.sector_size);
        out.put(at, &boot_sector(plan, options))?;
        out.put(at + u64::from(FS_INFO) * u64::from(geometry.sector_size), &fs_info(plan))?;
    }
    let fat = fat(plan);
    for copy in 0..FATS {
        out.put(geometry.fat_offset(copy), &fat)?;
    }
    let mut buf = vec![0; CHUNK];
    for chain in &plan.chains {
        let at = geometry.cluster_offset(chain.first);
        match &chain.data {
            Data::Dir(bytes) => out.put(at, bytes)?,
            Data::File(path, content) => {
                let mut offset: u64 = 0;
                while offset < content.len() {
                    let take = usize::try_from(content.len() - offset).unwrap_or(CHUNK).min(CHUNK);
                    content
                        .read_exact_at(&mut buf[..take], offset)
                        .map_err(|source| Error::Read { path: path.to_string(), source })?;
                    out.put(at + offset, &buf[..take])?;
                    offset += take as u64;
                }
            }
        }
    }
    Ok(out.finish(options.size)?)
}

fn signed(mut sector: Sector) -> Sector {
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    sector
}

fn boot_sector(plan: &Plan<'_>, options: &Options) -> Sector {
    let Geometry { sector_size, sectors, sectors_per_cluster, fat_sectors, .. } = plan.geometry;
    let mut raw = [0; 512];
    let mut put = |at: usize, bytes: &[u8]| raw[at..at + bytes.len()].copy_from_slice(bytes);
    let small = |n: u64| u16::try_from(n).expect("a small constant").to_le_bytes();
    put(0, &[0xeb, 0x58, 0x90]); // jump over the fields
    put(3, b"MSWIN4.1"); // the name that every reader takes
    put(11, &sector_size.to_le_bytes());
    put(13, &[sectors_per_cluster]);
    put(14, &small(RESERVED_SECTORS));
    put(16, &small(FATS)[..1]);
    put(21, &[MEDIA_FIXED]);
    put(24, &[63, 0, 255, 0]); // sectors per track, heads: as of a large disk
    put(32, &sectors.to_le_bytes());
    put(36, &fat_sectors.to_le_bytes());
    put(44, &ROOT_CLUSTER.to_le_bytes());
    put(48, &FS_INFO.to_le_bytes());
    put(50, &BACKUP.to_le_bytes());
    put(64, &[0x80]); // drive number
    put(66, &[0x29]); // volume id, label and type follow
    put(67, &options.volume_id.to_le_bytes());
    put(71, plan.label.as_ref().unwrap_or(b"NO NAME    "));
    put(82, b"FAT32   ");
    put(90, &[0xf4, 0xeb, 0xfd]); // not bootable by a BIOS: halt
    signed(raw)
}

fn fs_info(plan: &Plan<'_>) -> Sector {
    let mut raw = [0; 512];
    let mut put = |at: usize, bytes: &[u8]| raw[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"RRaA");
    put(484, b"rrAa");
    put(488, &(plan.geometry.clusters - plan.used).to_le_bytes());
    // Where to look for a free cluster first: the last one that was given out.
    put(492, &(ROOT_CLUSTER + plan.used - 1).to_le_bytes());
    signed(raw)
}

/// The table as far as it is not zero.
fn fat(plan: &Plan<'_>) -> Vec<u8> {
    let mut entries = vec![0x0fff_ff00 | u32::from(MEDIA_FIXED), END_OF_CHAIN];
    for chain in &plan.chains {
        // Chains follow each other without gaps, so the next entry is the chain's first.
        let last = chain.first + chain.clusters - 1;
        entries.extend((chain.first..last).map(|cluster| cluster + 1));
        entries.push(END_OF_CHAIN);
    }
    entries.into_iter().flat_map(u32::to_le_bytes).collect()
}
