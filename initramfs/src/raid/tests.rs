use super::*;
use formats::md::Array;

fn half(disk: &str, array: u8) -> Half {
    let array = Array { uuid: [array; 16], name: "root".into(), size: 1 << 20, members: 2, time: 0 };
    let number = u16::from(disk == "sdb");
    let member =
        md::parse(&md::member(&array, number, [u8::try_from(number).unwrap() + 1; 16])[..4096]).unwrap();
    let root = Partition {
        number: 7,
        name: "ROOT".into(),
        type_guid: types::LINUX_RAID,
        guid: formats::gpt::Guid([1; 16]),
        start: 1 << 20,
        size: 1 << 30,
        attributes: 0,
    };
    Half { disk: disk.into(), root, member }
}

fn names(halves: Result<Vec<Half>, String>) -> Result<Vec<String>, String> {
    halves.map(|halves| halves.into_iter().map(|half| half.disk).collect())
}

#[test]
fn only_a_root_of_the_raids_type_is_half_of_one() {
    let root = half("sda", 1).root;
    assert!(is_half(&root));
    assert!(!is_half(&Partition { type_guid: types::LINUX_GENERIC, ..root }));
}

#[test]
fn a_half_without_a_superblock_does_not_keep_the_other_from_starting() {
    let same = ["sda".to_owned(), "sdb".to_owned()];
    let of = |disk: &str, halves: &[Half]| names(of_array(disk, &same, halves.to_vec()));
    let ok = |disks: &[&str]| Ok(disks.iter().map(|disk| (*disk).to_owned()).collect::<Vec<_>>());
    assert_eq!(of("sda", &[half("sda", 1), half("sdb", 1)]), ok(&["sda", "sdb"]));
    // Made by heal, cut off before mdadm added it.
    assert_eq!(of("sda", &[half("sdb", 1)]), ok(&["sdb"]));
    // Another sled's disk beside it is not taken, whichever it is.
    assert_eq!(of("sda", &[half("sdb", 1), half("sdc", 2)]), ok(&["sdb"]));
    assert_eq!(of("sda", &[half("sda", 1), half("sdb", 2)]), ok(&["sda"]));
    // On another image, or none, it is the only one there is.
    assert_eq!(of("sda", &[half("sdc", 3)]), ok(&["sdc"]));
    assert_eq!(of("sda", &[]), ok(&[]));
    let several = of("sdd", &[half("sda", 1), half("sdb", 2)]).unwrap_err();
    assert_eq!(several, "ROOT of sdd has no superblock, and sda, sdb have halves of 2 arrays");
}

#[test]
fn what_is_left_out_is_said_and_why() {
    let halves = [half("sda", 1), half("sdb", 1)];
    let says = |start: &[usize], other| {
        let standing = vec![Standing::InSync, other];
        warnings(&halves, &Decision { start: start.to_vec(), standing })
    };
    assert_eq!(says(&[0, 1], Standing::InSync), [""; 0]);
    assert_eq!(
        says(&[0], Standing::Diverged),
        [
            "sdb and sda ran apart, each without the other: ROOT is that of sda, with 1 events; what was \
             written to sdb alone, with 1 events, is not in it",
            "ROOT runs on sda alone: 1 of 2 disks",
        ]
    );
    for (standing, word) in
        [(Standing::Behind, "was out"), (Standing::InSync, "write-protected"), (Standing::Spare, "spare")]
    {
        let said = says(&[0], standing);
        assert!(said.len() == 2 && said[0].starts_with("sdb ") && said[0].contains(word), "{said:?}");
    }
}

#[test]
fn only_a_half_of_the_same_array_that_ran_alone_ran_apart() {
    let (a, b) = (half("sda", 1).member, half("sdb", 1).member);
    let alone = |member: &Member, other: usize| {
        let mut member = member.clone();
        member.roles[other] = 0xffff;
        member
    };
    assert!(!ran_apart(&a, &b));
    assert!(!ran_apart(&alone(&a, 1), &b));
    assert!(ran_apart(&alone(&a, 1), &alone(&b, 0)));
    let foreign = half("sdb", 2).member;
    assert!(!ran_apart(&alone(&a, 1), &alone(&foreign, 0)));
}
