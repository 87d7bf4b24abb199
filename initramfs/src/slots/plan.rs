//! What an installation will do to a disk, as a value: every place, size and id is
//! decided here, printed, and then carried out. Pure.

mod mirror;

use super::choose::{Refusal, Way, allowed};
use super::classify::EDGE;
use super::device::{Device, natural};
use formats::ext4;
use formats::gpt::{self, Guid, Partition, Table};
use formats::layout::{self, Content, Layout, Role};
use metadata::document::{self, Image, Wipe};

/// 16 random bytes for each purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    /// The disk, each partition in the order of [`Role::ALL`], then two for the
    /// filesystem of OEM and two for that of ROOT.
    pub random: [[u8; 16]; 12],
}

impl Ids {
    /// From a source of 16 random bytes.
    ///
    /// # Errors
    /// As the source has them.
    pub fn new(random: &dyn Fn() -> std::io::Result<[u8; 16]>) -> std::io::Result<Self> {
        let mut ids = Self { random: [[0; 16]; 12] };
        for id in &mut ids.random {
            // RFC 9562, version 4.
            *id = random()?;
            id[6] = id[6] & 0x0f | 0x40;
            id[8] = id[8] & 0x3f | 0x80;
        }
        Ok(ids)
    }

    fn partition(&self, index: usize) -> Guid {
        Guid::from_uuid(self.random.get(1 + index).copied().unwrap_or_default())
    }
}

/// What the slots of a disk hold: A and B.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slots(pub [Slot; 2]);

/// A slot of a disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// The root hash of the image in it; `None` when there is none that is whole.
    pub hash: Option<[u8; 32]>,
    /// The version by the name of its UKI on the ESP.
    pub version: Option<String>,
    /// Whether that got ready once: it has no count of tries any more.
    pub good: bool,
}

/// A filesystem to make.
#[derive(Clone, Debug)]
pub(super) struct Filesystem {
    pub(super) role: Role,
    pub(super) start: u64,
    pub(super) options: ext4::Options,
}

/// The parts of a plan for a whole disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Whole {
    /// Ranges that are made zeroes, in bytes: start and length.
    pub(super) zero: Vec<(u64, u64)>,
    pub(super) filesystems: Vec<Filesystem>,
    /// What is written as it is: where and what.
    pub(super) raw: Vec<(u64, Vec<u8>)>,
}

/// A plan.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Kernel name of the disk.
    pub disk: String,
    /// The disk for people.
    says: String,
    /// The image for people.
    image: String,
    /// Set when the disk is partitioned.
    pub(super) whole: Option<Whole>,
    /// The table; the slot has ids that no image has.
    pub table: gpt::Plan,
    /// Number of the partition for /usr.
    pub(super) usr: u32,
    /// Number of the partition for its verity tree.
    pub(super) verity: u32,
    /// What their ids become when both are whole.
    pub(super) guids: (Guid, Guid),
}

impl Plan {
    /// Plans the installation of an image on a disk. `slots`: what is in them when it
    /// is a sledos disk. `running`: the root hash of what this sled was booted from,
    /// which stays unless there is nothing else to replace.
    ///
    /// # Errors
    /// When the disk may not be written to or has no room. A disk that has slots keeps its
    /// partitions, whatever the image's layout is; one that the sled runs from in any case.
    pub fn new(
        device: &Device,
        wipe: Wipe,
        image: &Image,
        slots: &Slots,
        running: Option<[u8; 32]>,
        ids: &Ids,
        time: u32,
    ) -> Result<Self, Refusal> {
        match allowed(device, wipe)? {
            Way::Whole => Self::whole(device, image, ids, time),
            Way::Slot(table) => match Self::slot(device, table, image, slots, running, ids) {
                Err(Refusal::Partition { .. }) if wipe == Wipe::All && running.is_none() => {
                    Self::whole(device, image, ids, time)
                }
                result => result,
            },
        }
    }

    fn slot(
        device: &Device,
        table: &Table,
        image: &Image,
        slots: &Slots,
        running: Option<[u8; 32]>,
        ids: &Ids,
    ) -> Result<Self, Refusal> {
        let index = free(slots, &image.root_hash.0, running);
        let index = index.ok_or_else(|| Refusal::LastGood(device.to_string()))?;
        let roles = [(Role::UsrA, Role::UsrAVerity), (Role::UsrB, Role::UsrBVerity)];
        let (usr_role, verity_role) = roles[index];
        let mut partitions = table.partitions.clone();
        let mut number = |role: Role, needs: u64, id| {
            let partition = partitions.iter_mut().find(|p| p.name == role.label());
            let has = partition.as_ref().map_or(0, |p| p.size);
            let partition = partition.filter(|_| has >= needs);
            let refusal = || Refusal::Partition { disk: device.to_string(), role, has, needs };
            let partition = partition.ok_or_else(refusal)?;
            partition.guid = ids.partition(id);
            Ok(partition.number)
        };
        let usr = number(usr_role, blocks(image.usr.size), 1)?;
        let verity = number(verity_role, image.verity.size, 2)?;
        // Another slot with the ids of this image is damaged, else it would have been booted.
        let (usr_guid, verity_guid) = layout::usr_guids(&image.root_hash.0);
        for partition in &mut partitions {
            if partition.guid == usr_guid || partition.guid == verity_guid {
                partition.guid = ids.partition(if partition.guid == usr_guid { 3 } else { 4 });
            }
        }
        Ok(Self::with(device, image, None, table.disk_guid, partitions, (usr, verity)))
    }

    fn whole(device: &Device, image: &Image, ids: &Ids, time: u32) -> Result<Self, Refusal> {
        let layout = layout_of(image).with_room_for(&content(image), device.sector);
        let id = |role| ids.partition(Role::ALL.iter().position(|r| *r == role).unwrap_or_default());
        let table =
            layout::plan(&layout, Some(device.bytes), device.sector, Guid::from_uuid(ids.random[0]), &id)
                .map_err(|layout::TooSmall { has, needs }| {
                    let disk = device.to_string();
                    Refusal::TooSmall { disk, what: "the disk", has, needs }
                })?;
        let end = gpt::end(device.bytes);
        let mut whole = Whole::default();
        whole.zero.extend([(0, EDGE), (end, device.bytes.saturating_sub(end))]);
        for (role, &Partition { start, size, .. }) in Role::ALL.into_iter().zip(&table.partitions) {
            let least = layout.size(role);
            // Old data must not be found in a new partition: filesystems rely on
            // zeroes, and RAID and LVM look at both ends.
            let zero = if matches!(role, Role::Esp | Role::Oem | Role::Root) { least } else { EDGE };
            whole.zero.push((start, zero));
            if size > zero {
                whole.zero.push((start + size - EDGE, EDGE));
            }
            if matches!(role, Role::Oem | Role::Root) {
                let at = if role == Role::Oem { 8 } else { 10 };
                let (uuid, seed) = (ids.random[at], ids.random[at + 1]);
                let options = layout::filesystem(role, least, uuid, seed, time);
                whole.filesystems.push(Filesystem { role, start, options });
            }
        }
        Ok(Self::with(device, image, Some(whole), table.disk_guid, table.partitions, (2, 3)))
    }

    fn with(
        device: &Device,
        image: &Image,
        whole: Option<Whole>,
        disk_guid: Guid,
        partitions: Vec<Partition>,
        (usr, verity): (u32, u32),
    ) -> Self {
        Self {
            disk: device.name.clone(),
            says: device.to_string(),
            image: format!("{} {}", image.name, image.version),
            whole,
            table: gpt::Plan {
                // A disk may have a part of a sector more than it can use.
                disk_size: device.bytes / u64::from(device.sector.max(1)) * u64::from(device.sector),
                sector_size: device.sector,
                disk_guid,
                partitions,
            },
            usr,
            verity,
            guids: layout::usr_guids(&image.root_hash.0),
        }
    }

    /// A partition by its number.
    pub(super) fn partition(&self, number: u32) -> Option<&Partition> {
        self.table.partitions.iter().find(|p| p.number == number)
    }

    /// The table as it is once the slot is whole.
    pub(super) fn final_table(&self) -> gpt::Plan {
        let mut table = self.table.clone();
        for partition in &mut table.partitions {
            if partition.number == self.usr {
                partition.guid = self.guids.0;
            } else if partition.number == self.verity {
                partition.guid = self.guids.1;
            }
        }
        table
    }
}

/// The slot to write: one that holds this image already and did not work, else one
/// that holds nothing, else one whose image never got ready, else the one with the older
/// image. Never the running one, whose /usr is in use; and never the last image that got ready:
/// while the running one is on trial that is the other one, and there is none to write.
fn free(slots: &Slots, wanted: &[u8; 32], running: Option<[u8; 32]>) -> Option<usize> {
    let all = slots.0.iter().enumerate();
    let last_good = |index: usize| {
        let [a, b] = &slots.0;
        let (this, other) = if index == 0 { (a, b) } else { (b, a) };
        this.good && !(other.good && other.hash.is_some())
    };
    let rank = |index: usize, slot: &Slot| match slot.hash {
        None => Some(1),
        Some(hash) if hash == *wanted => Some(0),
        hash if hash == running => None,
        Some(_) if last_good(index) => None,
        Some(_) if !slot.good => Some(2),
        Some(_) => Some(3),
    };
    let ranked = all.filter_map(|(index, slot)| Some((rank(index, slot)?, index, slot)));
    let version = |slot: &Slot| slot.version.clone().unwrap_or_default();
    let first =
        ranked.min_by(|(a, _, x), (b, _, y)| a.cmp(b).then_with(|| natural(&version(x), &version(y))));
    first.map(|(_, index, _)| index)
}

/// How the image partitions a disk. A document of an earlier release does not say it: then
/// there is room for images that grow.
pub(super) fn layout_of(image: &Image) -> Layout {
    match image.layout {
        Some(document::Layout { esp, usr, verity, oem, root }) => Layout { esp, usr, verity, oem, root },
        None => {
            let default = Layout::default();
            Layout {
                usr: default.usr.max(image.usr.size.saturating_mul(2)),
                verity: default.verity.max(image.verity.size.saturating_mul(2)),
                ..default
            }
        }
    }
}

fn content(image: &Image) -> Content {
    Content { usr: blocks(image.usr.size), verity: image.verity.size, uki: image.uki.size }
}

/// Whole blocks of dm-verity.
fn blocks(bytes: u64) -> u64 {
    bytes.div_ceil(4096).saturating_mul(4096)
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let slot = self.partition(self.usr).map_or("", |p| p.name.as_str());
        writeln!(f, "install {} into {slot} on {}", self.image, self.says)?;
        if let Some(whole) = &self.whole {
            for (at, len) in &whole.zero {
                writeln!(f, "  zero {len} bytes at {at}")?;
            }
            for Filesystem { role, start, options } in &whole.filesystems {
                writeln!(f, "  ext4 {} of {} bytes at {start}", role.label(), options.size)?;
            }
            for (at, bytes) in &whole.raw {
                writeln!(f, "  RAID superblock and bitmap of {} bytes at {at}", bytes.len())?;
            }
        }
        let keeps = if self.whole.is_some() { "" } else { ", only these two are written" };
        writeln!(f, "  GPT {}{keeps}", self.table.disk_guid)?;
        for p in &self.table.partitions {
            let written = p.number == self.usr || p.number == self.verity;
            if written || self.whole.is_some() {
                writeln!(f, "  {:>3} {:<12} {} at {} size {}", p.number, p.name, p.guid, p.start, p.size)?;
            }
        }
        writeln!(f, "  when both are whole: {} and {}", self.guids.0, self.guids.1)
    }
}

#[cfg(test)]
mod tests;
