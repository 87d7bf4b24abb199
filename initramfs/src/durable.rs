//! Writing small files that a power cut does not halve.

use rustix::fs::{Mode, OFlags};
use std::fs::{self, File};
use std::io::{self, Write};
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

/// Renames within a directory; when this returns, the new name is on the disk.
///
/// # Errors
/// The kernel's.
pub fn rename(from: &Path, to: &Path, dir: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    File::open(dir)?.sync_all()
}
