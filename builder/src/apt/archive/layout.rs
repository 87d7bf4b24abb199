//! Where a suite's files are below an archive's address, and under which names.
//! Format: <https://wiki.debian.org/DebianRepository/Format>.

use crate::apt::index::Compression;
use crate::apt::release::{IndexFile, Release};

/// The layout of a suite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// `dists/bookworm/`, or the directory of a flat repository: `sub/`, or empty.
    dir: String,
    flat: bool,
}

/// One name an index has, and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// Below the archive's address.
    pub path: String,
    pub compression: Compression,
    pub file: IndexFile,
}

impl Layout {
    /// A suite that ends in a slash is the directory of a flat repository (sources.list(5)).
    pub(super) fn of(suite: &str) -> Layout {
        if !suite.ends_with('/') {
            return Layout { dir: format!("dists/{suite}/"), flat: false };
        }
        let parts = suite.split('/').filter(|part| !part.is_empty() && *part != ".");
        Layout { dir: parts.map(|part| format!("{part}/")).collect(), flat: true }
    }

    /// A file of the suite.
    pub(super) fn path(&self, name: &str) -> String {
        format!("{}{name}", self.dir)
    }

    /// The components to read: a flat repository has one, without a name.
    pub(super) fn components<'a>(&self, named: &'a [String]) -> Vec<&'a str> {
        if self.flat { vec![""] } else { named.iter().map(String::as_str).collect() }
    }

    /// The indices of a component that its release lists, each by all addresses it has, the
    /// best first. As in apt, packages for all architectures may have an index of their own.
    pub(super) fn indices(&self, release: &Release, component: &str, arch: &str) -> Vec<Vec<Address>> {
        let own = release.architectures.iter().any(|arch| arch == "all");
        let own = (own || release.architectures.is_empty()) && !release.all_in_each;
        let below = |arch: &str| format!("{component}/binary-{arch}/");
        let dirs = match (self.flat, own) {
            (true, _) => vec![String::new()],
            (false, true) => vec![below(arch), below("all")],
            (false, false) => vec![below(arch)],
        };
        let addresses = dirs.iter().map(|dir| self.addresses(release, dir));
        addresses.filter(|found: &Vec<Address>| !found.is_empty()).collect()
    }

    fn addresses(&self, release: &Release, dir: &str) -> Vec<Address> {
        let mut found = Vec::new();
        for compression in Compression::ALL {
            let name = format!("{dir}Packages{}", compression.suffix());
            let Some(file) = release.files.get(&name).copied() else { continue };
            let mut add = |path: String| found.push(Address { path, compression, file });
            if release.by_hash {
                add(self.path(&format!("{dir}by-hash/{}/{}", file.hash.name(), file.hash.hex())));
            }
            // Mirrors that were copied by name alone have no by-hash.
            add(self.path(&name));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories() {
        for (suite, path) in [
            ("bookworm", "dists/bookworm/InRelease"),
            ("bookworm/updates", "dists/bookworm/updates/InRelease"),
            ("./", "InRelease"),
            ("/", "InRelease"),
            ("sub/./dir//", "sub/dir/InRelease"),
        ] {
            assert_eq!(Layout::of(suite).path("InRelease"), path);
        }
    }
}
