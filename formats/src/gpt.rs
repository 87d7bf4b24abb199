//! GUID partition tables: UEFI specification 2.10, chapter 5.
//!
//! [`read()`] takes a table apart and trusts nothing in it; PID 1 uses it. With
//! the feature `gpt-write`, [`write()`] puts a planned table on a disk image, and
//! [`lay_out`] finds places for partitions. Positions and sizes are in bytes
//! everywhere, so that callers need not know the sector size.

mod read;
#[cfg(feature = "gpt-write")]
mod write;

pub use read::{HeaderError, ReadError, Source, Table, read, read_copy};
#[cfg(feature = "gpt-write")]
pub use write::{ALIGNMENT, Plan, WriteError, end, lay_out, write};

use std::fmt;

/// Partition types of the Discoverable Partitions Specification
/// (<https://uapi-group.org/specifications/specs/discoverable_partitions_specification/>).
pub mod types {
    use super::Guid;

    /// EFI system partition.
    pub const ESP: Guid = Guid::from_uuid(0xc12a7328_f81f_11d2_ba4b_00a0c93ec93b_u128.to_be_bytes());
    /// /usr for x86-64.
    pub const USR_X86_64: Guid = Guid::from_uuid(0x8484680c_9521_48c6_9c11_b0720656f69e_u128.to_be_bytes());
    /// dm-verity data of /usr for x86-64.
    pub const USR_X86_64_VERITY: Guid =
        Guid::from_uuid(0x77ff5f63_e7b6_4633_acf4_1565b864c0e6_u128.to_be_bytes());
    /// Linux data that nothing mounts by itself.
    pub const LINUX_GENERIC: Guid =
        Guid::from_uuid(0x0fc63daf_8483_4772_8e79_3d69d8477de4_u128.to_be_bytes());
    /// A member of a Linux software RAID.
    pub const LINUX_RAID: Guid = Guid::from_uuid(0xa19d880f_05fc_4d3b_a006_743f0f84911e_u128.to_be_bytes());
    /// The only partition of a sledos data disk. Ours: in no specification, so that no
    /// other program takes it for its own.
    pub const SLEDOS_DATA: Guid = Guid::from_uuid(0x00b131df_2864_4883_9b63_d3388ca129b8_u128.to_be_bytes());
}

/// A GUID as it lies on disk: its first three groups are little-endian.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guid(
    /// The bytes on disk.
    pub [u8; 16],
);

impl Guid {
    /// From the bytes in the order in which they are printed.
    pub const fn from_uuid(u: [u8; 16]) -> Self {
        Self([
            u[3], u[2], u[1], u[0], u[5], u[4], u[7], u[6], u[8], u[9], u[10], u[11], u[12], u[13], u[14],
            u[15],
        ])
    }

    /// The bytes in the order in which they are printed.
    pub const fn to_uuid(self) -> [u8; 16] {
        Self::from_uuid(self.0).0
    }

    /// Whether all bytes are zero: the type of an unused entry.
    pub fn is_zero(&self) -> bool {
        self.0 == [0; 16]
    }
}

/// As in udev's `by-partuuid`: small letters.
impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.to_uuid().iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its number, from 1: the place of its entry in the table, and the kernel's number.
    pub number: u32,
    /// Its name, at most 36 UTF-16 units, without NUL.
    pub name: String,
    /// What it is for; see [`types`].
    pub type_guid: Guid,
    /// Which one it is.
    pub guid: Guid,
    /// Where it starts, in bytes from the start of the disk; a multiple of the sector size.
    pub start: u64,
    /// Its size in bytes, a multiple of the sector size, not 0.
    pub size: u64,
    /// Attribute bits.
    pub attributes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guids_are_mixed_endian() {
        assert_eq!(types::ESP.to_string(), "c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
        assert_eq!(types::ESP.0[..8], [0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11]);
        assert_eq!(Guid::from_uuid(types::ESP.to_uuid()), types::ESP);
    }
}
