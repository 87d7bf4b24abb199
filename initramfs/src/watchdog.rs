//! The hardware watchdog: resets a sled whose boot hangs.
//!
//! It is fed by a thread, and only while somebody has said what is waited for
//! ([`Watchdog::phase`], [`Watchdog::waits`]). A phase has an end; waiting for a
//! network or a server has none, because a reset would not bring it back, but who waits
//! shows a [`Pulse`]: a thread that hangs in a disk that is dying has none.
//!
//! Hand-over: closing the device without writing `V` first leaves the timer running
//! (watchdog-api.rst, "magic close"), and it goes on running while systemd takes the
//! place of PID 1. systemd feeds it only when `RuntimeWatchdogSec=` is set, so that has
//! to be looked up ([`systemd_takes_over`]); without it the timer is stopped, or the
//! sled would be reset a minute after it came up.

mod device;
mod systemd;

pub use device::{Device, open};
pub use systemd::systemd_takes_over;

use crate::pulse::Pulse;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Where the first watchdog is.
pub const PATH: &str = "/dev/watchdog";
/// Seconds without food until the reset.
const TIMEOUT: u32 = 60;
/// The same from the hand-over on, the first that the hardware takes: systemd feeds it only
/// once its generators have run, and on a starved machine those need minutes.
const HAND_OVER: [u32; 3] = [300, 180, TIMEOUT];
/// How long who waits may show no pulse: longer than reading the largest slot takes.
const NO_PULSE: Duration = Duration::from_secs(600);
/// How often it is fed, and looked for while it is not there.
const PERIOD: Duration = Duration::from_secs(5);

type Open = dyn Fn() -> io::Result<Box<dyn Device>> + Send;

/// The watchdog of this boot.
#[derive(Debug)]
pub struct Watchdog {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Option<Box<dyn Device>>>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    now: fn() -> Duration,
}

/// What is waited for. Pure.
#[derive(Debug, Default)]
struct State {
    next: u64,
    reasons: Vec<(u64, &'static str, Until)>,
    end: bool,
}

/// How long something may be waited for.
#[derive(Debug)]
enum Until {
    /// Up to this time.
    Time(Duration),
    /// As long as there is a pulse: its count, and when it was first seen.
    Pulse { pulse: Pulse, count: u64, seen: Duration },
}

impl Until {
    fn good(&mut self, now: Duration) -> bool {
        match self {
            Self::Time(until) => now < *until,
            Self::Pulse { pulse, count, seen } => {
                if pulse.count() != *count {
                    (*count, *seen) = (pulse.count(), now);
                }
                now < seen.saturating_add(NO_PULSE)
            }
        }
    }
}

impl State {
    fn add(&mut self, what: &'static str, until: Until) -> u64 {
        self.next += 1;
        self.reasons.push((self.next, what, until));
        self.next
    }

    /// Whether it is to be fed. If not: which phases took too long.
    fn verdict(&mut self, now: Duration) -> Result<(), Vec<&'static str>> {
        // Not `any`: each has to look at its pulse.
        if self.reasons.iter_mut().filter_map(|(_, _, until)| until.good(now).then_some(())).count() > 0 {
            return Ok(());
        }
        Err(self.reasons.iter().map(|(_, what, _)| *what).collect())
    }
}

/// As long as this lives, there is something to wait for.
#[derive(Debug)]
#[must_use = "dropped, it stops the feeding"]
pub struct Feeding {
    shared: Arc<Shared>,
    id: u64,
}

impl Drop for Feeding {
    fn drop(&mut self) {
        let id = self.id;
        self.shared.state().reasons.retain(|(other, _, _)| *other != id);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watchdog {
    /// Starts the thread, which opens the device as soon as it is there (its driver may
    /// be loaded later). `open` is [`open`], `now` the time since the kernel started,
    /// `say` writes a line.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn start(open: Box<Open>, now: fn() -> Duration, say: Box<dyn Fn(&str) + Send>) -> io::Result<Self> {
        Self::every(PERIOD, open, now, say)
    }

    fn every(
        period: Duration,
        open: Box<Open>,
        now: fn() -> Duration,
        say: Box<dyn Fn(&str) + Send>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), now });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("watchdog".into());
        let thread = thread.spawn(move || feed(&theirs, period, &*open, &*say))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Something begins that has to be over after this time.
    pub fn phase(&self, what: &'static str, at_most: Duration) -> Feeding {
        self.reason(what, Until::Time((self.shared.now)().saturating_add(at_most)))
    }

    /// Something is waited for that a reset would not bring: a network, a server. Whoever
    /// waits beats.
    pub fn waits(&self, what: &'static str, pulse: &Pulse) -> Feeding {
        let (pulse, seen) = (pulse.clone(), (self.shared.now)());
        self.reason(what, Until::Pulse { count: pulse.count(), pulse, seen })
    }

    fn reason(&self, what: &'static str, until: Until) -> Feeding {
        let id = self.shared.state().add(what, until);
        Feeding { shared: Arc::clone(&self.shared), id }
    }

    /// Ends the feeding before the image's init starts: with the timer running when
    /// that takes over, else with it stopped. Returns what to say; nothing when this
    /// machine has no watchdog.
    pub fn hand_over(mut self, taken_over: bool) -> Option<String> {
        self.shared.state().end = true;
        self.shared.changed.notify_all();
        let mut device = self.thread.take()?.join().ok()??;
        let longest = HAND_OVER.iter().filter(|_| taken_over).find_map(|s| device.set_timeout(*s).ok());
        let done = if taken_over { device.feed() } else { device.disarm() };
        Some(match (done, taken_over) {
            (Ok(()), true) => {
                format!("stays armed: systemd feeds it within {} s", longest.unwrap_or(TIMEOUT))
            }
            (Ok(()), false) => "stopped: the image's systemd has no RuntimeWatchdogSec=".into(),
            (Err(error), _) => format!("cannot be handed over ({error})"),
        })
    }
}

/// The thread. Returns the device, still open, so that the timer is not stopped.
fn feed(shared: &Shared, period: Duration, open: &Open, say: &dyn Fn(&str)) -> Option<Box<dyn Device>> {
    let mut device: Option<Box<dyn Device>> = None;
    let mut starved = false;
    let mut state = shared.state();
    while !state.end {
        let verdict = state.verdict((shared.now)());
        drop(state);
        if device.is_none()
            && let Ok(mut new) = open()
        {
            let timeout = new.set_timeout(TIMEOUT).map_or("its own time".into(), |s| format!("{s} s"));
            say(&format!("{}, resets after {timeout} without food", new.name()));
            device = Some(new);
        }
        if let Some(device) = &mut device {
            match verdict {
                Ok(()) => {
                    starved = false;
                    // One that cannot be fed resets the machine; that is said by the reset.
                    let _ = device.feed();
                }
                Err(late) if !starved && !late.is_empty() => {
                    starved = true;
                    let late = late.join(", ");
                    say(&format!("{late} takes too long; resets in {TIMEOUT} s unless it ends"));
                }
                Err(_) => {}
            }
        }
        state = shared.state();
        if !state.end {
            let wait = shared.changed.wait_timeout(state, period);
            state = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
    device
}

#[cfg(test)]
mod tests;
