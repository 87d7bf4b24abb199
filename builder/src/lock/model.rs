//! The lock as a value.

use std::collections::BTreeMap;

/// What `recipes/<name>.lock` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Seconds since 1970: the newest `Date:` of the releases used. The time of every image built from it.
    pub timestamp: i64,
    /// sha256 of the part of the recipe that decides which packages are in;
    /// when the recipe asks for something else, the lock is stale.
    pub request: [u8; 32],
    /// The packages that request named, sorted: to say what changed since.
    pub asked: Vec<String>,
    /// The signed releases the packages come from.
    pub releases: Vec<Release>,
    /// By name.
    pub packages: Vec<Package>,
    /// Packages of each extension that are not in the image: by the extension's name, then theirs.
    pub extensions: BTreeMap<String, Vec<Package>>,
    /// Packages whose maintainer scripts do something by hand that the recipe
    /// does not name under `reviewed-scripts`: name → what, in one line.
    pub unreviewed: BTreeMap<String, String>,
}

impl Lock {
    /// The packages of the image, then those of each extension.
    pub fn all_packages(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().chain(self.extensions.values().flatten())
    }
}

/// A verified InRelease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// `debian`, or the name of one of the recipe's repositories.
    pub archive: String,
    /// `bookworm-security`.
    pub suite: String,
    /// Its `Date:`, seconds since 1970.
    pub date: i64,
    /// sha256 of the InRelease file.
    pub sha256: [u8; 32],
    /// Fingerprint of the primary key that signed it, upper-case hexadecimal.
    pub signed_by: String,
}

/// One package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// `amd64` or `all`.
    pub arch: String,
    /// sha256 of the .deb.
    pub sha256: [u8; 32],
    /// Size of the .deb in bytes.
    pub size: u64,
    /// Index in [`Lock::releases`].
    pub release: usize,
    /// `Filename:` below the archive's base URL.
    pub path: String,
    /// Why it is in, outermost first: `["recipe", "docker.io", "containerd"]`
    /// means docker.io was asked for and needs containerd, which needs this.
    /// `["essential"]` for Essential packages.
    pub because: Vec<String>,
}
