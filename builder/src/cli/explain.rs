//! `sledos explain`: why a path is in an image.

use std::path::PathBuf;

use clap::Args;

use super::print_result;
use crate::artefacts::Image;
use crate::exit::Failure;
use crate::explain::explain;

/// Arguments of `sledos explain`.
#[derive(Args, Debug)]
pub struct ExplainArgs {
    /// The path: /usr/bin/dockerd, initramfs:/init.
    #[arg(value_name = "PATH")]
    pub path: String,

    /// The image: output/NAME/VERSION.
    #[arg(long, value_name = "DIR")]
    pub image: PathBuf,

    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Runs `sledos explain`.
pub(super) fn run_verb(args: &ExplainArgs) -> Result<(), Failure> {
    print_result(args.json, &explain(&Image::open(&args.image)?, &args.path)?);
    Ok(())
}
