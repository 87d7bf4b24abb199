//! The machine at its end: what is mounted, and how to let go of it.

use super::plan::{Action, Device, Mount, State};
use rustix::mount::{MountFlags, UnmountFlags};
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;
use syscalls::dm::Mapper;

/// How long one thing may take: a disk that hangs must not keep the others from being
/// written.
const AT_MOST: Duration = Duration::from_secs(20);

/// What is held, and how to let go of it.
pub trait World {
    /// What is held now.
    fn look(&self) -> State;
    /// Does one thing.
    ///
    /// # Errors
    /// The kernel's.
    fn run(&self, action: &Action) -> io::Result<()>;
}

/// This machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Machine;

impl World for Machine {
    fn look(&self) -> State {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let (devices, disks) = devices(Path::new("/sys/block"));
        State { mounts: Mount::all(&mounts), devices, disks }
    }

    fn run(&self, action: &Action) -> io::Result<()> {
        let (done, result) = mpsc::channel();
        let action = action.clone();
        let thread = std::thread::Builder::new().stack_size(64 << 10);
        thread.spawn(move || drop(done.send(act(&action))))?;
        result.recv_timeout(AT_MOST).unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// Devices that hold others, and whole disks, of `/sys/block`.
fn devices(dir: &Path) -> (Vec<Device>, Vec<String>) {
    let (mut devices, mut disks) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let text =
            |file: &str| fs::read_to_string(entry.path().join(file)).unwrap_or_default().trim().to_owned();
        let mapping = text("dm/name");
        if !mapping.is_empty() {
            devices.push(Device::Mapping(mapping));
        } else if !text("loop/backing_file").is_empty() {
            devices.push(Device::Loop(name));
        } else if !["", "clear"].contains(&text("md/array_state").as_str()) {
            devices.push(Device::Array(name));
        } else if entry.path().join("device").exists() {
            // Neither loop devices nor memory have one.
            disks.push(name);
        }
    }
    (devices, disks)
}

fn act(action: &Action) -> io::Result<()> {
    let node = |name: &str| Path::new("/dev").join(name);
    match action {
        Action::Unmount { at, remote } => {
            let remote =
                if *remote { UnmountFlags::FORCE | UnmountFlags::DETACH } else { UnmountFlags::empty() };
            Ok(rustix::mount::unmount(at, remote | UnmountFlags::NOFOLLOW)?)
        }
        Action::ReadOnly(at) => Ok(rustix::mount::mount_remount(at, MountFlags::RDONLY, c"")?),
        Action::Release(Device::Mapping(name)) => {
            Mapper::open().and_then(|mapper| mapper.remove(name)).map_err(io::Error::other)
        }
        Action::Release(Device::Loop(name)) => Ok(syscalls::loopdev::detach(File::open(node(name))?)?),
        // What STOP_ARRAY does; writes the superblocks (Linux Documentation/admin-guide/md.rst).
        Action::Release(Device::Array(name)) => {
            fs::write(Path::new("/sys/block").join(name).join("md/array_state"), "clear")
        }
        // fsync of a block device empties the disk's write cache, too.
        Action::Flush(name) => match File::open(node(name)) {
            Ok(disk) => disk.sync_all(),
            // A drive without a medium.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NOMEDIUM.raw_os_error()) => Ok(()),
            Err(error) => Err(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::tests::files;

    #[test]
    fn devices_are_known_by_what_sysfs_says_of_them() {
        let dir = tempfile::tempdir().unwrap();
        files(
            dir.path(),
            &[
                ("dm-0/dm/name", "usr\n"),
                ("loop0/loop/backing_file", "/var/x\n"),
                ("loop1/size", "0\n"),
                ("md127/md/array_state", "clean\n"),
                ("md1/md/array_state", "clear\n"),
                ("vda/device/vendor", "0x1af4\n"),
                ("ram0/size", "8192\n"),
            ],
        );
        let (mut devices, disks) = devices(dir.path());
        devices.sort_by_key(ToString::to_string);
        let expected =
            [Device::Loop("loop0".into()), Device::Array("md127".into()), Device::Mapping("usr".into())];
        assert_eq!(devices, expected);
        assert_eq!(disks, ["vda"]);
    }

    #[test]
    fn what_is_not_mounted_is_an_error_and_no_wait() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().to_str().unwrap().to_owned();
        assert!(Machine.run(&Action::Unmount { at: at.clone(), remote: false }).is_err());
        assert!(Machine.run(&Action::ReadOnly(at)).is_err());
        assert!(Machine.run(&Action::Release(Device::Loop("no-such-loop".into()))).is_err());
        assert!(Machine.run(&Action::Release(Device::Array("no-such-array".into()))).is_err());
        assert!(Machine.run(&Action::Flush("no-such-disk".into())).is_err());
    }
}
