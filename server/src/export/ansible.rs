//! An inventory of Ansible: JSON, which is YAML, for the plugin `yaml`. Groups are roles
//! and racks.

use super::{Exported, Sled, Text};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Names that were given, and by what: `rack` and `a-1`.
#[derive(Default)]
struct Names<'a> {
    groups: BTreeMap<(&'static str, &'a str), String>,
    hosts: BTreeMap<&'a str, String>,
    notes: Vec<String>,
}

/// A name that is letters, digits and `_`, which all Ansible takes in names of groups.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// `a-1` as `a_2d1`: for names that would fall together.
fn escaped(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_alphanumeric() || c == '_' {
            out.push(c);
        } else {
            // Writing to a string does not fail.
            let _ = write!(out, "_{:02x}", u32::from(c));
        }
    }
    out
}

/// A name that is not taken yet.
fn free(mut name: String, taken: &BTreeSet<String>) -> String {
    while taken.contains(&name) {
        name.push('_');
    }
    name
}

impl<'a> Names<'a> {
    fn new(exported: &'a Exported) -> Self {
        let mut names = Self::default();
        let mut taken: BTreeSet<String> = ["all", "ungrouped"].map(str::to_owned).into();
        let all = |of: fn(&Sled) -> &str| exported.sleds.iter().map(of).collect::<BTreeSet<&str>>();
        for (kind, all) in [("role", all(|s| &s.role)), ("rack", all(|s| &s.rack))] {
            let mut often: BTreeMap<String, usize> = BTreeMap::new();
            all.iter().for_each(|name| *often.entry(plain(name)).or_default() += 1);
            // A name that is plain keeps it; of others that fall together none has it.
            let (same, others): (Vec<&str>, Vec<&str>) = all.iter().partition(|name| plain(name) == **name);
            for name in same.into_iter().chain(others) {
                let plain = plain(name);
                let alone = often.get(&plain) == Some(&1) || plain == name;
                let group = free(format!("{kind}_{}", if alone { plain } else { escaped(name) }), &taken);
                if !alone {
                    names.notes.push(format!(
                        "{kind} `{name}` is the group {group}: another {kind} has nearly its name"
                    ));
                }
                taken.insert(group.clone());
                names.groups.insert((kind, name), group);
            }
        }
        let sleds: BTreeSet<&str> = exported.sleds.iter().map(|sled| sled.name.as_str()).collect();
        for name in sleds.iter().copied() {
            if !taken.contains(name) {
                names.hosts.insert(name, name.to_owned());
                continue;
            }
            let mut host = format!("sled_{name}");
            while sleds.contains(host.as_str()) || taken.contains(&host) {
                host.push('_');
            }
            names.notes.push(format!("sled `{name}` is the host {host}: `{name}` is a group of Ansible"));
            names.hosts.insert(name, host);
        }
        names
    }

    fn host(&self, sled: &'a Sled) -> &str {
        self.hosts.get(sled.name.as_str()).map_or(&sled.name, String::as_str)
    }
}

/// The inventory. A sled is reached by its first static address, else by its host name.
pub(super) fn inventory(exported: &Exported) -> Text {
    let variables = |sled: &Sled| {
        let address = sled.addresses.values().next().map(|cidr| cidr.address.to_string());
        let networks: Map<String, Value> = sled
            .addresses
            .iter()
            .map(|(name, cidr)| (name.clone(), cidr.address.to_string().into()))
            .collect();
        json!({
            "ansible_host": address.unwrap_or_else(|| sled.hostname.clone()),
            "ansible_user": "root",
            "sled_rack": sled.rack, "sled_bay": sled.bay, "sled_role": sled.role, "sled_networks": networks,
        })
    };
    let names = Names::new(exported);
    let hosts: Map<String, Value> =
        exported.sleds.iter().map(|sled| (names.host(sled).to_owned(), variables(sled))).collect();
    let mut children = Map::new();
    for sled in &exported.sleds {
        for key in [("role", sled.role.as_str()), ("rack", sled.rack.as_str())] {
            let Some(name) = names.groups.get(&key) else { continue };
            let group = children.entry(name.clone()).or_insert_with(|| json!({"hosts": {}}));
            group["hosts"][names.host(sled)] = json!({});
        }
    }
    let text = format!("{:#}\n", json!({"all": {"hosts": hosts, "children": children}}));
    Text { text, notes: names.notes }
}
