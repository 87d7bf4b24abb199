//! A /usr in memory, for a sled without a disk for it.

use super::{Error, Job, stream};
use crate::action::Action;
use formats::verity::{self, BLOCK};
use rustix::mount::{MountFlags, UnmountFlags};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use syscalls::loopdev::{self, Loop};

/// Where the image lies. Below /run, which goes along to the image's init; what is below
/// /run/initramfs, systemd leaves to the shutdown program (systemd.mount(5), "Default
/// Dependencies": it is from the initrd).
const AT: &str = "/run/initramfs/live";
/// What the boot and the image's init need beside the image, in bytes.
const RESERVE: u64 = 192 << 20;
/// What a tmpfs needs beside what is in it, in bytes.
const SLACK: u64 = 1 << 20;

/// A /usr in memory, as two read-only devices. They stay as long as this or a
/// mapping uses them.
#[derive(Debug)]
pub struct Live {
    usr: Loop,
    verity: Loop,
    /// Bytes of /usr.
    pub bytes: u64,
}

impl Live {
    /// The device with /usr.
    pub fn usr(&self) -> &Path {
        &self.usr.node
    }

    /// The device with its verity tree.
    pub fn verity(&self) -> &Path {
        &self.verity.node
    }
}

/// Gets the job's image into memory.
///
/// # Errors
/// [`Error::Memory`] before anything is fetched; else when the source gives up, and
/// the kernel's.
pub fn live(job: &Job<'_>) -> Result<Live, Error> {
    for dir in ["/run/initramfs", AT] {
        Action::mkdir(dir).run().map_err(|source| Error::Live { doing: "make the directory", source })?;
    }
    live_at(job, Path::new(AT))
}

/// [`live`] in a directory that is there.
///
/// # Errors
/// As [`live`].
pub fn live_at(job: &Job<'_>, at: &Path) -> Result<Live, Error> {
    let image = job.image;
    let bytes = image.usr.size.div_ceil(BLOCK).saturating_mul(BLOCK);
    let size = bytes.saturating_add(image.verity.size).saturating_add(SLACK);
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    check_memory(&meminfo, size.saturating_add(RESERVE))?;
    let tree = stream::tree(job.source, image, job.log)?;

    let data = format!("mode=0700,size={size}");
    let mount = Action::mount("tmpfs", &at.display().to_string(), "tmpfs", MountFlags::empty(), &data);
    mount.run().map_err(|source| Error::Live { doing: "mount a tmpfs", source })?;
    let result = fetch(job, &tree, at).map(|(usr, verity)| Live { usr, verity, bytes });
    if result.is_err() {
        // Else the memory would be missing for whatever is tried next.
        let _ = rustix::mount::unmount(at, UnmountFlags::DETACH);
    }
    result
}

fn fetch(job: &Job<'_>, tree: &verity::Tree, at: &Path) -> Result<(Loop, Loop), Error> {
    let (usr, verity) = (at.join(&*file_name(&job.image.usr.file)), at.join("usr.verity"));
    let failed = |source| Error::Live { doing: "write the image to memory", source };
    let create = |path: &PathBuf| OpenOptions::new().write(true).create_new(true).open(path);
    let file = create(&usr).map_err(failed)?;
    stream::usr(job.source, &job.image.usr, tree, 0, job.log, &mut |at, bytes| {
        file.write_all_at(bytes, at).map_err(failed)
    })?;
    create(&verity).and_then(|file| file.write_all_at(tree.bytes(), 0)).map_err(failed)?;
    let device = |path: &Path| {
        let file = File::open(path)?;
        // dm-verity reads blocks of 4096 bytes; older kernels have loops of 512 only.
        loopdev::attach(&file, 4096, true).or_else(|_| loopdev::attach(&file, 512, true))
    };
    let failed = |source: io::Error| Error::Live { doing: "make a loop device", source };
    Ok((device(&usr).map_err(failed)?, device(&verity).map_err(failed)?))
}

/// The name in the document is a path on a server; here only its end counts.
fn file_name(file: &str) -> std::borrow::Cow<'_, str> {
    match file.rsplit('/').next() {
        Some(name) if !matches!(name, "" | "." | ".." | "usr.verity") => name.into(),
        _ => "usr.squashfs".into(),
    }
}

/// Whether there is so much memory, in bytes, by /proc/meminfo.
fn check_memory(meminfo: &str, needs: u64) -> Result<(), Error> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    // A kernel that does not tell is not held against the sled.
    let has = kib.map_or(u64::MAX, |kib| kib.saturating_mul(1024));
    if has < needs { Err(Error::Memory { needs: needs.div_ceil(1 << 20), has: has >> 20 }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_memory_is_said_in_mib() {
        let meminfo = "MemTotal:        1000000 kB\nMemAvailable:     512000 kB\nBuffers: 0 kB\n";
        let error = check_memory(meminfo, 600 << 20).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the image does not fit into memory: it needs 600 MiB and 500 MiB are available"
        );
        check_memory(meminfo, 500 << 20).unwrap();
        check_memory("", 500 << 20).unwrap();
    }
}
