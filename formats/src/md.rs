//! Linux software RAID: a member of a RAID1 with metadata 1.2 and a write-intent bitmap.
//!
//! Source: Linux `include/uapi/linux/raid/md_p.h` (`struct mdp_superblock_1`),
//! `drivers/md/md-bitmap.h` (`bitmap_super_t`), `drivers/md/md.c` (`calc_sb_1_csum`).
//! All numbers are little-endian; the kernel counts in sectors of 512 bytes whatever the
//! disk's own are, this module in bytes.

const MAGIC: u32 = 0xa92b_4efc;
const BITMAP_MAGIC: u32 = 0x6d74_6962;
const SECTOR: u64 = 512;
/// Where the superblock lies in a member, in bytes: this is what makes it 1.2.
pub const SUPERBLOCK: u64 = 4096;
/// Where the bitmap lies, in bytes.
const BITMAP: u64 = 8192;
/// Where the data of the array begins in a member, in bytes.
pub const DATA: u64 = 4 << 20;
/// Bytes of the array that one bit of the bitmap is for: what is written again after a
/// power cut. `mdadm` takes the same.
const CHUNK: u32 = 64 << 20;
/// Roles a superblock has room for. The superblock has 256 bytes and two for each.
const ROLES: u16 = 128;
const LEN: usize = 256 + 2 * ROLES as usize;
/// A member that is not whole yet: `recovery_offset` says how far it is
/// (`MD_FEATURE_RECOVERY_OFFSET`).
const RECOVERY_OFFSET: u32 = 2;
/// Everything is in sync (`MaxSector`).
const IN_SYNC: u64 = u64::MAX;

/// A RAID1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Array {
    /// Which one.
    pub uuid: [u8; 16],
    /// Its name, ASCII, at most 31 bytes; for people.
    pub name: String,
    /// Bytes of data.
    pub size: u64,
    /// Members it has when it is whole.
    pub members: u16,
    /// When it was made, in seconds since 1970.
    pub time: u32,
}

/// What a superblock says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Of which array.
    pub array: Array,
    /// The member's own id.
    pub uuid: [u8; 16],
    /// Its number among all that ever were members: what [`Member::counts`] is asked for.
    pub number: u32,
    /// Counts what happened to the array: of two members the one with more is newer.
    pub events: u64,
    /// When the superblock was written, in seconds since 1970.
    pub updated: u64,
    /// Its place; `None` for a spare and for one that failed.
    pub role: Option<u16>,
    /// Whether it is being filled from the others: its data is not whole.
    pub recovering: bool,
    /// The place of each number; what is not below [`NO_ROLE`] is none.
    pub roles: Vec<u16>,
}

/// From here on a role is no place: 0xffff is a spare, 0xfffe one that failed, 0xfffd a
/// journal (`MD_DISK_ROLE_MAX`).
pub const NO_ROLE: u16 = 0xff00;

impl Member {
    /// Whether this superblock takes the device with a number for part of the array. One that
    /// was missing or failed when the array was used is not.
    pub fn counts(&self, number: u32) -> bool {
        let role = usize::try_from(number).ok().and_then(|at| self.roles.get(at));
        role.is_some_and(|role| *role < NO_ROLE)
    }
}

/// Bytes of data that a partition of so many bytes can hold.
pub fn capacity(partition: u64) -> u64 {
    partition.saturating_sub(DATA) / (64 << 10) * (64 << 10)
}

/// What makes a partition the member `number` of a new array, whose members are equal:
/// superblock and bitmap, from byte [`SUPERBLOCK`] on, up to [`DATA`] at most. `uuid` is the
/// member's own.
pub fn member(array: &Array, number: u16, uuid: [u8; 16]) -> Vec<u8> {
    let mut sb = vec![0; LEN];
    let sectors = array.size / SECTOR;
    let mut put = |at: usize, bytes: &[u8]| sb[at..at + bytes.len()].copy_from_slice(bytes);
    let u32 = |n: u32| n.to_le_bytes();
    let u64 = |n: u64| n.to_le_bytes();
    put(0, &u32(MAGIC));
    put(4, &u32(1));
    // There is a bitmap at `bitmap_offset`.
    put(8, &u32(1));
    put(16, &array.uuid);
    let name = array.name.as_bytes();
    put(32, &name[..name.len().min(31)]);
    put(64, &u64(array.time.into()));
    put(72, &u32(1));
    put(80, &u64(sectors));
    put(92, &u32(array.members.into()));
    put(96, &u32(8));
    put(128, &u64(DATA / SECTOR));
    put(136, &u64(sectors));
    put(144, &u64(SUPERBLOCK / SECTOR));
    put(160, &u32(number.into()));
    put(168, &uuid);
    put(192, &u64(array.time.into()));
    put(200, &u64(1));
    put(208, &u64(IN_SYNC));
    put(220, &u32(ROLES.into()));
    for role in 0..ROLES {
        let word = if role < array.members { role } else { 0xffff };
        put(256 + 2 * usize::from(role), &word.to_le_bytes());
    }
    let sum = checksum(&sb);
    sb[216..220].copy_from_slice(&sum.to_le_bytes());

    let mut bitmap = vec![0; 256];
    let mut put = |at: usize, bytes: &[u8]| bitmap[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &u32(BITMAP_MAGIC));
    put(4, &u32(4));
    put(8, &array.uuid);
    put(24, &u64(1));
    put(32, &u64(1));
    put(40, &u64(sectors));
    put(52, &u32(CHUNK));
    // Seconds until a bit is cleared.
    put(56, &u32(5));
    // 128 KiB of bits: enough for 64 TiB.
    put(64, &u32(256));
    let bits = array.size.div_ceil(CHUNK.into()).div_ceil(8);
    let mut out = sb;
    // 8192 - 4096 is no more than fits any memory.
    out.resize(4096, 0);
    out.extend(bitmap);
    out.resize(out.len() + usize::try_from(bits).unwrap_or(0), 0);
    out.resize(out.len().next_multiple_of(4096), 0);
    out
}

const _: () = assert!(BITMAP - SUPERBLOCK == 4096);

/// Reads the 4096 bytes at [`SUPERBLOCK`] of a partition. `None` when it is no member of a
/// RAID1 that [`member`] could have made or the kernel made of one.
pub fn parse(bytes: &[u8]) -> Option<Member> {
    let at32 = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let at64 = |at: usize| Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let roles = usize::try_from(at32(220)?).ok()?;
    let whole = bytes.get(..roles.checked_mul(2)?.checked_add(256)?)?;
    let right = at32(0)? == MAGIC
        && at32(4)? == 1
        && at32(72)? == 1
        && at64(128)? == DATA / SECTOR
        && at32(216)? == checksum(whole);
    if !right {
        return None;
    }
    let name = bytes.get(32..64)?.split(|b| *b == 0).next()?;
    let number = at32(160)?;
    let (words, _) = whole.get(256..)?.as_chunks();
    let roles: Vec<_> = words.iter().map(|word| u16::from_le_bytes(*word)).collect();
    let role = usize::try_from(number).ok().and_then(|at| roles.get(at)).copied();
    // The lower 40 bits are seconds, the others microseconds.
    let seconds = |at| Some(at64(at)? & 0xff_ffff_ffff);
    Some(Member {
        array: Array {
            uuid: *bytes.get(16..)?.first_chunk()?,
            name: String::from_utf8_lossy(name).into_owned(),
            size: at64(80)?.checked_mul(SECTOR)?,
            members: u16::try_from(at32(92)?).ok()?,
            time: u32::try_from(seconds(64)?).ok()?,
        },
        uuid: *bytes.get(168..)?.first_chunk()?,
        number,
        events: at64(200)?,
        updated: seconds(192)?,
        role: role.filter(|role| *role < NO_ROLE),
        recovering: at32(8)? & RECOVERY_OFFSET != 0,
        roles,
    })
}

/// The sum of all words but the checksum, its upper half added to the lower.
fn checksum(superblock: &[u8]) -> u32 {
    let mut sum: u64 = 0;
    for (n, word) in superblock.chunks(4).enumerate() {
        let mut whole = [0; 4];
        whole[..word.len()].copy_from_slice(word);
        if n != 216 / 4 {
            sum += u64::from(u32::from_le_bytes(whole));
        }
    }
    let (low, high) = (sum & 0xffff_ffff, sum >> 32);
    // As the kernel: what does not fit is dropped.
    u32::try_from((low + high) & 0xffff_ffff).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array() -> Array {
        Array { uuid: [7; 16], name: "root".into(), size: 3 << 30, members: 2, time: 1_800_000_000 }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let bytes = member(&array(), 1, [9; 16]);
        assert!(bytes.len() as u64 + SUPERBLOCK <= DATA);
        let mut roles = vec![0xffff; 128];
        roles[..2].copy_from_slice(&[0, 1]);
        let expected = Member {
            array: array(),
            uuid: [9; 16],
            number: 1,
            events: 1,
            updated: 1_800_000_000,
            role: Some(1),
            recovering: false,
            roles,
        };
        assert_eq!(parse(&bytes[..4096]), Some(expected));
        // One changed byte of the superblock is one too many.
        for at in 0..LEN {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert_eq!(parse(&bad[..4096]), None, "byte {at}");
        }
        assert_eq!(parse(&bytes[..500]), None);
        assert_eq!(parse(&[]), None);
    }

    /// Changes a superblock as somebody who writes its checksum, too.
    fn changed(at: usize, value: &[u8]) -> Vec<u8> {
        let mut bytes = member(&array(), 0, [9; 16]);
        bytes.truncate(4096);
        bytes[at..at + value.len()].copy_from_slice(value);
        let sum = checksum(&bytes[..LEN]);
        bytes[216..220].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    #[test]
    fn what_is_not_a_raid1_of_this_kind_is_none_whatever_its_checksum() {
        assert!(parse(&changed(0, &[])).is_some());
        for (field, at) in [("magic", 0), ("version", 4), ("level", 72), ("data offset", 128)] {
            assert_eq!(parse(&changed(at, &[0x55])), None, "{field}");
        }
    }

    #[test]
    fn who_is_missing_and_who_is_being_filled_is_read() {
        let whole = parse(&changed(0, &[])).unwrap();
        assert!(whole.counts(0) && whole.counts(1) && !whole.counts(2) && !whole.counts(128));
        assert!(!whole.counts(u32::MAX));
        // What the kernel writes for one that failed, one that is not there, and a journal.
        for none in [0xfffe_u16, 0xffff, 0xfffd] {
            let alone = parse(&changed(256 + 2, &none.to_le_bytes())).unwrap();
            assert!(alone.counts(0) && !alone.counts(1), "{none:x}");
            assert_eq!(parse(&changed(256, &none.to_le_bytes())).unwrap().role, None, "{none:x}");
        }
        assert!(parse(&changed(8, &[3])).unwrap().recovering && !whole.recovering);
        // A number that has no role in the table.
        assert_eq!(parse(&changed(160, &[200, 0, 0, 0])).unwrap().role, None);
    }

    #[test]
    fn the_largest_disk_fits_into_the_bitmap() {
        let array = Array { size: 60 << 40, ..array() };
        assert!(member(&array, 0, [1; 16]).len() as u64 + SUPERBLOCK <= BITMAP + 256 * SECTOR);
        assert_eq!(capacity(DATA + (64 << 10) + 5), 64 << 10);
        assert_eq!(capacity(5), 0);
    }
}
