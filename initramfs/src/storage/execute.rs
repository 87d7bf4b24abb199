//! Partitions a data disk. A power cut at any moment leaves a disk that the next boot
//! recognises: as it was, as a preparation that was cut off, or as ours.

use crate::disks;
use crate::slots::classify::{EDGE, FRESH, MARK, MARK_AT};
use crate::slots::disk::{BlockDevice, Disk};
use crate::slots::table::{self, Failed};
use formats::gpt;
use std::io;

/// Writes the table to a disk that nobody uses, and shows its partition to the kernel.
///
/// # Errors
/// When the disk is in use or does not take it.
pub fn partition(name: &str, plan: &gpt::Plan) -> Result<(), Failed> {
    let disk = BlockDevice::open(&disks::node(name))?;
    disk.forget_partitions(name)?;
    write(&disk, plan)?;
    disk.reread_partitions();
    drop(disk);
    for partition in &plan.partitions {
        disks::device_of(name, partition)?;
    }
    Ok(())
}

/// Writes the table. What was on the disk is not found any more afterwards: the places
/// where other programs look are zeroes.
pub(crate) fn write(disk: &dyn Disk, plan: &gpt::Plan) -> Result<(), Failed> {
    // Before anything of ours is on it, so that it is known at any time.
    disk.zero(0, MARK_AT)?;
    let mut mark = [0; 4096];
    mark[..MARK.len()].copy_from_slice(MARK);
    disk.write(MARK_AT, &mark)?;
    disk.flush()?;
    let mut end = EDGE;
    for partition in &plan.partitions {
        let edge = EDGE.min(partition.size);
        end = partition.start + partition.size;
        disk.zero(partition.start, edge)?;
        disk.zero(end - edge, edge)?;
    }
    disk.zero(end, plan.disk_size.saturating_sub(end))?;
    disk.flush()?;
    table::write(disk, plan)?;
    disk.zero(MARK_AT, 4096)?;
    disk.flush()?;
    Ok(())
}

/// Notes that the new partition of a disk has its filesystem. Nobody may format it any
/// more.
///
/// # Errors
/// When the disk does not take it.
pub fn formatted(name: &str, partition: &gpt::Partition) -> Result<(), Failed> {
    let gone = || io::Error::other("the disk has another partition table now");
    let found = disks::look_at(name).ok_or_else(gone)?;
    let disks::Content::Gpt(table) = &found.content else { return Err(gone().into()) };
    if !table.partitions.contains(partition) {
        return Err(gone().into());
    }
    let sector = crate::slots::device::sector(name);
    let size = u64::from(sector.max(1));
    let mut plan = gpt::Plan {
        disk_size: found.bytes / size * size,
        sector_size: sector,
        disk_guid: table.disk_guid,
        partitions: table.partitions.clone(),
    };
    plan.partitions.iter_mut().for_each(|p| p.attributes &= !FRESH);
    table::write(&BlockDevice::open_shared(&disks::node(name))?, &plan)
}
