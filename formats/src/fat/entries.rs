//! The entries of a directory as somebody left them: what they say, and which of their
//! 32-byte places are taken.

use super::dir::{
    ATTR_DIRECTORY, ATTR_LONG_NAME, ATTR_VOLUME_ID, ENTRY_SIZE, LAST_LONG_ENTRY, UNITS_PER_ENTRY, checksum,
};
use super::name::ShortName;

const DELETED: u8 = 0xe5;

/// A file or a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    /// The long name, or the short one in small letters where there is no other.
    pub(super) name: String,
    pub(super) short: ShortName,
    pub(super) is_dir: bool,
    pub(super) len: u32,
    /// Its first cluster; 0 for an empty file.
    pub(super) first: u32,
    /// The place of its first entry, that of the long name; counted in entries.
    pub(super) from: usize,
    /// The place of its last entry, the one that makes it a file.
    pub(super) at: usize,
}

/// A directory, taken apart.
#[derive(Debug, Default)]
pub(super) struct Dir {
    pub(super) slots: Vec<Slot>,
    /// For each place up to the end mark whether something is in it that counts.
    pub(super) taken: Vec<bool>,
}

/// A long name on the way.
#[derive(Default)]
struct Long {
    units: Vec<u16>,
    /// The number of the part that came last, and the sum of the short name it belongs to.
    last: Option<(u8, u8)>,
    from: usize,
}

impl Dir {
    /// Takes the bytes of a directory apart. A part of a long name that belongs to nothing is
    /// nothing: a power cut leaves such, and everybody passes over them.
    /// `wide`: of FAT32, which has 32 bits for a cluster's number.
    pub(super) fn parse(bytes: &[u8], wide: bool) -> Self {
        let mut dir = Self::default();
        let mut long = Long::default();
        for (place, raw) in bytes.chunks_exact(ENTRY_SIZE).enumerate() {
            if raw[0] == 0 {
                break;
            }
            dir.taken.push(false);
            let attributes = raw[11];
            if raw[0] == DELETED {
                long = Long::default();
            } else if attributes & 0x3f == ATTR_LONG_NAME {
                long.take(raw, place);
            } else {
                let short: ShortName = std::array::from_fn(|i| raw[i]);
                let name = std::mem::take(&mut long).finish(&short);
                let high = if wide { [raw[20], raw[21]] } else { [0; 2] };
                let from = name.as_ref().map_or(place, |(_, from)| *from);
                dir.taken[from..].fill(true);
                if attributes & ATTR_VOLUME_ID != 0 || raw[0] == b'.' {
                    continue;
                }
                dir.slots.push(Slot {
                    name: name.map_or_else(|| short_name(&short), |(name, _)| name),
                    short,
                    is_dir: attributes & ATTR_DIRECTORY != 0,
                    len: u32::from_le_bytes([raw[28], raw[29], raw[30], raw[31]]),
                    first: u32::from_le_bytes([raw[26], raw[27], high[0], high[1]]),
                    from,
                    at: place,
                });
            }
        }
        dir
    }

    /// The entry of a name; case does not matter.
    pub(super) fn find(&self, name: &str) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.name.eq_ignore_ascii_case(name))
    }

    /// The first of so many free places in a row. `within`: how many places a sector has,
    /// when all are to lie in one. `all`: places in the whole directory.
    pub(super) fn room(&self, count: usize, within: Option<usize>, all: usize) -> Option<usize> {
        let free = |place: usize| !self.taken.get(place).copied().unwrap_or(false);
        let fits = |from: &usize| {
            let last = from + count - 1;
            last < all && within.is_none_or(|n| from / n == last / n) && (*from..=last).all(free)
        };
        (0..all).find(fits)
    }
}

impl Long {
    fn take(&mut self, raw: &[u8], place: usize) {
        let (order, sum) = (raw[0], raw[13]);
        let number = order & 0x1f;
        // The last part comes first and has a mark.
        if order & LAST_LONG_ENTRY != 0 {
            *self = Self { units: Vec::new(), last: Some((number + 1, sum)), from: place };
        }
        match self.last {
            Some((before, of)) if before == number + 1 && of == sum && number > 0 => {
                let fields = [&raw[1..11], &raw[14..26], &raw[28..32]].concat();
                let part = fields.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
                let mut part: Vec<u16> = part.collect();
                debug_assert_eq!(part.len(), UNITS_PER_ENTRY);
                part.append(&mut self.units);
                self.units = part;
                self.last = Some((number, sum));
            }
            _ => *self = Self::default(),
        }
    }

    /// The name and where it begins, when it is whole and belongs to this short name.
    fn finish(self, short: &ShortName) -> Option<(String, usize)> {
        self.last.filter(|last| *last == (1, checksum(short)))?;
        let until = self.units.iter().position(|unit| *unit == 0).unwrap_or(self.units.len());
        let units = self.units.get(..until).filter(|units| !units.is_empty())?;
        Some((String::from_utf16_lossy(units), self.from))
    }
}

fn short_name(raw: &ShortName) -> String {
    let text = |part: &[u8]| String::from_utf8_lossy(part.trim_ascii_end()).to_ascii_lowercase();
    let (base, extension) = raw.split_at(8);
    let (base, extension) = (text(base), text(extension));
    if extension.is_empty() { base } else { format!("{base}.{extension}") }
}

/// Marks an entry as deleted.
pub(super) fn delete(bytes: &mut [u8], places: std::ops::RangeInclusive<usize>) {
    for place in places {
        if let Some(first) = bytes.get_mut(place * ENTRY_SIZE) {
            *first = DELETED;
        }
    }
}
