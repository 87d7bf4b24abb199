//! `sledos verify`: whether an image is what it says it is.
//!
//! [`artefacts`] looks at the files of an image alone; nothing of the recipe, the lock's
//! packages or the network is needed. [`rebuild`] makes the image again under other
//! conditions and compares every byte.

mod boot;
mod contract;
pub mod differences;
mod disk;
mod rebuild;
mod records;
mod sums;
mod usr;

pub use rebuild::{Rebuild, Variation, rebuild};

use std::fmt;
use std::path::{Path, PathBuf};

use metadata::signature::TrustedKey;
use serde::Serialize;

use crate::artefacts::{Error as ArtefactError, Image, Usr};
use crate::digest::parse_sha256;
use crate::exit::{Classify, Exit};
use crate::image::manifest::{BUILDER, Manifest};
use crate::output::SUMS;
use crate::provenance;

/// What was checked, and what is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// In the order they were made.
    pub checks: Vec<Check>,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What holds when there are no problems.
    pub name: &'static str,
    /// What does not hold.
    pub problems: Vec<String>,
    /// Why it was not made at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
}

impl Report {
    /// Everything that is wrong.
    pub fn problems(&self) -> impl Iterator<Item = &String> {
        self.checks.iter().flat_map(|check| &check.problems)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in &self.checks {
            if let Some(why) = &check.skipped {
                writeln!(f, "not    {}: not looked at: {why}", check.name)?;
                continue;
            }
            let mark = if check.problems.is_empty() { "ok    " } else { "WRONG " };
            writeln!(f, "{mark} {}", check.name)?;
            for problem in &check.problems {
                writeln!(f, "         {}", problem.replace('\n', "\n         "))?;
            }
        }
        Ok(())
    }
}

/// Why an image cannot be verified.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It does not open at all.
    #[error(transparent)]
    Artefact(#[from] ArtefactError),
    /// Only directories can be verified: hashes need something to be compared with.
    #[error("{} is a single file; give the directory output/NAME/VERSION it belongs to", .0.display())]
    NotADirectory(PathBuf),
    /// A check failed; what is wrong has been printed.
    #[error("{} is not what it says it is: {count} problems", dir.display())]
    Wrong {
        /// The image.
        dir: PathBuf,
        /// How many.
        count: usize,
    },
    /// Nobody built it again and compared.
    #[error(
        "{} was not built again: run `sledos verify` on it first, which records in {} that it comes out \
         the same, or sign what is there with --unverified", dir.display(), cache.display()
    )]
    Unverified {
        /// The image.
        dir: PathBuf,
        /// The cache that was asked.
        cache: PathBuf,
    },
    /// The image cannot be made again.
    #[error("cannot build {} again: {why}", dir.display())]
    Inputs {
        /// The image.
        dir: PathBuf,
        /// What is missing or another.
        why: String,
    },
    /// A file for the second build.
    #[error(transparent)]
    Output(#[from] crate::output::Error),
    /// The recipe has mistakes.
    #[error(transparent)]
    Recipe(#[from] yaml::diagnostic::Diagnostics),
    /// The second build failed.
    #[error("the second build failed")]
    Build(#[from] crate::build::Error),
    /// The second build failed in its own process.
    #[error("the second build ended with {status}:\n{said}")]
    BuildProcess {
        /// How it ended.
        status: std::process::ExitStatus,
        /// Its error output.
        said: String,
    },
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] crate::cache::Error),
}

impl Classify for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::Artefact(error) => error.exit(),
            Self::NotADirectory(_) => Exit::Usage,
            Self::Wrong { .. } | Self::Unverified { .. } => Exit::Verification,
            Self::Inputs { .. } => Exit::Dependencies,
            Self::Recipe(_) => Exit::Recipe,
            Self::Build(error) => error.exit(),
            Self::Output(_) | Self::BuildProcess { .. } | Self::Cache(_) => Exit::Failure,
        }
    }
}

/// What the checks look at. Parts that do not read are problems of the checks that need them.
struct Subject<'a> {
    dir: &'a Path,
    image: &'a Image,
    manifest: &'a Manifest,
    root_hash: Result<[u8; 32], String>,
    usr: Result<Usr, String>,
    initramfs: Result<formats::cpio::Listing, String>,
}

/// The check that only the version that built the image can make.
const WHOLE: &str = "disk.raw is what the parts make, byte for byte";

/// Finds what is wrong.
type Find = fn(&Subject<'_>) -> Vec<String>;

/// Checks the files of an image directory, and who signed it when there are keys to trust.
///
/// # Errors
/// When it is no image directory, or its manifest or both partition tables cannot be used.
pub fn artefacts(dir: &Path, keys: &[TrustedKey]) -> Result<Report, Error> {
    let image = Image::open(dir)?;
    let Some(manifest) = &image.manifest else { return Err(Error::NotADirectory(dir.to_owned())) };
    let root_hash = parse_sha256(&manifest.root_hash);
    let subject = Subject {
        dir,
        image: &image,
        manifest,
        root_hash: root_hash
            .ok_or_else(|| format!("the manifest's root hash {:?} is none", manifest.root_hash)),
        usr: image.usr().map_err(|error| causes(&error)),
        initramfs: image.initramfs().map_err(|error| causes(&error)),
    };
    let checks: [(&'static str, Find); 15] = [
        ("SHA256SUMS covers every file and each has its hash", sums::sums),
        ("the manifest has the sizes and hashes of all artefacts", sums::manifest),
        ("both partition tables are sound and say what the manifest says", disk::tables),
        ("the partition UUIDs of USR-A and USR-A-VERITY are the halves of the root hash", disk::uuids),
        ("USR-A and USR-A-VERITY have usr.squashfs and usr.verity and nothing else", disk::slots),
        ("the ESP has the UKI and the boot loader of /usr", disk::esp),
        (WHOLE, disk::whole),
        ("the verity tree leads to the root hash, and every block of /usr to the tree", usr::verity),
        ("the same holds for each extension, and systemd takes it", usr::extensions),
        ("/usr reads to its end, and every file has the image's time", usr::content),
        ("the UKI has the kernel, the initramfs and the command line with the root hash", boot::uki),
        ("the initramfs reads to its end and has the PID 1 of the manifest", boot::initramfs),
        ("every promised NIC has its driver, modules and firmware", contract::nics),
        ("every file has one owner, and what they cost adds up", records::origins),
        ("the lock is the manifest's, and the SBOMs name the root hash", records::lock_and_sboms),
    ];
    // Another version may lay out filesystems differently and be right, too.
    let other = (manifest.builder != BUILDER)
        .then(|| format!("the image was built by {}, this is {BUILDER}", manifest.builder));
    let checks = checks.map(|(name, check)| match &other {
        Some(why) if name == WHOLE => Check { name, problems: Vec::new(), skipped: Some(why.clone()) },
        _ => Check { name, problems: check(&subject), skipped: None },
    });
    let mut checks = Vec::from(checks);
    checks.push(signed(dir, keys));
    Ok(Report { checks })
}

/// Whether one of these keys signed the image. Without a key nobody can say.
fn signed(dir: &Path, keys: &[TrustedKey]) -> Check {
    let skipped = keys.is_empty().then(|| match provenance::is_signed(dir) {
        true => "it is signed; --key says whom to trust".to_owned(),
        false => "it is not signed".to_owned(),
    });
    let problems = || provenance::problems(dir, keys).unwrap_or_else(|error| vec![causes(&error)]);
    let problems = if skipped.is_none() { problems() } else { Vec::new() };
    Check { name: "a trusted key signed its hashes, and what it was made of", problems, skipped }
}

/// An error and what caused it, in one line.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let all = std::iter::successors(Some(error), |error| error.source());
    all.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// `check` gathers problems; what it cannot do is one more.
fn gather(check: impl FnOnce(&mut Vec<String>) -> Result<(), String>) -> Vec<String> {
    let mut problems = Vec::new();
    if let Err(problem) = check(&mut problems) {
        problems.push(problem);
    }
    problems
}

/// What says which bytes an image is: the sha256 of its `SHA256SUMS`.
///
/// # Errors
/// When that does not read.
pub fn identity(dir: &Path) -> Result<[u8; 32], Error> {
    let path = dir.join(SUMS);
    let sums = std::fs::read(&path).map_err(ArtefactError::io("read", &path))?;
    Ok(crate::digest::sha256(&sums))
}
