//! The Mesos agent's environment. Source: Mesos 1.11, `src/slave/flags.cpp`,
//! `Attributes::parse`, `Resources::fromSimpleString`, `values::parse`: what those
//! die of is refused here, while somebody looks.

use super::disks::reserved;
use super::place::Place;
use super::{Error, made_of, networkd, one_line};
use crate::config::{Mesos, Network, Resources};
use crate::document::SledDocument;
use crate::envfile;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Read by `mesos-agent.service` after the files of the image and the role.
const ENV: &str = "/etc/sledos/mesos-agent.env";
const CREDENTIAL: &str = "/etc/sledos/mesos-credential";

/// Flags that have a field of their own, and its name.
const FIELDS: [(&str, &str); 8] = [
    ("attributes", "attributes"),
    ("containerizers", "containerizers"),
    ("credential", "credential"),
    ("domain", "fault-domain"),
    ("isolation", "isolation"),
    ("master", "master"),
    ("reconfiguration_policy", "reconfiguration-policy"),
    ("resources", "resources"),
];

pub(super) fn files(out: &mut Place, mesos: &Mesos, document: &SledDocument) -> Result<(), Error> {
    let mut flags = BTreeMap::new();
    for (name, value) in &mesos.flags {
        let field = format!("mesos.flags.{name}");
        if !made_of(name, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') {
            return Err(Error::new(field, "is no flag: small letters, digits and `_`, without `--`"));
        }
        if let Some((_, own)) = FIELDS.iter().find(|(flag, _)| flag == name) {
            return Err(Error::new(field, format!("has a field of its own: mesos.{own}")));
        }
        if (name == "logging_level" && value != "INFO") || (name == "quiet" && value != "false") {
            out.warn(&field, "hides from `sledctl wait-ready` that a master has registered the agent");
        }
        flags.insert(name.clone(), one_line(&field, value)?.to_owned());
    }
    address(out, &mut flags, mesos, document)?;
    let mut set = |name: &str, value: String| flags.insert(name.to_owned(), value);

    set("master", master(&mesos.master)?);
    if !mesos.attributes.is_empty() {
        set("attributes", attributes(out, &mesos.attributes, document)?);
    }
    if let Some(resources) = resources(out, &mesos.resources)? {
        set("resources", resources);
    }
    if let Some(domain) = &mesos.fault_domain {
        let (region, zone) = (
            one_line("mesos.fault-domain.region", &domain.region)?,
            one_line("mesos.fault-domain.zone", &domain.zone)?,
        );
        let json = json!({"fault_domain": {"region": {"name": region}, "zone": {"name": zone}}});
        set("domain", json.to_string());
    }
    for (flag, values) in [("isolation", &mesos.isolation), ("containerizers", &mesos.containerizers)] {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '.');
        if let Some(bad) = values.iter().find(|v| !made_of(v, plain)) {
            return Err(Error::new(format!("mesos.{flag}"), format!("`{bad}` is not the name of one")));
        }
        if !values.is_empty() {
            set(flag, values.join(","));
        }
    }
    if let Some(policy) = &mesos.reconfiguration_policy {
        if !["equal", "additive"].contains(&policy.as_str()) {
            let problem = format!("`{policy}` is neither equal nor additive");
            return Err(Error::new("mesos.reconfiguration-policy", problem));
        }
        set("reconfiguration_policy", policy.clone());
    }
    if let Some(credential) = &mesos.credential {
        let principal = one_line("mesos.credential.principal", &credential.principal)?;
        let json = json!({"principal": principal, "secret": credential.secret});
        out.secret("mesos.credential", CREDENTIAL, format!("{json}\n"))?;
        set("credential", CREDENTIAL.to_owned());
    }

    let mut text = String::from("# Made from the sled document at every boot; see mesos-agent.service.\n");
    for (flag, value) in &flags {
        text += &format!("MESOS_{}={}\n", flag.to_ascii_uppercase(), envfile::quote(value));
    }
    out.text("mesos", ENV, text)
}

/// Which address the agent binds and announces, and under which name. A static one
/// is written down, one of DHCP is asked for when the agent starts. The name is the
/// document's: it stays when an address changes, and so does the agent's id.
fn address(
    out: &mut Place,
    flags: &mut BTreeMap<String, String>,
    mesos: &Mesos,
    document: &SledDocument,
) -> Result<(), Error> {
    let config = &document.config;
    flags.entry("hostname".to_owned()).or_insert_with(|| config.hostname.clone());
    let given = mesos.network.as_deref();
    if flags.contains_key("ip") || flags.contains_key("ip_discovery_command") {
        return match given {
            Some(_) => Err(Error::new("mesos.network", "`flags` give an address already; choose one")),
            None => Ok(()),
        };
    }
    let networks = &config.networks;
    let only = networks.keys().next().filter(|_| networks.len() == 1).map(String::as_str);
    let Some(name) = given.or_else(|| networks.contains_key("data").then_some("data")).or(only) else {
        if !networks.is_empty() {
            out.warn("mesos.network", "is not given: the agent announces any address of the sled");
        }
        return Ok(());
    };
    let Some(network) = networks.get(name) else {
        let names: Vec<_> = networks.keys().map(String::as_str).collect();
        let problem = format!("`{name}` is none of the sled's networks: {}", names.join(", "));
        return Err(Error::new("mesos.network", problem));
    };
    match ipv4(network) {
        Some(ip) => flags.insert("ip".into(), ip.to_string()),
        None if networkd::dhcp(network).is_some() => {
            flags.insert("ip_discovery_command".into(), format!("/usr/bin/sledctl address {name}"))
        }
        None => {
            let problem = format!("`{name}` has no IPv4 address, and Mesos knows no other");
            return Err(Error::new("mesos.network", problem));
        }
    };
    Ok(())
}

fn ipv4(network: &Network) -> Option<IpAddr> {
    network.addresses.iter().map(|a| a.address).find(IpAddr::is_ipv4)
}

/// Source: Mesos 1.11, `src/master/detector/`, `src/zookeeper/url.hpp`; ZooKeeper 3.4, `PathUtils.java`.
pub(super) fn master(text: &str) -> Result<String, Error> {
    let refuse = |problem: &str| Err(Error::new("mesos.master", format!("`{text}` {problem}")));
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return refuse("has spaces in it");
    }
    let Some(rest) = text.strip_prefix("zk://") else {
        return if is_host_port(text) {
            Ok(text.to_owned())
        } else {
            refuse("is neither host:port nor zk://host1:2181,host2:2181/path")
        };
    };
    let wrong = "is not zk://host1:2181,host2:2181/path";
    let Some((servers, path)) = rest.split_once('/') else { return refuse(wrong) };
    // `user:password@` comes once, before all servers.
    let servers = servers.rsplit_once('@').map_or(servers, |(_, servers)| servers);
    if !servers.split(',').all(is_host_port) {
        return refuse(wrong);
    }
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return refuse("has a path that ZooKeeper does not take: no `//`, no `.`, no `/` at the end");
    }
    Ok(text.to_owned())
}

fn is_host_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let v6 = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let host = match v6 {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
        None => made_of(host, |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_')),
    };
    let digits = port.bytes().all(|b| b.is_ascii_digit());
    host && digits && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// `key:value;key:value`, sorted by key.
fn attributes(
    out: &mut Place,
    attributes: &BTreeMap<String, String>,
    document: &SledDocument,
) -> Result<String, Error> {
    let mut all = Vec::new();
    for (key, value) in attributes {
        let field = format!("mesos.attributes.{key}");
        let refuse = |problem: &str| Err(Error::new(field.clone(), problem));
        let bad = |c: char| c == ';' || c.is_whitespace() || c.is_control();
        if key.is_empty() || key.chars().any(|c| c == ':' || bad(c)) {
            return refuse("the key is empty or has `:`, `;` or spaces in it, which Mesos cannot read");
        }
        if value.is_empty() {
            return refuse("has no value, and Mesos does not start with an empty one; leave it out");
        }
        if value.chars().any(bad) {
            return refuse("the value has `;` or spaces in it: Mesos ends it there, or drops them");
        }
        if value.contains(['[', ']', '{', '}', '(', ')']) && !is_range(value) {
            return refuse("the value has brackets in it and is no range [a-b]; Mesos takes no sets here");
        }
        if value.parse::<f64>().is_ok_and(|n| !n.is_finite()) {
            return refuse("Mesos takes the value for a number that is none");
        }
        if *value == document.image.version || *value == document.image.root_hash.to_string() {
            out.warn(&field, "changes with the image, and then the agent does not come back as itself");
        }
        all.push(format!("{key}:{value}"));
    }
    Ok(all.join(";"))
}

/// `[1-5]` or `[1-5,7-9]`.
fn is_range(text: &str) -> bool {
    let inside = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    inside.is_some_and(|list| list.split(',').all(|range| bounds(range).is_some()))
}

fn bounds(range: &str) -> Option<(u64, u64)> {
    let (a, b) = range.split_once('-')?;
    let number = |text: &str| made_of(text, |c| c.is_ascii_digit()).then(|| text.parse().ok())?;
    let (a, b) = (number(a)?, number(b)?);
    (a <= b).then_some((a, b))
}

/// `cpus:4;mem:8192`, or `cpus(role):4;…`.
fn resources(out: &mut Place, resources: &Resources) -> Result<Option<String>, Error> {
    let Resources { cpus, mem, disk, ports, gpus, custom, role } = resources;
    let refuse = |field: &str, problem: String| Err(Error::new(format!("mesos.resources.{field}"), problem));
    if let Some(role) = role
        && (!made_of(role, |c| c.is_ascii_graphic() && !matches!(c, ';' | ':' | '(' | ')' | '\\'))
            || role.starts_with('-')
            || role.split('/').any(|part| matches!(part, "" | "." | "..")))
    {
        return refuse("role", format!("`{role}` is not a role: a name without spaces, `;`, `:`, brackets"));
    }
    let suffix = role.as_ref().map(|role| format!("({role})")).unwrap_or_default();
    let mut all = Vec::new();
    let mut scalars = vec![("cpus", *cpus), ("gpus", gpus.map(f64::from))];
    for (name, value) in custom {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if !made_of(name, plain) || ["cpus", "mem", "disk", "ports", "gpus"].contains(&name.as_str()) {
            return refuse("custom", format!("`{name}` is no name, or has a field of its own"));
        }
        scalars.push((name, Some(*value)));
    }
    for (name, value) in scalars {
        let Some(value) = value else { continue };
        // Neither infinite nor no number at all is in the range.
        if !(0.0..=1e12).contains(&value) {
            return refuse(name, format!("{value} is not an amount"));
        }
        all.push(format!("{name}{suffix}:{value}"));
    }
    for (name, value) in [("mem", mem), ("disk", disk)] {
        match value {
            Some(value) => all.push(format!("{name}{suffix}:{value}")),
            None => out.warn(
                &format!("mesos.resources.{name}"),
                "is not given: what the agent finds out drifts, and then it does not come back as itself",
            ),
        }
    }
    let port = |range: &&String| bounds(range).is_some_and(|(_, last)| last <= 65535);
    if let Some(bad) = ports.iter().find(|range| !port(range)) {
        return refuse("ports", format!("`{bad}` is not a range of ports, like 31000-32000"));
    }
    if !ports.is_empty() {
        all.push(format!("ports{suffix}:[{}]", ports.join(",")));
    }
    Ok((!all.is_empty()).then(|| all.join(";")))
}

/// The same as [`resources`] as Mesos's messages, because text has no place for disks of
/// their own.
pub(super) fn messages(given: &Resources) -> Result<Vec<Value>, Error> {
    let Resources { cpus, mem, disk, ports, gpus, custom, role } = given;
    // Refuses what cannot be; its warnings were given when the sled was configured.
    resources(&mut Place::default(), given)?;
    let role = role.as_deref();
    let mut scalars = vec![("cpus", *cpus), ("gpus", gpus.map(f64::from))];
    scalars.extend(custom.iter().map(|(name, value)| (name.as_str(), Some(*value))));
    let mut all = Vec::new();
    let mut add = |name: &str, kind: &str, key: &str, value: Value| {
        all.push(reserved(json!({"name": name, "type": kind, key: value}), role));
    };
    for (name, value) in scalars {
        value.into_iter().for_each(|value| add(name, "SCALAR", "scalar", json!({"value": value})));
    }
    for (name, value) in [("mem", mem), ("disk", disk)] {
        value.iter().for_each(|value| add(name, "SCALAR", "scalar", json!({"value": value})));
    }
    if !ports.is_empty() {
        let range = |(begin, end): (u64, u64)| json!({"begin": begin, "end": end});
        let ranges: Vec<_> = ports.iter().filter_map(|text| bounds(text)).map(range).collect();
        add("ports", "RANGES", "ranges", json!({"range": ranges}));
    }
    Ok(all)
}
