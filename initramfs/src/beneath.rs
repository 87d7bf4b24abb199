//! Directories that root reaches without following a link somebody else may have put there.
//!
//! Below a directory that a user owns every name is that user's choice: a link in the place
//! of a directory would lead root to any file of the sled. So each component is opened by
//! itself, relative to the one before, and what is changed is what was opened.
//! Source: openat2(2), `RESOLVE_BENEATH` and `RESOLVE_NO_SYMLINKS`.
//!
//! Not guarded: the path of the directory that everything begins at.

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// An open directory.
#[derive(Debug)]
pub struct Dir(OwnedFd);

impl Dir {
    /// The directory that everything begins at; links on the way to it are followed.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(rustix::fs::openat(CWD, path, DIRECTORY, Mode::empty())?))
    }

    /// The directory at a path below this one.
    ///
    /// # Errors
    /// When it is not there or a link is on the way.
    pub fn below(&self, path: &Path) -> io::Result<Self> {
        self.walk(path, |_, _| Ok(()))
    }

    /// The same; what is missing is made, 0755.
    ///
    /// # Errors
    /// When it cannot be made or a link is on the way.
    pub fn make(&self, path: &Path) -> io::Result<Self> {
        self.walk(path, |dir, name| match rustix::fs::mkdirat(dir, name, Mode::from_raw_mode(0o755)) {
            Err(Errno::EXIST) => Ok(()),
            made => Ok(made?),
        })
    }

    /// The file with this name in the directory itself. A link is not followed, and a pipe
    /// does not make anybody wait.
    ///
    /// # Errors
    /// The kernel's.
    pub fn file(&self, name: &OsStr) -> io::Result<std::fs::File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(self.one(name, flags, Mode::empty())?.into())
    }

    /// A new file with this name in the directory itself, for nobody but its owner.
    ///
    /// # Errors
    /// The kernel's; also when something has the name.
    pub fn create(&self, name: &OsStr) -> io::Result<std::fs::File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        Ok(self.one(name, flags, Mode::from_raw_mode(0o600))?.into())
    }

    /// A path that leads to this very directory, whatever its names lead to by now.
    pub fn handle(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.0.as_raw_fd()).into()
    }

    fn walk(&self, path: &Path, before: impl Fn(&Self, &OsStr) -> io::Result<()>) -> io::Result<Self> {
        let mut at = Self(self.0.try_clone()?);
        let mut passed = PathBuf::new();
        for component in path.components() {
            let name = match component {
                Component::Normal(name) => name,
                Component::RootDir | Component::CurDir => continue,
                Component::ParentDir | Component::Prefix(_) => return Err(io::ErrorKind::InvalidInput.into()),
            };
            passed.push(name);
            before(&at, name)?;
            at = match at.one(name, DIRECTORY, Mode::empty()) {
                Ok(fd) => Self(fd),
                Err(Errno::LOOP) => {
                    let what = format!("/{} is a link, and links are not followed here", passed.display());
                    return Err(io::Error::new(io::ErrorKind::NotADirectory, what));
                }
                Err(error) => return Err(error.into()),
            };
        }
        Ok(at)
    }

    fn one(&self, name: &OsStr, flags: OFlags, mode: Mode) -> rustix::io::Result<OwnedFd> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        rustix::fs::openat2(&self.0, name, flags, mode, resolve)
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn no_link_is_followed_wherever_it_is_on_the_way() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        let names = ["a", "b", "c"];
        for at in 0..names.len() {
            let root = dir.path().join(format!("root{at}"));
            let above: PathBuf = names[..at].iter().collect();
            fs::create_dir_all(root.join(&above)).unwrap();
            fs::create_dir_all(outside.join("b/c")).unwrap();
            for target in [outside.as_path(), Path::new(".."), Path::new("nowhere")] {
                let link = root.join(&above).join(names[at]);
                symlink(target, &link).unwrap();
                let open = Dir::open(&root).unwrap();
                for error in [open.make(Path::new("a/b/c")), open.below(Path::new("/a/b/c"))] {
                    let error = error.unwrap_err().to_string();
                    let path = names[..=at].join("/");
                    assert_eq!(error, format!("/{path} is a link, and links are not followed here"));
                }
                fs::remove_file(link).unwrap();
            }
            Dir::open(&root).unwrap().make(Path::new("a/b/c")).unwrap();
            assert!(root.join("a/b/c").is_dir());
        }
        assert!(Dir::open(dir.path()).unwrap().below(Path::new("root0/../outside")).is_err());
        let linked = dir.path().join("linked");
        symlink(&outside, &linked).unwrap();
        let open = Dir::open(dir.path()).unwrap();
        assert!(open.file(OsStr::new("linked")).is_err() && open.create(OsStr::new("linked")).is_err());
    }

    #[test]
    fn a_handle_stays_with_what_was_opened() {
        let dir = tempfile::tempdir().unwrap();
        let made = Dir::open(dir.path()).unwrap().make(Path::new("x")).unwrap();
        fs::rename(dir.path().join("x"), dir.path().join("y")).unwrap();
        symlink("/", dir.path().join("x")).unwrap();
        fs::write(made.handle().join("file"), "").unwrap();
        assert!(dir.path().join("y/file").exists());
    }
}
