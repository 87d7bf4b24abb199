//! `sledos fleet check`.

use std::mem::ManuallyDrop;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{as_json, print_json, warn};
use crate::cli::terminal::say;
use crate::fleet::{Error, Partial, apply_ignition, find_images, read_source};
use metadata::fleet::Fleet;
use yaml::diagnostic::Diagnostics;

/// Arguments of `sledos fleet check`.
#[derive(Args, Debug)]
pub struct CheckArgs {
    /// The fleet file.
    #[arg(value_name = "FLEET", default_value = "fleet.yaml")]
    pub fleet: PathBuf,

    /// Look whether the images are there and have the users and groups that sleds want:
    /// DIR/NAME/VERSION, as `sledos build` fills it.
    #[arg(long, value_name = "DIR")]
    pub images: Option<PathBuf>,

    /// Print what was found as JSON.
    #[arg(long)]
    pub json: bool,
}

pub(super) fn run(args: &CheckArgs) -> Result<(), Error> {
    let mut report = metadata::fleet::check(&read_source(&args.fleet)?);
    if let Some(fleet) = &mut report.fleet {
        let images = |fleet: &Fleet| {
            args.images.iter().try_for_each(|dir| find_images(fleet, dir, Partial::Refuse).map(drop))
        };
        match apply_ignition(fleet, &args.fleet).and_then(|()| images(fleet)) {
            Err(Error::Mistakes(Diagnostics(errors))) => {
                report.errors = errors;
                report.fleet = None;
            }
            other => other?,
        }
    }
    if args.json {
        let list = |found: &[_]| found.iter().map(as_json).collect::<Vec<_>>();
        print_json(&json!({
            "errors": list(&report.errors),
            "warnings": list(&report.warnings),
            "notes": report.notes,
        }));
    } else {
        warn(&report.warnings);
        report.notes.iter().for_each(|note| say!("note: {note}"));
    }
    match report.fleet {
        None => Err(Diagnostics(report.errors).into()),
        Some(fleet) => {
            // The process ends here: that frees it sooner than a hundred thousand sleds one by one.
            let fleet = ManuallyDrop::new(fleet);
            if !args.json {
                let (sleds, racks) = (fleet.sleds.len(), fleet.file.racks.len());
                say!("fleet {}: {sleds} sleds in {racks} racks, no mistakes", fleet.file.fleet);
            }
            Ok(())
        }
    }
}
