use super::*;
use formats::gpt::types;
use proptest::prelude::*;

fn esp(id: u8) -> Partition {
    Partition {
        number: 1,
        name: Role::Esp.label().to_owned(),
        type_guid: types::ESP,
        guid: Guid([id; 16]),
        start: 1 << 20,
        size: 512 << 20,
        attributes: 0,
    }
}

/// The option, byte by byte as the specification has it.
#[test]
fn an_option_is_what_the_specification_says() {
    let option = encode(&esp(0xab), 512);
    let expected = [
        &[1, 0, 0, 0][..],          // active
        &[0x5e, 0],                 // bytes of the path
        b"s\0l\0e\0d\0o\0s\0\0\0",  // description
        &[4, 1, 42, 0],             // hard drive
        &[1, 0, 0, 0],              // partition
        &[0, 8, 0, 0, 0, 0, 0, 0],  // start in sectors
        &[0, 0, 16, 0, 0, 0, 0, 0], // size in sectors
        &[0xab; 16],
        &[2, 2],        // GPT, GUID
        &[4, 4, 48, 0], // file path
        &utf16("\\EFI\\BOOT\\BOOTX64.EFI"),
        &[0x7f, 0xff, 4, 0], // end
    ];
    assert_eq!(option, expected.concat());
    let file = Some("\\EFI\\BOOT\\BOOTX64.EFI".to_owned());
    assert_eq!(starts(&option), Some(Target { esp: Guid([0xab; 16]), active: true, file }));
    assert_eq!(name(&option).as_deref(), Some("sledos"));
}

#[test]
fn sectors_of_4096_bytes_count_in_those() {
    let option = encode(&esp(1), 4096);
    assert_eq!(option.get(28..36), Some(&[0, 1, 0, 0, 0, 0, 0, 0][..]));
}

#[test]
fn what_is_known_is_not_written_again() {
    let first = plan(&BTreeMap::new(), &[], &esp(1), 512, &|_| true).unwrap();
    assert_eq!((first.number, first.order.clone()), (0, Some(vec![0])));
    let options = BTreeMap::from([(0, first.option.unwrap())]);
    let again = plan(&options, &[0], &esp(1), 512, &|_| true).unwrap();
    assert_eq!(again, Change { number: 0, option: None, order: None });
}

#[test]
fn a_disk_that_is_gone_makes_room_and_firmwares_own_options_stay() {
    let mut theirs = encode(&esp(7), 512);
    // Another description.
    theirs[6] = b'S';
    let options = BTreeMap::from([(0, theirs), (1, encode(&esp(2), 512)), (2, vec![1])]);
    let change = plan(&options, &[2, 0, 1], &esp(3), 512, &|guid| guid == Guid([3; 16])).unwrap();
    assert_eq!((change.number, change.order), (1, None));
    let change = plan(&options, &[2, 0], &esp(3), 512, &|_| true).unwrap();
    assert_eq!((change.number, change.order), (3, Some(vec![2, 0, 3])));
}

/// Another program on our ESP: a firmware updater, a shell.
#[test]
fn an_option_for_another_file_of_the_esp_is_not_the_boot_loaders() {
    let theirs = |file: &str| {
        let (ours, new) = (utf16("\\EFI\\BOOT\\BOOTX64.EFI"), utf16(file));
        let mut option = encode(&esp(1), 512);
        let at = option.windows(ours.len()).position(|part| part == ours).unwrap();
        option.splice(at..at + ours.len(), new.clone());
        let len = |n: usize| u16::try_from(n).unwrap().to_le_bytes();
        option.splice(at - 2..at, len(new.len() + 4));
        option.splice(4..6, len(HARD_DRIVE_LEN + 4 + new.len() + 4));
        option
    };
    let number = |file: &str| {
        let options = BTreeMap::from([(0, theirs(file))]);
        plan(&options, &[0], &esp(1), 512, &|_| true).unwrap().number
    };
    assert_eq!(number("\\EFI\\fwupd\\fwupdx64.efi"), 1);
    assert_eq!(number("\\EFI\\BOOT\\bootx64.efi"), 0);
    assert_eq!(number("\\EFI\\SYSTEMD\\SYSTEMD-BOOTX64.EFI"), 0);
}

/// What is there and cannot be read is not written over.
#[test]
fn an_order_that_does_not_read_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    assert!(read(dir.path(), "BootOrder").unwrap().is_empty());
    // Shorter than its attributes.
    fs::write(dir.path().join(format!("BootOrder-{VENDOR}")), [7, 0]).unwrap();
    let error = read(dir.path(), "BootOrder").unwrap_err();
    assert!(error.to_string().contains("firmware does not show BootOrder"), "{error}");
}

#[test]
fn options_are_written_below_a_directory_as_efivarfs_has_them() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "Boot00AB", &encode(&esp(4), 512)).unwrap();
    write(dir.path(), "BootOrder", &[0xab, 0]).unwrap();
    let known = options(dir.path()).unwrap();
    assert_eq!(known.keys().collect::<Vec<_>>(), [&0xab]);
    assert_eq!(starts(&known[&0xab]).unwrap().esp, Guid([4; 16]));
    let bytes = fs::read(dir.path().join(format!("BootOrder-{VENDOR}"))).unwrap();
    assert_eq!(bytes, [7, 0, 0, 0, 0xab, 0]);
}

proptest! {
    #[test]
    fn no_option_of_anybody_is_too_strange(
        options in prop::collection::btree_map(any::<u16>(), prop::collection::vec(any::<u8>(), 0..120), 0..6),
        order in prop::collection::vec(any::<u16>(), 0..6),
        cut in 0_usize..120,
    ) {
        let mut options = options;
        let mut own = encode(&esp(9), 512);
        own.truncate(cut);
        options.insert(1, own);
        let change = plan(&options, &order, &esp(9), 512, &|_| true).unwrap();
        prop_assert!(change.option.is_none_or(|new| new == encode(&esp(9), 512)));
        prop_assert!(change.order.is_none_or(|new| new.starts_with(&order)));
    }
}
