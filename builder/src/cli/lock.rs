//! `sledos lock`: the packages of a recipe are chosen and written down.

use std::path::PathBuf;

use clap::Args;

use super::FetchArgs;

/// Arguments of `sledos lock`.
#[derive(Args, Debug)]
pub struct LockArgs {
    /// The recipe.
    #[arg(value_name = "RECIPE")]
    pub recipe: PathBuf,

    /// Where packages come from.
    #[command(flatten)]
    pub fetch: FetchArgs,
}
