//! `sledos fleet`: one file per verb.

mod bind;
mod check;
mod compile;
mod export;
mod import;
mod replace;
mod schema;
mod show;
mod simulate;
mod status;

use std::path::Path;

use clap::Subcommand;
use serde_json::{Value, json};

use crate::cli::terminal::complain;
use crate::exit::Failure;
use crate::fleet::{Error, apply_ignition, read_source};
use metadata::fleet::compile::Plan;
use metadata::fleet::{Fleet, Report};
use yaml::diagnostic::{Diagnostic, Diagnostics};

/// What to do with a fleet.
#[derive(Debug, Subcommand)]
pub enum FleetVerb {
    /// Check a fleet file: every mistake at its line, warnings, gaps.
    Check(check::CheckArgs),
    /// Make signed documents, for any static HTTP server.
    Compile(compile::CompileArgs),
    /// Show what a sled will be told, and which line set each value.
    Show(show::ShowArgs),
    /// Add the sleds of a vendor's sheet to the fleet file.
    Import(import::ImportArgs),
    /// Replace the hardware of a sled; the old one is retired.
    Replace(replace::ReplaceArgs),
    /// Print the fleet as DHCP servers, Ansible, nginx or /etc/hosts read it.
    Export(export::ExportArgs),
    /// Ask a server how the sleds are: delivered against expected.
    Status(status::StatusArgs),
    /// Switch virtual sleds on, all at once, against servers that are killed; print how long it took.
    Simulate(simulate::SimulateArgs),
    /// Make unknown hardware a sled, by a server that is running.
    Bind(bind::BindArgs),
    /// Print the JSON Schema of the fleet file, for editors.
    Schema(schema::SchemaArgs),
}

/// Runs `sledos fleet …`.
pub(super) fn run_verb(verb: &FleetVerb) -> Result<(), Failure> {
    match verb {
        FleetVerb::Check(args) => Ok(check::run(args)?),
        FleetVerb::Compile(args) => Ok(compile::run(args)?),
        FleetVerb::Show(args) => Ok(show::run(args)?),
        FleetVerb::Import(args) => Ok(import::run(args)?),
        FleetVerb::Replace(args) => Ok(replace::run(args)?),
        FleetVerb::Export(args) => Ok(export::run(args)?),
        FleetVerb::Status(args) => Ok(status::run(args)?),
        FleetVerb::Simulate(args) => Ok(simulate::run(args)?),
        FleetVerb::Bind(args) => Ok(bind::run(args)?),
        FleetVerb::Schema(args) => schema::run(args).map_err(Failure::from),
    }
}

/// A fleet without mistakes; warnings are printed.
pub(super) fn load(file: &Path) -> Result<Fleet, Error> {
    let Report { fleet, errors, warnings, .. } = metadata::fleet::check(&read_source(file)?);
    warn(&warnings);
    let mut fleet = fleet.ok_or(Diagnostics(errors))?;
    apply_ignition(&mut fleet, file)?;
    Ok(fleet)
}

fn warn(warnings: &[Diagnostic]) {
    for warning in warnings {
        complain!("warning: {warning}\n");
    }
}

/// That sleds do not believe these documents by themselves.
pub(super) fn warn_of_static(plan: &Plan, output: &Path) {
    if plan.fresh_only > 0 {
        complain!(
            "warning: {} sleds refuse these documents unless a server says that they are the newest \
             (`freshness: {{required: true}}`). A static server does not: serve them with \
             `sledos serve --documents {} --freshness-key FILE`",
            plan.fresh_only,
            output.display()
        );
    }
}

/// A mistake for programs.
fn as_json(found: &Diagnostic) -> Value {
    let place = found.place.as_ref();
    json!({
        "message": found.message,
        "file": place.map(|p| p.file().display().to_string()),
        "line": place.map(|p| p.line),
        "column": place.map(|p| p.column),
        "why": found.why,
        "hint": found.hint,
    })
}

pub(super) use crate::cli::terminal::json as print_json;
