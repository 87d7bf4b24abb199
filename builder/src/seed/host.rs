//! What the questions look at: the machine, a stick, servers. Tests have another one.

use std::path::PathBuf;

use metadata::values::Mac;

use super::settings::Settings;

/// A network card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nic {
    /// Its name.
    pub name: String,
    /// Its address.
    pub mac: Mac,
    /// Its driver.
    pub driver: String,
    /// Whether something is plugged in at the other end.
    pub carrier: bool,
    /// Its speed in Mbit/s, when it says.
    pub speed: Option<u32>,
}

impl std::fmt::Display for Nic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, mac, driver, carrier, speed } = self;
        write!(f, "{name} ({driver}, {mac}")?;
        match (carrier, speed) {
            (false, _) => f.write_str(", no cable)"),
            (true, Some(speed)) => write!(f, ", {speed} Mbit/s)"),
            (true, None) => f.write_str(")"),
        }
    }
}

/// The label of the filesystem that answers are taken from.
pub const LABEL: &str = "SLEDOS";

/// The machine. What goes wrong is said in a sentence for people.
pub trait Host {
    /// The network cards, sorted by name.
    fn nics(&mut self) -> Vec<Nic>;

    /// The directory that the filesystem [`LABEL`] is mounted at, to read.
    ///
    /// # Errors
    /// When there is none.
    fn stick(&mut self) -> Result<PathBuf, String>;

    /// Gives the card its address, until the machine restarts: before something is fetched.
    ///
    /// # Errors
    /// When it does not get it.
    fn online(&mut self, settings: &Settings) -> Result<(), String>;

    /// Begins to read what is at a URL.
    ///
    /// # Errors
    /// When the server does not answer, or not with that.
    fn open(&mut self, url: &str) -> Result<Box<dyn std::io::Read>, String>;

    /// Bytes that may still be written where images go.
    fn free(&mut self) -> u64;
}
