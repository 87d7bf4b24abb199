//! The lock from YAML. Unknown keys, wrong types and dangling references are errors.

use std::collections::BTreeMap;
use std::path::Path;

use super::model::{Lock, Package, Release};
use crate::digest::parse_sha256;
use crate::recipe::values;
use yaml::diagnostic::{Diagnostics, Source};
use yaml::{Cursor, Problems, Wrong};

/// The errors say where and what.
pub(super) fn parse(file: &Path, bytes: Vec<u8>) -> Result<Lock, Diagnostics> {
    let node = yaml::parse(&Source::from_utf8(file, bytes)?)?;
    let problems = Problems::default();
    let lock = lock(&Cursor::root(&node, &problems));
    problems.finish(lock)
}

fn lock(at: &Cursor<'_>) -> Option<Lock> {
    let fields = at.fields()?;
    let format = fields.required("format", format);
    let timestamp = fields.required("timestamp", seconds);
    let request = fields.required("request", hash);
    let asked = fields.required("asked", texts);
    let releases = fields.required("releases", |at| at.list(release));
    let known = releases.as_deref().unwrap_or_default();
    let packages = fields.required("packages", |at| packages(&at, known));
    // Locks of before there were extensions have none.
    let extensions = fields.or("extensions", BTreeMap::new(), |at| {
        at.map(values::extension_name, |at| self::packages(&at, known))
    });
    let unreviewed = fields.required("unreviewed", |at| at.map(|name| Ok(name.to_owned()), text));
    fields.finish();
    format?;
    Some(Lock {
        timestamp: timestamp?,
        request: request?,
        asked: asked?,
        releases: releases?,
        packages: packages?,
        extensions: extensions?,
        unreviewed: unreviewed?,
    })
}

fn release(at: Cursor<'_>) -> Option<Release> {
    let fields = at.fields()?;
    let archive = fields.required("archive", text);
    let suite = fields.required("suite", text);
    let date = fields.required("date", seconds);
    let sha256 = fields.required("sha256", hash);
    let signed_by = fields.required("signed-by", text);
    fields.finish();
    Some(Release { archive: archive?, suite: suite?, date: date?, sha256: sha256?, signed_by: signed_by? })
}

fn packages(at: &Cursor<'_>, releases: &[Release]) -> Option<Vec<Package>> {
    let packages = at.list(|at| package(&at, releases))?;
    for (pair, node) in packages.windows(2).zip(at.node.entries().skip(1)) {
        if let [a, b] = pair
            && a.name >= b.name
        {
            let wrong = Wrong::new(format!("`{}` after `{}`: not sorted, or twice", b.name, a.name));
            at.problems.report(wrong.at(&node.place));
        }
    }
    Some(packages)
}

fn package(at: &Cursor<'_>, releases: &[Release]) -> Option<Package> {
    let fields = at.fields()?;
    let name = fields.required("name", text);
    let version = fields.required("version", text);
    let arch = fields.required("arch", text);
    let release = fields.required("release", |at| at.text(|text| index_of(text, releases)));
    let path = fields.required("path", |at| at.text(path));
    let size = fields.required("size", |at| at.integer(0..=i64::MAX).map(i64::unsigned_abs));
    let sha256 = fields.required("sha256", hash);
    let because = fields.required("because", texts);
    fields.finish();
    Some(Package {
        name: name?,
        version: version?,
        arch: arch?,
        sha256: sha256?,
        size: size?,
        release: release?,
        path: path?,
        because: because?,
    })
}

fn format(at: Cursor<'_>) -> Option<()> {
    match at.integer(0..=i64::MAX)? {
        1 => Some(()),
        other => at.wrong(Wrong::new(format!("its format is {other}, this program knows 1"))),
    }
}

fn seconds(at: Cursor<'_>) -> Option<i64> {
    at.integer(i64::MIN..=i64::MAX)
}

fn text(at: Cursor<'_>) -> Option<String> {
    at.text(|text| Ok(text.to_owned()))
}

fn texts(at: Cursor<'_>) -> Option<Vec<String>> {
    at.list(text)
}

fn hash(at: Cursor<'_>) -> Option<[u8; 32]> {
    at.text(|text| {
        parse_sha256(text).ok_or_else(|| {
            Wrong::new(format!("`{text}` is no sha256")).why("a sha256 has 64 hexadecimal digits")
        })
    })
}

fn index_of(text: &str, releases: &[Release]) -> Result<usize, Wrong> {
    let named = |release: &Release| format!("{} {}", release.archive, release.suite) == text;
    releases
        .iter()
        .position(named)
        .ok_or_else(|| Wrong::new(format!("`{text}` is none of the `releases:` above")))
}

fn path(text: &str) -> Result<String, Wrong> {
    if text.starts_with('/') || text.split('/').any(|part| part == "..") {
        return Err(Wrong::new(format!("the path `{text}` leads out of the archive")));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "format: 1\ntimestamp: 1\nrequest: \"0707070707070707070707070707070707070707070707070707070707070707\"\n\
        asked: []\nreleases: []\npackages: []\nunreviewed: {}\n";

    fn read(text: &str) -> Result<Lock, String> {
        parse(Path::new("x.lock"), text.into()).map_err(|error| error.to_string())
    }

    #[test]
    fn mistakes_are_shown_where_they_are() {
        assert!(read(GOOD).is_ok());
        let package = |name: &str, release: &str, path: &str| {
            format!(
                "- {{name: {name}, version: b, arch: c, release: {release}, path: {path}, size: 1, sha256: {}, because: []}}\n",
                "07".repeat(32)
            )
        };
        let with = |packages: &[String]| {
            let release = format!(
                "releases: [{{archive: d, suite: e, date: 1, sha256: {}, signed-by: f}}]",
                "07".repeat(32)
            );
            let packages = format!("packages:\n{}", packages.concat());
            GOOD.replace("releases: []", &release).replace("packages: []\n", &packages)
        };
        let (a, b) = (package("a", "d e", "f"), package("b", "d e", "f"));
        assert!(read(&with(&[a.clone(), b.clone()])).is_ok());
        let error = parse(Path::new("x.lock"), vec![b'a', 0xff]).unwrap_err().to_string();
        assert!(error.contains("UTF-8") && error.contains("x.lock:1:2"), "{error}");
        for (bad, line, says) in [
            (GOOD.replace("asked: []", "asked: []\nextra: 1"), 5, "unknown key `extra`"),
            (GOOD.replace("timestamp: 1", "timestamp: soon"), 2, "`timestamp` should be a number"),
            (GOOD.replace("format: 1", "format: 2"), 1, "its format is 2"),
            (GOOD.replace("0707\"", "07\""), 3, "is no sha256"),
            (GOOD.replace("asked: []\n", ""), 1, "no `asked`"),
            (GOOD.replace("asked: []\n", "asked: []\nasked: []\n"), 5, "`asked` is here twice"),
            (with(&[package("a", "d x", "f")]), 7, "`d x` is none of the `releases:`"),
            (with(&[package("a", "d e", "../f")]), 7, "leads out of the archive"),
            (with(&[b, a]), 8, "`a` after `b`"),
            (String::new(), 1, "no `format`"),
        ] {
            let error = read(&bad).unwrap_err();
            assert!(error.contains(says) && error.contains(&format!("x.lock:{line}:")), "{bad}{error}");
        }
    }
}
