//! A vendor's sheet → sleds for the fleet file. Every problem is shown at its line, and
//! nothing is guessed: a damaged value is an error, not a sled that never comes up.

use super::edit::{Editor, New, content, flow, quoted};
use super::file::Hardware;
use super::sheet::{self, Cell, Row};
use super::template::{self, Vars};
use super::{at, check, load};
use crate::junk;
use crate::values::Mac;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use yaml::Value;
use yaml::diagnostic::{Diagnostic, Diagnostics, Place, Source};

pub use super::sheet::Field;

/// What to import, and as what.
#[derive(Clone, Debug)]
pub struct Request {
    /// The rack the sleds go into.
    pub rack: String,
    /// Their role.
    pub role: String,
    /// Their names, a pattern with `{rack}` and `{bay}`.
    pub name: String,
    /// What columns are, by header.
    pub columns: Vec<(Field, String)>,
    /// Whether rows fill free bays in order when the sheet has none.
    pub in_order: bool,
}

/// What an import would do.
#[derive(Debug, Default)]
pub struct Import {
    /// The lines that are added below `sleds:`.
    pub added: Vec<String>,
    /// Names of sleds that are in the fleet already, with this hardware.
    pub present: Vec<String>,
    /// Header and what it was taken for.
    pub columns: Vec<(String, Option<Field>)>,
    /// The new fleet file; nothing when there are errors.
    pub text: Option<String>,
    /// Mistakes in the sheet, by place.
    pub errors: Vec<Diagnostic>,
    /// What is probably not meant.
    pub warnings: Vec<Diagnostic>,
    /// What was skipped.
    pub notes: Vec<String>,
}

/// Reads a sheet and makes sleds of it. Changes nothing.
pub fn import(fleet: &Arc<Source>, file: &Path, bytes: &[u8], request: &Request) -> Import {
    let mut import = Import::default();
    if let Err(Diagnostics(errors)) = fill(&mut import, fleet, file, bytes, request) {
        import.errors.extend(errors);
    }
    let at = |d: &Diagnostic| d.place.as_ref().map(|p| (p.file().to_owned(), p.line, p.column));
    import.errors.sort_by_key(at);
    import.warnings.sort_by_key(at);
    import
}

fn fill(
    import: &mut Import,
    source: &Arc<Source>,
    file: &Path,
    bytes: &[u8],
    request: &Request,
) -> Result<(), Diagnostics> {
    let fleet = load(source)?;
    let known = |kind: &str, name: &str, there: bool| {
        let wrong = Diagnostic::nowhere(format!("the fleet file has no {kind} `{name}`"));
        if there { Ok(()) } else { Err(Diagnostics::from(wrong.hint(format!("add it to `{kind}s:` first")))) }
    };
    known("role", &request.role, fleet.file.roles.contains_key(&request.role))?;
    known("rack", &request.rack, fleet.file.racks.contains_key(&request.rack))?;
    let bays = fleet.file.racks.get(&request.rack).map_or(0, |r| r.bays);
    let sheet = sheet::read(file, bytes, &request.columns)?;
    import.notes = sheet.notes;
    import.columns = sheet.columns;
    let has_bays = import.columns.iter().any(|(_, f)| *f == Some(Field::Bay));
    if !has_bays && !request.in_order {
        return Err(Diagnostic::nowhere(format!(
            "{}: no column says which bay a sled is in",
            file.display()
        ))
        .hint("`--column bay=HEADER` names it, `--in-order` fills the free bays from the bottom")
        .into());
    }
    let taken: BTreeSet<u32> =
        fleet.file.sleds.values().filter(|s| s.rack == request.rack).map(|s| s.bay).collect();
    let mut free = (1..=bays).filter(|bay| !taken.contains(bay));
    let mut reader = Reader { import, seen: HashMap::new(), lengths: lengths(&sheet.rows) };
    let mut sleds: BTreeMap<u32, (Hardware, Place)> = BTreeMap::new();
    for row in &sheet.rows {
        let Some(hardware) = reader.hardware(row) else { continue };
        if !reader.rack(row, &request.rack) {
            continue;
        }
        let bay = match row.cells.iter().find(|(f, _)| *f == Field::Bay) {
            Some((_, cell)) => reader.bay(cell, bays),
            None if has_bays => {
                reader.wrong(&row.place, "this row names no bay", "fill it in, or remove the row")
            }
            None => free
                .next()
                .or_else(|| reader.wrong(&row.place, "no bay is free for this row", "the rack is full")),
        };
        let Some(bay) = bay else { continue };
        if let Some((_, first)) = sleds.get(&bay) {
            let wrong = format!("bay {bay} is here twice");
            reader.import.errors.push(Diagnostic::at(&row.place, wrong).also("first here", first));
            continue;
        }
        sleds.insert(bay, (hardware, row.place.clone()));
    }
    // What is in the fleet already, by value.
    let mut owners: HashMap<String, &str> = HashMap::new();
    for (name, sled) in &fleet.file.sleds {
        owners.extend(values(&sled.hardware).into_iter().map(|value| (value, name.as_str())));
    }
    let mut lines = Vec::new();
    let mut places: HashMap<String, Place> = HashMap::new();
    for (bay, (hardware, place)) in sleds {
        let vars = Vars { sled: "", rack: &request.rack, role: &request.role, bay };
        let name = template::render(&request.name, vars)
            .map_err(|wrong| Diagnostics::from(Diagnostic::nowhere(format!("--name: {}", wrong.message))))?;
        let here =
            fleet.file.sleds.iter().find(|(n, s)| **n == name || (s.rack == request.rack && s.bay == bay));
        if let Some((there, sled)) = here {
            if sled.hardware == hardware && sled.bay == bay && sled.rack == request.rack {
                import.present.push(there.clone());
                continue;
            }
            let wrong = format!(
                "the fleet has another sled in this place: `{there}`, in bay {} of {}",
                sled.bay, sled.rack
            );
            let wrong = Diagnostic::at(&place, wrong);
            let node = at(&fleet.root, &["sleds", there]);
            let wrong = node.map_or(wrong.clone(), |n| wrong.also("it is here", &n.place));
            import.errors.push(wrong.hint("replaced hardware goes through `sledos fleet replace RACK/BAY`"));
            continue;
        }
        if let Some(owner) = values(&hardware).iter().find_map(|v| Some((v, owners.get(v)?))) {
            let (value, owner) = owner;
            import
                .errors
                .push(Diagnostic::at(&place, format!("the fleet has {value} already, in sled `{owner}`")));
            continue;
        }
        lines.push(line(&name, bay, request, &hardware));
        places.insert(name, place);
    }
    import.added = lines;
    if !import.errors.is_empty() || import.added.is_empty() {
        return Ok(());
    }
    let mut editor = Editor::new(&source.text);
    editor.append(&fleet.root, "sleds", &import.added);
    let text = editor.finish();
    let report = check(&Source::new(&source.file, text.clone()));
    let Some(after) = report.fleet else { return Err(Diagnostics(report.errors)) };
    let mut root = after.root;
    if let Value::Map(map) = &mut root.value {
        if let Some(Value::Map(sleds)) =
            map.iter_mut().find(|(k, _)| k.name == "sleds").map(|(_, n)| &mut n.value)
        {
            sleds.retain(|(k, _)| !places.contains_key(&k.name));
        }
        let empty = |n: &yaml::Node| matches!(&n.value, Value::Map(m) if m.is_empty());
        map.retain(|(k, n)| k.name != "sleds" || !empty(n));
    }
    let mut before = fleet.root.clone();
    if let Value::Map(map) = &mut before.value {
        map.retain(|(k, n)| {
            k.name != "sleds"
                || n.entries().next().is_some()
                || matches!(&n.value, Value::Map(m) if !m.is_empty())
        });
    }
    if content(&root) != content(&before)
        || after.file.sleds.len() != fleet.file.sleds.len() + import.added.len()
    {
        return Err(Diagnostic::nowhere(
            "the fleet file is written in a way that cannot be added to automatically",
        )
        .hint("add the lines below `sleds:` by hand")
        .into());
    }
    import.text = Some(text);
    Ok(())
}

/// The line of a sled.
fn line(name: &str, bay: u32, request: &Request, hardware: &Hardware) -> String {
    let mut parts = vec![format!("rack: {}", quoted(&request.rack)), format!("bay: {bay}")];
    parts.push(format!("role: {}", quoted(&request.role)));
    let one = |key: &str, text: &Option<String>| text.as_ref().map(|t| format!("{key}: {}", quoted(t)));
    parts.extend(one("board-serial", &hardware.board_serial));
    parts.extend(one("product-serial", &hardware.product_serial));
    parts.extend(one("uuid", &hardware.uuid));
    if !hardware.macs.is_empty() {
        parts.push(format!("macs: {}", flow(&New::Many(hardware.macs.iter().map(Mac::to_string).collect()))));
    }
    parts.extend(one("bmc-mac", &hardware.bmc_mac.map(|m| m.to_string())));
    format!("{}: {{{}}}", quoted(name), parts.join(", "))
}

/// What no other sled may have.
fn values(hardware: &Hardware) -> Vec<String> {
    let serial = |kind: &str, text: &Option<String>| {
        text.as_deref().and_then(junk::serial).map(|s| format!("the {kind} {}", s.to_ascii_uppercase()))
    };
    let macs = hardware.macs.iter().chain(&hardware.bmc_mac).map(|m| format!("the MAC address {m}"));
    macs.chain(serial("board serial", &hardware.board_serial))
        .chain(serial("product serial", &hardware.product_serial))
        .collect()
}

/// The most frequent length of the serial numbers in a column, when most have it.
fn lengths(rows: &[Row]) -> BTreeMap<Field, usize> {
    let mut all = BTreeMap::new();
    for field in [Field::Board, Field::Product] {
        let mut count: BTreeMap<usize, usize> = BTreeMap::new();
        let cells = rows.iter().flat_map(|r| &r.cells).filter(|(f, _)| *f == field);
        let lengths: Vec<usize> = cells.map(|(_, c)| c.text.trim().chars().count()).collect();
        lengths.iter().for_each(|l| *count.entry(*l).or_default() += 1);
        if let Some((length, n)) = count.into_iter().max_by_key(|(_, n)| *n) {
            if n >= 4 && n * 4 >= lengths.len() * 3 {
                all.insert(field, length);
            }
        }
    }
    all
}

struct Reader<'a> {
    import: &'a mut Import,
    /// Where each value was first.
    seen: HashMap<String, Place>,
    lengths: BTreeMap<Field, usize>,
}

impl Reader<'_> {
    fn wrong<T>(&mut self, place: &Place, what: impl Into<String>, hint: &str) -> Option<T> {
        self.import.errors.push(Diagnostic::at(place, what).hint(hint));
        None
    }

    /// The hardware of a row; nothing when the row is no sled, or is wrong.
    fn hardware(&mut self, row: &Row) -> Option<Hardware> {
        if row.cells.iter().all(|(f, _)| matches!(f, Field::Rack | Field::Bay)) {
            let line = row.place.line;
            if row.cells.iter().any(|(f, c)| *f == Field::Bay && bay_of(&c.text).is_some()) {
                return self.wrong(
                    &row.place,
                    "this bay has neither serial nor UUID nor MAC",
                    "fill it in, or remove the row",
                );
            }
            self.import.notes.push(format!("line {line} was skipped: no serial, UUID or MAC in it"));
            return None;
        }
        // A note or a sum below the table has text in one column, and it is no value.
        if let [(Field::Product | Field::Board, cell)] = row.cells.as_slice() {
            if cell.text.trim().contains(' ') || cell.text.trim().len() < 4 {
                self.import.notes.push(format!(
                    "line {} was skipped: `{}` is no serial number",
                    row.place.line,
                    cell.text.trim()
                ));
                return None;
            }
        }
        let before = self.import.errors.len();
        let mut hardware = Hardware::default();
        for (field, cell) in &row.cells {
            match field {
                Field::Board => hardware.board_serial = self.serial(*field, cell),
                Field::Product => hardware.product_serial = self.serial(*field, cell),
                Field::Uuid => hardware.uuid = self.uuid(cell),
                Field::Bmc => hardware.bmc_mac = self.macs(cell).first().copied(),
                Field::Mac => hardware.macs.extend(self.macs(cell)),
                Field::Rack | Field::Bay => {}
            }
        }
        if self.import.errors.len() > before {
            return None;
        }
        if hardware == (Hardware { bmc_mac: hardware.bmc_mac, ..Hardware::default() }) {
            return self.wrong(
                &row.place,
                "nothing in this row identifies a sled",
                "it needs a serial number, a UUID or a MAC",
            );
        }
        Some(hardware)
    }

    /// Reports a value that was here before.
    fn once(&mut self, kind: &str, value: &str, place: &Place) {
        match self.seen.get(value) {
            Some(first) => {
                let wrong = Diagnostic::at(place, format!("the {kind} {value} is here twice"));
                self.import.errors.push(wrong.also("first here", first));
            }
            None => drop(self.seen.insert(value.to_owned(), place.clone())),
        }
    }

    fn serial(&mut self, field: Field, cell: &Cell) -> Option<String> {
        // Excel writes `="0123"` so that it stays text.
        let text =
            cell.text.trim().trim_start_matches("=\"").trim_end_matches('"').trim_start_matches('\'').trim();
        if is_scientific(text) {
            return self.wrong(
                &cell.place,
                format!("`{text}` is a number that Excel has rounded: its digits are lost"),
                "ask for the sheet with this column as text, or read the serial number off the sled",
            );
        }
        if text.contains('\u{fffd}') || text.chars().any(char::is_control) {
            return self.wrong(
                &cell.place,
                "there are broken characters in this serial number",
                "type it anew",
            );
        }
        if junk::serial(text).is_none() {
            self.import.warnings.push(Diagnostic::at(
                &cell.place,
                format!("the serial number `{text}` identifies nobody and is left out"),
            ));
            return None;
        }
        if let Some(usual) = self.lengths.get(&field).filter(|l| **l != text.chars().count()) {
            self.import.warnings.push(
                Diagnostic::at(
                    &cell.place,
                    format!("the serial number `{text}` is not {usual} characters long, as most are"),
                )
                .why("spreadsheets drop leading zeros, people drop characters")
                .hint("compare it with the label on the sled"),
            );
        }
        self.once(field.name(), &text.to_ascii_uppercase(), &cell.place);
        Some(text.to_owned())
    }

    fn uuid(&mut self, cell: &Cell) -> Option<String> {
        let text = cell.text.trim().trim_matches(['{', '}']).to_ascii_lowercase();
        let hex = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let text = if hex {
            let part = |from, to| text.get(from..to).unwrap_or_default();
            format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
        } else {
            text
        };
        if super::format::check("uuid", &text).is_err() {
            return self.wrong(
                &cell.place,
                format!("`{text}` is not a UUID"),
                "it has 32 hexadecimal digits",
            );
        }
        let Some(uuid) = junk::uuid(&text) else {
            let wrong = format!("the UUID `{text}` identifies nobody and is left out");
            self.import.warnings.push(Diagnostic::at(&cell.place, wrong));
            return None;
        };
        self.once("UUID", &uuid, &cell.place);
        Some(uuid)
    }

    /// All addresses in a cell, however they are written and separated.
    fn macs(&mut self, cell: &Cell) -> Vec<Mac> {
        let mut found = Vec::new();
        for text in cell.text.split([',', ';', '/', '\n', '|']).map(str::trim).filter(|t| !t.is_empty()) {
            if matches!(text.to_ascii_lowercase().as_str(), "n/a" | "-" | "none" | "tbd" | "n" | "a") {
                continue;
            }
            // Two addresses with a space between, or one with spaces between its pairs.
            let words: Vec<&str> = text.split_whitespace().collect();
            let whole: Vec<_> = words.iter().filter_map(|w| mac_of(w)).collect();
            let macs = if whole.len() == words.len() { whole } else { mac_of(text).into_iter().collect() };
            if macs.is_empty() {
                let digits = text.chars().filter(char::is_ascii_hexdigit).count();
                let hint = if is_scientific(text) || text.parse::<f64>().is_ok() {
                    "Excel has taken it for a number: ask for the sheet with this column as text"
                } else if digits < 12 {
                    "digits are missing: a MAC address has 12"
                } else {
                    "a MAC address is 12 hexadecimal digits, with `:`, `-` or `.` between or not"
                };
                self.wrong::<()>(&cell.place, format!("`{text}` is not a MAC address"), hint);
            }
            for mac in macs {
                if !mac.is_unicast() {
                    let wrong = format!("{mac} is not the address of a NIC: it is zero or a group address");
                    self.wrong::<()>(&cell.place, wrong, "read it off the sled");
                    continue;
                }
                self.once("MAC address", &mac.to_string(), &cell.place);
                found.push(mac);
            }
        }
        found
    }

    fn bay(&mut self, cell: &Cell, bays: u32) -> Option<u32> {
        match bay_of(&cell.text) {
            Some(bay) if (1..=bays).contains(&bay) => Some(bay),
            Some(bay) => self.wrong(
                &cell.place,
                format!("there is no bay {bay}: the rack has {bays}"),
                "bays count from 1",
            ),
            None => {
                let wrong = format!("`{}` is not a bay", cell.text.trim());
                self.wrong(&cell.place, wrong, "a number, with or without words before it: `7`, `Bay 07`")
            }
        }
    }

    /// Whether a row is for this rack.
    fn rack(&mut self, row: &Row, rack: &str) -> bool {
        let Some((_, cell)) = row.cells.iter().find(|(f, _)| *f == Field::Rack) else { return true };
        let plain = |t: &str| {
            let t: String = t.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
            t.trim_start_matches("rack").trim_start_matches('r').trim_start_matches('0').to_owned()
        };
        if plain(&cell.text) == plain(rack) {
            return true;
        }
        let wrong = format!("this row is for rack `{}`, not `{rack}`", cell.text.trim());
        self.wrong::<()>(&cell.place, wrong, "import each rack's rows with its own --rack").is_some()
    }
}

/// `7`, `07`, `7.0`, `Bay 7`, `R12-B07`.
fn bay_of(text: &str) -> Option<u32> {
    let text = text.trim();
    let text = text.strip_suffix(".0").or_else(|| text.strip_suffix(",0")).unwrap_or(text);
    let digits = text
        .rfind(|c: char| !c.is_ascii_digit())
        .map_or(0, |at| at + text.get(at..).and_then(|t| t.chars().next()).map_or(1, char::len_utf8));
    let number = text.get(digits..)?.parse().ok()?;
    (text.len() <= 20).then_some(number)
}

/// `1.23E+11`: what a spreadsheet makes of a long number.
fn is_scientific(text: &str) -> bool {
    let Some((mantissa, exponent)) = text.split_once(['e', 'E']) else { return false };
    let sign = exponent.strip_prefix(['+', '-']);
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    let point = mantissa.contains(['.', ',']);
    let plain = mantissa.split(['.', ',']).all(digits);
    plain && (sign.is_some_and(digits) || (point && digits(exponent)))
}

fn mac_of(text: &str) -> Option<Mac> {
    let text = text.trim_start_matches("0x").trim_start_matches("0X");
    let odd = |c: char| !c.is_ascii_hexdigit() && !matches!(c, ':' | '-' | '.' | '_' | ' ');
    if text.contains(odd) {
        return None;
    }
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    (digits.len() == 12).then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bays_numbers_and_addresses_as_sheets_have_them() {
        for (text, bay) in [("7", 7), ("07", 7), ("7.0", 7), ("Bay 7", 7), ("R12-B07", 7), (" 40 ", 40)] {
            assert_eq!(bay_of(text), Some(bay), "{text}");
        }
        for text in ["", "seven", "7a", "99999999999"] {
            assert_eq!(bay_of(text), None, "{text}");
        }
        for text in ["1.23457E+12", "1,23E+11", "1E+11", "2.5e11"] {
            assert!(is_scientific(text), "{text}");
        }
        for text in ["12E4", "ZE+1", "1.2", "E+1", "52E400"] {
            assert!(!is_scientific(text), "{text}");
        }
        for text in [
            "52:54:00:ab:cd:ef",
            "52-54-00-AB-CD-EF",
            "5254.00ab.cdef",
            "525400ABCDEF",
            "52 54 00 ab cd ef",
            "525400-abcdef",
        ] {
            assert_eq!(mac_of(text).map(|m| m.to_string()).as_deref(), Some("52:54:00:ab:cd:ef"), "{text}");
        }
    }
}
