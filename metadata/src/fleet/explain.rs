//! Which line of which layer set each value of a sled.

use super::resolve::{Sled, paths};
use super::{Fleet, at};
use std::collections::HashMap;
use yaml::diagnostic::Place;
use yaml::{Node, Value};

/// One value.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// Its keys: `config.networks.data.mtu`.
    pub path: String,
    /// The value as text.
    pub value: String,
    /// Where it was written.
    pub place: Place,
    /// The layer: `fleet`, `role compute`, `rack r12`, `sled`.
    pub layer: String,
}

/// Every value of a sled, in the order of the file.
pub fn explain(fleet: &Fleet, sled: &Sled) -> Vec<Leaf> {
    let root = &fleet.root;
    let rack = sled.identity.location.as_ref().map(|l| l.rack.as_str()).unwrap_or_default();
    let layers = [
        ("fleet".to_owned(), root.get("servers")),
        ("fleet".to_owned(), root.get("config")),
        (format!("role {}", sled.role), at(root, &["roles", &sled.role])),
        (format!("rack {rack}"), at(root, &["racks", rack])),
        ("sled".to_owned(), at(root, &["sleds", &sled.name])),
    ];
    let mut from: HashMap<(usize, usize), &str> = HashMap::new();
    for (layer, node) in &layers {
        let mut mark = |_: &str, node: &Node| {
            from.insert((node.place.line, node.place.column), layer);
        };
        if let Some(node) = node {
            walk("", node, &mut mark);
        }
    }
    let mut leaves = Vec::new();
    let mut add = |path: &str, node: &Node| {
        let value = node.text().map_or_else(|| node.kind().to_owned(), str::to_owned);
        let layer = from.get(&(node.place.line, node.place.column)).copied().unwrap_or("sled");
        leaves.push(Leaf {
            path: path.to_owned(),
            value,
            place: node.place.clone(),
            layer: layer.to_owned(),
        });
    };
    let entry = at(root, &["sleds", &sled.name]);
    for key in ["rack", "bay", "role", "board-serial", "product-serial", "uuid", "macs", "bmc-mac"] {
        if let Some(node) = entry.and_then(|e| e.get(key)) {
            walk(key, node, &mut add);
        }
    }
    let image = entry.and_then(|e| e.get("image")).or_else(|| at(root, &["roles", &sled.role, "image"]));
    for (name, node) in
        [("image", image), ("install", sled.install_node.as_ref()), ("config", Some(&sled.config_node))]
    {
        if let Some(node) = node {
            walk(name, node, &mut add);
        }
    }
    leaves
}

/// Calls for every single value with its path.
fn walk(path: &str, node: &Node, each: &mut dyn FnMut(&str, &Node)) {
    match &node.value {
        Value::Map(map) => {
            for (key, node) in map {
                let path = if path.is_empty() { key.name.clone() } else { format!("{path}.{}", key.name) };
                walk(&path, node, each);
            }
        }
        Value::List(list) => {
            list.iter().enumerate().for_each(|(n, node)| walk(&format!("{path}[{n}]"), node, each))
        }
        _ => each(path, node),
    }
}

/// What a sled will be told, as JSON: its document without what only `compile` knows
/// (generation, times, hashes of the image), and with the paths it will lie at.
pub fn show(fleet: &Fleet, sled: &Sled) -> serde_json::Value {
    let servers = super::compile::servers(&fleet.file);
    serde_json::json!({
        "sled": sled.name,
        "role": sled.role,
        "identity": sled.identity,
        "image": sled.image.to_string(),
        "install": sled.install,
        "servers": servers,
        "config": sled.config,
        "paths": paths(&sled.identity).iter().map(crate::layout::Key::path).collect::<Vec<_>>(),
    })
}
