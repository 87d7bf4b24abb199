//! The layers fleet → role → rack → sled laid over each other: what each sled is told.

use super::file::{FleetFile, Lifetime, Rack, Role, SledEntry, Subnet};
use super::lint::Found;
use super::shape::Shape;
use super::template::{self, Vars};
use super::{addresses, at, de, pairs, schema};
use crate::config::Config;
use crate::document::{Freshness, Identity, Install, Location, SwitchPort};
use crate::layout::Key as Path;
use crate::values::{Cidr, Mac};
use crate::{generate, junk};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use yaml::diagnostic::{Diagnostic, Place};
use yaml::nearest::nearest;
use yaml::{Key, Node, Problems, Value, merge};

/// How often a mistake that several sleds share is shown at one place.
pub(super) const SAME_PLACE: usize = 3;

/// One sled: everything but what its image's manifest says.
#[derive(Clone, Debug)]
pub struct Sled {
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: String,
    /// How it is recognised.
    pub identity: Identity,
    /// The image it boots.
    pub image: ImageChoice,
    /// Whether and where that is installed.
    pub install: Option<Install>,
    /// How long its document is valid, in seconds.
    pub lifetime: u64,
    /// Who says that its document is the newest, besides the server that compiles.
    pub freshness: Freshness,
    /// How it is configured.
    pub config: Config,
    /// Where its entry begins.
    pub(super) place: Place,
    /// The same as values with places, for `--explain`.
    pub(super) config_node: Node,
    pub(super) install_node: Option<Node>,
}

/// An image as roles name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageChoice {
    /// Name.
    pub name: String,
    /// Version; without one the newest.
    pub version: Option<String>,
}

impl ImageChoice {
    fn parse(text: &str) -> Self {
        let (name, version) = text.split_once('@').map_or((text, None), |(n, v)| (n, Some(v.to_owned())));
        Self { name: name.to_owned(), version }
    }
}

impl std::fmt::Display for ImageChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.version {
            Some(version) => write!(f, "{}@{version}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// The paths a sled's document lies at.
pub fn paths(identity: &Identity) -> Vec<Path> {
    let location = identity.location.iter().map(|l| Path::Location(l.rack.clone(), l.bay));
    let ports = identity.switch_ports.iter().map(|p| Path::SwitchPort(p.chassis.clone(), p.port.clone()));
    location
        .chain(ports)
        .chain(identity.board_serial.iter().cloned().map(Path::Board))
        .chain(identity.product_serial.iter().cloned().map(Path::Product))
        .chain(identity.uuid.iter().cloned().map(Path::Uuid))
        .chain(identity.macs.iter().copied().map(Path::Mac))
        .collect()
}

/// What the racks' plans say, by rack and bay.
pub(super) type Ports = HashMap<(String, u32), Vec<SwitchPort>>;

/// The ports that lead to each bay. Also checks the racks' subnets.
pub(super) fn racks(file: &FleetFile, root: &Node, problems: &Problems) -> Ports {
    let mut ports: Ports = HashMap::new();
    let mut seen: BTreeMap<SwitchPort, Place> = BTreeMap::new();
    for (key, node) in pairs(root, "racks") {
        let Some(rack) = file.racks.get(&key.name) else { continue };
        for (name, node) in pairs(node, "subnets") {
            if let Some(subnet) = rack.subnets.get(&name.name) {
                check_subnet(subnet, rack.bays, node, problems);
            }
        }
        let switches = node.get("switches").into_iter().flat_map(Node::entries);
        for (switch, node) in rack.switches.iter().zip(switches) {
            // As LLDP's reader writes it.
            let chassis =
                switch.chassis.parse::<Mac>().map_or(switch.chassis.trim().to_owned(), |m| m.to_string());
            let mut led: Vec<(String, u32, &Place)> = Vec::new();
            if let Some((pattern, node)) = switch.port.as_ref().zip(node.get("port")) {
                if !switch.ports.is_empty() {
                    problems.report(Diagnostic::at(&node.place, "a switch has `port` or `ports`, not both"));
                }
                for bay in 1..=rack.bays {
                    let vars = Vars { sled: "", rack: &key.name, role: "", bay };
                    match template::render(pattern, vars) {
                        Ok(port) => led.push((port, bay, &node.place)),
                        Err(wrong) => {
                            problems.report(wrong.at(&node.place));
                            break;
                        }
                    }
                }
            }
            for (key, node) in pairs(node, "ports") {
                let bay = switch.ports.get(&key.name).copied().unwrap_or_default();
                if bay > rack.bays {
                    let wrong = format!("there is no bay {bay}: the rack has {}", rack.bays);
                    problems.report(Diagnostic::at(&node.place, wrong));
                }
                led.push((key.name.trim().to_owned(), bay, &key.place));
            }
            if led.is_empty() {
                problems.report(
                    Diagnostic::at(&node.place, "this switch has no ports")
                        .hint("add `port: \"Ethernet{bay}\"`, or `ports: {Ethernet1: 1, …}`"),
                );
            }
            for (port, bay, place) in led {
                let port = SwitchPort { chassis: chassis.clone(), port };
                if let Some(first) = seen.get(&port) {
                    problems.report(
                        Diagnostic::at(
                            place,
                            format!("port `{}` of switch {chassis} leads to two bays", port.port),
                        )
                        .also("first here", first)
                        .hint("a pattern for all bays needs `{bay}` in it"),
                    );
                    continue;
                }
                seen.insert(port.clone(), place.clone());
                ports.entry((key.name.clone(), bay)).or_default().push(port);
            }
        }
    }
    ports
}

fn check_subnet(subnet: &Subnet, bays: u32, node: &Node, problems: &Problems) {
    let place = |key: &str| node.get(key).map_or(&node.place, |n| &n.place);
    let Subnet { network, first, gateway } = subnet;
    if network.network() != *network {
        let wrong = format!("{network} is an address in a network, not the network");
        let hint = format!("the network is {}", network.network());
        problems.report(Diagnostic::at(place("network"), wrong).hint(hint));
    }
    if !contains(*network, *first) {
        problems.report(Diagnostic::at(place("first"), format!("{first} is not in {network}")));
    } else if address(subnet, bays).is_none() {
        let wrong = format!("{network} is too small: bay {bays} would be outside of it");
        problems.report(
            Diagnostic::at(place("first"), wrong)
                .why(format!("bay 1 has {first}, each further bay the next address")),
        );
    }
    let Some(gateway) = gateway else { return };
    if !contains(*network, *gateway) {
        problems.report(Diagnostic::at(place("gateway"), format!("{gateway} is not in {network}")));
    } else if let Some(bay) = (1..=bays).find(|b| address(subnet, *b).is_some_and(|a| a.address == *gateway))
    {
        problems.report(
            Diagnostic::at(place("gateway"), format!("{gateway} would be the address of bay {bay}, too"))
                .also("bay 1 has this one", place("first")),
        );
    }
}

fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(a) => (u128::from(u32::from(a)), 32),
        IpAddr::V6(a) => (u128::from(a), 128),
    }
}

/// The host bits of a network, as ones.
fn hosts(network: Cidr) -> u128 {
    let (_, width) = bits(network.address);
    let free = width.saturating_sub(u32::from(network.prefix));
    1_u128.checked_shl(free).map_or(u128::MAX, |n| n - 1)
}

pub(super) fn contains(network: Cidr, address: IpAddr) -> bool {
    let ((a, family), (b, other)) = (bits(network.address), bits(address));
    family == other && a | hosts(network) == b | hosts(network)
}

/// First and last number of a network.
pub(super) fn range(network: Cidr) -> (u128, u128) {
    let (number, hosts) = (bits(network.address).0, hosts(network));
    (number & !hosts, number | hosts)
}

/// The address of a bay: a host's address in the network, or nothing.
fn address(subnet: &Subnet, bay: u32) -> Option<Cidr> {
    let (first, width) = bits(subnet.first);
    let number = first.checked_add(u128::from(bay.checked_sub(1)?))?;
    let address = match width {
        32 => IpAddr::V4(u32::try_from(number).ok()?.into()),
        _ => IpAddr::V6(number.into()),
    };
    let hosts = hosts(subnet.network);
    // The first address names an IPv4 network, the last one is for all of it.
    let host = width == 128 || hosts < 3 || (number & hosts != 0 && number & hosts != hosts);
    (contains(subnet.network, address) && host).then_some(Cidr { address, prefix: subnet.network.prefix })
}

/// The configuration layers below a sled, without removals of its own.
struct Layers<'a> {
    file: &'a FleetFile,
    root: &'a Node,
    /// The nodes of `racks:` by name.
    racks: HashMap<&'a str, &'a Node>,
    problems: &'a Problems,
    fleet: Node,
    /// Fleet, role and rack together, by role and rack.
    below: HashMap<(String, String), Node>,
}

/// Every sled. What is wrong with one is reported, and it is left out.
pub(super) fn sleds(
    file: &FleetFile,
    root: &Node,
    ports: &Ports,
    problems: &Problems,
    found: &mut Found,
) -> Vec<Sled> {
    let fleet = laid([servers(root), root.get("config").cloned()], root, problems);
    let racks = pairs(root, "racks").iter().map(|(key, node)| (key.name.as_str(), node)).collect();
    let mut layers = Layers { file, root, racks, problems, fleet, below: HashMap::new() };
    // Mistakes of a shared layer come once per sled.
    let mut shown: HashMap<(usize, usize), usize> = HashMap::new();
    let mut sleds = Vec::new();
    let uuids = uuids(file);
    for (key, node) in pairs(root, "sleds") {
        let Some(entry) = file.sleds.get(&key.name) else { continue };
        let own = Problems::default();
        let identity = identity(entry, node, ports, &uuids, found);
        sleds.extend(layers.sled(key, node, entry, identity, &own));
        for problem in own.into_inner() {
            let place = problem.place.as_ref().map_or((0, 0), |p| (p.line, p.column));
            let count = shown.entry(place).or_default();
            *count += 1;
            if *count <= SAME_PLACE {
                problems.report(problem);
            }
        }
    }
    sleds.sort_by(|a, b| a.name.cmp(&b.name));
    sleds
}

/// What `servers:` says about time and names, as configuration.
pub(super) fn servers(root: &Node) -> Option<Node> {
    let map = |place: &Place, name: &str, value: Node| Node {
        place: place.clone(),
        value: Value::Map(vec![(Key { name: name.to_owned(), place: place.clone() }, value)]),
    };
    let one = |key: &str| {
        let list = at(root, &["servers", key])?;
        Some((
            Key { name: key.to_owned(), place: list.place.clone() },
            map(&list.place, "servers", list.clone()),
        ))
    };
    let entries: Vec<_> = ["time", "dns"].into_iter().filter_map(one).collect();
    Some(Node { place: root.place.clone(), value: Value::Map(entries) })
}

/// Nodes laid over each other, the first one lowest.
fn laid(nodes: impl IntoIterator<Item = Option<Node>>, root: &Node, problems: &Problems) -> Node {
    let bottom = Node { place: root.place.clone(), value: Value::Map(Vec::new()) };
    nodes.into_iter().flatten().fold(bottom, |below, over| merge(below, over, problems))
}

impl Layers<'_> {
    fn below(&mut self, role: &str, rack: &str) -> Node {
        let key = (role.to_owned(), rack.to_owned());
        if let Some(node) = self.below.get(&key) {
            return node.clone();
        }
        let layers =
            [at(self.root, &["roles", role, "config"]), self.racks.get(rack).and_then(|n| n.get("config"))];
        let node = layers
            .into_iter()
            .flatten()
            .fold(self.fleet.clone(), |below, over| merge(below, over.clone(), self.problems));
        self.below.insert(key, node.clone());
        node
    }

    fn sled(
        &mut self,
        key: &Key,
        node: &Node,
        entry: &SledEntry,
        identity: Identity,
        own: &Problems,
    ) -> Option<Sled> {
        let Layers { file, root, .. } = *self;
        let place = |key: &str| node.get(key).map_or(&node.place, |n| &n.place);
        let missing = |kind: &str, name: &str, names: Vec<&str>| {
            let wrong = Diagnostic::at(place(kind), format!("there is no {kind} `{name}`"));
            own.report(match nearest(name, names.iter().copied()) {
                Some(near) => wrong.hint(format!("did you mean `{near}`?")),
                None => wrong.hint(format!("add it to `{kind}s:`, which has: {}", names.join(", "))),
            });
        };
        let (role, rack) = (file.roles.get(&entry.role), file.racks.get(&entry.rack));
        if role.is_none() {
            missing("role", &entry.role, file.roles.keys().map(String::as_str).collect());
        }
        if rack.is_none() {
            missing("rack", &entry.rack, file.racks.keys().map(String::as_str).collect());
        }
        let (role, rack) = (role?, rack?);
        if entry.bay > rack.bays {
            let wrong = format!("there is no bay {}: rack `{}` has {}", entry.bay, entry.rack, rack.bays);
            own.report(Diagnostic::at(place("bay"), wrong));
            return None;
        }
        let vars = Vars { sled: &key.name, rack: &entry.rack, role: &entry.role, bay: entry.bay };
        let below = self.below(&entry.role, &entry.rack);
        let mut config_node = match node.get("config") {
            Some(over) => merge(below, over.clone(), own),
            None => below,
        };
        if let Value::Map(map) = &mut config_node.value
            && !map.iter().any(|(k, _)| k.name == "hostname")
        {
            map.push((key_at("hostname", &key.place), scalar(&key.name, &key.place)));
        }
        let rack_node = self.racks.get(entry.rack.as_str()).copied();
        static_addresses(&mut config_node, &entry.rack, rack, entry.bay, rack_node, own);
        // What could not be rendered has been reported: its value says nothing.
        let config = render(&mut config_node, vars, own)
            .then(|| finished::<Config>(&config_node, schema::config(), "config", own))
            .flatten();
        if let Some(Err(wrong)) = config.as_ref().map(generate::check) {
            let place = place_of(&config_node, &wrong.field);
            own.report(Diagnostic::at(place, wrong.problem).why(format!("this is `config.{}`", wrong.field)));
        }

        let installs = [at(root, &["roles", &entry.role, "install"]), node.get("install")];
        let install_node = installs.iter().any(Option::is_some).then(|| {
            let mut laid = laid(installs.iter().map(|n| n.cloned()), root, own);
            laid.place = installs.iter().flatten().next().map_or(&node.place, |n| &n.place).clone();
            render(&mut laid, vars, own);
            laid
        });
        let install = match &install_node {
            Some(node) => Some(finished::<Install>(node, schema::install(), "install", own)?),
            None => None,
        };
        let sled = Sled {
            name: key.name.clone(),
            role: entry.role.clone(),
            identity,
            image: ImageChoice::parse(entry.image.as_deref().unwrap_or(&role.image)),
            lifetime: lifetime(file, role, install.is_some()).0,
            freshness: freshness(file, role),
            install,
            config: config?,
            place: key.place.clone(),
            config_node,
            install_node,
        };
        addresses::sled(&sled, own);
        Some(sled)
    }
}

fn lifetime(file: &FleetFile, role: &Role, on_disk: bool) -> Lifetime {
    let default = if on_disk { Lifetime::DISK } else { Lifetime::MEMORY };
    role.lifetime.or(file.lifetime).unwrap_or(default)
}

fn freshness(file: &FleetFile, role: &Role) -> Freshness {
    let (all, own) = (&file.freshness, &role.freshness);
    let keys = if own.keys.is_empty() { &all.keys } else { &own.keys };
    Freshness {
        keys: keys.iter().map(|key| key.trim().to_owned()).collect(),
        required: own.required.or(all.required).unwrap_or_default(),
    }
}

/// The value of a node that is complete: its mistakes reported, all at once.
fn finished<'a, T: serde::Deserialize<'a>>(
    node: &'a Node,
    schema: &serde_json::Value,
    name: &str,
    own: &Problems,
) -> Option<T> {
    let found = Problems::default();
    Shape { schema, templates: false }.check(node, name, &found);
    let found = found.into_inner();
    if found.is_empty() {
        return de::from_node(node).map_err(|wrong| own.report(*wrong)).ok();
    }
    found.into_iter().for_each(|wrong| own.report(wrong));
    None
}

/// Where a field of `config` is, as far as it is there: `files./etc/x.mode`.
pub(super) fn place_of<'n>(config: &'n Node, field: &str) -> &'n Place {
    let Some((kind, rest)) = field.split_once('.') else {
        return config.get(field).map_or(&config.place, |n| &n.place);
    };
    let Some(Node { value: Value::Map(map), place }) = config.get(kind) else { return &config.place };
    let fits = map.iter().filter(|(key, _)| rest.starts_with(&key.name));
    fits.max_by_key(|(key, _)| key.name.len()).map_or(place, |(key, _)| &key.place)
}

fn key_at(name: &str, place: &Place) -> Key {
    Key { name: name.to_owned(), place: place.clone() }
}

fn scalar(text: &str, place: &Place) -> Node {
    Node { place: place.clone(), value: Value::Scalar { text: text.to_owned(), quoted: false } }
}

/// Puts what `address:` of a network stands for in its place.
fn static_addresses(
    config: &mut Node,
    rack_name: &str,
    rack: &Rack,
    bay: u32,
    rack_node: Option<&Node>,
    own: &Problems,
) {
    let Value::Map(config) = &mut config.value else { return };
    let networks = config.iter_mut().find(|(k, _)| k.name == "networks").map(|(_, n)| &mut n.value);
    let Some(Value::Map(networks)) = networks else { return };
    for (name, network) in networks {
        let Value::Map(keys) = &mut network.value else { continue };
        let Some(found) = keys.iter().position(|(k, _)| k.name == "address") else { continue };
        let (key, wanted) = keys.remove(found);
        let Some(text) = wanted.text() else { continue };
        let has = |keys: &[(Key, Node)], name: &str| keys.iter().any(|(k, _)| k.name == name);
        let (text, place) = match text {
            "dhcp" => {
                if !has(keys, "dhcp") {
                    keys.push((key_at("dhcp", &key.place), scalar("ipv4", &wanted.place)));
                }
                continue;
            }
            "rack" => {
                let Some(subnet) = rack.subnets.get(&name.name) else {
                    let wrong = format!("rack `{rack_name}` has no subnet `{}`", name.name);
                    own.report(
                        Diagnostic::at(&wanted.place, wrong)
                            .hint(format!("add `{}: {{network: …, first: …}}` to its `subnets:`", name.name)),
                    );
                    continue;
                };
                // A subnet that is too small was reported with the rack.
                let Some(address) = address(subnet, bay) else { continue };
                let subnet = rack_node.and_then(|rack| at(rack, &["subnets", &name.name]));
                let place = |key: &str| subnet.and_then(|s| s.get(key)).map(|n| n.place.clone());
                if let Some((text, place)) =
                    subnet.and_then(|s| s.get("gateway")?.text()).zip(place("gateway"))
                    && !has(keys, "gateway")
                {
                    keys.push((key_at("gateway", &place), scalar(text, &place)));
                }
                (address.to_string(), place("first").unwrap_or_else(|| wanted.place.clone()))
            }
            text => (text.to_owned(), wanted.place.clone()),
        };
        let address = scalar(&text, &place);
        match keys.iter_mut().find(|(k, _)| k.name == "addresses") {
            Some((_, Node { value: Value::List(list), .. })) => list.insert(0, address),
            Some(_) => {}
            None => {
                keys.push((
                    key_at("addresses", &key.place),
                    Node { place, value: Value::List(vec![address]) },
                ));
            }
        }
    }
}

/// Replaces names in braces, and says whether all could be. `contents` are taken as they are unless `template: true`
/// stands beside them.
fn render(node: &mut Node, vars: Vars<'_>, own: &Problems) -> bool {
    match &mut node.value {
        Value::Null => true,
        Value::Scalar { text, .. } => match template::render(text, vars) {
            Ok(rendered) => {
                *text = rendered;
                true
            }
            Err(wrong) => {
                own.report(wrong.at(&node.place));
                false
            }
        },
        Value::List(list) => {
            list.iter_mut().map(|node| render(node, vars, own)).filter(|good| !good).count() == 0
        }
        Value::Map(map) => {
            let contents = map.iter().any(|(k, _)| k.name == "contents");
            let wanted = map.iter().any(|(k, n)| k.name == "template" && n.text() == Some("true"));
            // Not part of a finished configuration.
            map.retain(|(k, n)| k.name != "template" || !matches!(n.text(), Some("true" | "false")));
            let verbatim = |key: &Key| key.name == "contents" && contents && !wanted;
            map.iter_mut()
                .map(|(key, node)| verbatim(key) || render(node, vars, own))
                .filter(|good| !good)
                .count()
                == 0
        }
    }
}

/// How many sleds have each UUID.
fn uuids(file: &FleetFile) -> BTreeMap<String, usize> {
    let mut count = BTreeMap::new();
    for uuid in file.sleds.values().filter_map(|s| s.hardware.uuid.as_deref()) {
        *count.entry(uuid.to_ascii_lowercase()).or_default() += 1;
    }
    count
}

/// Who a sled is; what identifies nobody is left out, with a warning.
fn identity(
    entry: &SledEntry,
    node: &Node,
    ports: &Ports,
    uuids: &BTreeMap<String, usize>,
    found: &mut Found,
) -> Identity {
    let hardware = &entry.hardware;
    let mut serial = |key: &str, text: &Option<String>| {
        let text = text.as_deref()?;
        let good = junk::serial(text);
        if good.is_none() {
            let place = node.get(key).map_or(&node.place, |n| &n.place);
            found.warnings.push(
                Diagnostic::at(place, format!("the serial number `{text}` identifies nobody"))
                    .why("firmware answers it on many boards")
                    .hint("remove the line"),
            );
        }
        good.map(str::to_owned)
    };
    let board_serial = serial("board-serial", &hardware.board_serial);
    let product_serial = serial("product-serial", &hardware.product_serial);
    let uuid = hardware.uuid.as_deref().and_then(|text| {
        let good = junk::uuid(text);
        let often = uuids.get(&text.to_ascii_lowercase()).copied().unwrap_or_default();
        if good.is_some() && often <= 1 {
            return good;
        }
        let why =
            if often > 1 { format!("{often} sleds have it") } else { "whole product lines share it".into() };
        let place = node.get("uuid").map_or(&node.place, |n| &n.place);
        found.warnings.push(
            Diagnostic::at(place, format!("the UUID `{text}` identifies nobody and is not used"))
                .why(why)
                .hint("remove the line"),
        );
        None
    });
    Identity {
        location: Some(Location { rack: entry.rack.clone(), bay: entry.bay }),
        switch_ports: ports.get(&(entry.rack.clone(), entry.bay)).cloned().unwrap_or_default(),
        board_serial,
        product_serial,
        uuid,
        macs: hardware.macs.clone(),
        bmc_mac: hardware.bmc_mac,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(network: &str, first: &str) -> Subnet {
        Subnet { network: network.parse().unwrap(), first: first.parse().unwrap(), gateway: None }
    }

    #[test]
    fn bays_have_addresses_within_their_network() {
        let of = |network, first, bay| address(&subnet(network, first), bay).map(|a| a.to_string());
        assert_eq!(of("10.1.12.0/24", "10.1.12.11", 7).as_deref(), Some("10.1.12.17/24"));
        assert_eq!(of("10.1.12.0/24", "10.1.12.254", 2), None);
        assert_eq!(of("10.1.12.0/24", "10.1.12.255", 1), None);
        assert_eq!(of("0.0.0.0/0", "255.255.255.255", 2), None);
        assert_eq!(of("fd00::/64", "fd00::ff", 2).as_deref(), Some("fd00::100/64"));
        assert_eq!(of("::/0", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 2), None);
        assert_eq!(of("10.0.0.0/24", "fd00::1", 1), None);
    }
}
