//! `sledos verify`: whether an image is what it says it is.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::print_result;
use crate::artefacts;
use crate::cache::Cache;
use crate::exit::Failure;
use crate::fleet::read_public_key;
use crate::verify::{self, Error, Rebuild, Report, Variation, differences::Difference};

/// Arguments of `sledos verify`.
#[derive(Args, Debug)]
pub struct VerifyArgs {
    /// The image: output/NAME/VERSION.
    #[arg(value_name = "DIR")]
    pub image: PathBuf,

    /// Look at the files alone; do not build the image again.
    #[arg(long)]
    pub artifact_only: bool,

    /// Public key (a .pub file) that must have signed it; one of several.
    #[arg(long, value_name = "FILE")]
    pub key: Vec<PathBuf>,

    /// Its recipe [default: recipes/NAME.yaml]. The lock is the image's own.
    #[arg(long, value_name = "FILE")]
    pub recipe: Option<PathBuf>,

    /// A component, as it was given to the build.
    #[arg(long, value_name = "NAME=FILE", value_parser = super::build::component)]
    pub component: Vec<(String, PathBuf)>,

    /// Debian mirror for packages that are not in the cache.
    #[arg(long, value_name = "URL")]
    pub mirror: Vec<String>,

    /// Cache directory with the packages [default: as for build].
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,

    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// What came out.
#[derive(Debug, Serialize)]
struct Outcome {
    #[serde(flatten)]
    report: Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    rebuilt: Option<(Variation, Vec<Difference>)>,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.report)?;
        let Some((variation, differences)) = &self.rebuilt else { return Ok(()) };
        writeln!(f, "\n{variation}")?;
        if differences.is_empty() {
            writeln!(f, "ok     every byte of every file is the same")?;
        }
        differences.iter().try_for_each(|difference| writeln!(f, "WRONG  {difference}"))
    }
}

/// Runs `sledos verify`.
pub(super) fn run_verb(args: &VerifyArgs) -> Result<(), Failure> {
    let keys = args.key.iter().map(|file| read_public_key(file)).collect::<Result<Vec<_>, _>>()?;
    // Whether there is anything to verify at all is said by the checks.
    let before = if args.artifact_only { None } else { verify::identity(&args.image).ok() };
    let report = verify::artefacts(&args.image, &keys)?;
    let rebuilt = if args.artifact_only { None } else { Some(rebuild(args)?) };
    let outcome = Outcome { report, rebuilt };
    print_result(args.json, &outcome);
    let again = outcome.rebuilt.as_ref().map_or(0, |(_, differences)| differences.len());
    match outcome.report.problems().count() + again {
        0 => match before {
            // What was looked at is what is there now.
            Some(sums) if verify::identity(&args.image)? == sums => record(args, &sums),
            _ => Ok(()),
        },
        count => Err(Error::Wrong { dir: args.image.clone(), count }.into()),
    }
}

/// For `sledos sign`.
fn record(args: &VerifyArgs, sums: &[u8; 32]) -> Result<(), Failure> {
    let dir = cache(args)?;
    let cache = Cache::open(&dir).map_err(Error::from)?;
    Ok(cache.record_verified(sums).map_err(artefacts::Error::io("record the image in", &dir))?)
}

fn cache(args: &VerifyArgs) -> Result<PathBuf, Error> {
    match &args.cache {
        Some(dir) => Ok(dir.clone()),
        None => Ok(Cache::default_dir()?),
    }
}

fn rebuild(args: &VerifyArgs) -> Result<(Variation, Vec<Difference>), Failure> {
    let manifest = artefacts::manifest(&args.image.join("manifest.json"))?;
    let recipe =
        args.recipe.clone().unwrap_or_else(|| Path::new("recipes").join(format!("{}.yaml", manifest.image)));
    let cache = cache(args)?;
    let scratch =
        tempfile::tempdir().map_err(artefacts::Error::io("make a directory in", &std::env::temp_dir()))?;
    let program = std::env::current_exe().map_err(artefacts::Error::io("find", Path::new("sledos")))?;
    let request = Rebuild {
        dir: &args.image,
        recipe: &recipe,
        program: &program,
        cache: &cache,
        mirrors: &args.mirror,
        components: &args.component,
        scratch: scratch.path(),
    };
    Ok(verify::rebuild(&request, &|_| {})?)
}
