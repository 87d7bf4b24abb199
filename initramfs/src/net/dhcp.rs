//! The DHCPv4 client of one link as a state machine (RFC 2131 §4.4, figure 5).
//!
//! Pure: events and the time go in, actions come out. Whoever drives it calls
//! [`Client::step`] for each event and once more when [`Client::deadline`] has
//! come.

use super::state::{Dhcp, Lease};
use formats::dhcp4::{Kind, Message, Send, encode};
use formats::l2::{Mac, mac_text};
use std::net::Ipv4Addr;
use std::time::Duration;

/// What happened.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The link came up or went down.
    Carrier(bool),
    /// A message came in.
    Message(&'a Message),
    /// This machine claims the address that is being probed.
    Claimed(Mac),
    /// Nothing but time passing.
    Tick,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send this payload to all servers on the link, from 0.0.0.0.
    Broadcast(Vec<u8>),
    /// Send this payload to one server by routing, from the address in use.
    Unicast {
        /// The address in use.
        from: Ipv4Addr,
        /// The server.
        to: Ipv4Addr,
        /// The payload.
        payload: Vec<u8>,
    },
    /// Ask by ARP whether somebody has this address.
    Probe(Ipv4Addr),
    /// The link has this address now, and routes to go with it.
    Install(Lease),
    /// It has it no more.
    Remove(Lease),
    /// Tell the operator.
    Say(String),
}

#[derive(Clone, Debug)]
enum State {
    /// No carrier.
    Off,
    /// Until the next try.
    Waiting(Option<String>),
    Selecting,
    Requesting {
        address: Ipv4Addr,
        server: Ipv4Addr,
    },
    /// The lease is ours unless somebody has the address.
    Probing {
        lease: Box<Lease>,
        left: u8,
    },
    Bound,
    Renewing,
    Rebinding,
    /// The carrier was away: is the lease still good here?
    Rebooting {
        until: Duration,
    },
}

/// RFC 2131 wants 1 to 10 s so that a site coming back from a power cut does
/// not ask as one; firmware start times of servers differ by more than that.
const MAX_FIRST_DELAY_MS: u64 = 1000;
/// Unanswered requests for an offer before asking around again: 60 s.
const MAX_REQUESTS: u32 = 4;
/// RFC 5227 sends three probes 1 to 2 s apart and waits 2 s more: a third of a
/// boot. The machine that has the address answers within a round trip.
const PROBES: u8 = 2;
const PROBE_WAIT: Duration = Duration::from_millis(250);
/// RFC 2131 §3.1.5.
const AFTER_DECLINE: Duration = Duration::from_secs(10);
/// How long an address is kept unconfirmed after the carrier came back; a
/// switch port may be silent for some of that (spanning tree).
const REBOOT_PATIENCE: Duration = Duration::from_secs(90);

/// The client of one link.
#[derive(Clone, Debug)]
pub struct Client {
    mac: Mac,
    random: fn() -> u64,
    state: State,
    /// The installed lease.
    lease: Option<Lease>,
    /// When to act next.
    at: Option<Duration>,
    /// Messages sent in this state.
    sent: u32,
    xid: u32,
    /// When this search for an address began.
    since: Duration,
    /// When the first request of this state was sent.
    asked: Duration,
    /// Refusals in a row.
    refusals: u32,
    /// The server whose offer was not taken, as it was said last.
    other: Option<Ipv4Addr>,
}

impl Client {
    /// A client for a link without carrier. `random` is for delays and numbers.
    pub fn new(mac: Mac, random: fn() -> u64) -> Self {
        let zero = Duration::ZERO;
        Self {
            mac,
            random,
            state: State::Off,
            lease: None,
            at: None,
            sent: 0,
            xid: 0,
            since: zero,
            asked: zero,
            refusals: 0,
            other: None,
        }
    }

    /// The lease that is installed.
    pub fn lease(&self) -> Option<&Lease> {
        self.lease.as_ref()
    }

    /// The address that is being probed.
    pub fn probing(&self) -> Option<Ipv4Addr> {
        match &self.state {
            State::Probing { lease, .. } => Some(lease.address),
            _ => None,
        }
    }

    /// How far it is.
    pub fn stage(&self) -> Dhcp {
        match &self.state {
            _ if self.lease.is_some() => Dhcp::Bound,
            State::Requesting { server, .. } => Dhcp::Offered(*server),
            State::Probing { lease, .. } => lease.server.map_or(Dhcp::Asking, Dhcp::Offered),
            State::Waiting(Some(why)) => Dhcp::Again(why.clone()),
            _ => Dhcp::Asking,
        }
    }

    /// When to call [`Client::step`] although nothing happened.
    pub fn deadline(&self) -> Option<Duration> {
        let expires = self.lease.as_ref().and_then(|lease| lease.expires);
        self.at.into_iter().chain(expires).min()
    }

    /// Takes an event and does what is due. `now` is since the kernel started.
    pub fn step(&mut self, now: Duration, event: Event<'_>) -> Vec<Action> {
        let mut out = Vec::new();
        match event {
            Event::Carrier(true) => self.carrier(now),
            Event::Carrier(false) => self.enter(State::Off, None),
            Event::Message(m) if m.mac == self.mac && m.xid == self.xid => self.hear(now, m, &mut out),
            Event::Claimed(by) => self.claimed(now, by, &mut out),
            Event::Message(_) | Event::Tick => {}
        }
        if let Some(lease) = self.lease.take_if(|l| l.expires.is_some_and(|end| end <= now)) {
            out.push(Action::Say(format!("the lease of {} ended and was not renewed", lease.address)));
            out.push(Action::Remove(lease));
            if !matches!(self.state, State::Off) {
                self.enter(State::Waiting(None), Some(now));
            }
        }
        // What is due may make the next thing due.
        while self.at.is_some_and(|at| at <= now) {
            self.act(now, &mut out);
        }
        out
    }

    fn enter(&mut self, state: State, at: Option<Duration>) {
        self.state = state;
        self.at = at;
        self.sent = 0;
    }

    /// A new exchange with its own number.
    fn exchange(&mut self, now: Duration, state: State) {
        self.xid = u32::try_from((self.random)() & 0xffff_ffff).unwrap_or(1);
        self.enter(state, Some(now));
    }

    fn random_ms(&self, below: u64) -> Duration {
        Duration::from_millis((self.random)() % below)
    }

    fn carrier(&mut self, now: Duration) {
        if !matches!(self.state, State::Off) {
            return;
        }
        self.since = now;
        if self.lease.is_some() {
            self.exchange(now, State::Rebooting { until: now + REBOOT_PATIENCE });
        } else {
            let delay = self.random_ms(MAX_FIRST_DELAY_MS);
            self.enter(State::Waiting(None), Some(now + delay));
        }
    }

    fn hear(&mut self, now: Duration, message: &Message, out: &mut Vec<Action>) {
        let usable = !(message.address.is_unspecified()
            || message.address.is_broadcast()
            || message.address.is_multicast()
            || message.address.is_loopback());
        let lease_server = self.lease.as_ref().and_then(|lease| lease.server);
        match (&self.state, message.kind) {
            // The first that can be taken: all servers of a site are equally right.
            (State::Selecting, Kind::Offer) if usable => {
                let Some(server) = message.server else { return };
                self.enter(State::Requesting { address: message.address, server }, Some(now));
            }
            (_, Kind::Offer) if usable => self.another(message, out),
            (State::Requesting { server, .. }, Kind::Ack | Kind::Nak)
                if message.server.is_none_or(|from| from == *server) =>
            {
                let server = *server;
                self.answered(now, message, server, usable, out);
            }
            (State::Renewing | State::Rebinding | State::Rebooting { .. }, Kind::Ack | Kind::Nak) => {
                let Some(server) = message.server.or(lease_server) else { return };
                self.answered(now, message, server, usable, out);
            }
            _ => {}
        }
    }

    /// Another offer than the one that was taken: which is first is chance, so a site with
    /// two servers that disagree has sleds that come up now and then. A pair of servers that
    /// stand in for each other offers the same address.
    fn another(&mut self, message: &Message, out: &mut Vec<Action>) {
        let of = |lease: &Lease| Some((lease.server?, lease.address));
        let taken = match (&self.state, &self.lease) {
            (State::Requesting { address, server }, _) => Some((*server, *address)),
            (State::Probing { lease, .. }, _) => of(lease),
            (_, lease) => lease.as_ref().and_then(of),
        };
        if let (Some((server, address)), Some(other)) = (taken, message.server)
            && other != server
            && message.address != address
            && self.other != Some(other)
        {
            self.other = Some(other);
            out.push(Action::Say(format!(
                "{other} offers {}, {server} offered {address}: more than one DHCP server answers here",
                message.address
            )));
        }
    }

    fn answered(
        &mut self,
        now: Duration,
        message: &Message,
        server: Ipv4Addr,
        usable: bool,
        out: &mut Vec<Action>,
    ) {
        if message.kind == Kind::Nak {
            let reason = message.reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            let why = format!("{server} refused the address{reason}");
            out.push(Action::Say(why.clone()));
            out.extend(self.lease.take().map(Action::Remove));
            // At once the first time; a server that always refuses is not flooded.
            let delay = Duration::from_secs(1 << self.refusals.min(6)) - Duration::from_secs(1);
            self.refusals += 1;
            self.enter(State::Waiting(Some(why)), Some(now + delay));
        } else if usable {
            let lease = Lease::of(message, server, self.asked);
            if self.lease.as_ref().is_some_and(|old| old.address == lease.address) {
                self.install(lease, out);
            } else {
                self.enter(State::Probing { lease: Box::new(lease), left: PROBES }, Some(now));
            }
        }
    }

    fn claimed(&mut self, now: Duration, by: Mac, out: &mut Vec<Action>) {
        let State::Probing { lease, .. } = &self.state else { return };
        let address = lease.address;
        let why = format!("{address} is in use by {}: declined", mac_text(&by));
        if let Some(server) = lease.server {
            out.push(Action::Broadcast(self.message(now, Send::Decline { address, server })));
        }
        out.push(Action::Say(why.clone()));
        self.enter(State::Waiting(Some(why)), Some(now + AFTER_DECLINE));
    }

    fn install(&mut self, lease: Lease, out: &mut Vec<Action>) {
        self.refusals = 0;
        if let Some(old) = self.lease.take().filter(|old| old.address != lease.address) {
            out.push(Action::Remove(old));
        }
        out.push(Action::Install(lease.clone()));
        self.enter(State::Bound, lease.renew);
        self.lease = Some(lease);
    }

    fn message(&self, now: Duration, send: Send) -> Vec<u8> {
        let seconds = u16::try_from(now.saturating_sub(self.since).as_secs()).unwrap_or(u16::MAX);
        encode(send, &self.mac, self.xid, seconds)
    }

    /// Counts a message and says when to send it again: after 4 s, doubling to
    /// 64 s, give or take one (RFC 2131 §4.1).
    fn count(&mut self, now: Duration) {
        if self.sent == 0 {
            self.asked = now;
        }
        let base = Duration::from_secs(4 << self.sent.min(4)) - Duration::from_secs(1);
        self.at = Some(now + base + self.random_ms(2001));
        self.sent = self.sent.saturating_add(1);
    }

    /// The next renewal: after half the time left, but at least 60 s (RFC 2131 §4.4.5).
    fn count_renewal(&mut self, now: Duration, end: Option<Duration>) {
        self.count(now);
        self.at = end.map(|end| {
            let half = end.saturating_sub(now) / 2;
            (now + half.max(Duration::from_secs(60))).min(end)
        });
    }

    /// Does what the state has to do now. Always sets `at` anew.
    fn act(&mut self, now: Duration, out: &mut Vec<Action>) {
        let lease = self.lease.clone();
        match self.state.clone() {
            State::Off => self.at = None,
            State::Waiting(_) => self.exchange(now, State::Selecting),
            State::Selecting => {
                out.push(Action::Broadcast(self.message(now, Send::Discover)));
                self.count(now);
            }
            State::Requesting { .. } if self.sent >= MAX_REQUESTS => {
                self.enter(State::Waiting(None), Some(now));
            }
            State::Requesting { address, server } => {
                out.push(Action::Broadcast(self.message(now, Send::Select { address, server })));
                self.count(now);
            }
            State::Probing { lease, left: 0 } => self.install(*lease, out),
            State::Probing { lease, left } => {
                out.push(Action::Probe(lease.address));
                self.enter(State::Probing { lease, left: left - 1 }, Some(now + PROBE_WAIT));
            }
            State::Bound => self.exchange(now, State::Renewing),
            State::Renewing => match lease {
                Some(lease) if lease.rebind.is_some_and(|t2| now < t2) => {
                    let (from, address) = (lease.address, lease.address);
                    let payload = self.message(now, Send::Renew { address });
                    out.extend(lease.server.map(|to| Action::Unicast { from, to, payload }));
                    self.count_renewal(now, lease.rebind);
                }
                _ => self.exchange(now, State::Rebinding),
            },
            State::Rebinding => match lease {
                Some(Lease { address, expires, .. }) => {
                    out.push(Action::Broadcast(self.message(now, Send::Renew { address })));
                    self.count_renewal(now, expires);
                }
                None => self.enter(State::Waiting(None), Some(now)),
            },
            State::Rebooting { until } => match lease {
                Some(Lease { address, .. }) if now < until => {
                    out.push(Action::Broadcast(self.message(now, Send::Reboot { address })));
                    self.count(now);
                }
                lease => {
                    self.lease = None;
                    out.extend(lease.map(Action::Remove));
                    self.enter(State::Waiting(None), Some(now));
                }
            },
        }
    }
}

#[cfg(test)]
mod tests;
