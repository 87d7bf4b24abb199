//! The world of a real boot: what [`crate::fetch`] asks and says.

use crate::clock::{Clock, Time};
use crate::early::utc;
use crate::fetch::world::{Answer, Inventory, Network as Reachable, State, World, get};
use crate::http::{self, Client};
use crate::identity::Hardware;
use crate::inventory;
use crate::log::Log;
use crate::modules::Coldplug;
use crate::net::{LinkState, Network};
use crate::reporter::Reporter;
use crate::site::Site;
use formats::lldp::Neighbour as LinkNeighbour;
use metadata::document::SwitchPort;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long to wait for the network before looking for disks again.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// A boot's own network, clock and console.
pub struct Real<'a, 'l, 'm> {
    log: &'static Log,
    network: Arc<Network>,
    client: &'a Client,
    site: &'a Site,
    coldplug: &'a mut Coldplug<'l, 'm>,
    /// Whether the disk of this sled has appeared.
    late: &'a mut dyn FnMut() -> bool,
    clock: &'a Clock,
    /// Which change of the network was seen last.
    seen: u64,
}

impl<'a, 'l, 'm> Real<'a, 'l, 'm> {
    /// The world of this boot.
    pub fn new(
        log: &'static Log,
        network: Arc<Network>,
        client: &'a Client,
        site: &'a Site,
        (coldplug, late): (&'a mut Coldplug<'l, 'm>, &'a mut dyn FnMut() -> bool),
        clock: &'a Clock,
    ) -> Self {
        Self { log, network, client, site, coldplug, late, clock, seen: 0 }
    }
}

/// Tells the client whom to ask for names: what DHCP and routers said so far.
pub fn tell_names(client: &Client, network: &Network) {
    let mut servers: Vec<IpAddr> = Vec::new();
    let mut search: Vec<String> = Vec::new();
    for link in network.links() {
        if let Some(lease) = &link.lease {
            servers.extend(&lease.dns);
            search.extend(lease.search.iter().chain(&lease.domain).cloned());
        }
        servers.extend(link.dns6.iter().copied().map(IpAddr::from));
        search.extend(link.search6);
    }
    client.names().set(&servers, &search);
}

/// What the sled is, with what the network added.
pub fn hardware(network: &Network, site: &Site) -> Hardware {
    let mut hardware = Hardware::read(Path::new("/sys"));
    hardware.location.clone_from(&site.location);
    let mut neighbours: Vec<_> = network.links().into_iter().flat_map(|link| link.neighbours).collect();
    // Bridges of all links before whoever else speaks on one.
    neighbours.sort_by_key(|neighbour| neighbour.kind);
    for neighbour in neighbours {
        let port = SwitchPort { chassis: neighbour.chassis.text, port: neighbour.port.text };
        if !hardware.switch_ports.contains(&port) {
            hardware.switch_ports.push(port);
        }
    }
    hardware
}

/// What the sled is made of, with what LLDP says is at the other end of its cables.
pub fn inventory(network: &Network) -> inventory::Inventory {
    let told = |neighbour: LinkNeighbour| inventory::Neighbour {
        chassis: neighbour.chassis.text,
        port: neighbour.port.text,
        name: neighbour.system_name,
    };
    let seen = |link: LinkState| {
        let neighbours = link.neighbours.into_iter().map(told).collect();
        (link.name, inventory::Seen { alternative_names: link.alternative_names, neighbours })
    };
    inventory::Inventory::read(&network.links().into_iter().map(seen).collect())
}

impl World for Real<'_, '_, '_> {
    fn now(&self) -> Duration {
        self.log.now()
    }

    fn clock(&self) -> Time {
        self.clock.time()
    }

    fn told(&mut self, seconds: u64) {
        match self.clock.told(seconds) {
            Ok(()) => self.log.note("clock", &format!("set to {}, as the server says", utc(seconds))),
            Err(error) => self.log.warn("clock", format!("cannot be set ({error})")),
        }
    }

    fn random(&mut self) -> u64 {
        super::random()
    }

    fn nonce(&mut self) -> Option<[u8; 16]> {
        crate::boot::random().ok()
    }

    fn say(&mut self, line: &str) {
        self.log.say(line);
    }

    fn hardware(&mut self) -> Hardware {
        hardware(&self.network, self.site)
    }

    fn servers(&mut self) -> Vec<String> {
        let mut urls = self.site.metadata.clone();
        for url in self.network.links().into_iter().filter_map(|link| link.lease?.metadata_url) {
            let url = url.trim_end_matches('/').to_owned();
            if !urls.contains(&url) {
                urls.push(url);
            }
        }
        urls
    }

    fn network(&mut self) -> Reachable {
        tell_names(self.client, &self.network);
        let links = self.network.links();
        Reachable {
            link: links.iter().any(|link| link.carrier),
            ready: links.iter().any(|link| link.lease.is_some() || !link.addresses6.is_empty()),
            diagnosis: self.network.diagnosis(),
        }
    }

    fn wait(&mut self, at_most: Duration) -> bool {
        let before = self.seen;
        let until = self.log.now().saturating_add(at_most);
        loop {
            // A card or a disk whose driver comes late is plugged in now.
            self.coldplug.again();
            self.network.rescan();
            // Who waits shows that it lives.
            self.client.pulse().beat();
            let left = until.saturating_sub(self.log.now());
            self.seen = self.network.wait_change(before, left.min(LOOK_AGAIN));
            if self.seen != before {
                return true;
            }
            if left <= LOOK_AGAIN || (self.late)() {
                return false;
            }
        }
    }

    fn interrupted(&mut self) -> bool {
        (self.late)()
    }

    fn get(&mut self, url: &str, max: usize) -> Result<Answer, http::Error> {
        get(self.client, url, max)
    }

    fn inventory(&mut self, state: State, keys: &[String]) -> Inventory {
        let inventory = inventory(&self.network);
        Inventory { json: inventory.json(state, keys), lines: inventory.lines() }
    }

    fn post_inventory(&mut self, json: &str) -> Vec<String> {
        let mut servers = self.site.report.clone();
        if servers.is_empty() {
            servers = self.servers();
        }
        Reporter::new(self.client, &servers, None).inventory(json)
    }
}
