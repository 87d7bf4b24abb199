//! Replaced hardware: the file keeps its comments, the old identity is retired.

use super::{FLEET, lines, source};
use metadata::fleet::file::Hardware;
use metadata::fleet::load;
use metadata::fleet::replace::{Replacement, replace};

fn wanted(rack: &str, bay: u32, serial: &str, macs: &[&str]) -> Replacement {
    let hardware = Hardware {
        board_serial: Some(serial.to_owned()),
        macs: macs.iter().map(|m| m.parse().unwrap()).collect(),
        ..Hardware::default()
    };
    Replacement { rack: rack.into(), bay, hardware, date: "2026-11-24".into() }
}

/// What was added and removed, as a diff would say.
fn diff(before: &str, after: &str) -> Vec<String> {
    let gone = before.lines().filter(|l| !after.lines().any(|a| a == *l)).map(|l| format!("-{l}"));
    let new = after.lines().filter(|l| !before.lines().any(|b| b == *l)).map(|l| format!("+{l}"));
    gone.chain(new).collect()
}

#[test]
fn lines_in_place_comments_stay_and_the_old_one_is_retired() {
    let done = replace(
        &source(FLEET),
        &wanted("r12", 1, "ZM18AS099999", &["52:54:00:12:00:01", "52:54:00:99:00:01"]),
    )
    .unwrap();
    assert_eq!(
        diff(FLEET, &done.text),
        [
            "-    board-serial: ZM18AS036101   # label on the left",
            "-    product-serial: \"1234567801\"",
            "-    uuid: 4C4C4544-0042-3510-8051-B7C04F330001",
            "-      - 52:54:00:12:00:01        # onboard",
            "-      - 52:54:00:12:01:01",
            "-    bmc-mac: 52:54:00:12:ff:01",
            "+    board-serial: ZM18AS099999   # label on the left",
            "+      - \"52:54:00:12:00:01\"        # onboard",
            "+      - \"52:54:00:99:00:01\"",
            "+  - {sled: r12-b01, since: 2026-11-24, by: ZM18AS099999, board-serial: ZM18AS036101, product-serial: \"1234567801\", uuid: 4C4C4544-0042-3510-8051-B7C04F330001, macs: [\"52:54:00:12:01:01\"], bmc-mac: 52:54:00:12:ff:01}",
        ]
    );
    let fleet = load(&source(&done.text)).unwrap();
    assert_eq!(fleet.file.retired.len(), 2);
    // The NIC that moved along is not retired.
    assert_eq!(fleet.file.retired[1].hardware.macs, ["52:54:00:12:01:01".parse().unwrap()]);
}

#[test]
fn an_entry_on_one_line_is_changed_on_that_line() {
    let done = replace(&source(FLEET), &wanted("r13", 2, "ZM18AS099998", &["52:54:00:99:00:aa"])).unwrap();
    let new = "+  r13-b02: {rack: r13, bay: 2, role: storage, board-serial: ZM18AS099998, macs: [52:54:00:99:00:aa]}";
    assert!(diff(FLEET, &done.text).contains(&new.to_owned()), "{:?}", diff(FLEET, &done.text));
    assert_eq!(done.sled, "r13-b02");
}

#[test]
fn a_file_without_retired_gets_one() {
    let (before, _) = FLEET.split_once("\nretired:").unwrap();
    let done = replace(&source(before), &wanted("r12", 2, "ZM18AS099997", &[])).unwrap();
    assert!(done.text.contains("\n\nretired:\n  - {sled: r12-b02, "), "{}", done.text);
    let windows = before.replace('\n', "\r\n");
    let done = replace(&source(&windows), &wanted("r12", 2, "ZM18AS099997", &[])).unwrap();
    assert!(done.text.lines().count() > 60 && !done.text.replace("\r\n", "").contains('\n'));
}

#[test]
fn what_cannot_be_is_refused() {
    let refused = |wanted: Replacement| lines(&replace(&source(FLEET), &wanted).unwrap_err().0);
    assert_eq!(refused(wanted("r12", 7, "X1", &[])), ["0: no sled is in bay 7 of rack `r12`"]);
    assert_eq!(refused(wanted("r13", 2, "ZM18AS036202", &[])), ["0: `r13-b02` has this hardware already"]);
    let used = refused(wanted("r13", 2, "ZM18AS036201", &[]));
    assert_eq!(used, ["72: the board serial ZM18AS036201 is here twice"]);
    let retired = refused(wanted("r13", 2, "ZM18AS030000", &[]));
    assert_eq!(retired, ["75: the board serial ZM18AS030000 is retired and in use"]);
}

#[test]
fn unknown_hardware_becomes_a_new_sled_or_takes_a_place() {
    use metadata::fleet::bind::{Newcomer, bind};
    let hardware = Hardware {
        board_serial: Some("0123E5".into()),
        macs: vec!["52:54:00:99:00:05".parse().unwrap()],
        ..Hardware::default()
    };
    let new = |bay, role: Option<&str>| Newcomer {
        rack: "r12".into(),
        bay,
        role: role.map(str::to_owned),
        hardware: hardware.clone(),
        date: "2026-11-25".into(),
    };
    let (text, name) = bind(&source(FLEET), &new(5, Some("compute"))).unwrap();
    assert_eq!(name, "r12-b05");
    let fleet = load(&source(&text)).unwrap();
    assert_eq!((fleet.sleds.len(), &fleet.file.sleds["r12-b05"].hardware), (7, &hardware));
    assert_eq!(fleet.file.retired.len(), load(&source(FLEET)).unwrap().file.retired.len());
    // An occupied bay: what was there is retired.
    let (text, name) = bind(&source(FLEET), &new(1, None)).unwrap();
    let fleet = load(&source(&text)).unwrap();
    assert_eq!((name.as_str(), &fleet.file.sleds["r12-b01"].hardware), ("r12-b01", &hardware));
    assert!(fleet.file.retired.iter().any(|r| r.sled == "r12-b01"));
    let wrong = |new| bind(&source(FLEET), &new).unwrap_err().to_string();
    assert!(wrong(new(5, None)).contains("a role is needed"));
    assert!(wrong(new(99, Some("compute"))).contains("rack `r12` has bays 1 to 8, not 99"));
}
