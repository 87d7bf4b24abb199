//! What PID 1 does to the file system, as values: planned, printed, tested as
//! text, and only then done.

use crate::failure::{Code, Failure};
use crate::log::Log;
use rustix::fs::Mode;
use rustix::mount::MountFlags;
use std::ffi::CString;
use std::fmt;
use std::io;

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make a directory with exactly this mode. One that is there gets the mode.
    Mkdir {
        /// Where.
        path: String,
        /// Permission bits.
        mode: u32,
    },
    /// Make a symbolic link. One that is there is left as it is.
    Symlink {
        /// Where.
        path: String,
        /// What it points to.
        target: String,
    },
    /// Mount a file system.
    Mount {
        /// Device, or a word for file systems without one.
        what: String,
        /// Where; the directory is there.
        at: String,
        /// File system type.
        kind: &'static str,
        /// Flags.
        flags: MountFlags,
        /// The file system's own options.
        data: String,
    },
    /// Move a mount with all that is mounted below it.
    Move {
        /// From where.
        from: String,
        /// To where; the directory is there.
        to: String,
    },
}

/// Actions that belong together: they are one line on the console and fail
/// with one code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Name in console and report.
    pub name: &'static str,
    /// The code when it fails.
    pub code: Code,
    /// What to say when it is done.
    pub says: String,
    /// What to do, in order.
    pub actions: Vec<Action>,
}

impl Action {
    /// A directory of mode 0755.
    pub fn mkdir(path: impl Into<String>) -> Self {
        Self::Mkdir { path: path.into(), mode: 0o755 }
    }

    /// A mount.
    pub fn mount(what: &str, at: &str, kind: &'static str, flags: MountFlags, data: &str) -> Self {
        Self::Mount { what: what.into(), at: at.into(), kind, flags, data: data.into() }
    }

    /// Does it.
    ///
    /// # Errors
    /// The kernel's.
    pub fn run(&self) -> io::Result<()> {
        match self {
            Self::Mkdir { path, mode } => {
                let mode = Mode::from_raw_mode(*mode);
                match rustix::fs::mkdir(path, mode) {
                    Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                // Not subject to the umask.
                Ok(rustix::fs::chmod(path, mode)?)
            }
            Self::Symlink { path, target } => match rustix::fs::symlink(target, path) {
                Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
                Err(error) => Err(error.into()),
            },
            Self::Mount { what, at, kind, flags, data } => {
                let data = CString::new(data.as_str())?;
                Ok(rustix::mount::mount(what, at, *kind, *flags, data.as_c_str())?)
            }
            Self::Move { from, to } => Ok(rustix::mount::mount_move(from, to)?),
        }
    }
}

impl Step {
    /// Does everything in order and stops at the first failure.
    ///
    /// # Errors
    /// A [`Failure`] with the step's code, naming the action.
    pub fn run(&self, log: &Log, debug: bool) -> Result<(), Failure> {
        log.step(self.name, || {
            for action in &self.actions {
                if debug {
                    log.say(&format!("{}: {action}", self.name));
                }
                action.run().map_err(|e| Failure::new(self.code, format!("{action}: {e}")))?;
            }
            Ok(((), self.says.clone()))
        })
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mkdir { path, mode } => write!(f, "mkdir {mode:04o} {path}"),
            Self::Symlink { path, target } => write!(f, "link {path} -> {target}"),
            Self::Mount { what, at, kind, flags, data } => {
                write!(
                    f,
                    "mount {what} on {at} type {kind} ({}",
                    if flags.contains(MountFlags::RDONLY) { "ro" } else { "rw" }
                )?;
                let names = [
                    (MountFlags::NOSUID, "nosuid"),
                    (MountFlags::NODEV, "nodev"),
                    (MountFlags::NOEXEC, "noexec"),
                ];
                for (_, name) in names.iter().filter(|(flag, _)| flags.contains(*flag)) {
                    write!(f, ",{name}")?;
                }
                if !data.is_empty() {
                    write!(f, ",{data}")?;
                }
                f.write_str(")")
            }
            Self::Move { from, to } => write!(f, "move {from} to {to}"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({})", self.name, self.code)?;
        self.actions.iter().try_for_each(|action| writeln!(f, "  {action}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    #[test]
    fn directories_get_their_mode_and_may_be_there_already() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tmp");
        let text = path.to_str().unwrap().to_owned();
        Action::mkdir(text.clone()).run().unwrap();
        Action::Mkdir { path: text, mode: 0o1777 }.run().unwrap();
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o7777, 0o1777);
    }

    #[test]
    fn a_failing_step_names_the_action_and_does_not_go_on() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| format!("{}/{name}", dir.path().display());
        let actions = vec![Action::mkdir(at("a/b")), Action::mkdir(at("c"))];
        let step = Step { name: "root", code: Code::Root, says: String::new(), actions };
        let failure = step.run(&Log::new(|| Duration::ZERO), false).unwrap_err();
        assert_eq!(failure.code, Code::Root);
        assert!(failure.detail.starts_with(&format!("mkdir 0755 {}: ", at("a/b"))), "{}", failure.detail);
        assert!(!dir.path().join("c").exists());
    }
}
