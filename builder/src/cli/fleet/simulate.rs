//! `sledos fleet simulate`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::print_json;
use crate::cli::terminal::{complain, say};
use crate::simulate::link::Link;
use crate::simulate::{Error, Settings, run as simulate};

/// Arguments of `sledos fleet simulate`.
#[derive(Args, Debug)]
pub struct SimulateArgs {
    /// How many sleds are switched on.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub sleds: u32,

    /// How many servers there are, each with a store of its own.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=200))]
    pub servers: u8,

    /// Size of the image, in KiB.
    #[arg(long, value_name = "KIB", default_value_t = 256, value_parser = clap::value_parser!(u32).range(4..=1_048_576))]
    pub image: u32,

    /// How often a server is killed with SIGKILL, when equal parts of the sleds are ready.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub kill: u16,

    /// For how many seconds it is away.
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, value_parser = seconds)]
    pub down: f64,

    /// So many machines that nobody knows post their inventories meanwhile, each from an address
    /// of its own.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=4_000_000))]
    pub strangers: u32,

    /// Sleds are switched on within so many seconds, not all at once.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0, value_parser = seconds)]
    pub spread: f64,

    /// Each connection gives at most so many KiB a second.
    #[arg(long, value_name = "KIB", value_parser = clap::value_parser!(u32).range(1..))]
    pub rate: Option<u32>,

    /// Of a hundred connections so many break in the middle.
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=90))]
    pub breaks: u8,

    /// Sleds that are not ready after so many seconds are lost.
    #[arg(long, value_name = "SECONDS", default_value_t = 600.0, value_parser = seconds)]
    pub deadline: f64,

    /// Keep the fleet, the stores and the servers' logs in this directory, which must be
    /// empty [default: a temporary one].
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,

    /// Print the figures as JSON.
    #[arg(long)]
    pub json: bool,
}

fn seconds(text: &str) -> Result<f64, String> {
    let number: Option<f64> = text.parse().ok();
    let number = number.filter(|n| (0.0..=1_000_000.0).contains(n));
    number.ok_or_else(|| format!("`{text}` is no number of seconds"))
}

pub(super) fn run(args: &SimulateArgs) -> Result<(), Error> {
    let failed = |doing, path: PathBuf| move |source| Error::Io { doing, path, source };
    let temporary = match &args.keep {
        None => Some(tempfile::tempdir().map_err(failed("make a directory in", std::env::temp_dir()))?),
        Some(dir) => {
            std::fs::create_dir_all(dir).map_err(failed("make", dir.clone()))?;
            // A fleet file and documents of its own go there.
            if std::fs::read_dir(dir).map_err(failed("read", dir.clone()))?.next().is_some() {
                return Err(failed("use", dir.clone())(std::io::ErrorKind::DirectoryNotEmpty.into()));
            }
            None
        }
    };
    let dir = temporary.as_ref().map(|dir| dir.path().to_owned()).or_else(|| args.keep.clone());
    let settings = Settings {
        sleds: usize::try_from(args.sleds).unwrap_or(usize::MAX),
        servers: args.servers.into(),
        image: usize::try_from(args.image).unwrap_or(usize::MAX).saturating_mul(1024),
        kills: args.kill.into(),
        down: Duration::from_secs_f64(args.down),
        strangers: usize::try_from(args.strangers).unwrap_or(usize::MAX),
        spread: Duration::from_secs_f64(args.spread),
        link: Link { rate: args.rate.map(|kib| u64::from(kib) * 1024), breaks: args.breaks.into() },
        deadline: Duration::from_secs_f64(args.deadline),
        time: crate::cli::now(),
        program: std::env::current_exe().map_err(failed("find", "this program".into()))?,
        dir: dir.unwrap_or_default(),
    };
    let figures = simulate(&settings, &|line| complain!("{line}"))?;
    if args.json {
        print_json(&json!(figures));
    } else {
        say!("{figures}");
    }
    match figures.lost.len() {
        0 => Ok(()),
        lost => Err(Error::Lost(lost)),
    }
}
