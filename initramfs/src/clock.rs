//! What the sled's clock is worth.
//!
//! A sled whose RTC battery is dead comes up in 1970 and would refuse every certificate, so
//! PID 1 sets its clock to the time at which the image was made. That is the least it can be,
//! and never the time: no document is believed for it.

use crate::early::utc;
use rustix::io::Errno;
use rustix::time::{ClockId, Timespec};
use std::cell::Cell;

/// Seconds since 1970, as far as they are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    /// It is this late at least.
    pub least: u64,
    /// Whether that is the time, and not only the least it can be.
    pub believable: bool,
}

/// The clock of this boot.
#[derive(Debug)]
pub struct Clock {
    /// When the image was made.
    image: u64,
    /// Whether nobody has said yet what time it is.
    unknown: Cell<bool>,
}

impl Clock {
    /// Looks at the RTC's time, and sets the clock when that cannot be right. Also returns what
    /// to say, or why the kernel does not let itself be told the time.
    pub fn look(image: u64) -> (Self, Result<String, Errno>) {
        let now = now();
        let clock = Self { image, unknown: Cell::new(now < image) };
        let says = match now < image {
            false => Ok(format!("{}, from the RTC", utc(now))),
            true => set(image).map(|()| {
                format!(
                    "the RTC says {}, which is before the image was made; set to {}",
                    utc(now),
                    utc(image)
                )
            }),
        };
        (clock, says)
    }

    /// What time it is.
    pub fn time(&self) -> Time {
        judge(now(), self.image, self.unknown.get())
    }

    /// Somebody who is believed says that it is so many seconds since 1970.
    ///
    /// # Errors
    /// When the kernel does not let itself be told the time.
    pub fn told(&self, seconds: u64) -> Result<(), Errno> {
        set(seconds)?;
        self.unknown.set(false);
        Ok(())
    }
}

fn judge(now: u64, image: u64, unknown: bool) -> Time {
    Time { least: now.max(image), believable: !unknown && now >= image }
}

fn now() -> u64 {
    u64::try_from(rustix::time::clock_gettime(ClockId::Realtime).tv_sec).unwrap_or(0)
}

fn set(seconds: u64) -> Result<(), Errno> {
    let tv_sec = i64::try_from(seconds).map_err(|_| Errno::INVAL)?;
    rustix::time::clock_settime(ClockId::Realtime, Timespec { tv_sec, tv_nsec: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_to_the_images_time_is_not_believed() {
        let time = |least, believable| Time { least, believable };
        assert_eq!(judge(7, 5, false), time(7, true));
        assert_eq!(judge(5, 5, false), time(5, true));
        // As it is after `look` has set it, and a while later.
        assert_eq!(judge(5, 5, true), time(5, false));
        assert_eq!(judge(99, 5, true), time(99, false));
        // The kernel did not take the time.
        assert_eq!(judge(3, 5, false), time(5, false));
    }
}
