//! Vendors' sheets: bytes → rows of cells with places and known columns.
//!
//! Columns are separated by `;`, tab, `,` or `|`; lines above the header are skipped when
//! they hold no hardware. What would be lost or taken for something else is a mistake.

use super::cells::{self, Cell, shown};
use super::values::{self, mac_of, uuid_of};
use std::collections::BTreeMap;
use std::path::Path;
use yaml::diagnostic::{Diagnostic, Diagnostics, Place, Source};

/// What a column is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// Rack.
    Rack,
    /// Bay.
    Bay,
    /// Role.
    Role,
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
    /// Nothing that is used, whatever its header looks like.
    Unused,
}

impl Field {
    /// All, with the names `--column` takes.
    pub const NAMES: [(&'static str, Self); 9] = [
        ("rack", Self::Rack),
        ("bay", Self::Bay),
        ("role", Self::Role),
        ("board-serial", Self::Board),
        ("product-serial", Self::Product),
        ("uuid", Self::Uuid),
        ("mac", Self::Mac),
        ("bmc-mac", Self::Bmc),
        ("none", Self::Unused),
    ];

    /// The name.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, f)| *f == self).map_or("", |(name, _)| name)
    }

    /// Whether it says where a sled is and what it is for, not which one it is.
    pub(super) fn is_place(self) -> bool {
        matches!(self, Self::Rack | Self::Bay | Self::Role)
    }

    /// Whether several columns may be that.
    fn many(self) -> bool {
        matches!(self, Self::Mac | Self::Unused)
    }
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
    /// Rows that are not what the header says.
    pub(super) errors: Vec<Diagnostic>,
    /// Columns that somebody may miss.
    pub(super) warnings: Vec<Diagnostic>,
}

impl Sheet {
    /// Makes columns that only their headers made something unknown again.
    pub(super) fn forget(&mut self, field: Field) {
        self.columns.iter_mut().filter(|(_, f)| *f == Some(field)).for_each(|(_, f)| *f = None);
        self.rows.iter_mut().for_each(|row| row.cells.retain(|(f, _)| *f != field));
    }
}

/// Rows of a sheet.
const MAX_ROWS: usize = 20_000;
/// Lines above the header.
const MAX_TITLE: usize = 30;
/// What separates columns, the first of equals.
const SEPARATORS: [char; 4] = [';', '\t', ',', '|'];

/// Reads a sheet. `given` says what columns are, by their headers or as `#NUMBER`.
pub(super) fn read(file: &Path, bytes: &[u8], given: &[(Field, String)]) -> Result<Sheet, Diagnostics> {
    let (text, mut notes) = cells::decode(file, bytes)?;
    let source = Source::new(file, text);
    let best = SEPARATORS.into_iter().filter_map(|by| {
        let (records, wrong) = cells::split(&source, by, MAX_ROWS + MAX_TITLE + 1);
        let rows = records.iter().take(MAX_TITLE).enumerate();
        let (known, header) =
            rows.map(|(n, r)| (known(r, given), n)).max_by_key(|(k, n)| (*k, std::cmp::Reverse(*n)))?;
        Some((known, header, by, records, wrong))
    });
    // The first of equals.
    let best = best.reduce(|a, b| if b.0 > a.0 { b } else { a });
    let Some((_, header, by, records, wrong)) = best.filter(|(found, ..)| *found > 0) else {
        return Err(Diagnostic::at(&Place::new(&source, 1, 1), "no line looks like a header")
            .why("looked for columns like `Serial`, `MAC`, `UUID`, `Bay` in the first 30 lines")
            .hint("name the columns: `--column board-serial=HEADER --column mac=#3`")
            .into());
    };
    if let Some(wrong) = wrong {
        return Err(wrong.into());
    }
    if records.len() > MAX_ROWS {
        return Err(Diagnostic::at(&Place::new(&source, 1, 1), format!("more than {MAX_ROWS} rows"))
            .hint("split the sheet, for instance by rack")
            .into());
    }
    let head = records.get(header).map(Vec::as_slice).unwrap_or_default();
    let body = records.get(header + 1..).unwrap_or_default();
    let fields = fields(head, given)?;
    let mut columns: Vec<(String, Option<Field>)> = head.iter().map(|c| shown(&c.text)).zip(fields).collect();
    unusable(head, body, &mut columns, given, &mut notes);
    doubles(head, &columns)?;
    let mut errors = above(records.get(..header).unwrap_or_default(), head.len());
    if let Some(line) = head.first().map(|c| c.place.line).filter(|line| *line > 1) {
        notes.push(format!("the header is in line {line}"));
    }
    let mut rows = Vec::new();
    for record in body {
        let Some(first) = record.iter().find(|c| !c.text.trim().is_empty()) else { continue };
        let place = first.place.clone();
        if is_repeated(record, head) {
            notes.push(format!("line {} is the header again", place.line));
            continue;
        }
        if let Some(wrong) = misfit(record, head, by) {
            errors.push(wrong);
            continue;
        }
        let cells = record.iter().zip(&columns);
        let cells = cells.filter_map(|(cell, (_, field))| Some(((*field)?, cell.clone())));
        let used = |(field, cell): &(Field, Cell)| *field != Field::Unused && !cell.text.trim().is_empty();
        rows.push(Row { cells: cells.filter(used).collect(), place });
    }
    let warnings = overlooked(head, body, &columns);
    Ok(Sheet { rows, columns, notes, errors, warnings })
}

/// The column that `#3` or a header names: itself, or the only one of these words.
fn named(head: &[Cell], field: Field, name: &str) -> Result<Vec<usize>, Diagnostics> {
    let place = head.first().map(|c| &c.place);
    let wrong = |what: String, hint: String| {
        let wrong = place.map_or(Diagnostic::nowhere(what.clone()), |p| Diagnostic::at(p, what));
        Diagnostics::from(wrong.hint(hint))
    };
    let all = || head.iter().enumerate().map(|(n, c)| format!("#{} {}", n + 1, shown(&c.text)));
    let list = || format!("there are: {}", all().collect::<Vec<_>>().join(", "));
    let matching = |fits: &dyn Fn(&str) -> bool| -> Vec<usize> {
        head.iter().enumerate().filter(|(_, c)| fits(&c.text)).map(|(n, _)| n).collect()
    };
    let exact = matching(&|header| header.trim() == name.trim());
    let number = name.trim().strip_prefix('#').and_then(|n| n.parse::<usize>().ok());
    let found = match number {
        Some(n) if exact.is_empty() => matching(&|_| true).into_iter().filter(|at| at + 1 == n).collect(),
        _ if exact.is_empty() => matching(&|header| same(header, name)),
        _ => exact,
    };
    match found[..] {
        [] => Err(wrong(format!("there is no column `{}`", shown(name)), list())),
        [_, _, ..] if !field.many() => {
            let which: Vec<_> =
                found.iter().map(|n| format!("`--column {}=#{}`", field.name(), n + 1)).collect();
            Err(wrong(
                format!("{} columns are called `{}`", found.len(), shown(name)),
                format!("say which by its number: {}", which.join(" or ")),
            ))
        }
        _ => Ok(found),
    }
}

/// What each column is: as given, else by its header.
fn fields(head: &[Cell], given: &[(Field, String)]) -> Result<Vec<Option<Field>>, Diagnostics> {
    let mut fields: Vec<Option<Field>> = vec![None; head.len()];
    for (field, name) in given {
        for at in named(head, *field, name)? {
            if let Some(to) = fields.get_mut(at) {
                *to = Some(*field);
            }
        }
    }
    for (to, cell) in fields.iter_mut().zip(head) {
        // What was given decides, also that other columns are not it.
        let taken = |field: &Field| given.iter().any(|(given, _)| given == field);
        *to = to.or_else(|| guess(&cell.text).filter(|field| !taken(field)));
    }
    Ok(fields)
}

/// Takes columns back that only their headers made addresses: no cell is one, or a damaged one.
fn unusable(
    head: &[Cell],
    body: &[Vec<Cell>],
    columns: &mut [(String, Option<Field>)],
    given: &[(Field, String)],
    notes: &mut Vec<String>,
) {
    for (n, (header, field)) in columns.iter_mut().enumerate() {
        let Some(what @ (Field::Mac | Field::Bmc | Field::Uuid)) = *field else { continue };
        if given.iter().any(|(given, _)| *given == what) {
            continue;
        }
        let cells = body.iter().filter(|row| !is_repeated(row, head)).filter_map(|row| row.get(n));
        let mut texts = cells.map(|c| c.text.trim()).filter(|t| !t.is_empty()).peekable();
        let fits = |text: &str| match what {
            Field::Uuid => values::resembles_uuid(text),
            _ => values::resembles_mac(text),
        };
        if texts.peek().is_some() && !texts.any(fits) {
            let kind = if what == Field::Uuid { "a UUID" } else { "a MAC address" };
            notes.push(format!("column `{header}` is not used: no cell in it is {kind}"));
            *field = None;
        }
    }
}

/// Two columns for what can only be one.
fn doubles(head: &[Cell], columns: &[(String, Option<Field>)]) -> Result<(), Diagnostics> {
    let mut wrong = Vec::new();
    for (n, (name, field)) in columns.iter().enumerate() {
        let Some(field) = field.filter(|f| !f.many()) else { continue };
        let first = columns.iter().position(|(_, f)| *f == Some(field)).unwrap_or(n);
        if let (true, Some(here), Some(there)) = (first < n, head.get(n), head.get(first)) {
            wrong.push(
                Diagnostic::at(
                    &here.place,
                    format!("two columns look like {}: this one, `{name}`", field.name()),
                )
                .also("the other", &there.place)
                .hint(format!(
                    "say which it is by its number: `--column {0}=#{1}` or `--column {0}=#{2}`",
                    field.name(),
                    first + 1,
                    n + 1
                )),
            );
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(Diagnostics(wrong)) }
}

/// Rows above the header that hold hardware: they would be lost.
fn above(records: &[Vec<Cell>], columns: usize) -> Vec<Diagnostic> {
    let lost = records.iter().filter_map(|record| {
        let full: Vec<&Cell> = record.iter().filter(|c| !c.text.trim().is_empty()).collect();
        let wide = full.len() >= columns.saturating_sub(1).max(2);
        let value = |cell: &&&Cell| is_value(&cell.text) || (wide && values::resembles_serial(&cell.text));
        full.iter().find(value).copied()
    });
    let wrong = |cell: &Cell| {
        Diagnostic::at(
            &cell.place,
            format!("this row stands above the header and has `{}` in it", shown(&cell.text)),
        )
        .why("rows above the header are titles and are skipped")
        .hint("move the header to the top, or remove the row")
    };
    lost.map(wrong).collect()
}

/// A header that is printed on each page.
fn is_repeated(record: &[Cell], head: &[Cell]) -> bool {
    let texts = |cells: &[Cell]| -> Vec<String> {
        let texts: Vec<String> = cells.iter().map(|c| c.text.trim().to_owned()).collect();
        let end = texts.iter().rposition(|t| !t.is_empty()).map_or(0, |n| n + 1);
        texts.into_iter().take(end).collect()
    };
    texts(record) == texts(head)
}

/// Why a row cannot belong to the header.
fn misfit(record: &[Cell], head: &[Cell], by: char) -> Option<Diagnostic> {
    let first = record.iter().find(|c| !c.text.trim().is_empty())?;
    if let Some(cell) = record.iter().find(|cell| swallows(cell, by, head.len())) {
        return Some(
            Diagnostic::at(&cell.place, "this quote goes over rows of the sheet")
                .why("the rows in it would be lost")
                .hint("close the quote where the cell ends"),
        );
    }
    if let Some(cell) = record.iter().skip(head.len()).find(|c| !c.text.trim().is_empty()) {
        return Some(
            Diagnostic::at(
                &cell.place,
                format!(
                    "this row has {} cells, the header {}: `{}` has no column",
                    record.len(),
                    head.len(),
                    shown(&cell.text)
                ),
            )
            .why("with a cell too many, those behind it are in the wrong columns")
            .hint("remove the cell, give its column a header, or quote a cell that has the separator in it"),
        );
    }
    let mut pairs = record.iter().zip(head);
    if let Some((cell, _)) =
        pairs.find(|(cell, header)| header.text.trim().is_empty() && is_value(&cell.text))
    {
        return Some(
            Diagnostic::at(
                &cell.place,
                format!("`{}` stands in a column without a header", shown(&cell.text)),
            )
            .why("a row that is shifted looks like that")
            .hint("give the column a header, or remove the cell"),
        );
    }
    if known(record, &[]) >= 2 && record.iter().all(|c| !is_value(&c.text)) {
        return Some(
            Diagnostic::at(&first.place, "a second header: two sheets are joined here")
                .why("the columns below it are others")
                .hint("make a file of each"),
        );
    }
    let alone = record.iter().filter(|c| !c.text.trim().is_empty()).count() == 1;
    let other = SEPARATORS.into_iter().filter(|s| *s != by);
    let torn = other.filter(|s| {
        let parts: Vec<&str> = first.text.split(*s).collect();
        let hardware = parts.iter().filter(|p| is_value(p) || guess(p).is_some()).count();
        parts.len() >= 3 && hardware > 0 && hardware < parts.len()
    });
    if let (true, Some(separator)) = (alone && head.len() > 1, torn.into_iter().next()) {
        return Some(
            Diagnostic::at(
                &first.place,
                format!(
                    "this row is separated by `{}`, the header by `{}`",
                    separator.escape_default(),
                    by.escape_default()
                ),
            )
            .why("two sheets that were joined look like that")
            .hint("make a file of each"),
        );
    }
    None
}

/// Whether a cell of several lines has rows in it.
fn swallows(cell: &Cell, by: char, columns: usize) -> bool {
    let row = |line: &str| line.matches(by).count() + 1 >= columns.max(2);
    cell.text.trim().lines().skip(1).any(row)
}

/// Columns that are full of MAC addresses, and nobody uses them.
fn overlooked(head: &[Cell], body: &[Vec<Cell>], columns: &[(String, Option<Field>)]) -> Vec<Diagnostic> {
    let mut counts: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
    for (n, cell) in body.iter().flat_map(|row| row.iter().enumerate()) {
        let text = cell.text.trim();
        if !text.is_empty() && columns.get(n).is_some_and(|(_, field)| field.is_none()) {
            let (macs, all) = counts.entry(n).or_default();
            (*macs, *all) = (*macs + usize::from(mac_of(text).is_some()), *all + 1);
        }
    }
    let full = counts.into_iter().filter(|(_, (macs, all))| *macs > 0 && macs * 2 > *all);
    full.filter_map(|(n, (macs, _))| {
        let (header, cell) = (&columns.get(n)?.0, head.get(n)?);
        Some(
            Diagnostic::at(&cell.place, format!("column `{header}` has {macs} MAC addresses and is not used"))
                .hint(format!("`--column mac=#{0}` or `--column bmc-mac=#{0}` uses it, `--column none=#{0}` says it is not meant", n + 1)),
        )
    })
    .collect()
}

/// Whether a cell is hardware, not a header.
fn is_value(text: &str) -> bool {
    mac_of(text.trim()).is_some() || uuid_of(text.trim()).is_some()
}

/// How many columns of a line are known; none unless one of them identifies a sled.
fn known(record: &[Cell], given: &[(Field, String)]) -> usize {
    if record.iter().any(|c| is_value(&c.text)) {
        return 0;
    }
    let field = |n: usize, header: &str| {
        let name = format!("#{}", n + 1);
        let fits = |given: &str| given.trim() == name || given.trim() == header.trim() || same(given, header);
        let found = given.iter().find(|(_, given)| !header.trim().is_empty() && fits(given));
        found.map(|(field, _)| *field).or_else(|| guess(header))
    };
    let found: Vec<Field> = record.iter().enumerate().filter_map(|(n, c)| field(n, &c.text)).collect();
    let identity = found.iter().any(|f| !f.is_place() && *f != Field::Unused);
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
    // One word each, although a capital is in the middle.
    let header = header.replace("iLO", "ilo").replace("iDRAC", "idrac");
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
    // `MAC2` is `mac`; `SN0001` is a serial number, not a header.
    let bare = |word: &str| {
        let bare = word.trim_end_matches(|c: char| c.is_ascii_digit());
        if word.len() - bare.len() <= 2 { bare } else { word }.to_owned()
    };
    text.split_whitespace().map(bare).filter(|w| !w.is_empty()).collect()
}

/// What a header means.
fn guess(header: &str) -> Option<Field> {
    if header.chars().count() > 40 {
        return None;
    }
    let words = words(header);
    let has = |list: &[&str]| words.iter().any(|w| list.contains(&w.as_str()));
    let joined = words.concat();
    let within = |list: &[&str]| list.iter().any(|t| joined.contains(t));
    let serial = has(&["sn", "serial", "serie", "seri", "ser", "seriennr", "serialno", "snr"])
        || within(&["serial", "seriennummer", "serien", "numerodeserie", "ndeserie", "servicetag"])
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
    if words.len() == 1 && has(&["role", "roles", "rolle", "rol", "ruolo"]) {
        return Some(Field::Role);
    }
    // Height units, alone: `U height` is another thing.
    (has(&place) || matches!(joined.as_str(), "u" | "ru" | "he")).then_some(Field::Bay)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_many_vendors() {
        use Field::{Bay, Bmc, Board, Mac, Product, Rack, Role, Uuid};
        for (headers, field) in [
            (
                &[
                    "Serial",
                    "S/N",
                    "Serial Number",
                    "Seriennummer",
                    "N° de série",
                    "SN",
                    "Service Tag",
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
            (
                &[
                    "BMC MAC",
                    "IPMI",
                    "iDRAC MAC",
                    "BMC-MAC-Adresse",
                    "IPMI MAC address",
                    "iLO MAC Address",
                    "iLO",
                ][..],
                Bmc,
            ),
            (&["UUID", "System UUID", "GUID"][..], Uuid),
            (&["Bay", "Slot", "Einschub", "Bay #", "Pos.", "Slot-Nr", "U"][..], Bay),
            (&["Rack", "Schrank"][..], Rack),
            (&["Role", "Rolle", "ROLE "][..], Role),
        ] {
            for header in headers {
                assert_eq!(guess(header), Some(field), "{header}");
            }
        }
        for header in [
            "",
            "Bemerkung",
            "Model",
            "PO number",
            "Chassis S/N",
            "BMC password",
            "IPMI user",
            "HDD serial",
            "iLO Hostname",
            "Role of contact",
        ] {
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
