//! A node held against a JSON Schema: every mistake in its shape and its values,
//! each at its place.
//!
//! Understood is what schemars makes of our types: `$ref`, `type`, `properties`,
//! `required`, `additionalProperties`, `items`, `propertyNames`, `minimum`, `maximum`,
//! `format`, `const`, `enum`, and `anyOf`/`oneOf` for values that may be missing, for
//! enumerations, and for a word (`const`) in place of a value.

use super::{format, template};
use serde_json::Value as Json;
use yaml::diagnostic::Diagnostic;
use yaml::nearest::nearest;
use yaml::{Cursor, Node, Problems, Value, Wrong};

/// How to look.
#[derive(Clone, Copy)]
pub(super) struct Shape<'a> {
    /// The whole schema.
    pub(super) schema: &'a Json,
    /// Whether texts with `{rack}` and the like in them are left for later.
    pub(super) templates: bool,
}

impl Shape<'_> {
    /// Reports every way in which the node is not what the schema says.
    pub(super) fn check(&self, node: &Node, name: &str, problems: &Problems) {
        let cursor = Cursor { node, problems, name: name.to_owned() };
        self.node(&cursor, self.schema, false);
    }

    fn node(&self, at: &Cursor<'_>, schema: &Json, layer: bool) {
        if at.node.text().is_some_and(|text| is_word(schema, text)) {
            return;
        }
        let (schema, into_layer) = self.resolve(schema);
        let layer = layer || into_layer;
        if let Some(choices) = choices(schema) {
            at.text(|text| one_of(text, &choices));
            return;
        }
        let kind = match schema.get("type") {
            Some(Json::Array(kinds)) => kinds.iter().filter_map(Json::as_str).find(|k| *k != "null"),
            Some(kind) => kind.as_str(),
            None => None,
        };
        match kind {
            Some("object") => self.map(at, schema, layer),
            Some("array") => {
                let items = schema.get("items").unwrap_or(&Json::Null);
                at.list(|entry| {
                    self.node(&entry, items, layer);
                    Some(())
                });
            }
            Some("boolean") => drop(at.boolean()),
            Some("integer") => {
                let limit = |key: &str, default| schema.get(key).and_then(Json::as_i64).unwrap_or(default);
                at.integer(limit("minimum", i64::MIN)..=limit("maximum", i64::MAX));
            }
            Some("number") => drop(at.text(|text| match text.parse::<f64>() {
                Ok(n) if n.is_finite() && n >= 0.0 => Ok(()),
                _ => Err(Wrong::new(format!("`{}` should be a number, this is `{text}`", at.name))),
            })),
            Some("string") => {
                let form = schema.get("format").and_then(Json::as_str).unwrap_or_default();
                let later = self.templates && layer;
                at.text(
                    |text| if later && template::is_in(text) { Ok(()) } else { format::check(form, text) },
                );
            }
            _ => {}
        }
    }

    fn map(&self, at: &Cursor<'_>, schema: &Json, layer: bool) {
        let Value::Map(entries) = &at.node.value else {
            // Says that it should be one.
            drop(at.fields());
            return;
        };
        let name = |key: &str| if at.name.is_empty() { key.to_owned() } else { format!("{}.{key}", at.name) };
        if let Some(values) = schema.get("additionalProperties").filter(|p| p.is_object()) {
            let names = schema.pointer("/propertyNames/format").and_then(Json::as_str).unwrap_or_default();
            for (key, node) in entries {
                let removal = layer && key.name.starts_with("remove-");
                if let (false, Err(wrong)) = (removal, format::check(names, &key.name)) {
                    at.problems.report(wrong.at(&key.place));
                }
                self.node(&Cursor { node, name: name(&key.name), ..at.clone() }, values, layer);
            }
            return;
        }
        let empty = serde_json::Map::new();
        let known = schema.get("properties").and_then(Json::as_object).unwrap_or(&empty);
        for (key, node) in entries {
            match known.get(&key.name) {
                Some(of) => self.node(&Cursor { node, name: name(&key.name), ..at.clone() }, of, layer),
                None => {
                    let within =
                        if at.name.is_empty() { String::new() } else { format!(" in `{}`", at.name) };
                    let wrong = Diagnostic::at(&key.place, format!("unknown key `{}`{within}", key.name));
                    let keys = known.keys().map(String::as_str);
                    at.problems.report(match nearest(&key.name, keys.clone()) {
                        Some(near) => wrong.hint(format!("did you mean `{near}`?")),
                        None => {
                            let keys: Vec<_> = keys.filter(|k| !k.starts_with("remove-")).collect();
                            wrong.hint(format!("known keys: {}", keys.join(", ")))
                        }
                    });
                }
            }
        }
        for key in
            schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str)
        {
            if at.node.get(key).is_none() {
                let who = if at.name.is_empty() { "the file".to_owned() } else { format!("`{}`", at.name) };
                at.wrong::<()>(Wrong::new(format!("{who} has no `{key}`")).hint(format!("add `{key}: …`")));
            }
        }
    }

    /// Follows references and takes what may be missing as what it is when it is there.
    /// Also says whether the way led into a layer of configuration.
    fn resolve<'b>(&'b self, mut schema: &'b Json) -> (&'b Json, bool) {
        let mut layer = false;
        // A chain of references is short; more would be a circle.
        for _ in 0..8 {
            if let Some(to) = schema.get("$ref").and_then(Json::as_str) {
                layer |= matches!(to, "#/$defs/Config" | "#/$defs/Install");
                // All types are there; a pointer of any shape would be taken apart at each value.
                let name = to.strip_prefix("#/$defs/").unwrap_or_default();
                schema = self.schema.get("$defs").and_then(|types| types.get(name)).unwrap_or(&Json::Null);
            } else if let Some(some) = schema.get("anyOf").and_then(Json::as_array) {
                let null = Json::from("null");
                schema = some.iter().find(|s| s.get("type") != Some(&null)).unwrap_or(&Json::Null);
            } else {
                break;
            }
        }
        (schema, layer)
    }
}

/// Whether a text is the word that may stand in place of the first choice.
fn is_word(schema: &Json, text: &str) -> bool {
    let some = schema.get("anyOf").and_then(Json::as_array).into_iter().flatten();
    some.filter_map(|s| s.get("const")).any(|word| word.as_str() == Some(text))
}

/// The texts of an enumeration.
fn choices(schema: &Json) -> Option<Vec<&str>> {
    if let Some(list) = schema.get("enum").and_then(Json::as_array) {
        return Some(list.iter().filter_map(Json::as_str).collect());
    }
    let parts = schema.get("oneOf").and_then(Json::as_array)?;
    parts.iter().all(|p| p.get("const").is_some() || p.get("enum").is_some()).then_some(())?;
    let mut all = Vec::new();
    for part in parts {
        all.extend(part.get("const").and_then(Json::as_str));
        all.extend(part.get("enum").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str));
    }
    Some(all)
}

fn one_of(text: &str, these: &[&str]) -> Result<(), Wrong> {
    if these.contains(&text) {
        return Ok(());
    }
    let wrong = Wrong::new(format!("`{text}` is none of {}", these.join(", ")));
    Err(match nearest(text, these.iter().copied()) {
        Some(near) => wrong.hint(format!("did you mean `{near}`?")),
        None => wrong,
    })
}
