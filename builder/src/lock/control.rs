//! The maintainer scripts of a .deb: the few members of its control.tar that do
//! something, bounded in number and size (deb(5), deb-control(5)).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

/// A control.tar may not be larger than this, compressed or not.
const TAR_LIMIT: u64 = 64 << 20;
/// Nor a script.
const SCRIPT_LIMIT: u64 = 4 << 20;

/// Members that do something when a package is installed.
const WANTED: [&str; 4] = ["preinst", "postinst", "config", "triggers"];

/// Name of the member → its content.
pub type Scripts = BTreeMap<String, Vec<u8>>;

/// Why a .deb cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be opened.
    #[error("cannot read it")]
    Io(#[from] io::Error),
    /// It is no .deb, or a damaged one.
    #[error("it is no valid .deb: {0}")]
    Malformed(&'static str),
    /// A member is larger than any real one.
    #[error("its {0} is larger than any real one")]
    TooLarge(String),
}

/// The scripts of the .deb `file`.
pub fn control_scripts(file: &Path) -> Result<Scripts, Error> {
    read(BufReader::new(File::open(file)?))
}

fn read(mut deb: impl Read) -> Result<Scripts, Error> {
    let mut magic = [0; 8];
    deb.read_exact(&mut magic)?;
    if &magic != b"!<arch>\n" {
        return Err(Error::Malformed("it does not start like an ar archive"));
    }
    // debian-binary comes first, control.tar second (deb(5)); anything else is skipped.
    for _ in 0..16 {
        let (name, size) = ar_header(&mut deb)?;
        let mut member = (&mut deb).take(size);
        if let Some(suffix) = name.strip_prefix("control.tar") {
            if size > TAR_LIMIT {
                return Err(Error::TooLarge(name));
            }
            return match suffix {
                "" => scripts(member),
                ".gz" => scripts(flate2::read::GzDecoder::new(member)),
                ".xz" => scripts(liblzma::read::XzDecoder::new(member)),
                ".zst" => scripts(zstd::stream::read::Decoder::new(member)?),
                _ => Err(Error::Malformed("its control.tar is compressed in an unknown way")),
            };
        }
        io::copy(&mut member, &mut io::sink())?;
        if size % 2 == 1 {
            deb.read_exact(&mut [0])?;
        }
    }
    Err(Error::Malformed("there is no control.tar in it"))
}

/// Name and size of the next member.
fn ar_header(deb: &mut impl Read) -> Result<(String, u64), Error> {
    let mut header = [0; 60];
    deb.read_exact(&mut header)?;
    let text = std::str::from_utf8(&header).ok().filter(|text| text.ends_with("`\n"));
    let field = |range| text.and_then(|text| text.get(range)).map(str::trim);
    let name = field(0..16).ok_or(Error::Malformed("a member has no valid header"))?;
    let size = field(48..58).and_then(|size| size.parse().ok());
    let size = size.ok_or(Error::Malformed("a member has no valid size"))?;
    Ok((name.trim_end_matches('/').to_owned(), size))
}

fn scripts(tar: impl Read) -> Result<Scripts, Error> {
    let mut scripts = Scripts::new();
    let mut archive = tar::Archive::new(tar.take(TAR_LIMIT));
    for entry in archive.entries()? {
        let entry = entry?;
        let path = entry.path_bytes().into_owned();
        let name = String::from_utf8_lossy(path.strip_prefix(b"./").unwrap_or(&path)).into_owned();
        if !WANTED.contains(&&*name) || !entry.header().entry_type().is_file() {
            continue;
        }
        if entry.size() > SCRIPT_LIMIT {
            return Err(Error::TooLarge(name));
        }
        let mut content = Vec::new();
        entry.take(SCRIPT_LIMIT).read_to_end(&mut content)?;
        scripts.insert(name, content);
    }
    Ok(scripts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deb(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut out = b"!<arch>\n".to_vec();
        for (name, content) in members {
            let header =
                format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, "100644", content.len());
            out.extend(header.as_bytes());
            out.extend(*content);
            out.extend(vec![b'\n'; content.len() % 2]);
        }
        out
    }

    #[test]
    fn damaged_packages_are_errors() {
        let member = |name: &'static str, content: &'static [u8]| (name, content);
        let binary = member("debian-binary", b"2.0\n!");
        let good = deb(&[binary, ("control.tar", &[0; 1024])]);
        assert_eq!(read(&*good).unwrap(), Scripts::new());
        for cut in [0, 7, 30, 70, 100] {
            assert!(matches!(read(&good[..cut]), Err(Error::Io(_))), "{cut}");
        }
        assert!(matches!(read(&b"not an archive"[..]), Err(Error::Malformed(_))));
        assert!(matches!(read(&*deb(&[binary, ("control.tar.rot", b"")])), Err(Error::Malformed(_))));
        assert!(matches!(read(&*deb(&[member("x", b""); 20])), Err(Error::Malformed(_))));
        assert!(matches!(read(&*deb(&[binary, ("control.tar.xz", b"nonsense")])), Err(Error::Io(_))));
    }
}
