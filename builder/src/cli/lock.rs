//! `sledos lock`: the packages of a recipe are chosen and written down.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::FetchArgs;
use crate::build::{self, Error};
use crate::cache::Cache;
use crate::diff;
use crate::exit::{Classify, Exit, Failure};
use crate::lock::{self, Lock};
use crate::output::Interrupt;
use crate::progress::Progress;

/// Arguments of `sledos lock`.
#[derive(Args, Debug)]
pub struct LockArgs {
    /// The recipe.
    #[arg(value_name = "RECIPE")]
    pub recipe: PathBuf,

    /// Where packages come from and where they are kept.
    #[command(flatten)]
    pub fetch: FetchArgs,

    /// A component that is given as a Debian package: what it depends on is locked, too.
    #[arg(long, value_name = "NAME=FILE", value_parser = super::build::component)]
    pub component: Vec<(String, PathBuf)>,

    /// The archive is an old one on purpose (a snapshot): neither its Valid-Until nor a key
    /// that has expired since it signed counts.
    #[arg(long)]
    pub archived: bool,

    /// Change nothing: fail when the archives now give other packages than the lock has.
    #[arg(long)]
    pub check: bool,
}

/// The lock is not what would be locked now; what differs has been printed.
#[derive(Debug, thiserror::Error)]
#[error("{} is not what would be locked now; `sledos lock` writes that", .0.display())]
struct Outdated(PathBuf);

impl Classify for Outdated {
    fn exit(&self) -> Exit {
        Exit::Dependencies
    }
}

/// Runs `sledos lock`.
pub(super) fn run_verb(args: &LockArgs) -> Result<(), Failure> {
    let mut request = super::request(&args.recipe, &args.fetch)?;
    request.clock.archived = args.archived;
    request.components.clone_from(&args.component);
    let progress = Progress::on_stderr(args.fetch.progress.into());
    let recipe = crate::recipe::load(&args.recipe).map_err(Error::Recipe)?;
    let file = request.lock.clone().unwrap_or_else(|| lock::path_of(&recipe));
    let lock = build::resolve(&request, &recipe, &progress, &Interrupt::new())?;
    // What changes is shown before anything is written. An old lock that does not read is replaced.
    match Lock::read(&file) {
        Ok(old) => {
            let cache = Cache::open(&request.cache).map_err(Error::Cache)?;
            let change = diff::locks(&file.display().to_string(), &old, &lock, Some(&Arc::new(cache)));
            if !change.is_empty() {
                super::print_result(false, &change);
            }
            let same = old.request == lock.request && old.extensions == lock.extensions;
            let current = change.is_empty() && same;
            if args.check {
                return if current { Ok(()) } else { Err(Outdated(file).into()) };
            }
        }
        Err(error) if args.check => return Err(Error::Lock(error).into()),
        Err(_) => {}
    }
    build::write_lock(&request, &recipe, &lock, &progress)?;
    for (package, what) in &lock.unreviewed {
        progress.warn(format!("{package}: nobody has reviewed its maintainer scripts: {what}"));
    }
    Ok(())
}
