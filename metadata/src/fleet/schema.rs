//! JSON Schemas of the fleet file and of the sled document, made of the types. The
//! same schemas decide what `sledos fleet check` accepts, so there is one truth.

use crate::config::Config;
use crate::document::{Install, SledDocument};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// What part of a property a format is of.
#[derive(Clone, Copy)]
enum Of {
    /// The text itself, the entries of a list, the values of a map.
    Values,
    /// The keys of a map.
    Keys,
}
use Of::{Keys, Values};

/// Texts with a form of their own: type, property, format (see [`super::format`]).
const FORMATS: &[(&str, &str, Of, &str)] = &[
    ("Account", "home", Values, "absolute-path"),
    ("Account", "shell", Values, "absolute-path"),
    ("Account", "ssh-keys", Values, "ssh-key"),
    ("Bmc", "gateway", Values, "ip"),
    ("Bond", "hash", Values, "bond-hash"),
    ("Config", "disks", Keys, "disk-set"),
    ("Config", "files", Keys, "absolute-path"),
    ("Config", "groups", Keys, "name"),
    ("Config", "hostname", Values, "hostname"),
    ("Config", "networks", Keys, "name"),
    ("Config", "ssh-keys", Values, "ssh-key"),
    ("Config", "units", Keys, "unit"),
    ("DiskSet", "mount", Values, "absolute-path"),
    ("Config", "users", Keys, "name"),
    ("Dns", "search", Values, "hostname"),
    ("Dns", "servers", Values, "ip"),
    ("Docker", "data-root", Values, "absolute-path"),
    ("Docker", "log-max-size", Values, "docker-size"),
    ("Docker", "mirrors", Values, "url"),
    ("FileEntry", "mode", Values, "mode"),
    ("FleetFile", "fleet", Values, "name"),
    ("FleetFile", "racks", Keys, "name"),
    ("FleetFile", "roles", Keys, "name"),
    ("FleetFile", "sleds", Keys, "name"),
    ("FleetFile", "trust", Values, "public-key"),
    ("FleetServers", "dns", Values, "ip"),
    ("FreshnessRule", "keys", Values, "public-key"),
    ("FleetServers", "image", Values, "server-url"),
    ("FleetServers", "metadata", Values, "server-url"),
    ("FleetServers", "report", Values, "server-url"),
    ("FleetServers", "time", Values, "host"),
    ("Mesos", "attributes", Keys, "mesos-key"),
    ("Mesos", "attributes", Values, "mesos-value"),
    ("Mesos", "flags", Keys, "mesos-flag"),
    ("Mesos", "master", Values, "text"),
    ("Mesos", "reconfiguration-policy", Values, "mesos-policy"),
    ("Network", "dns", Values, "ip"),
    ("Network", "gateway", Values, "ip"),
    ("Resources", "ports", Values, "port-range"),
    ("RetiredEntry", "since", Values, "date"),
    ("RetiredEntry", "uuid", Values, "uuid"),
    ("Role", "image", Values, "image"),
    ("Route", "via", Values, "ip"),
    ("SledEntry", "image", Values, "image"),
    ("SledEntry", "uuid", Values, "uuid"),
    ("Subnet", "first", Values, "ip"),
    ("Subnet", "gateway", Values, "ip"),
    ("Switch", "chassis", Values, "text"),
    ("Switch", "port", Values, "text"),
    ("Time", "servers", Values, "host"),
    ("Time", "zone", Values, "zone"),
];

/// Numbers with limits: type, property, least, greatest.
const RANGES: &[(&str, &str, i64, i64)] = &[
    ("Bmc", "vlan", 0, 4094),
    ("DiskSet", "count", 1, 99),
    ("Docker", "log-max-files", 1, 10_000),
    ("Network", "mtu", 68, 65_535),
    ("Network", "vlan", 1, 4094),
    ("NicMatch", "min-speed", 1, 10_000_000),
    ("NicMatch", "max-speed", 1, 10_000_000),
    ("Rack", "bays", 1, 1024),
    ("SledEntry", "bay", 1, 1024),
    ("Switch", "ports", 1, 1024),
];

/// The schema of the fleet file.
pub fn fleet() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
        let mut schema = refined(schemars::schema_for!(super::file::FleetFile));
        let layers: BTreeSet<String> = reachable(&schema, &["Config", "Install"]);
        for (name, of) in schema.get_mut("$defs").and_then(Value::as_object_mut).into_iter().flatten() {
            if layers.contains(name) {
                loosen(of);
            }
            if name == "Network" {
                let address = json!({
                    "description": "`rack`: from the rack's subnet of this name; `dhcp`; or an address with its prefix length.",
                    "type": "string", "format": "network-address", "examples": ["rack", "dhcp", "10.1.12.17/24"],
                });
                insert(of, "address", address);
            }
            if matches!(name.as_str(), "FileEntry" | "Unit" | "UnitDropIn") {
                let template = json!({
                    "description": "Whether `{sled}`, `{rack}`, `{bay}`, `{role}` in `contents` are replaced.",
                    "type": "boolean", "default": false,
                });
                insert(of, "template", template);
            }
            close(of);
        }
        close(&mut schema);
        schema
    });
    &SCHEMA
}

/// The schema of a sled's finished configuration.
pub(super) fn config() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| refined(schemars::schema_for!(Config)));
    &SCHEMA
}

/// The schema of a finished `install`.
pub(super) fn install() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| refined(schemars::schema_for!(Install)));
    &SCHEMA
}

/// The schema of the sled document.
pub fn document() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| refined(schemars::schema_for!(SledDocument)));
    &SCHEMA
}

fn insert(of: &mut Value, key: &str, what: Value) {
    if let Some(properties) = of.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert(key.to_owned(), what);
    }
}

/// Adds [`FORMATS`] and [`RANGES`].
fn refined(schema: schemars::Schema) -> Value {
    let mut schema = schema.to_value();
    let title = schema.get("title").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut property = |of: &str, key: &str, apply: &dyn Fn(&mut Map<String, Value>)| {
        let of = if of == title { Some(&mut schema) } else { schema.pointer_mut(&format!("/$defs/{of}")) };
        let found = of.and_then(|of| of.get_mut("properties")?.get_mut(key)?.as_object_mut());
        if let Some(found) = found {
            apply(found);
        }
    };
    for (of, key, part, format) in FORMATS {
        property(of, key, &|map| match part {
            Keys => drop(map.insert("propertyNames".into(), json!({"format": format}))),
            Values => drop(values(map).map(|map| map.insert("format".into(), json!(format)))),
        });
    }
    for (of, key, least, most) in RANGES {
        property(of, key, &|map| {
            if let Some(map) = values(map) {
                map.insert("minimum".into(), json!(least));
                map.insert("maximum".into(), json!(most));
            }
        });
    }
    for (of, format) in [("Mac", "mac"), ("Cidr", "cidr")] {
        if let Some(of) = schema.pointer_mut(&format!("/$defs/{of}")).and_then(Value::as_object_mut) {
            of.insert("format".into(), json!(format));
        }
    }
    schema
}

/// The schema of the single values in a list or map, or of the value itself.
fn values(map: &mut Map<String, Value>) -> Option<&mut Map<String, Value>> {
    for inner in ["items", "additionalProperties"] {
        if map.get(inner).is_some_and(Value::is_object) {
            return map.get_mut(inner)?.as_object_mut();
        }
    }
    Some(map)
}

/// The definitions that `from` lead to, themselves included.
fn reachable(schema: &Value, from: &[&str]) -> BTreeSet<String> {
    fn refs(of: &Value, found: &mut Vec<String>) {
        match of {
            Value::Object(map) => {
                let to = map.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix("#/$defs/"));
                found.extend(to.map(str::to_owned));
                map.values().for_each(|v| refs(v, found));
            }
            Value::Array(list) => list.iter().for_each(|v| refs(v, found)),
            _ => {}
        }
    }
    let mut done = BTreeSet::new();
    let mut todo: Vec<String> = from.iter().map(|s| (*s).to_owned()).collect();
    while let Some(name) = todo.pop() {
        if let Some(of) = schema.pointer(&format!("/$defs/{name}"))
            && done.insert(name)
        {
            refs(of, &mut todo);
        }
    }
    done
}

/// A layer may leave everything out, and takes away with `remove-KEY: [...]`.
fn loosen(of: &mut Value) {
    let Some(map) = of.as_object_mut() else { return };
    map.remove("required");
    let Some(properties) = map.get_mut("properties").and_then(Value::as_object_mut) else { return };
    let lists: Vec<String> = properties
        .iter()
        .filter(|(_, p)| p.get("items").is_some() || p.get("additionalProperties").is_some())
        .map(|(key, _)| key.clone())
        .collect();
    for key in lists {
        let what = json!({
            "description": format!("Takes entries of `{key}` away that a layer below gave."),
            "type": "array", "items": {"type": "string"},
        });
        properties.insert(format!("remove-{key}"), what);
    }
}

/// Unknown keys are mistakes in a file that people write.
fn close(of: &mut Value) {
    if let Some(map) = of.as_object_mut().filter(|map| map.contains_key("properties")) {
        map.insert("additionalProperties".into(), json!(false));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_and_range_meets_a_property() {
        let fleet = fleet();
        let of = |of: &str, key: &str| {
            let of = if of == "FleetFile" { fleet } else { &fleet["$defs"][of] };
            of["properties"][key].clone()
        };
        for (name, key, _, format) in FORMATS {
            let text = of(name, key).to_string();
            assert!(text.contains(&format!("\"format\":\"{format}\"")), "{name}.{key}: {text}");
            assert!(super::super::format::known(format), "{format}");
        }
        for (name, key, least, _) in RANGES {
            let text = of(name, key).to_string();
            assert!(text.contains(&format!("\"minimum\":{least}")), "{name}.{key}: {text}");
        }
    }

    #[test]
    fn a_layer_requires_nothing_and_a_finished_configuration_does() {
        assert!(fleet()["$defs"]["Config"].get("required").is_none());
        assert_eq!(config()["required"], json!(["hostname"]));
        assert!(fleet()["$defs"]["Config"]["properties"].get("remove-ssh-keys").is_some());
    }
}
