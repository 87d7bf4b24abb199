//! The stand-in master: gives ids, knows who is there. It schedules nothing.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::agent::{info::Info, version};
use crate::http::{self, Answer, Request};

/// An agent that says nothing for so long is gone: Mesos's 5 pings of 15 s.
const GONE: Duration = Duration::from_secs(75);

/// What a master is to be.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Name of the cluster.
    pub cluster: Option<String>,
    /// Its fault domain. Without one it drops what agents with one say.
    pub domain: Option<Json>,
    /// Principals and secrets, one of which an agent must show. `None`: it may have none.
    pub credentials: Option<Vec<Json>>,
}

/// A master that runs in threads of this process until the process ends.
#[derive(Debug)]
pub struct Master {
    address: SocketAddr,
}

struct Cluster {
    options: Options,
    address: SocketAddr,
    /// `<uuid>` of the ids.
    uuid: String,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    next: u64,
    /// Counts links, so that the end of an old one is not taken for the end of a new one.
    links: u64,
    agents: BTreeMap<String, Agent>,
}

struct Agent {
    pid: String,
    info: Info,
    /// The link that stands, if one does.
    link: Option<u64>,
}

impl Master {
    /// Starts one; port 0 is any.
    ///
    /// # Errors
    /// When it cannot listen there.
    pub fn start(ip: Ipv4Addr, port: u16, options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind((ip, port))?;
        let address = listener.local_addr()?;
        let uuid = fs::read_to_string("/proc/sys/kernel/random/uuid")?.trim().to_owned();
        let cluster = Arc::new(Cluster { options, address, uuid, known: Mutex::default() });
        thread::spawn(move || {
            http::serve(&listener, Arc::new(move |request| answer(&cluster, &request)));
        });
        Ok(Self { address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Waits until the agent at the other end of a link is gone.
fn watch(mut link: &TcpStream) -> io::Result<()> {
    link.set_read_timeout(Some(GONE))?;
    while link.read(&mut [0; 64])? > 0 {}
    Ok(())
}

fn answer(cluster: &Arc<Cluster>, request: &Request) -> Answer {
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/health" | "/master/health") => Answer::Close(200, Json::Null),
        ("GET", "/version") => Answer::Close(200, version()),
        ("GET", "/state" | "/state.json" | "/master/state") => Answer::Close(200, cluster.state()),
        ("POST", "/double/register") => register(cluster, &request.body),
        ("POST", "/double/unregister") => {
            let id = request.body.get("id").and_then(Json::as_str).unwrap_or_default();
            eprintln!("Agent {id} has unregistered");
            cluster.known().agents.remove(id);
            Answer::Close(200, Json::Null)
        }
        _ => Answer::Close(404, Json::Null),
    }
}

fn register(cluster: &Arc<Cluster>, body: &Json) -> Answer {
    let ip = body.get("ip").and_then(Json::as_str).unwrap_or_default();
    let info = match body.get("info").map(Info::of_json) {
        Some(Ok(info)) if !ip.is_empty() => info,
        _ => return Answer::Close(400, Json::Null),
    };
    let pid = format!("slave(1)@{ip}:{}", info.port);
    let shown = body.get("credential").unwrap_or(&Json::Null);
    if cluster.options.credentials.as_ref().is_some_and(|known| !known.contains(shown)) {
        eprintln!("Refusing authentication of agent {pid}");
        return Answer::Close(401, Json::Null);
    }
    if info.domain.is_some() && cluster.options.domain.is_none() {
        // Only the master's log has it: the agent hears nothing.
        eprintln!("Dropping what agent {pid} says: it has a fault domain, and this master has none");
        return Answer::Close(202, Json::Null);
    }
    let mut known = cluster.known();
    let given = body.get("id").and_then(Json::as_str);
    let changed = |a: &Agent| (&a.info.hostname, &a.pid) != (&info.hostname, &pid);
    if let Some(id) = given.filter(|id| known.agents.get(*id).is_some_and(changed)) {
        eprintln!("Dropping what agent {id} says: its hostname, address or port has changed");
        return Answer::Close(202, Json::Null);
    }
    // Two cannot have one address: the one before is gone, even if its link is not yet.
    known.agents.retain(|old, agent| {
        let gone = agent.pid == pid && given != Some(old);
        if gone {
            eprintln!("Removing old disconnected agent {old} at {pid}: another registers there");
        }
        !gone
    });
    let id = given.map_or_else(
        || {
            let id = format!("{}-S{}", cluster.uuid, known.next);
            known.next += 1;
            id
        },
        str::to_owned,
    );
    known.links += 1;
    let link = known.links;
    eprintln!("Registered agent {id} at {pid} ({})", info.hostname);
    known.agents.insert(id.clone(), Agent { pid, info, link: Some(link) });
    let (cluster, ended) = (Arc::clone(cluster), id.clone());
    Answer::Link(
        json!({ "id": id }),
        Box::new(move |stream| {
            let _ = watch(stream);
            if let Some(agent) = cluster.known().agents.get_mut(&ended).filter(|a| a.link == Some(link)) {
                eprintln!("Agent {ended} disconnected");
                agent.link = None;
            }
        }),
    )
}

impl Cluster {
    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        // What is in it is right at every moment.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> Json {
        let known = self.known();
        let agents = known.agents.iter().map(|(id, agent)| {
            let mut state = agent.info.state();
            let own = json!({ "id": id, "pid": agent.pid, "active": agent.link.is_some() });
            if let (Some(state), Json::Object(own)) = (state.as_object_mut(), own) {
                state.extend(own);
            }
            state
        });
        let agents: Vec<Json> = agents.collect();
        let active = known.agents.values().filter(|a| a.link.is_some()).count();
        let mut state = json!({
            "version": crate::MESOS,
            "test_double": crate::PLAINLY,
            "pid": format!("master@{}", self.address),
            "activated_slaves": active,
            "deactivated_slaves": known.agents.len() - active,
            "slaves": agents,
            "frameworks": [],
        });
        let optional = [
            ("cluster", self.options.cluster.as_deref().map(Json::from)),
            ("domain", self.options.domain.clone()),
        ];
        if let Some(state) = state.as_object_mut() {
            state.extend(optional.into_iter().filter_map(|(n, v)| Some((n.to_owned(), v?))));
        }
        state
    }
}
