//! What loading a recipe needs of the build host's file system.

use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

/// A recipe file is at most this long: 1 MiB.
const MAX_BYTES: u64 = 1 << 20;

/// The file system a recipe is loaded from.
pub trait Host {
    /// The bytes of a recipe file.
    ///
    /// # Errors
    /// When it cannot be read, or is longer than 1 MiB.
    fn read(&self, file: &Path) -> io::Result<Vec<u8>>;

    /// One name for each file, however it is reached.
    fn identity(&self, file: &Path) -> PathBuf;

    /// Whether this is a directory.
    fn is_dir(&self, path: &Path) -> bool;

    /// Whether this is a file.
    fn is_file(&self, path: &Path) -> bool;
}

/// The real one.
#[derive(Clone, Copy, Debug)]
pub struct Disk;

impl Host for Disk {
    fn read(&self, file: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        std::fs::File::open(file)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
        if u64::try_from(bytes.len()).is_ok_and(|n| n > MAX_BYTES) {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the file is longer than 1 MiB"));
        }
        Ok(bytes)
    }

    fn identity(&self, file: &Path) -> PathBuf {
        std::fs::canonicalize(file).unwrap_or_else(|_| tidy(file))
    }

    fn is_dir(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn is_file(&self, path: &Path) -> bool {
        path.is_file()
    }
}

/// A path without `.` and, where a name is before it, without `..`.
pub(super) fn tidy(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(out.components().next_back(), Some(Component::Normal(_))) => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    if out.as_os_str().is_empty() { PathBuf::from(".") } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tidy_paths() {
        for (path, want) in [
            ("a/../b", "b"),
            ("../a/./b", "../a/b"),
            ("a/..", "."),
            ("/../a", "/../a"),
            ("a/b/../../..", ".."),
        ] {
            assert_eq!(tidy(Path::new(path)), Path::new(want), "{path}");
        }
    }
}
