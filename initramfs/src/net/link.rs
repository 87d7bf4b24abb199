//! One link: what was seen, heard and agreed on it.

use super::dhcp::{Action, Client, Event};
use super::firmware::{self, Agent};
use super::neighbours::{self, Neighbours};
use super::netlink::{LinkInfo, Op};
use super::plan::{self, Wish};
use super::ports::Ports;
use super::rtnl::Rtnl;
use super::state::{Dhcp, Heard, Lease, LinkState};
use super::{Setup, Shared, diagnosis, sysfs};
use crate::early::uptime;
use formats::l2::{Arp, Bpdu, Frame, Lacp, Mac, ethertype};
use formats::lldp;
use formats::{dhcp4, icmp6, udp4};
use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
use std::path::Path;
use std::time::Duration;

/// Greatest MTU a lease gets, in bytes: where one switch on the way does not carry larger
/// frames, they are lost without a word and every download stands still. `ip=` may say more,
/// and the image has the MTU of its document.
const SAFE_MTU: u16 = 1500;
/// Name servers, and domains to search, that a link takes from routers. RFC 8106 wants three.
const ADVERTISED: usize = 8;

/// How long no switch may announce itself before that is said: they speak every 30 s.
const LLDP_SILENCE: Duration = Duration::from_secs(65);

/// What a link needs to carry out actions.
pub(super) struct Context<'a> {
    pub(super) rtnl: &'a mut Rtnl,
    pub(super) say: &'a (dyn Fn(&str) + Send + Sync),
    pub(super) random: fn() -> u64,
    pub(super) now: Duration,
    pub(super) bootif: Option<Mac>,
    /// Whether the switch port says which sled this is.
    pub(super) switch_port: bool,
}

impl<'a> Context<'a> {
    pub(super) fn new(rtnl: &'a mut Rtnl, shared: &'a Shared, random: fn() -> u64, setup: &Setup) -> Self {
        let Setup { bootif, switch_port, .. } = setup;
        Self { rtnl, say: &*shared.say, random, now: uptime(), bootif: *bootif, switch_port: *switch_port }
    }
}

/// See the module.
pub(super) struct Link {
    pub(super) info: LinkInfo,
    driver: String,
    speed: Option<u32>,
    path: String,
    ports: Option<Ports>,
    wish: Wish,
    client: Option<Client>,
    /// The fixed addresses are in effect.
    fixed: bool,
    heard: Heard,
    neighbours: Neighbours,
    /// That several speak LLDP was said since the carrier came.
    said_several: bool,
    /// When nobody having spoken LLDP is said.
    silent_at: Option<Duration>,
    /// The firmware's LLDP agent, once it was looked for.
    agent: Option<Option<Agent>>,
    pub(super) addresses6: Vec<(Ipv6Addr, u8)>,
    /// From router advertisements, with their end.
    dns6: Vec<(Ipv6Addr, Duration)>,
    search6: Vec<(String, Duration)>,
    trouble: Option<String>,
    /// For renewals: the address in use, port 68.
    renewals: Option<UdpSocket>,
}

impl Link {
    pub(super) fn new(info: LinkInfo) -> Self {
        let net = Path::new(sysfs::NET);
        Self {
            driver: sysfs::driver(net, &info.name),
            path: sysfs::place(net, &info.name),
            info: LinkInfo { ready: false, ..info },
            speed: None,
            ports: None,
            wish: Wish::default(),
            client: None,
            fixed: false,
            heard: Heard::default(),
            neighbours: Neighbours::default(),
            said_several: false,
            silent_at: None,
            agent: None,
            addresses6: Vec::new(),
            dns6: Vec::new(),
            search6: Vec::new(),
            trouble: None,
            renewals: None,
        }
    }

    /// The addresses that name this link.
    pub(super) fn macs(&self) -> Vec<Mac> {
        [self.info.mac].into_iter().chain(self.info.permanent_mac).collect()
    }

    /// Brings the link up, opens its sockets, follows its carrier and the wish.
    pub(super) fn update(&mut self, info: LinkInfo, wish: Wish, context: &mut Context<'_>) {
        let was_ready = std::mem::replace(&mut self.info, info).ready;
        let mut trouble = None;
        if context.switch_port && self.agent.is_none() {
            // Before it is up: some cards start anew for it.
            let agent = firmware::switch_off(self.info.index, &self.driver);
            agent.iter().for_each(|agent| (context.say)(&format!("{}: {agent}", self.info.name)));
            self.agent = Some(agent);
        }
        if !self.info.up {
            let up = context.rtnl.change(self.info.index, &Op::Up);
            trouble = up.err().map(|e| format!("does not come up ({e})"));
        }
        if trouble.is_none() && self.ports.is_none() {
            match Ports::open(self.info.index, self.info.mac) {
                Ok(ports) => self.ports = Some(ports),
                Err(e) => trouble = Some(format!("cannot be listened to ({e})")),
            }
        }
        if let Some(why) = trouble.as_ref().filter(|_| trouble != self.trouble) {
            (context.say)(&format!("{}: {why}", self.info.name));
        }
        self.trouble = trouble;

        let ready = self.info.ready;
        if ready {
            self.speed = sysfs::speed(Path::new(sysfs::NET), &self.info.name);
        } else {
            (self.speed, self.heard, self.neighbours) = (None, Heard::default(), Neighbours::default());
            (self.said_several, self.silent_at) = (false, None);
        }
        if ready && !was_ready && context.switch_port {
            self.silent_at = Some(context.now.saturating_add(LLDP_SILENCE));
        }
        let new_wish = wish != self.wish;
        self.wish = wish;
        if !self.wish.dhcp {
            let lease = self.client.take().and_then(|client| client.lease().cloned());
            self.carry_out(lease.map(Action::Remove).into_iter().collect(), context);
        } else if self.client.is_none() {
            self.client = Some(Client::new(self.info.mac, context.random));
        }
        if ready && (new_wish || !self.fixed) {
            self.install_fixed(context);
        }
        if ready != was_ready || new_wish {
            self.step(Event::Carrier(ready), context);
        }
    }

    fn install_fixed(&mut self, context: &mut Context<'_>) {
        self.fixed = true;
        let metric = self.metric(context);
        let mut ops = Vec::new();
        if self.wish.fixed.is_none() && !self.wish.fixed6.is_empty() {
            ops.extend(self.wish.mtu.map(Op::Mtu));
        }
        if let Some(lease) = &self.wish.fixed {
            ops.extend(plan::install(lease, context.now, self.info.mtu, metric));
            (context.say)(&format!("{}: {}/{} from ip=", self.info.name, lease.address, lease.prefix));
        }
        for (address, prefix, router) in &self.wish.fixed6 {
            ops.extend(plan::install6(*address, *prefix, *router, metric));
        }
        self.change(&ops, context);
    }

    fn metric(&self, context: &Context<'_>) -> u32 {
        let is_boot_link = context.bootif.is_some_and(|mac| self.macs().contains(&mac));
        plan::metric(self.info.index, is_boot_link)
    }

    /// Makes changes; one that fails is told and does not stop the others.
    fn change(&mut self, ops: &[Op], context: &mut Context<'_>) {
        for op in ops {
            if let Err(error) = context.rtnl.change(self.info.index, op) {
                (context.say)(&format!("{}: the kernel refused {op} ({error})", self.info.name));
            }
        }
    }

    /// What to wait for.
    pub(super) fn ports(&self) -> Option<&Ports> {
        self.ports.as_ref()
    }

    /// Takes the frames that came in.
    pub(super) fn receive(&mut self, context: &mut Context<'_>) {
        let frames = self.ports.as_ref().map(Ports::receive).unwrap_or_default();
        for bytes in &frames {
            if let Some(frame) = Frame::parse(bytes) {
                self.take(&frame, context);
            }
        }
    }

    fn take(&mut self, frame: &Frame<'_>, context: &mut Context<'_>) {
        match frame.kind {
            ethertype::IPV4 => {
                let datagram = udp4::parse(frame.payload).filter(|d| d.to.port() == dhcp4::CLIENT_PORT);
                if let Some(message) = datagram.and_then(|d| dhcp4::decode(d.payload).ok()) {
                    self.step(Event::Message(&message), context);
                }
            }
            ethertype::ARP => {
                let probing = self.client.as_ref().and_then(Client::probing);
                let arp = Arp::parse(frame.payload);
                if let Some((address, arp)) = probing.zip(arp)
                    && arp.claims(address, &self.info.mac)
                {
                    self.step(Event::Claimed(arp.sender_mac), context);
                }
            }
            ethertype::LLDP => {
                if let Ok(neighbour) = lldp::parse(frame.payload) {
                    self.neighbours.hear(neighbour, context.now);
                    self.say_several(context);
                }
            }
            _ => {
                self.heard.bpdu = Bpdu::parse(frame).or(self.heard.bpdu);
                self.heard.lacp = Lacp::parse(frame).or(self.heard.lacp);
            }
        }
    }

    /// Which of several is the switch decides which sled this is.
    fn say_several(&mut self, context: &Context<'_>) {
        self.silent_at = None;
        let all = self.neighbours.all();
        if all.len() > 1 && !self.said_several {
            self.said_several = true;
            let all: Vec<_> = all.iter().map(neighbours::text).collect();
            (context.say)(&format!("{}: several speak LLDP here: {}", self.info.name, all.join(", ")));
        }
    }

    /// Options of a router advertisement on this link.
    pub(super) fn advertised(&mut self, options: &[u8], now: Duration) {
        let end = |seconds: u32| now.saturating_add(Duration::from_secs(seconds.into()));
        let dns = icmp6::dns(options);
        for (server, seconds) in dns.servers {
            learn(&mut self.dns6, server, end(seconds));
        }
        for (name, seconds) in dns.search {
            learn(&mut self.search6, name, end(seconds));
        }
    }

    /// When to call [`Link::tick`] although nothing happened.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let advertised = self.dns6.iter().map(|d| d.1).chain(self.search6.iter().map(|s| s.1));
        let client = self.client.as_ref().and_then(Client::deadline);
        advertised.chain(client).chain(self.neighbours.deadline()).chain(self.silent_at).min()
    }

    /// Does what is due.
    pub(super) fn tick(&mut self, context: &mut Context<'_>) {
        self.dns6.retain(|(_, end)| *end > context.now);
        self.search6.retain(|(_, end)| *end > context.now);
        self.neighbours.expire(context.now);
        if self.silent_at.is_some_and(|at| at <= context.now) {
            self.silent_at = None;
            let agent = self.agent.as_ref().and_then(Option::as_ref);
            (context.say)(&diagnosis::without_lldp(&self.state(), LLDP_SILENCE, agent));
        }
        if self.client.as_ref().and_then(Client::deadline).is_some_and(|at| at <= context.now) {
            self.step(Event::Tick, context);
        }
    }

    fn step(&mut self, event: Event<'_>, context: &mut Context<'_>) {
        let Some(client) = &mut self.client else { return };
        let actions = client.step(context.now, event);
        self.carry_out(actions, context);
        let probing = self.client.as_ref().and_then(Client::probing).is_some();
        if let Some(ports) = self.ports.as_mut().filter(|_| !probing) {
            ports.end_probe();
        }
    }

    fn carry_out(&mut self, actions: Vec<Action>, context: &mut Context<'_>) {
        for action in actions {
            match action {
                Action::Broadcast(payload) => {
                    if let Some(ports) = &self.ports {
                        ports.broadcast(&payload);
                    }
                }
                Action::Unicast { from, to, payload } => self.renew(from, to, &payload),
                Action::Probe(address) => {
                    if let Some(ports) = &mut self.ports {
                        ports.probe(address);
                    }
                }
                Action::Install(lease) => self.install(lease, context),
                Action::Remove(Lease { address, prefix, .. }) => {
                    self.renewals = None;
                    // The kernel may have removed it by itself at its end.
                    let remove = Op::RemoveAddress { address: address.into(), prefix };
                    let _ = context.rtnl.change(self.info.index, &remove);
                }
                Action::Say(text) => (context.say)(&format!("{}: {text}", self.info.name)),
            }
        }
    }

    fn install(&mut self, mut lease: Lease, context: &mut Context<'_>) {
        let large = lease.mtu.filter(|mtu| *mtu > SAFE_MTU && self.wish.mtu.is_none());
        if large.is_some() {
            lease.mtu = Some(SAFE_MTU);
        }
        let lease = self.wish.complete(lease);
        let ops = plan::install(&lease, context.now, self.info.mtu, self.metric(context));
        self.change(&ops, context);
        let known = self.renewals.as_ref().and_then(|s| s.local_addr().ok()).map(|a| a.ip());
        if known != Some(lease.address.into()) {
            // Opened now and kept, so that the kernel does not answer servers
            // that nobody listens; what comes in is read on the raw socket.
            self.renewals = UdpSocket::bind((lease.address, dhcp4::CLIENT_PORT)).ok();
            let from = lease.server.map(|server| format!(" from {server}")).unwrap_or_default();
            (context.say)(&format!("{}: {}/{}{from}", self.info.name, lease.address, lease.prefix));
            if let Some(mtu) = large {
                let name = &self.info.name;
                (context.say)(&format!(
                    "{name}: boots with an MTU of {SAFE_MTU}, not the {mtu} of the lease"
                ));
            }
        }
    }

    fn renew(&mut self, from: Ipv4Addr, to: Ipv4Addr, payload: &[u8]) {
        if self.renewals.is_none() {
            self.renewals = UdpSocket::bind((from, dhcp4::CLIENT_PORT)).ok();
        }
        if let Some(socket) = &self.renewals {
            // Lost like any datagram when it cannot be sent: rebinding follows.
            let _ = socket.send_to(payload, (to, dhcp4::SERVER_PORT));
        }
    }

    /// The link as others see it.
    pub(super) fn state(&self) -> LinkState {
        let fixed = self.wish.fixed.as_ref().filter(|_| self.fixed);
        let leased =
            || self.client.as_ref().and_then(Client::lease).map(|lease| self.wish.complete(lease.clone()));
        LinkState {
            name: self.info.name.clone(),
            alternative_names: self.info.alternative_names.clone(),
            index: self.info.index,
            mac: self.info.mac,
            permanent_mac: self.info.permanent_mac,
            driver: self.driver.clone(),
            speed_mbps: self.speed,
            path: self.path.clone(),
            carrier: self.info.ready,
            heard: self.heard,
            neighbours: self.neighbours.all(),
            dhcp: self.client.as_ref().map_or(Dhcp::Off, Client::stage),
            lease: fixed.cloned().or_else(leased),
            addresses6: self.addresses6.clone(),
            dns6: self.dns6.iter().map(|(ip, _)| *ip).collect(),
            search6: self.search6.iter().map(|(name, _)| name.clone()).collect(),
            trouble: self.trouble.clone(),
        }
    }
}

/// Takes in what a router advertises, for as long as it is valid. Whoever is on the link can
/// advertise without end: what is known stays, and no more than [`ADVERTISED`] are.
fn learn<T: PartialEq>(list: &mut Vec<(T, Duration)>, new: T, end: Duration) {
    list.retain(|(known, _)| *known != new);
    if list.len() < ADVERTISED {
        list.push((new, end));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_routers_advertise_without_end_has_one() {
        let (mut list, end) = (Vec::new(), Duration::MAX);
        (0..10_000).for_each(|server| learn(&mut list, server, end));
        assert_eq!(list.len(), ADVERTISED);
        learn(&mut list, 0, Duration::ZERO);
        assert_eq!((list.len(), list.last()), (ADVERTISED, Some(&(0, Duration::ZERO))));
    }
}
