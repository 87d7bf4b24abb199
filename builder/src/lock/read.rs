//! The lock from YAML. Unknown keys, wrong types and dangling references are errors.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::model::{Lock, Package, Release};
use crate::apt::digest::parse_sha256;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLock {
    format: u32,
    timestamp: i64,
    request: String,
    asked: Vec<String>,
    releases: Vec<RawRelease>,
    packages: Vec<RawPackage>,
    unreviewed: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawRelease {
    archive: String,
    suite: String,
    date: i64,
    sha256: String,
    signed_by: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPackage {
    name: String,
    version: String,
    arch: String,
    release: String,
    path: String,
    size: u64,
    sha256: String,
    because: Vec<String>,
}

/// The error says where and what.
pub(super) fn parse(text: &str) -> Result<Lock, String> {
    let raw: RawLock = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    if raw.format != 1 {
        return Err(format!("its format is {}, this program knows 1", raw.format));
    }
    let releases: Vec<Release> = raw.releases.into_iter().map(release).collect::<Result<_, _>>()?;
    let packages: Vec<Package> =
        raw.packages.into_iter().map(|p| package(p, &releases)).collect::<Result<_, _>>()?;
    if let Some(pair) = packages.windows(2).find(|pair| matches!(pair, [a, b] if a.name >= b.name)) {
        let names: Vec<&str> = pair.iter().map(|p| &*p.name).collect();
        return Err(format!("its packages are not sorted or not distinct: {}", names.join(", ")));
    }
    Ok(Lock {
        timestamp: raw.timestamp,
        request: hash(&raw.request, "request")?,
        asked: raw.asked,
        releases,
        packages,
        unreviewed: raw.unreviewed,
    })
}

fn release(raw: RawRelease) -> Result<Release, String> {
    Ok(Release {
        sha256: hash(&raw.sha256, &raw.suite)?,
        archive: raw.archive,
        suite: raw.suite,
        date: raw.date,
        signed_by: raw.signed_by,
    })
}

fn package(raw: RawPackage, releases: &[Release]) -> Result<Package, String> {
    let named = |r: &Release| format!("{} {}", r.archive, r.suite) == raw.release;
    let Some(release) = releases.iter().position(named) else {
        return Err(format!("{} comes from `{}`, which is none of the releases", raw.name, raw.release));
    };
    if raw.path.starts_with('/') || raw.path.split('/').any(|part| part == "..") {
        return Err(format!("{}: the path `{}` leads out of the archive", raw.name, raw.path));
    }
    Ok(Package {
        sha256: hash(&raw.sha256, &raw.name)?,
        name: raw.name,
        version: raw.version,
        arch: raw.arch,
        size: raw.size,
        release,
        path: raw.path,
        because: raw.because,
    })
}

fn hash(text: &str, of: &str) -> Result<[u8; 32], String> {
    parse_sha256(text).ok_or_else(|| format!("`{text}`, the hash of {of}, is no sha256"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "format: 1\ntimestamp: 1\nrequest: \"0707070707070707070707070707070707070707070707070707070707070707\"\n\
        asked: []\nreleases: []\npackages: []\nunreviewed: {}\n";

    #[test]
    fn mistakes_are_shown_where_they_are() {
        assert!(parse(GOOD).is_ok());
        let error = parse(&GOOD.replace("asked: []", "asked: []\nextra: 1")).unwrap_err();
        assert!(error.contains("extra") && error.contains('5'), "{error}");
        let error = parse(&GOOD.replace("timestamp: 1", "timestamp: soon")).unwrap_err();
        assert!(error.contains("line 2") || error.contains("2:"), "{error}");
        for bad in [
            GOOD.replace("format: 1", "format: 2"),
            GOOD.replace("0707\"", "07\""),
            GOOD.replace("asked: []\n", ""),
            GOOD.replace("asked: []\n", "asked: []\nasked: []\n"),
            GOOD.replace("packages: []", "packages:\n- {name: a, version: b, arch: c, release: d e, path: f, size: 1, sha256: g, because: []}"),
            String::new(),
        ] {
            assert!(parse(&bad).is_err(), "{bad}");
        }
    }
}
