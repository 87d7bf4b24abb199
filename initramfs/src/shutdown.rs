//! The end of a sled's run: after systemd has stopped everything, it makes this program
//! the root's only user, so that /usr, /var, arrays and data disks can be let go of.
//!
//! systemd-shutdown cannot do that itself: it runs from /usr. When it finds
//! [`PATH`] it pivots to that directory, with the old root below [`OLD_ROOT`], and starts
//! the program with its own arguments, of which the first says how to end
//! (systemd's "Interface for Initrds", section "Shutdown").
//!
//! Everything here has an end: a disk that no longer answers delays the restart, and
//! does not prevent it. Behind that is the watchdog of systemd's `RebootWatchdogSec=`.

mod plan;
mod world;

pub use plan::{Action, Device, Mount, OLD_ROOT, State, plan};
pub use world::World;

use crate::early;
use crate::log::Log;
use rustix::system::RebootCommand;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

/// What systemd-shutdown looks for.
pub const PATH: &str = "/run/initramfs/shutdown";

/// Letting go of one thing may free another; more rounds than things are ever nested.
const ROUNDS: usize = 8;
/// For all of it. Flushing the caches of slow disks takes seconds.
const PATIENCE: Duration = Duration::from_secs(90);

/// Puts this program where systemd-shutdown finds it: 1.8 MB of memory, in which it needs
/// no disk.
///
/// # Errors
/// When /run does not take it.
pub fn leave_behind() -> io::Result<()> {
    let path = Path::new(PATH);
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::copy("/proc/self/exe", path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

/// How it ends, by the word systemd-shutdown was given (systemd-shutdown(8)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Halt,
    Kexec,
    PowerOff,
    Reboot,
}

impl Verb {
    /// A word of a systemd that knows more comes up again rather than staying away.
    fn of(word: Option<&str>) -> Self {
        match word {
            Some("halt") => Self::Halt,
            Some("kexec") => Self::Kexec,
            Some("poweroff") => Self::PowerOff,
            _ => Self::Reboot,
        }
    }

    fn command(self) -> RebootCommand {
        match self {
            Self::Halt => RebootCommand::Halt,
            Self::Kexec => RebootCommand::Kexec,
            Self::PowerOff => RebootCommand::PowerOff,
            Self::Reboot => RebootCommand::Restart,
        }
    }
}

/// Lets go of everything and ends the machine as the first argument says.
pub fn run(arguments: &[&str]) -> ! {
    let log = Log::new(early::uptime);
    early::open_console().into_iter().for_each(|console| log.attach(console));
    let verb = Verb::of(arguments.first().copied());
    let (lines, said) = mpsc::channel();
    let work = move || let_go(&world::Machine, &|line: String| drop(lines.send(line)));
    let deadline = log.now().saturating_add(PATIENCE);
    // Without a thread there is nobody who could wait for one.
    let worker = std::thread::Builder::new().stack_size(256 << 10).spawn(work);
    while worker.is_ok() {
        match said.recv_timeout(deadline.saturating_sub(log.now())) {
            Ok(line) => log.say(&format!("shutdown: {line}")),
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                log.say(&format!("shutdown: not done after {} s, goes on", PATIENCE.as_secs()));
                break;
            }
        }
    }
    // A kexec without a kernel that was loaded fails; then the machine restarts.
    for command in [verb.command(), RebootCommand::Restart] {
        let error = rustix::system::reboot(command).err();
        log.say(&format!("shutdown: the kernel does not do {command:?} ({error:?})"));
    }
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

/// Looks, plans and does until nothing is left or nothing changes any more. Returns what
/// is left.
fn let_go(world: &dyn World, say: &dyn Fn(String)) -> State {
    let mut state = world.look();
    let (mounts, devices) = (state.mounts.len(), state.devices.len());
    let mut failed = Vec::new();
    for _ in 0..ROUNDS {
        failed = plan(&state)
            .iter()
            .filter_map(|action| Some((action.clone(), world.run(action).err()?)))
            .collect();
        let now = world.look();
        if now == state {
            break;
        }
        state = now;
    }
    for (action, error) in failed.iter().filter(|(action, _)| action.matters(&state)) {
        say(format!("{action}: {error}"));
    }
    for action in state.rest() {
        match world.run(&action) {
            Ok(()) if matches!(action, Action::ReadOnly(_)) => say(action.to_string()),
            Ok(()) => {}
            Err(error) => say(format!("{action}: {error}")),
        }
    }
    let count = |had: usize, left: usize, what: &str| format!("{} of {had} {what}", had.saturating_sub(left));
    say(format!(
        "let go of {} and {}; caches are flushed",
        count(mounts, state.mounts.len(), "mounts"),
        count(devices, state.devices.len(), "devices")
    ));
    state
}

#[cfg(test)]
mod tests;
