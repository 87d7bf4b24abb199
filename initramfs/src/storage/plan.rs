//! What is done to each data disk, as a value: decided here, printed, then carried out.
//! Pure.

use super::wipe::{Outcome, Permission, What, outcome};
use crate::identity::Recognised;
use crate::slots::choose::matches;
use crate::slots::classify::{Data, FRESH, State};
use crate::slots::device::{Device, natural};
use formats::gpt::{self, ALIGNMENT, Guid, Partition, types};
use metadata::config::{DiskSet, partition_name};
use metadata::document::{Pick, Wipe};
use std::collections::BTreeMap;

/// Smallest data disk in bytes: mkfs.xfs refuses less than 300 MB.
const LEAST: u64 = 512 << 20;
/// Numbers that disks of a set can have.
const BAYS: u32 = 9999;

/// A plan for all data disks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Each disk that a set means. No disk is in it twice.
    pub entries: Vec<Entry>,
    /// What is to be known besides, one line each.
    pub notes: Vec<String>,
    /// How many disks the sets are short of, those that are refused not counted.
    pub missing: u32,
}

/// What is done to one disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The set that means it.
    pub set: String,
    /// The disk, as it was when this was decided.
    pub device: Device,
    /// What.
    pub action: Action,
}

/// What is done to a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing to its partition. It gets a filesystem when its partition is a new one.
    Keep {
        /// Its number in the set.
        bay: u32,
        /// Its partition.
        partition: Partition,
        /// GUID of the disk.
        disk_guid: Guid,
    },
    /// Its partition gets another number: an older disk has the one it took while that was
    /// missing.
    Renumber {
        /// The number it has.
        from: u32,
        /// The number it gets.
        bay: u32,
        /// Its partition, with its new name.
        partition: Partition,
    },
    /// It is partitioned.
    Prepare {
        /// Its number in the set.
        bay: u32,
        /// The table it gets.
        table: gpt::Plan,
    },
    /// It is not touched, and why.
    Refuse(String),
}

/// Plans. `ids`: two ids for each device, of which the first says when it was made.
pub fn plan(
    sled: &str,
    recognised: Recognised,
    sets: &BTreeMap<String, DiskSet>,
    devices: &[Device],
    ids: &[[Guid; 2]],
) -> Plan {
    let mut plan = Plan::default();
    let sled = (sled, recognised);
    let mut order: Vec<(&Device, [Guid; 2])> = devices.iter().zip(ids.iter().copied()).collect();
    order.sort_unstable_by(|(a, _), (b, _)| natural(&a.path, &b.path));
    for (name, set) in sets {
        let mut found: Vec<_> = order.iter().copied().filter(|(d, _)| matches(d, &set.disk)).collect();
        // Equal ones stay in the order of their paths.
        match set.disk.pick {
            Some(Pick::Smallest) => found.sort_by_key(|(d, _)| d.bytes),
            Some(Pick::Largest) => found.sort_by_key(|(d, _)| u64::MAX - d.bytes),
            Some(Pick::First) | None => {}
        }
        plan.set(sled, sets, name, set, &found);
    }
    plan
}

impl Plan {
    fn set(
        &mut self,
        (sled, recognised): (&str, Recognised),
        sets: &BTreeMap<String, DiskSet>,
        name: &str,
        set: &DiskSet,
        found: &[(&Device, [Guid; 2])],
    ) {
        let most = set.count.unwrap_or(if set.disk.pick.is_some() { 1 } else { BAYS });
        let mut bays: Vec<(u32, String)> = Vec::new();
        // Disks that have a number keep it, whatever appears beside them. Of two with the same
        // one is in use already, or was there first: a blank one took the number of one that
        // was late.
        let own = |(device, _): &(&'_ Device, _)| What::of(device, sled, name) == What::Own;
        let mut owners: Vec<_> = found.iter().filter(|found| own(found)).map(|(device, _)| *device).collect();
        owners.sort_by_key(|device| (!device.in_use, made(device)));
        let mut twins = Vec::new();
        for device in owners {
            let State::Data(Data { bay, partition, disk_guid, .. }) = &device.state else { continue };
            match bays.iter().find(|(taken, _)| taken == bay) {
                Some((_, twin)) => twins.push((device, *bay, twin.clone())),
                None => {
                    bays.push((*bay, device.name.clone()));
                    let action =
                        Action::Keep { bay: *bay, partition: partition.clone(), disk_guid: *disk_guid };
                    self.entry(name, device, action);
                }
            }
        }
        for (device, from, twin) in twins {
            let State::Data(Data { partition, .. }) = &device.state else { continue };
            let older = found.iter().any(|(other, _)| other.name == twin && made(device) < made(other));
            let action = match number(device, &bays) {
                // Another one is mounted in its place until the next boot.
                _ if device.in_use || older => Action::Refuse(format!("{twin} is {name}-{from:02}, too")),
                None => Action::Refuse(NO_NUMBER.to_owned()),
                Some(bay) => {
                    bays.push((bay, device.name.clone()));
                    let partition = Partition { name: partition_name(sled, name, bay), ..partition.clone() };
                    Action::Renumber { from, bay, partition }
                }
            };
            self.entry(name, device, action);
        }
        for (device, ids) in found {
            let what = What::of(device, sled, name);
            let full = u32::try_from(bays.len()).unwrap_or(BAYS) >= most;
            if what == What::Own || (full && set.disk.pick.is_some()) {
                continue;
            }
            let others = || sets.iter().filter(|(other, set)| *other != name && matches(device, &set.disk));
            if others().any(|(other, _)| What::of(device, sled, other) == What::Own) {
                // It is listed there.
                continue;
            }
            let permission = Permission::of(set, device);
            let action = match (others().next(), outcome(what, permission, recognised)) {
                (_, Outcome::Refuse) => Action::Refuse(why(what, set, permission, recognised)),
                (Some((other, _)), _) => Action::Refuse(format!("the sets {name} and {other} both match it")),
                (None, _) if full => Action::Refuse(format!("the set has its {most} disks")),
                (None, _) => match table(sled, name, device, *ids, &bays) {
                    Ok((bay, table)) => {
                        bays.push((bay, device.name.clone()));
                        Action::Prepare { bay, table }
                    }
                    Err(why) => Action::Refuse(why),
                },
            };
            self.entry(name, device, action);
        }
        let has = u32::try_from(bays.len()).unwrap_or(BAYS);
        let expected = set.count.unwrap_or(u32::from(set.disk.pick.is_some()));
        self.missing += expected.saturating_sub(u32::try_from(found.len()).unwrap_or(BAYS));
        if has < expected {
            self.notes.push(format!("set {name} has {has} of {expected} disks"));
        }
    }

    fn entry(&mut self, set: &str, device: &Device, action: Action) {
        // A disk that two sets refuse is named once.
        if self.entries.iter().any(|entry| entry.device.name == device.name) {
            return;
        }
        self.entries.push(Entry { set: set.to_owned(), device: device.clone(), action });
    }
}

/// Why a disk is refused.
fn why(what: What, set: &DiskSet, permission: Permission, recognised: Recognised) -> String {
    let ours = matches!(what, What::System | What::OtherSet | What::OtherSled);
    match what {
        What::Unreadable => "a disk that does not read is not written to",
        What::InUse => "this system is using it",
        _ if set.wipe == Wipe::All && permission == Permission::Nothing && set.wipe_serials.is_empty() => {
            "`pick` may mean another disk than was meant: list its serial number in `wipe-serials`"
        }
        _ if ours && recognised == Recognised::Stranger => {
            "the document is for another board: what sledos has on a disk is not wiped by it"
        }
        What::OtherSled => {
            "data of another sled is wiped only with `wipe: all` and its serial number in `wipe-serials`"
        }
        _ if ours && permission == Permission::All => {
            "the document knows this sled by its place only: list the disk's serial number in `wipe-serials`"
        }
        What::System => "an installation is wiped only with `wipe: all`",
        What::OtherSet => "data of another set is wiped only with `wipe: all`",
        _ if set.wipe == Wipe::Never => "the document does not allow to wipe it",
        _ => "the document does not list its serial number for wiping",
    }
    .to_owned()
}

/// When a data disk was prepared, in milliseconds since 1970, as its GUID says (RFC 9562,
/// version 7); nothing for older ones, which have random ones.
fn made(device: &Device) -> Option<u64> {
    let State::Data(data) = &device.state else { return None };
    let id = data.disk_guid.to_uuid();
    let time = id.iter().take(6).fold(0, |time, byte| time << 8 | u64::from(*byte));
    (id[6] >> 4 == 7).then_some(time)
}

const NO_NUMBER: &str = "the set has no number left";

/// The number that a disk gets in a set: that of its bay, or the first one that is free.
fn number(device: &Device, bays: &[(u32, String)]) -> Option<u32> {
    let free = |bay: &u32| !bays.iter().any(|(taken, _)| taken == bay);
    let told = device.bay.filter(|bay| (1..=BAYS).contains(bay) && free(bay));
    told.or_else(|| (1..=BAYS).find(free))
}

/// The table for a disk: one partition over all of it.
fn table(
    sled: &str,
    set: &str,
    device: &Device,
    ids: [Guid; 2],
    bays: &[(u32, String)],
) -> Result<(u32, gpt::Plan), String> {
    let bay = number(device, bays).ok_or(NO_NUMBER)?;
    // The last unit is for the backup of the table.
    let end = gpt::end(device.bytes);
    if end < ALIGNMENT + LEAST {
        return Err(format!("it is smaller than {} MiB", (LEAST + 2 * ALIGNMENT) >> 20));
    }
    let partition = Partition {
        number: 1,
        name: partition_name(sled, set, bay),
        type_guid: types::SLEDOS_DATA,
        guid: ids[1],
        start: ALIGNMENT,
        size: end - ALIGNMENT,
        attributes: FRESH,
    };
    let sector = u64::from(device.sector.max(1));
    let table = gpt::Plan {
        // A disk may have a part of a sector more than it can use.
        disk_size: device.bytes / sector * sector,
        sector_size: device.sector,
        disk_guid: ids[0],
        partitions: vec![partition],
    };
    Ok((bay, table))
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let count = |wanted: fn(&Action) -> bool| self.entries.iter().filter(|e| wanted(&e.action)).count();
        let keep = count(|a| matches!(a, Action::Keep { .. } | Action::Renumber { .. }));
        let prepare = count(|a| matches!(a, Action::Prepare { .. }));
        let refused = self.entries.len() - keep - prepare;
        writeln!(f, "data disks: {keep} kept, {prepare} to prepare, {refused} refused")?;
        self.entries.iter().try_for_each(|entry| writeln!(f, "  {entry}"))?;
        self.notes.iter().try_for_each(|note| writeln!(f, "  warning: {note}"))
    }
}

impl std::fmt::Display for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { set, device: says, action } = self;
        match action {
            Action::Keep { bay, partition, .. } if partition.attributes & FRESH != 0 => {
                write!(f, "{set}-{bay:02}: format {says}")
            }
            Action::Keep { bay, .. } => write!(f, "{set}-{bay:02}: keep {says}"),
            Action::Renumber { from, bay, .. } => {
                write!(f, "{set}-{bay:02}: keep {says}, which has the number {from:02} of an older disk")
            }
            Action::Prepare { bay, .. } => write!(f, "{set}-{bay:02}: partition and format {says}"),
            Action::Refuse(why) => write!(f, "{set}: refuse {says}: {why}"),
        }
    }
}

#[cfg(test)]
mod tests;
