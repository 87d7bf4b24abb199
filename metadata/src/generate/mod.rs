//! From the sled document to the files that configure a sled. Pure: what a sled
//! becomes can be looked at, and tested, without one.
//!
//! | What | Module |
//! |---|---|
//! | which NIC a network is on | `nics` |
//! | networkd | `ports`, `networkd` |
//! | host name, name servers, time, SSH keys | `system` |
//! | data disks | `disks` |
//! | Docker | `docker` |
//! | the Mesos agent | `mesos` |
//! | another agent | `agent` |
//! | users and groups | `accounts` |
//! | the document's own files, directories, links and units | `extra` |
//! | where files may lie | `place` |
//!
//! Assumed: systemd 252, chrony 4, Docker 20.10, Mesos 1.11, and an image with the
//! overlays `base` and `compute` of this repository.

mod accounts;
mod agent;
mod base64;
pub(crate) mod disks;
mod docker;
mod extra;
mod mesos;
mod networkd;
mod nics;
mod place;
mod ports;
mod system;

pub use disks::{Mounted, resources};
pub use networkd::{INTERFACES, Interface, Interfaces};
pub use nics::Nic;

use crate::document::SledDocument;
use crate::values::Mac;
use place::Place;
use std::collections::BTreeMap;

/// Instead of a mode, owner or group: what is there keeps its own, what is new gets 0644
/// (a directory 0755) and root's.
pub const KEEP: u32 = u32::MAX;

/// A file, directory or link to make. Missing directories above it get mode 0755.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Absolute path in the booted system. Never below /usr, /proc, /sys, /dev or /run.
    pub path: String,
    /// Permission bits, or [`KEEP`]; without meaning for links.
    pub mode: u32,
    /// Owner, or [`KEEP`].
    pub uid: u32,
    /// Group, or [`KEEP`].
    pub gid: u32,
    /// What it is.
    pub content: Content,
}

/// What a [`File`] is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A regular file.
    Text(String),
    /// A regular file that is no text.
    Bytes(Vec<u8>),
    /// What goes behind the content that the image has at this path below /etc;
    /// elsewhere it is empty, and a file that is there is left as it is.
    Append(Vec<u8>),
    /// A symbolic link, and where it points.
    Link(String),
    /// A hard link to another of the files.
    Hard(String),
    /// A directory.
    Directory,
}

/// What the image has already and a document only changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// The image's /etc/docker/daemon.json, if it has one.
    pub daemon_json: Option<String>,
    /// Its /etc/passwd.
    pub passwd: Option<String>,
    /// Its /etc/group.
    pub group: Option<String>,
    /// Its /etc/shadow.
    pub shadow: Option<String>,
    /// Its /etc/gshadow.
    pub gshadow: Option<String>,
}

impl Image {
    /// An image of which only the names and numbers of users and groups are known.
    #[cfg(feature = "fleet")]
    pub fn with_accounts(users: &BTreeMap<String, u32>, groups: &BTreeMap<String, u32>) -> Self {
        let lines = |line: &dyn Fn(&String, &u32) -> String, all: &BTreeMap<String, u32>| {
            Some(all.iter().map(|(name, id)| line(name, id)).collect())
        };
        Self {
            daemon_json: None,
            passwd: lines(&|name, id| format!("{name}:x:{id}:{id}::/:\n"), users),
            group: lines(&|name, id| format!("{name}:x:{id}:\n"), groups),
            shadow: lines(&|name, _| format!("{name}:*:::::::\n"), users),
            gshadow: lines(&|name, _| format!("{name}:*::\n"), groups),
        }
    }
}

/// A configured sled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Generated {
    /// Sorted by path; no path twice, none below another that is no directory.
    pub files: Vec<File>,
    /// Paths below /etc that the image must not have: the document is not to replace it.
    pub fresh: Vec<String>,
    /// What is not as the document wants it and no reason to stay down, one line each.
    pub warnings: Vec<String>,
    /// What NICs are called by what they are for, by their MAC addresses.
    pub names: BTreeMap<Mac, String>,
}

/// The document asks for something that cannot be, or that would not do what it says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct Error {
    /// Which field of `config`: `networks.data.match`.
    pub field: String,
    /// What is wrong and what to do.
    pub problem: String,
}

impl Error {
    fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }
}

/// All files for a sled with these NICs.
///
/// # Errors
/// The first field that cannot be carried out. A network without a NIC is one only
/// if it says `required: true`; else the sled comes up without it and warns.
pub fn generate(document: &SledDocument, nics: &[Nic], image: &Image) -> Result<Generated, Error> {
    let config = &document.config;
    let mut out = Place::default();
    system::names(&mut out, config)?;
    let ports = ports::resolve(&mut out, &config.networks, nics)?;
    networkd::files(&mut out, config, &ports)?;
    system::hosts(&mut out, config)?;
    system::time(&mut out, &config.time)?;
    system::ssh_keys(&mut out, &config.ssh_keys)?;
    disks::check(&document.head.sled, config)?;
    if let Some(docker) = &config.docker {
        docker::files(&mut out, docker, image)?;
    }
    if let Some(mesos) = &config.mesos {
        mesos::files(&mut out, mesos, document)?;
    }
    agent::files(&mut out, config)?;
    let accounts = accounts::Accounts::lay(&mut out, config, image)?;
    extra::files(&mut out, config, &accounts)?;
    out.finish()
}

/// Whether the document's own files, links, units, users, groups and the agent's master can be carried out,
/// as far as that can be said without the image.
///
/// # Errors
/// The first field that cannot.
#[cfg(feature = "fleet")]
pub fn check(config: &crate::config::Config) -> Result<(), Error> {
    let mut out = Place::default();
    system::names(&mut out, config)?;
    system::ssh_keys(&mut out, &config.ssh_keys)?;
    bmc(config)?;
    if let Some(mesos) = &config.mesos {
        mesos::master(&mesos.master)?;
    }
    agent::files(&mut out, config)?;
    accounts::check(&mut out, config)?;
    extra::files(&mut out, config, &accounts::Accounts::default())?;
    out.finish().map(drop)
}

/// Whether an image has the users and groups that a document wants of it.
///
/// # Errors
/// The first field that names another, or that PID 1 would refuse.
#[cfg(feature = "fleet")]
pub fn check_accounts(config: &crate::config::Config, image: &Image) -> Result<(), Error> {
    let accounts = accounts::Accounts::lay(&mut Place::default(), config, image)?;
    for (path, file) in &config.files {
        let (user, group) = (file.user.as_ref(), file.group.as_ref());
        let no_user = user.filter(|_| accounts.uid(file.uid, user).is_none()).map(|name| ("user", name));
        let no_group = group.filter(|_| accounts.gid(file.gid, group).is_none()).map(|name| ("group", name));
        if let Some((what, name)) = no_user.or(no_group) {
            return Err(Error::new(format!("files.{path}.{what}"), format!("there is no {what} `{name}`")));
        }
    }
    Ok(())
}

/// What IPMI can hold: IPv4, and texts of a length.
#[cfg(feature = "fleet")]
fn bmc(config: &crate::config::Config) -> Result<(), Error> {
    let Some(bmc) = &config.bmc else { return Ok(()) };
    let fits = |text: &Option<String>, most| text.as_ref().is_none_or(|t| (1..=most).contains(&t.len()));
    let address = bmc.address.map(|a| a.address);
    if address.into_iter().chain(bmc.gateway).any(|address| !address.is_ipv4()) {
        return Err(Error::new("bmc", "`address` and `gateway` are IPv4 addresses"));
    }
    if bmc.user.is_some() != bmc.password.is_some() {
        return Err(Error::new("bmc", "`user` and `password` belong together"));
    }
    if !fits(&bmc.user, 16) || !fits(&bmc.password, 20) {
        return Err(Error::new("bmc", "`user` has at most 16 bytes, `password` at most 20"));
    }
    Ok(())
}

/// Whether a file of a document may have this path.
///
/// # Errors
/// Why not.
#[cfg(feature = "fleet")]
pub fn check_path(path: &str) -> Result<(), String> {
    place::check_given("", path).map_err(|e| e.problem)
}

/// Whether a text is of these characters only, and not empty.
fn made_of(text: &str, allowed: impl Fn(char) -> bool) -> bool {
    !text.is_empty() && text.chars().all(allowed)
}

/// Refuses what would break a line of a configuration file.
fn one_line<'t>(field: &str, text: &'t str) -> Result<&'t str, Error> {
    if text.is_empty() {
        return Err(Error::new(field, "is empty; leave it out instead"));
    }
    if text.chars().any(char::is_control) {
        return Err(Error::new(field, "has a line break or another control character in it"));
    }
    Ok(text)
}
