//! What was delivered against what was expected.

use super::facts::{Facts, Nic};
use super::state::{Record, State};
use metadata::config::{Network, NicMatch};
use metadata::document::{Location, SledDocument};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// What kind of difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Nothing was ever heard of it.
    NeverSeen,
    /// Its cables lead to, or its board belongs to, another place.
    WrongBay,
    /// The board is not the one in the fleet file, and no other sled's.
    OtherHardware,
    /// The cables of a slow and a fast network are exchanged.
    SwappedPorts,
    /// It runs another image than its document asks for.
    OtherImage,
}

impl Kind {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::NeverSeen => "never-seen",
            Self::WrongBay => "wrong-bay",
            Self::OtherHardware => "other-hardware",
            Self::SwappedPorts => "swapped-ports",
            Self::OtherImage => "other-image",
        }
    }
}

/// A difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Finding {
    /// What kind.
    pub kind: Kind,
    /// One sentence.
    pub detail: String,
}

/// Where everything in the fleet belongs.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// Sleds by the switch port that leads to them: chassis id and port id.
    pub ports: BTreeMap<(String, String), (String, Location)>,
    /// Sleds by the serial number of their board.
    pub boards: BTreeMap<String, (String, Location)>,
}

impl Places {
    /// Adds what a document says.
    pub fn add(&mut self, document: &SledDocument) {
        let identity = &document.head.identity;
        let Some(location) = &identity.location else { return };
        let here = (document.head.sled.clone(), location.clone());
        for port in &identity.switch_ports {
            self.ports.insert((port.chassis.clone(), port.port.clone()), here.clone());
        }
        if let Some(board) = &identity.board_serial {
            self.boards.insert(board.clone(), here);
        }
    }
}

/// Why a sled is not where its document says, if it is not.
pub fn misplaced(document: &SledDocument, facts: &Facts, places: &Places) -> Option<String> {
    let identity = &document.head.identity;
    let own = |(chassis, port): &&(String, String)| {
        identity.switch_ports.iter().any(|p| p.chassis == *chassis && p.port == *port)
    };
    // A switch that the fleet file does not describe, like one for BMCs, says nothing.
    let described = |chassis: &str| places.ports.keys().any(|(known, _)| known == chassis);
    let foreign = facts.nics.iter().filter_map(|nic| nic.neighbour.as_ref());
    let foreign = foreign.filter(|at| !own(at) && described(&at.0)).min();
    if let Some(at) = foreign {
        let (chassis, port) = at;
        return Some(match places.ports.get(at) {
            Some((sled, Location { rack, bay })) => {
                format!("sits in rack {rack} bay {bay}, the place of {sled} (switch {chassis} port {port})")
            }
            None => format!("is plugged into switch {chassis} port {port}, which leads to no sled"),
        });
    }
    let board = facts.board_serial.as_ref().filter(|b| identity.board_serial.as_ref() != Some(*b))?;
    let (sled, Location { rack, bay }) = places.boards.get(board)?;
    Some(format!("has board {board}, which belongs to {sled} in rack {rack} bay {bay}"))
}

/// All differences.
pub fn findings(document: &SledDocument, record: &Record, places: &Places) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut add = |kind, detail| found.push(Finding { kind, detail });
    let facts = &record.facts;
    if record.heard.is_none() {
        add(Kind::NeverSeen, "nothing was ever heard of it".to_owned());
        return found;
    }
    if let Some(why) = misplaced(document, facts, places) {
        add(Kind::WrongBay, why);
    } else if let (Some(has), Some(wants)) = (&facts.board_serial, &document.head.identity.board_serial)
        && has != wants
    {
        add(Kind::OtherHardware, format!("has board {has}; the fleet file says {wants}"));
    }
    if let Some(why) = swapped(&document.config.networks, &facts.nics) {
        add(Kind::SwappedPorts, why);
    }
    let asked = document.image.root_hash.to_string();
    if let Some(runs) =
        facts.usrhash.as_ref().filter(|runs| **runs != asked && record.state != State::Unknown)
    {
        let version = |name: &Option<String>| name.clone().unwrap_or_else(|| "?".to_owned());
        let (image, was) = (version(&facts.image), version(&facts.version));
        let wants = format!("{} {}", document.image.name, document.image.version);
        add(
            Kind::OtherImage,
            format!(
                "runs {image} {was} ({}); its document asks for {wants} ({})",
                short(runs),
                short(&asked)
            ),
        );
    }
    found
}

fn short(hash: &str) -> String {
    hash.chars().take(12).collect()
}

/// A network that wants a fast link sits on a NIC with a slow one, while another
/// network's NIC, which needs no such speed, has a fast one.
fn swapped(networks: &BTreeMap<String, Network>, nics: &[Nic]) -> Option<String> {
    let on = |network: &Network| -> Vec<&Nic> { nics.iter().filter(|nic| fits(&network.nic, nic)).collect() };
    for (name, network) in networks {
        // What it wants: said, or what cards with such a driver are bought for.
        let Some(least) = wanted(network) else { continue };
        let Some(slow) = on(network).into_iter().find(|nic| nic.speed.is_some_and(|s| s < least)) else {
            continue;
        };
        for (other, network) in networks.iter().filter(|(other, _)| *other != name) {
            let fast = on(network)
                .into_iter()
                .find(|nic| nic.name != slow.name && nic.speed.is_some_and(|s| s >= least));
            if let Some(fast) = fast.filter(|_| wanted(network).is_none()) {
                let (s, f) = (slow.speed.unwrap_or_default(), fast.speed.unwrap_or_default());
                return Some(format!(
                    "{} of network {name} has {s} Mbit/s and {} of network {other} has {f}: their cables are exchanged",
                    slow.name, fast.name
                ));
            }
        }
    }
    None
}

/// Mbit/s a network's link should have at least.
fn wanted(network: &Network) -> Option<u64> {
    const TEN_GIGABIT: [&str; 12] = [
        "ixgbe",
        "i40e",
        "ice",
        "bnx2x",
        "bnxt_en",
        "mlx4_en",
        "mlx5_core",
        "cxgb4",
        "be2net",
        "qede",
        "sfc",
        "vmxnet3",
    ];
    let drivers = &network.nic.driver;
    let fast = !drivers.is_empty() && drivers.iter().all(|d| TEN_GIGABIT.contains(&d.as_str()));
    network.nic.min_speed.map(u64::from).or(fast.then_some(10_000))
}

/// Whether a NIC is one of the network's, its speed left aside.
fn fits(wanted: &NicMatch, nic: &Nic) -> bool {
    let mac = nic.mac.as_deref().and_then(|mac| mac.parse().ok());
    let driver = nic.driver.as_ref();
    (!wanted.driver.is_empty() || !wanted.mac.is_empty())
        && (wanted.driver.is_empty() || driver.is_some_and(|d| wanted.driver.contains(d)))
        && (wanted.mac.is_empty() || mac.is_some_and(|m| wanted.mac.contains(&m)))
}

#[cfg(test)]
mod tests;
