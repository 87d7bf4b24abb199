//! One sled, from power-on to ready, in the code of PID 1 and `sledctl`.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::world::{Place, World};
use metadata::layout::WORDS;
use sledos_init::clock::Time;
use sledos_init::fetch::store::Store;
use sledos_init::fetch::world::{self, Answer, Inventory, Network, State};
use sledos_init::fetch::{self, Settings};
use sledos_init::http::{self, Client, Limits};
use sledos_init::identity::Hardware;
use sledos_init::log::Log;
use sledos_init::provision::download::Download;
use sledos_init::provision::random;
use sledos_init::report::Report;
use sledos_init::reporter::Reporter;
use sledos_init::retry::Policy;
use sledos_init::slots::machine::Kernel;
use sledos_init::slots::{self, Job};

/// How a sled's boot went; times since it was switched on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Run {
    /// It had its document.
    pub document: Option<Duration>,
    /// It had its image, verified.
    pub image: Option<Duration>,
    /// It was ready, and a server had taken that.
    pub ready: Option<Duration>,
    /// Questions and reports that nobody answered, and that were repeated.
    pub repeated: u64,
    /// Bytes of documents and image.
    pub bytes: u64,
}

/// Time since the first sled asked what time it is, as PID 1 has it since the kernel started.
fn clock() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

struct Virtual<'a> {
    place: &'a Place,
    client: &'a Client,
    servers: Vec<String>,
    run: &'a mut Run,
}

impl world::World for Virtual<'_> {
    fn now(&self) -> Duration {
        clock()
    }

    fn clock(&self) -> Time {
        let least = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Time { least, believable: true }
    }

    fn told(&mut self, _seconds: u64) {}

    fn random(&mut self) -> u64 {
        random()
    }

    fn nonce(&mut self) -> Option<[u8; 16]> {
        let halves = [random().to_be_bytes(), random().to_be_bytes()];
        halves.concat().try_into().ok()
    }

    fn say(&mut self, _line: &str) {}

    fn hardware(&mut self) -> Hardware {
        let Place { board, product, uuid, macs, .. } = self.place.clone();
        Hardware {
            board: Some(board),
            product: Some(product),
            uuid: Some(uuid),
            macs: macs.to_vec(),
            ..Hardware::default()
        }
    }

    fn servers(&mut self) -> Vec<String> {
        self.servers.clone()
    }

    fn network(&mut self) -> Network {
        Network { link: true, ready: true, diagnosis: Vec::new() }
    }

    fn wait(&mut self, at_most: Duration) -> bool {
        std::thread::sleep(at_most);
        false
    }

    fn get(&mut self, url: &str, max: usize) -> Result<Answer, http::Error> {
        let answer = world::get(self.client, url, max);
        match &answer {
            Ok(answer) => self.run.bytes += u64::try_from(answer.body.len()).unwrap_or(u64::MAX),
            Err(_) => self.run.repeated += 1,
        }
        answer
    }

    fn inventory(&mut self, _state: State, _keys: &[String]) -> Inventory {
        Inventory::default()
    }

    fn post_inventory(&mut self, _json: &str) -> Vec<String> {
        Vec::new()
    }
}

/// Boots it.
pub(super) fn run(world: &World, place: &Place, urls: &[String], number: usize, end: Instant) -> Run {
    let (mut run, start) = (Run::default(), Instant::now());
    let client = Client::new(Limits::default());
    // Racks are told different ones first.
    let mut servers = urls.to_vec();
    servers.rotate_left(number % urls.len().max(1));
    let settings = Settings::new(vec![world.trusted.clone()], WORDS.map(str::to_owned).to_vec());
    let mut real = Virtual { place, client: &client, servers: servers.clone(), run: &mut run };
    let Some(got) = fetch::run(&mut real, &Store::default(), &settings) else { return run };
    run.document = Some(start.elapsed());
    if got.document.head.sled != place.name {
        return run;
    }

    let (document, log) = (&got.document, Log::new(clock));
    let reporter = Reporter::new(&client, &servers, document.servers.token.as_deref());
    let json = report(place, document, "configuring");
    // As in PID 1: who does not take it is no reason to wait.
    run.repeated += u64::try_from(reporter.boot(&place.name, &json).len()).unwrap_or(0);
    let left = end.saturating_duration_since(Instant::now());
    let images: Vec<_> = servers.iter().map(|s| format!("{s}/images/simulated/1")).collect();
    let source = Download::new(&client, &log, random, &images, Some(left));
    match slots::check(&Job { image: &document.image, source: &source, log: &log, machine: &Kernel }) {
        Ok(bytes) => run.bytes += bytes,
        Err(_) => return run,
    }
    if Instant::now() >= end {
        return run;
    }
    run.image = Some(start.elapsed());
    let _ = reporter.boot(&place.name, &report(place, document, "boot"));

    // As `sledctl report` does it.
    let ready = report(place, document, "ready");
    for tries in 0.. {
        let said = reporter.boot(&place.name, &ready);
        run.repeated += u64::try_from(said.len()).unwrap_or(0);
        if said.len() < servers.len() {
            run.ready = Some(start.elapsed());
            break;
        }
        if Instant::now() >= end {
            break;
        }
        std::thread::sleep(Policy::default().wait(tries, random()));
    }
    run
}

/// A report, with what a sled of this kind would say.
fn report(place: &Place, document: &metadata::document::SledDocument, event: &str) -> String {
    let usrhash = document.image.root_hash.to_string();
    let hardware = json!({
        "smbios": {"board_serial": place.board, "product_serial": place.product, "uuid": place.uuid},
        "nics": [
            {"name": "eth0", "mac": place.macs[0].to_string(), "driver": "igb", "speed": 1000, "carrier": true},
            {"name": "eth1", "mac": place.macs[1].to_string(), "driver": "igb", "speed": 0, "carrier": false},
        ],
    });
    let text = Report {
        event: if event == "ready" { "boot" } else { event },
        moment: Some(("simulated", clock())),
        image: &document.image.name,
        version: &document.image.version,
        usrhash: &usrhash,
        sled: Some(&place.name),
        generation: Some(document.head.generation),
        hardware: Some(&hardware.to_string()),
        ..Report::default()
    }
    .json();
    if event != "ready" {
        return text;
    }
    let mut value: Value = serde_json::from_str(&text).unwrap_or_default();
    value["event"] = "ready".into();
    value["ready"] = json!({"ready": true, "docker": {"server": "simulated"}, "mesos": null});
    value.to_string()
}
