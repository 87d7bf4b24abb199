//! What maintainer scripts would have done, as named, ordered, declarative steps.
//!
//! Assumes that all packages, components and overlays are in the tree, so that a
//! file of an overlay wins over the default a fix-up would have written. Leaves
//! a tree whose `usr/` is the whole image: `etc/` has moved to
//! `usr/share/sledos/etc` and `var/` is gone. Each fix-up is a pure function of
//! the tree and the [`Context`]; there is no clock, no host file and no random
//! number. Not done here: module indexes, which belong to the kernel.

mod accounts;
mod alternatives;
mod ca_certificates;
mod defaults;
mod dpkg;
mod edit;
pub(crate) mod elf;
mod etc;
mod ld_so_cache;
mod nsswitch;
mod opt;
mod os_release;
mod owners;
mod pam;
mod shells;
mod sledctl;
mod units;
mod var;
mod x509_name;

use edit::Edit;
use formats::tree::{NotADirectory, PathError, Tree, TreePath};

use crate::accounts::{Ids, Unknown};
use crate::recipe::Recipe;
use crate::unpack::Package;
use crate::unpack::control::Control;

/// What fix-ups know besides the tree.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The recipe: users, alternatives, units, the image's name.
    pub recipe: &'a Recipe,
    /// All users and groups of the image.
    pub ids: &'a Ids,
    /// Version of the image, as in `IMAGE_VERSION=` of os-release(5).
    pub version: &'a str,
    /// What the packages of the image say of themselves.
    pub packages: &'a [&'a Control],
    /// Packages and their postinsts, which nobody runs.
    pub scripts: &'a [Script<'a>],
}

/// A package and its postinst; empty when it has none.
#[derive(Clone, Copy, Debug)]
pub struct Script<'a> {
    /// The package.
    pub package: &'a str,
    /// The script.
    pub postinst: &'a str,
}

impl<'a> Script<'a> {
    /// The postinst of a package.
    pub fn of(package: &'a Package) -> Self {
        let postinst = package.control.scripts.get("postinst");
        let postinst = postinst.and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default();
        Self { package: &package.name, postinst }
    }
}

/// What one fix-up did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its name.
    pub name: &'static str,
    /// Why it is there, one line for people.
    pub why: &'static str,
    /// Number of nodes it made, moved, changed or took away.
    pub changed: usize,
    /// What somebody should know, a line each.
    pub notes: Vec<String>,
}

/// Why a fix-up gave up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something a fix-up cannot do without is not in the tree.
    #[error("fix-up {fixup}: /{path} is missing; it comes from the package {package}: add it to `packages:`")]
    Missing {
        /// Name of the fix-up.
        fixup: &'static str,
        /// What is missing.
        path: TreePath,
        /// The package that ships it.
        package: &'static str,
    },
    /// Users and groups that the image does not have.
    #[error("these have no number; add them to the recipe's `users:` or `groups:`:{}", lines(.0))]
    NoNumber(
        /// Each with who asks for it.
        Vec<(Unknown, String)>,
    ),
    /// Patterns of the recipe's `attributes:`.
    #[error("`attributes:` of the recipe: {0}")]
    Attributes(String),
    /// An input has a form the fix-up does not know.
    #[error("fix-up {fixup}: /{path}: {problem}")]
    Unexpected {
        /// Name of the fix-up.
        fixup: &'static str,
        /// The file.
        path: TreePath,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// A file of the tree cannot be read.
    #[error("fix-up {fixup}: cannot read /{path}")]
    Read {
        /// Name of the fix-up.
        fixup: &'static str,
        /// The file.
        path: TreePath,
        /// Why.
        source: std::io::Error,
    },
    /// A path of the recipe or of a package is not a path of the image.
    #[error("fix-up {fixup}: bad path")]
    Path {
        /// Name of the fix-up.
        fixup: &'static str,
        /// Why.
        source: PathError,
    },
    /// A file stands where a directory is needed.
    #[error("fix-up {fixup}: cannot write /{path}")]
    InTheWay {
        /// Name of the fix-up.
        fixup: &'static str,
        /// What was to be written.
        path: TreePath,
        /// What is in the way.
        source: NotADirectory,
    },
}

fn lines(unknown: &[(Unknown, String)]) -> String {
    unknown.iter().map(|(who, why)| format!("\n  {} {}: {why}", who.what, who.name)).collect()
}

/// A named step.
struct Fixup {
    name: &'static str,
    why: &'static str,
    run: fn(&mut Edit<'_>, &Context<'_>) -> Result<(), Error>,
}

/// All fix-ups in the order they run. Those that write to `etc/` come before
/// `etc-lower`, which moves it.
const FIXUPS: &[Fixup] = &[
    Fixup {
        name: "defaults",
        why: "configuration that ucf or a postinst copies from a template",
        run: defaults::run,
    },
    Fixup {
        name: "accounts",
        why: "users and groups with fixed numbers; logins and services need them",
        run: accounts::run,
    },
    Fixup {
        name: "owners",
        why: "owners, modes and capabilities that postinsts set, and those of the recipe",
        run: owners::run,
    },
    Fixup { name: "pam", why: "pam-auth-update: without it sshd closes every connection", run: pam::run },
    Fixup { name: "nsswitch", why: "name lookups through files, systemd and resolved", run: nsswitch::run },
    Fixup { name: "shells", why: "update-shells: the valid login shells", run: shells::run },
    Fixup {
        name: "ca-certificates",
        why: "update-ca-certificates: the trust store of curl and dockerd",
        run: ca_certificates::run,
    },
    Fixup {
        name: "alternatives",
        why: "update-alternatives as plain links, as the recipe chooses or by priority",
        run: alternatives::run,
    },
    Fixup { name: "sledctl", why: "status, readiness and boot counting on the sled", run: sledctl::run },
    Fixup { name: "units", why: "systemctl enable and mask", run: units::run },
    Fixup {
        name: "ld-so-cache",
        why: "ldconfig: libraries are found at once, those of /usr/local, too",
        run: ld_so_cache::run,
    },
    Fixup { name: "dpkg-status", why: "what is installed, for inventories and scanners", run: dpkg::run },
    Fixup { name: "os-release", why: "the image says its own name and version", run: os_release::run },
    Fixup { name: "opt", why: "/opt is in memory; what packages ship there is below /usr", run: opt::run },
    Fixup { name: "no-var", why: "/var is a partition; tmpfiles and StateDirectory= fill it", run: var::run },
    Fixup {
        name: "etc-lower",
        why: "/etc is an overlay whose lower layer lies in the verified /usr",
        run: etc::run,
    },
];

pub use opt::OPT;

/// Where `etc/` of the packages ends up: the lower layer of /etc.
pub const ETC_LOWER: &str = "usr/share/sledos/etc";

/// Applies all fix-ups in order.
///
/// # Errors
/// The first fix-up that cannot do its work; the tree is then in between.
pub fn apply(tree: &mut Tree, context: &Context<'_>) -> Result<Vec<Applied>, Error> {
    FIXUPS
        .iter()
        .map(|fixup| {
            let mut edit = Edit::new(tree, fixup.name);
            (fixup.run)(&mut edit, context)?;
            let (changed, notes) = (edit.changed(), edit.into_notes());
            Ok(Applied { name: fixup.name, why: fixup.why, changed, notes })
        })
        .collect()
}

/// The fix-ups that what is laid over a finished image needs, too: owners that postinsts give, and
/// alternatives. `tree` is both, the image and what comes to it; `context` speaks of the latter.
///
/// # Errors
/// As [`apply`].
pub fn apply_to_extension(tree: &mut Tree, context: &Context<'_>) -> Result<(), Error> {
    let needed = FIXUPS.iter().filter(|fixup| ["owners", "alternatives"].contains(&fixup.name));
    for fixup in needed {
        (fixup.run)(&mut Edit::new(tree, fixup.name), context)?;
    }
    Ok(())
}

#[cfg(test)]
mod testing;
