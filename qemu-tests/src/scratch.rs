//! A test's own directory.

use std::ffi::OsStr;
use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};

/// What stays of a test that passed: files directly in its directory, up to this many bytes.
const SMALL: u64 = 4 << 20;

/// A directory of a test's own, empty at first. All of it stays when the test fails; consoles
/// and pictures stay when it passes, images and disks go: a whole run makes some 20 GB of them.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes `dir` anew.
    ///
    /// # Panics
    /// When it cannot be made: this is test code.
    pub fn new(dir: PathBuf) -> Self {
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).expect("cargo's scratch directory can be written");
        Self(dir)
    }

    /// For what several tests of a process share: nobody is the last to need it.
    pub fn shared(self) -> &'static Path {
        Box::leak(Box::new(self))
    }
}

impl Deref for Scratch {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl AsRef<Path> for Scratch {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl AsRef<OsStr> for Scratch {
    fn as_ref(&self) -> &OsStr {
        self.0.as_os_str()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        for entry in fs::read_dir(&self.0).into_iter().flatten().flatten() {
            let path = entry.path();
            match entry.metadata() {
                Ok(data) if data.is_dir() => drop(fs::remove_dir_all(path)),
                Ok(data) if data.len() > SMALL => drop(fs::remove_file(path)),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(name: &str) -> (Scratch, PathBuf) {
        let scratch = Scratch::new(std::env::temp_dir().join(format!("{name}-{}", std::process::id())));
        let dir = scratch.to_owned();
        fs::create_dir(dir.join("tree")).unwrap();
        fs::write(dir.join("tree/file"), "x").unwrap();
        fs::write(dir.join("console.log"), "x").unwrap();
        fs::File::create(dir.join("disk.raw")).unwrap().set_len(SMALL + 1).unwrap();
        (scratch, dir)
    }

    fn left(dir: &Path) -> usize {
        let left = fs::read_dir(dir).unwrap().count();
        fs::remove_dir_all(dir).unwrap();
        left
    }

    #[test]
    fn a_test_that_passes_leaves_its_console() {
        let (scratch, dir) = filled("passes");
        drop(scratch);
        assert_eq!(left(&dir), 1);
    }

    #[test]
    fn a_test_that_fails_leaves_everything() {
        let (scratch, dir) = filled("fails");
        std::thread::spawn(move || {
            let _scratch = scratch;
            panic!("on purpose");
        })
        .join()
        .unwrap_err();
        assert_eq!(left(&dir), 3);
    }
}
