//! From the sled document to the files that configure a sled. Pure: what a sled
//! becomes can be looked at, and tested, without one.
//!
//! | What | Module |
//! |---|---|
//! | which NIC a network is on | `nics` |
//! | networkd | `ports`, `networkd` |
//! | host name, name servers, time, SSH keys | `system` |
//! | Docker | `docker` |
//! | the Mesos agent | `mesos` |
//! | the document's own files and units | `extra` |
//! | where files may lie | `place` |
//!
//! Assumed: systemd 252, chrony 4, Docker 20.10, Mesos 1.11, and an image with the
//! overlays `base` and `compute` of this repository.

mod docker;
mod extra;
mod mesos;
mod networkd;
mod nics;
mod place;
mod ports;
mod system;

pub use networkd::{INTERFACES, Interface, Interfaces};
pub use nics::Nic;

use crate::document::SledDocument;
use place::Place;

/// A file or link to make. Missing directories above it get mode 0755.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Absolute path in the booted system. Never below /usr, /proc, /sys, /dev or /run.
    pub path: String,
    /// Permission bits; without meaning for links.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// What it is.
    pub content: Content,
}

/// What a [`File`] is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A regular file.
    Text(String),
    /// A symbolic link, and where it points.
    Link(String),
}

/// What the image has already and a document only changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// The image's /etc/docker/daemon.json, if it has one.
    pub daemon_json: Option<String>,
}

/// A configured sled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Generated {
    /// Sorted by path; no path twice, none below another.
    pub files: Vec<File>,
    /// What is not as the document wants it and no reason to stay down, one line each.
    pub warnings: Vec<String>,
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
    networkd::files(&mut out, &config.networks, &ports)?;
    system::hosts(&mut out, config)?;
    system::time(&mut out, &config.time)?;
    system::ssh_keys(&mut out, &config.ssh_keys)?;
    if let Some(docker) = &config.docker {
        docker::files(&mut out, docker, image)?;
    }
    if let Some(mesos) = &config.mesos {
        mesos::files(&mut out, mesos, document)?;
    }
    extra::files(&mut out, config)?;
    out.finish()
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
