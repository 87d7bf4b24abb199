//! What only shows when all sleds are looked at together: doubles, gaps, leftovers.

use super::file::FleetFile;
use super::resolve::Sled;
use super::{addresses, at, known, pairs};
use crate::config::{Config, NicMatch};
use crate::freshness::MAX_KEYS;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use yaml::diagnostic::{Diagnostic, Place};
use yaml::{Node, Problems, Value};

/// What is no error.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) warnings: Vec<Diagnostic>,
    pub(super) notes: Vec<String>,
}

/// Values that only one may have: where each was first.
struct Once<'a> {
    seen: HashMap<(&'static str, String), Place>,
    problems: &'a Problems,
}

impl Once<'_> {
    /// `kind` groups what must differ; `shown` is the value as people know it.
    fn see(&mut self, kind: &'static str, shown: &str, place: &Place, hint: &str) {
        let key = (kind, shown.to_ascii_lowercase());
        match self.seen.get(&key) {
            Some(first) => self.problems.report(
                Diagnostic::at(place, format!("the {kind} {shown} is here twice"))
                    .also("first here", first)
                    .hint(hint),
            ),
            None => drop(self.seen.insert(key, place.clone())),
        }
    }
}

impl Once<'_> {
    /// One of a sled, or of its BMC.
    fn address(&mut self, address: IpAddr, place: &Place, sled: &Sled) {
        let key = ("address", address.to_string());
        match self.seen.get(&key) {
            Some(first) => self.problems.report(
                Diagnostic::at(place, format!("two sleds would have the address {address}"))
                    .also("one of them", first)
                    .also("the other", &sled.place),
            ),
            None => drop(self.seen.insert(key, sled.place.clone())),
        }
    }
}

pub(super) fn fleet(file: &FleetFile, root: &Node, sleds: &[Sled], problems: &Problems, found: &mut Found) {
    let mut once = Once { seen: HashMap::new(), problems };
    hardware(file, root, &mut once, found);
    for sled in sleds {
        configuration(sled, &mut once, problems, found);
    }
    addresses::racks(file, root, problems, found);
    addresses::fleet(file, root, sleds, problems, found);
    retired(file, root, &once.seen, problems, found);
    gaps(file, root, found);
    freshness(file, root, problems);
    if file.images.trust == super::release::Trust::Unsaid {
        found.notes.push(
            "`images.trust` is missing: no documents are made before the file says whose images it takes"
                .into(),
        );
    }
    if file.servers.metadata.is_empty() {
        found.notes.push("`servers.metadata` is empty: sleds find their documents only by what DHCP or the command line says".into());
    }
}

fn hardware(file: &FleetFile, root: &Node, once: &mut Once<'_>, found: &mut Found) {
    let swap = "each value belongs to one sled: one of the two is a slip";
    for (key, node) in pairs(root, "sleds") {
        let Some(entry) = file.sleds.get(&key.name) else { continue };
        if key.name == super::RESERVED {
            let wrong = Diagnostic::at(&key.place, format!("no sled can be called `{}`", key.name));
            let why = "hardware that has no document reports under this name, without a token";
            once.problems.report(wrong.why(why).hint("give it another name"));
        }
        let place = |key: &str| node.get(key).map_or(&node.place, |n| &n.place);
        let bay = format!("{}/{}", entry.rack, entry.bay);
        once.see("bay", &bay, place("bay"), "move one of the sleds, or use `sledos fleet replace`");
        let hw = &entry.hardware;
        if let Some(serial) = hw.board_serial.as_deref().and_then(crate::junk::serial) {
            once.see("board serial", serial, place("board-serial"), swap);
        }
        if let Some(serial) = hw.product_serial.as_deref().and_then(crate::junk::serial) {
            let hint = "sleds that share a chassis may share its serial: then leave it out of all of them";
            once.see("product serial", serial, place("product-serial"), hint);
        }
        for (mac, node) in hw.macs.iter().zip(node.get("macs").into_iter().flat_map(Node::entries)) {
            once.see("MAC address", &mac.to_string(), &node.place, swap);
        }
        if let Some(mac) = hw.bmc_mac {
            once.see("MAC address", &mac.to_string(), place("bmc-mac"), swap);
        }
        let serials = hw.board_serial.iter().chain(&hw.product_serial);
        let known = serials.filter_map(|s| crate::junk::serial(s)).count() + hw.macs.len();
        if known == 0 && hw.uuid.as_deref().and_then(crate::junk::uuid).is_none() {
            let switches = file.racks.get(&entry.rack).is_some_and(|r| !r.switches.is_empty());
            let why = if switches {
                "it is recognised by its place alone"
            } else {
                "its rack has no switches to tell its place by, so only `sledos.location=` on its command line finds it"
            };
            found.warnings.push(
                Diagnostic::at(
                    &key.place,
                    format!("sled `{}` has neither serial nor UUID nor MAC", key.name),
                )
                .why(why)
                .hint("add `board-serial:` or `macs:`"),
            );
        }
    }
}

fn configuration(sled: &Sled, once: &mut Once<'_>, problems: &Problems, found: &mut Found) {
    let Config { hostname, networks, mesos, .. } = &sled.config;
    let place = |path: &[&str]| at(&sled.config_node, path).map_or(&sled.place, |n| &n.place);
    if let Some(first) = once.seen.get(&("host name", hostname.to_ascii_lowercase())) {
        problems.report(
            Diagnostic::at(place(&["hostname"]), format!("two sleds would be called `{hostname}`"))
                .also("one of them", first)
                .also("the other", &sled.place)
                .hint("put `{sled}`, or `{rack}` and `{bay}`, into the pattern"),
        );
    } else {
        once.seen.insert(("host name", hostname.to_ascii_lowercase()), sled.place.clone());
    }
    let short = hostname.split('.').next().unwrap_or_default();
    if known::is_word_of_dnsmasq(short) {
        found.warnings.push(
            Diagnostic::at(place(&["hostname"]), format!("`{short}` means something else to dnsmasq"))
                .why("`dhcp-host=` takes it for a word of its own or the time of a lease; exports leave it out")
                .hint("give the sled a `hostname` with letters and digits in it, like r12-b07"),
        );
    }
    let mut gateways: Vec<&Place> = Vec::new();
    for (name, network) in networks {
        let here = |key: &str| place(&["networks", name, key]);
        if network.nic == NicMatch::default() {
            let wrong = format!("network `{name}` would be on any NIC");
            problems.report(
                Diagnostic::at(here("match"), wrong)
                    .hint("give `match:` a `driver`, `mac`, `path`, `min-speed` or `index`"),
            );
        }
        for driver in &network.nic.driver {
            if let Err(near) = known::nic_driver(driver) {
                let wrong = format!("`{driver}` is no driver of a NIC that is known here");
                let wrong = Diagnostic::at(here("match"), wrong).why("without it the network has no NIC");
                found.warnings.push(match near {
                    Some(near) => wrong.hint(format!("did you mean `{near}`?")),
                    None => wrong.hint("`ls -l /sys/class/net/*/device/driver` on a sled shows its name"),
                });
            }
        }
        if network.gateway.is_some() {
            gateways.push(here("gateway"));
        }
        let nodes = at(&sled.config_node, &["networks", name, "addresses"]);
        for (cidr, node) in network.addresses.iter().zip(nodes.into_iter().flat_map(Node::entries)) {
            once.address(cidr.address, &node.place, sled);
        }
    }
    if let Some(address) = sled.config.bmc.as_ref().and_then(|bmc| bmc.address) {
        once.address(address.address, place(&["bmc", "address"]), sled);
    }
    if let [first, second, ..] = gateways[..] {
        found.warnings.push(
            Diagnostic::at(second, "a sled with two default gateways")
                .also("the other one", first)
                .why("which of them a packet takes is left to chance")
                .hint("keep one, and give the other network `routes:`"),
        );
    }
    for (name, set) in &sled.config.disks {
        let here = |key: &str| {
            let keys = ["disks", name.as_str(), key];
            let found = at(&sled.config_node, &keys).or_else(|| at(&sled.config_node, &keys[..2]));
            found.map_or(&sled.place, |n| &n.place)
        };
        if let Err((key, wrong)) = set.check(&sled.name, name) {
            let what = if key.is_empty() {
                "this set of disks cannot be".into()
            } else {
                format!("`{key}` {wrong}")
            };
            let diagnostic = Diagnostic::at(here(key), what);
            problems.report(if key.is_empty() { diagnostic.why(wrong) } else { diagnostic });
        }
        if let Err(wrong) = set.disk.may_wipe(set.wipe, &set.wipe_serials) {
            let hint = "list the disks in `wipe-serials`, or leave out `pick`";
            problems.report(Diagnostic::at(here("wipe"), format!("`wipe` {wrong}")).hint(hint));
        }
        if let Some(other) = crate::generate::disks::crossed(&sled.config, name) {
            let wrong = format!("the mount points of `{name}` are below those of `{other}`, or the same");
            problems.report(Diagnostic::at(here("mount"), wrong).hint("give each set a `mount` of its own"));
        }
    }
    if let (Some(install), Some(node)) = (&sled.install, &sled.install_node)
        && let Err(wrong) = install.disk.may_wipe(install.wipe, &[])
    {
        let here = node.get("wipe").map_or(&node.place, |node| &node.place);
        let hint = "list the disks by `serial` or `wwn` in `disk`, or leave out `pick`";
        problems.report(Diagnostic::at(here, format!("`wipe` {wrong}")).hint(hint));
    }
    let Some(mesos) = mesos else { return };
    let here = |key: &str| at(&sled.config_node, &["mesos", key]).map_or(place(&["mesos"]), |n| &n.place);
    if let Some(network) = mesos.network.as_ref().filter(|n| !networks.contains_key(*n)) {
        let have: Vec<_> = networks.keys().map(String::as_str).collect();
        problems.report(
            Diagnostic::at(here("network"), format!("there is no network `{network}`"))
                .hint(format!("there are: {}", have.join(", "))),
        );
    }
    if mesos.resources.mem.is_none() || mesos.resources.disk.is_none() {
        found.warnings.push(
            Diagnostic::at(here("resources"), "the agent's memory and disk are not both given")
                .why("what the agent finds out by itself drifts, and an agent whose resources shrank does not come back")
                .hint("add `resources: {mem: …, disk: …}`, in MB"),
        );
    }
}

/// Retired hardware that is in use again would be refused and served at once.
fn retired(
    file: &FleetFile,
    root: &Node,
    live: &HashMap<(&'static str, String), Place>,
    problems: &Problems,
    found: &mut Found,
) {
    let nodes = root.get("retired").into_iter().flat_map(Node::entries);
    let mut seen: HashMap<(&str, String), Place> = HashMap::new();
    for (entry, node) in file.retired.iter().zip(nodes) {
        let hw = &entry.hardware;
        let place = |key: &str| node.get(key).map_or(&node.place, |n| &n.place);
        let mut values: Vec<(&'static str, String, &Place)> = Vec::new();
        values.extend(hw.board_serial.iter().map(|s| ("board serial", s.clone(), place("board-serial"))));
        values
            .extend(hw.product_serial.iter().map(|s| ("product serial", s.clone(), place("product-serial"))));
        values.extend(hw.uuid.iter().map(|s| ("UUID", s.clone(), place("uuid"))));
        let macs = node.get("macs").into_iter().flat_map(Node::entries);
        values.extend(hw.macs.iter().zip(macs).map(|(m, n)| ("MAC address", m.to_string(), &n.place)));
        if values.is_empty() {
            problems.report(
                Diagnostic::at(&node.place, "this retired hardware has neither serial nor UUID nor MAC")
                    .why("nothing could be refused"),
            );
        }
        for (kind, value, place) in values {
            let key = (kind, value.to_ascii_lowercase());
            if let Some(live) = live.get(&key) {
                problems.report(
                    Diagnostic::at(place, format!("the {kind} {value} is retired and in use"))
                        .also("in use here", live)
                        .hint("when the hardware is back on purpose, remove it from `retired:`"),
                );
            }
            if let Some(first) = seen.get(&key) {
                found.warnings.push(
                    Diagnostic::at(place, format!("the {kind} {value} is retired twice"))
                        .also("first here", first),
                );
            }
            seen.insert(key, place.clone());
        }
    }
}

/// Keys of servers that are online sign no documents, and are few.
fn freshness(file: &FleetFile, root: &Node, problems: &Problems) {
    let roles = file.roles.iter().map(|(name, role)| (at(root, &["roles", name, "freshness", "keys"]), role));
    let rules = roles.map(|(node, role)| (node, &role.freshness));
    for (node, rule) in rules.chain([(at(root, &["freshness", "keys"]), &file.freshness)]) {
        let Some(node) = node else { continue };
        if rule.keys.len() > MAX_KEYS {
            let wrong = format!("{} keys: a sled looks at {MAX_KEYS}", rule.keys.len());
            problems.report(Diagnostic::at(&node.place, wrong));
        }
        for (key, node) in rule.keys.iter().zip(node.entries()) {
            if file.trust.iter().any(|trusted| trusted.trim() == key.trim()) {
                problems.report(
                    Diagnostic::at(&node.place, "this key is in `trust:`, too")
                        .why("a server has this key online: who breaks into that would sign documents")
                        .hint("`sledos serve` makes one that is only for freshness, STATE/freshness.key"),
                );
            }
        }
    }
}

/// Bays without a sled, roles and racks without one.
fn gaps(file: &FleetFile, root: &Node, found: &mut Found) {
    let mut taken: BTreeMap<&str, BTreeSet<u32>> = BTreeMap::new();
    let mut used: BTreeSet<&str> = BTreeSet::new();
    for sled in file.sleds.values() {
        taken.entry(&sled.rack).or_default().insert(sled.bay);
        used.insert(&sled.role);
    }
    for (name, rack) in &file.racks {
        let taken = taken.get(name.as_str());
        let free: Vec<u32> = (1..=rack.bays).filter(|bay| taken.is_none_or(|t| !t.contains(bay))).collect();
        if !free.is_empty() {
            found.notes.push(format!(
                "rack {name}: no sled in {} of {} bays: {}",
                free.len(),
                rack.bays,
                spans(&free)
            ));
        }
    }
    for (key, node) in pairs(root, "roles") {
        if matches!(node.value, Value::Map(_)) && !used.contains(key.name.as_str()) {
            found.notes.push(format!("role {}: no sled has it", key.name));
        }
    }
}

/// `1-3, 7`.
fn spans(sorted: &[u32]) -> String {
    let mut out: Vec<(u32, u32)> = Vec::new();
    for n in sorted {
        match out.last_mut() {
            Some((_, last)) if *last + 1 == *n => *last = *n,
            _ => out.push((*n, *n)),
        }
    }
    let text = |(a, b): &(u32, u32)| if a == b { a.to_string() } else { format!("{a}-{b}") };
    out.iter().map(text).collect::<Vec<_>>().join(", ")
}
