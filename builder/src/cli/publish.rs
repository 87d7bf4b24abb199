//! `sledos publish`.

use std::path::PathBuf;

use clap::Args;
use metadata::fleet::compile::MAX_GENERATION;
use serde_json::json;

use crate::cli::terminal::{complain, say};
use crate::fleet::read_key;
use crate::output::Interrupt;
use crate::publish::{Error, Release, publish};

/// Arguments of `sledos publish`.
#[derive(Args, Debug)]
pub struct PublishArgs {
    /// Directory to publish to, for any static HTTP server. What is there decides the
    /// generations of documents.
    #[arg(value_name = "DIR")]
    pub output: PathBuf,

    /// The fleet file.
    #[arg(long, value_name = "FILE", default_value = "fleet.yaml")]
    pub fleet: PathBuf,

    /// Directory of images, as `sledos build` fills it: DIR/NAME/VERSION.
    #[arg(long, value_name = "DIR", default_value = "output")]
    pub images: PathBuf,

    /// The secret key that signs.
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,

    /// The password of the key: the first line of this file.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,

    /// When the documents are issued, in seconds since 1970 [default: now].
    #[arg(long, value_name = "SECONDS")]
    pub time: Option<u64>,

    /// Give no document a smaller generation: for when the directory was lost and sleds
    /// remember greater ones.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=MAX_GENERATION))]
    pub least_generation: u64,

    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}

pub(super) fn run(args: &PublishArgs) -> Result<(), Error> {
    let interrupt = Interrupt::on_signals().map_err(Error::Signals)?;
    let fleet = super::fleet::load(&args.fleet)?;
    let signer = read_key(&args.key, args.password_file.as_deref())?;
    let release = Release {
        fleet: &fleet,
        images: &args.images,
        signer: &signer,
        output: &args.output,
        time: args.time.unwrap_or_else(super::now),
        least_generation: args.least_generation,
    };
    let done = publish(&release, &interrupt)?;
    if args.json {
        super::fleet::print_json(&json!({
            "fleet": fleet.file.fleet,
            "images": {"new": done.images, "kept": done.kept, "bytes": done.bytes},
            "pxe": done.pxe,
            "changed": done.plan.changed,
            "unchanged": done.plan.unchanged,
            "fresh-only": done.plan.fresh_only,
        }));
        return Ok(());
    }
    done.said.iter().for_each(|image| say!("{image}"));
    for image in &done.images {
        say!("{image:<32} new");
    }
    for image in &done.kept {
        say!("{image:<32} as it was");
    }
    if !done.pxe {
        complain!("warning: iPXE is not in it; Debian has it in the package ipxe");
    }
    super::fleet::warn_of_static(&done.plan, &args.output);
    say!(
        "fleet {}: {} images new ({} MiB), {} documents new, {} as they were",
        fleet.file.fleet,
        done.images.len(),
        done.bytes >> 20,
        done.plan.changed.len(),
        done.plan.unchanged
    );
    Ok(())
}
