//! ROOT before it is mounted: is its filesystem whole, and when was it used.
//!
//! The initramfs has no e2fsck. The image has one, in the /usr that is mounted and verified by
//! then: it is run from there by the image's own loader, as systemd-fsck would run it had the
//! image mounted its /var itself. What it cannot repair without being told to is not mounted:
//! it would get worse.

use super::AT;
use crate::disks::{self, Found};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// The loader of the image's programs, and their libraries, below its root.
const LOADER: &str = "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2";
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";
/// The checker, below the image's root.
const E2FSCK: &str = "usr/sbin/e2fsck";

/// Exit codes of e2fsck(8), which are added up.
const REPAIRED: i32 = 1 | 2;
const UNREPAIRED: i32 = 4;

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checked {
    /// It is whole.
    Clean,
    /// It had errors, which were repaired; what was said.
    Repaired(String),
    /// Somebody has to decide what is given up; what was said.
    Broken(String),
    /// It was not checked, and why.
    Not(String),
}

/// Checks the ext4 on a device with the tools of the image below `image`, which is
/// [`AT`]. A journal is replayed; nothing else is done to one that is clean.
fn check(image: &Path, device: &str) -> Checked {
    let done = Command::new(image.join(LOADER))
        .arg("--library-path")
        .arg(image.join(LIBRARIES))
        .arg(image.join(E2FSCK))
        .args(["-p", device])
        .env_clear()
        .stdin(Stdio::null())
        .output();
    let done = match done {
        Ok(done) => done,
        Err(error) => return Checked::Not(format!("the image has no e2fsck that runs ({error})")),
    };
    let said = [done.stdout, done.stderr].concat();
    let said = String::from_utf8_lossy(&said).trim().replace('\n', "; ");
    match done.status.code() {
        Some(0) => Checked::Clean,
        Some(code) if code & !(REPAIRED | UNREPAIRED) != 0 => {
            Checked::Not(format!("e2fsck ends with {code}: {said}"))
        }
        Some(code) if code & UNREPAIRED != 0 => Checked::Broken(said),
        Some(_) => Checked::Repaired(said),
        None => Checked::Not(format!("e2fsck ends with {}: {said}", done.status)),
    }
}

/// [`check`] for the image that is put together.
pub fn check_here(device: &str) -> Checked {
    check(Path::new(AT), device)
}

/// When the filesystem on the ROOT of a disk was last mounted or written to, in seconds since
/// 1970 (`s_mtime`, `s_wtime`); `None` when there is none.
pub fn last_used(found: &Found) -> Option<u32> {
    let root = found.root.as_ref()?;
    let mut superblock = [0; 1024];
    File::open(disks::node(&found.disk)).ok()?.read_exact_at(&mut superblock, root.start + 1024).ok()?;
    used(&superblock)
}

fn used(superblock: &[u8; 1024]) -> Option<u32> {
    let at = |at: usize| Some(u32::from_le_bytes(*superblock.get(at..)?.first_chunk()?));
    let is_ext = superblock.get(0x38..0x3a)? == [0x53, 0xef];
    if is_ext { at(0x2c).max(at(0x30)) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slots::tests::loops::{Sparse, judge};

    fn ext4() -> Sparse {
        let disk = Sparse::new(64 << 20, 512);
        judge("e2fsprogs", "mke2fs", &["-q", "-t", "ext4", "-b", "4096", disk.node().to_str().unwrap()]);
        disk
    }

    fn checked(disk: &Sparse) -> Checked {
        check(Path::new("/"), disk.node().to_str().unwrap())
    }

    /// The same program in the same way, from the system this runs on.
    #[test]
    fn errors_are_repaired_or_somebody_has_to_decide() {
        let disk = ext4();
        assert_eq!(checked(&disk), Checked::Clean);
        // The kernel has found an error: the whole filesystem is looked at.
        judge("e2fsprogs", "debugfs", &["-w", "-R", "ssv state 2", disk.node().to_str().unwrap()]);
        assert!(matches!(checked(&disk), Checked::Repaired(_)), "{:?}", checked(&disk));
        assert_eq!(checked(&disk), Checked::Clean);
        // The root directory is no directory any more.
        let commands = ["ssv state 2", "sif <2> mode 0100644"];
        for command in commands {
            judge("e2fsprogs", "debugfs", &["-w", "-R", command, disk.node().to_str().unwrap()]);
        }
        assert!(matches!(checked(&disk), Checked::Broken(_)), "{:?}", checked(&disk));
    }

    #[test]
    fn an_image_without_the_tool_and_what_is_no_filesystem_are_no_verdict() {
        let nowhere = tempfile::tempdir().unwrap();
        assert!(matches!(check(nowhere.path(), "/dev/null"), Checked::Not(_)));
        let disk = Sparse::new(4 << 20, 512);
        assert!(matches!(checked(&disk), Checked::Not(_)), "{:?}", checked(&disk));
    }

    #[test]
    fn the_superblock_says_when_it_was_used() {
        let mut superblock = [0; 1024];
        assert_eq!(used(&superblock), None);
        superblock[0x38..0x3a].copy_from_slice(&0xef53_u16.to_le_bytes());
        superblock[0x2c..0x30].copy_from_slice(&7_u32.to_le_bytes());
        superblock[0x30..0x34].copy_from_slice(&9_u32.to_le_bytes());
        assert_eq!(used(&superblock), Some(9));
        superblock[0x2c..0x30].copy_from_slice(&11_u32.to_le_bytes());
        assert_eq!(used(&superblock), Some(11));
    }
}
