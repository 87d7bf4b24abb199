//! `sledos build`: a recipe becomes an image.

use std::path::PathBuf;

use clap::Args;

use super::FetchArgs;
use crate::build::{self, Error, Request};
use crate::cli::terminal::say;
use crate::exit::Failure;
use crate::output::Interrupt;
use crate::progress::{Progress, trace};

/// Arguments of `sledos build`.
#[derive(Args, Debug)]
pub struct BuildArgs {
    /// The recipe.
    #[arg(value_name = "RECIPE")]
    pub recipe: PathBuf,

    /// Where packages come from and where they are kept.
    #[command(flatten)]
    pub fetch: FetchArgs,

    /// Directory for images; this one becomes DIR/NAME/VERSION.
    #[arg(long, value_name = "DIR", default_value = "output")]
    pub output: PathBuf,

    /// Version of the image [default: the lock's time as YYYYMMDD.HHMM].
    #[arg(long, value_name = "VERSION")]
    pub image_version: Option<String>,

    /// A component that is not in Debian: a .deb, a tar with paths from the root, or a program
    /// that is linked statically.
    #[arg(long, value_name = "NAME=FILE", value_parser = component)]
    pub component: Vec<(String, PathBuf)>,

    /// Fail when a component of the recipe is not given.
    #[arg(long)]
    pub require_components: bool,

    /// Compress quickly instead of well, for trying things out.
    #[arg(long)]
    pub fast: bool,

    /// Write disk.raw.zst, too: for servers and copies that would fill the holes of disk.raw.
    #[arg(long)]
    pub compressed_disk: bool,

    /// Replace an image of the same version that has another root hash. Where it was published
    /// already, no server takes the new one: give that another version.
    #[arg(long)]
    pub replace: bool,

    /// Fail when there is no lock, instead of making one.
    #[arg(long)]
    pub locked: bool,

    /// Threads [default: one per CPU]. The image does not depend on it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub jobs: Option<u16>,

    /// Write what ran when on which thread, for a trace viewer (Perfetto, about:tracing).
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,

    /// Mask for the modes of new files, for `sledos verify`: the image does not depend on it.
    #[arg(long, value_name = "OCTAL", hide = true, value_parser = umask)]
    pub umask: Option<u32>,

    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}

/// A mask in octal.
fn umask(text: &str) -> Result<u32, String> {
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mask| *mask <= 0o777)
        .ok_or_else(|| "not an octal mask".to_owned())
}

pub(super) fn component(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, file)) if !name.is_empty() && !file.is_empty() => Ok((name.to_owned(), file.into())),
        _ => Err("write it as NAME=FILE, as in mesos-agent=mesos_1.11.0_amd64.deb".to_owned()),
    }
}

/// Runs `sledos build`.
pub(super) fn run_verb(args: &BuildArgs) -> Result<(), Failure> {
    if let Some(mask) = args.umask {
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(mask));
    }
    let request = Request {
        locked: args.locked,
        output: args.output.clone(),
        version: args.image_version.clone(),
        components: args.component.clone(),
        require_components: args.require_components,
        fast: args.fast,
        compressed_disk: args.compressed_disk,
        replace: args.replace,
        time: source_date_epoch()?,
        jobs: args.jobs.map(usize::from),
        ..super::request(&args.recipe, &args.fetch)?
    };
    let interrupt = Interrupt::on_signals().map_err(|source| Error::Io {
        what: "handling signals for",
        path: request.recipe.clone(),
        source,
    })?;
    let progress = Progress::on_stderr(args.fetch.progress.into());
    if args.trace.is_some() {
        trace::record();
    }
    let built = build::run(&request, &progress, &interrupt);
    // A build that failed is looked at, too.
    if let Some(path) = &args.trace {
        let written = std::fs::write(path, trace::to_json());
        written.map_err(|source| Error::Io { what: "writing", path: path.clone(), source })?;
    }
    let built = built?;
    if args.json {
        crate::cli::terminal::out(&yaml::shown::json(&built.manifest.to_json()));
    } else {
        say!("{}", built.summary);
    }
    Ok(())
}

/// `SOURCE_DATE_EPOCH` (reproducible-builds.org), when it is set.
fn source_date_epoch() -> Result<Option<i64>, Error> {
    let Some(text) = std::env::var_os("SOURCE_DATE_EPOCH") else { return Ok(None) };
    let parsed = text.to_str().and_then(|text| text.parse().ok());
    parsed.map(Some).ok_or_else(|| Error::Epoch(text.to_string_lossy().into_owned()))
}
