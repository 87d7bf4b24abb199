//! Waiting for devices: the kernel's broadcasts as a wake-up.
//!
//! What an event says is not used. After each wake-up the caller looks at sysfs
//! again, which is right even when events were lost.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType};
use std::time::Duration;

/// A subscription to kernel events, from its making on.
#[derive(Debug)]
pub struct Uevents {
    socket: OwnedFd,
}

impl Uevents {
    /// Subscribes.
    ///
    /// # Errors
    /// The kernel's; none are expected.
    pub fn subscribe() -> rustix::io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let family = Some(netlink::KOBJECT_UEVENT);
        let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, family)?;
        // Group 1: events as the kernel sends them, before any udev.
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, 1))?;
        Ok(Self { socket })
    }

    /// Waits until something happened or the time is over, and forgets all
    /// events so far. Returns whether there were any.
    pub fn wait(&self, at_most: Duration) -> bool {
        let timeout = Timespec {
            tv_sec: i64::try_from(at_most.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(at_most.subsec_nanos()),
        };
        // A signal ends the wait early, which is harmless.
        let _ = poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(&timeout));
        let mut any = false;
        let mut buffer = [0_u8; 4096];
        // ENOBUFS tells of lost events: there were some, and there may be more.
        while matches!(
            rustix::net::recv(&self.socket, &mut buffer[..], RecvFlags::empty()),
            Ok(_) | Err(rustix::io::Errno::NOBUFS)
        ) {
            any = true;
        }
        any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_time_is_no_event() {
        // Events of the machine the test runs on may come in; that it returns is the test.
        Uevents::subscribe().unwrap().wait(Duration::from_millis(1));
    }
}
