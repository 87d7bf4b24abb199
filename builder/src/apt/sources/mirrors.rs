//! Choosing mirrors. Which entry of the host serves Debian is a guess made from
//! its suite and keys; that what came from it is Debian is proved by the
//! signature, so a wrong guess is an error and never another image.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::{Entry, Error, SignedBy};
use crate::recipe::model::Recipe;

/// The name Debian itself has in locks.
pub const DEBIAN: &str = "debian";

/// Code names Debian releases have on hosts that can run this program. `stable`
/// and the like come last: other people's repositories use these words, too.
const CODENAMES: [&str; 7] = ["buster", "bullseye", "bookworm", "trixie", "forky", "duke", "sid"];
/// What Debian appends to a code name; others append their own (`bookworm-pgdg`).
const POCKETS: [&str; 6] = ["", "-updates", "-security", "/updates", "-backports", "-proposed-updates"];
const ALIASES: [&str; 5] = ["oldoldstable", "oldstable", "stable", "testing", "unstable"];

/// A place to fetch from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// Base address without a slash at its end.
    pub url: String,
    /// Who said so.
    pub origin: Origin,
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
        for suite in std::iter::once(&debian.suite).chain(&debian.extra_suites) {
            let chosen = if flags.is_empty() {
                from_host(entries, suite, &debian.suite, &debian.arch)
            } else {
                from_flags(flags, suite)?
            };
            if chosen.is_empty() {
                return Err(Error::NoMirror { suite: suite.clone() });
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

fn is_security(suite: &str) -> bool {
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

/// Entries of the very suite; else of the same kind (main or security) of
/// another Debian release; else the sibling of a main archive.
fn from_host(entries: &[Entry], suite: &str, main_suite: &str, arch: &str) -> Vec<Mirror> {
    let debian: Vec<&Entry> = entries.iter().filter(|e| may_be_debian(e, arch)).collect();
    let having = |wanted: &dyn Fn(&str) -> bool| -> Vec<Mirror> {
        let found = debian.iter().filter(|e| e.suites.iter().any(|s| wanted(s)));
        distinct(found.flat_map(|entry| {
            entry.uris.iter().filter_map(|uri| address(uri).ok()).map(|url| Mirror {
                url,
                origin: Origin::Host { file: entry.file.clone(), line: entry.line },
            })
        }))
    };
    let family =
        |name: &str, suite: &str| suite.strip_prefix(name).is_some_and(|rest| POCKETS.contains(&rest));
    let kinds: [&[&str]; 3] = [&[main_suite], &CODENAMES, &ALIASES];
    for names in kinds {
        let same_kind =
            having(&|s| names.iter().any(|name| family(name, s)) && is_security(s) == is_security(suite));
        if !same_kind.is_empty() {
            return same_kind;
        }
        if is_security(suite) {
            let main = having(&|s| names.contains(&s));
            if !main.is_empty() {
                let sibling = |m: Mirror| Mirror { url: format!("{}-security", m.url), origin: m.origin };
                return main.into_iter().map(sibling).collect();
            }
        }
    }
    Vec::new()
}

/// Debian has a component `main` and is signed by Debian's keys.
fn may_be_debian(entry: &Entry, arch: &str) -> bool {
    let keys = match &entry.signed_by {
        None => true,
        Some(SignedBy::Keys(keys)) => keys.iter().any(|key| key.contains("debian")),
        Some(SignedBy::Inline(_)) => false,
    };
    let arch = entry.architectures.is_empty() || entry.architectures.iter().any(|a| a == arch);
    keys && arch && entry.components.iter().any(|c| c == "main")
}

/// Without the slash at its end, if we can fetch from it.
fn address(url: &str) -> Result<String, Error> {
    let url = url.trim_end_matches('/');
    let known = ["http://", "https://", "file:///"].iter().any(|scheme| url.starts_with(scheme));
    // apt also takes `file:/path`.
    match url.strip_prefix("file:/") {
        Some(path) if !path.starts_with('/') => Ok(format!("file:///{path}")),
        _ if known => Ok(url.to_owned()),
        _ => Err(Error::Address { url: url.to_owned() }),
    }
}

fn distinct(mirrors: impl Iterator<Item = Mirror>) -> Vec<Mirror> {
    let mut seen = BTreeSet::new();
    mirrors.filter(|mirror| seen.insert(mirror.url.clone())).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::apt::sources::{parse_deb822, parse_list};

    fn urls(mirrors: Vec<Mirror>) -> Vec<String> {
        mirrors.into_iter().map(|m| m.url).collect()
    }

    fn host(entries: &[Entry], suite: &str) -> Vec<String> {
        urls(from_host(entries, suite, "bookworm", "amd64"))
    }

    const THIRD_PARTY: &str = "deb http://g.example/apt cloud-sdk-bookworm main\n\
        deb [signed-by=/etc/apt/keyrings/docker.asc] http://d.example/linux/debian bookworm stable\n\
        deb [signed-by=/usr/share/keyrings/hashi.gpg] http://h.example bookworm main\n\
        deb [arch=arm64] http://arm.example/debian bookworm main\n\
        deb cdrom:[Debian GNU/Linux 12]/ bookworm main\n\
        deb http://pg.example bookworm-pgdg main\n\
        deb http://chrome.example stable main\n";

    #[test]
    fn a_bookworm_host() {
        let mut entries = parse_list(THIRD_PARTY, Path::new("/e")).unwrap();
        let debian = "Types: deb\nURIs: http://m/debian/\nSuites: bookworm bookworm-updates\nComponents: main\n\
            Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n\
            Types: deb\nURIs: http://m/sec\nSuites: bookworm-security\nComponents: main\n";
        entries.extend(parse_deb822(debian, Path::new("/d")).unwrap());
        assert_eq!(host(&entries, "bookworm"), ["http://m/debian"]);
        assert_eq!(host(&entries, "bookworm-updates"), ["http://m/debian"]);
        assert_eq!(host(&entries, "bookworm-security"), ["http://m/sec"]);
    }

    #[test]
    fn a_trixie_host_without_security_updates() {
        let text = format!(
            "{}deb http://m/debian trixie main\n",
            &THIRD_PARTY[..THIRD_PARTY.find("deb [sig").unwrap()]
        );
        let entries = parse_list(&text, Path::new("/e")).unwrap();
        assert_eq!(host(&entries, "bookworm"), ["http://m/debian"]);
        assert_eq!(host(&entries, "bookworm-security"), ["http://m/debian-security"]);
    }

    #[test]
    fn a_host_that_is_not_debian() {
        let text = "deb http://u.example/ubuntu noble main universe\ndeb http://n.example nodistro main\n";
        let entries = parse_list(text, Path::new("/e")).unwrap();
        assert!(host(&entries, "bookworm").is_empty());
        assert!(host(&entries, "bookworm-security").is_empty());
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
