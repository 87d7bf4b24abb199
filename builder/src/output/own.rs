//! Whose a directory is. What is in the cache goes into images, and what is in an output
//! directory is signed: whoever may write there decides what machines run.

use std::fmt;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

/// Why somebody else decides what is in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// It is another user's.
    Owner {
        /// Its user.
        owner: u32,
        /// Ours.
        us: u32,
    },
    /// Others may write.
    Mode(u32),
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Foreign::Owner { owner, us } => {
                write!(f, "it belongs to the user {owner}, and this is {us}: take a directory of your own")
            }
            Foreign::Mode(mode) => {
                write!(f, "its mode {mode:04o} lets others write into it: `chmod go-w` it")
            }
        }
    }
}

/// Whether what these say makes a directory somebody else's. Root's are nobody else's: root may
/// change anything as it is.
fn foreign(owner: u32, mode: u32, us: u32) -> Option<Foreign> {
    if owner != us && owner != 0 {
        return Some(Foreign::Owner { owner, us });
    }
    (mode & 0o022 != 0).then_some(Foreign::Mode(mode & 0o7777))
}

/// Looks at a directory; one that is not there is nobody's.
///
/// # Errors
/// When it cannot be looked at.
pub fn check(dir: &Path) -> io::Result<Option<Foreign>> {
    match fs::metadata(dir) {
        Ok(meta) => Ok(foreign(meta.uid(), meta.mode(), rustix::process::geteuid().as_raw())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes a directory, and those above it, that others cannot write into, whatever the umask.
///
/// # Errors
/// When it cannot be made.
pub fn make(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(dir)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn mine_and_roots_are_mine() {
        for (owner, mode, us, what) in [
            (7, 0o40755, 7, None),
            (7, 0o40700, 7, None),
            (0, 0o40755, 7, None),
            (7, 0o40755, 0, Some(Foreign::Owner { owner: 7, us: 0 })),
            (8, 0o40755, 7, Some(Foreign::Owner { owner: 8, us: 7 })),
            (7, 0o40775, 7, Some(Foreign::Mode(0o775))),
            (7, 0o41777, 7, Some(Foreign::Mode(0o1777))),
            (0, 0o40757, 7, Some(Foreign::Mode(0o757))),
        ] {
            assert_eq!(foreign(owner, mode, us), what, "{owner} {mode:o} {us}");
        }
    }

    #[test]
    fn what_is_made_is_ones_own() {
        let dir = tempfile::tempdir().unwrap();
        let made = dir.path().join("a/b");
        assert_eq!(check(&made).unwrap(), None);
        make(&made).unwrap();
        assert_eq!(check(&made).unwrap(), None);
        fs::set_permissions(&made, fs::Permissions::from_mode(0o775)).unwrap();
        assert_eq!(check(&made).unwrap(), Some(Foreign::Mode(0o775)));
    }
}
