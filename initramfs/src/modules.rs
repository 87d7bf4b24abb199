//! Loading kernel modules: those of the devices that are there, those named,
//! and those the kernel itself asks for.

mod coldplug;
mod load;
mod params;

pub use coldplug::Coldplug;
pub use load::{Insert, Loader};
pub use params::Params;

use crate::failure::{Code, Failure};
use crate::log::Log;
use formats::modules::index::{self, Index};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs::{self, File};
use std::path::Path;

/// What PID 1 needs of the kernel to get to /usr. Where one is built in or
/// missing, the step that needs it says so.
pub const NEEDED: [&str; 4] = ["dm_verity", "squashfs", "overlay", "ext4"];

/// Where sysfs shows the devices.
pub const DEVICES: &str = "/sys/devices";

/// The modaliases of all devices below a directory of sysfs, each once.
///
/// A device that goes away meanwhile is left out; nothing here is an error.
pub fn modaliases(dir: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        let Ok(entries) = fs::read_dir(dir) else { continue };
        for entry in entries.flatten() {
            // Symbolic links lead elsewhere in the same tree.
            if entry.file_type().is_ok_and(|t| t.is_dir()) {
                dirs.push(entry.path());
            } else if entry.file_name() == "modalias"
                && let Ok(text) = fs::read_to_string(entry.path())
                && !text.trim().is_empty()
            {
                found.insert(text.trim().to_owned());
            }
        }
    }
    found
}

/// What puts a module of this kernel release into the kernel; says so where a log is given.
pub fn inserter(
    kernel: &str,
    log: Option<&'static Log>,
) -> impl Fn(&str, &str) -> rustix::io::Result<()> + Sync + use<> {
    let dir = Path::new("/lib/modules").join(kernel);
    move |path, params| {
        let file = File::open(dir.join(path)).map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))?;
        let c_params = CString::new(params).map_err(|_| Errno::INVAL)?;
        let start = log.map(Log::now);
        let result = rustix::system::finit_module(file, &c_params, 0);
        if let (Some(log), Some(start)) = (log, start) {
            let took = log.now().saturating_sub(start).as_millis();
            log.say(&format!("modules: {path} {params} took {took} ms: {result:?}"));
        }
        result
    }
}

/// That the modules are for the kernel that runs.
///
/// # Errors
/// [`Code::OtherKernel`]; every single module would fail to load.
pub fn check_kernel(index: &Index<'_>) -> Result<(), Failure> {
    let uname = rustix::system::uname();
    let running = uname.release().to_string_lossy();
    if running == index.kernel() {
        return Ok(());
    }
    Err(Failure::new(Code::OtherKernel, format!("modules {}, kernel {running}", index.kernel())))
}

/// Answers a request of the kernel: loads what serves an alias or has that
/// name. Returns whether anything did.
pub fn modprobe(wanted: &str) -> bool {
    let Ok(bytes) = fs::read(index::PATH) else { return false };
    let Ok(index) = Index::parse(&bytes) else { return false };
    let params = Params::parse(&fs::read_to_string("/proc/cmdline").unwrap_or_default());
    let insert = inserter(index.kernel(), None);
    let loader = Loader::new(&index, &params, &insert);
    let mut names = loader.for_alias(wanted);
    names.push(wanted);
    loader.load(&names, 1);
    loader.loaded() > 0
}

/// While it lives, the kernel asks this very program for modules it needs
/// (a file system type, a cipher), as `/init -q -- <alias>`.
///
/// Source: Linux `kernel/kmod.c`, `Documentation/admin-guide/sysctl/kernel.rst`, "modprobe".
#[derive(Debug)]
pub struct Requests {
    before: Option<Vec<u8>>,
}

const MODPROBE: &str = "/proc/sys/kernel/modprobe";

impl Requests {
    /// Begins to answer.
    pub fn answer() -> Self {
        let before = fs::read(MODPROBE).ok();
        // Without it everything in `NEEDED` is there all the same.
        let _ = fs::write(MODPROBE, "/init");
        Self { before }
    }
}

impl Drop for Requests {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = fs::write(MODPROBE, before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modaliases_are_found_at_any_depth_and_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("pci0000:00/0000:00:01.0/virtio0");
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("modalias"), "virtio:d00000002v00001AF4\n").unwrap();
        fs::write(dir.path().join("pci0000:00/modalias"), "\n").unwrap();
        std::os::unix::fs::symlink(dir.path(), deep.join("subsystem")).unwrap();
        assert_eq!(modaliases(dir.path()), BTreeSet::from(["virtio:d00000002v00001AF4".into()]));
        assert!(modaliases(Path::new("/nonexistent")).is_empty());
    }
}
