//! Which rack and role of the fleet file a row of a sheet names.

use super::cells::{Cell, shown};
use super::file::FleetFile;
use super::sheet::{Field, Row};
use std::collections::BTreeMap;
use yaml::diagnostic::{Diagnostic, Place};
use yaml::nearest::nearest;

/// The racks that sleds go into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Racks {
    /// One; rows that name others are skipped.
    One(String),
    /// Those that the rows name.
    Named,
}

/// How the fleet file writes the names that sheets write otherwise.
pub(super) struct Names<'a> {
    racks: BTreeMap<String, Vec<&'a str>>,
    file: &'a FleetFile,
}

/// `R07`, `Rack 7` and `7` are the same rack.
fn plain(text: &str) -> String {
    let text: String = text.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
    text.trim_start_matches("rack").trim_start_matches('r').trim_start_matches('0').to_owned()
}

pub(super) fn cell(row: &Row, field: Field) -> Option<&Cell> {
    row.cells.iter().find(|(f, _)| *f == field).map(|(_, cell)| cell)
}

/// The rack of a row that is for another one than `rack`.
pub(super) fn other_rack(row: &Row, rack: &str) -> Option<String> {
    let cell = cell(row, Field::Rack)?;
    (plain(&cell.text) != plain(rack)).then(|| shown(&cell.text))
}

impl<'a> Names<'a> {
    pub(super) fn new(file: &'a FleetFile) -> Self {
        let mut racks: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for name in file.racks.keys() {
            racks.entry(plain(name)).or_default().push(name);
        }
        Self { racks, file }
    }

    /// The rack that a row names.
    pub(super) fn rack(&self, row: &Row) -> Result<&'a str, Box<Diagnostic>> {
        let Some(cell) = cell(row, Field::Rack) else {
            let wrong = Diagnostic::at(&row.place, "this row names no rack");
            let hint = "fill it in on each row, also where the sheet has one cell for many rows";
            return Err(Box::new(wrong.hint(hint)));
        };
        if let Some((name, _)) = self.file.racks.get_key_value(cell.text.trim()) {
            return Ok(name);
        }
        match self.racks.get(&plain(&cell.text)).map(Vec::as_slice).unwrap_or_default() {
            [one] => Ok(one),
            [] => Err(Box::new(missing("rack", cell, self.file.racks.keys().map(String::as_str).collect()))),
            several => {
                let wrong = format!("`{}` may be any of the racks {}", shown(&cell.text), several.join(", "));
                Err(Box::new(Diagnostic::at(&cell.place, wrong).hint("write it as the fleet file does")))
            }
        }
    }

    /// The role that a row names, or else `default`.
    pub(super) fn role(&self, row: &Row, default: Option<&'a str>) -> Result<&'a str, Box<Diagnostic>> {
        let Some(cell) = cell(row, Field::Role) else {
            let none = |place: &Place| {
                Diagnostic::at(place, "this row names no role")
                    .hint("fill it in, or give `--role` for such rows")
            };
            return default.ok_or_else(|| Box::new(none(&row.place)));
        };
        let text = cell.text.trim();
        let exact = self.file.roles.get_key_value(text).map(|(name, _)| name.as_str());
        let mut alike = self.file.roles.keys().filter(|name| name.eq_ignore_ascii_case(text));
        let only = alike.next().filter(|_| alike.next().is_none()).map(String::as_str);
        exact
            .or(only)
            .ok_or_else(|| missing("role", cell, self.file.roles.keys().map(String::as_str).collect()))
            .map_err(Box::new)
    }
}

fn missing(kind: &str, cell: &Cell, names: Vec<&str>) -> Diagnostic {
    let wrong = Diagnostic::at(&cell.place, format!("the fleet file has no {kind} `{}`", shown(&cell.text)));
    match nearest(cell.text.trim(), names.iter().copied()) {
        Some(near) => wrong.hint(format!("did you mean `{near}`? else add it to `{kind}s:` first")),
        None => wrong.hint(format!(
            "add it to `{kind}s:` first, or say that the column is none: `--column none=HEADER`"
        )),
    }
}
