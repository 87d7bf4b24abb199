//! `sledos fleet compile`.

use std::mem::ManuallyDrop;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use metadata::fleet::compile::MAX_GENERATION;
use serde_json::json;

use super::{load, print_json};
use crate::cli::terminal::say;
use crate::fleet::{Error, Partial, compile_found, find_images, read_key};

/// Arguments of `sledos fleet compile`.
#[derive(Args, Debug)]
pub struct CompileArgs {
    /// The fleet file.
    #[arg(value_name = "FLEET", default_value = "fleet.yaml")]
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

    /// Directory to write to; documents are in DIR/v1. What is there decides the generations.
    #[arg(long, value_name = "DIR")]
    pub output: PathBuf,

    /// When the documents are issued, in seconds since 1970 [default: now].
    #[arg(long, value_name = "SECONDS")]
    pub time: Option<u64>,

    /// Give no document a smaller generation: for when the output directory was lost and
    /// sleds remember greater ones.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=MAX_GENERATION))]
    pub least_generation: u64,

    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}

pub(super) fn run(args: &CompileArgs) -> Result<(), Error> {
    let begin = Instant::now();
    // The process ends when it has compiled: that frees it sooner than a hundred thousand sleds one by one.
    let fleet = ManuallyDrop::new(load(&args.fleet)?);
    let signer = read_key(&args.key, args.password_file.as_deref())?;
    let time = args.time.unwrap_or_else(crate::cli::now);
    let found = find_images(&fleet, &args.images, Partial::Refuse)?;
    let (plan, done) =
        compile_found(&fleet, &found, &signer, None, &args.output, time, args.least_generation)?;
    let plan = ManuallyDrop::new(plan);
    let seconds = begin.elapsed().as_secs_f64();
    if args.json {
        print_json(&json!({
            "fleet": fleet.file.fleet,
            "key": signer.public().id(),
            "sleds": plan.index.sleds,
            "changed": plan.changed,
            "unchanged": plan.unchanged,
            "fresh-only": plan.fresh_only,
            "files": {"written": done.written, "kept": done.kept, "removed": done.removed},
            "seconds": seconds,
        }));
        return Ok(());
    }
    found.values().for_each(|found| say!("{found}"));
    for name in &plan.changed {
        let generation = plan.index.sleds.get(name).map(|s| format!("generation {}", s.generation));
        say!("{name:<24} {}", generation.as_deref().unwrap_or("retired hardware: tombstone"));
    }
    super::warn_of_static(&plan, &args.output);
    say!(
        "fleet {}: {} documents new, {} as they were; {} files written, {} kept, {} removed in {seconds:.2} s",
        fleet.file.fleet,
        plan.changed.len(),
        plan.unchanged,
        done.written,
        done.kept,
        done.removed
    );
    Ok(())
}
