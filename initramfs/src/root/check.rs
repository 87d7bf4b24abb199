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
use std::process::{Command, Output, Stdio};

/// The loader of the image's programs, and their libraries, below its root.
const LOADER: &str = "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2";
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";
/// The checker, below the image's root.
const E2FSCK: &str = "usr/sbin/e2fsck";

/// The copy of the superblock in the second group, where blocks have 4096 bytes. The kernel writes
/// the first one outside of the journal, and its 1024 bytes are two sectors: a power cut may leave
/// one that is neither the old nor the new, and by itself `e2fsck -p` does not look for another.
const COPY: [&str; 4] = ["-b", "32768", "-B", "4096"];

/// Exit codes of e2fsck(8), which are added up.
const REPAIRED: i32 = 1 | 2;
const UNREPAIRED: i32 = 4;
/// It found no filesystem that it can read.
const NOTHING: i32 = 8;

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

/// Checks the ext4 on a device with this e2fsck. A journal is replayed; nothing else is done to one
/// that is clean.
pub fn check(e2fsck: &dyn Fn() -> Command, device: &Path) -> Checked {
    let run =
        |copy: &[&str]| e2fsck().arg("-p").args(copy).arg(device).env_clear().stdin(Stdio::null()).output();
    let first = run(&[]);
    let torn = first.as_ref().is_ok_and(|done| done.status.code() == Some(NOTHING));
    let second = if torn { run(&COPY).ok() } else { None };
    match second.map(|done| verdict(&done)) {
        Some(found @ (Checked::Repaired(_) | Checked::Broken(_))) => found,
        Some(Checked::Clean) => Checked::Repaired("its superblock came back from a copy".to_owned()),
        Some(Checked::Not(_)) | None => match first {
            Ok(done) => verdict(&done),
            Err(error) => Checked::Not(format!("there is no e2fsck that runs ({error})")),
        },
    }
}

/// What an e2fsck that ended has found.
fn verdict(done: &Output) -> Checked {
    let said = [&done.stdout[..], &done.stderr].concat();
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

/// The e2fsck of the image below `image`, which is [`AT`].
fn of_image(image: &Path) -> Command {
    let mut e2fsck = Command::new(image.join(LOADER));
    e2fsck.arg("--library-path").arg(image.join(LIBRARIES)).arg(image.join(E2FSCK));
    e2fsck
}

/// [`check`] by the image that is put together.
pub fn check_here(device: &str) -> Checked {
    check(&|| of_image(Path::new(AT)), Path::new(device))
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
        check(&|| of_image(Path::new("/")), disk.node())
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
    fn a_superblock_that_a_power_cut_tore_comes_back_from_its_copy() {
        let disk = Sparse::new(256 << 20, 512);
        let node = disk.node().to_str().unwrap().to_owned();
        judge("e2fsprogs", "mke2fs", &["-q", "-t", "ext4", "-b", "4096", &node]);
        let device = File::options().read(true).write(true).open(disk.node()).unwrap();
        // Its second sector is of another write than the first.
        let mut sector = [0; 512];
        device.read_exact_at(&mut sector, 1536).unwrap();
        sector[508] ^= 1;
        device.write_all_at(&sector, 1536).unwrap();
        device.sync_all().unwrap();
        assert!(matches!(checked(&disk), Checked::Repaired(_)), "{:?}", checked(&disk));
        assert_eq!(checked(&disk), Checked::Clean);
    }

    #[test]
    fn an_image_without_the_tool_and_what_is_no_filesystem_are_no_verdict() {
        let nowhere = tempfile::tempdir().unwrap();
        assert!(matches!(check(&|| of_image(nowhere.path()), Path::new("/dev/null")), Checked::Not(_)));
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
