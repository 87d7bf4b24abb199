//! Packages files: which packages a suite's component has.
//! Text is decompressed once and read in place; records are slices of it.

use std::io::Read;

use rayon::prelude::*;

use super::deb822::{self, Stanza};
use super::relation;
use crate::digest;

/// Larger indices are refused, compressed or not. Debian's `main` has 48 MB.
pub const LIMIT: u64 = 512 << 20;

/// The stanza of one binary package. Relation fields are empty when not given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// `Package`
    pub name: &'a str,
    /// `Version`
    pub version: &'a str,
    /// `Architecture`
    pub arch: &'a str,
    /// `Essential: yes`
    pub essential: bool,
    /// `Priority`: 0 is required, then important, standard, and the rest.
    pub priority: u8,
    /// `Pre-Depends`
    pub pre_depends: &'a str,
    /// `Depends`
    pub depends: &'a str,
    /// `Recommends`
    pub recommends: &'a str,
    /// `Provides`
    pub provides: &'a str,
    /// `Conflicts`
    pub conflicts: &'a str,
    /// `Breaks`
    pub breaks: &'a str,
    /// `Filename`, below the archive's base address; never leads out of it.
    pub path: &'a str,
    /// `Size` of the .deb in bytes.
    pub size: u64,
    /// `SHA256` of the .deb.
    pub sha256: [u8; 32],
}

/// A Packages file that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It does not decompress, or to too much.
    #[error("cannot decompress it: {0}")]
    Decompress(String),
    /// It is no UTF-8.
    #[error("it is not UTF-8 text")]
    Utf8,
    /// A stanza is broken.
    #[error("the stanza of `{package}`: {problem}")]
    Stanza {
        /// The package, as far as it is known.
        package: String,
        /// What is wrong.
        problem: String,
    },
}

/// How an index file is compressed, by the end of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// `.xz`
    Xz,
    /// `.gz`
    Gzip,
    /// none
    Plain,
}

impl Compression {
    /// In the order of preference.
    pub const ALL: [Compression; 3] = [Compression::Xz, Compression::Gzip, Compression::Plain];

    /// `.xz`, `.gz` or nothing.
    pub fn suffix(self) -> &'static str {
        match self {
            Compression::Xz => ".xz",
            Compression::Gzip => ".gz",
            Compression::Plain => "",
        }
    }
}

/// The text of an index file.
pub fn decompress(bytes: &[u8], compression: Compression) -> Result<String, Error> {
    let mut text = Vec::new();
    let mut read = |reader: &mut dyn Read| {
        let n = reader.take(LIMIT).read_to_end(&mut text);
        n.map_err(|error| Error::Decompress(error.to_string()))
    };
    let n = match compression {
        Compression::Xz => read(&mut liblzma::read::XzDecoder::new_multi_decoder(bytes))?,
        Compression::Gzip => read(&mut flate2::read::MultiGzDecoder::new(bytes))?,
        Compression::Plain => read(&mut &*bytes)?,
    };
    if u64::try_from(n).unwrap_or(u64::MAX) >= LIMIT {
        return Err(Error::Decompress(format!("it has more than {LIMIT} bytes")));
    }
    String::from_utf8(text).map_err(|_| Error::Utf8)
}

/// All records of `text` in its order, for `arch` (and `all`). Parts of the text
/// are parsed in parallel.
pub fn parse<'a>(text: &'a str, arch: &str) -> Result<Vec<Record<'a>>, Error> {
    let parts: Vec<Result<Vec<Record<'a>>, Error>> = split(text, 64)
        .into_par_iter()
        .map(|part| {
            let records = deb822::stanzas(part).map(record);
            records.filter(|r| r.as_ref().map_or(true, |r| r.arch == arch || r.arch == "all")).collect()
        })
        .collect();
    let mut records = Vec::new();
    for part in parts {
        records.extend(part?);
    }
    Ok(records)
}

/// About `n` parts of `text`, cut between stanzas.
fn split(text: &str, n: usize) -> Vec<&str> {
    let size = text.len() / n + 1;
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let from = (size.min(rest.len())..=rest.len()).find(|at| rest.is_char_boundary(*at));
        let from = from.unwrap_or(rest.len());
        let cut =
            rest.get(from..).and_then(|after| after.find("\n\n")).map_or(rest.len(), |at| from + at + 2);
        let (part, after) = rest.split_at(cut);
        parts.push(part);
        rest = after;
    }
    parts
}

fn record<'a>(stanza: Stanza<'a>) -> Result<Record<'a>, Error> {
    let broken = |package: &str, problem: &str| Error::Stanza {
        package: package.to_owned(),
        problem: problem.to_owned(),
    };
    let mut r = Record {
        name: "",
        version: "",
        arch: "",
        essential: false,
        priority: 3,
        pre_depends: "",
        depends: "",
        recommends: "",
        provides: "",
        conflicts: "",
        breaks: "",
        path: "",
        size: 0,
        sha256: [0; 32],
    };
    let (mut size, mut sha256) = (None, None);
    for field in stanza.fields() {
        let field = field.map_err(|bad| broken(r.name, &bad.to_string()))?;
        match field.name {
            "Package" => r.name = field.value,
            "Version" => r.version = field.value,
            "Architecture" => r.arch = field.value,
            "Essential" => r.essential = field.value == "yes",
            "Priority" => r.priority = priority(field.value),
            "Pre-Depends" => r.pre_depends = field.value,
            "Depends" => r.depends = field.value,
            "Recommends" => r.recommends = field.value,
            "Provides" => r.provides = field.value,
            "Conflicts" => r.conflicts = field.value,
            "Breaks" => r.breaks = field.value,
            "Filename" => r.path = field.value.trim_start_matches("./"),
            "Size" => size = field.value.parse().ok(),
            "SHA256" => sha256 = digest::parse_sha256(field.value),
            _ => {}
        }
    }
    if r.name.is_empty() || r.version.is_empty() || r.arch.is_empty() {
        return Err(broken(r.name, "it lacks Package, Version or Architecture"));
    }
    let plain =
        |text: &str| relation::parse(text).is_ok_and(|e| e.len() == 1) && !text.contains(['|', ':', ' ']);
    if !plain(r.name) || !relation::is_version(r.version) {
        return Err(broken(r.name, &format!("`{}` `{}` is no package and version", r.name, r.version)));
    }
    let leads_out = r.path.starts_with('/') || r.path.split('/').any(|part| part == ".." || part.is_empty());
    if leads_out || r.path.contains(char::is_whitespace) {
        return Err(broken(r.name, &format!("`Filename: {}` is no path below the archive", r.path)));
    }
    r.size = size.ok_or_else(|| broken(r.name, "it has no valid Size"))?;
    r.sha256 = sha256.ok_or_else(|| broken(r.name, "it has no valid SHA256"))?;
    Ok(r)
}

fn priority(text: &str) -> u8 {
    match text {
        "required" => 0,
        "important" => 1,
        "standard" => 2,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn stanza(name: &str, more: &str) -> String {
        let hash = digest::hex(&digest::sha256(name.as_bytes()));
        format!(
            "Package: {name}\nVersion: 1.0\nArchitecture: amd64\nFilename: pool/{name}.deb\nSize: 7\nSHA256: {hash}\nDescription: ä\n  long\n{more}\n"
        )
    }

    #[test]
    fn every_record_is_found_whatever_the_cuts() {
        let names: Vec<String> = (0..500).map(|i| format!("p{i}")).collect();
        let mut text: String = names.iter().map(|name| stanza(name, "Depends: a, b\n")).collect();
        text += &stanza("other", "").replace("amd64", "arm64");
        let records = parse(&text, "amd64").unwrap();
        assert_eq!(records.iter().map(|r| r.name).collect::<Vec<_>>(), names);
        assert_eq!(records[7].depends, "a, b");
        assert_eq!((records[7].size, records[7].path), (7, "pool/p7.deb"));
    }

    #[test]
    fn compressed_or_not() {
        let text = stanza("a", "").repeat(1000);
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(text.as_bytes()).unwrap();
        let xz = xz.finish().unwrap();
        assert_eq!(decompress(&xz, Compression::Xz).unwrap(), text);
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(text.as_bytes()).unwrap();
        assert_eq!(decompress(&gz.finish().unwrap(), Compression::Gzip).unwrap(), text);
        assert!(matches!(decompress(&xz[..xz.len() / 2], Compression::Xz), Err(Error::Decompress(_))));
        assert_eq!(decompress(&[0xff], Compression::Plain), Err(Error::Utf8));
    }

    #[test]
    fn a_broken_record_is_an_error() {
        let good = stanza("good", "") + "\n";
        for bad in [
            stanza("x", "").replace("Size: 7", "Size: seven"),
            stanza("x", "").replace("SHA256: ", "SHA256: 0"),
            stanza("x", "").replace("pool/", "../"),
            stanza("x", "").replace("pool/", "/pool/"),
            stanza("x", "").replace("Version: 1.0\n", ""),
            stanza("x/../y", ""),
            stanza("x", "").replace("Version", "Version 1"),
        ] {
            let error = parse(&format!("{good}{bad}"), "amd64").unwrap_err();
            assert!(matches!(error, Error::Stanza { .. }), "{bad}: {error}");
        }
    }
}
