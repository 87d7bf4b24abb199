//! The NICs as the configuration knows them, waiting for those that it needs, and their
//! names by what they are for.

use crate::net::rtnl::Rtnl;
use crate::net::{LinkState, Network};
use metadata::config::Config;
use metadata::generate::Nic;
use metadata::values::Mac;
use std::collections::BTreeMap;
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

/// How long the network may take to see the names that its links got.
const SEEN: Duration = Duration::from_secs(2);

/// Calls links by what they are for. Returns who is what, and what was refused.
pub fn name(network: &Network, names: &BTreeMap<Mac, String>) -> (Vec<String>, Vec<String>) {
    let (mut said, mut refused) = (Vec::new(), Vec::new());
    let links = network.links();
    let wanted = links.iter().filter_map(|link| Some((link, names.get(&mac(link))?)));
    let wanted: Vec<_> = wanted.filter(|(link, name)| !is_called(link, name)).collect();
    if wanted.is_empty() {
        return (said, refused);
    }
    for (link, name) in &wanted {
        match Rtnl::open().and_then(|mut rtnl| rtnl.name(link.index, name)) {
            Ok(true) => said.push(format!("{} is called {name}", link.name)),
            Ok(false) => said.push(format!("{name} is {}", link.name)),
            Err(error) => refused.push(format!("{} is not called {name} ({error})", link.name)),
        }
    }
    // The report is to have them.
    let (start, mut seen) = (Instant::now(), 0);
    let known = |link: &LinkState| names.get(&mac(link)).is_none_or(|name| is_called(link, name));
    while refused.is_empty() && !network.links().iter().all(known) {
        let Some(left) = SEEN.checked_sub(start.elapsed()) else { break };
        network.rescan();
        seen = network.wait_change(seen, left);
    }
    (said, refused)
}

fn is_called(link: &LinkState, name: &str) -> bool {
    link.name == name || link.alternative_names.iter().any(|other| other == name)
}

fn mac(link: &LinkState) -> Mac {
    Mac(link.permanent_mac.unwrap_or(link.mac))
}

fn nic(link: &LinkState) -> Nic {
    Nic {
        name: link.name.clone(),
        mac: mac(link),
        driver: link.driver.clone(),
        speed_mbps: link.speed_mbps,
        path: link.path.clone(),
        has_link: link.carrier,
    }
}
