//! Which partitions make up the /usr with a given hash. Pure.

use super::{Content, Disk};
use crate::options::RootHash;
use formats::gpt::{Guid, Partition, types};

/// A /usr on a disk, and what belongs to it there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Kernel name of the disk.
    pub disk: String,
    /// The disk's GUID.
    pub disk_guid: Guid,
    /// /usr itself.
    pub usr: Partition,
    /// Its verity data.
    pub verity: Partition,
    /// The partition named ROOT on the same disk: /var.
    pub root: Option<Partition>,
    /// The partition named OEM on the same disk.
    pub oem: Option<Partition>,
    /// The ESP of the same disk.
    pub esp: Option<Partition>,
}

impl Found {
    /// Its root hash: that is what the ids of its partitions are.
    pub fn hash(&self) -> RootHash {
        let mut hash = [0; 32];
        hash[..16].copy_from_slice(&self.usr.guid.to_uuid());
        hash[16..].copy_from_slice(&self.verity.guid.to_uuid());
        RootHash::from_bytes(hash)
    }
}

/// Every /usr with this hash. The first is the one to boot: disks are ordered by
/// their GUID, because kernel names change from boot to boot, and partitions by
/// their number.
pub fn find(disks: &[Disk], hash: &RootHash) -> Vec<Found> {
    let (usr_guid, verity_guid) = hash.partition_guids();
    let mut all = Vec::new();
    for disk in disks {
        let Content::Gpt(table) = &disk.content else { continue };
        let named = |name: &str| table.partitions.iter().find(|p| p.name == name).cloned();
        let with =
            |kind, guid| table.partitions.iter().filter(move |p| p.type_guid == kind && p.guid == guid);
        let Some(verity) = with(types::USR_X86_64_VERITY, verity_guid).next() else { continue };
        for usr in with(types::USR_X86_64, usr_guid) {
            all.push(Found {
                disk: disk.name.clone(),
                disk_guid: table.disk_guid,
                usr: usr.clone(),
                verity: verity.clone(),
                root: named("ROOT"),
                oem: named("OEM"),
                esp: table.partitions.iter().find(|p| p.type_guid == types::ESP).cloned(),
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
    use super::*;
    use crate::options::Options;
    use formats::gpt::{Source, Table};

    fn partition(number: u32, name: &str, type_guid: Guid, guid: Guid) -> Partition {
        Partition { number, name: name.into(), type_guid, guid, start: 0, size: 4096, attributes: 0 }
    }

    fn hash() -> RootHash {
        let usrhash = Some("a".repeat(32) + &"b".repeat(32));
        RootHash::of(&Options { usrhash, ..Options::default() }).unwrap()
    }

    fn disk(name: &str, guid: u8, partitions: Vec<Partition>) -> Disk {
        let table = Table { disk_guid: Guid([guid; 16]), partitions, source: Source::Primary };
        Disk { name: name.into(), bytes: 1 << 30, model: String::new(), content: Content::Gpt(table) }
    }

    const OTHER: Guid = Guid([7; 16]);

    fn image() -> Vec<Partition> {
        let (a, b) = (Guid([0xaa; 16]), Guid([0xbb; 16]));
        vec![
            partition(1, "EFI-SYSTEM", types::ESP, OTHER),
            partition(2, "USR-A", types::USR_X86_64, OTHER),
            partition(3, "USR-A-VERITY", types::USR_X86_64_VERITY, OTHER),
            partition(4, "USR-B", types::USR_X86_64, a),
            partition(5, "USR-B-VERITY", types::USR_X86_64_VERITY, b),
            partition(9, "ROOT", types::LINUX_GENERIC, OTHER),
        ]
    }

    #[test]
    fn the_slot_with_the_hash_is_found_with_root_beside_it() {
        let empty = Disk { content: Content::Other, ..disk("sda", 0, vec![]) };
        let found = find(&[empty, disk("sdb", 1, image())], &hash());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].to_string(), "USR-B on sdb");
        assert_eq!((found[0].verity.number, found[0].root.as_ref().map(|r| r.number)), (5, Some(9)));
        assert_eq!(found[0].oem, None);
        assert_eq!(found[0].hash().bytes(), hash().bytes());
    }

    #[test]
    fn both_uuids_and_both_types_have_to_be_right() {
        for n in [3, 4] {
            let mut other = image();
            other[n].guid = OTHER;
            assert_eq!(find(&[disk("sda", 1, other)], &hash()), []);
            let mut other = image();
            other[n].type_guid = OTHER;
            assert_eq!(find(&[disk("sda", 1, other)], &hash()), []);
        }
    }

    #[test]
    fn halves_on_two_disks_are_no_usr() {
        let (usr, verity) = (image()[3].clone(), image()[4].clone());
        assert_eq!(find(&[disk("sda", 1, vec![usr]), disk("sdb", 2, vec![verity])], &hash()), []);
    }

    #[test]
    fn of_two_disks_the_choice_does_not_depend_on_kernel_names() {
        let one = find(&[disk("sda", 2, image()), disk("sdb", 1, image())], &hash());
        let two = find(&[disk("sda", 1, image()), disk("sdb", 2, image())], &hash());
        assert_eq!((one[0].disk.as_str(), two[0].disk.as_str()), ("sdb", "sda"));
        assert_eq!((one.len(), two.len()), (2, 2));
    }
}
