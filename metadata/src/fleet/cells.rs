//! A sheet's bytes → text → records of cells, each with its place (RFC 4180).
//!
//! UTF-8 with or without a mark, UTF-16 with or without one, else Windows' Latin letters.
//! Files of other kinds are refused by their names, broken quotes at their places.

use std::iter::Peekable;
use std::path::Path;
use std::str::Chars;
use std::sync::Arc;
use yaml::diagnostic::{Diagnostic, Diagnostics, Place, Source};

/// A cell.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) place: Place,
}

/// What files that are no sheets begin with, after blanks and in lower case.
const KINDS: [(&[u8], &str); 11] = [
    (b"pk\x03\x04", "an Excel or LibreOffice file (a ZIP archive)"),
    (b"\xd0\xcf\x11\xe0", "an old Excel file (XLS)"),
    (b"<!doctype html", "an HTML page, whatever its name says"),
    (b"<html", "an HTML page, whatever its name says"),
    (b"<table", "an HTML page, whatever its name says"),
    (b"<?xml", "an XML file"),
    (b"<", "an HTML page or XML file"),
    (b"%pdf-", "a PDF"),
    (b"{\\rtf", "an RTF text"),
    (b"\x1f\x8b", "compressed with gzip"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
];

/// The text of a sheet, and what is to be said about it.
pub(super) fn decode(file: &Path, bytes: &[u8]) -> Result<(String, Vec<String>), Diagnostics> {
    let refused = |what: &str| {
        let what = format!("{}: this is {what}, not CSV", file.display());
        Diagnostics::from(
            Diagnostic::nowhere(what).hint("open it in a spreadsheet and save it as CSV (UTF-8)"),
        )
    };
    let plain = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let start = plain.trim_ascii_start();
    let start = start.get(..start.len().min(16)).unwrap_or_default().to_ascii_lowercase();
    if let Some((_, what)) = KINDS.iter().find(|(magic, _)| start.starts_with(magic)) {
        return Err(refused(what));
    }
    let (text, note) = match (bytes, wide(bytes)) {
        ([0xff, 0xfe, rest @ ..], _) => (utf16(rest, u16::from_le_bytes), Some("the sheet is UTF-16")),
        ([0xfe, 0xff, rest @ ..], _) => (utf16(rest, u16::from_be_bytes), Some("the sheet is UTF-16")),
        (_, Some(from)) => (utf16(bytes, from), Some("the sheet is UTF-16 without a mark")),
        _ => match std::str::from_utf8(plain) {
            Ok(text) => (Some(text.to_owned()), None),
            Err(_) => (
                Some(bytes.iter().map(|b| char::from(*b)).collect()),
                Some("the sheet is not UTF-8; it was read as Latin-1"),
            ),
        },
    };
    let text = text.ok_or_else(|| refused("UTF-16 with broken characters"))?;
    if text.contains('\0') {
        return Err(refused("a binary file (it has NUL characters)"));
    }
    let start = text.trim_start().get(..1);
    if start == Some("<") {
        return Err(refused("an HTML page or XML file"));
    }
    Ok((text, note.map(str::to_owned).into_iter().collect()))
}

/// The byte order of UTF-16 without a mark: every other byte of Latin text is NUL.
fn wide(bytes: &[u8]) -> Option<fn([u8; 2]) -> u16> {
    let head = bytes.get(..bytes.len().min(4096)).unwrap_or_default();
    let zeros = |from: usize| head.iter().skip(from).step_by(2).filter(|b| **b == 0).count();
    let (even, odd, pairs) = (zeros(0), zeros(1), head.len() / 2);
    if odd * 4 >= pairs * 3 && odd > 0 && even == 0 {
        return Some(u16::from_le_bytes);
    }
    (even * 4 >= pairs * 3 && even > 0 && odd == 0).then_some(u16::from_be_bytes)
}

fn utf16(bytes: &[u8], from: fn([u8; 2]) -> u16) -> Option<String> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units: Vec<u16> = pairs.iter().map(|pair| from(*pair)).collect();
    String::from_utf16(&units).ok().filter(|_| rest.is_empty())
}

/// At most so many records, and the first broken quote.
pub(super) fn split(source: &Arc<Source>, by: char, most: usize) -> (Vec<Vec<Cell>>, Option<Diagnostic>) {
    let mut scan = Scan { source, rest: source.text.chars().peekable(), line: 1, column: 1, wrong: None };
    let mut records = Vec::new();
    while records.len() < most && scan.rest.peek().is_some() {
        if scan.end_of_record() {
            continue;
        }
        let mut record = vec![scan.cell(by)];
        while scan.rest.peek() == Some(&by) {
            scan.next();
            record.push(scan.cell(by));
        }
        scan.end_of_record();
        records.push(record);
    }
    (records, scan.wrong)
}

struct Scan<'s> {
    source: &'s Arc<Source>,
    rest: Peekable<Chars<'s>>,
    line: usize,
    column: usize,
    wrong: Option<Diagnostic>,
}

impl Scan<'_> {
    fn next(&mut self) -> Option<char> {
        let next = self.rest.next()?;
        if next == '\n' {
            (self.line, self.column) = (self.line + 1, 1);
        } else {
            self.column += 1;
        }
        Some(next)
    }

    fn end_of_record(&mut self) -> bool {
        match self.rest.peek() {
            Some('\r') => {
                self.next();
                if self.rest.peek() == Some(&'\n') {
                    self.next();
                }
                true
            }
            Some('\n') => self.next().is_some(),
            _ => false,
        }
    }

    fn report(&mut self, place: &Place, what: &str) {
        let wrong = || {
            Diagnostic::at(place, what)
                .why("everything up to the next quote would be one cell, and the rows in it would be lost")
                .hint("close the quote, or double quotes that are part of the text: `19\"\" rack`")
        };
        self.wrong.get_or_insert_with(wrong);
    }

    fn cell(&mut self, by: char) -> Cell {
        let (mut text, mut at) = (String::new(), (self.line, self.column));
        let mut blank = true;
        let mut push = |text: &mut String, c: char, here: (usize, usize)| {
            // The place is that of the first character that is seen.
            if blank && !c.is_whitespace() {
                (at, blank) = (here, false);
            }
            text.push(c);
        };
        let open = Place::new(self.source, self.line, self.column);
        if self.rest.peek() == Some(&'"') {
            self.next();
            loop {
                let here = (self.line, self.column);
                match self.next() {
                    None => {
                        self.report(&open, "this quote is never closed");
                        break;
                    }
                    Some('"') if self.rest.peek() == Some(&'"') => {
                        self.next();
                        push(&mut text, '"', here);
                    }
                    Some('"') => break,
                    Some(c) => push(&mut text, c, here),
                }
            }
            if self.rest.peek().is_some_and(|c| *c != by && !matches!(c, '\r' | '\n')) {
                self.report(&open, "text follows behind the end of this quote");
            }
        }
        while let Some(c) = self.rest.peek().copied().filter(|c| *c != by && !matches!(c, '\r' | '\n')) {
            let here = (self.line, self.column);
            self.next();
            push(&mut text, c, here);
        }
        let width = text.trim().lines().next().map_or(1, |l| l.chars().count()).max(1);
        let place = Place { width, end: (at.0, at.1 + width), ..Place::new(self.source, at.0, at.1) };
        Cell { text, place }
    }
}

/// The text of a cell for a message: what nobody sees is written as `\u{200b}`.
pub(super) fn shown(text: &str) -> String {
    let plain = |c: char| c == ' ' || c.is_ascii_graphic() || (c.is_alphanumeric() && !c.is_ascii());
    let mut out = String::new();
    for c in text.trim().chars().take(60) {
        if plain(c) { out.push(c) } else { out.extend(c.escape_default()) }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(text: &str, by: char) -> Vec<Vec<String>> {
        let (records, wrong) = split(&Source::new("v.csv", text), by, usize::MAX);
        assert!(wrong.is_none(), "{wrong:?} in {text:?}");
        records.into_iter().map(|r| r.into_iter().map(|c| c.text).collect()).collect()
    }

    proptest! {
        /// What a writer of CSV wrote is read as that, and as the crate `csv` reads it.
        #[test]
        fn written_cells_are_read(rows in prop::collection::vec(prop::collection::vec("[a-z0-9;,\" \n]{1,6}", 2..5), 1..6)) {
            let mut writer = csv::WriterBuilder::new().flexible(true).delimiter(b';').from_writer(Vec::new());
            rows.iter().for_each(|row| writer.write_record(row).unwrap());
            let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
            prop_assert_eq!(texts(&text, ';'), rows);
        }

        /// One quote too many never loses a row without a word.
        #[test]
        fn an_open_quote_is_reported(rows in 1_usize..8, at in 0_usize..8) {
            let at = at % rows;
            let line = |n: usize| format!("{n};{}S{n};x\n", if n == at { "\"" } else { "" });
            let text: String = (0..rows).map(line).collect();
            let (_, wrong) = split(&Source::new("v.csv", text), ';', usize::MAX);
            prop_assert_eq!(wrong.unwrap().place.unwrap().line, at + 1);
        }
    }

    #[test]
    fn other_files_are_named_and_utf16_is_found() {
        let plain = "Bay;Serial\n1;A1\n";
        let le: Vec<u8> = plain.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let be: Vec<u8> = plain.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for bytes in [&le, &be] {
            assert_eq!(decode(Path::new("v"), bytes).unwrap().0, plain);
        }
        let wrong = |bytes: &[u8]| decode(Path::new("v.csv"), bytes).unwrap_err().0[0].message.clone();
        assert!(wrong(b"PK\x03\x04\x14\0").contains("Excel"));
        assert!(wrong(b"\xd0\xcf\x11\xe0\xa1\xb1").contains("Excel"));
        assert!(wrong(b"\xef\xbb\xbf \n<HTML><table>").contains("HTML"));
        assert!(wrong(b"a;b\0c\n").contains("NUL"));
        let odd: Vec<u8> = [0xff, 0xfe].into_iter().chain(le.into_iter().chain([1])).collect();
        assert!(wrong(&odd).contains("UTF-16"));
    }
}
