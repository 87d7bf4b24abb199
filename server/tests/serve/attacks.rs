//! What somebody on the network of the sleds tries; docs/attacks.md is the table of it.

use super::support::{JSON, OPERATOR, Server, World, connect, connect_from, finish, inventory, ready};
use serde_json::{Value, json};
use server::bind::Binding;
use server::http::connection::Limits;
use std::io::{Read as _, Write as _};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const HONEST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const ATTACKER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// A fleet file that remembers what was bound.
pub(crate) struct Bound(pub(crate) Arc<Mutex<Vec<Binding>>>);

impl server::Fleet for Bound {
    fn changed(&mut self) -> bool {
        false
    }
    fn compile(&mut self) -> Result<String, String> {
        Ok("compiled".into())
    }
    fn bind(&mut self, binding: &Binding) -> Result<String, String> {
        self.0.lock().unwrap().push(binding.clone());
        Ok("bound".into())
    }
}

/// An inventory with this MAC address and switch port.
fn hardware(board: &str, mac: &str, port: &str) -> Value {
    let mut inventory = inventory(board);
    inventory["hardware"]["nics"][0]["mac"] = mac.into();
    inventory["hardware"]["nics"][0]["neighbour"]["port"] = port.into();
    inventory
}

fn post(server: &Server, from: Ipv4Addr, inventory: &Value) -> u16 {
    server.ask_from(from, "POST", "/v1/inventory", "", inventory.to_string().as_bytes()).status
}

fn order(server: &Server, wanted: &Value) -> (u16, String) {
    let authorization = format!("Authorization: Bearer {OPERATOR}\r\n");
    let answer = server.ask("POST", "/v1/bind", &authorization, wanted.to_string().as_bytes());
    (answer.status, answer.text())
}

#[test]
fn bind_takes_what_was_shown_and_says_when_it_changed() {
    let world = World::new();
    let bound = Arc::default();
    let server = world.start_fleet(Box::new(Bound(Arc::clone(&bound))));
    let (mac, forged) = ("52:54:00:00:00:05", "52:54:00:00:00:66");
    assert_eq!(post(&server, HONEST, &hardware("NEW", mac, "Ethernet5")), 204);
    let shown = server.get("/v1/status").json()["unknown"][0].clone();
    let mut wanted =
        json!({"id": shown["id"], "digest": shown["digest"], "rack": "r1", "bay": 5, "role": "compute"});

    // Somebody else posts under its serial number: it is told, and what was shown is bound.
    for _ in 0..3 {
        assert_eq!(post(&server, ATTACKER, &hardware("NEW", forged, "Ethernet1")), 204);
    }
    let status = server.get("/v1/status").json();
    let now = &status["unknown"][0];
    assert_eq!(
        (&now["digest"], &now["address"], &now["place"]),
        (&shown["digest"], &json!("127.0.0.2"), &json!(null))
    );
    assert_eq!(now["conflicts"][0]["address"], "127.0.0.3");
    assert_eq!(now["conflicts"][0]["hardware"]["nics"][0]["mac"], forged);
    let detail = server.get("/v1/sleds/hw:board-NEW").json();
    assert_eq!(detail["report"]["hardware"]["nics"][0]["mac"], mac);
    assert_eq!(detail["history"].as_array().map(Vec::len), Some(2), "{detail:#}");
    assert_eq!(order(&server, &wanted).0, 200);
    let macs = |binding: &Binding| binding.hardware.macs().map(|mac| mac.to_string()).collect::<Vec<_>>();
    assert_eq!(bound.lock().unwrap().iter().map(macs).collect::<Vec<_>>(), [[mac]]);
    assert!(server.lines.lock().unwrap().iter().any(|line| line == "the operator, from 127.0.0.1: bound"));

    // What is behind the id has changed since it was shown, or was never shown.
    assert_eq!(post(&server, HONEST, &hardware("NEW", mac, "Ethernet6")), 204);
    let (status, why) = order(&server, &wanted);
    assert!(status == 409 && why.contains("look again"), "{status} {why}");
    wanted.as_object_mut().unwrap().remove("digest");
    assert_eq!(order(&server, &wanted).0, 400);
    assert_eq!(bound.lock().unwrap().len(), 1);
}

#[test]
fn a_bay_that_has_a_sled_is_bound_only_when_that_is_said() {
    let world = World::new();
    let bound = Arc::default();
    let server = world.start_fleet(Box::new(Bound(Arc::clone(&bound))));
    assert_eq!(server.report("r1-b01", &world.token(1), &ready("ZM1", "Ethernet1")).status, 204);
    // By a forged neighbour it looks as if it sat there.
    assert_eq!(post(&server, ATTACKER, &hardware("EVIL", "52:54:00:00:00:66", "Ethernet1")), 204);
    let shown = server.get("/v1/status").json()["unknown"][0].clone();
    assert_eq!((&shown["place"], &shown["occupant"]), (&json!(["r1", 1]), &json!("r1-b01")));
    let mut wanted = json!({"id": shown["id"], "digest": shown["digest"], "rack": "r1", "bay": 1});
    let (status, why) = order(&server, &wanted);
    assert!(status == 409 && why.contains("the place of r1-b01, which is ready"), "{status} {why}");
    assert!(bound.lock().unwrap().is_empty());
    wanted["replace"] = true.into();
    assert_eq!(order(&server, &wanted).0, 200);
    assert_eq!(bound.lock().unwrap().len(), 1);
}

#[test]
fn like_serial_numbers_are_not_one_machine() {
    let world = World::new();
    let server = world.start();
    for board in ["AB/12", "AB-12", "AB 12", "AB_2F12"] {
        assert_eq!(post(&server, HONEST, &inventory(board)), 204);
    }
    assert_eq!(server.get("/v1/status").json()["unknown"].as_array().map(Vec::len), Some(4));
}

#[test]
fn a_flood_of_inventories_evicts_nobody_and_fills_nothing() {
    let world = World::new();
    let server = world.start();
    assert_eq!(post(&server, HONEST, &inventory("HONEST")), 204);
    let mut large = inventory("LARGE");
    large["hardware"]["padding"] = "x".repeat(1 << 20).into();
    assert_eq!(post(&server, ATTACKER, &large), 413);
    // As long as one may be, of which little is kept.
    for n in 0..400 {
        let mut large = inventory(&format!("FLOOD-{n}"));
        large["keys"] = vec!["k".repeat(200); 300].into();
        assert_eq!(post(&server, ATTACKER, &large), 204);
    }
    let status = server.get("/v1/status").json();
    assert_eq!(status["unknown"][0]["id"], "hw:board-HONEST", "who waits longest comes first");
    assert_eq!(status["counts"]["unknown"], 129);
    let size = std::fs::metadata(world.path("state.redb")).unwrap().len();
    assert!(size < 16 << 20, "{size} bytes");
    // Page by page, each once.
    let mut ids: Vec<_> = status["unknown"].as_array().unwrap().iter().map(|u| u["id"].to_string()).collect();
    let mut next = status["unknown_next"].as_str().map(str::to_owned);
    while let Some(after) = next {
        let page = server.get(&format!("/v1/unknown?after={after}")).json();
        ids.extend(page["unknown"].as_array().unwrap().iter().map(|u| u["id"].to_string()));
        next = page["next"].as_str().map(str::to_owned);
    }
    let different: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!((ids.len(), different.len()), (129, 129));
    assert_eq!(server.get("/v1/unknown?after=x").status, 400);
}

#[test]
fn a_store_of_an_older_server_and_one_that_was_emptied_become_smaller() {
    let world = World::new();
    let path = world.path("state.redb");
    {
        let reports: redb::TableDefinition<'_, &str, &[u8]> = redb::TableDefinition::new("reports");
        let database = redb::Database::create(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        for n in 0..40 {
            let body = vec![b' '; 1_000_000];
            transaction.open_table(reports).unwrap().insert(&*format!("hw:board-{n}"), &*body).unwrap();
        }
        transaction.commit().unwrap();
    }
    let size = || std::fs::metadata(&path).unwrap().len();
    assert!(size() > 40_000_000);
    let server = world.start();
    assert!(size() < 8_000_000, "{}", size());
    assert_eq!(post(&server, HONEST, &inventory("NEW")), 204);
}

#[test]
fn one_address_does_not_take_all_streams_of_events() {
    let world = World::new();
    let server = world.start();
    let stream = |from| {
        let mut stream = connect_from(server.address(), from);
        stream.write_all(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        (String::from_utf8_lossy(&head).into_owned(), stream)
    };
    let many: Vec<_> = (0..60).map(|_| stream(ATTACKER)).collect();
    let taken = many.iter().filter(|(head, _)| head == "HTTP/1.1 200").count();
    assert_eq!(taken, Limits::default().streams_per_address);
    assert_eq!(stream(HONEST).0, "HTTP/1.1 200");
    drop(many);
    let mut tries = 0;
    while stream(ATTACKER).0 != "HTTP/1.1 200" {
        tries += 1;
        assert!(tries < 3000, "who has gone has no place any more");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn other_names_other_pages_and_other_types_are_refused() {
    let world = World::new();
    let server = world.start();
    let raw = |method: &str, path: &str, headers: &str| {
        let mut stream = connect(server.address());
        let body = inventory("X").to_string();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).unwrap();
        finish(stream).unwrap().status
    };
    for path in ["/v1/status", "/v1/board/ZM1.json", "/v1/events", "/images/compute/1/usr.squashfs", "/"] {
        assert_eq!(raw("GET", path, "Host: evil.test\r\n"), 421, "{path}");
        assert_eq!(raw("GET", path, "Host: 127.0.0.1\r\nOrigin: http://evil.test\r\n"), 403, "{path}");
    }
    for host in ["127.0.0.1", "localhost:8080", "10.0.0.1:8080", "rack.test", "[::1]"] {
        assert_eq!(raw("GET", "/v1/board/ZM1.json", &format!("Host: {host}\r\n")), 200, "{host}");
    }
    let post = |headers: &str| raw("POST", "/v1/inventory", &format!("Host: 127.0.0.1\r\n{headers}"));
    assert_eq!(post("Content-Type: text/plain\r\n"), 415);
    assert_eq!(post(""), 415);
    assert_eq!(post(&format!("{JSON}Origin: null\r\n")), 403);
    assert_eq!(server.get("/v1/status").json()["unknown"], json!([]), "nothing was kept");
    assert_eq!(post(&format!("{JSON}Origin: http://127.0.0.1\r\n")), 204);
}

#[test]
fn whoever_asks_for_anything_changes_no_state() {
    let world = World::new();
    let server = world.start();
    assert_eq!(server.report("r1-b01", &world.token(1), &ready("ZM1", "Ethernet1")).status, 204);
    let before = (server.sled("r1-b01"), server.sled("r1-b02"));
    for agent in ["sledos/1", "iPXE/1.21.1", "curl/8"] {
        for path in [
            "/v1/board/ZM1.json",
            "/v1/board/ZM2.json",
            "/v1/ipxe/mac/52-54-00-00-00-02.ipxe",
            "/v1/report/r1-b01",
        ] {
            for method in ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"] {
                server.ask(method, path, &format!("User-Agent: {agent}\r\n"), b"");
            }
        }
    }
    let status = server.until("told", |status| status["sleds"][1]["asked"].is_object());
    for (old, new) in [(before.0, &status["sleds"][0]), (before.1, &status["sleds"][1])] {
        for key in ["state", "since", "heard", "detail", "code", "address", "findings"] {
            assert_eq!(old[key], new[key], "{key}");
        }
    }
    let history = server.get("/v1/sleds/r1-b02").json()["history"].clone();
    assert_eq!(history, json!([]));
    assert_eq!(server.ask("TRACE", "/v1/status", "", b"").status, 405);
}
