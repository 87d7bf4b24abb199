//! Ctrl-C: work in loops looks at a flag and stops, what was staged is removed.

use std::fs;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::exit::{Classify, Exit};

/// What is to be removed should a second Ctrl-C not leave time to unwind.
static STAGED: Mutex<Vec<Staged>> = Mutex::new(Vec::new());

/// A directory being filled.
#[derive(Clone, Debug)]
pub(super) struct Staged {
    /// Removed with all that is in it.
    pub(super) dir: PathBuf,
    /// Directories that were made for it, the innermost first: removed when empty.
    pub(super) above: Vec<PathBuf>,
}

impl Staged {
    pub(super) fn remove(&self) {
        fs::remove_dir_all(&self.dir).ok();
        // The first that is not empty has something else in it, and so have those above.
        let _ = self.above.iter().try_for_each(fs::remove_dir);
    }
}

fn staged() -> MutexGuard<'static, Vec<Staged>> {
    // A panic while it was held left a list that is still a list.
    STAGED.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

pub(super) fn remember(dir: &Staged) {
    staged().push(dir.clone());
}

pub(super) fn forget(dir: &Path) {
    staged().retain(|staged| staged.dir != dir);
}

/// Whether the build was asked to stop. Clones see the same flag.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

/// The build was asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("interrupted; nothing was left behind")]
pub struct Interrupted;

impl Interrupt {
    /// One that only [`Interrupt::set`] sets: for tests and libraries.
    pub fn new() -> Self {
        Self::default()
    }

    /// Set by SIGINT, SIGTERM and SIGHUP. A second signal removes what is staged and
    /// ends the process at once. Call it once, early in `main`.
    ///
    /// # Errors
    /// When the system does not let signals be handled.
    pub fn on_signals() -> io::Result<Self> {
        let interrupt = Self::new();
        let flag = interrupt.clone();
        let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for _ in signals.forever() {
                if flag.is_set() {
                    // The list stays locked until the end: nothing may be staged any more.
                    let dirs = staged();
                    dirs.iter().for_each(Staged::remove);
                    std::process::exit(i32::from(Exit::Interrupted.code()));
                }
                flag.set();
                writeln!(io::stderr(), "\ninterrupted: tidying up (again to end at once)").ok();
            }
        })?;
        Ok(interrupt)
    }

    /// Asks to stop.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether to stop.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// For work that reports its progress and asks whether to go on.
    pub fn go_on(&self) -> ControlFlow<()> {
        if self.is_set() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// For loops: `interrupt.check()?`.
    ///
    /// # Errors
    /// When it is time to stop.
    pub fn check(&self) -> Result<(), Interrupted> {
        if self.is_set() { Err(Interrupted) } else { Ok(()) }
    }
}

impl Classify for Interrupted {
    fn exit(&self) -> Exit {
        Exit::Interrupted
    }
}
