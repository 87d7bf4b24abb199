//! What is done to each data disk, as a value: decided here, printed, then carried out.
//! Pure.

use super::wipe::{Outcome, Permission, What, outcome};
use crate::slots::choose::matches;
use crate::slots::classify::{Data, FRESH, State};
use crate::slots::device::{Device, natural};
use formats::gpt::{self, ALIGNMENT, Guid, Partition, types};
use metadata::config::{DiskSet, partition_name};
use metadata::document::Pick;
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
    /// Kernel name.
    pub disk: String,
    /// Serial number. May be empty.
    pub serial: String,
    /// The disk for people, with what is on it.
    pub says: String,
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

/// Plans. `ids`: two random ids for each device.
pub fn plan(sled: &str, sets: &BTreeMap<String, DiskSet>, devices: &[Device], ids: &[[Guid; 2]]) -> Plan {
    let mut plan = Plan::default();
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
        sled: &str,
        sets: &BTreeMap<String, DiskSet>,
        name: &str,
        set: &DiskSet,
        found: &[(&Device, [Guid; 2])],
    ) {
        let most = set.count.unwrap_or(if set.disk.pick.is_some() { 1 } else { BAYS });
        let mut bays: Vec<(u32, String)> = Vec::new();
        // Disks that have a number keep it, whatever appears beside them.
        for (device, _) in found {
            let State::Data(data) = &device.state else { continue };
            let Data { bay, partition, disk_guid, .. } = data;
            if What::of(device, sled, name) != What::Own {
                continue;
            }
            let twin = bays.iter().find(|(taken, _)| taken == bay).map(|(_, disk)| disk.clone());
            let action = match twin {
                Some(twin) => Action::Refuse(format!("{twin} is {name}-{bay:02}, too")),
                None => {
                    bays.push((*bay, device.name.clone()));
                    Action::Keep { bay: *bay, partition: partition.clone(), disk_guid: *disk_guid }
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
            let action = match (others().next(), outcome(what, Permission::of(set, &device.serial))) {
                (_, Outcome::Refuse) => Action::Refuse(why(what, set)),
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
        if self.entries.iter().any(|entry| entry.disk == device.name) {
            return;
        }
        self.entries.push(Entry {
            set: set.to_owned(),
            disk: device.name.clone(),
            serial: device.serial.clone(),
            says: device.to_string(),
            action,
        });
    }
}

/// Why a disk is refused.
fn why(what: What, set: &DiskSet) -> String {
    match what {
        What::Unreadable => "a disk that does not read is not written to",
        What::InUse => "this system is using it",
        What::System => "an installation is wiped only with `wipe: all`",
        What::OtherData => "data of another sled or set is wiped only with `wipe: all`",
        _ if set.wipe == metadata::document::Wipe::Never => "the document does not allow to wipe it",
        _ => "the document does not list its serial number for wiping",
    }
    .to_owned()
}

/// The table for a disk: one partition over all of it.
fn table(
    sled: &str,
    set: &str,
    device: &Device,
    ids: [Guid; 2],
    bays: &[(u32, String)],
) -> Result<(u32, gpt::Plan), String> {
    let free = |bay: &u32| !bays.iter().any(|(taken, _)| taken == bay);
    let told = device.bay.filter(|bay| (1..=BAYS).contains(bay) && free(bay));
    let bay = told.or_else(|| (1..=BAYS).find(free)).ok_or("the set has no number left")?;
    // The last unit is for the backup of the table.
    let end = device.bytes.saturating_sub(ALIGNMENT) / ALIGNMENT * ALIGNMENT;
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
        let (keep, prepare) =
            (count(|a| matches!(a, Action::Keep { .. })), count(|a| matches!(a, Action::Prepare { .. })));
        let refused = self.entries.len() - keep - prepare;
        writeln!(f, "data disks: {keep} kept, {prepare} to prepare, {refused} refused")?;
        self.entries.iter().try_for_each(|entry| writeln!(f, "  {entry}"))?;
        self.notes.iter().try_for_each(|note| writeln!(f, "  warning: {note}"))
    }
}

impl std::fmt::Display for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { set, says, action, .. } = self;
        match action {
            Action::Keep { bay, partition, .. } if partition.attributes & FRESH != 0 => {
                write!(f, "{set}-{bay:02}: format {says}")
            }
            Action::Keep { bay, .. } => write!(f, "{set}-{bay:02}: keep {says}"),
            Action::Prepare { bay, .. } => write!(f, "{set}-{bay:02}: partition and format {says}"),
            Action::Refuse(why) => write!(f, "{set}: refuse {says}: {why}"),
        }
    }
}

#[cfg(test)]
mod tests;
