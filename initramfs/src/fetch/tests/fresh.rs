//! Old documents, played back by whoever is between a sled and its server.

use super::super::judge::tests::{NOW, Signer, document};
use super::*;
use metadata::document::Freshness as Rule;
use metadata::fleet::sign::{self, new_key};
use metadata::freshness::Statement;
use metadata::values::Hash32;
use sha2::{Digest, Sha256};
use std::cell::RefCell;

const DAY: u64 = 86_400;

/// A server that says which document is the newest.
struct Online {
    key: sign::Signer,
    /// What its clock is ahead of the sled's in [`Fake`], in seconds.
    ahead: u64,
    newest: Signed,
}

impl Online {
    fn new(fleet: &Signer, generation: u64, required: bool) -> Self {
        let key = sign::Signer::parse(&new_key("online", None).unwrap().secret, None).unwrap();
        let newest = signed(fleet, generation, &key, required);
        Self { key, ahead: 0, newest }
    }

    fn answer(&self, url: &str, now: u64) -> Result<Answer, http::Error> {
        let Some((path, nonce)) = url.split_once("?nonce=") else { return self.newest.at(url) };
        let head = document_of(&self.newest).head;
        let sha256 = Hash32(Sha256::digest(&self.newest.0).into());
        let (sled, generation) = (path.rsplit('/').next().unwrap(), head.generation);
        let says = Statement { sled, nonce, time: NOW + now + self.ahead, generation, sha256 };
        Ok(Answer { status: 200, body: says.answer(&self.key).into_bytes(), ..Answer::default() })
    }
}

fn document_of(signed: &Signed) -> SledDocument {
    serde_json::from_slice(&signed.0).unwrap()
}

/// A document that names this key.
fn signed(fleet: &Signer, generation: u64, key: &sign::Signer, required: bool) -> Signed {
    let mut document = document(generation);
    document.freshness = Some(Rule { keys: vec![key.public().as_str().to_owned()], required });
    Signed::bytes(fleet, serde_json::to_vec(&document).unwrap())
}

fn is_question(url: &str) -> bool {
    url.contains("/v1/fresh/")
}

/// The sled gives up after this time, in seconds.
fn run_until(world: &mut Fake<'_>, store: &Store, settings: &Settings, end: u64) -> Option<Got> {
    world.end = Some(end);
    run(world, store, settings)
}

#[test]
fn the_newest_document_is_proven_with_a_number_of_its_own_and_said_to_be() {
    let fleet = Signer::new();
    let online = Online::new(&fleet, 7, true);
    let mut world = Fake::new(|url, now| online.answer(url, now));
    let got = run(&mut world, &Store::new(None), &settings(&fleet)).unwrap();
    assert_eq!(got.freshness, Freshness::Proven { at: NOW });
    assert!(got.to_string().ends_with("; proven fresh at 2027-01-15T08:00:00Z"), "{got}");
    let asked = &world.asked.last().unwrap().1;
    assert_eq!(*asked, format!("http://a/v1/fresh/r1-b7?nonce={}", "01".repeat(16)));
}

#[test]
fn an_old_document_with_its_old_answer_is_refused_by_a_sled_that_remembers_nothing() {
    let fleet = Signer::new();
    let mut online = Online::new(&fleet, 7, true);
    // Who is between them has kept all that generation 7 was handed out with.
    let tape = RefCell::new(std::collections::BTreeMap::new());
    let mut world = Fake::new(|url, now| {
        let answer = online.answer(url, now)?;
        let path = url.split('?').next().unwrap().to_owned();
        tape.borrow_mut().insert(path, answer.clone());
        Ok(answer)
    });
    run(&mut world, &Store::new(None), &settings(&fleet)).unwrap();
    drop(world);
    let Online { key, .. } = &online;
    online.newest = signed(&fleet, 8, key, true);

    // The document alone, and the question goes through: the server denies it.
    let old = |url: &str| {
        let path = url.split('?').next().unwrap();
        tape.borrow().get(path).cloned().map_or_else(|| status(404), Ok)
    };
    let mut world = Fake::new(|url, now| if is_question(url) { online.answer(url, now) } else { old(url) });
    assert_eq!(run_until(&mut world, &Store::new(None), &settings(&fleet), 100), None);
    assert!(world.says("is refused: not the newest: the server has generation 8, this is generation 7"));

    // With the answer that it had then.
    let mut world = Fake::new(|url, _| old(url));
    world.nonces = 40;
    assert_eq!(run_until(&mut world, &Store::new(None), &settings(&fleet), 100), None);
    let why = "is refused: not proven fresh: http://a: the answer is to another question";
    assert!(world.says(why), "{:?}", world.said);

    // When he is gone the sled comes up.
    let mut world = Fake::new(|url, now| if now < 60 { old(url) } else { online.answer(url, now) });
    world.nonces = 40;
    let got = run(&mut world, &Store::new(None), &settings(&fleet)).unwrap();
    assert_eq!(got.document.head.generation, 8);
}

#[test]
fn where_it_is_not_required_a_silent_server_is_said_and_one_that_denies_is_believed() {
    let fleet = Signer::new();
    let mut online = Online::new(&fleet, 7, false);
    let silent = |url: &str, now| if is_question(url) { status(404) } else { online.answer(url, now) };
    let mut world = Fake::new(silent);
    let got = run(&mut world, &Store::new(None), &settings(&fleet)).unwrap();
    assert!(got.to_string().ends_with("; not proven fresh: http://a answers 404"), "{got}");
    drop(world);
    let old = Signed(online.newest.0.clone(), online.newest.1.clone());
    let Online { key, .. } = &online;
    online.newest = signed(&fleet, 8, key, false);
    let mut world =
        Fake::new(|url, now| if is_question(url) { online.answer(url, now) } else { old.at(url) });
    assert_eq!(run_until(&mut world, &Store::new(None), &settings(&fleet), 100), None);
    assert!(world.says("not the newest"), "{:?}", world.said);
}

#[test]
fn a_document_of_before_there_was_freshness_is_refused_where_the_sled_itself_requires_it() {
    let fleet = Signer::new();
    let old = Signed::new(&fleet, 3);
    let mut world = Fake::new(|url, _| old.at(url));
    let got = run(&mut world, &Store::new(None), &settings(&fleet)).unwrap();
    assert_eq!(got.freshness, Freshness::Unknown("the document names no key for it".into()));
    assert!(!got.to_string().contains("fresh"), "a fleet without it: {got}");
    let strict = Settings { fresh_only: true, ..settings(&fleet) };
    let mut world = Fake::new(|url, _| old.at(url));
    assert_eq!(run_until(&mut world, &Store::new(None), &strict, 100), None);
    assert!(world.says("is refused: not proven fresh: the document names no key for it"));
    // And one that names a key is proven.
    let online = Online::new(&fleet, 7, false);
    let mut world = Fake::new(|url, now| online.answer(url, now));
    assert!(run(&mut world, &Store::new(None), &strict).is_some());
}

#[test]
fn the_next_server_is_asked_when_one_does_not_say_that_it_is_the_newest() {
    let fleet = Signer::new();
    let online = Online::new(&fleet, 7, true);
    // The first is a static copy.
    let mut world = Fake::new(|url, now| match url.starts_with("http://a") && is_question(url) {
        true => status(404),
        false => online.answer(url, now),
    });
    world.servers = vec!["http://a".into(), "http://b".into()];
    let got = run(&mut world, &Store::new(None), &settings(&fleet)).unwrap();
    assert!(matches!(got.source, Source::Server { server, .. } if server == "http://b"));
}

#[test]
fn the_stored_document_needs_no_word_when_no_server_gives_one() {
    let fleet = Signer::new();
    let online = Online::new(&fleet, 7, true);
    let var = tempfile::tempdir().unwrap();
    let store = Store::new(Some(var.path()));
    let strict = Settings { fresh_only: true, ..settings(&fleet) };
    run(&mut Fake::new(|url, now| online.answer(url, now)), &store, &strict).unwrap();
    for answers in [404, 503] {
        let silent =
            |url: &str, now| if is_question(url) { status(answers) } else { online.answer(url, now) };
        let mut world = Fake::new(silent);
        let got = run(&mut world, &store, &strict).unwrap();
        assert_eq!(got.source, Source::Stored { silence: Duration::from_secs(30) });
        assert_eq!(got.freshness, Freshness::Unknown("it was stored earlier".into()));
    }
    // A newer one was seen: what is older is refused before anybody is asked.
    let (old, key) = (signed(&fleet, 6, &online.key, true), &online.key);
    let mut world = Fake::new(|url, _| old.at(url));
    assert_eq!(run(&mut world, &store, &strict).unwrap().document.head.generation, 7);
    assert!(world.says("older generation replayed: seen 7, offered 6"));
    assert!(!world.asked.iter().any(|(_, url)| is_question(url)), "{}", key.public().id());
}

#[test]
fn an_expired_document_does_not_pass_by_a_clock_that_was_reset() {
    let fleet = Signer::new();
    // The battery is dead: the clock is that of the image, the document ended long ago.
    let reset = Time { least: NOW - 100 * DAY, believable: false };
    let mut online = Online::new(&fleet, 7, false);
    online.ahead = 8 * DAY;
    let mut world = Fake::new(|url, now| online.answer(url, now));
    world.clock = reset;
    assert_eq!(run_until(&mut world, &Store::new(None), &settings(&fleet), 100), None);
    assert!(world.says("is refused: expired: at 2027-01-22T08:00:00Z, now 2027-01-23T08:00:00Z"));
    // Nor when the server's word is left out.
    let silent = |url: &str, now| if is_question(url) { status(404) } else { online.answer(url, now) };
    let mut world = Fake::new(silent);
    world.clock = reset;
    assert_eq!(run_until(&mut world, &Store::new(None), &settings(&fleet), 100), None);
    assert!(world.says("is refused: no time: the clock was reset"), "{:?}", world.said);
    // A fleet that has nobody who says the time comes up, and says it.
    let plain = Signed::new(&fleet, 7);
    let mut world = Fake::new(|url, _| plain.at(url));
    world.clock = reset;
    let got = run(&mut world, &Store::new(None), &settings(&fleet)).unwrap();
    assert_eq!(got.notes, ["the clock was reset, so whether it has expired is unknown"]);
}

#[test]
fn the_time_of_a_server_that_is_believed_sets_a_clock_that_was_reset() {
    let fleet = Signer::new();
    let online = Online::new(&fleet, 7, false);
    let mut world = Fake::new(|url, now| online.answer(url, now));
    world.clock = Time { least: NOW - 100 * DAY, believable: false };
    let got = run(&mut world, &Store::new(None), &settings(&fleet)).unwrap();
    assert_eq!((world.clock(), got.notes), (Time { least: NOW, believable: true }, vec![]));
    // One that is believed stays.
    let mut world = Fake::new(|url, now| online.answer(url, now));
    world.clock.least = NOW + 60;
    run(&mut world, &Store::new(None), &settings(&fleet)).unwrap();
    assert_eq!(world.clock().least, NOW + 60);
    // A server whose clock is wrong sets nothing.
    let mut world = Fake::new(|url, now| online.answer(url, now));
    world.clock = Time { least: NOW + DAY, believable: false };
    assert_eq!(run_until(&mut world, &Store::new(None), &settings(&fleet), 100), None);
    assert!(world.says("the server's clock is wrong"), "{:?}", world.said);
}
