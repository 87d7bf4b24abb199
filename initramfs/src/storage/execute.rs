//! Partitions a data disk. A power cut at any moment leaves a disk that the next boot
//! recognises: as it was, as a preparation that was cut off, or as ours.

use super::plan::{Action, Entry};
use crate::disks;
use crate::slots::classify::{EDGE, FRESH, MARK, MARK_AT, State};
use crate::slots::device::{self, Device};
use crate::slots::disk::{BlockDevice, Disk};
use crate::slots::table::{self, Failed};
use formats::gpt;
use std::io;

/// Carries out what PID 1 does for an entry of a plan. Returns whether there was anything.
///
/// # Errors
/// When the disk is in use, does not take it, or is another one now.
pub fn carry_out(entry: &Entry) -> Result<bool, Failed> {
    match &entry.action {
        Action::Prepare { table, .. } => partition(&entry.device, table)?,
        Action::Renumber { partition, .. } => renumber(&entry.device, partition)?,
        Action::Keep { .. } | Action::Refuse(_) => return Ok(false),
    }
    Ok(true)
}

/// Writes the table to a disk that nobody uses, and shows its partition to the kernel.
fn partition(device: &Device, plan: &gpt::Plan) -> Result<(), Failed> {
    let name = &device.name;
    let disk = BlockDevice::open(&disks::node(name))?;
    device::is_still(device)?;
    disk.forget_partitions(name)?;
    write(&disk, plan)?;
    disk.reread_partitions();
    drop(disk);
    for partition in &plan.partitions {
        disks::device_of(name, partition)?;
    }
    Ok(())
}

/// Gives the partition of a data disk that nobody uses another name.
fn renumber(device: &Device, partition: &gpt::Partition) -> Result<(), Failed> {
    let disk = BlockDevice::open(&disks::node(&device.name))?;
    device::is_still(device)?;
    let State::Data(data) = &device.state else { return Err(io::Error::other("it is no data disk").into()) };
    table::write(&disk, &alone(device.bytes, device.sector, data.disk_guid, partition.clone()))
}

/// The table of a data disk.
fn alone(bytes: u64, sector: u32, disk_guid: gpt::Guid, partition: gpt::Partition) -> gpt::Plan {
    let size = u64::from(sector.max(1));
    // A disk may have a part of a sector more than it can use.
    gpt::Plan { disk_size: bytes / size * size, sector_size: sector, disk_guid, partitions: vec![partition] }
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

/// A disk, which has this very partition.
///
/// # Errors
/// When it does not: another disk may have its name now.
pub fn still_has(name: &str, partition: &gpt::Partition) -> io::Result<(disks::Disk, gpt::Table)> {
    let gone = || io::Error::other("the disk has another partition table now");
    let found = disks::look_at(name).ok_or_else(gone)?;
    match &found.content {
        disks::Content::Gpt(table) if table.partitions.contains(partition) => {
            let table = table.clone();
            Ok((found, table))
        }
        _ => Err(gone()),
    }
}

/// Notes that the new partition of a disk has its filesystem. Nobody may format it any
/// more.
///
/// # Errors
/// When the disk does not take it.
pub fn formatted(name: &str, partition: &gpt::Partition) -> Result<(), Failed> {
    let (found, table) = still_has(name, partition)?;
    let formatted = gpt::Partition { attributes: partition.attributes & !FRESH, ..partition.clone() };
    let plan = alone(found.bytes, device::sector(name), table.disk_guid, formatted);
    table::write(&BlockDevice::open_shared(&disks::node(name))?, &plan)
}

#[cfg(test)]
mod tests;
