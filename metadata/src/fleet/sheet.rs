//! Vendors' sheets: bytes → rows of cells with places and known columns.
//!
//! UTF-8 with or without a mark, UTF-16 with one, else Windows' Latin letters; columns
//! separated by `;`, tab, `,` or `|`; lines above the header are skipped.

use std::path::Path;
use std::sync::Arc;
use yaml::diagnostic::{Diagnostic, Diagnostics, Place, Source};

/// What a column is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// Rack.
    Rack,
    /// Bay.
    Bay,
    /// Serial number of the board.
    Board,
    /// Serial number of the product.
    Product,
    /// UUID.
    Uuid,
    /// A MAC address of a NIC; several columns may be.
    Mac,
    /// The MAC address of the BMC.
    Bmc,
}

impl Field {
    /// All, with the names `--column` takes.
    pub const NAMES: [(&'static str, Self); 7] = [
        ("rack", Self::Rack),
        ("bay", Self::Bay),
        ("board-serial", Self::Board),
        ("product-serial", Self::Product),
        ("uuid", Self::Uuid),
        ("mac", Self::Mac),
        ("bmc-mac", Self::Bmc),
    ];

    /// The name.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, f)| *f == self).map_or("", |(name, _)| name)
    }
}

/// A cell with something in it.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) place: Place,
}

/// A row below the header.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// The cells of known columns.
    pub(super) cells: Vec<(Field, Cell)>,
    /// Where it begins.
    pub(super) place: Place,
}

/// A sheet.
#[derive(Clone, Debug)]
pub(super) struct Sheet {
    pub(super) rows: Vec<Row>,
    /// Header and what it was taken for.
    pub(super) columns: Vec<(String, Option<Field>)>,
    pub(super) notes: Vec<String>,
}

/// Rows of a sheet.
const MAX_ROWS: usize = 20_000;
/// Lines above the header.
const MAX_TITLE: usize = 30;

/// Reads a sheet. `given` says what columns are, by their headers.
pub(super) fn read(file: &Path, bytes: &[u8], given: &[(Field, String)]) -> Result<Sheet, Diagnostics> {
    let (text, mut notes) = decode(bytes);
    let source = Source::new(file, text);
    let candidates = [b';', b'\t', b',', b'|'].map(|by| (records(&source, by), by));
    let best = candidates.into_iter().filter_map(|(records, _)| {
        let rows = records.iter().take(MAX_TITLE).enumerate();
        let header =
            rows.map(|(n, r)| (known(r, given), n)).max_by_key(|(k, n)| (*k, std::cmp::Reverse(*n)))?;
        Some((header.0, header.1, records))
    });
    // The first of equals.
    let best = best.reduce(|a, b| if b.0 > a.0 { b } else { a });
    let Some((found, header, records)) = best.filter(|(found, ..)| *found > 0) else {
        return Err(Diagnostic::at(&Place::new(&source, 1, 1), "no line looks like a header")
            .why("looked for columns like `Serial`, `MAC`, `UUID`, `Bay` in the first 30 lines")
            .hint("name the columns: `--column board-serial=HEADER --column mac=HEADER`")
            .into());
    };
    if records.len() > MAX_ROWS {
        return Err(Diagnostic::at(&Place::new(&source, 1, 1), format!("more than {MAX_ROWS} rows")).into());
    }
    let head = records.get(header).map(Vec::as_slice).unwrap_or_default();
    let columns: Vec<(String, Option<Field>)> =
        head.iter().map(|c| (c.text.trim().to_owned(), field(&c.text, given))).collect();
    doubles(head, &columns)?;
    for (_, header) in given {
        if !columns.iter().any(|(name, _)| same(name, header)) {
            let names: Vec<_> = columns.iter().map(|(n, _)| n.as_str()).collect();
            let place = head.first().map_or(Place::new(&source, 1, 1), |c| c.place.clone());
            return Err(Diagnostic::at(&place, format!("there is no column `{header}`"))
                .hint(format!("there are: {}", names.join(", ")))
                .into());
        }
    }
    if header > 0 {
        notes.push(format!("{header} lines above the header were skipped"));
    }
    debug_assert!(found > 0);
    let rows = records.into_iter().skip(header + 1).filter_map(|record| {
        let place = record.iter().find(|c| !c.text.trim().is_empty())?.place.clone();
        let cells = record.into_iter().zip(&columns);
        let cells = cells.filter_map(|(cell, (_, field))| Some(((*field)?, cell)));
        let cells = cells.filter(|(_, cell)| !cell.text.trim().is_empty()).collect();
        Some(Row { cells, place })
    });
    Ok(Sheet { rows: rows.collect(), columns, notes })
}

/// Two columns for what can only be one.
fn doubles(head: &[Cell], columns: &[(String, Option<Field>)]) -> Result<(), Diagnostics> {
    let mut wrong = Vec::new();
    for (n, (name, field)) in columns.iter().enumerate() {
        let Some(field) = field.filter(|f| *f != Field::Mac) else { continue };
        let first = columns.iter().position(|(_, f)| *f == Some(field)).unwrap_or(n);
        if let (true, Some(here), Some(there)) = (first < n, head.get(n), head.get(first)) {
            wrong.push(
                Diagnostic::at(
                    &here.place,
                    format!("two columns look like {}: this one, `{name}`", field.name()),
                )
                .also("the other", &there.place)
                .hint(format!("say which it is: `--column {}=HEADER`", field.name())),
            );
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(Diagnostics(wrong)) }
}

fn decode(bytes: &[u8]) -> (String, Vec<String>) {
    let wide = |rest: &[u8], from: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = rest.chunks_exact(2).map(|p| from([p[0], p[1]])).collect();
        (String::from_utf16_lossy(&units), vec!["the sheet is UTF-16".to_owned()])
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        _ => match std::str::from_utf8(bytes) {
            Ok(text) => (text.trim_start_matches('\u{feff}').to_owned(), Vec::new()),
            Err(_) => {
                let text = bytes.iter().map(|b| char::from(*b)).collect();
                (text, vec!["the sheet is not UTF-8; it was read as Latin-1".to_owned()])
            }
        },
    }
}

/// All records, each cell with its place.
fn records(source: &Arc<Source>, by: u8) -> Vec<Vec<Cell>> {
    let text = source.text.as_str();
    let starts: Vec<usize> = std::iter::once(0)
        .chain(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(n, _)| n + 1))
        .collect();
    let place = |at: usize, width: usize| {
        let line = starts.partition_point(|s| *s <= at);
        let start = starts.get(line.saturating_sub(1)).copied().unwrap_or_default();
        let column = text.get(start..at).map_or(1, |t| t.chars().count() + 1);
        Place { width: width.max(1), ..Place::new(source, line, column) }
    };
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(by)
        .from_reader(text.as_bytes());
    let mut all = Vec::new();
    // The text is UTF-8 and comes from memory: reading cannot fail.
    for record in reader.records().map_while(Result::ok).take(MAX_ROWS + 1) {
        let begin = record.position().map_or(0, |p| usize::try_from(p.byte()).unwrap_or(0));
        let skip = text.get(begin..).map_or(0, |t| t.len() - t.trim_start_matches(['\r', '\n']).len());
        let mut at = begin + skip;
        let cells = record.iter().map(|cell| {
            let shown = cell.trim();
            let line = shown.lines().next().unwrap_or_default();
            let found = text.get(at..).and_then(|t| t.find(line)).map_or(at, |n| at + n);
            let cell = Cell { text: cell.to_owned(), place: place(found, line.chars().count()) };
            at = found + line.len();
            cell
        });
        all.push(cells.collect());
    }
    all
}

/// How many columns of a line are known; none unless one of them identifies a sled.
fn known(record: &[Cell], given: &[(Field, String)]) -> usize {
    let found: Vec<Field> = record.iter().filter_map(|c| field(&c.text, given)).collect();
    let identity = found.iter().any(|f| !matches!(f, Field::Rack | Field::Bay));
    if identity { found.len() } else { 0 }
}

fn same(a: &str, b: &str) -> bool {
    words(a) == words(b)
}

/// Lower-case words, accents and numbers gone: `MAC-Adresse 2` is `mac adresse`.
fn words(header: &str) -> Vec<String> {
    let mut text = String::new();
    let mut lower_before = false;
    let header = header.trim().replace("S/N", "SN").replace("s/n", "sn");
    for c in header.chars() {
        // `MacAddress` and `boardSerial` are two words each.
        if c.is_uppercase() && lower_before {
            text.push(' ');
        }
        lower_before = c.is_lowercase();
        match c.to_lowercase().next().unwrap_or(c) {
            'ä' | 'à' | 'á' | 'â' => text.push('a'),
            'é' | 'è' | 'ê' | 'ë' => text.push('e'),
            'ö' | 'ó' | 'ô' => text.push('o'),
            'ü' | 'ú' | 'û' => text.push('u'),
            'í' | 'î' | 'ì' => text.push('i'),
            'º' | '°' => text.push(' '),
            c if c.is_alphanumeric() => text.push(c),
            _ => text.push(' '),
        }
    }
    let words = text.split_whitespace().map(|w| w.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned());
    words.filter(|w| !w.is_empty()).collect()
}

/// What a header means.
fn field(header: &str, given: &[(Field, String)]) -> Option<Field> {
    // What was given decides, also that other columns are not it.
    if let Some((field, _)) =
        given.iter().find(|(_, name)| name.trim() == header.trim() || same(name, header))
    {
        return Some(*field);
    }
    let found = guess(header)?;
    (!given.iter().any(|(field, _)| *field == found)).then_some(found)
}

fn guess(header: &str) -> Option<Field> {
    if header.chars().count() > 40 {
        return None;
    }
    let words = words(header);
    let has = |list: &[&str]| words.iter().any(|w| list.contains(&w.as_str()));
    let joined = words.concat();
    let within = |list: &[&str]| list.iter().any(|t| joined.contains(t));
    let serial = has(&["sn", "serial", "serie", "seri", "ser", "seriennr", "serialno", "snr"])
        || within(&["serial", "seriennummer", "serien", "numerodeserie", "ndeserie"])
        || joined == "sn";
    let board = has(&["board", "mb", "mobo", "mlb", "platine", "carte", "placa"])
        || within(&["mainboard", "motherboard", "baseboard", "hauptplatine", "cartemere", "mbsn", "boardsn"]);
    let bmc = has(&["bmc", "ipmi", "idrac", "ilo", "drac", "xcc", "mgmt", "management", "oob"]);
    let mac = has(&["mac", "macs", "ethernet"])
        || within(&["macaddr", "macadr", "adressemac", "hwaddr", "direccionmac"]);
    let nic = has(&["nic", "eth", "lan", "ethernet", "port", "enp", "eno"]);
    let place =
        ["bay", "slot", "einschub", "position", "pos", "schacht", "node", "bahia", "emplacement", "baie"];
    let other = has(&[
        "chassis",
        "enclosure",
        "gehause",
        "hdd",
        "ssd",
        "disk",
        "dimm",
        "cpu",
        "psu",
        "rail",
        "type",
        "model",
    ]);
    if bmc {
        return (mac || words.len() == 1).then_some(Field::Bmc);
    }
    if has(&["uuid", "guid"]) {
        return Some(Field::Uuid);
    }
    if mac || (nic && !serial && words.len() == 1 && has(&["nic", "eth", "lan"])) {
        return Some(Field::Mac);
    }
    if serial {
        return if board {
            Some(Field::Board)
        } else if other {
            None
        } else {
            Some(Field::Product)
        };
    }
    if has(&["rack", "schrank", "armoire", "cabinet"]) {
        return Some(Field::Rack);
    }
    has(&place).then_some(Field::Bay)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_many_vendors() {
        use Field::{Bay, Bmc, Board, Mac, Product, Rack, Uuid};
        for (headers, field) in [
            (
                &[
                    "Serial",
                    "S/N",
                    "Serial Number",
                    "Seriennummer",
                    "N° de série",
                    "SN",
                    "System S/N",
                    "serial_no",
                ][..],
                Product,
            ),
            (
                &["Board S/N", "MB Serial", "Mainboard SN", "Seriennummer Mainboard", "boardSerial", "MB SN"]
                    [..],
                Board,
            ),
            (
                &[
                    "MAC",
                    "MAC Address 1",
                    "MAC-Adresse",
                    "NIC1 MAC",
                    "eth0",
                    "LAN2",
                    "Mac_Addr",
                    "adresse MAC",
                    "macAddress",
                ][..],
                Mac,
            ),
            (&["BMC MAC", "IPMI", "iDRAC MAC", "BMC-MAC-Adresse", "IPMI MAC address"][..], Bmc),
            (&["UUID", "System UUID", "GUID"][..], Uuid),
            (&["Bay", "Slot", "Einschub", "Bay #", "Pos.", "Slot-Nr"][..], Bay),
            (&["Rack", "Schrank"][..], Rack),
        ] {
            for header in headers {
                assert_eq!(guess(header), Some(field), "{header}");
            }
        }
        for header in
            ["", "Bemerkung", "Model", "PO number", "Chassis S/N", "BMC password", "IPMI user", "HDD serial"]
        {
            assert_eq!(guess(header), None, "{header}");
        }
    }

    #[test]
    fn encodings_separators_and_titles() {
        let plain = "Lieferung 7\r\n\r\nBay;Serial;MAC\r\n1;A1;52:54:00:00:00:01\r\n";
        let wide: Vec<u8> =
            [0xff, 0xfe].into_iter().chain(plain.encode_utf16().flat_map(u16::to_le_bytes)).collect();
        let marked = format!("\u{feff}{plain}").into_bytes();
        let tabs = plain.replace(';', "\t").into_bytes();
        for bytes in [plain.as_bytes().to_vec(), wide, marked, tabs] {
            let sheet = read(Path::new("v.csv"), &bytes, &[]).unwrap();
            assert_eq!(sheet.rows.len(), 1);
            let (field, cell) = &sheet.rows[0].cells[2];
            assert_eq!((*field, cell.text.as_str()), (Field::Mac, "52:54:00:00:00:01"));
            assert_eq!((cell.place.line, cell.place.column), (4, 6));
        }
        let latin = b"Bay;Ger\xe4t;Serial\n1;x;A1\n";
        assert_eq!(read(Path::new("v.csv"), latin, &[]).unwrap().notes.len(), 1);
        assert!(read(Path::new("v.csv"), b"a,b\n1,2\n", &[]).is_err());
    }
}
