//! Small files on /var: written so that a power cut does not halve them, and read as what
//! anybody may have put there.

use rustix::fs::{Mode, OFlags};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

/// Writes a file so that after a power cut there is either all of it or what was
/// there before. `mode` is its permission bits. When this returns, it is on the disk.
///
/// # Errors
/// The kernel's. A file `<name>.new` may be left.
pub fn write(dir: &Path, name: &str, bytes: &[u8], mode: u32) -> io::Result<()> {
    let new = dir.join(format!("{name}.new"));
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::open(&new, flags, Mode::from_raw_mode(mode))?);
    file.write_all(bytes)?;
    file.sync_all()?;
    rename(&new, &dir.join(name), dir)
}

/// Reads a file of at most this many bytes. A disk may come from anywhere: a link, a device or
/// a file without end must not take PID 1's memory, and a pipe does not make it wait.
///
/// # Errors
/// The kernel's; `InvalidData` for what is no such file.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Err(rustix::io::Errno::LOOP) => return Err(io::ErrorKind::InvalidData.into()),
        file => File::from(file?),
    };
    let mut bytes = Vec::new();
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if kind.is_file() {
        file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 <= most {
            return Ok(bytes);
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

/// Renames within a directory; when this returns, the new name is on the disk.
///
/// # Errors
/// The kernel's.
pub fn rename(from: &Path, to: &Path, dir: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_a_file_that_is_not_too_long_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("file"), "1234").unwrap();
        assert_eq!(read(&at("file"), 4).unwrap(), b"1234");
        symlink("/dev/zero", at("device")).unwrap();
        symlink("file", at("link")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            at("pipe"),
            rustix::fs::FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        for (name, most) in [("file", 3), ("device", 4), ("link", 4), ("pipe", 4)] {
            assert_eq!(read(&at(name), most).unwrap_err().kind(), io::ErrorKind::InvalidData, "{name}");
        }
        assert_eq!(read(dir.path(), 4).unwrap_err().kind(), io::ErrorKind::IsADirectory);
        assert_eq!(read(&at("none"), 4).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
