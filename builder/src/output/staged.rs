//! A directory that appears under its name complete, or not at all.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with};

use super::Error;
use super::interrupt::{self, Staged};
use super::own;

/// A directory being filled beside its final place. Dropped without
/// [`StagedDir::commit`], it is removed.
///
/// It is called `.<name>.partial-<n>` and is locked (flock) while its process lives,
/// so that what a killed build left behind is recognised and removed by the next one.
#[derive(Debug)]
pub struct StagedDir {
    /// Where it is filled, and what was made for that.
    partial: Staged,
    target: PathBuf,
    /// Held open for its lock.
    _lock: File,
}

/// Refuses a directory for images that is not ours alone: what lies there is signed.
///
/// # Errors
/// When it is another's, others may write there, or it cannot be looked at.
pub fn check_own(dir: &Path) -> Result<(), Error> {
    match own::check(dir).map_err(Error::io("look at", dir))? {
        None => Ok(()),
        Some(foreign) => Err(Error::Foreign { path: dir.to_owned(), foreign }),
    }
}

impl StagedDir {
    /// Begins a directory that will become `target`; the directories above it are made.
    ///
    /// # Errors
    /// When it cannot be made there.
    pub fn create(target: &Path) -> Result<Self, Error> {
        let parent = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let Some(name) = target.file_name() else {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "the path has no last component");
            return Err(Error::new("create", target, None, source));
        };
        let mut above = make_dirs(parent).map_err(Error::io("create", parent))?;
        // Until this is closed, no other build takes our directory for a stale one.
        let gate = File::open(parent).map_err(Error::io("open", parent))?;
        flock(&gate, FlockOperation::LockExclusive).ok();

        let prefix = format!(".{}.partial-", name.to_string_lossy());
        remove_stale(parent, &prefix)?;
        let mut n = 0_u32;
        let partial = loop {
            let partial = parent.join(format!("{prefix}{n}"));
            match fs::create_dir(&partial) {
                Ok(()) => break partial,
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => n += 1,
                // Another build that failed has just tidied up after itself.
                Err(e) if e.kind() == io::ErrorKind::NotFound && above.is_empty() => {
                    above = make_dirs(parent).map_err(Error::io("create", parent))?;
                }
                Err(e) => return Err(Error::new("create", &partial, None, e)),
            }
        };
        let partial = Staged { dir: partial, above };
        interrupt::remember(&partial);
        let lock = File::open(&partial.dir).map_err(Error::io("open", &partial.dir))?;
        // File systems without locks just do not get stale directories removed.
        flock(&lock, FlockOperation::NonBlockingLockExclusive).ok();
        Ok(Self { partial, target: target.to_owned(), _lock: lock })
    }

    /// Where to write.
    pub fn path(&self) -> &Path {
        &self.partial.dir
    }

    /// Where it will be.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Writes a small file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let path = self.partial.dir.join(name);
        fs::write(&path, bytes).map_err(|e| Error::new("write", &path, u64::try_from(bytes.len()).ok(), e))
    }

    /// Brings to disk what is there so far, so that [`StagedDir::commit`] has less to
    /// wait for: the disk writes while the processor hashes.
    ///
    /// # Errors
    /// When that fails.
    pub fn sync(&self) -> Result<(), Error> {
        sync_all(&self.partial.dir)
    }

    /// Brings everything to disk and puts it under its final name in one step. What
    /// was there before is removed afterwards; it was complete until then. Files become
    /// 0644 and directories 0755, so that any server may read them.
    ///
    /// # Errors
    /// When that fails; what was there before stays.
    pub fn commit(self) -> Result<(), Error> {
        sync_all(&self.partial.dir)?;
        self.put()
    }

    /// As [`StagedDir::commit`] for thousands of small files that can be made again and
    /// whose modes are right already: only those named are brought to disk first.
    ///
    /// # Errors
    /// As [`StagedDir::commit`].
    pub fn commit_small_files(self, precious: &[&str]) -> Result<(), Error> {
        for name in precious {
            let path = self.partial.dir.join(name);
            File::open(&path).and_then(|file| file.sync_all()).map_err(Error::io("sync", &path))?;
        }
        self.put()
    }

    fn put(self) -> Result<(), Error> {
        match renameat_with(CWD, &self.partial.dir, CWD, &self.target, RenameFlags::NOREPLACE) {
            Ok(()) => {}
            Err(rustix::io::Errno::EXIST) => {
                replace(&self.partial.dir, &self.target)
                    .map_err(Error::io("put into place", &self.target))?;
            }
            Err(_) => {
                // File systems that know no flags know plain rename.
                fs::rename(&self.partial.dir, &self.target)
                    .map_err(Error::io("put into place", &self.target))?;
            }
        }
        if let Some(parent) = self.partial.dir.parent() {
            File::open(parent).and_then(|dir| dir.sync_all()).map_err(Error::io("sync", parent))?;
        }
        Ok(())
        // Dropping removes what is now under the partial name: the former version.
    }
}

impl Drop for StagedDir {
    fn drop(&mut self) {
        self.partial.remove();
        interrupt::forget(&self.partial.dir);
    }
}

/// Makes a directory and those above it. Returns those that were not there, the
/// innermost first.
fn make_dirs(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let missing = dir.ancestors().take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists());
    let missing = missing.map(Path::to_owned).collect();
    own::make(dir)?;
    Ok(missing)
}

/// Swaps the two, so that `new` is under the name of `old` and the other way round.
fn replace(new: &Path, old: &Path) -> io::Result<()> {
    match renameat_with(CWD, new, CWD, old, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::OPNOTSUPP) => {
            replace_in_steps(new, old)
        }
        Err(e) => Err(e.into()),
    }
}

/// The same for file systems that cannot exchange: the name is missing for a moment,
/// but never half-written, and a failure puts the old one back.
fn replace_in_steps(new: &Path, old: &Path) -> io::Result<()> {
    let mut aside = new.as_os_str().to_owned();
    aside.push(".old");
    fs::rename(old, &aside)?;
    if let Err(e) = fs::rename(new, old) {
        fs::rename(&aside, old)?;
        return Err(e);
    }
    fs::rename(&aside, new)
}

/// Removes what killed builds left: directories of that name that nobody has locked.
fn remove_stale(parent: &Path, prefix: &str) -> Result<(), Error> {
    for entry in fs::read_dir(parent).map_err(Error::io("read", parent))? {
        let path = entry.map_err(Error::io("read", parent))?.path();
        let ours = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(prefix));
        let Ok(dir) = File::open(&path) else { continue };
        if ours && path.is_dir() && flock(&dir, FlockOperation::NonBlockingLockExclusive).is_ok() {
            fs::remove_dir_all(&path).map_err(Error::io("remove", &path))?;
        }
    }
    Ok(())
}

/// Sets modes and syncs, files first, then the directories they are in.
fn sync_all(dir: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(dir).map_err(Error::io("read", dir))? {
        let path = entry.map_err(Error::io("read", dir))?.path();
        let kind = fs::symlink_metadata(&path).map_err(Error::io("read", &path))?.file_type();
        if kind.is_dir() {
            sync_all(&path)?;
        } else if kind.is_file() {
            let set = || fs::set_permissions(&path, Permissions::from_mode(0o644));
            set().and_then(|()| File::open(&path)?.sync_all()).map_err(Error::io("sync", &path))?;
        }
    }
    let set = || fs::set_permissions(dir, Permissions::from_mode(0o755));
    set().and_then(|()| File::open(dir)?.sync_all()).map_err(Error::io("sync", dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacing_in_steps_swaps_and_a_failure_keeps_the_old() {
        let top = tempfile::tempdir().unwrap();
        let [new, old] = ["new", "old"].map(|name| top.path().join(name));
        for dir in [&new, &old] {
            fs::create_dir(dir).unwrap();
            fs::write(dir.join("f"), dir.file_name().unwrap().as_encoded_bytes()).unwrap();
        }
        replace_in_steps(&new, &old).unwrap();
        assert_eq!(fs::read_to_string(old.join("f")).unwrap(), "new");
        assert_eq!(fs::read_to_string(new.join("f")).unwrap(), "old");
        fs::remove_dir_all(&new).unwrap();
        replace_in_steps(&new, &old).unwrap_err();
        assert_eq!(fs::read_to_string(old.join("f")).unwrap(), "new");
    }
}
