//! `SHA256SUMS`, as `sha256sum -c` checks it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use super::Error;
use crate::progress::trace;

/// The name of the file.
pub const SUMS: &str = "SHA256SUMS";

/// Writes `SHA256SUMS` over all files below `dir` but itself and its signatures,
/// sorted by name, and returns name → sha256. Files in `known` are not read again.
///
/// # Errors
/// When a file cannot be read, or the list not be written.
pub fn write_sums(
    dir: &Path,
    known: &BTreeMap<String, [u8; 32]>,
) -> Result<BTreeMap<String, [u8; 32]>, Error> {
    let mut files = Vec::new();
    walk(dir, dir, &mut files)?;
    files.retain(|(name, _)| !name.starts_with(SUMS));
    let sums: BTreeMap<String, [u8; 32]> = files
        .into_par_iter()
        .map(|(name, path)| match known.get(&name) {
            Some(sum) => Ok((name, *sum)),
            None => {
                let _span = trace::span("hash", || name.clone());
                let sum = sha256_of_file(&path).map_err(Error::io("read", &path))?;
                Ok((name, sum))
            }
        })
        .collect::<Result<_, Error>>()?;
    let text: String = sums.iter().map(|(name, sum)| line(name, sum)).collect();
    let path = dir.join(SUMS);
    fs::write(&path, text).map_err(Error::io("write", &path))?;
    Ok(sums)
}

/// The lines of a `SHA256SUMS`: hash and name. A line that is neither is its number, from 1.
pub fn parse_sums(text: &str) -> impl Iterator<Item = Result<(&str, &str), usize>> {
    text.lines().zip(1..).map(|(line, number)| match line.split_once("  ") {
        Some((sum, name)) if sum.len() == 64 && !name.is_empty() && !name.contains('/') => Ok((sum, name)),
        _ => Err(number),
    })
}

/// One line; names with a backslash or a line break are escaped as coreutils does it.
fn line(name: &str, sum: &[u8; 32]) -> String {
    let hex: String = sum.iter().map(|b| format!("{b:02x}")).collect();
    let escaped = name.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r");
    let mark = if escaped == name { "" } else { "\\" };
    format!("{mark}{hex}  {escaped}\n")
}

fn walk(top: &Path, dir: &Path, files: &mut Vec<(String, PathBuf)>) -> Result<(), Error> {
    for entry in fs::read_dir(dir).map_err(Error::io("read", dir))? {
        let path = entry.map_err(Error::io("read", dir))?.path();
        if path.is_dir() {
            walk(top, &path, files)?;
        } else {
            let name = path.strip_prefix(top).unwrap_or(&path).to_string_lossy().into_owned();
            files.push((name, path));
        }
    }
    Ok(())
}

/// The sha256 of a file. Holes are hashed without reading them: most of a disk image is holes.
///
/// # Errors
/// When it does not read.
pub fn sha256_of_file(path: &Path) -> std::io::Result<[u8; 32]> {
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    let mut hash = Sha256::new();
    let zeros = vec![0; 1 << 18];
    let mut buffer = vec![0; 1 << 18];
    let mut at = 0;
    while at < len {
        // File systems that know no holes say that all is data; NXIO: a hole up to the end.
        let data = match seek(&file, SeekFrom::Data(at)) {
            Ok(data) => data.min(len),
            Err(Errno::NXIO) => len,
            Err(_) => at,
        };
        while at < data {
            let some = zeros.len().min(usize::try_from(data - at).unwrap_or(zeros.len()));
            hash.update(zeros.get(..some).unwrap_or_default());
            at += some as u64;
        }
        let hole = seek(&file, SeekFrom::Hole(at)).map_or(len, |hole| hole.min(len));
        std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(at))?;
        while at < hole {
            let some = buffer.len().min(usize::try_from(hole - at).unwrap_or(buffer.len()));
            let part = buffer.get_mut(..some).unwrap_or_default();
            file.read_exact(part)?;
            hash.update(part);
            at += some as u64;
        }
    }
    Ok(hash.finalize().into())
}
