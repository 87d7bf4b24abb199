//! The first steps: kernel file systems, console.

use crate::action::{Action, Step};
use crate::failure::Code;
use rustix::mount::MountFlags;
use rustix::time::{ClockId, Timespec};
use std::fs::File;
use std::time::Duration;

/// The kernel's file systems, where every program expects them. systemd keeps
/// what it finds mounted, so these are its own options.
pub fn plan_mounts() -> Step {
    let (nosuid, nodev, noexec) = (MountFlags::NOSUID, MountFlags::NODEV, MountFlags::NOEXEC);
    let table = [
        ("proc", "/proc", "proc", nosuid | nodev | noexec, ""),
        ("sysfs", "/sys", "sysfs", nosuid | nodev | noexec, ""),
        ("devtmpfs", "/dev", "devtmpfs", nosuid, "mode=0755"),
        ("tmpfs", "/run", "tmpfs", nosuid | nodev, "mode=0755,size=20%,nr_inodes=800k"),
    ];
    let mut actions = Vec::new();
    for (what, at, kind, flags, data) in table {
        actions.push(Action::mkdir(at));
        actions.push(Action::mount(what, at, kind, flags, data));
    }
    actions.push(Action::mkdir("/run/sledos"));
    Step { name: "mounts", code: Code::Mounts, says: String::new(), actions }
}

/// A kernel that panics restarts the sled after this many seconds, unless the command line
/// says otherwise (`panic=`): with a /usr that no longer matches it would stay for ever.
const PANIC_SECONDS: &str = "30";

/// Tells the kernel so. One that does not take it stays as it is.
pub fn restart_after_panic(line: &str) {
    if !formats::cmdline::params(line).any(|param| param.is("panic")) {
        let _ = std::fs::write("/proc/sys/kernel/panic", PANIC_SECONDS);
    }
}

/// The console the kernel was told to use, if it works.
pub fn open_console() -> Option<File> {
    // Not read from: opening it for that could wait for a carrier.
    File::options().write(true).open("/dev/console").ok()
}

/// Time since the kernel started, suspended time included.
pub fn uptime() -> Duration {
    duration(rustix::time::clock_gettime(ClockId::Boottime))
}

fn duration(time: Timespec) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Seconds since 1970 as `2026-11-23T02:00:00Z`, in the proleptic Gregorian calendar.
pub fn utc(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days since 0000-03-01: years then end with the leap day.
    let z = days + 719_468;
    let (era, day) = (z / 146_097, z % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month_from_march) = (day - (153 * month + 2) / 5 + 1, month);
    let (month, carry) =
        if month_from_march < 10 { (month_from_march + 3, 0) } else { (month_from_march - 9, 1) };
    let year = era * 400 + year + carry;
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_the_calendars() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(utc(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(utc(951_868_800), "2000-03-01T00:00:00Z");
        assert_eq!(utc(1_735_689_599), "2024-12-31T23:59:59Z");
        assert_eq!(utc(4_107_542_400), "2100-03-01T00:00:00Z");
    }

    #[test]
    fn the_mounts_are_these() {
        assert_eq!(
            plan_mounts().to_string(),
            "mounts (SLED-010)
  mkdir 0755 /proc
  mount proc on /proc type proc (rw,nosuid,nodev,noexec)
  mkdir 0755 /sys
  mount sysfs on /sys type sysfs (rw,nosuid,nodev,noexec)
  mkdir 0755 /dev
  mount devtmpfs on /dev type devtmpfs (rw,nosuid,mode=0755)
  mkdir 0755 /run
  mount tmpfs on /run type tmpfs (rw,nosuid,nodev,mode=0755,size=20%,nr_inodes=800k)
  mkdir 0755 /run/sledos
"
        );
    }
}
