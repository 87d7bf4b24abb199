//! `/v1/fresh/SLED`: says that a document is the newest, to this question, and keeps nothing.

use super::support::{World, content, yaml};
use metadata::document::Document;
use metadata::freshness::{Error, Question};
use metadata::values::Hash32;
use sha2::{Digest as _, Sha256};

const NONCE: &str = "00112233445566778899aabbccddeeff";

/// What the sled in bay 1 makes of an answer, with the document that is there now.
fn judged(world: &World, answer: &[u8]) -> Result<u64, Error> {
    let bytes = content(&world.path("www/v1/location/r1/1.json"));
    let document = Document::parse(&bytes).unwrap();
    let sha256 = Hash32(Sha256::digest(&bytes).into());
    let question = Question { head: document.head(), sha256, nonce: NONCE, least: 0 };
    question.judge(answer, &[world.online().public().clone()])
}

#[test]
fn it_says_which_document_is_the_newest_and_changes_nothing() {
    let world = World::new();
    let server = world.start();
    let state =
        || [server.get("/v1/sleds/r1-b01").text(), server.get("/v1/status").json()["sleds"].to_string()];
    let before = state();
    let ask =
        || server.ask("GET", &format!("/v1/fresh/r1-b01?nonce={NONCE}"), "User-Agent: sledos/1\r\n", b"");
    let answer = ask();
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let said = judged(&world, &answer.body).unwrap();
    assert!(said.abs_diff(now) < 600, "{said} {now}");
    assert_eq!(state(), before);

    // Another document: what was said is not of it, and what is said now is.
    world.compile(&yaml("lifetime: 2d"));
    server.until("loaded", |_| {
        let served = server.get("/v1/location/r1/1.json").body;
        served == content(&world.path("www/v1/location/r1/1.json"))
    });
    assert_eq!(judged(&world, &answer.body), Err(Error::Generation { newest: 1, offered: 2 }));
    judged(&world, &ask().body).unwrap();
}

#[test]
fn only_numbers_of_questions_and_sleds_of_the_fleet_are_answered() {
    let world = World::new();
    let server = world.start();
    let status = |path: &str| server.get(path).status;
    for query in [
        "",
        "?",
        "?nonce=",
        "?nonce=0011",
        &format!("?nonce={}", "0".repeat(65)),
        &format!("?nonce={}", "0".repeat(6000)),
        &format!("?nonce={}", NONCE.to_uppercase()),
        &format!("?nonce={NONCE}%0atime%201"),
        &format!("?nonce={NONCE}&nonce={NONCE}"),
        &format!("?x=1&nonce={NONCE}"),
    ] {
        assert_eq!(status(&format!("/v1/fresh/r1-b01{query}")), 400, "{query}");
    }
    for sled in ["r1-b09", "unknown", "hw:board-ZM1", "r1-b01%0a", "R1-B01"] {
        let status = status(&format!("/v1/fresh/{sled}?nonce={NONCE}"));
        assert!(matches!(status, 400 | 404), "{sled}: {status}");
    }
    assert_eq!(server.ask("POST", &format!("/v1/fresh/r1-b01?nonce={NONCE}"), "", b"{}").status, 405);
    let foreign = "Origin: http://evil.test\r\n";
    assert_eq!(server.ask("GET", &format!("/v1/fresh/r1-b01?nonce={NONCE}"), foreign, b"").status, 403);
}

#[test]
fn documents_that_need_another_servers_word_are_said() {
    let world = World::new();
    let key = |world: &World| world.online().public().as_str().to_owned();
    let rule = |key: &str| yaml(&format!("freshness: {{keys: [{key}], required: true}}"));
    world.compile(&rule(&key(&World::new())));
    let warned = |server: &super::support::Server| {
        server
            .lines
            .lock()
            .unwrap()
            .iter()
            .any(|line| line.starts_with("warning: 2 sleds, as r1-b01, refuse"))
    };
    assert!(warned(&world.start()));
    world.compile(&rule(&key(&world)));
    assert!(!warned(&world.start()));
}
