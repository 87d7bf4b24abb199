//! `sledos fleet import`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{as_json, print_json, warn};
use crate::cli::terminal::say;
use crate::fleet::{Error, read_bytes, read_source, replace_file};
use metadata::fleet::import::{Field, Import, Racks, Request, import};
use yaml::diagnostic::Diagnostics;

/// Arguments of `sledos fleet import`.
#[derive(Args, Debug)]
pub struct ImportArgs {
    /// The vendor's sheet: CSV in any of its shapes.
    #[arg(value_name = "SHEET")]
    pub sheet: PathBuf,

    /// The fleet file.
    #[arg(long, value_name = "FILE", default_value = "fleet.yaml")]
    pub fleet: PathBuf,

    /// The rack the sleds go into; rows that name another one are skipped.
    #[arg(long, value_name = "RACK", required_unless_present = "all_racks")]
    pub rack: Option<String>,

    /// Each row names its rack.
    #[arg(long, conflicts_with = "rack")]
    pub all_racks: bool,

    /// Their role [default: what the column `role` says].
    #[arg(long, value_name = "ROLE")]
    pub role: Option<String>,

    /// Their names.
    #[arg(long, value_name = "PATTERN", default_value = "{rack}-b{bay:02}")]
    pub name: String,

    /// What a column is: rack, bay, role, board-serial, product-serial, uuid, mac, bmc-mac or none,
    /// by its header or its number: `mac=#3`.
    #[arg(long, value_name = "FIELD=HEADER", value_parser = column)]
    pub column: Vec<(Field, String)>,

    /// The sheet names no bays: its rows fill the free ones from the bottom.
    #[arg(long)]
    pub in_order: bool,

    /// Write the fleet file. Without it nothing is changed.
    #[arg(long)]
    pub write: bool,

    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}

fn column(text: &str) -> Result<(Field, String), String> {
    let found = text.split_once('=').and_then(|(name, header)| {
        let (_, field) = Field::NAMES.iter().find(|(known, _)| *known == name)?;
        Some((*field, header.to_owned()))
    });
    found.ok_or_else(|| {
        let names: Vec<_> = Field::NAMES.iter().map(|(name, _)| *name).collect();
        format!("write it as FIELD=HEADER, FIELD being one of {}", names.join(", "))
    })
}

pub(super) fn run(args: &ImportArgs) -> Result<(), Error> {
    let source = read_source(&args.fleet)?;
    let request = Request {
        racks: args.rack.clone().map_or(Racks::Named, Racks::One),
        role: args.role.clone(),
        name: args.name.clone(),
        columns: args.column.clone(),
        in_order: args.in_order,
    };
    let done = import(&source, &args.sheet, &read_bytes(&args.sheet)?, &request);
    if args.json {
        let list = |found: &[_]| found.iter().map(as_json).collect::<Vec<_>>();
        print_json(&json!({
            "added": done.added, "present": done.present, "notes": done.notes,
            "errors": list(&done.errors), "warnings": list(&done.warnings),
            "columns": done.columns.iter().map(|(h, f)| (h.clone(), f.map(Field::name).into())).collect::<serde_json::Map<_, _>>(),
        }));
    } else {
        tell(&done, args);
    }
    if !done.errors.is_empty() {
        return Err(Diagnostics(done.errors).into());
    }
    if let (true, Some(text)) = (args.write, &done.text) {
        replace_file(&args.fleet, text)?;
    }
    if !args.json {
        let count = done.added.len();
        let file = args.fleet.display();
        match (done.text.is_some(), args.write) {
            (false, _) => say!("nothing to add to {file}"),
            (true, true) => say!("{count} sleds added to {file}"),
            (true, false) => say!("{count} sleds would be added to {file}; --write does it"),
        }
    }
    Ok(())
}

fn tell(done: &Import, args: &ImportArgs) {
    warn(&done.warnings);
    for (header, field) in &done.columns {
        say!("column `{header}`: {}", field.map_or("not used", Field::name));
    }
    done.notes.iter().for_each(|note| say!("note: {note}"));
    if !done.present.is_empty() {
        say!("note: in the fleet already: {}", done.present.join(", "));
    }
    if !done.added.is_empty() {
        say!("\n--- {0}\n+++ {0}\n sleds:", args.fleet.display());
        done.added.iter().for_each(|line| say!("+  {line}"));
        say!();
    }
}
