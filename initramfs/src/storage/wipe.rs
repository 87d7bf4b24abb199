//! The wipe table: what is done to a disk depends on what is on it and on what the
//! document allows, and on nothing else. `docs/disks.md` has the same table, kept equal
//! by a test.

use crate::probe::Kind;
use crate::slots::classify::{Data, State};
use crate::slots::device::Device;
use metadata::config::DiskSet;
use metadata::document::Wipe;

/// What is on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Nothing, or a preparation that was cut off.
    Blank,
    /// Data of this sled and this set.
    Own,
    /// A sledos installation.
    System,
    /// Data of another sled, or of another set.
    OtherData,
    /// A partition table.
    Table,
    /// A filesystem, swap or an encrypted volume.
    Filesystem,
    /// A member of a RAID, a volume group or a pool.
    Member,
    /// Data of an unknown kind.
    Unknown,
    /// It does not let itself be read.
    Unreadable,
    /// This system is using it.
    InUse,
}

/// What the document allows for a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Nothing: `wipe: never`, or a list without its serial number.
    Nothing,
    /// `wipe: foreign`, and its serial number is listed.
    Foreign,
    /// `wipe: all`, and its serial number is listed or there is no list.
    All,
}

/// What is done to a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its data stays and is used.
    Keep,
    /// It gets a partition and a filesystem.
    Prepare,
    /// It is not touched, and reported.
    Refuse,
}

impl What {
    /// All rows of the table, with their names for people.
    pub const ALL: [(Self, &'static str); 10] = [
        (Self::Blank, "blank, or a preparation that was cut off"),
        (Self::Own, "our data: this sled, this set"),
        (Self::System, "our slot: a sledos installation"),
        (Self::OtherData, "our data: another sled, or another set"),
        (Self::Table, "foreign partition table"),
        (Self::Filesystem, "foreign filesystem, swap, encrypted volume"),
        (Self::Member, "member of RAID, LVM, ZFS, bcache, Ceph"),
        (Self::Unknown, "data of an unknown kind"),
        (Self::Unreadable, "unreadable"),
        (Self::InUse, "in use by the running system"),
    ];

    /// What a disk has for a set of a sled.
    pub fn of(device: &Device, sled: &str, set: &str) -> Self {
        match &device.state {
            State::Data(Data { sled: s, set: name, .. }) if s == sled && name == set => Self::Own,
            State::Unreadable(_) => Self::Unreadable,
            _ if device.in_use => Self::InUse,
            State::Blank | State::Unfinished => Self::Blank,
            State::Ours(_) => Self::System,
            State::Data(_) => Self::OtherData,
            State::Foreign(found) => match found.kind {
                Kind::Table => Self::Table,
                Kind::Filesystem => Self::Filesystem,
                Kind::Member => Self::Member,
                Kind::Unknown => Self::Unknown,
            },
        }
    }
}

impl Permission {
    /// All columns of the table, with their names for people.
    pub const ALL: [(Self, &'static str); 3] = [
        (Self::Nothing, "no permission"),
        (Self::Foreign, "`wipe: foreign`, serial listed"),
        (Self::All, "`wipe: all`"),
    ];

    /// What a set allows for a disk.
    pub fn of(set: &DiskSet, serial: &str) -> Self {
        let listed = !serial.is_empty() && set.wipe_serials.iter().any(|s| s == serial);
        match set.wipe {
            Wipe::Foreign if listed => Self::Foreign,
            Wipe::All if listed || set.wipe_serials.is_empty() => Self::All,
            _ => Self::Nothing,
        }
    }
}

/// The table.
pub fn outcome(what: What, permission: Permission) -> Outcome {
    match (what, permission) {
        (What::Own, _) => Outcome::Keep,
        (What::Unreadable | What::InUse, _) => Outcome::Refuse,
        (What::Blank, _) => Outcome::Prepare,
        (What::System | What::OtherData, Permission::All) => Outcome::Prepare,
        (What::System | What::OtherData, _) => Outcome::Refuse,
        (_, Permission::Foreign | Permission::All) => Outcome::Prepare,
        (_, Permission::Nothing) => Outcome::Refuse,
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Keep => "kept and mounted",
            Self::Prepare => "partitioned and formatted",
            Self::Refuse => "refused, reported",
        })
    }
}
