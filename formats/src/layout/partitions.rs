//! Where the partitions of a system disk lie: a pure function from sizes and disk to a
//! table. The builder plans `disk.raw` with it, PID 1 the disk on which it installs.

use super::Role;
use crate::gpt::{self, ALIGNMENT, Guid, Plan};
use crate::{ext4, fat};

const MIB: u64 = 1 << 20;
/// Copies of a UKI the ESP must have room for: two slots, and one while it is replaced.
const UKIS: u64 = 3;
/// Room on the ESP for systemd-boot, its configuration and directories.
const BOOT_LOADER_ROOM: u64 = 8 * MIB;
/// The least ROOT whose filesystem has room for its journal and for growing.
const LEAST_ROOT: u64 = 96 * MIB;

/// Sizes of the partitions in bytes, as `layout:` of a recipe has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// ESP.
    pub esp: u64,
    /// Each of USR-A and USR-B.
    pub usr: u64,
    /// Each of the verity partitions.
    pub verity: u64,
    /// OEM.
    pub oem: u64,
    /// The filesystem on ROOT, which grows to its partition on first boot, and the least
    /// there must be for it.
    pub root: u64,
}

/// What a recipe without `layout:` has.
impl Default for Layout {
    fn default() -> Self {
        Self { esp: 128 * MIB, usr: 512 * MIB, verity: 8 * MIB, oem: 64 * MIB, root: 512 * MIB }
    }
}

/// What a disk must have room for, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// /usr.
    pub usr: u64,
    /// Its verity tree.
    pub verity: u64,
    /// The unified kernel image.
    pub uki: u64,
}

/// The disk has no room for the partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the partitions need a disk of {needs} bytes, and there are {has}")]
pub struct TooSmall {
    /// Size of the disk in bytes.
    pub has: u64,
    /// What it would have to be.
    pub needs: u64,
}

impl Layout {
    /// From the size of each partition.
    ///
    /// # Errors
    /// The first one that has none.
    pub fn of(size: impl Fn(Role) -> Option<u64>) -> Result<Self, Role> {
        let size = |role| size(role).ok_or(role);
        Ok(Self {
            esp: size(Role::Esp)?,
            usr: size(Role::UsrA)?,
            verity: size(Role::UsrAVerity)?,
            oem: size(Role::Oem)?,
            root: size(Role::Root)?,
        })
    }

    /// The size of a partition, whole units of [`ALIGNMENT`] and at least one.
    pub fn size(&self, role: Role) -> u64 {
        let size = match role {
            Role::Esp => self.esp,
            Role::UsrA | Role::UsrB => self.usr,
            Role::UsrAVerity | Role::UsrBVerity => self.verity,
            Role::Oem => self.oem,
            Role::Root => self.root,
        };
        size.max(1).checked_next_multiple_of(ALIGNMENT).unwrap_or(u64::MAX)
    }

    /// This layout for an image on a disk with such sectors: a partition is larger where what
    /// it is for, an update included, would not fit.
    #[must_use]
    pub fn with_room_for(self, content: &Content, sector: u32) -> Self {
        let ukis = content.uki.saturating_mul(UKIS).saturating_add(BOOT_LOADER_ROOM);
        Self {
            esp: self.esp.max(fat::min_size(sector)).max(ukis),
            usr: self.usr.max(content.usr),
            verity: self.verity.max(content.verity),
            oem: self.oem.max(ext4::MIN_SIZE),
            root: self.root.max(LEAST_ROOT),
        }
    }
}

/// The table of a system disk of so many bytes, or of the smallest that is enough: all
/// partitions in the order of [`Role::ALL`], each as large as the layout has it, and ROOT to
/// the end.
///
/// # Errors
/// When the disk has no room for them.
pub fn plan(
    layout: &Layout,
    disk: Option<u64>,
    sector: u32,
    disk_guid: Guid,
    guid: &dyn Fn(Role) -> Guid,
) -> Result<Plan, TooSmall> {
    let partition = |(number, role): (u32, Role)| role.partition(number, 0, layout.size(role), guid(role));
    let mut partitions: Vec<_> = (1..).zip(Role::ALL).map(partition).collect();
    let needs = gpt::lay_out(&mut partitions).unwrap_or(u64::MAX);
    let has = disk.unwrap_or(needs);
    if has < needs || needs == u64::MAX {
        return Err(TooSmall { has, needs });
    }
    if let Some(root) = partitions.last_mut() {
        root.size = gpt::end(has) - root.start;
    }
    // A disk may have a part of a sector more than it can use.
    let disk_size = has - has % u64::from(sector.max(1));
    Ok(Plan { disk_size, sector_size: sector, disk_guid, partitions })
}
