//! `sledos sign`: a release key signs an image.

use std::path::PathBuf;

use clap::Args;

use crate::cache::Cache;
use crate::cli::terminal::say;
use crate::exit::Failure;
use crate::fleet::read_key;
use crate::provenance;
use crate::verify::{self, Error};

/// Arguments of `sledos sign`.
#[derive(Args, Debug)]
pub struct SignArgs {
    /// The image: output/NAME/VERSION.
    #[arg(value_name = "DIR")]
    pub image: PathBuf,

    /// The secret key that signs.
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,

    /// The password of the key: the first line of this file.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,

    /// Sign although no `sledos verify` of these bytes is recorded in the cache.
    #[arg(long)]
    pub unverified: bool,

    /// Cache directory with the record [default: as for build].
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
}

/// Runs `sledos sign`.
pub(super) fn run_verb(args: &SignArgs) -> Result<(), Failure> {
    let signer = read_key(&args.key, args.password_file.as_deref())?;
    // A signature says that the image is what it says it is.
    let report = verify::artefacts(&args.image, &[])?;
    let count = report.problems().count();
    if count > 0 {
        crate::cli::terminal::err(&report.to_string());
        return Err(Error::Wrong { dir: args.image.clone(), count }.into());
    }
    if !args.unverified {
        let dir = match &args.cache {
            Some(dir) => dir.clone(),
            None => Cache::default_dir().map_err(Error::from)?,
        };
        let cache = Cache::open(&dir).map_err(Error::from)?;
        if !cache.is_verified(&verify::identity(&args.image)?) {
            return Err(Error::Unverified { dir: args.image.clone(), cache: dir }.into());
        }
    }
    for file in provenance::sign(&args.image, &signer)? {
        say!("{}", file.display());
    }
    say!("signed by {}", signer.public().id());
    Ok(())
}
