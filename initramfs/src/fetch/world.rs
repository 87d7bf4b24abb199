//! What the loop needs of the world, so that tests can be one.

use crate::clock::Time;
use crate::http;
use crate::identity::Hardware;
use std::time::Duration;

/// How the network is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Some link is up.
    pub link: bool,
    /// Some interface has an address: servers can be asked.
    pub ready: bool,
    /// What each link lacks, a sentence each.
    pub diagnosis: Vec<String>,
}

/// An answer of a server, read to its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// How long the server asks to be left alone.
    pub retry_after: Option<Duration>,
    /// The body; empty unless the status is 200.
    pub body: Vec<u8>,
}

/// What the servers say of this sled when they have no document for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No server knows it.
    Unknown,
    /// Its hardware was replaced.
    Retired,
}

impl State {
    /// As it is in an inventory.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Retired => "retired",
        }
    }
}

/// What a sled is made of, for programs and for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// To be posted; the same text as long as nothing changed.
    pub json: String,
    /// For the console, six lines at most.
    pub lines: Vec<String>,
}

/// The world.
pub trait World {
    /// Time since some start, never going back.
    fn now(&self) -> Duration;
    /// What time it is.
    fn clock(&self) -> Time;
    /// A server that is believed says that it is so many seconds since 1970.
    fn told(&mut self, seconds: u64);
    /// Any number, another one on each sled.
    fn random(&mut self) -> u64;
    /// A number that nobody guesses and that was never used, if the kernel has one.
    fn nonce(&mut self) -> Option<[u8; 16]>;
    /// One line on the console.
    fn say(&mut self, line: &str);
    /// What this sled is; LLDP may add to it while it waits.
    fn hardware(&mut self) -> Hardware;
    /// URLs of the servers known by now.
    fn servers(&mut self) -> Vec<String>;
    /// How the network is.
    fn network(&mut self) -> Network;
    /// Waits, no longer than this. Returns whether it ended because links, addresses,
    /// neighbours or known servers changed.
    fn wait(&mut self, at_most: Duration) -> bool;
    /// Whether something came up that makes it worth while to begin anew.
    fn interrupted(&mut self) -> bool {
        false
    }
    /// Asks for a URL.
    ///
    /// # Errors
    /// Those of the client; a body longer than `max` bytes is one.
    fn get(&mut self, url: &str, max: usize) -> Result<Answer, http::Error>;
    /// The inventory of a sled in this state that asked by these keys.
    fn inventory(&mut self, state: State, keys: &[String]) -> Inventory;
    /// Posts an inventory. Returns what to say about it, a sentence each.
    fn post_inventory(&mut self, json: &str) -> Vec<String>;
}

/// [`World::get`] by the real client.
///
/// # Errors
/// Those of the client.
pub fn get(client: &http::Client, url: &str, max: usize) -> Result<Answer, http::Error> {
    let response = client.get(url, 0)?;
    let (status, retry_after) = (response.status, response.retry_after);
    let body = if status == 200 { response.read_all(max)? } else { Vec::new() };
    Ok(Answer { status, retry_after, body })
}
