//! What in a sheet is well-formed and yet probably a slip: warnings, each with its reason.

use super::file::{FleetFile, Hardware};
use super::sheet::{Field, Row};
use super::values::{mac_of, unquoted};
use crate::values::Mac;
use std::collections::{BTreeMap, HashMap};
use yaml::diagnostic::{Diagnostic, Place};

/// An address, its place, and the first three bytes of it: who made the NIC.
struct Seen<'a> {
    mac: Mac,
    place: &'a Place,
    maker: String,
}

/// Cells that differ from the rest of their column.
pub(super) fn columns(rows: &[&Row]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for field in [Field::Mac, Field::Bmc] {
        // The n-th address of a row is compared with the n-th of the others.
        let mut columns: BTreeMap<usize, Vec<Seen<'_>>> = BTreeMap::new();
        for row in rows {
            let cells = row.cells.iter().filter(|(f, _)| *f == field);
            for (n, (_, cell)) in cells.enumerate() {
                let mac = mac_of(unquoted(&cell.text)).filter(|mac| mac.is_unicast());
                let Some(mac) = mac else { continue };
                let maker = mac.to_string().get(..8).unwrap_or_default().to_owned();
                columns.entry(n).or_default().push(Seen { mac, place: &cell.place, maker });
            }
        }
        columns.values().for_each(|column| makers(column, &mut found));
    }
    for field in [Field::Board, Field::Product] {
        let cells = rows.iter().flat_map(|r| &r.cells).filter(|(f, _)| *f == field);
        let texts: Vec<(String, &Place)> =
            cells.map(|(_, c)| (unquoted(&c.text).to_ascii_uppercase(), &c.place)).collect();
        slips(&texts, &mut found);
    }
    found
}

/// Addresses of another maker than most of the column, or of none.
fn makers(column: &[Seen<'_>], found: &mut Vec<Diagnostic>) {
    let mut count: HashMap<&str, usize> = HashMap::new();
    column.iter().for_each(|seen| *count.entry(&seen.maker).or_default() += 1);
    let usual = count.iter().find(|(_, n)| **n >= 4 && **n * 4 >= column.len() * 3).map(|(maker, _)| *maker);
    let local = |maker: &str| {
        maker.get(1..2).is_some_and(|c| matches!(c, "2" | "3" | "6" | "7" | "a" | "b" | "e" | "f"))
    };
    let locals = column.iter().filter(|seen| local(&seen.maker)).count();
    // The five bytes before the last: makers count on, and so do deliveries.
    let block = |mac: &Mac| mac.0.get(..5).map(<[u8]>::to_vec);
    let mut blocks: HashMap<_, usize> = HashMap::new();
    column.iter().for_each(|seen| *blocks.entry(block(&seen.mac)).or_default() += 1);
    for Seen { mac, place, maker } in column {
        let warn = |what: String, why: &str| {
            Diagnostic::at(place, what).why(why).hint("compare it with the label on the sled")
        };
        if usual.is_some_and(|usual| usual != maker) {
            let usual = usual.unwrap_or_default();
            let what = format!("the MAC address {mac} does not begin with {usual}, as most of its column do");
            let why = if local(maker) && !local(usual) {
                "it is locally administered: made up by software, not by who made the NIC"
            } else {
                "sleds of one delivery have NICs of one maker: a digit may be wrong"
            };
            found.push(warn(what, why));
        } else if local(maker) && locals * 2 < column.len() {
            found.push(warn(
                format!("the MAC address {mac} is locally administered"),
                "it was made up by software, not by who made the NIC, as most of its column were",
            ));
        } else if mac.0.ends_with(&[0, 0, 1]) && column.len() > 1 && blocks.get(&block(mac)) == Some(&1) {
            found.push(warn(
                format!("the MAC address {mac} looks like an example"),
                "makers rarely ship the first one",
            ));
        }
    }
}

/// Serial numbers that differ from another one only as people misread letters.
fn slips(texts: &[(String, &Place)], found: &mut Vec<Diagnostic>) {
    // Where in the column letters or digits always stand, the other kind is a slip.
    let Some(length) = texts.first().map(|(t, _)| t.len()) else { return };
    let same: Vec<&(String, &Place)> =
        texts.iter().filter(|(t, _)| t.len() == length && t.is_ascii()).collect();
    if same.len() < 4 || same.len() * 4 < texts.len() * 3 {
        return;
    }
    transposed(&same, length, found);
    for at in 0..length {
        let digit = |text: &str| text.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
        let digits = same.iter().filter(|(t, _)| digit(t)).count();
        for (text, place) in &same {
            let letter = text.as_bytes().get(at).copied().unwrap_or_default();
            let meant = match letter {
                b'O' => "0",
                b'I' | b'L' => "1",
                _ => continue,
            };
            // All others have a digit here.
            if digits + 1 == same.len() {
                found.push(
                    Diagnostic::at(
                        place,
                        format!(
                            "the serial number `{text}` has `{}` where all others have a digit",
                            char::from(letter)
                        ),
                    )
                    .why(format!("`{}` and `{meant}` look alike", char::from(letter)))
                    .hint("compare it with the label on the sled"),
                );
            }
        }
    }
}

/// Serial numbers with two characters the other way round where all others have the same two.
fn transposed(same: &[&(String, &Place)], length: usize, found: &mut Vec<Diagnostic>) {
    for at in 0..length.saturating_sub(1) {
        let pair = |text: &str| text.as_bytes().get(at..at + 2).map(<[u8]>::to_vec).unwrap_or_default();
        let mut count: HashMap<Vec<u8>, usize> = HashMap::new();
        same.iter().for_each(|(text, _)| *count.entry(pair(text)).or_default() += 1);
        let Some((usual, _)) = count.iter().find(|(_, n)| **n + 1 == same.len()) else { continue };
        for (text, place) in same.iter().filter(|(text, _)| pair(text) != *usual) {
            let other = pair(text);
            if other.iter().rev().eq(usual) {
                let shown = |pair: &[u8]| String::from_utf8_lossy(pair).into_owned();
                let (other, usual) = (shown(&other), shown(usual));
                found.push(
                    Diagnostic::at(
                        place,
                        format!("the serial number `{text}` has `{other}` where all others have `{usual}`"),
                    )
                    .why("two characters may have changed places")
                    .hint("compare it with the label on the sled"),
                );
            }
        }
    }
}

/// Values that belong to two sleds in ways that may be meant.
pub(super) fn sleds<'a>(
    new: impl Iterator<Item = (&'a Hardware, &'a Place)> + Clone,
    fleet: &FleetFile,
) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let upper = |text: &Option<String>| text.as_ref().map(|t| t.to_ascii_uppercase());
    let mut products: HashMap<String, String> = HashMap::new();
    let mut uuids: HashMap<String, &str> = HashMap::new();
    for (name, sled) in &fleet.sleds {
        products
            .extend(upper(&sled.hardware.product_serial).map(|s| (s, format!("sled `{name}` of the fleet"))));
        uuids.extend(sled.hardware.uuid.as_ref().map(|u| (u.to_ascii_lowercase(), name.as_str())));
    }
    for (hardware, place) in new.clone() {
        products
            .extend(upper(&hardware.product_serial).map(|s| (s, format!("the sled in line {}", place.line))));
    }
    for (hardware, place) in new {
        let own = upper(&hardware.product_serial);
        let board = upper(&hardware.board_serial).filter(|board| own.as_ref() != Some(board));
        if let Some((board, other)) = board.and_then(|b| products.get(&b).map(|other| (b, other))) {
            found.push(
                Diagnostic::at(place, format!("the board serial {board} is the product serial of {other}"))
                    .why("a sled is found by either of them: one could be taken for the other")
                    .hint("look whether the two columns were mixed up"),
            );
        }
        if let Some(name) = hardware.uuid.as_ref().and_then(|u| uuids.get(u)) {
            let uuid = hardware.uuid.clone().unwrap_or_default();
            let new = fleet.sleds.get(*name).is_some_and(|s| s.hardware != *hardware);
            if new {
                found.push(
                    Diagnostic::at(place, format!("the fleet has the UUID {uuid} already, in sled `{name}`"))
                        .why("a UUID that two sleds have identifies neither")
                        .hint("remove it, or use `sledos fleet replace` for replaced hardware"),
                );
            }
        }
    }
    found
}
