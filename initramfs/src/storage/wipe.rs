//! The wipe table: what is done to a disk depends on what is on it, on what the document
//! allows, and on how sure it is that the document is for this sled, and on nothing else. `docs/disks.md` has the same table, kept equal
//! by a test.

use crate::identity::Recognised;
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
    /// Data of this sled and another set.
    OtherSet,
    /// Data of another sled.
    OtherSled,
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
    /// `wipe: all`, and there is no list.
    All,
    /// `wipe: all`, and its serial number is listed.
    Listed,
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
    pub const ALL: [(Self, &'static str); 11] = [
        (Self::Blank, "blank, or a preparation that was cut off"),
        (Self::Own, "our data: this sled, this set"),
        (Self::System, "our slot: a sledos installation"),
        (Self::OtherSet, "our data: this sled, another set"),
        (Self::OtherSled, "our data: another sled"),
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
            State::Data(Data { sled: s, .. }) if s == sled => Self::OtherSet,
            State::Data(_) => Self::OtherSled,
            State::Foreign(found) => match found.kind {
                Kind::Table => Self::Table,
                Kind::Xfs | Kind::Ext | Kind::Filesystem => Self::Filesystem,
                Kind::Member => Self::Member,
                Kind::Unknown => Self::Unknown,
            },
        }
    }
}

impl Permission {
    /// What a set allows for a disk that it matches.
    pub fn of(set: &DiskSet, device: &Device) -> Self {
        let listed = if set.wipe_serials.is_empty() {
            set.disk.lists(&device.serial, &device.wwn)
        } else {
            !device.serial.is_empty() && set.wipe_serials.contains(&device.serial)
        };
        match set.wipe {
            Wipe::Foreign if listed => Self::Foreign,
            Wipe::All if listed => Self::Listed,
            // When one is missing or late, `pick` means the next one.
            Wipe::All if set.wipe_serials.is_empty() && set.disk.pick.is_none() => Self::All,
            _ => Self::Nothing,
        }
    }
}

/// All columns of the table, with their names for people: what the document allows, and by
/// what it recognises the sled. Where that makes no difference every one is given.
pub const COLUMNS: [(&[Permission], &[Recognised], &str); 6] = {
    use Recognised::{Hardware, Place, Stranger};
    const ANY: &[Recognised] = &[Hardware, Place, Stranger];
    [
        (&[Permission::Nothing], ANY, "no permission"),
        (&[Permission::Foreign], ANY, "`wipe: foreign`, serial listed"),
        (&[Permission::Listed], &[Hardware, Place], "`wipe: all`, serial listed"),
        (&[Permission::All], &[Hardware], "`wipe: all`, no list"),
        (&[Permission::All], &[Place], "`wipe: all`, no list, sled known by its place"),
        (&[Permission::All, Permission::Listed], &[Stranger], "`wipe: all`, board of another sled"),
    ]
};

/// The table.
pub fn outcome(what: What, permission: Permission, recognised: Recognised) -> Outcome {
    match (what, permission) {
        (What::Own, _) => Outcome::Keep,
        (What::Unreadable | What::InUse, _) => Outcome::Refuse,
        (What::Blank, _) => Outcome::Prepare,
        // What may be another sled's goes only when nobody can be mistaken about it.
        (What::System | What::OtherSet | What::OtherSled, Permission::Listed)
            if recognised != Recognised::Stranger =>
        {
            Outcome::Prepare
        }
        (What::System | What::OtherSet, Permission::All) if recognised == Recognised::Hardware => {
            Outcome::Prepare
        }
        (What::System | What::OtherSet | What::OtherSled, _) => Outcome::Refuse,
        (_, Permission::Nothing) => Outcome::Refuse,
        (_, Permission::Foreign | Permission::All | Permission::Listed) => Outcome::Prepare,
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
