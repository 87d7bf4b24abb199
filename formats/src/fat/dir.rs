//! Directory entries of 32 bytes.

use super::name::ShortName;

/// Bytes in an entry.
pub(super) const ENTRY_SIZE: usize = 32;
/// UTF-16 units in one entry of a long name.
pub(super) const UNITS_PER_ENTRY: usize = 13;

pub(super) const ATTR_VOLUME_ID: u8 = 0x08;
pub(super) const ATTR_DIRECTORY: u8 = 0x10;
const ATTR_ARCHIVE: u8 = 0x20;
pub(super) const ATTR_LONG_NAME: u8 = 0x0f;
pub(super) const LAST_LONG_ENTRY: u8 = 0x40;

/// Date and time as FAT writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    date: u16,
    time: u16,
}

impl Stamp {
    /// From seconds since 1970, UTC. Before 1980: the start of 1980.
    pub(super) fn new(seconds: u32) -> Self {
        const TO_1980: u32 = 3652 * 86_400;
        let seconds = seconds.max(TO_1980) - TO_1980;
        let (mut days, second) = (seconds / 86_400, seconds % 86_400);
        let leap = |year: u32| year.is_multiple_of(4) && year != 120; // 2100 is none
        let mut year = 0; // since 1980, to 2106
        while days >= 365 + u32::from(leap(year)) {
            days -= 365 + u32::from(leap(year));
            year += 1;
        }
        let february = 28 + u32::from(leap(year));
        let mut month = 1;
        for len in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
            if days < len {
                break;
            }
            days -= len;
            month += 1;
        }
        let narrow = |n: u32| u16::try_from(n).expect("years to 2107 fit into 7 bits, all else into its own");
        Self {
            date: narrow((year << 9) | (month << 5) | (days + 1)),
            time: narrow(((second / 3600) << 11) | ((second / 60 % 60) << 5) | (second % 60 / 2)),
        }
    }
}

/// What an entry refers to.
#[derive(Clone, Copy)]
pub(super) enum Target {
    /// A directory and its first cluster; 0 stands for the root.
    Dir(u32),
    /// A file: first cluster, 0 when empty, and length in bytes.
    File(u32, u32),
    /// Nothing: the name is the label of the volume.
    Label,
}

/// An entry with a short name.
pub(super) fn entry(name: &ShortName, target: Target, stamp: Stamp) -> [u8; ENTRY_SIZE] {
    let (attributes, cluster, len) = match target {
        Target::Dir(cluster) => (ATTR_DIRECTORY, cluster, 0),
        Target::File(cluster, len) => (ATTR_ARCHIVE, cluster, len),
        Target::Label => (ATTR_VOLUME_ID, 0, 0),
    };
    let (date, time) = (stamp.date.to_le_bytes(), stamp.time.to_le_bytes());
    let cluster = cluster.to_le_bytes();
    let mut raw = [0; ENTRY_SIZE];
    let mut put = |at: usize, bytes: &[u8]| raw[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name);
    put(11, &[attributes]);
    put(14, &time); // created
    put(16, &date);
    put(18, &date); // accessed
    put(20, &cluster[2..]);
    put(22, &time); // written
    put(24, &date);
    put(26, &cluster[..2]);
    put(28, &len.to_le_bytes());
    raw
}

/// How many entries a long name takes.
pub(super) fn long_entries(units: &[u16]) -> usize {
    units.len().div_ceil(UNITS_PER_ENTRY)
}

/// The sum over a short name that ties a long one to it.
pub(super) fn checksum(short: &ShortName) -> u8 {
    short.iter().fold(0, |sum: u8, b| sum.rotate_right(1).wrapping_add(*b))
}

/// Gives an entry another content, and the time of it.
pub(super) fn point(raw: &mut [u8], first: u32, len: u32, stamp: Stamp) {
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(place) = raw.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    };
    let first = first.to_le_bytes();
    put(20, &first[2..]);
    put(22, &stamp.time.to_le_bytes());
    put(24, &stamp.date.to_le_bytes());
    put(26, &first[..2]);
    put(28, &len.to_le_bytes());
}

/// The entries of a long name, which go before that of its short name.
pub(super) fn long_name(units: &[u16], short: &ShortName) -> Vec<u8> {
    let sum = checksum(short);
    let mut out = Vec::new();
    let chunks: Vec<_> = units.chunks(UNITS_PER_ENTRY).collect();
    for (i, chunk) in chunks.iter().enumerate().rev() {
        let order = u8::try_from(i + 1).expect("at most 20 entries for 255 units");
        let last = if i + 1 == chunks.len() { LAST_LONG_ENTRY } else { 0 };
        // A name that ends early is closed with 0 and filled up with ones.
        let padded: Vec<u8> = chunk
            .iter()
            .copied()
            .chain([0])
            .chain(std::iter::repeat(0xffff))
            .take(UNITS_PER_ENTRY)
            .flat_map(u16::to_le_bytes)
            .collect();
        out.push(order | last);
        out.extend(&padded[..10]);
        out.extend([ATTR_LONG_NAME, 0, sum]);
        out.extend(&padded[10..22]);
        out.extend([0, 0]);
        out.extend(&padded[22..]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps() {
        let stamp = |seconds| {
            let Stamp { date, time } = Stamp::new(seconds);
            let (y, m, d) = (1980 + (date >> 9), date >> 5 & 15, date & 31);
            format!("{y}-{m:02}-{d:02} {:02}:{:02}:{:02}", time >> 11, time >> 5 & 63, 2 * (time & 31))
        };
        // As `date -u -d @N` says.
        assert_eq!(stamp(0), "1980-01-01 00:00:00");
        assert_eq!(stamp(315_532_800), "1980-01-01 00:00:00");
        assert_eq!(stamp(951_782_399), "2000-02-28 23:59:58");
        assert_eq!(stamp(951_782_400), "2000-02-29 00:00:00");
        assert_eq!(stamp(1_700_000_000), "2023-11-14 22:13:20");
        assert_eq!(stamp(4_107_542_400), "2100-03-01 00:00:00");
        assert_eq!(stamp(u32::MAX), "2106-02-07 06:28:14");
    }
}
