//! Whatever people give: an answer, never a panic.

use super::{FLEET, source};
use metadata::fleet::file::Hardware;
use metadata::fleet::import::{Racks, Request, import};
use metadata::fleet::replace::{Replacement, replace};
use metadata::fleet::{check, load};
use proptest::prelude::*;
use std::path::Path;

/// The golden fleet with one piece taken out and another put in somewhere.
fn damaged() -> impl Strategy<Value = String> {
    let piece = prop_oneof!["[a-z{}: ,\\[\\]\"'&*!|>#\\-\n\t0-9]{0,12}", "\\PC{0,8}"];
    (0..FLEET.len(), 0..40_usize, piece).prop_map(|(at, cut, piece)| {
        let chars: Vec<char> = FLEET.chars().collect();
        let at = at.min(chars.len());
        let rest = chars.iter().skip(at + cut);
        chars.iter().take(at).copied().chain(piece.chars()).chain(rest.copied()).collect()
    })
}

fn request() -> Request {
    Request {
        racks: Racks::One("r12".into()),
        role: Some("compute".into()),
        name: "{rack}-b{bay:02}".into(),
        columns: Vec::new(),
        in_order: true,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_fleet_file(text in "\\PC{0,200}") {
        let _ = check(&source(&text));
    }

    #[test]
    fn any_damaged_fleet_file_is_good_or_says_why(text in damaged()) {
        let report = check(&source(&text));
        prop_assert_eq!(report.fleet.is_none(), !report.errors.is_empty());
        report.errors.iter().for_each(|e| drop(e.to_string()));
    }

    #[test]
    fn a_replacement_is_right_or_refused(text in damaged()) {
        let hardware = Hardware { board_serial: Some("ZM18AS777777".into()), ..Hardware::default() };
        let wanted = Replacement { rack: "r12".into(), bay: 1, hardware, date: "2026-11-24".into() };
        if let Ok(done) = replace(&source(&text), &wanted) {
            prop_assert!(load(&source(&done.text)).is_ok());
        }
    }

    #[test]
    fn any_sheet(bytes: Vec<u8>, head in "(Bay|Serial|MAC|;|,|\t){0,6}\n") {
        let _ = import(&source(FLEET), Path::new("v.csv"), &bytes, &request());
        let all: Vec<u8> = head.bytes().chain(bytes).collect();
        let _ = import(&source(FLEET), Path::new("v.csv"), &all, &request());
    }

    #[test]
    fn any_cells(cells in prop::collection::vec(("[0-9BbayR.-]{0,6}", "\\PC{0,16}", "[0-9a-fA-F:. /,-]{0,40}"), 0..8)) {
        let rows: String = cells.iter().map(|(a, b, c)| format!("{a};{b};{c}\n")).collect();
        let done = import(&source(FLEET), Path::new("v.csv"), format!("Bay;Serial;MAC\n{rows}").as_bytes(), &request());
        if let Some(text) = done.text {
            prop_assert!(load(&source(&text)).is_ok());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// One import of all racks adds what one of each rack does.
    #[test]
    fn all_racks_at_once_are_all_racks_one_by_one(rows in prop::collection::vec((0..3_usize, 1..9_u32), 1..12)) {
        let racks = ["r12", "R13", "13"];
        let sheet: String = rows.iter().enumerate().map(|(n, (rack, bay))| {
            format!("{};{bay};SN{n:04}X;52:54:00:aa:00:{n:02x}\n", racks[*rack])
        }).collect();
        let sheet = format!("Rack;Bay;Serial;MAC\n{sheet}");
        // Bays 1 to 4 of r12 and 1 and 2 of r13 are taken.
        let run = |racks: Racks, text: &str| import(
            &source(text), Path::new("v.csv"), sheet.as_bytes(), &Request { racks, ..request() });
        let once = run(Racks::Named, FLEET);
        let mut text = FLEET.to_owned();
        let mut good = true;
        for rack in ["r12", "r13"] {
            // Another rack's rows are all there is: an error of its own.
            if !rows.iter().any(|(at, _)| racks[*at].to_lowercase().ends_with(&rack[1..])) {
                continue;
            }
            let done = run(Racks::One(rack.into()), &text);
            good &= done.errors.is_empty();
            text = done.text.unwrap_or(text);
        }
        prop_assert_eq!(once.errors.is_empty(), good, "{}\n{:?}", sheet, super::lines(&once.errors));
        if good {
            prop_assert_eq!(once.text.unwrap_or(FLEET.to_owned()), text);
        }
    }
}
