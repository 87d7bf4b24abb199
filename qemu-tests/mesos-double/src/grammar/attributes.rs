//! `--attributes`: `key:value;key:value`.

use serde_json::{Map, Value as Json, json};

use super::value::Value;
use super::{Invalid, Result, invalid};

/// One attribute.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    /// Its key, with the spaces it was written with.
    pub name: String,
    /// Its value; never a set.
    pub value: Value,
}

/// Parses the flag. What Mesos dies of (`LOG(FATAL)`) is an error here.
///
/// # Errors
/// A pair without `:`, an empty key or value, a set.
pub fn parse(text: &str) -> Result<Vec<Attribute>> {
    text.split([';', '\n']).filter(|t| !t.is_empty()).map(pair).collect()
}

fn pair(token: &str) -> Result<Attribute> {
    match token.split_once(':') {
        Some((key, value)) if !key.is_empty() && !value.is_empty() => {
            let value = Value::parse(value)
                .map_err(|e| Invalid(format!("failed to parse attribute {key} text {value} error {e}")))?;
            if matches!(value, Value::Set(_)) {
                return invalid(format!("bad type for attribute {key} text {value}: sets are not supported"));
            }
            Ok(Attribute { name: key.to_owned(), value })
        }
        _ => invalid(format!("invalid attribute key:value pair '{token}'")),
    }
}

/// `{"rack": "r1", "bay": 7}`, as `/state` shows them.
pub fn brief(attributes: &[Attribute]) -> Json {
    Json::Object(attributes.iter().map(|a| (a.name.clone(), a.value.brief())).collect::<Map<_, _>>())
}

/// The messages of a list of attributes.
pub fn to_json(attributes: &[Attribute]) -> Json {
    let message = |a: &Attribute| {
        let (kind, field, value) = a.value.fields();
        json!({ "name": a.name, "type": kind, field: value })
    };
    Json::Array(attributes.iter().map(message).collect())
}

/// Reads what [`to_json`] wrote.
///
/// # Errors
/// When it is not that.
pub fn of_json(list: &Json) -> Result<Vec<Attribute>> {
    let read = |message: &Json| {
        let name = message.get("name").and_then(Json::as_str).unwrap_or_default().to_owned();
        Ok(Attribute { name, value: Value::of_fields(message)? })
    };
    list.as_array().map(Vec::as_slice).unwrap_or_default().iter().map(read).collect()
}
