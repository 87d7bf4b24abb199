//! The command line: one file per verb. Parsing only; the work is the library's.

pub mod boot;
pub mod build;
pub mod diff;
pub mod explain;
pub mod fleet;
pub mod inspect;
pub mod keys;
pub mod lock;
pub mod publish;
pub mod reference;
pub mod seed;
pub mod serve;
pub mod sign;
pub mod terminal;
pub mod verify;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::apt::fetch::Patience;
use crate::apt::release::Clock;
use crate::build::{Error, Request};
use crate::cache::Cache;
use crate::date::now;
use crate::exit::Failure;
use crate::progress::Style;

/// Immutable OS images and the boot chain for racks of bare-metal sleds.
#[derive(Debug, Parser)]
#[command(name = "sledos", version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Build an image from a recipe and its lock.
    Build(build::BuildArgs),
    /// Choose the packages of a recipe and write its lock.
    Lock(lock::LockArgs),
    /// Boot a built image in QEMU, its serial console on this terminal.
    Boot(boot::BootArgs),
    /// Show what is in an image, without mounting it.
    Inspect(inspect::InspectArgs),
    /// Say why a path is in an image: who put it there, which line of the lock, what it costs.
    Explain(explain::ExplainArgs),
    /// Show what differs between two images or two locks.
    Diff(diff::DiffArgs),
    /// Check an image against itself, and build it again to compare every byte.
    Verify(verify::VerifyArgs),
    /// Sign an image and the statement of what it was made of.
    Sign(sign::SignArgs),
    /// Racks, roles and sleds: check them, and make signed documents of them.
    #[command(subcommand)]
    Fleet(fleet::FleetVerb),
    /// Serve images, documents and boot scripts to sleds, take their reports, show the racks.
    Serve(serve::ServeArgs),
    /// The first machine of a rack: asks on its console, then serves all the others.
    #[command(subcommand)]
    Seed(seed::SeedVerb),
    /// Publish images, iPXE and documents into a directory for any static HTTP server.
    Publish(publish::PublishArgs),
    /// Keys that sign documents.
    #[command(subcommand)]
    Keys(keys::KeysVerb),
}

/// Where packages come from and where they are kept: shared by the verbs that fetch.
#[derive(Args, Clone, Debug, Default)]
pub struct FetchArgs {
    /// Debian mirror to use instead of those in the host's apt sources; several are tried in order.
    #[arg(long, value_name = "URL")]
    pub mirror: Vec<String>,

    /// Cache directory [default: $XDG_CACHE_HOME/sledos, else ~/.cache/sledos].
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,

    /// The lock [default: NAME.lock beside the recipe, NAME being the recipe's].
    #[arg(long, value_name = "FILE")]
    pub lock: Option<PathBuf>,

    /// How to show progress.
    #[arg(long, value_enum, default_value_t = ProgressKind::Auto)]
    pub progress: ProgressKind,
}

/// How to show progress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ProgressKind {
    /// Bars on a terminal, lines elsewhere.
    #[default]
    Auto,
    /// One line per stage.
    Plain,
    /// One JSON object per line, on standard error.
    Json,
    /// Nothing.
    None,
}

impl From<ProgressKind> for Style {
    fn from(kind: ProgressKind) -> Self {
        match kind {
            ProgressKind::Auto => Self::Auto,
            ProgressKind::Plain => Self::Plain,
            ProgressKind::Json => Self::Json,
            ProgressKind::None => Self::Silent,
        }
    }
}

/// Does what the command line says.
///
/// # Errors
/// With the exit code of what went wrong.
pub fn run(cli: &Cli) -> Result<(), Failure> {
    match &cli.verb {
        Verb::Build(args) => build::run_verb(args),
        Verb::Lock(args) => lock::run_verb(args),
        Verb::Boot(args) => Ok(boot::run(args)?),
        Verb::Inspect(args) => inspect::run_verb(args),
        Verb::Diff(args) => diff::run_verb(args),
        Verb::Verify(args) => verify::run_verb(args),
        Verb::Sign(args) => sign::run_verb(args),
        Verb::Explain(args) => explain::run_verb(args),
        Verb::Fleet(verb) => fleet::run_verb(verb),
        Verb::Serve(args) => Ok(serve::run(args)?),
        Verb::Seed(verb) => seed::run_verb(verb),
        Verb::Publish(args) => Ok(publish::run(args)?),
        Verb::Keys(verb) => keys::run_verb(verb),
    }
}

/// Prints a result on standard output, as JSON or for people. A reader that has gone
/// (`| head`) is no failure.
fn print_result<T: serde::Serialize + std::fmt::Display>(json: bool, result: &T) {
    let text =
        if json { serde_json::to_string_pretty(result).unwrap_or_default() } else { result.to_string() };
    let text = if json { yaml::shown::json(&text) } else { text };
    terminal::say!("{}", text.trim_end());
}

/// The request of a verb that fetches, with defaults for what only `build` has.
fn request(recipe: &std::path::Path, args: &FetchArgs) -> Result<Request, Error> {
    let cache = match &args.cache {
        Some(dir) => dir.clone(),
        None => Cache::default_dir()?,
    };
    // The only look at the clock: whether signatures have expired. It never gets into an image.
    let now = i64::try_from(now()).unwrap_or(0);
    Ok(Request {
        recipe: recipe.to_owned(),
        lock: args.lock.clone(),
        locked: false,
        mirrors: args.mirror.clone(),
        etc_apt: "/etc/apt".into(),
        cache,
        output: "output".into(),
        version: None,
        components: Vec::new(),
        require_components: false,
        fast: false,
        compressed_disk: false,
        replace: false,
        time: None,
        jobs: None,
        clock: Clock { now, archived: false },
        patience: Patience::default(),
    })
}
