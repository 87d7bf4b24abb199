//! `sledos lock`: the packages of a recipe are chosen and written down.

use std::path::PathBuf;

use clap::Args;

use super::FetchArgs;
use crate::build::{self, Error};
use crate::exit::Failure;
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

    /// The archive is an old one on purpose (a snapshot): neither its Valid-Until nor a key
    /// that has expired since it signed counts.
    #[arg(long)]
    pub archived: bool,
}

/// Runs `sledos lock`.
pub(super) fn run_verb(args: &LockArgs) -> Result<(), Failure> {
    let mut request = super::request(&args.recipe, &args.fetch)?;
    request.clock.archived = args.archived;
    let progress = Progress::on_stderr(args.fetch.progress.into());
    let recipe = crate::recipe::load(&args.recipe).map_err(Error::Recipe)?;
    let lock = build::lock(&request, &recipe, &progress, &Interrupt::new())?;
    for (package, what) in &lock.unreviewed {
        progress.warn(format!("{package}: nobody has reviewed its maintainer scripts: {what}"));
    }
    Ok(())
}
