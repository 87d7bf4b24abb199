//! The status API: described, and as described. Events.

use super::support::{World, connect, inventory, ready};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Write as _};

#[test]
fn every_route_is_described_and_answers_as_described() {
    let world = World::new();
    let server = world.start();
    assert_eq!(server.report("r1-b01", &world.token(1), &ready("ZM1", "Ethernet1")).status, 204);
    server.ask("POST", "/v1/inventory", "", inventory("NEW").to_string().as_bytes());
    let api = server.get("/v1/openapi.json").json();
    let fill = |path: &str| {
        let example = [
            ("/v1/sleds/{id}", "/v1/sleds/r1-b01"),
            ("/v1/report/{sled}", "/v1/report/r1-b01"),
            ("/v1/{key}/{name}", "/v1/board/ZM1.json"),
            ("/images/{image}/{version}/{file}", "/images/compute/1/usr.squashfs"),
        ];
        example.iter().find(|(p, _)| *p == path).map_or(path.to_owned(), |(_, e)| (*e).to_owned())
    };
    for (path, methods) in api["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            if path == "/v1/events" {
                continue;
            }
            let answer = server.ask(&method.to_uppercase(), &fill(path), "", b"");
            let described = &operation["responses"][answer.status.to_string()];
            assert!(described.is_object(), "{method} {path} answers {}", answer.status);
            let kind = answer
                .header("content-type")
                .unwrap_or_default()
                .split(';')
                .next()
                .unwrap_or_default()
                .to_owned();
            if answer.status != 204 && path.starts_with("/v1/s") {
                let schema = &described["content"][&kind]["schema"];
                matches(&api, schema, &answer.json(), path);
            }
        }
    }
    matches(
        &api,
        &api["paths"]["/v1/sleds/{id}"]["get"]["responses"]["200"]["content"]["application/json"]["schema"],
        &server.get("/v1/sleds/hw:board-NEW").json(),
        "hw",
    );
}

/// Whether a value is of a schema: the part of JSON Schema that ours use. What a schema
/// does not know is an error, too.
fn matches(api: &Value, schema: &Value, value: &Value, at: &str) {
    if let Some(name) = schema["$ref"].as_str() {
        return matches(api, api.pointer(name.trim_start_matches('#')).unwrap(), value, at);
    }
    if schema == true || schema == &Value::Object(serde_json::Map::new()) {
        return;
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(choices) = schema[key].as_array() {
            let good = choices.iter().any(|choice| {
                let (api, choice, value, at) = (api.clone(), choice.clone(), value.clone(), at.to_owned());
                std::thread::spawn(move || matches(&api, &choice, &value, &at)).join().is_ok()
            });
            assert!(good, "{at}: {value} is none of {schema}");
            return;
        }
    }
    if let Some(only) = schema.get("const") {
        assert_eq!(value, only, "{at}");
    }
    if let Some(list) = schema["enum"].as_array() {
        assert!(list.contains(value), "{at}: {value} is not in {list:?}");
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let kinds = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => return,
    };
    assert!(kinds.contains(&kind), "{at}: {value} is no {kinds:?}");
    match value {
        Value::Object(map) => {
            for required in schema["required"].as_array().unwrap_or(&Vec::new()) {
                assert!(map.contains_key(required.as_str().unwrap()), "{at}: no {required}");
            }
            for (key, value) in map {
                let known = schema["properties"].get(key).or_else(|| schema.get("additionalProperties"));
                matches(
                    api,
                    known.unwrap_or_else(|| panic!("{at}/{key} is not described")),
                    value,
                    &format!("{at}/{key}"),
                );
            }
        }
        Value::Array(list) => list.iter().enumerate().for_each(|(n, value)| {
            let schema = schema["prefixItems"]
                .get(n)
                .or_else(|| schema.get("items"))
                .unwrap_or(&Value::Bool(true))
                .clone();
            matches(api, &schema, value, &format!("{at}/{n}"));
        }),
        _ => {}
    }
}

#[test]
fn changes_come_as_events() {
    let world = World::new();
    let server = world.start();
    let mut stream = connect(server.address());
    stream.write_all(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    let mut next =
        |wanted: &str| lines.find_map(|line| line.strip_prefix(wanted).map(str::to_owned)).unwrap();
    assert_eq!(next("content-type: "), "text/event-stream");
    next("retry: ");
    assert_eq!(server.report("r1-b01", &world.token(1), &ready("ZM1", "Ethernet1")).status, 204);
    assert_eq!(next("event: "), "sleds");
    let data: Value = serde_json::from_str(&next("data: ")).unwrap();
    assert_eq!(
        (data["sleds"][0]["sled"].as_str(), data["sleds"][0]["state"].as_str()),
        (Some("r1-b01"), Some("ready"))
    );
    server.ask("POST", "/v1/inventory", "", inventory("NEW").to_string().as_bytes());
    let data: Value = serde_json::from_str(&next("data: ")).unwrap();
    assert_eq!(data["unknown"][0]["id"], "hw:board-NEW");
}
