//! `sledos diff`: what differs between two images or locks.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::print_result;
use crate::cache::Cache;
use crate::cli::terminal::say;
use crate::diff;
use crate::exit::{Classify, Exit, Failure};

/// Arguments of `sledos diff`.
#[derive(Args, Debug)]
pub struct DiffArgs {
    /// output/NAME/VERSION, a file of one, or a lock.
    #[arg(value_name = "OLD")]
    pub old: PathBuf,

    /// The same of a later one.
    #[arg(value_name = "NEW")]
    pub new: PathBuf,

    /// Print JSON.
    #[arg(long)]
    pub json: bool,

    /// Print Markdown for a pull request.
    #[arg(long, conflicts_with = "json")]
    pub markdown: bool,

    /// Cache directory with the packages, whose changelogs are shown [default: as for build].
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
}

/// Two things are not the same; what differs has been printed.
#[derive(Debug, thiserror::Error)]
#[error("{} and {} differ", old.display(), new.display())]
pub struct Different {
    old: PathBuf,
    new: PathBuf,
}

impl Classify for Different {
    fn exit(&self) -> Exit {
        Exit::Different
    }
}

/// Runs `sledos diff`.
pub(super) fn run_verb(args: &DiffArgs) -> Result<(), Failure> {
    // No cache is no failure: it only has the changelogs.
    let dir = args.cache.clone().or_else(|| Cache::default_dir().ok());
    let cache = dir.filter(|dir| dir.is_dir()).and_then(|dir| Cache::open(&dir).ok()).map(Arc::new);
    let found = diff::diff(&args.old, &args.new, cache.as_ref())?;
    if args.markdown {
        say!("{}", diff::markdown(&found).trim_end());
    } else {
        print_result(args.json, &found);
    }
    if found.is_empty() {
        Ok(())
    } else {
        Err(Different { old: args.old.clone(), new: args.new.clone() }.into())
    }
}
