//! Packages files: which packages a suite's component has.
//! Text is decompressed once and read in place; records are slices of it.
//! A stanza that cannot be used costs that package, never the others, as in apt.

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

/// What a Packages file has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index<'a> {
    /// In the file's order.
    pub records: Vec<Record<'a>>,
    /// Packages that do not exist for us, and why: said when somebody wants one.
    pub unusable: Vec<Unusable<'a>>,
}

/// A stanza that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable<'a> {
    /// What it calls itself.
    pub package: &'a str,
    /// What is wrong, as the rest of a sentence: `it has no SHA256`.
    pub problem: String,
}

/// A Packages file that cannot be read: it does not decompress, or to too much.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot decompress it: {0}")]
pub struct Error(pub String);

/// How an index file is compressed, by the end of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// `.xz`
    Xz,
    /// `.zst`
    Zstd,
    /// `.gz`
    Gzip,
    /// `.bz2`
    Bzip2,
    /// `.lzma`
    Lzma,
    /// none
    Plain,
}

impl Compression {
    /// In the order of preference.
    pub const ALL: [Compression; 6] = [
        Compression::Xz,
        Compression::Zstd,
        Compression::Gzip,
        Compression::Bzip2,
        Compression::Lzma,
        Compression::Plain,
    ];

    /// `.xz`, `.gz`… or nothing.
    pub fn suffix(self) -> &'static str {
        match self {
            Compression::Xz => ".xz",
            Compression::Zstd => ".zst",
            Compression::Gzip => ".gz",
            Compression::Bzip2 => ".bz2",
            Compression::Lzma => ".lzma",
            Compression::Plain => "",
        }
    }
}

/// The memory that unpacking `.lzma` or `.zst` may ask for, as a power of two.
const WINDOW: u32 = 27;

/// The text of an index file. Bytes that are no UTF-8, which stand in names of old
/// maintainers, become U+FFFD.
pub fn decompress(bytes: &[u8], compression: Compression) -> Result<String, Error> {
    let mut text = Vec::new();
    let mut read = |reader: &mut dyn Read| {
        let n = reader.take(LIMIT).read_to_end(&mut text);
        n.map_err(|error| Error(error.to_string()))
    };
    let n = match compression {
        Compression::Xz => read(&mut liblzma::read::XzDecoder::new_multi_decoder(bytes))?,
        Compression::Zstd => {
            let decoder = zstd::stream::read::Decoder::with_buffer(bytes).and_then(|mut decoder| {
                decoder.window_log_max(WINDOW)?;
                Ok(decoder)
            });
            read(&mut decoder.map_err(|error| Error(error.to_string()))?)?
        }
        Compression::Gzip => read(&mut flate2::read::MultiGzDecoder::new(bytes))?,
        Compression::Bzip2 => read(&mut bzip2::read::MultiBzDecoder::new(bytes))?,
        Compression::Lzma => {
            let stream = liblzma::stream::Stream::new_lzma_decoder(1 << WINDOW);
            let stream = stream.map_err(|error| Error(error.to_string()))?;
            read(&mut liblzma::read::XzDecoder::new_stream(bytes, stream))?
        }
        Compression::Plain => read(&mut &*bytes)?,
    };
    if u64::try_from(n).unwrap_or(u64::MAX) >= LIMIT {
        return Err(Error(format!("it has more than {LIMIT} bytes")));
    }
    Ok(String::from_utf8(text).unwrap_or_else(|bad| String::from_utf8_lossy(bad.as_bytes()).into_owned()))
}

/// All of `text` that is for `arch` (and `all`). Parts of the text are parsed in parallel.
pub fn parse<'a>(text: &'a str, arch: &str) -> Index<'a> {
    let parts: Vec<Index<'a>> = split(text, 64)
        .into_par_iter()
        .map(|part| {
            let mut index = Index::default();
            for stanza in deb822::stanzas(part) {
                let (record, problem) = record(stanza);
                if record.arch != arch && record.arch != "all" && !record.arch.is_empty() {
                    continue;
                }
                match problem {
                    None => index.records.push(record),
                    Some(problem) => index.unusable.push(Unusable { package: record.name, problem }),
                }
            }
            index
        })
        .collect();
    let mut index = Index::default();
    for part in parts {
        index.records.extend(part.records);
        index.unusable.extend(part.unusable);
    }
    index
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

/// The fields that count. Their names are the same in any case (deb822(5)).
const FIELDS: [&str; 14] = [
    "Package",
    "Version",
    "Architecture",
    "Essential",
    "Priority",
    "Pre-Depends",
    "Depends",
    "Recommends",
    "Provides",
    "Conflicts",
    "Breaks",
    "Filename",
    "Size",
    "SHA256",
];

/// What a stanza says, and why it cannot be used.
fn record<'a>(stanza: Stanza<'a>) -> (Record<'a>, Option<String>) {
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
    let (mut size, mut sha256, mut junk) = (None, None, None);
    for field in stanza.fields() {
        let field = match field {
            Ok(field) => field,
            Err(bad) => {
                junk = junk.or(Some(bad));
                continue;
            }
        };
        let value = field.value;
        match FIELDS.into_iter().find(|name| field.is(name)).unwrap_or_default() {
            "Package" => r.name = value,
            "Version" => r.version = value,
            "Architecture" => r.arch = value,
            "Essential" => r.essential = value.eq_ignore_ascii_case("yes"),
            "Priority" => r.priority = priority(value),
            "Pre-Depends" => r.pre_depends = value,
            "Depends" => r.depends = value,
            "Recommends" => r.recommends = value,
            "Provides" => r.provides = value,
            "Conflicts" => r.conflicts = value,
            "Breaks" => r.breaks = value,
            "Filename" => r.path = value.trim_start_matches("./").trim_start_matches('/'),
            "Size" => size = value.parse().ok(),
            "SHA256" => sha256 = digest::parse_sha256(value),
            _ => {}
        }
    }
    let problem = if let Some(junk) = junk {
        Some(format!("its stanza is broken: {junk}"))
    } else if let Some(problem) = nameless(&r) {
        Some(problem)
    } else if !is_below(r.path) {
        Some(format!("its `Filename: {}` is no path below the repository", r.path.escape_debug()))
    } else if size.is_none() {
        Some("it has no valid Size".to_owned())
    } else if sha256.is_none() {
        Some("it has no valid SHA256, and weaker hashes can be forged".to_owned())
    } else {
        None
    };
    r.size = size.unwrap_or_default();
    r.sha256 = sha256.unwrap_or_default();
    (r, problem)
}

/// What is wrong with a record's name, version and architecture.
fn nameless(r: &Record<'_>) -> Option<String> {
    let plain =
        |text: &str| relation::parse(text).is_ok_and(|e| e.len() == 1) && !text.contains(['|', ':', ' ']);
    if r.name.is_empty() || r.version.is_empty() || r.arch.is_empty() {
        Some("it lacks Package, Version or Architecture".to_owned())
    } else if !plain(r.name) || !relation::is_version(r.version) {
        let (name, version) = (r.name.escape_debug(), r.version.escape_debug());
        Some(format!("`{name}` `{version}` is no package and version"))
    } else {
        None
    }
}

/// Whether a path stays below where it begins, and can be written down in a lock.
fn is_below(path: &str) -> bool {
    let plain = |c: char| !c.is_control() && c != char::REPLACEMENT_CHARACTER;
    !path.is_empty() && path.chars().all(plain) && path.split('/').all(|part| part != "..")
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
        let records = parse(&text, "amd64").records;
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
        let zst = zstd::encode_all(text.as_bytes(), 3).unwrap();
        assert_eq!(decompress(&zst, Compression::Zstd).unwrap(), text);
        let mut bz2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        bz2.write_all(text.as_bytes()).unwrap();
        assert_eq!(decompress(&bz2.finish().unwrap(), Compression::Bzip2).unwrap(), text);
        let options = liblzma::stream::LzmaOptions::new_preset(1).unwrap();
        let stream = liblzma::stream::Stream::new_lzma_encoder(&options).unwrap();
        let mut lzma = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
        lzma.write_all(text.as_bytes()).unwrap();
        assert_eq!(decompress(&lzma.finish().unwrap(), Compression::Lzma).unwrap(), text);
        for cut in [&xz[..xz.len() / 2], &zst[..zst.len() / 2]] {
            for compression in Compression::ALL.into_iter().filter(|c| *c != Compression::Plain) {
                assert!(decompress(cut, compression).is_err(), "{compression:?}");
            }
        }
        assert_eq!(decompress(b"J\xfcrgen", Compression::Plain).unwrap(), "J\u{fffd}rgen");
    }

    #[test]
    fn a_broken_record_costs_that_package_and_says_why() {
        let good = stanza("good", "") + "\n";
        for (bad, why) in [
            (stanza("x", "").replace("Size: 7", "Size: seven"), "no valid Size"),
            (stanza("x", "").replace("SHA256: ", "SHA256: 0"), "no valid SHA256"),
            (stanza("x", "").replace("pool/", "../"), "no path below"),
            (stanza("x", "").replace("pool/", "pool/a/../../../"), "no path below"),
            (stanza("x", "").replace("pool/", "pool/J\u{fffd}rgen/"), "no path below"),
            (stanza("x", "").replace("pool/", "pool/\u{1b}"), "no path below"),
            (stanza("x", "").replace("Version: 1.0\n", ""), "lacks Package, Version"),
            (stanza("x_y", ""), "no package and version"),
            (stanza("x", "").replace("Version", "Version 1"), "lacks Package, Version"),
            (stanza("x", "what is this\n"), "stanza is broken: line"),
        ] {
            let (text, last) = (format!("{good}{bad}\n{good}"), format!("{bad}\n"));
            let index = parse(&text, "amd64");
            assert_eq!(index.records.iter().map(|r| r.name).collect::<Vec<_>>(), ["good", "good"], "{bad}");
            assert!(index.unusable[0].problem.contains(why), "{:?}", index.unusable);
            assert_eq!(parse(&last, "amd64").unusable.len(), 1);
        }
        // Not ours at all.
        let foreign = stanza("x", "").replace("amd64", "arm64").replace("Size: 7\n", "");
        assert_eq!(parse(&foreign, "amd64"), Index::default());
    }

    #[test]
    fn what_apt_takes_is_taken() {
        for (from, to, path) in [
            ("pool/", "./pool/", "pool/x.deb"),
            ("pool/", "/pool/", "pool/x.deb"),
            ("pool/", "pool//", "pool//x.deb"),
            ("pool/", "pool/a b/", "pool/a b/x.deb"),
            ("pool/", "pool/\u{e4}%3a+~/", "pool/\u{e4}%3a+~/x.deb"),
            ("Filename", "filename", "pool/x.deb"),
        ] {
            let text = stanza("x", "").replace(from, to);
            assert_eq!(parse(&text, "amd64").records[0].path, path, "{text}");
        }
    }
}
