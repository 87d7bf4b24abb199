//! A vendor's sheet → sleds for the fleet file. Every problem is shown at its line, and
//! nothing is guessed: a damaged value is an error, not a sled that never comes up.

use super::cells::{Cell, shown};
use super::edit::{Editor, New, content, flow, quoted};
use super::file::Hardware;
use super::placed::{Names, cell, other_rack};
use super::plausible;
use super::sheet::{self, Row};
use super::template::{self, Vars};
use super::values::{bay_of, is_error, is_scientific, mac_of, no_serial, unquoted, uuid_of};
use super::{at, check, load};
use crate::junk;
use crate::values::Mac;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use yaml::Value;
use yaml::diagnostic::{Diagnostic, Diagnostics, Place, Source};

pub use super::placed::Racks;
pub use super::sheet::Field;

/// What to import, and as what.
#[derive(Clone, Debug)]
pub struct Request {
    /// The racks the sleds go into.
    pub racks: Racks,
    /// Their role, of those whose row names none. When it is given, a column is the role only if `columns` says so.
    pub role: Option<String>,
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
    import.errors = folded(std::mem::take(&mut import.errors));
    import.warnings = folded(std::mem::take(&mut import.warnings));
    import
}

/// Of problems that differ only in their values the first few, the last of which says how
/// many more there are.
fn folded(all: Vec<Diagnostic>) -> Vec<Diagnostic> {
    const SHOWN: usize = 5;
    let kind = |d: &Diagnostic| {
        let outside = d.message.split('`').step_by(2).collect::<String>();
        (outside.chars().filter(|c| !c.is_ascii_hexdigit() && *c != ':').collect::<String>(), d.hint.clone())
    };
    let mut lines: HashMap<_, Vec<usize>> = HashMap::new();
    for d in &all {
        lines.entry(kind(d)).or_default().extend(d.place.as_ref().map(|p| p.line));
    }
    let mut seen: HashMap<_, usize> = HashMap::new();
    let mut kept = Vec::new();
    for mut d in all {
        let key = kind(&d);
        let count = seen.entry(key.clone()).or_default();
        *count += 1;
        let of = lines.get(&key).map(Vec::as_slice).unwrap_or_default();
        if *count > SHOWN {
            continue;
        }
        if let (SHOWN, Some([first, .., last] | [first @ last])) = (*count, of.get(SHOWN..)) {
            let more = format!("{} more rows have the same, in lines {first} to {last}", of.len() - SHOWN);
            d.why = Some(d.why.map_or(more.clone(), |why| format!("{why}; {more}")));
        }
        kept.push(d);
    }
    kept
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
    if let Some(role) = &request.role {
        known("role", role, fleet.file.roles.contains_key(role))?;
    }
    if let Racks::One(rack) = &request.racks {
        known("rack", rack, fleet.file.racks.contains_key(rack))?;
    }
    let mut sheet = sheet::read(file, bytes, &request.columns)?;
    if request.role.is_some() && !request.columns.iter().any(|(field, _)| *field == Field::Role) {
        sheet.forget(Field::Role);
    }
    import.notes = sheet.notes;
    import.columns = sheet.columns;
    import.errors = sheet.errors;
    import.warnings = sheet.warnings;
    let has = |import: &Import, field| import.columns.iter().any(|(_, f)| *f == Some(field));
    let no_column = |what: &str, hint: &str| {
        Err(Diagnostic::nowhere(format!("{}: no column says which {what}", file.display())).hint(hint).into())
    };
    let has_bays = has(import, Field::Bay);
    if !has_bays && !request.in_order {
        let hint = "`--column bay=HEADER` names it, `--in-order` fills the free bays from the bottom";
        return no_column("bay a sled is in", hint);
    }
    if request.racks == Racks::Named && !has(import, Field::Rack) {
        return no_column("rack a sled is in", "`--column rack=HEADER` names it, or give one with `--rack`");
    }
    if request.role.is_none() && !has(import, Field::Role) {
        return no_column("role a sled has", "`--column role=HEADER` names it, or give one with `--role`");
    }
    let rows = match &request.racks {
        Racks::One(rack) => of_rack(import, &sheet.rows, rack)?,
        Racks::Named => sheet.rows.iter().collect(),
    };
    import.warnings.extend(plausible::columns(&rows));
    let names = Names::new(&fleet.file);
    let taken: BTreeSet<(&str, u32)> = fleet.file.sleds.values().map(|s| (s.rack.as_str(), s.bay)).collect();
    // With `in_order`: how far each rack is filled.
    let mut filled: HashMap<&str, u32> = HashMap::new();
    let mut reader = Reader { import, rack: "", seen: HashMap::new(), lengths: lengths(&rows) };
    let mut sleds: BTreeMap<(&str, u32), Placed> = BTreeMap::new();
    for row in rows {
        let rack = match &request.racks {
            Racks::One(rack) => Ok(rack.as_str()),
            Racks::Named => names.rack(row),
        };
        reader.rack = rack.as_ref().copied().unwrap_or_default();
        // What is no sled needs no rack.
        if reader.is_skipped(row) {
            continue;
        }
        let role = names.role(row, request.role.as_deref());
        let (rack, role) = match (rack, role) {
            (Ok(rack), Ok(role)) => (rack, role),
            (rack, role) => {
                reader.import.errors.extend(rack.err().into_iter().chain(role.err()).map(|wrong| *wrong));
                continue;
            }
        };
        let bays = fleet.file.racks.get(rack).map_or(0, |r| r.bays);
        let Some(hardware) = reader.hardware(row) else { continue };
        let bay = match cell(row, Field::Bay) {
            Some(cell) => reader.bay(cell, bays),
            None if has_bays => {
                reader.wrong(&row.place, "this row names no bay", "fill it in, or remove the row")
            }
            None => {
                let from = filled.get(rack).copied().unwrap_or_default() + 1;
                let bay = (from..=bays).find(|bay| !taken.contains(&(rack, *bay)));
                filled.insert(rack, bay.unwrap_or(bays));
                bay.or_else(|| reader.wrong(&row.place, "no bay is free for this row", "the rack is full"))
            }
        };
        let Some(bay) = bay else { continue };
        if let Some(first) = sleds.get(&(rack, bay)) {
            let wrong = match request.racks {
                Racks::One(_) => format!("bay {bay} is here twice"),
                Racks::Named => format!("bay {bay} of {rack} is here twice"),
            };
            reader.import.errors.push(Diagnostic::at(&row.place, wrong).also("first here", &first.place));
            continue;
        }
        sleds.insert((rack, bay), Placed { role, hardware, place: row.place.clone() });
    }
    import
        .warnings
        .extend(plausible::sleds(sleds.values().map(|new| (&new.hardware, &new.place)), &fleet.file));
    let by_bay: HashMap<(&str, u32), &str> =
        fleet.file.sleds.iter().map(|(name, s)| ((s.rack.as_str(), s.bay), name.as_str())).collect();
    // What is in the fleet already, by value.
    let mut owners: HashMap<String, &str> = HashMap::new();
    for (name, sled) in &fleet.file.sleds {
        owners.extend(values(&sled.hardware).into_iter().map(|value| (value, name.as_str())));
    }
    let mut lines = Vec::new();
    let mut places: HashMap<String, Place> = HashMap::new();
    for ((rack, bay), Placed { role, hardware, place }) in sleds {
        let vars = Vars { sled: "", rack, role, bay };
        let name = template::render(&request.name, vars)
            .map_err(|wrong| Diagnostics::from(Diagnostic::nowhere(format!("--name: {}", wrong.message))))?;
        let there = by_bay.get(&(rack, bay)).copied().unwrap_or(&name);
        let here = fleet.file.sleds.get_key_value(there).or_else(|| fleet.file.sleds.get_key_value(&name));
        if let Some((there, sled)) = here {
            if sled.hardware == hardware && sled.bay == bay && sled.rack == rack {
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
        if let Some(first) = places.get(&name) {
            let wrong = Diagnostic::at(&place, format!("two sleds would be called `{name}`"));
            let wrong =
                wrong.also("the other one", first).hint("give a `--name` with `{rack}` and `{bay}` in it");
            import.errors.push(wrong);
            continue;
        }
        lines.push(line(&name, rack, bay, role, &hardware));
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

/// A sled of the sheet.
struct Placed<'a> {
    role: &'a str,
    hardware: Hardware,
    /// Where its row begins.
    place: Place,
}

/// The rows for one rack; the others are noted.
fn of_rack<'r>(import: &mut Import, all: &'r [Row], rack: &str) -> Result<Vec<&'r Row>, Diagnostics> {
    let mut rows: Vec<&Row> = Vec::new();
    let mut others: BTreeMap<String, usize> = BTreeMap::new();
    for row in all {
        match other_rack(row, rack) {
            Some(other) => *others.entry(other).or_default() += 1,
            None => rows.push(row),
        }
    }
    let list: Vec<_> = others.iter().map(|(rack, count)| format!("{rack} ({count})")).collect();
    if !others.is_empty() && rows.iter().all(|row| row.cells.iter().all(|(f, _)| *f == Field::Rack)) {
        let wrong = format!("no row of the sheet is for rack `{rack}`: there are {}", few(&list));
        return Err(Diagnostic::nowhere(wrong)
            .hint("give --rack as the sheet has it, or `--column none=HEADER` if that column is no rack")
            .into());
    }
    if !others.is_empty() {
        let count: usize = others.values().sum();
        import.notes.push(format!(
            "{count} rows are for other racks and were skipped: {}; --all-racks imports them too",
            few(&list)
        ));
    }
    Ok(rows)
}

/// The line of a sled.
fn line(name: &str, rack: &str, bay: u32, role: &str, hardware: &Hardware) -> String {
    let mut parts = vec![format!("rack: {}", quoted(rack)), format!("bay: {bay}")];
    parts.push(format!("role: {}", quoted(role)));
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
fn lengths(rows: &[&Row]) -> BTreeMap<Field, usize> {
    let mut all = BTreeMap::new();
    for field in [Field::Board, Field::Product] {
        let mut count: BTreeMap<usize, usize> = BTreeMap::new();
        let cells = rows.iter().flat_map(|r| &r.cells).filter(|(f, _)| *f == field);
        let lengths: Vec<usize> = cells.map(|(_, c)| c.text.trim().chars().count()).collect();
        lengths.iter().for_each(|l| *count.entry(*l).or_default() += 1);
        if let Some((length, n)) = count.into_iter().max_by_key(|(_, n)| *n)
            && n >= 4
            && n * 4 >= lengths.len() * 3
        {
            all.insert(field, length);
        }
    }
    all
}

struct Reader<'a> {
    import: &'a mut Import,
    rack: &'a str,
    /// Where each value was first.
    seen: HashMap<String, Place>,
    lengths: BTreeMap<Field, usize>,
}

impl Reader<'_> {
    fn wrong<T>(&mut self, place: &Place, what: impl Into<String>, hint: &str) -> Option<T> {
        self.import.errors.push(Diagnostic::at(place, what).hint(hint));
        None
    }

    /// Whether a row is no sled: a note or a sum below the table.
    fn is_skipped(&mut self, row: &Row) -> bool {
        let bay = cell(row, Field::Bay).is_some_and(|cell| bay_of(&cell.text, self.rack).is_some());
        if bay {
            return false;
        }
        let line = row.place.line;
        let mut values = row.cells.iter().filter(|(field, _)| !field.is_place());
        let note = match (values.next(), values.next()) {
            (None, _) => format!("line {line} was skipped: no serial, UUID or MAC in it"),
            // Text in one column, and it is no value.
            (Some((Field::Product | Field::Board, cell)), None) => {
                let text = cell.text.trim();
                if !text.contains(' ') && text.len() >= 4 {
                    return false;
                }
                format!("line {line} was skipped: `{text}` is no serial number")
            }
            _ => return false,
        };
        self.import.notes.push(note);
        true
    }

    /// The hardware of a row; nothing when it is wrong.
    fn hardware(&mut self, row: &Row) -> Option<Hardware> {
        if row.cells.iter().all(|(field, _)| field.is_place()) {
            return self.wrong(
                &row.place,
                "this bay has neither serial nor UUID nor MAC",
                "fill it in, or remove the row",
            );
        }
        let before = self.import.errors.len();
        for (field, cell) in row.cells.iter().filter(|(_, cell)| is_error(&cell.text)) {
            let what = format!("`{}` is an error of the spreadsheet, no {}", shown(&cell.text), field.name());
            self.wrong::<()>(&cell.place, what, "mend the formula and save the sheet again");
        }
        if self.import.errors.len() > before {
            return None;
        }
        let mut hardware = Hardware::default();
        for (field, cell) in &row.cells {
            match field {
                Field::Board => hardware.board_serial = self.serial(*field, cell),
                Field::Product => hardware.product_serial = self.serial(*field, cell),
                Field::Uuid => hardware.uuid = self.uuid(cell),
                Field::Bmc => hardware.bmc_mac = self.macs(cell).first().copied(),
                Field::Mac => hardware.macs.extend(self.macs(cell)),
                Field::Rack | Field::Bay | Field::Role | Field::Unused => {}
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
        let text = unquoted(&cell.text);
        if let Some((what, hint)) = no_serial(text) {
            return self.wrong(&cell.place, what, hint);
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
        let Some(text) = uuid_of(unquoted(&cell.text)) else {
            return self.wrong(
                &cell.place,
                format!("`{}` is not a UUID", shown(&cell.text).to_ascii_lowercase()),
                "it has 32 hexadecimal digits",
            );
        };
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
        for text in
            unquoted(&cell.text).split([',', ';', '/', '\n', '|']).map(str::trim).filter(|t| !t.is_empty())
        {
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
                self.wrong::<()>(&cell.place, format!("`{}` is not a MAC address", shown(text)), hint);
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
        match bay_of(&cell.text, self.rack) {
            Some(bay) if (1..=bays).contains(&bay) => Some(bay),
            Some(0) => self.wrong(
                &cell.place,
                format!("there is no bay 0: the rack has {bays}"),
                "bays count from 1: if this sheet counts from 0, every bay in it is one too low",
            ),
            Some(bay) => self.wrong(
                &cell.place,
                format!("there is no bay {bay}: the rack has {bays}"),
                "bays count from 1",
            ),
            None => {
                let wrong = format!("`{}` is not a bay", shown(&cell.text));
                let hint = "a whole number, with or without a word before it: `7`, `Bay 07`; not a range, half or date";
                self.wrong(&cell.place, wrong, hint)
            }
        }
    }
}

/// The first of a list.
fn few(list: &[String]) -> String {
    const SHOWN: usize = 10;
    let more = list.len().saturating_sub(SHOWN);
    let first = list.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if more == 0 { first } else { format!("{first} and {more} more") }
}
