//! The device behind the watchdog.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};

/// What is done with a watchdog. Opening it starts it; closing it does not stop it
/// unless it was disarmed.
pub trait Device: Send + fmt::Debug {
    /// What the hardware calls itself.
    fn name(&self) -> String;
    /// Seconds until the reset; returns what the hardware made of it.
    ///
    /// # Errors
    /// The driver's: some have a fixed time.
    fn set_timeout(&mut self, seconds: u32) -> io::Result<u32>;
    /// Starts the time again.
    ///
    /// # Errors
    /// The driver's.
    fn feed(&mut self) -> io::Result<()>;
    /// Lets the timer stop when the device is closed.
    ///
    /// # Errors
    /// The driver's. One that is built with "nowayout" does not stop and does not say so.
    fn disarm(&mut self) -> io::Result<()>;
}

#[derive(Debug)]
struct Hardware(File);

/// Opens the watchdog at this path ([`super::PATH`]).
///
/// # Errors
/// When it is not there, or somebody else has it.
pub fn open(path: &str) -> io::Result<Box<dyn Device>> {
    Ok(Box::new(Hardware(File::options().write(true).open(path)?)))
}

impl Device for Hardware {
    fn name(&self) -> String {
        syscalls::watchdog::identity(&self.0).unwrap_or_else(|_| "a watchdog".into())
    }

    fn set_timeout(&mut self, seconds: u32) -> io::Result<u32> {
        Ok(syscalls::watchdog::set_timeout(&self.0, seconds)?)
    }

    fn feed(&mut self) -> io::Result<()> {
        Ok(syscalls::watchdog::feed(&self.0)?)
    }

    fn disarm(&mut self) -> io::Result<()> {
        self.0.write_all(b"V")
    }
}
