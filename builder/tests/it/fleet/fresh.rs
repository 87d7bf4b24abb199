//! A man in the middle, between the code of PID 1 and a real `sledos serve`: what he kept of
//! earlier is not believed.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metadata::layout::WORDS;
use metadata::signature::TrustedKey;
use sledos_init::clock::Time;
use sledos_init::fetch::fresh::Freshness;
use sledos_init::fetch::store::Store;
use sledos_init::fetch::world::{self, Answer, Inventory, Network, State, World};
use sledos_init::fetch::{self, Got, Settings, Source};
use sledos_init::http::{self, Client, Limits};
use sledos_init::identity::Hardware;
use sledos_init::provision::random;

use super::serve::Server;
use super::support::Case;

/// What he does.
#[derive(Clone, Copy, PartialEq)]
enum Middle {
    /// Reads along.
    Records,
    /// Hands out the old document; questions go through.
    OldDocument,
    /// Answers all by himself.
    OldAll,
}

/// A sled behind him. Its time passes when it waits; after 100 s it is switched off.
struct Sled<'a> {
    client: Client,
    url: &'a str,
    tape: &'a RefCell<BTreeMap<String, Answer>>,
    middle: Middle,
    now: Duration,
    clock: Time,
    said: Vec<String>,
}

impl World for Sled<'_> {
    fn now(&self) -> Duration {
        self.now
    }
    fn clock(&self) -> Time {
        self.clock
    }
    fn told(&mut self, seconds: u64) {
        self.clock = Time { least: seconds, believable: true };
    }
    fn random(&mut self) -> u64 {
        random()
    }
    fn nonce(&mut self) -> Option<[u8; 16]> {
        [random().to_be_bytes(), random().to_be_bytes()].concat().try_into().ok()
    }
    fn say(&mut self, line: &str) {
        self.said.push(line.to_owned());
    }
    fn hardware(&mut self) -> Hardware {
        Hardware { board: Some("ZM18AS036101".into()), ..Hardware::default() }
    }
    fn servers(&mut self) -> Vec<String> {
        vec![self.url.to_owned()]
    }
    fn network(&mut self) -> Network {
        Network { link: true, ready: true, diagnosis: Vec::new() }
    }
    fn wait(&mut self, at_most: Duration) -> bool {
        self.now += at_most.max(Duration::from_millis(1));
        false
    }
    fn interrupted(&mut self) -> bool {
        self.now > Duration::from_secs(100)
    }
    fn get(&mut self, url: &str, max: usize) -> Result<Answer, http::Error> {
        let path = url.split('?').next().unwrap().to_owned();
        let is_question = url.contains("/v1/fresh/");
        if self.middle == Middle::OldAll || self.middle == Middle::OldDocument && !is_question {
            let kept = self.tape.borrow().get(&path).cloned();
            return Ok(kept.unwrap_or(Answer { status: 404, ..Answer::default() }));
        }
        let answer = world::get(&self.client, url, max)?;
        if self.middle == Middle::Records {
            self.tape.borrow_mut().insert(path, answer.clone());
        }
        Ok(answer)
    }
    fn inventory(&mut self, _: State, _: &[String]) -> Inventory {
        Inventory::default()
    }
    fn post_inventory(&mut self, _: &str) -> Vec<String> {
        Vec::new()
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn what_was_recorded_is_not_believed_later() {
    let case = Case::new();
    case.edit("fleet: test\n", "fleet: test\nfreshness: {required: true}\n");
    let server = Server::start(&case);
    let trusted = fs::read_to_string(case.path("ops.pub")).unwrap();
    let trusted = TrustedKey::parse(trusted.lines().nth(1).unwrap()).unwrap();
    let tape = RefCell::default();
    let sled = |middle, clock| {
        let client = Client::new(Limits::default());
        Sled { client, url: &server.url, tape: &tape, middle, now: Duration::ZERO, clock, said: Vec::new() }
    };
    let boot = |sled: &mut Sled<'_>, store: &Store| -> Option<Got> {
        let settings = Settings::new(vec![trusted.clone()], WORDS.map(str::to_owned).to_vec());
        fetch::run(sled, store, &settings)
    };
    let generation = |got: &Option<Got>| got.as_ref().map(|got| got.document.head.generation);
    let right = Time { least: now(), believable: true };

    // The clock of the first is reset; the server sets it.
    let mut first = sled(Middle::Records, Time { least: 1, believable: false });
    let got = boot(&mut first, &Store::default());
    assert_eq!(generation(&got), Some(1), "{:?}", first.said);
    let Some(Got { freshness: Freshness::Proven { at }, .. }) = got else { panic!("{got:?}") };
    assert!(at.abs_diff(now()) < 600 && first.clock == Time { least: at, believable: true });

    case.edit("mtu: 9000", "mtu: 1500");
    server.until("compiled again", |_| {
        let document = sledos::serve::client::get(&server.url, "/v1/board/ZM18AS036101.json");
        document.is_ok_and(|document| document["head"]["generation"] == 2)
    });
    let says = |sled: &Sled<'_>, what: &str| {
        assert!(sled.said.iter().any(|line| line.contains(what)), "{what}: {:?}", sled.said);
    };
    let mut old = sled(Middle::OldDocument, right);
    assert_eq!(generation(&boot(&mut old, &Store::default())), None);
    says(&old, "is refused: not the newest: the server has generation 2, this is generation 1");
    let mut old = sled(Middle::OldAll, right);
    assert_eq!(generation(&boot(&mut old, &Store::default())), None);
    says(&old, "is refused: not proven fresh: ");
    says(&old, "the answer is to another question");

    // One that was up meanwhile remembers the new generation, and comes up by what it stored.
    let var = tempfile::tempdir().unwrap();
    let store = Store::new(Some(var.path()));
    let before = tape.borrow().clone();
    assert_eq!(generation(&boot(&mut sled(Middle::Records, right), &store)), Some(2));
    *tape.borrow_mut() = before;
    let mut live = sled(Middle::OldAll, right);
    let got = boot(&mut live, &store);
    assert_eq!(generation(&got), Some(2));
    assert!(matches!(got.unwrap().source, Source::Stored { .. }));
    says(&live, "older generation replayed: seen 2, offered 1");
}

#[test]
fn the_servers_key_is_its_own_and_documents_name_it() {
    let case = Case::new();
    let server = Server::start(&case);
    let key = case.path("state/freshness.key");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let public = case.works(&["keys", "public", "state/freshness.key"]);
    let named = |server: &Server| {
        let document = sledos::serve::client::get(&server.url, "/v1/board/ZM18AS036101.json").unwrap();
        document["freshness"].clone()
    };
    assert_eq!(named(&server), serde_json::json!({"keys": [public.trim()]}));
    drop(server);
    assert_eq!(named(&Server::start(&case)), serde_json::json!({"keys": [public.trim()]}), "it is kept");
}

#[test]
fn that_a_static_server_is_not_enough_is_said() {
    let case = Case::new();
    let publish = ["publish", "www", "--key", "ops.key"];
    case.edit("fleet: test\n", "fleet: test\nfreshness: {required: true}\n");
    case.fails(&publish, 3, "no sled of the role `compute` would ever believe its document");
    case.works(&["keys", "new", "online"]);
    let public = case.works(&["keys", "public", "online.key"]);
    case.edit("required: true", &format!("required: true, keys: [{}]", public.trim()));
    for verb in [&publish[..], &["fleet", "compile", "--output", "www", "--key", "ops.key"]] {
        let output = case.run(verb);
        let says = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{says}");
        assert!(says.contains("warning: 2 sleds refuse these documents unless a server says"), "{says}");
    }
}
