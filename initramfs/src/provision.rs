//! From "which sled am I" to a configured one: what a boot does between drivers and
//! hand-over when the sled has a fleet.
//!
//! | What | Module |
//! |---|---|
//! | the network, HTTP, clock and console behind [`crate::fetch`] | [`world`] |
//! | artefacts of the image from its servers | [`download`] |
//! | /usr when no disk has it; another image on the disk | [`image`] |
//! | generated files onto the file system | [`write`] |
//! | NICs as the configuration knows them | [`nics`] |
//!
//! The order of the steps is in [`crate::boot`].

pub mod download;
pub mod image;
pub mod nics;
pub mod world;
pub mod write;

use crate::clock::Clock;
use crate::failure::{Code, Failure};
use crate::fetch::store::Store;
use crate::fetch::{self, Got, Settings};
use crate::http::{Client, Limits};
use crate::log::Log;
use crate::modules::Coldplug;
use crate::net::{Network, Setup};
use crate::reporter::Reporter;
use crate::root;
use crate::site::Site;
use formats::cmdline;
use formats::ipconf::{IpParam, parse_bootif};
use metadata::generate::{self, generate};
use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Where the signed document is kept for the running system; it has secrets in it.
const DOCUMENT: &str = "/run/sledos/document.json";

/// A sled that has a fleet: its network, and how servers are asked.
pub struct Sled {
    log: &'static Log,
    /// All cards at once.
    pub network: Arc<Network>,
    /// Asks servers.
    pub client: Client,
}

impl std::fmt::Debug for Sled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sled")
    }
}

impl Sled {
    /// Starts the network on all cards, as the command line wants it.
    pub fn start(log: &'static Log, line: &str, site: &Site) -> Self {
        let mut statics = Vec::new();
        let mut bootif = None;
        for param in cmdline::params(line) {
            let value = param.value.unwrap_or_default();
            let understood = if param.is("ip") {
                IpParam::parse(value).map(|ip| statics.push(ip)).map_err(|e| e.to_string())
            } else if param.is("BOOTIF") {
                parse_bootif(value).map(|mac| bootif = Some(mac)).map_err(|e| e.to_string())
            } else {
                Ok(())
            };
            if let Err(why) = understood {
                log.warn("command line", format!("{}={value}: {why}", param.name));
            }
        }
        let switch_port = site.identify.iter().any(|word| word == "switch-port");
        let setup = Setup { statics, bootif, switch_port, resolv_conf: "/etc/resolv.conf".into() };
        let network = Network::start(setup, random, Box::new(|line| log.say(&format!("network: {line}"))));
        Self { log, network, client: Client::new(Limits::default()) }
    }

    /// The document of this sled. Waits for it as long as it takes, unless one is stored;
    /// `None` when the disk of this sled appears meanwhile, which `late` says.
    pub fn document(
        &self,
        site: &Site,
        (coldplug, late): (&mut Coldplug<'_, '_>, &mut dyn FnMut() -> bool),
        store: &Store,
        patience: Duration,
        clock: &Clock,
    ) -> Result<Option<Got>, Failure> {
        let log = self.log;
        log.step("metadata", || {
            let network = Arc::clone(&self.network);
            let mut world = world::Real::new(log, network, &self.client, site, (coldplug, late), clock);
            let settings = Settings::new(site.trust.clone(), site.identify.clone());
            let settings = Settings { patience, fresh_only: site.fresh_only, ..settings };
            let got = fetch::run(&mut world, store, &settings);
            let says = got.as_ref().map_or_else(|| "the disk of this sled is there".into(), Got::to_string);
            Ok((got, says))
        })
    }

    /// Configures the system that is put together below [`root::AT`].
    ///
    /// # Errors
    /// [`Code::Config`] when the document asks for what cannot be.
    pub fn configure(&self, got: &Got) -> Result<(), Failure> {
        let log = self.log;
        log.step("configuration", || {
            let fail = |e: &dyn std::fmt::Display| Failure::new(Code::Config, e);
            let nics = nics::settled(&self.network, &got.document.config);
            let image_etc = format!("{}{}", root::AT, root::IMAGE_ETC);
            let text = |path: &str| fs::read_to_string(format!("{image_etc}/{path}")).ok();
            let image = generate::Image {
                daemon_json: text("docker/daemon.json"),
                passwd: text("passwd"),
                group: text("group"),
                shadow: text("shadow"),
                gshadow: text("gshadow"),
            };
            let generated = generate(&got.document, &nics, &image).map_err(|e| fail(&e))?;
            generated.warnings.iter().for_each(|warning| log.warn("configuration", warning));
            let etc = Path::new(root::GENERATED);
            let places = write::Places { etc, root: Path::new(root::AT), image_etc: Path::new(&image_etc) };
            let count = write::write(&generated, places)
                .map_err(|(path, e)| fail(&format!("{path} cannot be written ({e})")))?;
            crate::durable::write(Path::new("/run/sledos"), "document.json", got.bytes(), 0o600)
                .map_err(|e| fail(&format!("{DOCUMENT} cannot be written ({e})")))?;
            let (named, refused) = nics::name(&self.network, &generated.names);
            refused.iter().for_each(|why| log.warn("configuration", why));
            let named: String = named.iter().map(|who| format!("; {who}")).collect();
            Ok(((), format!("{count} files for {}{named}", got.document.config.hostname)))
        })
    }

    /// What the sled is made of, as JSON for its reports.
    pub fn inventory(&self) -> String {
        // Texts and numbers always have a JSON form.
        serde_json::to_string(&world::inventory(&self.network)).unwrap_or_default()
    }

    /// Posts a report of this boot. Bounded in time, and no reason to stop.
    pub fn report(&self, site: &Site, got: Option<&Got>, json: &str) {
        let document = got.map(|got| &got.document);
        let servers = document.map(|d| d.servers.report.as_slice()).filter(|urls| !urls.is_empty());
        let servers = servers.unwrap_or_else(|| site.reports());
        let token = document.and_then(|d| d.servers.token.as_deref());
        let sled = document.map_or("unknown", |d| d.head.sled.as_str());
        let said = Reporter::new(&self.client, servers, token).boot(sled, json);
        said.iter().for_each(|line| self.log.say(&format!("report: {line}")));
    }
}

/// A number for jitter and transaction ids: no secret, so it need not wait for entropy.
pub fn random() -> u64 {
    let mut bytes = [0; 8];
    let read = fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    match read {
        Ok(()) => u64::from_ne_bytes(bytes),
        Err(_) => 0x9e37_79b9_7f4a_7c15,
    }
}
