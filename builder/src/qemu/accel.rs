//! Which accelerator really works here.
//!
//! A `/dev/kvm` that opens proves nothing: under nested virtualisation guests
//! may hang or abort, some only at their first SSE instruction in long mode. So
//! a guest of one boot sector that gets there is run, with a deadline.

mod guest;

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::Error;

/// How QEMU runs guest code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accel {
    /// Hardware virtualisation.
    Kvm,
    /// Translation, one host thread per guest CPU.
    Tcg,
}

impl Accel {
    /// The arguments that select it.
    pub fn args(self) -> [&'static str; 4] {
        match self {
            Self::Kvm => ["-accel", "kvm", "-cpu", "host"],
            Self::Tcg => ["-accel", "tcg,thread=multi", "-cpu", "max"],
        }
    }

    /// The best one that works here; found out once per process.
    ///
    /// # Errors
    /// When QEMU itself is missing.
    pub fn probe() -> Result<Self, Error> {
        static FOUND: OnceLock<Accel> = OnceLock::new();
        if let Some(found) = FOUND.get() {
            return Ok(*found);
        }
        let opens = std::fs::File::options().read(true).write(true).open("/dev/kvm").is_ok();
        let kvm = opens && runs(Self::Kvm, DEADLINE)?;
        Ok(*FOUND.get_or_init(|| if kvm { Self::Kvm } else { Self::Tcg }))
    }
}

const GUEST_SAYS: i32 = 0x2a << 1 | 1;
/// The guest itself needs some milliseconds; the firmware before it a second.
const DEADLINE: Duration = Duration::from_secs(8);

/// Whether the guest gets to its end.
fn runs(accel: Accel, deadline: Duration) -> Result<bool, Error> {
    let mut sector = [0_u8; 512];
    sector[..guest::GUEST.len()].copy_from_slice(&guest::GUEST);
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    let io = |what: &'static str| move |source| Error::Io { what, path: "a boot sector".into(), source };
    let mut disk = tempfile::NamedTempFile::new().map_err(io("writing"))?;
    disk.write_all(&sector).map_err(io("writing"))?;

    let mut drive = std::ffi::OsString::from("if=ide,format=raw,file=");
    drive.push(disk.path());
    let mut qemu = Command::new(super::command::QEMU)
        .args(accel.args())
        .args(["-nodefaults", "-display", "none", "-no-reboot", "-m", "16"])
        .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=1", "-drive"])
        .arg(drive)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|source| Error::Start {
            program: super::command::QEMU.into(),
            package: super::command::QEMU_PACKAGE,
            source,
        })?;
    let start = Instant::now();
    // There is no portable wait with a deadline for a child; this poll runs
    // once per process and for at most the deadline.
    while start.elapsed() < deadline {
        match qemu.try_wait() {
            Ok(Some(status)) => return Ok(status.code() == Some(GUEST_SAYS)),
            Ok(None) => std::thread::sleep(Duration::from_millis(20)),
            Err(_) => break,
        }
    }
    let _ = qemu.kill();
    let _ = qemu.wait();
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn translation_runs_the_guest_to_its_end() {
        assert!(runs(Accel::Tcg, Duration::from_secs(120)).unwrap());
    }
}
