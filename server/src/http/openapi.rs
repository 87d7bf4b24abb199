//! What programs may ask, described (OpenAPI 3.1), the shapes made from the types.

use super::status::{Detail, Page, Status};
use crate::bind::Wanted;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

/// The document at `/v1/openapi.json`.
pub fn document() -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|s| s.definitions_path = "/components/schemas".into())
        .into_generator();
    let status = generator.subschema_for::<Status>();
    let detail = generator.subschema_for::<Detail>();
    let page = generator.subschema_for::<Page>();
    let wanted = generator.subschema_for::<Wanted>();
    let schemas = generator.take_definitions(false);
    let text =
        |what: &str| json!({"description": what, "content": {"text/plain": {"schema": {"type": "string"}}}});
    let of = |what: &str, schema: &schemars::Schema| json!({"description": what, "content": {"application/json": {"schema": schema}}});
    let path = |name: &str, what: &str| json!({"name": name, "in": "path", "required": true, "description": what, "schema": {"type": "string"}});
    let body = |what: &str, schema: Value| json!({"required": true, "description": what, "content": {"application/json": {"schema": schema}}});
    let object = || json!({"type": "object"});
    let refusals = json!({
        "204": {"description": "Taken: it is on the disk."},
        "400": text("It is not what it should be."),
        "408": text("It did not come to its end."),
        "413": text("It is too long."),
        "415": text("It is not sent as `application/json`."),
        "503": text("It cannot be kept at the moment; `Retry-After` says when to come back."),
    });
    let mut report = refusals.clone();
    report["401"] = text("There is no token.");
    report["403"] = text("It is not this sled's token, or there is no such sled.");
    let file = json!({
        "200": {"description": "The file.", "content": {"application/octet-stream": {}}},
        "206": {"description": "A part of it, as `Range` asks.", "content": {"application/octet-stream": {}}},
        "304": {"description": "It is still the one of `If-None-Match` or `If-Modified-Since`."},
        "400": text("The path leads nowhere."),
        "404": text("There is no such file."),
        "412": text("It is not the one of `If-Match` or `If-Unmodified-Since`."),
        "416": text("It has no such part."),
    });
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "sledos serve",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "Asked by a name that is not this server's, every route answers 421; asked by a page of another server, 403.",
        },
        "servers": [{"url": "/"}],
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "sled": {"type": "http", "scheme": "bearer", "description": "`servers.token` of the sled's document"},
                "operator": {"type": "http", "scheme": "bearer", "description": "the line in `operator.token` of the server's state directory"},
            },
        },
        "security": [],
        "paths": {
            "/v1/status": {"get": {"operationId": "status", "summary": "All sleds, with their states and differences", "responses": {"200": of("The status.", &status)}}},
            "/v1/unknown": {"get": {
                "operationId": "unknown", "summary": "Hardware that is in no fleet file, a page at a time, what waits longest first",
                "parameters": [{"name": "after", "in": "query", "required": false, "description": "`next` of the page before, or `unknown_next` of the status", "schema": {"type": "string"}}],
                "responses": {"200": of("A page.", &page), "400": text("It is no beginning of a page.")},
            }},
            "/v1/sleds/{id}": {"get": {
                "operationId": "sled", "summary": "One sled, or unknown hardware, with history and last report",
                "parameters": [path("id", "name of the sled, or id of unknown hardware")],
                "responses": {"200": of("All about it.", &detail), "404": text("There is no such sled."), "503": text("The store does not work.")},
            }},
            "/v1/events": {"get": {"operationId": "events", "summary": "Changes as server-sent events: `sleds` and `reload`", "responses": {
                "200": {"description": "The stream.", "content": {"text/event-stream": {"schema": {"type": "string"}}}},
                "503": text("Too many streams."),
            }}},
            "/v1/fresh/{sled}": {"get": {
                "operationId": "fresh", "summary": "Says, signed, that a sled's document is the newest",
                "parameters": [
                    path("sled", "its name"),
                    {"name": "nonce", "in": "query", "required": true, "description": "a number that was never used", "schema": {"type": "string", "pattern": "^[0-9a-f]{32,64}$"}},
                ],
                "responses": {
                    "200": text("Sled, nonce, time, generation and hash of the document, and a minisign signature of these lines."),
                    "400": text("It is no such number."), "404": text("There is no such sled, or the server has no key for it."),
                },
            }},
            "/v1/report/{sled}": {"post": {
                "operationId": "report", "summary": "A sled says how it is", "security": [{"sled": []}],
                "parameters": [path("sled", "its name")],
                "requestBody": body("The boot report, `/run/sledos/boot.json`.", object()), "responses": report,
            }},
            "/v1/inventory": {"post": {
                "operationId": "inventory", "summary": "Hardware that has no document says what it is",
                "requestBody": body("The inventory.", object()), "responses": refusals,
            }},
            "/v1/bind": {"post": {
                "operationId": "bind", "summary": "Makes unknown hardware a sled, in the fleet file", "security": [{"operator": []}],
                "requestBody": body("Which, and what it becomes.", serde_json::to_value(&wanted).unwrap_or_default()),
                "responses": {
                    "200": text("It is done, and compiled."), "400": text("It is not what it should be."), "401": text("There is no token."),
                    "403": text("It is not the operator's token."), "404": text("There is no such hardware."),
                    "408": text("It did not come to its end."), "409": text("The hardware is not what was shown any more, the bay has a sled, or the fleet file cannot be changed that way."),
                    "413": text("It is too long."), "415": text("It is not sent as `application/json`."),
                },
            }},
            "/v1/openapi.json": {"get": {"operationId": "openapi", "summary": "This description", "responses": {"200": {"description": "It.", "content": {"application/json": {}}}}}},
            "/metrics": {"get": {"operationId": "metrics", "summary": "Counters for Prometheus", "responses": {"200": text("Text format 0.0.4.")}}},
            "/healthz": {"get": {"operationId": "healthz", "summary": "That the server answers", "responses": {"200": text("ok")}}},
            "/v1/{key}/{name}": {"get": {
                "operationId": "document", "summary": "Signed documents, their signatures and iPXE scripts, as `sledos fleet compile` lays them out",
                "parameters": [path("key", "`mac`, `board`, `product`, `uuid`, …"), path("name", "`52-54-00-12-34-56.json`")], "responses": file,
            }},
            "/images/{image}/{version}/{file}": {"get": {
                "operationId": "artefact", "summary": "Artefacts of images",
                "parameters": [path("image", "its name"), path("version", "its version"), path("file", "`usr.squashfs`")], "responses": file,
            }},
        },
    })
}
