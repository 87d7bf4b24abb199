//! What is on a disk, as far as writing to it goes. Pure.

use crate::disks::Content;
use crate::probe::{Found, GPT, Kind, probe};
use formats::gpt::{Guid, Partition, Table, types};
use formats::layout::Role;
use metadata::config::parse_partition_name;

pub use crate::probe::EDGE;

/// Lies in the gap before the first partition while a disk is being prepared, so
/// that a disk whose preparation was cut off is known as ours, not as foreign.
pub const MARK: &[u8] = b"sledos: this disk is being prepared by an installation\n";
/// Where the mark lies, in bytes: behind every table, before every partition.
pub const MARK_AT: u64 = EDGE - 4096;

/// Attribute of a data partition that has no filesystem yet: set when it is made, taken
/// away when its filesystem is whole. Bit 48 is the first one that belongs to the type.
pub const FRESH: u64 = 1 << 48;

/// What is on a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing.
    Blank,
    /// A preparation that was cut off before there was anything to keep.
    Unfinished,
    /// The partitions of a sledos disk.
    Ours(Table),
    /// A data disk of a sledos sled.
    Data(Data),
    /// Somebody's data, and what kind.
    Foreign(Found),
    /// It does not let itself be read, and how.
    Unreadable(String),
}

/// A data disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    /// The sled it is of.
    pub sled: String,
    /// The set.
    pub set: String,
    /// Its number in the set.
    pub bay: u32,
    /// GUID of the disk.
    pub disk_guid: Guid,
    /// Its partition.
    pub partition: Partition,
}

impl Data {
    /// Whether it has no filesystem yet.
    pub fn fresh(&self) -> bool {
        self.partition.attributes & FRESH != 0
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Blank => f.write_str("blank"),
            Self::Unfinished => f.write_str("an unfinished preparation"),
            Self::Ours(_) => f.write_str("a sledos disk"),
            Self::Data(Data { sled, set, bay, .. }) => write!(f, "data disk {set}-{bay:02} of sled {sled}"),
            Self::Foreign(what) => write!(f, "has {what}"),
            Self::Unreadable(why) => write!(f, "unreadable: {why}"),
        }
    }
}

/// Classifies a disk of `bytes` bytes. `head` and `tail` are its first and last
/// [`EDGE`] bytes, or the whole disk when it has less; `content` is what reading
/// its partition table gave.
pub fn classify(bytes: u64, head: &[u8], tail: &[u8], content: &Content) -> State {
    let found = probe(bytes, head, tail);
    if let Content::Gpt(table) = content {
        if is_ours(table) {
            return State::Ours(table.clone());
        }
        if let Some(data) = data(table) {
            return State::Data(data);
        }
    }
    // Our own table comes last in a preparation, and may be there in part.
    let mark = usize::try_from(MARK_AT).ok().and_then(|at| head.get(at..));
    let ours = mark.is_some_and(|mark| mark.starts_with(MARK)) && is_protective(head);
    let gpt = Found { kind: Kind::Table, what: GPT };
    match found {
        Some(found) if !matches!(found.kind, Kind::Table | Kind::Unknown) => State::Foreign(found),
        _ if matches!(content, Content::Gpt(_)) => State::Foreign(gpt),
        _ if ours => State::Unfinished,
        // Its table is damaged, or the disk is shown with other sectors or another size: not
        // to be wiped as somebody else's.
        _ if names_data(head) || names_data(tail) => {
            State::Unreadable("the partition table of a sledos data disk, which does not read".to_owned())
        }
        Some(found) => State::Foreign(found),
        None => State::Blank,
    }
}

/// Whether an MBR, if there is one, only protects a GPT.
fn is_protective(head: &[u8]) -> bool {
    let Some(mbr) = head.get(446..510) else { return false };
    mbr.iter().all(|b| *b == 0) || (mbr[4] == 0xee && mbr[16..].iter().all(|b| *b == 0))
}

/// Whether an entry of a partition table, wherever it lies, is of our type for data.
fn names_data(edge: &[u8]) -> bool {
    edge.chunks_exact(128).any(|entry| entry.starts_with(&types::SLEDOS_DATA.0))
}

/// Whether a table has the partitions of a sledos disk: each name once, with its type.
/// OEM may be missing, ROOT may be half of a RAID1; others may be there as well.
fn is_ours(table: &Table) -> bool {
    Role::ALL.iter().all(|role| {
        let mut named = table.partitions.iter().filter(|p| p.name == role.label());
        match (named.next(), named.next()) {
            (Some(one), None) => {
                one.type_guid == role.type_guid()
                    || (*role == Role::Root && one.type_guid == types::LINUX_RAID)
            }
            (None, _) => *role == Role::Oem,
            _ => false,
        }
    })
}

/// A data disk has just one partition, of our type.
fn data(table: &Table) -> Option<Data> {
    let [partition] = table.partitions.as_slice() else { return None };
    if partition.type_guid != types::SLEDOS_DATA {
        return None;
    }
    let (sled, set, bay) = parse_partition_name(&partition.name)?;
    Some(Data {
        sled: sled.to_owned(),
        set: set.to_owned(),
        bay,
        disk_guid: table.disk_guid,
        partition: partition.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use formats::gpt::Source;

    const SIZE: u64 = 4 << 20;

    fn state(head: &[u8], tail: &[u8]) -> State {
        classify(SIZE, head, tail, &Content::Other)
    }

    fn edge() -> Vec<u8> {
        vec![0; 1 << 20]
    }

    fn ours() -> Table {
        let partition = |(number, role): (u32, Role)| Partition {
            number,
            name: role.label().into(),
            type_guid: role.type_guid(),
            guid: Guid([1; 16]),
            start: 0,
            size: 4096,
            attributes: 0,
        };
        let partitions = (1..).zip(Role::ALL).map(partition).collect();
        Table { disk_guid: Guid([9; 16]), partitions, source: Source::Primary }
    }

    #[test]
    fn a_disk_is_ours_with_all_names_once_and_all_types() {
        let with = |change: fn(&mut Table)| {
            let mut table = ours();
            change(&mut table);
            classify(SIZE, &edge(), &edge(), &Content::Gpt(table))
        };
        let is_ours = |state| matches!(state, State::Ours(_));
        assert!(is_ours(with(|_| ())));
        assert!(is_ours(with(|t| drop(t.partitions.remove(5)))), "OEM may be missing");
        assert!(is_ours(with(|t| t.partitions[6].type_guid = types::LINUX_RAID)), "half of a RAID1");
        assert!(is_ours(with(|t| t
            .partitions
            .push(Partition { name: "data".into(), ..t.partitions[6].clone() }))));
        let foreign = State::Foreign(Found { kind: Kind::Table, what: GPT });
        assert_eq!(with(|t| drop(t.partitions.remove(6))), foreign);
        assert_eq!(with(|t| t.partitions.push(t.partitions[6].clone())), foreign);
        assert_eq!(with(|t| t.partitions[6].type_guid = Guid([1; 16])), foreign);
    }

    #[test]
    fn the_mark_is_no_foreign_data_but_hides_none() {
        let mut head = edge();
        let at = usize::try_from(MARK_AT).unwrap();
        head[at..at + MARK.len()].copy_from_slice(MARK);
        assert_eq!(state(&head, &edge()), State::Unfinished);
        // Half of our own table.
        head[510..512].copy_from_slice(b"\x55\xaa");
        head[450] = 0xee;
        head[512..520].copy_from_slice(b"EFI PART");
        assert_eq!(state(&head, &edge()), State::Unfinished);
        assert!(matches!(classify(SIZE, &head, &edge(), &Content::Gpt(ours())), State::Ours(_)));
        // What somebody made since then.
        let mut other = ours();
        other.partitions.truncate(2);
        assert_eq!(
            classify(SIZE, &head, &edge(), &Content::Gpt(other)),
            State::Foreign(Found { kind: Kind::Table, what: GPT })
        );
        let mut mbr = head.clone();
        mbr[450] = 0x83;
        assert!(matches!(state(&mbr, &edge()), State::Foreign(_)));
        head[..4].copy_from_slice(b"XFSB");
        assert_eq!(
            state(&head, &edge()),
            State::Foreign(Found { kind: Kind::Xfs, what: "an XFS filesystem" })
        );
    }

    #[test]
    fn a_data_disk_has_one_partition_that_says_whose_it_is() {
        let partition = Partition {
            number: 1,
            name: "r12-b07:data:03".into(),
            type_guid: types::SLEDOS_DATA,
            guid: Guid([1; 16]),
            start: 1 << 20,
            size: 2 << 20,
            attributes: FRESH,
        };
        let of = |partitions: Vec<Partition>| {
            let table = Table { disk_guid: Guid([9; 16]), partitions, source: Source::Primary };
            classify(SIZE, &edge(), &edge(), &Content::Gpt(table))
        };
        let State::Data(data) = of(vec![partition.clone()]) else { panic!("no data disk") };
        assert_eq!(
            (data.sled.as_str(), data.set.as_str(), data.bay, data.fresh()),
            ("r12-b07", "data", 3, true)
        );
        assert_eq!(State::Data(data).to_string(), "data disk data-03 of sled r12-b07");
        let foreign = State::Foreign(Found { kind: Kind::Table, what: GPT });
        assert_eq!(of(vec![Partition { name: "x".into(), ..partition.clone() }]), foreign);
        assert_eq!(of(vec![Partition { type_guid: types::ESP, ..partition.clone() }]), foreign);
        assert_eq!(of(vec![partition.clone(), Partition { number: 2, ..partition }]), foreign);
    }
}
