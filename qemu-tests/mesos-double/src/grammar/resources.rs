//! `--resources`: `name(role):value;name:value`, or a JSON array of Mesos's
//! messages. mem and disk are in MB.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::value::Value;
use super::{Invalid, Result, invalid};

/// The role of what is for everybody.
pub const UNRESERVED: &str = "*";

/// One resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    /// `cpus`, `mem`, `disk`, `ports`, `gpus` or any other.
    pub name: String,
    /// Whom it is reserved for; `*` for nobody.
    pub role: String,
    /// How much of it. Never text.
    pub value: Value,
    /// The field `disk.source` of a disk of its own.
    pub source: Option<Json>,
}

/// Parses the flag. Resources of one name, role and source are added up.
///
/// # Errors
/// What Mesos refuses: no or too many `:`, parentheses that do not match, text,
/// less than nothing, sources without a root.
pub fn parse(text: &str, default_role: &str) -> Result<Vec<Resource>> {
    let list = if text.trim_start().starts_with(['[', '{']) {
        let json: Json = serde_json::from_str(text)
            .map_err(|e| Invalid(format!("failed to parse the JSON of the resources: {e}")))?;
        of_json(&json, default_role)?
    } else {
        text.split([';', '\n'])
            .map(str::trim)
            .filter(|t| !t.is_empty())
            .map(|t| simple(t, default_role))
            .collect::<Result<_>>()?
    };
    Ok(add_up(list))
}

fn simple(token: &str, default_role: &str) -> Result<Resource> {
    let parts: Vec<&str> = token.split(':').filter(|p| !p.is_empty()).collect();
    let &[name, value] = parts.as_slice() else {
        return invalid(format!("bad value for resources, missing or extra ':' in {token}"));
    };
    let (name, role) = match (name.find('('), name.find(')')) {
        (None, None) => (name, default_role),
        (Some(open), Some(close)) if open < close && close + 1 == name.trim_end().len() => {
            (name.get(..open).unwrap_or_default(), name.get(open + 1..close).unwrap_or_default())
        }
        _ => return invalid(format!("bad value for resources, mismatched parentheses in {token}")),
    };
    let value = Value::parse(value)?;
    checked(Resource { name: name.trim().to_owned(), role: role.trim().to_owned(), value, source: None })
}

fn checked(resource: Resource) -> Result<Resource> {
    let Resource { name, role, value, source } = &resource;
    if name.is_empty() {
        return invalid("a resource without a name");
    }
    if role.is_empty()
        || role.starts_with('-')
        || matches!(role.as_str(), "." | "..")
        || role.contains(char::is_whitespace)
    {
        return invalid(format!("invalid role '{role}' of resource '{name}'"));
    }
    match value {
        Value::Text(text) => return invalid(format!("bad type for resource {name} value {text} type TEXT")),
        Value::Scalar(n) if *n < 0.0 => {
            return invalid(format!("invalid scalar resource '{name}': value < 0"));
        }
        _ => {}
    }
    let Some(source) = source else { return Ok(resource) };
    if name != "disk" {
        return invalid(format!("DiskInfo should not be set for '{name}' resource"));
    }
    let root = |kind: &str| source.pointer(&format!("/{kind}/root")).and_then(Json::as_str);
    match source.get("type").and_then(Json::as_str) {
        Some("MOUNT") if root("mount").is_some_and(|r| !r.is_empty()) => Ok(resource),
        Some("PATH") if root("path").is_some_and(|r| !r.is_empty()) => Ok(resource),
        Some(kind @ ("MOUNT" | "PATH")) => {
            invalid(format!("disk source of type {kind} without '{}.root'", kind.to_lowercase()))
        }
        Some("BLOCK" | "RAW") => Ok(resource),
        other => invalid(format!("unknown type of disk source '{}'", other.unwrap_or_default())),
    }
}

/// Reads Mesos's messages.
///
/// # Errors
/// As for [`parse`].
pub fn of_json(json: &Json, default_role: &str) -> Result<Vec<Resource>> {
    let Some(list) = json.as_array() else { return invalid("the JSON of the resources is not an array") };
    list.iter().map(|message| of_message(message, default_role)).collect()
}

fn of_message(message: &Json, default_role: &str) -> Result<Resource> {
    let name = message.get("name").and_then(Json::as_str).unwrap_or_default().to_owned();
    if message.pointer("/disk/persistence").is_some() {
        return invalid(format!("persistent volumes cannot be given as resources ({name})"));
    }
    let reserved = message.pointer("/reservations/0/role").or_else(|| message.get("role"));
    let role = reserved.and_then(Json::as_str).unwrap_or(default_role).to_owned();
    let value = Value::of_fields(message).map_err(|e| Invalid(format!("resource '{name}': {e}")))?;
    checked(Resource { name, role, value, source: message.pointer("/disk/source").cloned() })
}

/// Mesos's messages, as `/state` shows them in `…_full` and the double keeps them.
pub fn to_json(resources: &[Resource]) -> Json {
    let message = |r: &Resource| {
        let (kind, field, value) = r.value.fields();
        let mut message = json!({ "name": r.name, "type": kind, field: value, "role": r.role });
        if let (Some(source), Some(object)) = (&r.source, message.as_object_mut()) {
            object.insert("disk".to_owned(), json!({ "source": source }));
        }
        message
    };
    Json::Array(resources.iter().map(message).collect())
}

/// Sums by name, whatever the role: `{"cpus": 4, "ports": "[31000-32000]"}`. The
/// four that every agent has are there even if nothing is.
pub fn brief<'a>(resources: impl IntoIterator<Item = &'a Resource>) -> Json {
    let mut sums: BTreeMap<&str, Value> = BTreeMap::new();
    for r in resources {
        let sum = sums.get(r.name.as_str()).and_then(|old| old.plus(&r.value));
        sums.insert(&r.name, sum.unwrap_or_else(|| r.value.clone()));
    }
    let mut out: Map<String, Json> = sums.into_iter().map(|(n, v)| (n.to_owned(), v.brief())).collect();
    for name in ["cpus", "gpus", "mem", "disk"] {
        out.entry(name).or_insert(json!(0.0));
    }
    Json::Object(out)
}

/// Mounts are never added up: each is a disk of its own.
fn add_up(list: Vec<Resource>) -> Vec<Resource> {
    let mut out: Vec<Resource> = Vec::new();
    for r in list {
        let twin = out
            .iter_mut()
            .find(|o| (&o.name, &o.role) == (&r.name, &r.role) && o.source.is_none() && r.source.is_none());
        match twin.and_then(|o| o.value.plus(&r.value).map(|sum| (o, sum))) {
            Some((o, sum)) => o.value = sum,
            None => out.push(r),
        }
    }
    out
}
