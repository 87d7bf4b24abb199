//! `sledos fleet replace`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{print_json, warn};
use crate::cli::terminal::say;
use crate::date::civil;
use crate::fleet::{Error, read_source, replace_file};
use metadata::fleet::file::Hardware;
use metadata::fleet::replace::{Replacement, replace};
use metadata::values::Mac;

/// Arguments of `sledos fleet replace`.
#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("identity").required(true).multiple(true))]
pub struct ReplaceArgs {
    /// Where the sled sits.
    #[arg(value_name = "RACK/BAY", value_parser = location)]
    pub location: (String, u32),

    /// The fleet file.
    #[arg(long, value_name = "FILE", default_value = "fleet.yaml")]
    pub fleet: PathBuf,

    /// Serial number of the new main board.
    #[arg(long, value_name = "SERIAL", group = "identity")]
    pub serial: Option<String>,

    /// Serial number of the new product.
    #[arg(long, value_name = "SERIAL", group = "identity")]
    pub product_serial: Option<String>,

    /// UUID of the new sled.
    #[arg(long, group = "identity")]
    pub uuid: Option<String>,

    /// MAC address of a NIC of the new sled; may be given several times.
    #[arg(long, group = "identity")]
    pub mac: Vec<Mac>,

    /// MAC address of the new BMC.
    #[arg(long, value_name = "MAC")]
    pub bmc_mac: Option<Mac>,

    /// The day it is retired on [default: today].
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub date: Option<String>,

    /// Say what would be done, and change nothing.
    #[arg(long)]
    pub dry_run: bool,

    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}

pub(super) fn location(text: &str) -> Result<(String, u32), String> {
    let (rack, bay) = text.rsplit_once('/').ok_or("write it as RACK/BAY, as in r12/7")?;
    let bay = bay.parse().map_err(|_| format!("`{bay}` is not a bay: write it as RACK/BAY, as in r12/7"))?;
    Ok((rack.to_owned(), bay))
}

fn today() -> String {
    let (year, month, day) = civil(i64::try_from(crate::cli::now() / 86_400).unwrap_or(0));
    format!("{year:04}-{month:02}-{day:02}")
}

pub(super) fn run(args: &ReplaceArgs) -> Result<(), Error> {
    let (rack, bay) = args.location.clone();
    let hardware = Hardware {
        board_serial: args.serial.clone(),
        product_serial: args.product_serial.clone(),
        uuid: args.uuid.as_ref().map(|u| u.to_ascii_lowercase()),
        macs: args.mac.clone(),
        bmc_mac: args.bmc_mac,
    };
    let date = args.date.clone().unwrap_or_else(today);
    let wanted = Replacement { rack, bay, hardware, date };
    let done = replace(&read_source(&args.fleet)?, &wanted)?;
    if !args.dry_run {
        replace_file(&args.fleet, &done.text)?;
    }
    if args.json {
        print_json(&json!({
            "sled": done.sled,
            "before": shown(&done.before),
            "after": shown(&wanted.hardware),
            "retired": done.retired.as_ref().map(shown),
        }));
        return Ok(());
    }
    warn(&done.warnings);
    let would = if args.dry_run { "would be " } else { "" };
    say!("{} (rack {}, bay {})", done.sled, wanted.rack, wanted.bay);
    say!("  was      {}", shown(&done.before).join(", "));
    say!("  {would}now  {}", shown(&wanted.hardware).join(", "));
    match &done.retired {
        Some(retired) => say!("  {would}retired on {}: {}", wanted.date, shown(retired).join(", ")),
        None => say!("  nothing to retire: no value of the old hardware is gone that names it alone"),
    }
    if !args.dry_run {
        say!("{} was changed; `sledos fleet compile` makes it count", args.fleet.display());
    }
    Ok(())
}

fn shown(hardware: &Hardware) -> Vec<String> {
    let one = |kind: &str, text: &Option<String>| text.as_ref().map(|t| format!("{kind} {t}"));
    let macs = hardware.macs.iter().map(|m| format!("mac {m}"));
    one("board", &hardware.board_serial)
        .into_iter()
        .chain(one("product", &hardware.product_serial))
        .chain(one("uuid", &hardware.uuid))
        .chain(macs)
        .chain(hardware.bmc_mac.map(|m| format!("bmc {m}")))
        .collect()
}
