//! The NICs as the configuration knows them, and waiting for those that it needs.

use crate::net::{LinkState, Network};
use metadata::config::Config;
use metadata::generate::Nic;
use metadata::values::Mac;
use std::time::{Duration, Instant};

/// Autonegotiation of 10G takes some seconds after the driver is there.
const LINK: Duration = Duration::from_secs(15);

/// The NICs, once every port that could matter has had time to come up. Only a match by
/// speed needs a link: a port without one has no speed.
pub fn settled(network: &Network, config: &Config) -> Vec<Nic> {
    let by_speed = config.networks.values().any(|n| n.nic.min_speed.is_some() || n.nic.max_speed.is_some());
    let start = Instant::now();
    let mut seen = 0;
    loop {
        let links = network.links();
        let left = LINK.saturating_sub(start.elapsed());
        if !by_speed || left.is_zero() || links.iter().all(|link| link.carrier) {
            return links.iter().map(nic).collect();
        }
        seen = network.wait_change(seen, left);
    }
}

fn nic(link: &LinkState) -> Nic {
    Nic {
        name: link.name.clone(),
        mac: Mac(link.permanent_mac.unwrap_or(link.mac)),
        driver: link.driver.clone(),
        speed_mbps: link.speed_mbps,
        path: link.path.clone(),
        has_link: link.carrier,
    }
}
