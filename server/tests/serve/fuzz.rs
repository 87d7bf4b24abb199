//! Random requests to a server that runs, none of them with a token that is one, and an
//! oracle that holds after each round what there is against what there was.

use super::attacks::Bound;
use super::support::{JSON, Server, World, connect, inventory, ready};
use serde_json::{Value, json};
use server::http::connection::Limits;
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

/// Requests between two looks of the oracle.
const ROUND: u64 = 100;

/// How long the server waits for the rest of a request.
const SHORT: Duration = Duration::from_millis(500);

/// xorshift64* (Vigna 2016): the same requests in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap();
        high % end
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    /// Some bytes are others, are gone, or are there twice.
    fn mutated(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = bytes.to_vec();
        for _ in 0..self.below(4) {
            let at = self.below(out.len().max(1));
            match self.below(3) {
                0 if at < out.len() => out[at] = u8::try_from(self.below(256)).unwrap(),
                1 if at < out.len() => drop(out.drain(at..(at + 1 + self.below(8)).min(out.len()))),
                _ => {
                    let copy = out[at.min(out.len())..].to_vec();
                    out.extend(copy.iter().take(1024));
                }
            }
        }
        out
    }
}

const METHODS: [&str; 10] = ["GET", "GET", "HEAD", "POST", "POST", "POST", "PUT", "DELETE", "TRACE", "BREW"];
const PATHS: [&str; 22] = [
    "/",
    "/v1/status",
    "/v1/unknown",
    "/v1/unknown?after=1.hw:board-A1",
    "/v1/unknown?after=",
    "/v1/fresh/r1-b01?nonce=00112233445566778899aabbccddeeff",
    "/v1/fresh/unknown",
    "/v1/sleds/r1-b01",
    "/v1/sleds/hw:board-A1",
    "/v1/report/r1-b01",
    "/v1/report/r1-b02",
    "/v1/report/unknown",
    "/v1/inventory",
    "/v1/bind",
    "/v1/board/ZM1.json",
    "/v1/ipxe/mac/52-54-00-00-00-01.ipxe",
    "/v1/fleet.json",
    "/images/compute/1/usr.squashfs",
    "/images/../state.redb",
    "/metrics",
    "/page/app.js",
    "//%2e%2e/%00",
];
const HEADERS: [&str; 11] = [
    "Content-Type: application/json",
    "Content-Type: application/json",
    "Content-Type: text/plain",
    "User-Agent: sledos/1",
    "User-Agent: iPXE/1.21",
    "Authorization: Bearer x",
    "Authorization: Basic eDp5",
    "Origin: http://evil.test",
    "Range: bytes=5-1",
    "If-None-Match: *",
    "Expect: 100-continue",
];

fn body(random: &mut Random, digest: &str) -> Vec<u8> {
    let board = format!("A{}1", random.below(4));
    let value = match random.below(5) {
        0 => inventory(&board),
        1 => ready("ZM1", "Ethernet1"),
        2 => json!({"report": 1, "event": "failed", "sled": "unknown", "failure": {"code": "\u{1b}[2J"},
                    "hardware": {"nics": {"length": 9}, "smbios": {"board_serial": board}}}),
        3 => json!({"id": "hw:board-A11", "digest": digest, "rack": "r1", "bay": 1, "replace": true}),
        _ => Value::Null,
    };
    let text = value.to_string().into_bytes();
    if random.below(2) == 0 { text } else { random.mutated(&text) }
}

/// What only who shows a token may change.
fn guarded(world: &World, server: &Server) -> Value {
    let mut sleds = server.get("/v1/status").json()["sleds"].clone();
    for sled in sleds.as_array_mut().unwrap() {
        sled.as_object_mut().unwrap().remove("asked");
        let detail = server.get(&format!("/v1/sleds/{}", sled["sled"].as_str().unwrap())).json();
        sled["all"] = json!([detail["facts"], detail["history"], detail["report"]]);
    }
    let mut files = BTreeMap::new();
    let mut dirs = vec![world.path("www"), world.path("images")];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                let meta = std::fs::metadata(&path).unwrap();
                files.insert(path, format!("{} {:?}", meta.len(), meta.modified()));
            }
        }
    }
    json!([sleds, files])
}

#[test]
fn nothing_without_a_token_changes_anything() {
    let count = std::env::var("SLEDOS_FUZZ_REQUESTS").map_or(2000, |text| text.parse().unwrap());
    let world = World::new();
    let bound = Arc::default();
    // A head that was broken in the middle is not waited for long.
    let limits = Limits { head: SHORT, body: SHORT, ..Limits::default() };
    let fleet = Box::new(Bound(Arc::clone(&bound)));
    let server = world.start_all(limits, Duration::from_secs(3600), Some(fleet));
    assert_eq!(server.report("r1-b01", &world.token(1), &ready("ZM1", "Ethernet1")).status, 204);
    assert_eq!(server.ask("POST", "/v1/inventory", "", inventory("A11").to_string().as_bytes()).status, 204);
    let digest = server.get("/v1/status").json()["unknown"][0]["digest"].as_str().unwrap().to_owned();
    let before = guarded(&world, &server);
    let mut random = Random(0x5eed);
    let mut statuses: BTreeMap<u16, u64> = BTreeMap::new();
    for n in 1..=count {
        let (method, body) = (random.one(&METHODS), body(&mut random, &digest));
        let path = match random.below(4) {
            0 => {
                String::from_utf8_lossy(&random.mutated(random_path(&mut Random(n)).as_bytes())).into_owned()
            }
            _ => random.one(&PATHS).to_owned(),
        };
        // A third as a sled or an operator would ask: what is behind the gate is reached, too.
        let fits = random.below(3) == 0;
        let (method, path) = if fits {
            (
                "POST",
                random
                    .one(&["/v1/inventory", "/v1/report/unknown", "/v1/report/r1-b01", "/v1/bind"])
                    .to_owned(),
            )
        } else {
            (method, path)
        };
        let host = if fits { "localhost" } else { random.one(&["localhost", "localhost", "evil.test"]) };
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
        if fits {
            head += JSON;
        }
        for _ in 0..if fits { 0 } else { random.below(4) } {
            head += &format!("{}\r\n", random.one(&HEADERS));
        }
        head += &format!("Content-Length: {}\r\n\r\n", body.len());
        let mut stream = connect(server.address());
        // It may be refused in the middle of it.
        let _ = stream.write_all(&[head.as_bytes(), &body].concat());
        let mut start = [0; 12];
        if stream.read_exact(&mut start).is_ok() {
            let status = String::from_utf8_lossy(&start[9..]).parse().unwrap_or_default();
            assert_ne!(status, 500, "{head}");
            *statuses.entry(status).or_default() += 1;
        }
        drop(stream);
        if n % ROUND == 0 {
            assert_eq!(guarded(&world, &server), before, "after {n} requests, the last of them {head}");
            assert!(bound.lock().unwrap().is_empty());
            assert!(server.get("/v1/status").json()["unknown"].as_array().unwrap().len() <= 100);
        }
    }
    let size = std::fs::metadata(world.path("state.redb")).unwrap().len();
    println!("{count} requests: {statuses:?}; store of {size} bytes");
    assert!(size < 64 << 20, "{size} bytes");
    assert!(
        statuses.get(&204).is_some_and(|n| *n > count / 200),
        "some get as far as they may: {statuses:?}"
    );
}

fn random_path(random: &mut Random) -> &'static str {
    random.one(&PATHS)
}
