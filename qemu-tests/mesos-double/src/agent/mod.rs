//! The agent: recovers its id, listens, registers, and waits for a signal.

pub mod compat;
pub mod config;
pub mod host;
pub mod info;
pub mod meta;
mod register;

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use serde_json::{Value as Json, json};
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

use crate::grammar::flags::Flags;
use crate::grammar::known::AGENT;
use crate::grammar::{Invalid, Result};
use crate::http::{self, Answer, Request};
use config::Config;
use info::Info;
use meta::Meta;

/// What the threads of an agent share.
struct Shared {
    config: Config,
    flags: Flags,
    ip: Ipv4Addr,
    info: Info,
    meta: Meta,
    now: Mutex<Now>,
}

/// What changes.
#[derive(Default)]
struct Now {
    /// The id, recovered or given.
    id: Option<String>,
    /// Whether it is registered at this moment.
    connected: bool,
}

/// Runs an agent until a signal ends it.
///
/// # Errors
/// Why it does not start, or not any more; Mesos exits with 1 then.
pub fn run(flags: Flags) -> Result<()> {
    let read = |path: &str| fs::read_to_string(path);
    let config = Config::new(&flags, &host::facts(), &read)?;
    for variable in flags.strange.iter().filter(|v| *v != host::BOOT_ID_VARIABLE) {
        eprintln!("{variable} is no flag of the agent; ignored, as Mesos does");
    }
    if !config.resources.iter().any(|r| r.name == "disk") {
        eprintln!("No disk in --resources: the double does not look for one, and offers none");
    }
    if let Some(path) = &config.credential {
        host::credential(path)?;
    }
    host::cgroups(&config)?;
    let failed = |what: &str, e: io::Error| Invalid(format!("{what}: {e}"));
    for dir in [&config.work_dir, &config.runtime_dir] {
        fs::create_dir_all(dir).map_err(|e| failed(&format!("Failed to create {}", dir.display()), e))?;
    }
    let bind = (config.ip.unwrap_or(Ipv4Addr::UNSPECIFIED), config.port);
    let listener = TcpListener::bind(bind)
        .map_err(|e| failed(&format!("Failed to bind on {}:{}", bind.0, bind.1), e))?;
    let port = listener.local_addr().map_err(|e| failed("Failed to listen", e))?.port();
    let ip = config.ip.map_or_else(host::own_address, Ok)?;
    let info = Info {
        hostname: match (&config.hostname, config.hostname_lookup) {
            (Some(name), _) => name.clone(),
            (None, true) => host::name(),
            (None, false) => ip.to_string(),
        },
        port,
        attributes: config.attributes.clone(),
        resources: config.resources.clone(),
        domain: config.domain.clone(),
    };
    let meta = Meta::of(&config.work_dir);
    let id = recover(&config, &meta, &info).map_err(|why| Invalid(recovery_failed(&meta, &why.0)))?;
    let now = Mutex::new(Now { id, connected: false });
    let shared = Arc::new(Shared { config, flags, ip, info, meta, now });
    let mut signals =
        Signals::new([SIGINT, SIGTERM, SIGUSR1]).map_err(|e| failed("Failed to catch signals", e))?;

    println!("agent listening on {ip}:{port}");
    let served = Arc::clone(&shared);
    thread::spawn(move || http::serve(&listener, Arc::new(move |request| served.answer(&request))));
    let registering = Arc::clone(&shared);
    thread::spawn(move || register::keep_registered(&registering));

    if signals.forever().next() == Some(SIGUSR1) {
        eprintln!("Received SIGUSR1; unregistering and shutting down");
        if let Some(id) = shared.id()
            && let Err(e) = http::post(&shared.config.master, "/double/unregister", &json!({ "id": id }))
        {
            eprintln!("The master was not told: {e}");
        }
    }
    eprintln!("Agent terminating");
    Ok(())
}

/// Decides whether the id of before is still this agent's.
fn recover(config: &Config, meta: &Meta, info: &Info) -> Result<Option<String>> {
    host::docker(config)?;
    let failed = |what: &str, e: io::Error| Invalid(format!("{what}: {e}"));
    let boot_id = host::boot_id().map_err(|e| failed("Could not retrieve boot id", e))?;
    let rebooted = meta.boot_id().is_some_and(|old| old != boot_id);
    let latest = meta.latest().map_err(|e| failed("Failed to recover the agent's state", e))?;
    let mut id = None;
    if let Some((old, previous)) = latest {
        match compat::check(config.policy, &previous, info) {
            Ok(()) => id = Some(old),
            Err(why) if rebooted => {
                eprintln!("Falling back to recover as a new agent due to error: {why}");
                meta.forget().map_err(|e| failed("Failed to remove the latest symlink", e))?;
            }
            Err(why) => return Err(why),
        }
    }
    meta.keep_boot_id(&boot_id).map_err(|e| failed("Failed to checkpoint the boot id", e))?;
    Ok(id)
}

fn recovery_failed(meta: &Meta, why: &str) -> String {
    let latest = meta.latest_path();
    format!(
        "EXIT with status 1: Failed to perform recovery: {why}\n\
         If recovery failed due to a change in configuration and you want to\n\
         keep the current agent id, you might want to change the\n\
         `--reconfiguration_policy` flag to a more permissive value.\n\n\
         To restart this agent with a new agent id instead, do as follows:\n\
         rm -f {}\n\
         This ensures that the agent does not recover old live executors.",
        latest.display()
    )
}

impl Shared {
    fn now(&self) -> std::sync::MutexGuard<'_, Now> {
        // What is in it is right at every moment.
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn id(&self) -> Option<String> {
        self.now().id.clone()
    }

    fn connected(&self, connected: bool) {
        self.now().connected = connected;
    }

    /// Takes the id the master has given, or confirmed.
    fn registered(&self, id: &str) -> io::Result<()> {
        match self.id() {
            Some(old) if old == id => eprintln!("Re-registered with {}; agent ID {id}", self.config.master),
            Some(old) => self.die(&format!("Registered but got wrong id: {id} (expected: {old})")),
            None => {
                self.meta.keep(id, &self.info)?;
                eprintln!("Registered with {}; given agent ID {id}", self.config.master);
                self.now().id = Some(id.to_owned());
            }
        }
        Ok(())
    }

    fn die(&self, why: &str) -> ! {
        eprintln!("EXIT with status 1: {why}");
        std::process::exit(1)
    }

    fn answer(&self, request: &Request) -> Answer {
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/health" | "/slave(1)/health") => Answer::Close(200, Json::Null),
            ("GET", "/version") => Answer::Close(200, version()),
            ("GET", "/state" | "/state.json" | "/slave(1)/state") => Answer::Close(200, self.state()),
            ("GET", "/flags" | "/slave(1)/flags") => {
                Answer::Close(200, json!({ "flags": self.flags.all(AGENT) }))
            }
            ("GET", "/metrics/snapshot") => Answer::Close(200, json!({ "slave/registered": 1.0 })),
            _ => Answer::Close(404, Json::Null),
        }
    }

    fn state(&self) -> Json {
        let mut state = self.info.state();
        let own = json!({
            "version": crate::MESOS,
            "test_double": crate::PLAINLY,
            "id": self.id().unwrap_or_default(),
            "pid": format!("slave(1)@{}:{}", self.ip, self.info.port),
            "master_hostname": self.config.master,
            "flags": self.flags.all(AGENT),
            "frameworks": [],
            "completed_frameworks": [],
            "double": { "connected": self.now().connected },
        });
        if let (Some(state), Json::Object(own)) = (state.as_object_mut(), own) {
            state.extend(own);
        }
        state
    }
}

/// What `/version` says.
pub(crate) fn version() -> Json {
    json!({ "version": crate::MESOS, "test_double": crate::PLAINLY })
}
