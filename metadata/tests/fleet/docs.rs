//! What the documentation says holds.

use super::{file, is_in_file, source};
use metadata::fleet::{check, schema};
use serde_json::Value;

#[test]
fn the_schemas_are_the_types() {
    for (schema, name) in [(schema::fleet(), "fleet"), (schema::document(), "sled-document")] {
        is_in_file(&format!("{schema:#}\n"), &format!("../docs/schema/{name}.json"));
    }
}

#[test]
fn the_example_in_the_documentation_is_a_fleet_without_mistakes() {
    let page = std::fs::read_to_string(file("../docs/fleet.md")).unwrap();
    let (_, rest) = page.split_once("```yaml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let report = check(&source(example));
    assert!(
        report.errors.is_empty() && report.warnings.is_empty(),
        "{:?} {:?}",
        report.errors,
        report.warnings
    );
}

#[test]
fn the_documentation_has_every_key() {
    let page = std::fs::read_to_string(file("../docs/fleet.md")).unwrap();
    let schema = schema::fleet();
    let types = schema["$defs"].as_object().unwrap().values().chain([schema]);
    let keys = types.filter_map(|of| of.get("properties")?.as_object()).flat_map(serde_json::Map::keys);
    let missing: Vec<_> =
        keys.filter(|k| !k.starts_with("remove-") && !page.contains(&format!("`{k}`"))).collect();
    assert!(missing.is_empty(), "docs/fleet.md does not mention {missing:?}");
}

#[test]
fn every_property_of_the_schema_says_what_it_is() {
    fn look(of: &Value, path: &str) {
        if let Some(properties) = of.get("properties").and_then(Value::as_object) {
            for (key, property) in properties {
                assert!(property.get("description").is_some(), "{path}.{key} has no description");
            }
        }
    }
    let schema = schema::fleet();
    look(schema, "");
    schema["$defs"].as_object().unwrap().iter().for_each(|(name, of)| look(of, name));
}
