//! The key with which a server says which document is the newest. It signs nothing else, so it
//! may be online; documents name its public half.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::Error;
use crate::fleet::read_key;
use metadata::fleet::sign::{Signer, new_key};

/// Its file in the server's state directory.
const FILE: &str = "freshness.key";

/// The key in a file that was given, or the one of a state directory; that is made when there
/// is none.
///
/// # Errors
/// When it cannot be read, made or written.
pub fn key(state: &Path, given: Option<&Path>) -> Result<(Signer, PathBuf), Error> {
    let path = given.map_or_else(|| state.join(FILE), Path::to_owned);
    if given.is_none() && !fs::exists(&path).map_err(Error::io("read", &path))? {
        let made = new_key("freshness", None)
            .map_err(|source| crate::fleet::Error::Key { path: path.clone(), source })?;
        // Whole before it has its name, and nobody else's to read.
        let mut file = tempfile::NamedTempFile::new_in(state).map_err(Error::io("write in", state))?;
        file.write_all(made.secret.as_bytes())
            .and_then(|()| file.as_file().sync_all())
            .map_err(Error::io("write in", state))?;
        file.persist_noclobber(&path).map_err(|e| Error::io("create", &path)(e.error))?;
    }
    Ok((read_key(&path, None)?, path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_key_is_made_once_and_for_nobody_else_to_read() {
        let dir = tempfile::tempdir().unwrap();
        let (first, path) = key(dir.path(), None).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(key(dir.path(), None).unwrap().0.public().as_str(), first.public().as_str());
        assert_eq!(key(Path::new("/"), Some(&path)).unwrap().0.public().as_str(), first.public().as_str());
        // One that is given is not made.
        assert!(key(dir.path(), Some(&dir.path().join("other.key"))).is_err());
        fs::write(&path, "x").unwrap();
        assert!(matches!(key(dir.path(), None), Err(Error::Fleet(_))));
    }
}
