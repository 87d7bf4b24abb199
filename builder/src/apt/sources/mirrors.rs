//! Choosing mirrors: `--mirror`, the host's apt sources, the recipe's repositories.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::host::Host;
use super::{Entry, Error};
use crate::recipe::model::Recipe;

/// The name Debian itself has in locks.
pub const DEBIAN: &str = "debian";

/// A place to fetch from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// Base address without a slash at its end.
    pub url: String,
    /// Who said so.
    pub origin: Origin,
}

impl Mirror {
    /// The address of the file that is called `path` there.
    pub fn address(&self, path: &str) -> String {
        match self.url.starts_with("file://") {
            true => format!("{}/{path}", self.url),
            false => format!("{}/{}", self.url, escaped(path)),
        }
    }
}

/// A path of an archive as part of an http address. What is escaped is what apt escapes, so that
/// caches between us and the mirror see one address: also `+` and `~`, which some stores of objects
/// take for something else.
fn escaped(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'%' | b'+' | b'~' | 0..=b' ' | 0x7f.. => out += &format!("%{byte:02x}"),
            plain => out.push(char::from(plain)),
        }
    }
    out
}

/// Who named a mirror.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The host's apt sources.
    Host {
        /// The file.
        file: PathBuf,
        /// The entry's first line.
        line: usize,
    },
    /// `--mirror`.
    Flag,
    /// `repositories:` of the recipe.
    Recipe,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Host { file, line } => write!(f, "{}:{line}", file.display()),
            Origin::Flag => f.write_str("--mirror"),
            Origin::Recipe => f.write_str("the recipe's repositories"),
        }
    }
}

/// Mirrors of one suite, the best first. The one that last worked is asked
/// first from then on, so that a dead one costs its timeout once, not per file.
#[derive(Debug)]
pub struct MirrorList {
    mirrors: Vec<Mirror>,
    preferred: AtomicUsize,
    /// Whether any has worked.
    worked: AtomicBool,
}

impl MirrorList {
    /// A list that is tried in the order given.
    pub fn new(mirrors: Vec<Mirror>) -> MirrorList {
        MirrorList { mirrors, preferred: AtomicUsize::new(0), worked: AtomicBool::new(false) }
    }

    /// Each of them once.
    pub fn in_order(&self) -> impl Iterator<Item = (usize, &Mirror)> {
        let first = self.preferred.load(Ordering::Relaxed);
        let indexed = || self.mirrors.iter().enumerate();
        indexed().skip(first).chain(indexed().take(first))
    }

    /// Remembers that the mirror of this index worked.
    pub fn worked(&self, index: usize) {
        self.preferred.store(index, Ordering::Relaxed);
        self.worked.store(true, Ordering::Relaxed);
    }

    /// Whether the mirror of this index is the one that worked last.
    pub fn has_worked(&self, index: usize) -> bool {
        self.worked.load(Ordering::Relaxed) && self.preferred.load(Ordering::Relaxed) == index
    }
}

/// The mirrors of every suite a recipe uses.
#[derive(Debug, Default)]
pub struct Mirrors {
    /// archive, suite → mirrors; not empty.
    suites: BTreeMap<(String, String), MirrorList>,
}

impl Mirrors {
    /// Chooses: `flags` (`--mirror`) when there are any, else the host's `entries`.
    pub fn choose(recipe: &Recipe, entries: &[Entry], flags: &[String]) -> Result<Mirrors, Error> {
        let mut suites = BTreeMap::new();
        let debian = &recipe.debian;
        let host = Host::new(entries, &debian.arch, debian.keyring.as_deref());
        for suite in std::iter::once(&debian.suite).chain(&debian.extra_suites) {
            let chosen =
                if flags.is_empty() { host.mirrors(suite, &debian.suite) } else { from_flags(flags, suite)? };
            if chosen.is_empty() {
                return Err(Error::NoMirror { suite: suite.clone(), passed: host.passed_over(suite) });
            }
            suites.insert((DEBIAN.to_owned(), suite.clone()), MirrorList::new(chosen));
        }
        for repository in &recipe.repositories {
            let mirror = Mirror { url: address(&repository.url)?, origin: Origin::Recipe };
            let key = (repository.name.clone(), repository.suite.clone());
            suites.insert(key, MirrorList::new(vec![mirror]));
        }
        Ok(Mirrors { suites })
    }

    /// The mirrors of a suite of an archive; `None` when the recipe has no such suite.
    pub fn of(&self, archive: &str, suite: &str) -> Option<&MirrorList> {
        self.suites.get(&(archive.to_owned(), suite.to_owned()))
    }
}

pub(super) fn is_security(suite: &str) -> bool {
    suite.ends_with("-security") || suite.ends_with("/updates")
}

/// `--mirror` replaces the host's sources. Security updates live beside the main
/// archive on most mirrors (`…/debian`, `…/debian-security`) and inside it on
/// none, but private ones may hold everything in one place.
fn from_flags(flags: &[String], suite: &str) -> Result<Vec<Mirror>, Error> {
    let mut urls = Vec::new();
    for flag in flags {
        let url = address(flag)?;
        match (is_security(suite), url.ends_with("-security")) {
            (true, false) => urls.extend([url.clone(), format!("{url}-security")]),
            (false, true) => {}
            _ => urls.push(url),
        }
    }
    Ok(distinct(urls.into_iter().map(|url| Mirror { url, origin: Origin::Flag })))
}

/// Without the slash at its end, if we can fetch from it.
pub(super) fn address(url: &str) -> Result<String, Error> {
    let url = url.trim_end_matches('/');
    let known = ["http://", "https://", "file:///"].iter().any(|scheme| url.starts_with(scheme));
    // apt also takes `file:/path`, and `copy:/path`, which means the same to us.
    let local = url.strip_prefix("file:/").or_else(|| url.strip_prefix("copy:/"));
    match local {
        Some(path) if url.starts_with("copy:") => Ok(format!("file:///{}", path.trim_start_matches('/'))),
        Some(path) if !path.starts_with('/') => Ok(format!("file:///{path}")),
        _ if known => Ok(url.to_owned()),
        _ => Err(Error::Address { url: url.to_owned() }),
    }
}

pub(super) fn distinct(mirrors: impl Iterator<Item = Mirror>) -> Vec<Mirror> {
    let mut seen = BTreeSet::new();
    mirrors.filter(|mirror| seen.insert(mirror.url.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(mirrors: Vec<Mirror>) -> Vec<String> {
        mirrors.into_iter().map(|m| m.url).collect()
    }

    #[test]
    fn names_are_escaped_as_apt_does_and_only_on_the_network() {
        let mirror = |url: &str| Mirror { url: url.to_owned(), origin: Origin::Recipe };
        let path = "pool/t-x_1%3a2.0+b~1 \u{e4}_amd64.deb";
        assert_eq!(
            mirror("http://m/debian").address(path),
            "http://m/debian/pool/t-x_1%253a2.0%2bb%7e1%20%c3%a4_amd64.deb"
        );
        assert_eq!(mirror("file:///srv").address(path), format!("file:///srv/{path}"));
    }

    #[test]
    fn flags_replace_the_host() {
        let flags = ["http://a/debian/".to_owned(), "file:/srv/debian-security".to_owned()];
        assert_eq!(urls(from_flags(&flags, "bookworm").unwrap()), ["http://a/debian"]);
        assert_eq!(
            urls(from_flags(&flags, "bookworm-security").unwrap()),
            ["http://a/debian", "http://a/debian-security", "file:///srv/debian-security"]
        );
        assert!(matches!(from_flags(&["ftp://a".to_owned()], "x"), Err(Error::Address { .. })));
    }

    #[test]
    fn the_mirror_that_worked_is_asked_first() {
        let mirror = |url: &str| Mirror { url: url.to_owned(), origin: Origin::Flag };
        let list = MirrorList::new(vec![mirror("a"), mirror("b"), mirror("c")]);
        list.worked(1);
        let order: Vec<&str> = list.in_order().map(|(_, m)| &*m.url).collect();
        assert_eq!(order, ["b", "c", "a"]);
    }
}
