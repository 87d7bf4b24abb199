//! An inventory of Ansible: JSON, which is YAML, for the plugin `yaml`. Groups are roles
//! and racks.

use super::{Exported, Sled};
use serde_json::{Map, Value, json};

/// A name of a group: letters, digits and `_`, not beginning with a digit.
fn group(kind: &str, name: &str) -> String {
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    format!("{kind}_{plain}")
}

/// The inventory. A sled is reached by its first static address, else by its host name.
pub(super) fn inventory(exported: &Exported) -> String {
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
    let hosts: Map<String, Value> =
        exported.sleds.iter().map(|sled| (sled.name.clone(), variables(sled))).collect();
    let mut children = Map::new();
    for sled in &exported.sleds {
        for name in [group("role", &sled.role), group("rack", &sled.rack)] {
            let group = children.entry(name).or_insert_with(|| json!({"hosts": {}}));
            group["hosts"][&sled.name] = json!({});
        }
    }
    format!("{:#}\n", json!({"all": {"hosts": hosts, "children": children}}))
}
