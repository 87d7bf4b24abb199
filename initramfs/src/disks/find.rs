//! Which partitions make up the /usr with a given hash. Pure.

use super::{Content, Disk, Partition};
use crate::options::RootHash;

/// Partition types, from the Discoverable Partitions Specification
/// (`uapi-group.org/specifications/specs/discoverable_partitions_specification`).
const USR_X86_64: &str = "8484680c-9521-48c6-9c11-b0720656f69e";
const USR_X86_64_VERITY: &str = "77ff5f63-e7b6-4633-acf4-1565b864c0e6";

/// A /usr on a disk, and what belongs to it there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Kernel name of the disk.
    pub disk: String,
    /// The disk's GUID.
    pub disk_guid: String,
    /// /usr itself.
    pub usr: Partition,
    /// Its verity data.
    pub verity: Partition,
    /// The partition named ROOT on the same disk: /var.
    pub root: Option<Partition>,
    /// The partition named OEM on the same disk.
    pub oem: Option<Partition>,
}

/// Every /usr with this hash. The first is the one to boot: disks are ordered by
/// their GUID, because kernel names change from boot to boot, and partitions by
/// their number.
pub fn find(disks: &[Disk], hash: &RootHash) -> Vec<Found> {
    let (usr_uuid, verity_uuid) = hash.partition_uuids();
    let mut all = Vec::new();
    for disk in disks {
        let Content::Gpt(gpt) = &disk.content else { continue };
        let of = |kind: &str, guid: &str| {
            let mut found = gpt.partitions.iter().filter(move |p| p.kind == kind && p.guid == guid);
            found.next().cloned()
        };
        let named = |name: &str| gpt.partitions.iter().find(|p| p.name == name).cloned();
        let usrs = gpt.partitions.iter().filter(|p| p.kind == USR_X86_64 && p.guid == usr_uuid);
        for usr in usrs {
            let Some(verity) = of(USR_X86_64_VERITY, &verity_uuid) else { continue };
            all.push(Found {
                disk: disk.name.clone(),
                disk_guid: gpt.guid.clone(),
                usr: usr.clone(),
                verity,
                root: named("ROOT"),
                oem: named("OEM"),
            });
        }
    }
    all.sort_by(|a, b| (&a.disk_guid, &a.disk, a.usr.number).cmp(&(&b.disk_guid, &b.disk, b.usr.number)));
    all
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} on {}", self.usr.name, self.disk)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Gpt;
    use super::*;
    use crate::options::Options;

    fn partition(number: u32, name: &str, kind: &str, guid: &str) -> Partition {
        Partition { number, name: name.into(), kind: kind.into(), guid: guid.into(), start: 0, bytes: 4096 }
    }

    fn hash() -> RootHash {
        let usrhash = Some("a".repeat(32) + &"b".repeat(32));
        RootHash::of(&Options { usrhash, ..Options::default() }).unwrap()
    }

    fn disk(name: &str, guid: &str, partitions: Vec<Partition>) -> Disk {
        let gpt = Gpt { guid: guid.into(), from_backup: false, partitions };
        Disk { name: name.into(), bytes: 1 << 30, model: String::new(), content: Content::Gpt(gpt) }
    }

    fn image() -> Vec<Partition> {
        let (a, b) = hash().partition_uuids();
        vec![
            partition(1, "EFI-SYSTEM", "c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "1"),
            partition(2, "USR-A", USR_X86_64, "something else"),
            partition(3, "USR-A-VERITY", USR_X86_64_VERITY, "something else"),
            partition(4, "USR-B", USR_X86_64, &a),
            partition(5, "USR-B-VERITY", USR_X86_64_VERITY, &b),
            partition(9, "ROOT", "0fc63daf-8483-4772-8e79-3d69d8477de4", "9"),
        ]
    }

    #[test]
    fn the_slot_with_the_hash_is_found_with_root_beside_it() {
        let empty = Disk { content: Content::Other, ..disk("sda", "", vec![]) };
        let found = find(&[empty, disk("sdb", "g", image())], &hash());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].to_string(), "USR-B on sdb");
        assert_eq!((found[0].verity.number, found[0].root.as_ref().map(|r| r.number)), (5, Some(9)));
        assert_eq!(found[0].oem, None);
    }

    #[test]
    fn both_uuids_and_both_types_have_to_be_right() {
        for n in [3, 4] {
            let mut other = image();
            other[n].guid = "0".into();
            assert_eq!(find(&[disk("sda", "g", other)], &hash()), []);
            let mut other = image();
            other[n].kind = "0".into();
            assert_eq!(find(&[disk("sda", "g", other)], &hash()), []);
        }
    }

    #[test]
    fn halves_on_two_disks_are_no_usr() {
        let (usr, verity) = (image()[3].clone(), image()[4].clone());
        assert_eq!(find(&[disk("sda", "g", vec![usr]), disk("sdb", "h", vec![verity])], &hash()), []);
    }

    #[test]
    fn of_two_disks_the_choice_does_not_depend_on_kernel_names() {
        let one = find(&[disk("sda", "2", image()), disk("sdb", "1", image())], &hash());
        let two = find(&[disk("sda", "1", image()), disk("sdb", "2", image())], &hash());
        assert_eq!((one[0].disk.as_str(), two[0].disk.as_str()), ("sdb", "sda"));
        assert_eq!((one.len(), two.len()), (2, 2));
    }
}
