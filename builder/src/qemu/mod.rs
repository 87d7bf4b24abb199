//! Boots images in QEMU: for people (`sledos boot`) and for the tests.
//!
//! [`command`] describes a machine and is pure, [`accel`] finds out what this
//! host can really run, [`machine`] is a running one.

pub mod accel;
pub mod command;
pub mod machine;
pub mod qmp;

pub use accel::Accel;
pub use command::{Boot, Bus, Disk, Firmware, Link, MachineSpec, Nic, NicModel, Smbios};
pub use machine::Machine;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// What can go wrong with a virtual machine.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The program is not there or cannot be started.
    #[error("cannot start {program}; on Debian it is in the package {package}")]
    Start {
        /// The program.
        program: String,
        /// The Debian package that has it.
        package: &'static str,
        /// Why.
        source: io::Error,
    },
    /// No UEFI firmware on this host.
    #[error("no UEFI firmware at {path}; on Debian it is in the package ovmf")]
    NoFirmware {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// Some file or socket of the machine.
    #[error("{what} {path}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The control socket said something unexpected.
    #[error("QEMU's control socket: {0}")]
    Qmp(String),
    /// Something awaited did not come.
    #[error("after {} s the console of {name} has not said {token:?}; it is in {log}, its end:\n{tail}", waited.as_secs())]
    Timeout {
        /// The machine.
        name: String,
        /// What was awaited.
        token: String,
        /// For how long.
        waited: Duration,
        /// The console's file.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },
    /// The machine went away while something was awaited.
    #[error("{name} stopped before its console said {token:?}; it is in {log}, its end:\n{tail}")]
    Stopped {
        /// The machine.
        name: String,
        /// What was awaited.
        token: String,
        /// The console's file.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },
}
