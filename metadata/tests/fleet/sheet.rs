//! A vendor's sheet of 40 sleds, good and with planted mistakes.

use super::{edited, lines, source};
use metadata::fleet::import::{Field, Import, Request, import};
use metadata::fleet::load;
use std::path::Path;

const GOOD: &[u8] = include_bytes!("vendor-good.csv");
const BAD: &[u8] = include_bytes!("vendor-bad.csv");

/// The golden fleet with room for 40 sleds in an empty rack 14.
fn fleet() -> String {
    edited(
        "roles:\n",
        "  r14:\n    bays: 40\n    subnets: {data: {network: 10.1.14.0/24, first: 10.1.14.11}}\n\nroles:\n",
    )
}

fn request() -> Request {
    Request {
        rack: "r14".into(),
        role: "compute".into(),
        name: "{rack}-b{bay:02}".into(),
        columns: Vec::new(),
        in_order: false,
    }
}

fn run(sheet: &[u8], request: &Request) -> Import {
    import(&source(&fleet()), Path::new("vendor.csv"), sheet, request)
}

#[test]
fn a_good_sheet_becomes_sleds_and_nothing_else_changes() {
    let done = run(GOOD, &request());
    assert!(done.errors.is_empty() && done.warnings.is_empty(), "{:?} {:?}", done.errors, done.warnings);
    assert_eq!(done.added.len(), 40);
    assert_eq!(
        done.added[0],
        "r14-b01: {rack: r14, bay: 1, role: compute, board-serial: ZM18AS036401, \
         uuid: \"4c4c4544-0042-3510-8051-b7c04f330001\", macs: [\"52:54:00:13:00:01\", \"52:54:00:13:01:01\"], \
         bmc-mac: 52:54:00:13:ff:01}"
            .replace("uuid: \"4c4c4544-0042-3510-8051-b7c04f330001\"", "uuid: 4c4c4544-0042-3510-8051-b7c04f330001")
    );
    assert_eq!(
        done.notes,
        [
            "the header is in line 3",
            "line 45 was skipped: `40 Stück` is no serial number",
            "line 46 was skipped: no serial, UUID or MAC in it",
        ]
    );
    let text = done.text.unwrap();
    let before = fleet();
    let kept: Vec<_> = text.lines().filter(|l| !l.trim_start().starts_with("r14-b")).collect();
    assert_eq!(kept, before.lines().collect::<Vec<_>>(), "comments and order survive");
    assert_eq!(load(&source(&text)).unwrap().sleds.len(), 46);
    let again = import(&source(&text), Path::new("vendor.csv"), GOOD, &request());
    assert_eq!((again.present.len(), again.added.len(), again.errors.len()), (40, 0, 0));
}

#[test]
fn planted_mistakes_are_reported_at_their_lines() {
    let done = run(BAD, &request());
    assert_eq!(
        lines(&done.errors),
        [
            "6: `1.23457E+12` is a number that Excel has rounded: its digits are lost",
            "8: `52:54:00:13:00` is not a MAC address",
            "10: the board-serial ZM18AS036404 is here twice",
            "14: the MAC address 52:54:00:13:00:0a is here twice",
            "16: bay 12 is here twice",
            "18: there is no bay 41: the rack has 40",
            "20: `4c4c4544-0042` is not a UUID",
            "22: 01:00:5e:00:00:01 is not the address of a NIC: it is zero or a group address",
            "24: `oben` is not a bay",
            "26: this bay has neither serial nor UUID nor MAC",
            "32: the UUID 4c4c4544-0042-3510-8051-b7c04f330028 is here twice",
        ]
    );
    assert_eq!(
        lines(&done.warnings),
        [
            "11: the serial number `To be filled by O.E.M.` identifies nobody and is left out",
            "28: the UUID `03000200-0400-0500-0006-000700080009` identifies nobody and is left out",
            "30: the serial number `ZM18AS03642` is not 12 characters long, as most are",
        ]
    );
    assert!(done.text.is_none(), "nothing is written when there are mistakes");
    // The mark is under the cell, not just on the line.
    assert_eq!(
        done.errors[1].place.as_ref().unwrap().snippet().find("52:54:00:13:00;"),
        Some(done.errors[1].place.as_ref().unwrap().column - 1)
    );
}

#[test]
fn other_shapes_of_the_same_sheet() {
    let text = "Rack,Slot,S/N,MAC\n14,1,SN0001,52:54:00:aa:00:01 52:54:00:aa:00:02\nR14,2,SN0002,525400AA0003/525400AA0004\n";
    let done = run(text.as_bytes(), &request());
    assert!(done.errors.is_empty(), "{:?}", done.errors);
    assert_eq!(
        done.added[1],
        "r14-b02: {rack: r14, bay: 2, role: compute, product-serial: SN0002, macs: [52:54:00:aa:00:03, 52:54:00:aa:00:04]}"
    );

    let no_bays = "Serial\tMAC\nSN0001\t52:54:00:aa:00:01\n";
    assert!(run(no_bays.as_bytes(), &request()).errors[0].message.contains("which bay"));
    let in_order = Request { in_order: true, ..request() };
    assert!(run(no_bays.as_bytes(), &in_order).added[0].starts_with("r14-b01: "));

    let odd = "Slot;Kennung\n1;SN0001\n";
    assert!(run(odd.as_bytes(), &request()).errors[0].message.contains("header"));
    let named = Request { columns: vec![(Field::Board, "Kennung".into())], ..request() };
    assert_eq!(
        run(odd.as_bytes(), &named).added,
        ["r14-b01: {rack: r14, bay: 1, role: compute, board-serial: SN0001}"]
    );

    let other = "Rack;Slot;S/N\nR15;1;SN0001\n";
    assert_eq!(
        lines(&run(other.as_bytes(), &request()).errors),
        ["2: this row is for rack `R15`, not `r14`"]
    );
    let doubled = "Slot;S/N;Serial Number\n1;A00001;A00001\n";
    assert!(
        run(doubled.as_bytes(), &request()).errors[0]
            .message
            .starts_with("two columns look like product-serial")
    );
    let taken = "Slot;Board SN\n3;ZM18AS036103\n";
    assert!(lines(&run(taken.as_bytes(), &request()).errors)[0].contains("in sled `r12-b03`"));
}
