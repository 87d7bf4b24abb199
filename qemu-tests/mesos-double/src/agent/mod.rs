//! The agent: recovers its id, listens, registers, and waits for a signal.

pub mod checkpoint;
pub mod compat;
pub mod config;
pub mod host;
pub mod info;
mod log;
pub mod meta;
mod register;

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering};
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
    credential: Option<Json>,
    ip: Ipv4Addr,
    info: Info,
    meta: Meta,
    now: Mutex<Now>,
    /// Mesos's agent is one actor: who is in it keeps all others waiting.
    actor: Mutex<()>,
    /// Requests that came and that were answered.
    asked: [AtomicU64; 2],
}

/// What changes.
#[derive(Default)]
struct Now {
    phase: Phase,
    /// The id, recovered or given.
    id: Option<String>,
    /// Whether it is registered at this moment.
    connected: bool,
}

/// How far it has come.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    /// It listens, and has no routes yet: all is 404.
    #[default]
    Starting,
    /// What ran before is looked for: 503.
    Recovering,
    /// It answers.
    Running,
}

/// Runs an agent until a signal ends it.
///
/// # Errors
/// Why it does not start, or not any more; Mesos exits with 1 then.
pub fn run(flags: Flags) -> Result<()> {
    let read = |path: &str| fs::read_to_string(path);
    let config = Config::new(&flags, &host::facts(), &read)?;
    for variable in flags.strange.iter().filter(|v| !v.starts_with("MESOS_DOUBLE_")) {
        eprintln!("{variable} is no flag of the agent; ignored, as Mesos does");
    }
    if !config.resources.iter().any(|r| r.name == "disk") {
        eprintln!("No disk in --resources: the double does not look for one, and offers none");
    }
    let credential = config.credential.as_deref().map(host::credential).transpose()?;
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
    let mut signals =
        Signals::new([SIGINT, SIGTERM, SIGUSR1]).map_err(|e| failed("Failed to catch signals", e))?;
    let (now, actor, asked) = Default::default();
    let shared = Arc::new(Shared { config, flags, credential, ip, info, meta, now, actor, asked });
    let served = Arc::clone(&shared);
    thread::spawn(move || http::serve(&listener, Arc::new(move |request| served.answer(&request))));
    let ended = Arc::clone(&shared);
    thread::spawn(move || {
        let signal = signals.forever().next();
        ended.end(signal == Some(SIGUSR1))
    });

    host::docker_version(&shared.config)?;
    host::mounted(&shared.config)?;
    shared.now().phase = Phase::Recovering;
    let Shared { config, meta, info, .. } = &*shared;
    let id = recover(config, meta, info).map_err(|why| Invalid(recovery_failed(meta, &why.0)))?;
    {
        let mut now = shared.now();
        now.id = id;
        now.phase = Phase::Running;
    }
    println!("agent listening on {ip}:{port}");
    log::info(&format!("New master detected at master@{}", shared.config.master));
    register::keep_registered(&shared)
}

/// Decides whether the id of before is still this agent's.
fn recover(config: &Config, meta: &Meta, info: &Info) -> Result<Option<String>> {
    host::docker(config)?;
    checkpoint::check(&config.work_dir, &config.resources)?;
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
            Some(old) if old == id => {
                log::info(&format!("Re-registered with master master@{}", self.config.master));
            }
            Some(old) => self.die(&format!("Registered but got wrong id: {id} (expected: {old})")),
            None => {
                self.meta.keep(id, &self.info)?;
                let master = &self.config.master;
                log::info(&format!("Registered with master master@{master}; given agent ID {id}"));
                self.now().id = Some(id.to_owned());
            }
        }
        Ok(())
    }

    /// Ends, after it has unregistered if it shall.
    fn end(&self, unregister: bool) -> ! {
        if unregister {
            eprintln!("Received SIGUSR1; unregistering and shutting down");
            if let Some(id) = self.id()
                && let Err(e) = http::post(&self.config.master, "/double/unregister", &json!({ "id": id }))
            {
                eprintln!("The master was not told: {e}");
            }
        }
        eprintln!("Agent terminating");
        std::process::exit(0)
    }

    /// Waits until the actor has nothing else to do.
    fn actor(&self) -> std::sync::MutexGuard<'_, ()> {
        self.actor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn die(&self, why: &str) -> ! {
        eprintln!("EXIT with status 1: {why}");
        std::process::exit(1)
    }

    fn answer(&self, request: &Request) -> Answer {
        let [asked, answered] = &self.asked;
        let route = (request.method.as_str(), request.path.as_str());
        if route == ("GET", "/double") {
            let [asked, answered] = [asked, answered].map(|n| n.load(Ordering::SeqCst));
            return Answer::Close(200, json!({ "asked": asked, "answered": answered }));
        }
        asked.fetch_add(1, Ordering::SeqCst);
        let _actor = self.actor();
        let answer = self.act(route, request);
        answered.fetch_add(1, Ordering::SeqCst);
        answer
    }

    fn act(&self, route: (&str, &str), request: &Request) -> Answer {
        let phase = self.now().phase;
        match route {
            ("GET", "/version") => Answer::Close(200, version()),
            _ if phase == Phase::Starting => Answer::Close(404, Json::Null),
            ("GET", "/health" | "/slave(1)/health") => Answer::Close(200, Json::Null),
            ("GET", "/metrics/snapshot") => Answer::Close(200, json!({ "slave/registered": 1.0 })),
            ("GET", "/flags" | "/slave(1)/flags") => {
                Answer::Close(200, json!({ "flags": self.flags.all(AGENT) }))
            }
            (_, "/state" | "/state.json" | "/slave(1)/state" | "/api/v1" | "/slave(1)/api/v1")
                if phase == Phase::Recovering =>
            {
                Answer::Close(503, Json::Null)
            }
            ("GET", "/state" | "/state.json" | "/slave(1)/state") => {
                host::look_up();
                Answer::Close(200, self.state())
            }
            ("POST", "/api/v1" | "/slave(1)/api/v1") => self.call(request),
            // In Mesos the master tells it to, when an operator or a framework has made a volume.
            ("POST", "/double/checkpoint") => {
                let kept = checkpoint::keep(&self.config.work_dir, &request.body);
                Answer::Close(if kept.is_ok() { 200 } else { 400 }, Json::Null)
            }
            _ => Answer::Close(404, Json::Null),
        }
    }

    /// The operator API. It knows one call.
    fn call(&self, request: &Request) -> Answer {
        if self.flags.is("authenticate_http_readwrite", false) {
            return Answer::Close(401, Json::Null);
        }
        if !request.is_json {
            return Answer::Close(415, Json::Null);
        }
        if request.body.get("type") != Some(&"GET_AGENT".into()) {
            return Answer::Close(400, Json::Null);
        }
        let mut info = self.info.to_json();
        if let (Some(id), Some(info)) = (self.id(), info.as_object_mut()) {
            info.insert("id".to_owned(), json!({ "value": id }));
        }
        Answer::Close(200, json!({ "type": "GET_AGENT", "get_agent": { "agent_info": info } }))
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
