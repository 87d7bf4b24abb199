//! Getting this sled's document, for as long as it takes.
//!
//! | What | Module |
//! |---|---|
//! | what it needs of the world | [`world`] |
//! | one question to one server | [`ask`] |
//! | whether a document is believed | [`judge`] |
//! | whether it is the newest | [`fresh`] |
//! | the last good document | [`store`] |
//!
//! Every server is asked by every key in order, the last good server first. What ends
//! it is a document that is believed, or that nobody answered for so long that the
//! stored one is used. A server that does not know this sled, or says that it is
//! retired, is an answer; a forged document or an error is none, nor is one of which nobody
//! says that it is the newest where somebody must. The stored document needs no such word: it
//! was the newest when it was stored, and a sled whose servers are down comes up.

mod ask;
pub mod fresh;
pub mod judge;
pub mod store;
mod voice;
pub mod world;

use crate::identity::Hardware;
use crate::retry::{Policy, Servers};
use ask::Outcome;
use fresh::Freshness;
use judge::{Accepted, Found, Judge, Offer, Refusal};
use metadata::document::SledDocument;
use metadata::layout::Key;
use metadata::signature::TrustedKey;
use std::io;
use std::time::Duration;
use store::{Memory, Store};
use voice::Voice;
use world::{State, World};

/// How it is done.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who may sign.
    pub trusted: Vec<TrustedKey>,
    /// By what to ask, in order: `metadata::layout::WORDS`.
    pub order: Vec<String>,
    /// Whether a server must say of each document that it is the newest.
    pub fresh_only: bool,
    /// How long nobody answers, from the first link on, before the stored document is used.
    pub patience: Duration,
    /// The same from the beginning on, when no link comes up.
    pub patience_without_link: Duration,
    /// How servers are asked again.
    pub retry: Policy,
    /// How often the state of the network is said while there is none.
    pub diagnosis: Duration,
    /// How often an inventory is posted that did not change.
    pub inventory: Duration,
}

impl Settings {
    /// The defaults, for these keys.
    pub fn new(trusted: Vec<TrustedKey>, order: Vec<String>) -> Self {
        Self {
            trusted,
            order,
            fresh_only: false,
            patience: Duration::from_secs(30),
            patience_without_link: Duration::from_secs(60),
            retry: Policy::default(),
            diagnosis: Duration::from_secs(30),
            inventory: Duration::from_secs(600),
        }
    }
}

/// Where a document came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// From this server, asked by this key.
    Server {
        /// Its URL.
        server: String,
        /// The key, as people read it.
        key: String,
    },
    /// From /var, because no server answered for this long.
    Stored {
        /// How long.
        silence: Duration,
    },
}

/// The document this sled boots with.
#[derive(Clone, Debug, PartialEq)]
pub struct Got {
    /// The document.
    pub document: Box<SledDocument>,
    /// Id of the key that signed it.
    pub signer: String,
    /// Where it came from.
    pub source: Source,
    /// Whether it is the newest.
    pub freshness: Freshness,
    /// What people should know, a sentence each.
    pub notes: Vec<String>,
    /// Its bytes and its signature, to be stored, see [`Got::keep`].
    bytes: Vec<u8>,
    minisig: String,
    memory: Memory,
}

impl Got {
    /// The document as it was signed.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Stores the document, for a /var that was not there when it was fetched.
    ///
    /// # Errors
    /// Those of [`Store::save`].
    pub fn keep(&self, store: &Store) -> io::Result<()> {
        store.save(&self.bytes, &self.minisig, &self.memory)
    }
}

impl std::fmt::Display for Got {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let head = &self.document.head;
        write!(f, "{} generation {}", head.sled, head.generation)?;
        match &self.source {
            Source::Server { server, key } => {
                write!(f, " from {server} by {key}, signed by {}", self.signer)?;
                // Of a fleet that has nobody who says so it goes without saying.
                self.document.freshness.iter().try_for_each(|_| write!(f, "; {}", self.freshness))
            }
            Source::Stored { silence } => {
                let seconds = silence.as_secs();
                write!(f, " from /var, stored earlier: no server answered for {seconds} s")
            }
        }?;
        self.notes.iter().try_for_each(|note| write!(f, "; {note}"))
    }
}

/// Asks until there is a document, or [`World::interrupted`]. Stores what comes from a server.
pub fn run(world: &mut dyn World, store: &Store, settings: &Settings) -> Option<Got> {
    let memory = store.memory();
    let start = world.now();
    let mut fetch = Fetch {
        servers: Servers::new(settings.retry, memory.server.clone()),
        world,
        store,
        settings,
        memory,
        voice: Voice::default(),
        start,
        link_since: None,
        answered: None,
        said_network: None,
        posted: None,
        asked_by: String::new(),
    };
    loop {
        if let Some(got) = fetch.round() {
            return Some(got);
        }
        if fetch.world.interrupted() {
            return None;
        }
    }
}

struct Fetch<'a> {
    world: &'a mut dyn World,
    store: &'a Store,
    settings: &'a Settings,
    memory: Memory,
    servers: Servers,
    voice: Voice,
    start: Duration,
    link_since: Option<Duration>,
    /// When a server last answered with something that can be used.
    answered: Option<Duration>,
    said_network: Option<(Duration, Vec<String>)>,
    posted: Option<(Duration, String)>,
    asked_by: String,
}

impl Fetch<'_> {
    /// Asks whoever may be asked now, then waits until there is something to do.
    fn round(&mut self) -> Option<Got> {
        let network = self.world.network();
        let now = self.world.now();
        if network.link {
            self.link_since.get_or_insert(now);
        }
        let urls = self.world.servers();
        self.servers.set(&urls);
        let mut state = None;
        if network.ready {
            self.said_network = None;
            if self.servers.is_empty() {
                self.say(
                    "metadata: no server is known (sledos.metadata=, DHCP or `metadata:` in the recipe)",
                );
            }
            let hardware = self.world.hardware();
            for server in self.servers.due(now) {
                match self.ask(&server, &hardware) {
                    Ok(got) => return Some(got),
                    // That one is retired is stronger than that another is unknown.
                    Err(answer) if state != Some(State::Retired) => state = answer.or(state),
                    Err(_) => {}
                }
            }
            if let Some(state) = state {
                self.answered = Some(self.world.now());
                self.report(state, &hardware);
            }
        } else {
            self.diagnose(network.diagnosis);
        }
        self.stored().or_else(|| {
            self.wait(network.ready);
            None
        })
    }

    /// Asks one server by every key. Without a document returns what its answer
    /// means, if it was one.
    fn ask(&mut self, server: &str, hardware: &Hardware) -> Result<Got, Option<State>> {
        let keys = hardware.keys(&self.settings.order);
        let names: Vec<_> = keys.iter().map(ToString::to_string).collect();
        let names = names.join(", ");
        if names != self.asked_by {
            self.say(&format!(
                "metadata: asks by {}",
                if names.is_empty() { "nothing: this sled has no key" } else { &names }
            ));
            self.asked_by = names.clone();
        }
        let mut retired = None;
        let mut refused = false;
        for key in &keys {
            match ask::ask(self.world, server, key) {
                Outcome::NotThere => {}
                Outcome::Failed { why, retry_after } => {
                    self.say(&format!("metadata: {why}"));
                    self.failed(server, retry_after);
                    return Err(retired);
                }
                Outcome::Unsigned { url } => {
                    refused = true;
                    let refusal = Refusal::NoSignature("there is no .minisig beside it");
                    self.say(&format!("metadata: {url} is refused: {refusal}"));
                }
                Outcome::Document { url, document, minisig } => {
                    let offer = Offer { document: &document, minisig: &minisig, found: Found::Under(key) };
                    let judged = self.judge(offer, hardware);
                    if judged.is_ok()
                        && matches!(key, Key::Location(..) | Key::SwitchPort(..))
                        && self.is_retired(server, &keys, hardware)
                    {
                        retired = Some(State::Retired);
                        break;
                    }
                    let judged = judged.and_then(|accepted| {
                        let fresh = self.fresh(server, &accepted, &document)?;
                        Ok((accepted, fresh))
                    });
                    match judged {
                        Ok((accepted, fresh)) => {
                            let source = Source::Server { server: server.to_owned(), key: key.to_string() };
                            return Ok(self.accept(accepted, fresh, source, document, minisig, hardware));
                        }
                        Err(refusal) => {
                            refused = true;
                            self.say(&format!("metadata: {url} is refused: {refusal}"));
                            if let Refusal::Retired { sled, generation, .. } = refusal {
                                retired = Some(State::Retired);
                                self.remember(&sled, generation, server, hardware);
                                self.save(&document, &minisig);
                            }
                        }
                    }
                }
            }
        }
        self.failed(server, None);
        if retired.is_none() && !refused {
            self.say(&format!("metadata: unknown sled: {server} has no document for {names}"));
            return Err(Some(State::Unknown));
        }
        Err(retired)
    }

    /// Whether a tombstone lies under one of the hardware's own keys: a place makes
    /// whatever sits there its sled, but not hardware that was pulled out for good.
    fn is_retired(&mut self, server: &str, keys: &[Key], hardware: &Hardware) -> bool {
        for key in keys.iter().filter(|key| !matches!(key, Key::Location(..) | Key::SwitchPort(..))) {
            let Outcome::Document { url, document, minisig } = ask::ask(self.world, server, key) else {
                continue;
            };
            let offer = Offer { document: &document, minisig: &minisig, found: Found::Under(key) };
            if let Err(refusal @ Refusal::Retired { .. }) = self.judge(offer, hardware) {
                self.say(&format!("metadata: {url} is refused: {refusal}"));
                return true;
            }
        }
        false
    }

    fn judge(&self, offer: Offer<'_>, hardware: &Hardware) -> Result<Accepted, Refusal> {
        let clock = self.world.clock();
        let (trusted, seen) = (&self.settings.trusted, &self.memory.seen);
        Judge { trusted, hardware, seen, clock }.judge(offer)
    }

    /// Whether a document is fresh enough, by its server. What that says of the time sets the clock.
    fn fresh(&mut self, server: &str, accepted: &Accepted, bytes: &[u8]) -> Result<Freshness, Refusal> {
        let (clock, document) = (self.world.clock(), &accepted.document);
        // A clock that is believed may be ahead of the server's.
        let least = if clock.believable { 0 } else { clock.least };
        let answer = fresh::ask(self.world, server, document, bytes, least);
        let fresh = fresh::decide(document, self.settings.fresh_only, clock, answer)?;
        if let (Freshness::Proven { at }, false) = (&fresh, clock.believable) {
            self.world.told(*at);
        }
        Ok(fresh)
    }

    fn failed(&mut self, server: &str, retry_after: Option<Duration>) {
        let (now, random) = (self.world.now(), self.world.random());
        let (_, cut) = self.servers.failed(server, now, random, retry_after);
        if let Some(cut) = cut {
            self.say(&format!("metadata: {server}: {cut}"));
        }
    }

    fn accept(
        &mut self,
        accepted: Accepted,
        freshness: Freshness,
        source: Source,
        bytes: Vec<u8>,
        minisig: String,
        hardware: &Hardware,
    ) -> Got {
        let Accepted { document, signer, mut notes } = accepted;
        if matches!(freshness, Freshness::Unknown(_)) && !self.world.clock().believable {
            notes.push("the clock was reset, so whether it has expired is unknown".into());
        }
        if let Source::Server { server, .. } = &source {
            self.remember(&document.head.sled, document.head.generation, server, hardware);
            self.save(&bytes, &minisig);
        }
        Got { document, signer, source, freshness, notes, bytes, minisig, memory: self.memory.clone() }
    }

    fn remember(&mut self, sled: &str, generation: u64, server: &str, hardware: &Hardware) {
        self.memory.server = Some(server.to_owned());
        self.memory.hardware = Some(hardware.clone());
        let seen = self.memory.seen.entry(sled.to_owned()).or_default();
        *seen = generation.max(*seen);
    }

    /// A disk that does not keep it does not keep this boot either.
    fn save(&mut self, document: &[u8], minisig: &str) {
        if let Err(error) = self.store.save(document, minisig, &self.memory) {
            self.say(&format!("metadata: warning: the document is not stored on /var ({error})"));
        }
    }

    /// The stored document, once nobody has answered for long enough.
    fn stored(&mut self) -> Option<Got> {
        let now = self.world.now();
        let due = self.patience_ends()?;
        if now < due {
            return None;
        }
        let silence = now.saturating_sub(self.answered.unwrap_or(self.start));
        let stored = match self.store.load() {
            Ok(stored) => stored?,
            Err(error) => {
                self.say(&format!("metadata: the stored document does not read ({error})"));
                return None;
            }
        };
        let hardware = self.world.hardware();
        let here = self.memory.hardware.as_ref().is_some_and(|then| then.is(&hardware));
        let mut refusal = Refusal::NoSignature("there is none beside the document");
        for minisig in stored.minisigs {
            let offer =
                Offer { document: &stored.document, minisig: &minisig, found: Found::Stored { here } };
            match self.judge(offer, &hardware) {
                Ok(accepted) => {
                    let source = Source::Stored { silence };
                    let fresh = Freshness::Unknown("it was stored earlier".into());
                    return Some(self.accept(accepted, fresh, source, stored.document, minisig, &hardware));
                }
                Err(other) => refusal = other,
            }
        }
        self.say(&format!("metadata: the stored document is refused: {refusal}"));
        None
    }

    /// When the stored document is used if nobody answers until then.
    fn patience_ends(&self) -> Option<Duration> {
        let Settings { patience, patience_without_link, .. } = self.settings;
        let from = match self.link_since {
            Some(link) => link.checked_add(*patience),
            None => self.start.checked_add(*patience_without_link),
        };
        let answered = self.answered.map_or(Some(Duration::ZERO), |at| at.checked_add(*patience));
        from.max(answered)
    }

    /// Says what the network lacks, when that changes and now and then.
    fn diagnose(&mut self, lines: Vec<String>) {
        let now = self.world.now();
        let old = self
            .said_network
            .as_ref()
            .is_some_and(|(at, said)| *said == lines && now.saturating_sub(*at) < self.settings.diagnosis);
        if !old {
            lines.iter().for_each(|line| self.world.say(&format!("network: {line}")));
            self.said_network = Some((now, lines));
        }
    }

    /// Shows and posts what this sled is made of, so that somebody can add it to the fleet.
    fn report(&mut self, state: State, hardware: &Hardware) {
        let now = self.world.now();
        let keys: Vec<_> = hardware.keys(&self.settings.order).iter().map(ToString::to_string).collect();
        let inventory = self.world.inventory(state, &keys);
        let changed = self.posted.as_ref().is_none_or(|(_, json)| *json != inventory.json);
        if changed {
            inventory.lines.iter().for_each(|line| self.world.say(&format!("inventory: {line}")));
        }
        let old = |(at, _): &(Duration, String)| now.saturating_sub(*at) >= self.settings.inventory;
        if changed || self.posted.as_ref().is_some_and(old) {
            let said = self.world.post_inventory(&inventory.json);
            said.iter().for_each(|line| self.say(&format!("report: {line}")));
            self.posted = Some((now, inventory.json));
        }
    }

    /// Waits until a server may be asked, the stored document is due or the network changed.
    fn wait(&mut self, ready: bool) {
        let now = self.world.now();
        // Only a wake-up: what was missed is seen then.
        let mut until = now.saturating_add(self.settings.diagnosis);
        let next = if ready { self.servers.next() } else { None };
        let stored = self.patience_ends().filter(|due| *due > now);
        for due in [next, stored].into_iter().flatten() {
            until = until.min(due);
        }
        if self.world.wait(until.saturating_sub(now)) {
            let (now, random) = (self.world.now(), self.world.random());
            self.servers.hurry(now, random);
        }
    }

    fn say(&mut self, line: &str) {
        if self.voice.may(line, self.world.now()) {
            self.world.say(line);
        }
    }
}

#[cfg(test)]
mod tests;
