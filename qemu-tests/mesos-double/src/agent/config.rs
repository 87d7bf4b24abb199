//! From flags to what the agent does. Pure but for [`Facts`], which are given.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value as Json;

use super::compat::Policy;
use crate::grammar::attributes::{self, Attribute};
use crate::grammar::flags::{Flags, Read};
use crate::grammar::known::AGENT;
use crate::grammar::master::{self, Master};
use crate::grammar::resources::{self, Resource};
use crate::grammar::value::Value;
use crate::grammar::{Invalid, Result, domain, duration, invalid, isolation};

/// What the host is like.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Whether this runs as root.
    pub root: bool,
    /// Number of CPUs.
    pub cpus: u32,
    /// Memory, in MB.
    pub memory: u32,
}

/// What an agent is to do.
#[derive(Clone, Debug)]
pub struct Config {
    /// `host:port` of the master.
    pub master: String,
    /// Address to listen on; any when none was given.
    pub ip: Option<Ipv4Addr>,
    /// Port to listen on.
    pub port: u16,
    /// Name to be shown under.
    pub hostname: Option<String>,
    /// Whether to look the name up when none was given.
    pub hostname_lookup: bool,
    /// Where everything lasting is.
    pub work_dir: PathBuf,
    /// Where everything of this boot is.
    pub runtime_dir: PathBuf,
    /// What may change.
    pub policy: Policy,
    /// Attributes.
    pub attributes: Vec<Attribute>,
    /// Resources.
    pub resources: Vec<Resource>,
    /// Fault domain.
    pub domain: Option<Json>,
    /// The least time between two tries to register.
    pub backoff: Duration,
    /// Root of the cgroup hierarchies.
    pub cgroups: PathBuf,
    /// Controllers of cgroup v1 that have to be there.
    pub controllers: BTreeSet<&'static str>,
    /// The docker program and its socket, if containers are to be run by Docker.
    pub docker: Option<(String, String)>,
    /// Where the credential is.
    pub credential: Option<PathBuf>,
}

impl Config {
    /// Makes sense of flags.
    ///
    /// # Errors
    /// What the agent of Mesos would not start with.
    pub fn new(flags: &Flags, facts: &Facts, read: Read<'_>) -> Result<Self> {
        let all = flags.all(AGENT);
        let text = |name: &str| all.get(name).map(String::as_str).unwrap_or_default();
        let Some(work_dir) = flags.get("work_dir") else {
            return invalid("Flag 'work_dir' is required, but it was not provided");
        };
        let Some(master) = flags.get("master") else {
            return invalid("Missing required option `--master` or `--master_detector`.");
        };
        let master = match master::parse(master)? {
            Master::At(address) => address,
            Master::ZooKeeper { servers, path } => {
                return invalid(format!(
                    "the master is to be asked of ZooKeeper at {} (path {path}), but this test double of Mesos has \
                     no ZooKeeper: give it --master=host:port",
                    servers.join(", ")
                ));
            }
        };
        let ip = flags.get("ip").map(|ip| {
            ip.parse().map_err(|_| Invalid(format!("Failed to parse the IP address '{ip}': expecting IPv4")))
        });
        let launcher = flags.get("launcher").unwrap_or(if facts.root { "linux" } else { "posix" });
        let images = flags.get("image_providers").is_some();
        let containerizers: Vec<&str> = text("containerizers").split(',').collect();
        if let Some(strange) = containerizers.iter().find(|c| !matches!(**c, "mesos" | "docker")) {
            return invalid(format!(
                "Failed to create a containerizer: Unknown or unsupported containerizer: {strange}"
            ));
        }
        let controllers = if containerizers.contains(&"mesos") {
            isolation::controllers(text("isolation"), launcher, images).map_err(|e| {
                Invalid(format!("Failed to create a containerizer: Could not create MesosContainerizer: {e}"))
            })?
        } else {
            BTreeSet::new()
        };
        let policy = match text("reconfiguration_policy") {
            "equal" => Policy::Equal,
            "additive" => Policy::Additive,
            other => return invalid(format!("Unknown option for 'reconfiguration_policy' flag {other}.")),
        };
        if !matches!(text("recover"), "reconnect" | "cleanup") {
            return invalid(format!("Unknown option for 'recover' flag {}.", text("recover")));
        }
        Ok(Self {
            master,
            ip: ip.transpose()?,
            port: text("port").parse().map_err(|_| Invalid("the port is not a port".to_owned()))?,
            hostname: flags.get("hostname").map(str::to_owned),
            hostname_lookup: flags.is("hostname_lookup", true),
            work_dir: work_dir.into(),
            runtime_dir: text("runtime_dir").into(),
            policy,
            attributes: attributes::parse(text("attributes"))?,
            resources: resources(flags.get("resources"), text("default_role"), facts, read)?,
            domain: flags.get("domain").map(domain::parse).transpose()?,
            backoff: duration::parse(text("registration_backoff_factor"))?,
            cgroups: text("cgroups_hierarchy").into(),
            controllers,
            docker: containerizers
                .contains(&"docker")
                .then(|| (text("docker").to_owned(), text("docker_socket").to_owned())),
            credential: flags.get("credential").map(PathBuf::from),
        })
    }
}

/// The resources given, and those found for what was not given: cpus, mem and
/// ports as Mesos finds them. Not disk: the standard library cannot ask.
fn resources(given: Option<&str>, role: &str, facts: &Facts, read: Read<'_>) -> Result<Vec<Resource>> {
    let text = match given {
        Some(path) if path.starts_with('/') => {
            read(path).map_err(|e| Invalid(format!("error reading the resources from '{path}': {e}")))?
        }
        other => other.unwrap_or_default().to_owned(),
    };
    let mut list = resources::parse(&text, role)?;
    // 1 GB is for the system, or half where that is more than half.
    let mem = if facts.memory > 2048 { facts.memory - 1024 } else { facts.memory / 2 };
    let found = [
        ("cpus", Value::Scalar(f64::from(facts.cpus))),
        ("mem", Value::Scalar(f64::from(mem))),
        ("ports", Value::Ranges(vec![(31_000, 32_000)])),
    ];
    for (name, value) in found {
        if !list.iter().any(|r| r.name == name) {
            list.push(Resource { name: name.to_owned(), role: role.to_owned(), value, source: None });
        }
    }
    Ok(list)
}
