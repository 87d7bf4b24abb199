//! Which disk a document means, and whether it may be written to. Pure.

use super::classify::State;
use super::device::{Device, natural};
use crate::identity::Recognised;
use formats::gpt::Table;
use formats::layout::Role;
use metadata::document::{DiskMatch, Install, Pick, Wipe};

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
    /// It carries data, and is only one of several it might have been.
    #[error(
        "{0}: `install.disk` picks it from several, and when one is missing or late it is another: \
         list its serial number to wipe it"
    )]
    Picked(
        /// The disk with what is on it.
        String,
    ),
    /// It carries what sledos made, and the document lists neither this disk nor this sled's hardware.
    #[error("{0}: data of a sled is wiped only when the disk's serial number is listed in `install.disk`")]
    Unlisted(
        /// The disk with what is on it.
        String,
    ),
    /// It carries what sledos made, and the document is for another board.
    #[error("{0}: the document is for another board: what sledos has on a disk is not written over by it")]
    Stranger(
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
    /// It has the partitions of a sledos disk, and one is too small for this image.
    #[error(
        "{disk}: {} has {has} bytes and the image needs {needs}; an installed disk keeps its partitions: \
         to make them anew, /var and all, start the sled from the network with `install.wipe: all`",
        role.label()
    )]
    Partition {
        /// The disk.
        disk: String,
        /// The partition.
        role: Role,
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

/// What may be destroyed on a disk, which is no more than `install.wipe` says. `running`: the
/// sled runs from a disk, whose other slot is free for it.
///
/// # Errors
/// Why the disk is not written to at all.
pub fn permitted(
    device: &Device,
    install: &Install,
    recognised: Recognised,
    running: bool,
) -> Result<Wipe, Refusal> {
    let listed = install.disk.lists(&device.serial, &device.wwn);
    let says = || device.to_string();
    let (wipe, why) = match (&device.state, install.wipe) {
        (_, Wipe::Never) => (Wipe::Never, Refusal::Data(says())),
        (State::Ours(_) | State::Data(_), _) if recognised == Recognised::Stranger => {
            (Wipe::Never, Refusal::Stranger(says()))
        }
        _ if install.disk.pick.is_some() && !listed => (Wipe::Never, Refusal::Picked(says())),
        (State::Data(_), Wipe::All) if !listed => (Wipe::Foreign, Refusal::Unlisted(says())),
        // That is for one without room for the image.
        (State::Ours(_), Wipe::All) if !listed && recognised != Recognised::Hardware => {
            (Wipe::Foreign, Refusal::Unlisted(says()))
        }
        (_, wipe) => (wipe, Refusal::Data(says())),
    };
    match allowed(device, wipe) {
        // Its ROOT would be this sled's /var, and its slots hold what another one boots.
        Ok(Way::Slot(_)) if recognised == Recognised::Stranger && !running => Err(Refusal::Stranger(says())),
        Ok(_) => Ok(wipe),
        Err(Refusal::Data(_)) => Err(why),
        Err(refusal) => Err(refusal),
    }
}

/// What is done with a disk of which so much may be destroyed, see [`permitted`].
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

    pub(crate) const XFS: Found = Found { kind: Kind::Xfs, what: "an XFS filesystem" };

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
        use Recognised::{Hardware, Place, Stranger};
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
        let columns = [
            ("`wipe: never`", Wipe::Never, false, Hardware),
            ("`wipe: foreign`", Wipe::Foreign, false, Hardware),
            ("`wipe: all`", Wipe::All, false, Hardware),
            ("`wipe: all`, serial listed", Wipe::All, true, Hardware),
            ("`wipe: all`, sled known by its place", Wipe::All, false, Place),
            ("`wipe: all`, board of another sled", Wipe::All, true, Stranger),
        ];
        let always = [PARTITIONED; 6];
        let with_foreign = [REFUSED, PARTITIONED, PARTITIONED, PARTITIONED, PARTITIONED, PARTITIONED];
        let listed = [REFUSED, REFUSED, REFUSED, PARTITIONED, REFUSED, REFUSED];
        let rows = [
            ("blank", State::Blank, always),
            ("a preparation that was cut off", State::Unfinished, always),
            ("our slot: a sledos installation", State::Ours(table), [SLOT, SLOT, SLOT, SLOT, SLOT, REFUSED]),
            ("our data: of any sled and set", State::Data(data), listed),
            ("foreign partition table", foreign(Kind::Table), with_foreign),
            ("foreign filesystem, swap, encrypted volume", foreign(Kind::Filesystem), with_foreign),
            ("member of RAID, LVM, ZFS, bcache, Ceph", foreign(Kind::Member), with_foreign),
            ("data of an unknown kind", foreign(Kind::Unknown), with_foreign),
            ("unreadable", State::Unreadable("EIO".into()), [REFUSED; 6]),
        ];
        let mut page = String::from("| what is on the disk |");
        columns.iter().for_each(|(name, ..)| page += &format!(" {name} |"));
        page += &format!("\n|{}\n", "---|".repeat(7));
        for (name, state, expected) in rows {
            let disk = Device { state, ..device("sda", "p", 10) };
            for ((column, wipe, listed, recognised), cell) in columns.into_iter().zip(expected) {
                let serial = if listed { vec!["Ssda".to_owned()] } else { vec![] };
                let install = Install { disk: DiskMatch { serial, ..any() }, mirror: false, wipe };
                let done = |running| {
                    permitted(&disk, &install, recognised, running).and_then(|wipe| allowed(&disk, wipe))
                };
                let got = match done(false) {
                    Ok(Way::Whole) => PARTITIONED,
                    Ok(Way::Slot(_)) => SLOT,
                    Err(Refusal::NoMatch(_) | Refusal::Several { .. }) => panic!(),
                    Err(Refusal::TooSmall { .. } | Refusal::Partition { .. }) => panic!(),
                    Err(_) => REFUSED,
                };
                assert_eq!(got, cell, "{name}, {column}");
                // The sled's own disk gets an update, whatever board was swapped in.
                let update = matches!(done(true), Ok(Way::Slot(_)));
                assert_eq!(update, matches!(disk.state, State::Ours(_)), "{name}, {column}");
            }
            page += &format!("| {name} | {} |\n", expected.join(" | "));
        }
        let documented = include_str!("../../../docs/disks.md");
        assert!(documented.contains(&page), "docs/disks.md should have:\n{page}");
    }

    #[test]
    fn what_is_picked_from_several_is_wiped_only_when_it_is_listed() {
        let foreign = Device { state: State::Foreign(XFS), wwn: "0x1".into(), ..device("sda", "p", 10) };
        let with = |wipe, disk: DiskMatch| {
            let install = Install { disk, mirror: false, wipe };
            permitted(&foreign, &install, Recognised::Hardware, false)
        };
        let pick = DiskMatch { pick: Some(Pick::First), ..any() };
        for wipe in [Wipe::Foreign, Wipe::All] {
            assert!(matches!(with(wipe, pick.clone()), Err(Refusal::Picked(_))), "{wipe:?}");
            let other = DiskMatch { serial: vec!["Ssdb".into()], ..pick.clone() };
            assert!(matches!(with(wipe, other), Err(Refusal::Picked(_))), "{wipe:?}");
            let serial = DiskMatch { serial: vec!["Ssda".into()], ..pick.clone() };
            let wwn = DiskMatch { wwn: vec!["0x1".into()], ..pick.clone() };
            assert_eq!(
                (with(wipe, serial), with(wipe, wwn), with(wipe, any())),
                (Ok(wipe), Ok(wipe), Ok(wipe))
            );
        }
        // A blank one is nobody's.
        let blank = Device { state: State::Blank, ..foreign.clone() };
        let install = Install { disk: pick, mirror: false, wipe: Wipe::All };
        assert_eq!(permitted(&blank, &install, Recognised::Stranger, false), Ok(Wipe::Never));
    }

    #[test]
    fn an_installation_without_room_is_wiped_only_when_nobody_can_be_mistaken() {
        let table = Table { disk_guid: Guid([9; 16]), partitions: vec![], source: Source::Primary };
        let ours = Device { state: State::Ours(table), ..device("sda", "p", 10) };
        let with = |serial: &str, recognised, running| {
            let serial = Some(serial.to_owned()).filter(|s| !s.is_empty()).into_iter().collect();
            let install = Install { disk: DiskMatch { serial, ..any() }, mirror: false, wipe: Wipe::All };
            permitted(&ours, &install, recognised, running)
        };
        assert_eq!(with("", Recognised::Hardware, false), Ok(Wipe::All));
        assert_eq!(with("", Recognised::Place, false), Ok(Wipe::Foreign));
        assert_eq!(with("Ssda", Recognised::Place, false), Ok(Wipe::All));
        assert_eq!(with("Ssda", Recognised::Stranger, true), Ok(Wipe::Never));
    }

    #[test]
    fn a_pair_is_two_installed_ones_first_and_never_two_of_three_by_chance() {
        let table = Table { disk_guid: Guid([9; 16]), partitions: vec![], source: Source::Primary };
        let ours = |device| Device { state: State::Ours(table.clone()), ..device };
        let disks = [
            device("sda", "p1", 30),
            device("sdb", "p2", 10),
            ours(device("sdc", "p3", 20)),
            device("sdd", "p4", 20),
        ];
        let names = |disks: &[Device], pick| {
            let found = pair(disks, &DiskMatch { pick, ..any() });
            found.map(|pair| pair.into_iter().map(|disk| disk.name.clone()).collect::<Vec<_>>().join(" "))
        };
        assert!(matches!(names(&disks, None), Err(Refusal::Several { count: 4, .. })));
        assert!(matches!(names(&disks[..3], None), Err(Refusal::Several { count: 3, .. })));
        assert!(matches!(names(&[], None), Err(Refusal::NoMatch(_))));
        let ok = |text: &str| Ok(text.to_owned());
        assert_eq!((names(&disks[..2], None), names(&disks[..1], None)), (ok("sda sdb"), ok("sda")));
        assert_eq!(names(&disks, Some(Pick::First)), ok("sdc sda"));
        assert_eq!(names(&disks, Some(Pick::Smallest)), ok("sdc sdb"));
        assert_eq!(names(&disks, Some(Pick::Largest)), ok("sdc sda"));
    }
}
