//! How many machines run at once: more than the host has processors and memory for would
//! starve each other into their deadlines.

use std::sync::{Condvar, Mutex, PoisonError};

/// KiB of the host's memory that a test's machine may need.
const MACHINE: u64 = 3 << 20;

static TAKEN: Mutex<usize> = Mutex::new(0);
static GIVEN_BACK: Condvar = Condvar::new();

/// A place for a machine, given back when it is dropped.
#[derive(Debug)]
pub struct Turn(());

impl Turn {
    /// Waits for a place.
    pub fn take() -> Self {
        let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken =
            GIVEN_BACK.wait_while(taken, |taken| *taken >= places()).unwrap_or_else(PoisonError::into_inner);
        *taken += 1;
        Self(())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        GIVEN_BACK.notify_one();
    }
}

/// One a processor, as long as there is memory.
fn places() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next());
    let total: u64 = total.and_then(|kib| kib.parse().ok()).unwrap_or(0);
    processors.min(usize::try_from(total / MACHINE).unwrap_or(1)).max(1)
}
