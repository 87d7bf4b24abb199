//! `sledos explain`: why a path is in an image, or is not.

use std::path::PathBuf;

use clap::Args;

use super::print_result;
use crate::artefacts::Image;
use crate::exit::Failure;
use crate::explain::{explain, not_there};

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
    let image = Image::open(&args.image)?;
    match explain(&image, &args.path) {
        Ok(found) => print_result(args.json, &found),
        Err(error) => match not_there(&image, &args.path)? {
            Some(reason) => print_result(args.json, &reason),
            None => return Err(error.into()),
        },
    }
    Ok(())
}
