//! Which disk a document means, and whether it may be written to. Pure.

use super::classify::State;
use super::device::{Device, natural};
use formats::gpt::Table;
use metadata::document::{DiskMatch, Pick, Wipe};

/// Why no disk is written to. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No disk is what the document describes.
    #[error("no disk is the one the document describes; there are: {0}")]
    NoMatch(
        /// The disks there are.
        String,
    ),
    /// Several are, and the document does not say which.
    #[error("the document describes {count} disks and does not say which to pick: {disks}")]
    Several {
        /// How many.
        count: usize,
        /// They.
        disks: String,
    },
    /// The sled runs from it, and it has not the partitions of a sledos disk.
    #[error("{0} has not the partitions of a sledos disk any more")]
    NotOurs(
        /// The disk.
        String,
    ),
    /// It carries data the document does not give up.
    #[error("{0}: the document does not allow to wipe it (install.wipe)")]
    Data(
        /// The disk with what is on it.
        String,
    ),
    /// It does not let itself be read.
    #[error("{0}: a disk that does not read is not written to")]
    Unreadable(
        /// The disk with how.
        String,
    ),
    /// Too small for the partitions of this image.
    #[error("{disk}: {what} has {has} bytes and the image needs {needs}")]
    TooSmall {
        /// The disk.
        disk: String,
        /// The disk, or a partition of it.
        what: &'static str,
        /// Its size.
        has: u64,
        /// What is needed.
        needs: u64,
    },
    /// Both slots have to stay.
    #[error(
        "{0}: the running image is on trial and the other slot has the last one that got ready: \
         a third is installed when the running one got ready, or gave way"
    )]
    LastGood(
        /// The disk.
        String,
    ),
}

/// What to do with a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way<'a> {
    /// Partition it.
    Whole,
    /// Write one of its slots.
    Slot(&'a Table),
}

/// The disk the document means.
///
/// # Errors
/// [`Refusal::NoMatch`], [`Refusal::Several`].
pub fn choose<'a>(devices: &'a [Device], wanted: &DiskMatch) -> Result<&'a Device, Refusal> {
    let mut found: Vec<_> = devices.iter().filter(|device| matches(device, wanted)).collect();
    found.sort_unstable_by(|a, b| natural(&a.path, &b.path));
    let list = |devices: &mut dyn Iterator<Item = &Device>| {
        let texts: Vec<_> = devices.map(|d| format!("{d} at {}", d.path)).collect();
        if texts.is_empty() { "none at all".to_owned() } else { texts.join("; ") }
    };
    let chosen = match (found.as_slice(), wanted.pick) {
        ([], _) => None,
        ([one], None) => Some(*one),
        (several, None) => {
            let disks = list(&mut several.iter().copied());
            return Err(Refusal::Several { count: several.len(), disks });
        }
        (several, Some(Pick::First)) => several.first().copied(),
        (several, Some(Pick::Smallest)) => several.iter().copied().min_by_key(|d| d.bytes),
        // Of equal ones `max_by_key` takes the last.
        (several, Some(Pick::Largest)) => several.iter().copied().rev().max_by_key(|d| d.bytes),
    };
    chosen.ok_or_else(|| Refusal::NoMatch(list(&mut devices.iter())))
}

/// The disks a document means for a pair: two, or the one there is. Disks that are sledos
/// disks already come first, so that a new one beside them takes nobody's place.
///
/// # Errors
/// As [`choose`].
pub fn pair<'a>(devices: &'a [Device], wanted: &DiskMatch) -> Result<Vec<&'a Device>, Refusal> {
    let mut found: Vec<_> = devices.iter().filter(|device| matches(device, wanted)).collect();
    found.sort_unstable_by(|a, b| natural(&a.path, &b.path));
    if found.is_empty() || (found.len() > 2 && wanted.pick.is_none()) {
        return choose(devices, wanted).map(|one| vec![one]);
    }
    found.sort_by_key(|device| {
        let size = match wanted.pick {
            Some(Pick::Smallest) => device.bytes,
            Some(Pick::Largest) => u64::MAX - device.bytes,
            Some(Pick::First) | None => 0,
        };
        (!matches!(device.state, State::Ours(_)), size)
    });
    found.truncate(2);
    Ok(found)
}

/// What may be done with a disk.
///
/// # Errors
/// [`Refusal::Data`], [`Refusal::Unreadable`].
pub fn allowed(device: &Device, wipe: Wipe) -> Result<Way<'_>, Refusal> {
    match (&device.state, wipe) {
        (State::Unreadable(_), _) => Err(Refusal::Unreadable(device.to_string())),
        // Its ROOT stays even with `all`: that is for a disk without room for the image.
        (State::Ours(table), _) => Ok(Way::Slot(table)),
        (State::Foreign(_), Wipe::Never) | (State::Data(_), Wipe::Never | Wipe::Foreign) => {
            Err(Refusal::Data(device.to_string()))
        }
        (State::Blank | State::Unfinished, _)
        | (State::Foreign(_), Wipe::Foreign | Wipe::All)
        | (State::Data(_), Wipe::All) => Ok(Way::Whole),
    }
}

pub(crate) fn matches(device: &Device, wanted: &DiskMatch) -> bool {
    let DiskMatch { serial, wwn, model, path, transport, rotational, min_size, max_size, pick: _ } = wanted;
    let exact = |list: &[String], value: &str| list.is_empty() || list.iter().any(|v| v == value);
    let glob = |list: &[String], value: &str| list.is_empty() || list.iter().any(|v| is_like(v, value));
    exact(serial, &device.serial)
        && exact(wwn, &device.wwn)
        && glob(model, &device.model)
        && glob(path, &device.path)
        && exact(transport, device.transport)
        && rotational.is_none_or(|spins| spins == device.rotational)
        && min_size.is_none_or(|least| device.bytes >= least)
        && max_size.is_none_or(|most| device.bytes <= most)
}

/// Whether a text is like a pattern with `*` for any text.
fn is_like(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::probe::{Found, Kind};
    use crate::slots::classify::Data;
    use formats::gpt::{Guid, Partition, Source, types};

    pub(crate) const XFS: Found = Found { kind: Kind::Filesystem, what: "an XFS filesystem" };

    /// A disk of so many GB.
    pub(crate) fn device(name: &str, path: &str, gb: u64) -> Device {
        Device {
            name: name.into(),
            path: path.into(),
            bytes: gb * 1_000_000_000 / 4096 * 4096,
            sector: 512,
            model: "MODEL 1".into(),
            serial: format!("S{name}"),
            wwn: String::new(),
            transport: "sata",
            rotational: false,
            bay: None,
            in_use: false,
            state: State::Blank,
        }
    }

    fn any() -> DiskMatch {
        DiskMatch::default()
    }

    #[test]
    fn patterns() {
        for (pattern, text, like) in [
            ("abc", "abc", true),
            ("abc", "abcd", false),
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "ac", true),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "a1c", false),
            ("ab*ba", "aba", false),
            ("*SAMSUNG*", "ATA SAMSUNG X", true),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(is_like(pattern, text), like, "{pattern} {text}");
        }
    }

    #[test]
    fn the_first_is_first_by_path_whatever_the_kernel_calls_it() {
        let one = [device("sdb", "pci/ata2/a", 10), device("sda", "pci/ata10/a", 10)];
        let two = [device("sda", "pci/ata2/a", 10), device("sdb", "pci/ata10/a", 10)];
        let first = DiskMatch { pick: Some(Pick::First), ..any() };
        assert_eq!(choose(&one, &first).unwrap().name, "sdb");
        assert_eq!(choose(&two, &first).unwrap().name, "sda");
    }

    #[test]
    fn of_equal_sizes_the_first_is_taken() {
        let disks = [
            device("sdc", "p3", 20),
            device("sdb", "p2", 10),
            device("sda", "p1", 20),
            device("sdd", "p4", 10),
        ];
        let pick = |pick| choose(&disks, &DiskMatch { pick: Some(pick), ..any() }).unwrap().name.clone();
        assert_eq!((pick(Pick::Smallest), pick(Pick::Largest)), ("sdb".into(), "sda".into()));
    }

    #[test]
    fn none_or_two_are_an_error_that_lists_them() {
        let disks = [device("sda", "p1", 10), device("sdb", "p2", 500)];
        let error = choose(&disks, &any()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the document describes 2 disks and does not say which to pick: \
             sda 9.9 GB sata MODEL 1 Ssda (blank) at p1; sdb 499.9 GB sata MODEL 1 Ssdb (blank) at p2"
        );
        let none = DiskMatch { serial: vec!["x".into()], pick: Some(Pick::First), ..any() };
        assert!(matches!(choose(&disks, &none), Err(Refusal::NoMatch(list)) if list.contains("sdb")));
        assert!(choose(&[], &any()).unwrap_err().to_string().ends_with("there are: none at all"));
    }

    #[test]
    fn everything_that_is_given_must_hold() {
        let disks = [device("sda", "p1", 10)];
        let yes = DiskMatch {
            serial: vec!["x".into(), "Ssda".into()],
            model: vec!["MODEL *".into()],
            path: vec!["p*".into()],
            transport: vec!["sata".into()],
            rotational: Some(false),
            min_size: Some(9_000_000_000),
            max_size: Some(10_000_000_000),
            ..any()
        };
        assert_eq!(choose(&disks, &yes).unwrap().name, "sda");
        let no: [fn(&mut DiskMatch); 8] = [
            |m| m.serial = vec!["Ssdb".into()],
            |m| m.wwn = vec!["0x1".into()],
            |m| m.model = vec!["MODEL".into()],
            |m| m.path = vec!["q*".into()],
            |m| m.transport = vec!["nvme".into()],
            |m| m.rotational = Some(true),
            |m| m.min_size = Some(10_000_000_001),
            |m| m.max_size = Some(9_000_000_000),
        ];
        for change in no {
            let mut wanted = yes.clone();
            change(&mut wanted);
            assert!(choose(&disks, &wanted).is_err(), "{wanted:?}");
        }
    }

    #[test]
    fn data_is_wiped_only_when_the_document_allows_it() {
        let foreign = Device { state: State::Foreign(XFS), ..device("sda", "p", 10) };
        assert_eq!(
            allowed(&foreign, Wipe::Never).unwrap_err().to_string(),
            "sda 9.9 GB sata MODEL 1 Ssda (has an XFS filesystem): \
             the document does not allow to wipe it (install.wipe)"
        );
    }

    /// What `install.wipe` does to a system disk, cell by cell, as docs/disks.md has it.
    #[test]
    fn every_cell_of_the_table_of_the_system_disk() {
        const PARTITIONED: &str = "partitioned";
        const SLOT: &str = "free slot written";
        const REFUSED: &str = "refused, reported";
        let table = Table { disk_guid: Guid([9; 16]), partitions: vec![], source: Source::Primary };
        let foreign = |kind| State::Foreign(Found { kind, what: "something" });
        let partition = Partition {
            number: 1,
            name: "r1-b08:data:03".into(),
            type_guid: types::SLEDOS_DATA,
            guid: Guid([7; 16]),
            start: 1 << 20,
            size: 1 << 30,
            attributes: 0,
        };
        let data =
            Data { sled: "r1-b08".into(), set: "data".into(), bay: 3, disk_guid: Guid([8; 16]), partition };
        let always = [PARTITIONED; 3];
        let with_foreign = [REFUSED, PARTITIONED, PARTITIONED];
        let rows = [
            ("blank", State::Blank, always),
            ("a preparation that was cut off", State::Unfinished, always),
            ("our slot: a sledos installation", State::Ours(table), [SLOT; 3]),
            ("our data: of any sled and set", State::Data(data), [REFUSED, REFUSED, PARTITIONED]),
            ("foreign partition table", foreign(Kind::Table), with_foreign),
            ("foreign filesystem, swap, encrypted volume", foreign(Kind::Filesystem), with_foreign),
            ("member of RAID, LVM, ZFS, bcache, Ceph", foreign(Kind::Member), with_foreign),
            ("data of an unknown kind", foreign(Kind::Unknown), with_foreign),
            ("unreadable", State::Unreadable("EIO".into()), [REFUSED; 3]),
        ];
        let mut page =
            String::from("| what is on the disk | `wipe: never` | `wipe: foreign` | `wipe: all` |\n");
        page += "|---|---|---|---|\n";
        for (name, state, expected) in rows {
            let disk = Device { state, ..device("sda", "p", 10) };
            for (wipe, cell) in [Wipe::Never, Wipe::Foreign, Wipe::All].into_iter().zip(expected) {
                let got = match allowed(&disk, wipe) {
                    Ok(Way::Whole) => PARTITIONED,
                    Ok(Way::Slot(_)) => SLOT,
                    Err(Refusal::Data(_) | Refusal::Unreadable(_)) => REFUSED,
                    Err(other) => panic!("{name}: {other}"),
                };
                assert_eq!(got, cell, "{name}, {wipe:?}");
            }
            page += &format!("| {name} | {} |\n", expected.join(" | "));
        }
        let documented = include_str!("../../../docs/disks.md");
        assert!(documented.contains(&page), "docs/disks.md should have:\n{page}");
    }
}
