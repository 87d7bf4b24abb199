//! A vendor's sheet of 40 sleds, good and with planted mistakes.

use super::{edited, lines, source};
use metadata::fleet::import::{Field, Import, Racks, Request, import};
use metadata::fleet::load;
use std::path::Path;

const GOOD: &[u8] = include_bytes!("vendor-good.csv");
const UUID_IN_FLEET: &str =
    "4: the fleet has the UUID 4c4c4544-0042-3510-8051-b7c04f330001 already, in sled `r12-b01`";
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
        racks: Racks::One("r14".into()),
        role: Some("compute".into()),
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
    assert_eq!(lines(&done.errors), [""; 0]);
    assert_eq!(lines(&done.warnings), [UUID_IN_FLEET]);
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
            UUID_IN_FLEET,
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
        run(other.as_bytes(), &request()).errors[0].message,
        "no row of the sheet is for rack `r14`: there are R15 (1)"
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

/// The first error of a sheet with this header and rows.
fn refused(sheet: &str) -> String {
    let done = run(sheet.as_bytes(), &request());
    assert!(done.text.is_none(), "{sheet}: {:?}", done.added);
    lines(&done.errors).first().cloned().unwrap_or_default()
}

#[test]
fn no_cell_is_guessed_and_no_row_is_lost() {
    for (bay, says) in [("11.5", "`11.5`"), ("7-8", "`7-8`"), ("U7-U8", "`U7-U8`"), ("Jul-08", "`Jul-08`")] {
        let sheet = format!("Bay,Serial,MAC\n{bay},SNX1A77,52:54:00:01:00:01\n");
        assert_eq!(refused(&sheet), format!("2: {says} is not a bay"));
    }
    for serial in ["SNX\u{200b}1A77", "SNX\u{a0}1A77", "#REF!", "2024-07-08"] {
        let line = refused(&format!("Bay,Serial,MAC\n1,{serial},52:54:00:01:00:01\n"));
        assert!(line.starts_with("2: ") && line.is_ascii(), "{line}");
    }
    let open = "Bay,Serial,Remark\n1,SNX1A77,ok\n2,SNX2A77,\"neu\n3,SNX3A77,ok\n";
    assert_eq!(refused(open), "3: this quote is never closed");
    let joined = "Bay,Serial,MAC\n1,SNX1A77,52:54:00:01:00:01\nMAC,Serial,Bay\n";
    assert!(refused(joined).starts_with("3: a second header"));
    let other = "Bay,Serial,MAC\n1,SNX1A77,52:54:00:01:00:01\n2;SNX2A77;52:54:00:01:00:02\n";
    assert!(refused(other).starts_with("3: this row is separated by `;`"), "{}", refused(other));
    let above = "1,SNX1A77,52:54:00:01:00:01\nBay,Serial,MAC\n2,SNX2A77,52:54:00:01:00:02\n";
    assert!(refused(above).starts_with("1: this row stands above the header"));
    let long = "Bay,Serial,MAC,BMC MAC\n1,SNX1A77,x,52:54:00:01:00:01,52:54:00:09:00:01\n";
    assert!(refused(long).starts_with("2: this row has 5 cells"));
    let interfaces = "Device,Name,Type,MAC Address\nnode1,eth0,10GBASE-T,52:54:00:01:00:01\n";
    assert!(run(interfaces.as_bytes(), &request()).errors[0].message.contains("which bay"));
}

#[test]
fn columns_by_exact_header_by_number_and_not_at_all() {
    let with = |sheet: &str, columns: &[(Field, &str)]| {
        let columns = columns.iter().map(|(field, name)| (*field, (*name).to_owned())).collect();
        let done = run(sheet.as_bytes(), &Request { columns, ..request() });
        assert_eq!(lines(&done.errors), [""; 0], "{sheet}");
        done.added[0].clone()
    };
    let numbered = "Bay,MAC 1,MAC 2,MAC 3\n1,52:54:00:01:00:01,52:54:00:02:00:01,52:54:00:09:00:01\n";
    assert!(with(numbered, &[(Field::Bmc, "MAC 3")]).replace('"', "").contains("bmc-mac: 52:54:00:09:00:01"));
    let double = "Bay,Serial Number,Serial Number\n1,SNX1A77,BB1A77\n";
    let line = with(double, &[(Field::Product, "#2"), (Field::Board, "#3")]);
    assert!(line.contains("board-serial: BB1A77, product-serial: SNX1A77"), "{line}");
    let models = "Bay,Serial,IPMI,NIC,GUID\n1,SNX1A77,10.0.0.1,Intel X710-DA2,0002:c903:0012:3456\n";
    assert!(with(models, &[]).ends_with("role: compute, product-serial: SNX1A77}"));
    let none = "Bay,Serial,MAC\n1,SNX1A77,52:54:00\n";
    assert!(with(none, &[(Field::Unused, "MAC")]).ends_with("product-serial: SNX1A77}"));
    let hpe = "Service Tag,iLO MAC Address,Embedded LOM MAC 1,Bay Number\n\
               CZ1,52:54:00:09:00:01,52:54:00:01:00:01,\"1,00\"\n";
    let line = with(&hpe.replace("CZ1", "CZ20221"), &[]).replace('"', "");
    assert!(
        line.contains("product-serial: CZ20221, macs: [52:54:00:01:00:01], bmc-mac: 52:54:00:09:00:01"),
        "{line}"
    );
}

#[test]
fn rows_of_other_racks_are_noted_and_equal_problems_folded() {
    let racks = "Rack,Bay,Serial\nR14,1,SNX1A77\nR13,1,SNX2A77\nR13,2,SNX3A77\n";
    let done = run(racks.as_bytes(), &request());
    assert_eq!((done.added.len(), done.errors.len()), (1, 0));
    assert!(done.notes[0].starts_with("2 rows are for other racks and were skipped: R13 (2)"));
    let rows: String = (0..31).map(|n| format!("x{n},SNX{n:03}A\n")).collect();
    let done = run(format!("Bay,Serial\n{rows}").as_bytes(), &request());
    assert_eq!(done.errors.len(), 5);
    assert_eq!(done.errors[4].why.as_deref(), Some("26 more rows have the same, in lines 7 to 32"));
}

#[test]
fn each_row_may_name_its_rack_and_role() {
    let request = Request { racks: Racks::Named, role: None, ..request() };
    let text = "Rack;Bay;Role;S/N;MAC\n14;1;compute;SN0001;52:54:00:aa:00:01\nRack R13;3;Storage;SN0002;52:54:00:aa:00:02\n;;;2 Stück;\n";
    let done = run(text.as_bytes(), &request);
    assert_eq!(lines(&done.errors), [""; 0]);
    assert_eq!(
        done.added,
        [
            "r13-b03: {rack: r13, bay: 3, role: storage, product-serial: SN0002, macs: [52:54:00:aa:00:02]}",
            "r14-b01: {rack: r14, bay: 1, role: compute, product-serial: SN0001, macs: [52:54:00:aa:00:01]}",
        ]
    );
    assert_eq!(done.notes, ["line 4 was skipped: `2 Stück` is no serial number"]);
    assert!(load(&source(&done.text.unwrap())).is_ok());

    let wrong =
        |text: &str, want: &[&str]| assert_eq!(lines(&run(text.as_bytes(), &request).errors), want, "{text}");
    let head = "Rack;Bay;Role;Serial\n";
    wrong(&format!("{head}R99;1;compute;SN0001\n"), &["2: the fleet file has no rack `R99`"]);
    wrong(&format!("{head};1;compute;SN0001\n"), &["2: this row names no rack"]);
    wrong(&format!("{head}R14;1;;SN0001\n"), &["2: this row names no role"]);
    wrong(&format!("{head}R14;1;compter;SN0001\n"), &["2: the fleet file has no role `compter`"]);
    wrong(
        &format!("{head}R14;9;compute;SN0001\nR13;9;compute;SN0002\n"),
        &["3: there is no bay 9: the rack has 4"],
    );
    wrong(
        &format!("{head}R14;1;compute;SN0001\nR14;2;compute;SN0002\n14;1;compute;SN0003\n"),
        &["4: bay 1 of r14 is here twice"],
    );
    wrong("Bay;Role;Serial\n1;compute;SN0001\n", &["0: vendor.csv: no column says which rack a sled is in"]);
    wrong("Rack;Bay;Serial\nR14;1;SN0001\n", &["0: vendor.csv: no column says which role a sled has"]);

    // With `--role` a column of that name is somebody else's, unless it is given.
    let mut given = Request { role: Some("compute".into()), ..request.clone() };
    let text = "Rack;Bay;Role;Serial\nR14;1;owner;SN0001\n";
    assert_eq!(lines(&run(text.as_bytes(), &given).errors), [""; 0]);
    given.columns = vec![(Field::Role, "Role".into())];
    assert_eq!(lines(&run(text.as_bytes(), &given).errors), ["2: the fleet file has no role `owner`"]);
    let one_name = Request { name: "sled{bay}".into(), ..request.clone() };
    let two = format!("{head}R14;9;compute;SN0001\nR13;3;compute;SN0002\nR14;3;compute;SN0003\n");
    assert_eq!(lines(&run(two.as_bytes(), &one_name).errors), ["4: two sleds would be called `sled3`"]);
}

#[test]
fn rows_of_all_racks_fill_their_free_bays_in_order() {
    let request = Request { racks: Racks::Named, in_order: true, ..request() };
    let text = "Rack;Serial\nR13;SN0001\nR12;SN0002\nR13;SN0003\nR12;SN0004\n";
    let names: Vec<String> = run(text.as_bytes(), &request).added.iter().map(|l| l[..7].to_owned()).collect();
    assert_eq!(names, ["r12-b05", "r12-b06", "r13-b03", "r13-b04"]);
    let full = format!("{text}R13;SN0005\n");
    assert_eq!(lines(&run(full.as_bytes(), &request).errors), ["6: no bay is free for this row"]);
}
