use super::*;

const HASH: [u8; 32] = [0xab; 32];

fn entry() -> EntryName {
    EntryName::new("compute", "2", &HASH)
}

fn file(text: &str) -> Vec<u8> {
    let units = text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes);
    [6, 0, 0, 0].into_iter().chain(units).collect()
}

/// efivarfs with these variables.
fn efivars(variables: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in variables {
        fs::write(dir.path().join(format!("{name}-{VENDOR}")), file(text)).unwrap();
    }
    dir
}

#[test]
fn variables_are_read_and_nonsense_is_nothing() {
    let dir = efivars(&[
        ("LoaderEntrySelected", "compute_1.efi"),
        ("LoaderEntries", "compute_2+3.efi\0compute_1.efi"),
        ("LoaderDevicePartUUID", "ABCDEF00-0000-0000-0000-000000000001"),
        ("LoaderConfigTimeout", "menu-force"),
        ("LoaderEntryDefault", ""),
    ]);
    fs::write(dir.path().join(format!("LoaderEntryOneShot-{VENDOR}")), [6, 0, 0]).unwrap();
    fs::write(dir.path().join("LoaderEntryDefault-00000000-0000-0000-0000-000000000000"), file("x")).unwrap();
    let expected = Variables {
        selected: Some("compute_1.efi".into()),
        entries: vec!["compute_2+3.efi".into(), "compute_1.efi".into()],
        esp: Some("abcdef00-0000-0000-0000-000000000001".into()),
        timeout: Some("menu-force".into()),
        ..Variables::default()
    };
    assert_eq!(look_below(dir.path()), expected);
    assert_eq!(look_below(&dir.path().join("none")), Variables::default());
}

#[test]
fn what_stands_before_our_entry_goes_and_the_rest_stays() {
    let ours = entry().to_string();
    for (name, says, goes, before) in [
        (DEFAULT, "compute_1.efi", true, true),
        (DEFAULT, "compute_2_0011223344556677.efi", true, true),
        (DEFAULT, "@saved", true, true),
        (DEFAULT, "auto-windows", true, true),
        (DEFAULT, &ours, false, false),
        (ONE_SHOT, "auto-reboot-to-firmware-setup", true, true),
        (ONE_SHOT, &ours.to_uppercase(), false, false),
        (TIMEOUT, "menu-force", true, true),
        (TIMEOUT, "30", true, false),
        (TIMEOUT, "0", false, false),
        (TIMEOUT, "menu-hidden", false, false),
        (TIMEOUT_ONE_SHOT, "menu-force", true, true),
        ("LoaderEntrySelected", "compute_1.efi", false, false),
    ] {
        let dir = efivars(&[(name, says)]);
        let actions = look_below(dir.path()).actions(&entry());
        assert_eq!(
            actions.iter().map(|a| a.remove).collect::<Vec<_>>(),
            vec![name; usize::from(goes)],
            "{says}"
        );
        assert_eq!(actions.iter().any(Action::stands_before), before, "{name} {says}");
        let asked = std::cell::Cell::new(0);
        let free = |_: &fs::File| {
            asked.set(asked.get() + 1);
            Ok(())
        };
        let said = settle_below(dir.path(), &entry(), &free).unwrap();
        assert_eq!((said.len(), asked.get()), (usize::from(goes), usize::from(goes)));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), usize::from(!goes), "{name} {says}");
        // One that does not let itself be removed is an error when another entry is started.
        let dir = efivars(&[(name, says)]);
        let never = |_: &fs::File| Err(io::ErrorKind::PermissionDenied.into());
        assert_eq!(settle_below(dir.path(), &entry(), &never).is_err(), before, "{name} {says}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}

#[test]
fn what_was_started_instead_is_said() {
    let esp = Guid::from_uuid([0x11; 16]);
    let of = |selected: Option<&str>, from: Option<String>| {
        let selected = selected.map(str::to_owned);
        Variables { selected, esp: from, ..Variables::default() }.instead([esp].into_iter())
    };
    assert!(of(None, None).contains("did not start this sled"));
    let id = esp.to_string().to_lowercase();
    assert_eq!(of(Some("x.efi"), Some(id.clone())), "systemd-boot started x.efi");
    assert!(of(None, Some(id)).contains("does not say"));
    let other = "22222222-2222-2222-2222-222222222222".to_owned();
    assert!(of(Some("x.efi"), Some(other)).contains("another ESP, 22222222-"));
}
