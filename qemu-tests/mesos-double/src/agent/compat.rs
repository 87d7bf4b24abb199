//! Whether an agent may keep its id with new information: `compatibility.cpp`.

use std::fmt::Write as _;

use super::info::Info;
use crate::grammar::resources::Resource;
use crate::grammar::value::Value;
use crate::grammar::{Result, invalid};

/// `--reconfiguration_policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Nothing may change.
    Equal,
    /// Things may be added.
    Additive,
}

/// Compares with the information the id was given for.
///
/// # Errors
/// What changed that must not.
pub fn check(policy: Policy, previous: &Info, current: &Info) -> Result<()> {
    match policy {
        Policy::Equal => equal(previous, current),
        Policy::Additive => additive(previous, current),
    }
}

fn equal(previous: &Info, current: &Info) -> Result<()> {
    if same(previous, current) {
        return Ok(());
    }
    let mut why = "Incompatible agent info detected.\n".to_owned();
    for (which, info) in [("Old", previous), ("New", current)] {
        // A String takes everything.
        let _ = write!(why, "{:-<60}\n{which} agent info:\n{}\n", "", info.to_json());
    }
    invalid(why)
}

/// The order of attributes and of resources says nothing.
fn same(a: &Info, b: &Info) -> bool {
    (&a.hostname, a.port, &a.domain) == (&b.hostname, b.port, &b.domain)
        && a.attributes.len() == b.attributes.len()
        && a.attributes.iter().all(|x| b.attributes.contains(x))
        && a.resources.len() == b.resources.len()
        && a.resources.iter().all(|x| b.resources.contains(x))
}

fn is_of(a: &Resource, b: &Resource) -> bool {
    (&a.name, &a.role, &a.source) == (&b.name, &b.role, &b.source)
}

fn additive(previous: &Info, current: &Info) -> Result<()> {
    let refuse =
        |what: String| invalid(format!("Configuration change not permitted under `additive` policy: {what}"));
    if previous.hostname != current.hostname {
        return refuse(format!("Hostname changed from {} to {}", previous.hostname, current.hostname));
    }
    if previous.port != current.port {
        return refuse(format!("Port changed from {} to {}", previous.port, current.port));
    }
    if previous.domain.is_some() && previous.domain != current.domain {
        return refuse(format!("Domain changed from {:?} to {:?}", previous.domain, current.domain));
    }
    for old in &previous.resources {
        let Some(new) = current.resources.iter().find(|r| is_of(r, old)) else {
            return refuse(format!("Resource not found: {}({}):{}", old.name, old.role, old.value));
        };
        if !old.value.within(&new.value) {
            let (name, from, to) = (&old.name, &old.value, &new.value);
            return refuse(format!("Value of resource '{name}' decreased from {from} to {to}"));
        }
    }
    for old in &previous.attributes {
        let Some(new) = current.attributes.iter().find(|a| a.name == old.name) else {
            return refuse(format!("Couldn't find attribute {}={}", old.name, old.value));
        };
        // Ranges may grow, everything else stays.
        let kept = match (&old.value, &new.value) {
            (Value::Ranges(_), Value::Ranges(_)) => old.value.within(&new.value),
            (a, b) => a == b,
        };
        if !kept {
            let (name, from, to) = (&old.name, &old.value, &new.value);
            return refuse(format!("Value of attribute '{name}' changed from {from} to {to}"));
        }
    }
    Ok(())
}
