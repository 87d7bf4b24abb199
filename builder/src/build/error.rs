//! Why a build gave up.

use std::io;
use std::path::PathBuf;

use formats::tree::{NotADirectory, PathError, TreePath};
use formats::{ext4, fat};

use crate::exit::{Classify, Exit};
use crate::progress::bytes;

/// Why a build gave up. Nothing is left under the image's final name then.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The recipe has mistakes.
    #[error(transparent)]
    Recipe(#[from] yaml::diagnostic::Diagnostics),
    /// The lock is missing, stale, or cannot be made.
    #[error(transparent)]
    Lock(#[from] crate::lock::Error),
    /// No mirror.
    #[error(transparent)]
    Sources(#[from] crate::apt::sources::Error),
    /// A package cannot be fetched.
    #[error(transparent)]
    Fetch(#[from] crate::apt::fetch::Error),
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] crate::cache::Error),
    /// A package cannot be unpacked.
    #[error(transparent)]
    Unpack(#[from] crate::unpack::Error),
    /// The packages do not fit together.
    #[error(transparent)]
    Merge(#[from] crate::unpack::merge::Error),
    /// A component cannot be added.
    #[error(transparent)]
    Component(#[from] crate::unpack::component::Error),
    /// An overlay cannot be laid over the tree.
    #[error(transparent)]
    Overlay(#[from] crate::unpack::overlay::Error),
    /// The users and groups of the recipe and of base-passwd do not go together.
    #[error(transparent)]
    Accounts(#[from] crate::accounts::Error),
    /// A fix-up gave up.
    #[error(transparent)]
    Fixup(#[from] crate::fixups::Error),
    /// The kernel's modules cannot be read.
    #[error(transparent)]
    Modules(#[from] crate::kernel::catalog::Error),
    /// The recipe names modules the kernel does not have.
    #[error(transparent)]
    UnknownModules(#[from] crate::kernel::select::UnknownModules),
    /// A promised NIC would not work.
    #[error(transparent)]
    Contract(#[from] crate::kernel::contract::ContractError),
    /// The module indexes cannot be written.
    #[error(transparent)]
    Indexes(#[from] crate::kernel::indexes::Error),
    /// The initramfs cannot be put together.
    #[error(transparent)]
    Initramfs(#[from] crate::kernel::initramfs::Error),
    /// The CPU microcode cannot be put in front of it.
    #[error(transparent)]
    Microcode(#[from] crate::kernel::microcode::Error),
    /// The initramfs cannot be packed.
    #[error("cannot pack the initramfs")]
    Cpio(#[from] formats::cpio::Error),
    /// zstd gave up on the initramfs or a piece of the disk, for want of memory.
    #[error("zstd cannot compress")]
    Compress(#[source] io::Error),
    /// The UKI cannot be made.
    #[error("cannot make the unified kernel image")]
    Uki(#[from] formats::uki::Error),
    /// /usr cannot be written.
    #[error("cannot write /usr as squashfs")]
    Squashfs(#[from] formats::squashfs::Error),
    /// The ESP cannot be written.
    #[error("cannot write the EFI system partition; does it need more room? (`layout: esp:`)")]
    Fat(#[from] formats::fat::Error),
    /// OEM or ROOT cannot be written.
    #[error("cannot write an ext4 partition (`layout: oem:`, `layout: root:`)")]
    Ext4(#[from] formats::ext4::Error),
    /// The partition table cannot be written.
    #[error("cannot write the partition table of {}", path.display())]
    Gpt {
        /// The disk image.
        path: PathBuf,
        /// Why.
        source: formats::gpt::WriteError,
    },
    /// Another image of this version is there.
    #[error("{} is another image: its root hash is {there}, that of the new one {new}", path.display())]
    Replaces {
        /// Where.
        path: PathBuf,
        /// The root hash of the one there.
        there: String,
        /// That of the new one.
        new: String,
    },
    /// The output directory.
    #[error(transparent)]
    Output(#[from] crate::output::Error),
    /// A file of the output.
    #[error("{what} {}", path.display())]
    Io {
        /// What was being done.
        what: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A file of the tree cannot be read back from the cache.
    #[error("cannot read /{path} of the image from the cache")]
    Content {
        /// The file.
        path: TreePath,
        /// Why.
        source: io::Error,
    },
    /// Not exactly one kernel.
    #[error(
        "the packages bring {} kernels{}, and an image has one; `kernel: package:` names the package it comes from",
        .found.len(), paths(.found)
    )]
    Kernels {
        /// Those that were found.
        found: Vec<TreePath>,
    },
    /// A file of a package that went nowhere.
    #[error(
        "/{path} of the package {package} is not in the image, and nothing took it out: this is a fault of sledos"
    )]
    Lost {
        /// The package.
        package: String,
        /// The file.
        path: TreePath,
    },
    /// A package of an extension and the image have the same path.
    #[error(
        "the extension {extension}: /{path} of the package {package} is in the image already ({there}); \
         leave the package out, or exclude the path"
    )]
    InImage {
        /// The extension.
        extension: String,
        /// Its package.
        package: std::sync::Arc<str>,
        /// What both have.
        path: TreePath,
        /// Who put it into the image.
        there: String,
    },
    /// Something that boots the image is missing.
    #[error("/{path} is in none of the packages; it comes with {package}, add that to `packages:`")]
    NoBootPart {
        /// The file.
        path: TreePath,
        /// The package that has it.
        package: &'static str,
    },
    /// There is no /usr.
    #[error("the packages bring no /usr at all")]
    NoUsr,
    /// `--component` names what the recipe does not.
    #[error("--component {name}: the recipe has no such component; it has {}", listed(known))]
    UnknownComponent {
        /// The name given.
        name: String,
        /// Those the recipe has.
        known: Vec<String>,
    },
    /// `--require-components` and one is missing.
    #[error("not given: {}; give each with --component NAME=FILE", listed(names))]
    MissingComponents {
        /// Their names.
        names: Vec<String>,
    },
    /// `--require-components` and one cannot work as it is.
    #[error("{}", needs.join("\n"))]
    ComponentNeeds {
        /// A line for each thing that is missing.
        needs: Vec<String>,
    },
    /// A pin that is no sha256.
    #[error("component {component}: {text:?} is no sha256; it has 64 hexadecimal digits")]
    Pin {
        /// The component.
        component: String,
        /// The pin.
        text: String,
    },
    /// Does not fit into its partition.
    #[error("{} do not fit into the partition {partition} of {}; enlarge it under `layout:` or leave more out", bytes(*size), bytes(*room))]
    TooLarge {
        /// GPT name.
        partition: &'static str,
        /// Bytes to be written.
        size: u64,
        /// Bytes there are.
        room: u64,
    },
    /// Larger than the recipe allows.
    #[error("{}", over_budget(.0))]
    Budget(Vec<OverBudget>),
    /// A version that cannot be a file name.
    #[error(
        "the version {0:?} is not one: letters, digits, `.`, `-`, `_`, `~` and `^` make it up, at most 64 of them, a letter or digit first"
    )]
    Version(String),
    /// Something in the way in a tree of our own.
    #[error(transparent)]
    Place(#[from] NotADirectory),
    /// A name that is no path.
    #[error(transparent)]
    Path(#[from] PathError),
    /// No tree for the ESP.
    #[error(transparent)]
    Esp(#[from] formats::layout::EspError),
    /// The partitions of the recipe are larger than any disk.
    #[error("cannot lay out the disk; are the partitions too large? (`layout:`)")]
    Layout(#[from] formats::layout::TooSmall),
    /// The threads cannot be started.
    #[error("cannot start {jobs} threads (--jobs)")]
    Threads {
        /// How many.
        jobs: usize,
        /// Why.
        source: rayon::ThreadPoolBuildError,
    },
    /// A time that FAT, ext4 or squashfs cannot hold.
    #[error(
        "the time {0} (seconds since 1970) is not one an image can have: 1980 to 2106; look at SOURCE_DATE_EPOCH"
    )]
    Time(i64),
    /// `SOURCE_DATE_EPOCH` is no number.
    #[error("SOURCE_DATE_EPOCH is {0:?}; it must be a number of seconds since 1970")]
    Epoch(String),
    /// Ctrl-C.
    #[error(transparent)]
    Interrupted(#[from] crate::output::Interrupted),
}

/// An artefact above its budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverBudget {
    /// Key under `budgets:`.
    pub artefact: &'static str,
    /// Its size in bytes.
    pub size: u64,
    /// The budget in bytes.
    pub budget: u64,
    /// What takes the most, largest first.
    pub largest: Vec<(String, u64)>,
    /// What grew since the last image, when there is one to compare with.
    pub since: Option<Since>,
}

/// What grew since another image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Since {
    /// Which image, and which lock it was made from.
    pub image: String,
    /// Owner, bytes then, bytes now; what grew most first.
    pub grown: Vec<(String, u64, u64)>,
}

fn over_budget(all: &[OverBudget]) -> String {
    let mut lines = vec!["over budget (`budgets:` in the recipe):".to_owned()];
    for over in all {
        let (is, may) = (bytes(over.size), bytes(over.budget));
        lines.push(format!("  {}: {is}, {may} allowed; the largest in it:", over.artefact));
        lines.extend(over.largest.iter().map(|(name, size)| format!("    {:>10}  {name}", bytes(*size))));
        if let Some(Since { image, grown }) = &over.since {
            lines.push(format!("    grown since {image}:"));
            lines.extend(
                grown.iter().map(|(name, then, now)| format!("    {:>10}  {name}", Grown(now - then))),
            );
        }
    }
    lines.join("\n")
}

/// `+1.5 MiB`.
struct Grown(u64);

impl std::fmt::Display for Grown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&format!("+{}", bytes(self.0)))
    }
}

/// ` (/boot/vmlinuz-6.1, …)`, or nothing.
fn paths(paths: &[TreePath]) -> String {
    let all: Vec<String> = paths.iter().map(|path| format!("/{path}")).collect();
    if all.is_empty() { String::new() } else { format!(" ({})", all.join(", ")) }
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

impl Classify for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::Recipe(_)
            | Self::Merge(_)
            | Self::Component(_)
            | Self::Overlay(_)
            | Self::Accounts(_)
            | Self::Fixup(_)
            | Self::UnknownModules(_)
            | Self::Kernels { .. }
            | Self::NoBootPart { .. }
            | Self::NoUsr
            | Self::UnknownComponent { .. }
            | Self::MissingComponents { .. }
            | Self::ComponentNeeds { .. }
            | Self::Layout(_)
            | Self::Pin { .. } => Exit::Recipe,
            Self::Sources(_) => Exit::Network,
            Self::Fetch(error) => fetch_exit(error),
            Self::Lock(error) => lock_exit(error),
            Self::Unpack(_) | Self::Modules(_) => Exit::Verification,
            Self::Contract(_) | Self::TooLarge { .. } | Self::Budget(_) => Exit::Contract,
            // A partition whose size in the recipe is too small for its file system.
            Self::Fat(fat::Error::Size { .. } | fat::Error::TooSmall { .. })
            | Self::Ext4(
                ext4::Error::Option { .. } | ext4::Error::TooSmall { .. } | ext4::Error::TooManyNodes { .. },
            ) => Exit::Contract,
            Self::Version(_) | Self::Time(_) | Self::Epoch(_) | Self::Replaces { .. } => Exit::Usage,
            Self::Interrupted(_) => Exit::Interrupted,
            _ => Exit::Failure,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Output(error) => error.hint(),
            Self::Replaces { .. } => Some(
                "give the new one another --image-version; --replace replaces one that was never published"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

fn fetch_exit(error: &crate::apt::fetch::Error) -> Exit {
    match error {
        crate::apt::fetch::Error::Cache { .. } => Exit::Failure,
        _ => Exit::Network,
    }
}

fn lock_exit(error: &crate::lock::Error) -> Exit {
    use crate::lock::Error as Lock;
    match error {
        Lock::Missing { .. }
        | Lock::Stale { .. }
        | Lock::Corrupt { .. }
        | Lock::Resolve(_)
        | Lock::Extension { .. } => Exit::Dependencies,
        Lock::Io { .. } | Lock::Cache(_) => Exit::Failure,
        Lock::Sources(_) => Exit::Network,
        Lock::Archive(error) => archive_exit(error),
        Lock::Fetch(error) => fetch_exit(error),
        Lock::Scripts { .. } | Lock::Backwards { .. } => Exit::Verification,
    }
}

fn archive_exit(error: &crate::apt::archive::Error) -> Exit {
    match error {
        crate::apt::archive::Error::Fetch(error) => fetch_exit(error),
        _ => Exit::Verification,
    }
}
