//! A TCP connection whose every wait has an end.

use super::{Error, Limits};
use crate::pulse::Pulse;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// A socket with limits.
#[derive(Debug)]
pub(super) struct Wire {
    socket: TcpStream,
    limits: Limits,
    end: Option<Instant>,
    /// Time spent waiting and bytes received in the window that runs.
    waited: Duration,
    bytes: u64,
    pulse: Pulse,
}

impl Wire {
    pub(super) fn new(
        socket: TcpStream,
        limits: Limits,
        end: Option<Instant>,
        pulse: Pulse,
    ) -> Result<Self, Error> {
        socket.set_nodelay(true).map_err(Error::Broken)?;
        Ok(Self { socket, limits, end, waited: Duration::ZERO, bytes: 0, pulse })
    }

    /// How long the next wait may be.
    fn patience(&self) -> io::Result<Duration> {
        let stall = self.limits.stall;
        let left = self.end.map_or(stall, |end| end.saturating_duration_since(Instant::now()));
        // A timeout of zero would be none.
        if left.is_zero() { Err(self.over()) } else { Ok(left.min(stall)) }
    }

    /// Which limit a wait ran into.
    fn over(&self) -> io::Error {
        let error = match (self.end, self.limits.total) {
            (Some(end), Some(total)) if end <= Instant::now() => Error::Late(total),
            _ => Error::Stalled(self.limits.stall),
        };
        error.into_io()
    }

    /// A server that sends a byte now and then never stalls, and never ends.
    fn count(&mut self, bytes: usize, waited: Duration) -> io::Result<()> {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        self.waited = self.waited.saturating_add(waited);
        if self.waited < self.limits.window {
            return Ok(());
        }
        let (bytes, window) = (self.bytes, self.waited);
        (self.bytes, self.waited) = (0, Duration::ZERO);
        let millis = u64::try_from(self.limits.window.as_millis()).unwrap_or(u64::MAX);
        let least = self.limits.rate.saturating_mul(millis) / 1000;
        if bytes < least { Err(Error::Slow { bytes, window }.into_io()) } else { Ok(()) }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.socket.set_read_timeout(Some(self.patience()?))?;
            let start = Instant::now();
            self.pulse.beat();
            match self.socket.read(buffer) {
                Ok(0) => return Ok(0),
                Ok(bytes) => {
                    self.count(bytes, start.elapsed())?;
                    return Ok(bytes);
                }
                Err(error) if is_timeout(&error) => return Err(self.over()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(Some(self.patience()?))?;
        self.socket.write(bytes).map_err(|error| if is_timeout(&error) { self.over() } else { error })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}
