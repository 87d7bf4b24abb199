//! What Debian changelogs say about the versions between two: deb-changelog(5).
//!
//! Images leave changelogs out, so they come from the .deb in the cache.

use std::cmp::Ordering;
use std::io::Read as _;
use std::sync::Arc;

use debversion::Version;

use crate::cache::Cache;
use crate::lock::model::Package;
use crate::unpack::Archive;
use crate::unpack::entry::{Entry, EntryKind};
use crate::unpack::store::{Form, Source};

/// Bytes of a changelog that are unpacked at most.
const LIMIT: u64 = 16 << 20;

/// The lines of a package's changelog above the version `old`.
///
/// # Errors
/// With why there are none, for people.
pub(super) fn since(
    cache: Option<&Arc<Cache>>,
    package: Option<&Package>,
    old: &str,
) -> Result<Vec<String>, String> {
    let package = package.ok_or("the image has no lock that says which .deb it is from")?;
    let cache = cache.ok_or("there is no cache of .debs")?;
    let path = cache.deb_path(&package.sha256);
    if !path.is_file() {
        return Err("its .deb is not in the cache".to_owned());
    }
    let source = Source { path, sha256: package.sha256, form: Form::Deb };
    let archive = Archive::open(cache, source).map_err(|error| error.to_string())?;
    let dir = format!("usr/share/doc/{}/", package.name);
    let is_changelog = |entry: &&Entry| {
        let path = entry.path.to_string();
        path.strip_prefix(&dir).is_some_and(|name| name.starts_with("changelog") && name.ends_with(".gz"))
    };
    let mut names: Vec<_> = archive.entries.iter().filter(is_changelog).collect();
    // That of a rebuild first, then Debian's; upstream's own has another form.
    names.retain(|e| {
        names_debian(&e.path.to_string())
            || !archive.entries.iter().any(|o| names_debian(&o.path.to_string()))
    });
    names.sort_by_key(|entry| std::cmp::Reverse(entry.path.as_bytes().len()));
    let mut lines = Vec::new();
    for entry in names {
        let EntryKind::File(data) = &entry.kind else { continue };
        let packed = archive.content(data).to_vec().map_err(|error| error.to_string())?;
        let mut text = Vec::new();
        let mut unpack = flate2::read::GzDecoder::new(packed.as_slice()).take(LIMIT);
        unpack.read_to_end(&mut text).map_err(|error| format!("its changelog does not unpack: {error}"))?;
        lines.extend(above(&String::from_utf8_lossy(&text), old));
    }
    if lines.is_empty() { Err("its .deb has no changelog of these versions".to_owned()) } else { Ok(lines) }
}

fn names_debian(path: &str) -> bool {
    path.contains("/changelog.Debian")
}

/// The headings and points of the entries above `old`. What a package has is not newer than
/// itself, though its source may count otherwise (linux-signed's `6.1+2` is `6.1-2`).
fn above(changelog: &str, old: &str) -> Vec<String> {
    let Ok(old) = old.parse::<Version>() else { return Vec::new() };
    let mut lines = Vec::new();
    let mut wanted = false;
    for line in changelog.lines() {
        if let Some(version) = heading(line) {
            wanted = version.cmp(&old) == Ordering::Greater;
            if !wanted {
                break;
            }
        }
        let text = line.trim_end();
        if wanted && !text.is_empty() && !text.starts_with(" -- ") {
            lines.push(text.to_owned());
        }
    }
    lines
}

/// `bash (5.2-1) unstable; urgency=medium`.
fn heading(line: &str) -> Option<Version> {
    if line.starts_with([' ', '\t']) {
        return None;
    }
    let (_, rest) = line.split_once(" (")?;
    let (version, rest) = rest.split_once(')')?;
    rest.contains(';').then(|| version.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "x (1:2-3) sid; urgency=low\n\n  * Third.\n    More.\n\n -- A <a@b>  Mon, 01 Jan 2024 00:00:00 +0000\n\n\
        x (1:2-2) sid; urgency=low\n\n  * Second.\n\n -- A <a@b>  Mon, 01 Jan 2024 00:00:00 +0000\n\n\
        x (2-1) sid; urgency=low\n\n  * First.\n\n -- A <a@b>  Mon, 01 Jan 2024 00:00:00 +0000\n";

    #[test]
    fn only_what_is_above_the_old_version() {
        let third = ["x (1:2-3) sid; urgency=low", "  * Third.", "    More."];
        assert_eq!(above(LOG, "1:2-2"), third);
        assert_eq!(above(LOG, "2-1")[3..], ["x (1:2-2) sid; urgency=low", "  * Second."]);
        assert_eq!(above(LOG, "1:2-3"), [""; 0]);
        assert_eq!(above("no changelog", "1"), [""; 0]);
    }
}
