//! The command line: one file per verb. Parsing only; the work is the library's.

pub mod boot;
pub mod build;
pub mod lock;
pub mod reference;

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

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
}

/// Where packages come from and what is kept: shared by the verbs that fetch.
#[derive(Args, Clone, Debug, Default)]
pub struct FetchArgs {
    /// Debian mirror to use instead of those in the host's apt sources; several are tried in order.
    #[arg(long, value_name = "URL")]
    pub mirror: Vec<String>,

    /// Cache directory [default: $XDG_CACHE_HOME/sledos, else ~/.cache/sledos].
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,

    /// The lock [default: beside the recipe, with the extension .lock].
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
