//! The loop in a world of its own, where time passes only when it waits.

mod fresh;

use super::judge::tests::{NOW, Signer, document, hardware, tombstone};
use super::world::{Answer, Inventory, Network};
use super::*;
use crate::clock::Time;
use crate::http::{self, Client, Limits};
use metadata::document::SwitchPort;
use metadata::layout::WORDS;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

type Serve<'a> = Box<dyn FnMut(&str, u64) -> Result<Answer, http::Error> + 'a>;

/// A world: what its servers answer and how its network is depends on the time.
struct Fake<'a> {
    now: Duration,
    serve: Serve<'a>,
    network: fn(u64) -> Network,
    hardware: fn(u64) -> Hardware,
    servers: Vec<String>,
    asked: Vec<(u64, String)>,
    said: Vec<(u64, String)>,
    posted: Vec<(u64, String)>,
    /// What the clock says at the start, and whether that is believed.
    clock: Time,
    /// How many nonces there were.
    nonces: u8,
    /// When it is given up, in seconds.
    end: Option<u64>,
}

impl<'a> Fake<'a> {
    fn new(serve: impl FnMut(&str, u64) -> Result<Answer, http::Error> + 'a) -> Self {
        Self {
            now: Duration::ZERO,
            serve: Box::new(serve),
            network: |_| Network { link: true, ready: true, diagnosis: vec![] },
            hardware: |_| hardware(),
            servers: vec!["http://a".into()],
            asked: vec![],
            said: vec![],
            posted: vec![],
            clock: Time { least: NOW, believable: true },
            nonces: 0,
            end: None,
        }
    }

    /// When lines that contain this were said.
    fn times(&self, part: &str) -> Vec<u64> {
        self.said.iter().filter(|(_, line)| line.contains(part)).map(|(at, _)| *at).collect()
    }

    fn says(&self, part: &str) -> bool {
        !self.times(part).is_empty()
    }
}

impl World for Fake<'_> {
    fn now(&self) -> Duration {
        self.now
    }
    fn clock(&self) -> Time {
        Time { least: self.clock.least + self.now.as_secs(), ..self.clock }
    }
    fn told(&mut self, seconds: u64) {
        self.clock = Time { least: seconds - self.now.as_secs(), believable: true };
    }
    fn nonce(&mut self) -> Option<[u8; 16]> {
        self.nonces += 1;
        Some([self.nonces; 16])
    }
    fn random(&mut self) -> u64 {
        // In the middle of every bound.
        1 << 63
    }
    fn say(&mut self, line: &str) {
        self.said.push((self.now.as_secs(), line.to_owned()));
    }
    fn hardware(&mut self) -> Hardware {
        (self.hardware)(self.now.as_secs())
    }
    fn servers(&mut self) -> Vec<String> {
        self.servers.clone()
    }
    fn network(&mut self) -> Network {
        (self.network)(self.now.as_secs())
    }
    fn wait(&mut self, at_most: Duration) -> bool {
        assert!(self.now.as_secs() < 100_000, "it never ends: {:?}", self.said);
        let before = ((self.network)(self.now.as_secs()), (self.hardware)(self.now.as_secs()));
        let end = self.now + at_most.max(Duration::from_millis(1));
        while self.now < end {
            self.now = end.min(self.now + Duration::from_secs(1));
            if ((self.network)(self.now.as_secs()), (self.hardware)(self.now.as_secs())) != before {
                return true;
            }
        }
        false
    }
    fn interrupted(&mut self) -> bool {
        self.end.is_some_and(|end| self.now.as_secs() >= end)
    }
    fn get(&mut self, url: &str, _: usize) -> Result<Answer, http::Error> {
        self.asked.push((self.now.as_secs(), url.to_owned()));
        (self.serve)(url, self.now.as_secs())
    }
    fn inventory(&mut self, state: State, keys: &[String]) -> Inventory {
        Inventory { json: format!("{} {}", state.word(), keys.len()), lines: vec!["2 NICs".into()] }
    }
    fn post_inventory(&mut self, json: &str) -> Vec<String> {
        self.posted.push((self.now.as_secs(), json.to_owned()));
        vec![]
    }
}

/// A document as it lies on a server.
struct Signed(Vec<u8>, String);

impl Signed {
    fn new(signer: &Signer, generation: u64) -> Self {
        Self::bytes(signer, serde_json::to_vec(&document(generation)).unwrap())
    }

    fn bytes(signer: &Signer, bytes: Vec<u8>) -> Self {
        let minisig = signer.sign(&bytes);
        Self(bytes, minisig)
    }

    /// Answers for the key by board only.
    fn at(&self, url: &str) -> Result<Answer, http::Error> {
        let body = match url.split_once("/v1/board/ZM1.json") {
            Some((_, "")) => self.0.clone(),
            Some((_, ".minisig")) => self.1.clone().into_bytes(),
            _ => return status(404),
        };
        Ok(Answer { status: 200, body, ..Answer::default() })
    }
}

fn status(status: u16) -> Result<Answer, http::Error> {
    Ok(Answer { status, ..Answer::default() })
}

fn down() -> Result<Answer, http::Error> {
    Err(http::Error::Refused("10.0.0.1:80".parse().unwrap()))
}

fn settings(signer: &Signer) -> Settings {
    Settings::new(vec![signer.trusted()], WORDS.map(str::to_owned).to_vec())
}

fn stored(signer: &Signer, generation: u64) -> (tempfile::TempDir, Store) {
    let var = tempfile::tempdir().unwrap();
    let store = Store::new(Some(var.path()));
    let signed = Signed::new(signer, generation);
    let mut world = Fake::new(|url, _| signed.at(url));
    run(&mut world, &store, &settings(signer));
    drop(world);
    (var, store)
}

#[test]
fn keys_are_tried_in_order_until_one_is_there() {
    let signer = Signer::new();
    let signed = Signed::new(&signer, 7);
    let mut world = Fake::new(|url, _| signed.at(url));
    world.hardware = |_| Hardware { location: Some(("r1".into(), 7)), ..hardware() };
    let got = run(&mut world, &Store::new(None), &settings(&signer)).unwrap();
    let asked: Vec<_> = world.asked.iter().map(|(_, url)| url.as_str()).collect();
    assert_eq!(
        asked,
        [
            "http://a/v1/location/r1/7.json",
            "http://a/v1/board/ZM1.json",
            "http://a/v1/board/ZM1.json.minisig"
        ]
    );
    let id = signer.trusted().id();
    assert_eq!(got.to_string(), format!("r1-b7 generation 7 from http://a by board ZM1, signed by {id}"));
}

#[test]
fn an_unknown_sled_shows_and_posts_its_inventory_and_keeps_asking_until_it_is_known() {
    let signer = Signer::new();
    let signed = Signed::new(&signer, 7);
    let mut world = Fake::new(|url, now| if now < 1500 { status(404) } else { signed.at(url) });
    // A neighbour is heard after a minute: that is a change.
    world.hardware = |now| match now {
        0..60 => hardware(),
        _ => Hardware {
            switch_ports: vec![SwitchPort { chassis: "c".into(), port: "p".into() }],
            ..hardware()
        },
    };
    run(&mut world, &Store::new(None), &settings(&signer));
    assert!(world.says(
        "metadata: unknown sled: http://a has no document for board ZM1, product P1, mac 02:00:00:00:00:01"
    ));
    let posts: Vec<_> = world.posted.iter().map(|(at, json)| (*at / 60, json.as_str())).collect();
    assert_eq!(posts[..2], [(0, "unknown 3"), (1, "unknown 4")]);
    // Then every ten minutes, at the next question.
    assert_eq!(posts.len(), 4, "{posts:?}");
    assert_eq!(world.times("inventory: 2 NICs").len(), 2);
    // At half of 60 s: 25 min are about 50 questions.
    let questions = world.asked.iter().filter(|(_, url)| url.ends_with("/board/ZM1.json")).count();
    assert!((45..65).contains(&questions), "{questions}");
    let unknown = world.times("unknown sled");
    assert!(unknown.windows(2).all(|pair| pair[1] - pair[0] >= 55), "{unknown:?}");
}

#[test]
fn a_server_that_is_down_for_two_minutes_is_asked_more_and_more_rarely() {
    let signer = Signer::new();
    let signed = Signed::new(&signer, 7);
    let mut world = Fake::new(|url, now| if now < 120 { down() } else { signed.at(url) });
    let got = run(&mut world, &Store::new(None), &settings(&signer)).unwrap();
    assert!(matches!(got.source, Source::Server { .. }));
    assert!(world.says("metadata: http://a/v1/board/ZM1.json: connection refused by 10.0.0.1:80"));
    let times: Vec<_> = world.asked.iter().map(|(at, _)| *at).filter(|at| *at < 120).collect();
    assert_eq!(times, [0, 0, 1, 3, 7, 15, 31, 61, 91]);
    assert!(world.posted.is_empty(), "nobody said that it is unknown");
}

#[test]
fn a_refusal_is_said_by_name_and_the_next_source_is_tried() {
    let (signer, thief) = (Signer::new(), Signer::new());
    let (good, forged) = (Signed::new(&signer, 7), Signed::new(&thief, 8));
    let mut other = document(7);
    other.head.identity.board_serial = Some("ZM9".into());
    let other = Signed::bytes(&signer, serde_json::to_vec(&other).unwrap());
    let unsigned = |url: &str| if url.ends_with(".minisig") { status(404) } else { good.at(url) };
    let mut world = Fake::new(|url, _| match &url[..8] {
        "http://a" => forged.at(url),
        "http://b" => other.at(url),
        "http://c" => unsigned(url),
        "http://d" => status(500),
        _ => good.at(url),
    });
    world.servers = ["http://a", "http://b", "http://c", "http://d", "http://e"].map(str::to_owned).into();
    let got = run(&mut world, &Store::new(None), &settings(&signer)).unwrap();
    assert_eq!(got.source, Source::Server { server: "http://e".into(), key: "board ZM1".into() });
    assert!(world.says("metadata: http://a/v1/board/ZM1.json is refused: unknown key: signed by "));
    assert!(world.says("metadata: http://b/v1/board/ZM1.json is refused: another sled's document: "));
    assert!(
        world.says("metadata: http://c/v1/board/ZM1.json is refused: bad signature: there is no .minisig")
    );
    assert!(world.says("metadata: http://d/v1/board/ZM1.json: the server answers 500"));
    assert!(!world.says("unknown sled"));
}

#[test]
fn the_last_good_server_is_asked_first_at_the_next_boot() {
    let signer = Signer::new();
    let (_var, store) = stored(&signer, 7);
    let newer = Signed::new(&signer, 8);
    let mut world = Fake::new(|url, _| newer.at(url));
    world.servers = vec!["http://b".into(), "http://a".into()];
    let got = run(&mut world, &store, &settings(&signer)).unwrap();
    assert_eq!(got.source, Source::Server { server: "http://a".into(), key: "board ZM1".into() });
    assert_eq!(store.memory().seen["r1-b7"], 8);
    assert_eq!(store.load().unwrap().unwrap().document, newer.0);
}

#[test]
fn when_nobody_answers_the_stored_document_is_used_after_its_time() {
    let signer = Signer::new();
    let (_var, store) = stored(&signer, 7);
    let mut world = Fake::new(|_, _| down());
    // The link comes up after 5 s, its address after 10 s.
    world.network =
        |now| Network { link: now >= 5, ready: now >= 10, diagnosis: vec!["eth0: no carrier".into()] };
    let got = run(&mut world, &store, &settings(&signer)).unwrap();
    assert_eq!(world.now.as_secs(), 35);
    assert_eq!(got.to_string(), "r1-b7 generation 7 from /var, stored earlier: no server answered for 35 s");
    // Without a link it takes longer.
    let mut world = Fake::new(|_, _| down());
    world.network = |_| Network { diagnosis: vec!["eth0: no carrier".into()], ..Network::default() };
    run(&mut world, &store, &settings(&signer));
    assert_eq!(world.now.as_secs(), 60);
    assert!(world.asked.is_empty());
}

#[test]
fn an_expired_document_comes_from_the_store_only_and_is_said_to_be_expired() {
    let signer = Signer::new();
    let (_var, store) = stored(&signer, 7);
    let mut expired = document(7);
    expired.head.expires = NOW;
    let expired = Signed::bytes(&signer, serde_json::to_vec(&expired).unwrap());
    store.save(&expired.0, &expired.1, &store.memory()).unwrap();
    let mut world = Fake::new(|url, _| expired.at(url));
    let got = run(&mut world, &store, &settings(&signer)).unwrap();
    assert!(world.says("http://a/v1/board/ZM1.json is refused: expired: at 2027-01-15T08:00:00Z"));
    assert_eq!(
        got.to_string(),
        "r1-b7 generation 7 from /var, stored earlier: no server answered for 30 s; it expired at 2027-01-15T08:00:00Z"
    );
}

#[test]
fn an_older_generation_is_refused_and_the_stored_one_used() {
    let signer = Signer::new();
    let (_var, store) = stored(&signer, 7);
    let older = Signed::new(&signer, 6);
    let mut world = Fake::new(|url, _| older.at(url));
    let got = run(&mut world, &store, &settings(&signer)).unwrap();
    assert!(world.says("is refused: older generation replayed: seen 7, offered 6"));
    assert_eq!(
        (got.document.head.generation, got.source),
        (7, Source::Stored { silence: Duration::from_secs(30) })
    );
}

#[test]
fn a_server_that_does_not_know_the_sled_keeps_it_from_the_stored_document() {
    let signer = Signer::new();
    let (_var, store) = stored(&signer, 7);
    let newer = Signed::new(&signer, 8);
    let mut world = Fake::new(|url, now| if now < 600 { status(404) } else { newer.at(url) });
    assert_eq!(run(&mut world, &store, &settings(&signer)).unwrap().document.head.generation, 8);
    assert!(world.now.as_secs() >= 600);
}

#[test]
fn a_retired_sled_does_not_come_up_neither_now_nor_later_without_servers() {
    let signer = Signer::new();
    let (_var, store) = stored(&signer, 7);
    let (dead, again) = (Signed::bytes(&signer, tombstone(8)), Signed::new(&signer, 9));
    // Then the server is gone, and at last somebody takes the sled in again.
    let mut world = Fake::new(|url, now| match now {
        0..100 => dead.at(url),
        100..600 => down(),
        _ => again.at(url),
    });
    let got = run(&mut world, &store, &settings(&signer)).unwrap();
    assert!(world.says(
        "is refused: retired: this hardware was r1-b7 and is not to come back (replaced by board ZM2)"
    ));
    assert_eq!(world.posted[0].1, "retired 3");
    assert!(world.says("metadata: the stored document is refused: retired: "));
    assert_eq!(got.document.head.generation, 9);
}

#[test]
fn retry_after_is_waited_for() {
    let signer = Signer::new();
    let signed = Signed::new(&signer, 7);
    let busy = |after| Answer { status: 503, retry_after: Some(Duration::from_secs(after)), body: vec![] };
    let mut world = Fake::new(|url, now| match now {
        0..50 => Ok(busy(50)),
        50..4000 => Ok(busy(9999)),
        _ => signed.at(url),
    });
    run(&mut world, &Store::new(None), &settings(&signer));
    let times: Vec<_> = world.asked.iter().map(|(at, _)| *at).collect();
    assert_eq!(times[..3], [0, 50, 3651]);
    assert!(world.says("the server answers 503, asks to come back in 50 s"));
    assert!(world.says("metadata: http://a: Retry-After of 9999 s is cut to 3600 s"));
}

#[test]
fn what_the_network_lacks_is_said_when_it_changes_and_every_half_minute() {
    let signer = Signer::new();
    let signed = Signed::new(&signer, 7);
    let mut world = Fake::new(|url, _| signed.at(url));
    world.network = |now| {
        let line = if now < 70 { "eth0: no carrier" } else { "eth0: BPDUs heard, no offer" };
        Network { link: now >= 70, ready: now >= 110, diagnosis: vec![line.into()] }
    };
    run(&mut world, &Store::new(None), &settings(&signer));
    assert_eq!(world.times("network: eth0: no carrier"), [0, 30, 60]);
    assert_eq!(world.times("network: eth0: BPDUs heard, no offer"), [70, 100]);
    assert_eq!(world.now.as_secs(), 110);
}

#[test]
fn a_neighbour_that_is_heard_late_is_asked_by_at_once() {
    let signer = Signer::new();
    let mut by_port = document(7);
    by_port.head.identity.switch_ports = vec![SwitchPort { chassis: "c".into(), port: "p".into() }];
    by_port.head.identity.board_serial = Some("ZM0".into());
    let signed = Signed::bytes(&signer, serde_json::to_vec(&by_port).unwrap());
    // Only under the port.
    let mut world = Fake::new(|url, _| match url.replace("/v1/switch/c/p.json", "/v1/board/ZM1.json") {
        same if same == url => status(404),
        other => signed.at(&other),
    });
    world.hardware = |now| Hardware {
        switch_ports: if now < 500 {
            vec![]
        } else {
            vec![SwitchPort { chassis: "c".into(), port: "p".into() }]
        },
        ..hardware()
    };
    let got = run(&mut world, &Store::new(None), &settings(&signer)).unwrap();
    assert!((500..502).contains(&world.now.as_secs()), "{}", world.now.as_secs());
    assert_eq!(got.notes, ["board ZM1 sits where ZM0 was"]);
}

#[test]
fn a_document_is_kept_later_when_there_was_no_var() {
    let signer = Signer::new();
    let signed = Signed::new(&signer, 7);
    let mut world = Fake::new(|url, _| signed.at(url));
    let got = run(&mut world, &Store::new(None), &settings(&signer)).unwrap();
    let var = tempfile::tempdir().unwrap();
    let store = Store::new(Some(var.path()));
    got.keep(&store).unwrap();
    assert_eq!(store.load().unwrap().unwrap().document, signed.0);
    assert_eq!(store.memory().server.as_deref(), Some("http://a"));
}

#[test]
fn a_server_killed_in_the_middle_of_a_document_is_asked_again() {
    let signer = Signer::new();
    let signed = Signed::new(&signer, 7);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let (document, minisig) = (signed.0.clone(), signed.1.clone());
    std::thread::spawn(move || {
        let mut broken = false;
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let mut line = String::new();
            let mut reader = BufReader::new(socket.try_clone().unwrap());
            reader.read_line(&mut line).unwrap();
            let mut rest = String::new();
            while reader.read_line(&mut rest).unwrap() > 2 {}
            let (code, body) = match line.split(' ').nth(1).unwrap() {
                "/v1/board/ZM1.json" => (200, document.as_slice()),
                "/v1/board/ZM1.json.minisig" => (200, minisig.as_bytes()),
                _ => (404, &b""[..]),
            };
            let sent = if broken { body.len() } else { body.len() / 2 };
            broken = true;
            let head = format!("HTTP/1.1 {code} x\r\nContent-Length: {}\r\n\r\n", body.len());
            socket.write_all(&[head.as_bytes(), &body[..sent]].concat()).unwrap();
        }
    });
    let client = Client::new(Limits::default());
    let mut world = Fake::new(move |url, _| world::get(&client, url, 100_000));
    world.servers = vec![server.clone()];
    let got = run(&mut world, &Store::new(None), &settings(&signer)).unwrap();
    assert_eq!(got.source, Source::Server { server, key: "board ZM1".into() });
    let (half, all) = (signed.0.len() / 2, signed.0.len());
    assert!(world.says(&format!(": closed after {half} of {all} bytes")), "{:?}", world.said);
}

/// A server with this document for what sits in a bay and this one for the board ZM1.
fn bay_and_board(bay: &Signed, board: &Signed, url: &str) -> Result<Answer, http::Error> {
    match url.replace("/v1/switch/c/p.json", "/v1/board/ZM1.json") {
        same if same == url => board.at(url),
        other => bay.at(&other),
    }
}

/// The hardware of these tests in the bay behind a switch port, and a document for that bay.
fn in_a_bay(signer: &Signer, generation: u64) -> (fn(u64) -> Hardware, Signed) {
    let port = || SwitchPort { chassis: "c".into(), port: "p".into() };
    let mut document = document(generation);
    document.head.identity.switch_ports = vec![port()];
    document.head.identity.board_serial = Some("ZM0".into());
    let hardware: fn(u64) -> Hardware = |_| Hardware {
        switch_ports: vec![SwitchPort { chassis: "c".into(), port: "p".into() }],
        ..hardware()
    };
    (hardware, Signed::bytes(signer, serde_json::to_vec(&document).unwrap()))
}

#[test]
fn retired_hardware_does_not_come_up_in_a_bay_that_is_known() {
    let signer = Signer::new();
    let (hardware, bay) = in_a_bay(&signer, 7);
    let (dead, alive) = (Signed::bytes(&signer, tombstone(8)), Signed::new(&signer, 9));
    let mut world = Fake::new(|url, now| bay_and_board(&bay, if now < 1000 { &dead } else { &alive }, url));
    world.hardware = hardware;
    let got = run(&mut world, &Store::new(None), &settings(&signer)).unwrap();
    assert!(world.now.as_secs() >= 1000, "it came up at {} s", world.now.as_secs());
    assert!(world.posted.iter().all(|(_, json)| json.starts_with("retired ")), "{:?}", world.posted);
    assert_eq!(got.document.head.generation, 7, "the bay's document, once the board is not retired");
}

#[test]
fn retired_is_said_though_another_server_does_not_know_the_sled() {
    let signer = Signer::new();
    let (dead, again) = (Signed::bytes(&signer, tombstone(8)), Signed::new(&signer, 9));
    for servers in [["http://a", "http://b"], ["http://b", "http://a"]] {
        let mut world = Fake::new(|url, now| match (now, url.starts_with("http://a")) {
            (0..500, true) => dead.at(url),
            (0..500, false) => status(404),
            _ => again.at(url),
        });
        world.servers = servers.map(str::to_owned).to_vec();
        run(&mut world, &Store::new(None), &settings(&signer)).unwrap();
        assert!(!world.posted.is_empty());
        assert!(world.posted.iter().all(|(_, json)| json.starts_with("retired ")), "{:?}", world.posted);
    }
}

#[test]
fn what_it_asks_by_is_said_once_and_again_when_it_changes() {
    let signer = Signer::new();
    let signed = Signed::new(&signer, 7);
    let mut world = Fake::new(|url, now| if now < 900 { status(404) } else { signed.at(url) });
    world.hardware = |now| Hardware { product: (now >= 500).then(|| "PR1".into()), ..hardware() };
    run(&mut world, &Store::new(None), &settings(&signer)).unwrap();
    let times = world.times("metadata: asks by");
    assert_eq!(times.len(), 2, "{:?}", world.said);
    assert!(times[0] == 0 && times[1] >= 500);
}

#[test]
fn that_no_server_is_known_is_said() {
    let signer = Signer::new();
    let signed = Signed::new(&signer, 7);
    let (_var, store) = stored(&signer, 7);
    let mut world = Fake::new(|url, _| signed.at(url));
    world.servers = vec![];
    run(&mut world, &store, &settings(&signer)).unwrap();
    assert!(world.says("metadata: no server is known"));
    let mut world = Fake::new(|url, _| signed.at(url));
    run(&mut world, &Store::new(None), &settings(&signer)).unwrap();
    assert!(!world.says("metadata: no server is known"));
}
