//! What PID 1 left for the running system.

use metadata::document::{Document, MAX_BYTES, SledDocument};
use metadata::envfile;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::PathBuf;

/// Written by PID 1: the document this sled was configured from, as it was signed.
pub const DOCUMENT: &str = "/run/sledos/document.json";
/// Written by `wait-ready`.
pub const READY: &str = "/run/sledos/ready.json";

/// Written by `wait-ready` and `status`: which start of the Mesos agent a master has registered.
pub const REGISTERED: &str = "/run/sledos/mesos-agent-registered";
/// Written by `not-ready`: this boot has given back the try it took from its image.
pub const GIVEN_BACK: &str = "/run/sledos/try-given-back";

/// Written by `disks`: what became of each data disk.
pub const DISKS: &str = "/run/sledos/disks.json";
/// Written by `disks`: the disks that were there when it last looked, one a line.
pub const DISKS_SEEN: &str = "/run/sledos/disks.seen";
/// Held by `disks` while it works: one at a time.
pub const DISKS_LOCK: &str = "/run/sledos/disks.lock";
/// Written by `disks`: the agent's resources with the data disks that are mounted.
pub const DISKS_ENV: &str = "/run/sledos/mesos-agent-disks.env";

/// Files that set the agent's environment, later ones win: as in mesos-agent.service.
const AGENT_ENV: [&str; 5] = [
    "/usr/share/sledos/mesos-agent.env",
    "/usr/share/sledos/mesos-agent-role.env",
    "/etc/sledos/mesos-agent.env",
    DISKS_ENV,
    "/etc/default/mesos-agent",
];

/// A sled, seen from its root directory.
#[derive(Clone, Debug)]
pub struct Sled {
    root: PathBuf,
}

impl Sled {
    /// The sled whose files are below `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where an absolute path of it is.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// A file's text, without white space around it.
    pub fn text(&self, path: &str) -> Option<String> {
        Some(fs::read_to_string(self.path(path)).ok()?.trim().to_owned())
    }

    /// Its document.
    ///
    /// # Errors
    /// When there is none that can be read.
    pub fn document(&self) -> Result<SledDocument, String> {
        let mut bytes = Vec::new();
        fs::File::open(self.path(DOCUMENT))
            .and_then(|file| file.take(1 + MAX_BYTES as u64).read_to_end(&mut bytes))
            .map_err(|e| format!("{DOCUMENT}: {e}; this sled was not configured by a document"))?;
        match Document::parse(&bytes) {
            Ok(Document::Sled(document)) => Ok(*document),
            Ok(Document::Retired(retired)) => Err(format!("{DOCUMENT}: retired: {}", retired.retired)),
            Err(error) => Err(format!("{DOCUMENT}: {error}")),
        }
    }

    /// The report of this boot.
    ///
    /// # Errors
    /// When there is none that can be read.
    pub fn boot_report(&self) -> Result<Map<String, Value>, String> {
        let path = crate::report::PATH;
        let bytes = fs::read(self.path(path)).map_err(|e| format!("{path}: {e}"))?;
        serde_json::from_slice(&bytes).map_err(|e| format!("{path}: {e}"))
    }

    /// Whether its document keeps a unit from starting.
    pub fn masks(&self, unit: &str) -> bool {
        let link = fs::read_link(self.path(&format!("/etc/systemd/system/{unit}")));
        link.is_ok_and(|to| to == std::path::Path::new("/dev/null"))
    }

    /// The environment the agent starts with.
    pub fn agent_environment(&self) -> BTreeMap<String, String> {
        let texts = AGENT_ENV.iter().filter_map(|path| fs::read_to_string(self.path(path)).ok());
        texts.flat_map(|text| envfile::parse(&text)).collect()
    }

    /// The kernel's name of this sled, which systemd took from the document.
    pub fn hostname(&self) -> String {
        self.text("/proc/sys/kernel/hostname").unwrap_or_default()
    }

    /// Root hash of the running /usr, and image and version, as far as known.
    pub fn image(&self) -> (String, String, String) {
        let report = self.boot_report().unwrap_or_default();
        let text = |key: &str| report.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        (text("image"), text("version"), text("usrhash"))
    }

    /// Since the kernel started, in milliseconds.
    pub fn uptime_ms(&self) -> u64 {
        // Boot time, as PID 1's steps have it.
        u64::try_from(crate::early::uptime().as_millis()).unwrap_or(u64::MAX)
    }
}
