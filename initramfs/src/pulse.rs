//! A sign of life: who waits for something that may take for ever beats each time it
//! wakes up. Who looks on can tell a long wait from a thread that hangs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Copies beat together.
#[derive(Clone, Debug, Default)]
pub struct Pulse(Arc<AtomicU64>);

impl Pulse {
    /// Beats.
    pub fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How often it has.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
