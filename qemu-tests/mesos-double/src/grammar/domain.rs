//! `--domain`: `{"fault_domain":{"region":{"name":"r"},"zone":{"name":"z"}}}`.

use serde_json::{Value as Json, json};

use super::{Invalid, Result, invalid};

/// Parses the flag's text; fields Mesos does not know vanish.
///
/// # Errors
/// Not JSON, or no names.
pub fn parse(text: &str) -> Result<Json> {
    let json: Json =
        serde_json::from_str(text).map_err(|e| Invalid(format!("failed to parse the domain: {e}")))?;
    let name = |of: &str| json.pointer(&format!("/fault_domain/{of}/name")).and_then(Json::as_str);
    match (name("region"), name("zone")) {
        (Some(region), Some(zone)) => {
            Ok(json!({ "fault_domain": { "region": { "name": region }, "zone": { "name": zone } } }))
        }
        _ => invalid("the domain has no 'fault_domain' with the names of its 'region' and 'zone'"),
    }
}
