//! What the agent asks of the host before it starts.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;
use std::thread;

use serde_json::Value as Json;

use super::config::{Config, Facts};
use crate::grammar::{Result, invalid};

/// Names another file than the kernel's boot id, so that a test can reboot.
pub const BOOT_ID_VARIABLE: &str = "MESOS_DOUBLE_BOOT_ID_FILE";

/// Looks.
pub fn facts() -> Facts {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = meminfo.lines().find_map(|l| l.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB"));
    let memory = kib.and_then(|k| k.trim().parse::<u64>().ok()).unwrap_or(0) / 1024;
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    Facts {
        root: fs::metadata("/proc/self").is_ok_and(|m| m.uid() == 0),
        cpus: u32::try_from(cpus).unwrap_or(u32::MAX),
        memory: u32::try_from(memory).unwrap_or(u32::MAX),
    }
}

/// The id of this boot.
///
/// # Errors
/// When it cannot be read.
pub fn boot_id() -> io::Result<String> {
    let path = std::env::var_os(BOOT_ID_VARIABLE).unwrap_or_else(|| "/proc/sys/kernel/random/boot_id".into());
    fs::read_to_string(path).map(|id| id.trim().to_owned())
}

/// Refuses hosts without cgroup v1 when it is needed.
///
/// # Errors
/// What is missing.
pub fn cgroups(config: &Config) -> Result<()> {
    let root = &config.cgroups;
    if config.controllers.is_empty() {
        return Ok(());
    }
    let why =
        "Failed to create a containerizer: Could not create MesosContainerizer: Failed to prepare hierarchy";
    // Only the root of a cgroup v2 hierarchy has this file.
    if root.join("cgroup.controllers").exists() {
        return invalid(format!(
            "{why}: {} is cgroup v2, and Mesos 1.11 needs cgroup v1: boot with \
             systemd.unified_cgroup_hierarchy=0, or use --launcher=posix and no cgroups isolators",
            root.display()
        ));
    }
    match config.controllers.iter().find(|c| !root.join(c).is_dir()) {
        Some(missing) => invalid(format!(
            "{why} for the subsystem '{missing}': {} is not there",
            root.join(missing).display()
        )),
        None => Ok(()),
    }
}

/// Asks Docker for its containers, as the Docker containerizer does to recover.
///
/// # Errors
/// When there is no Docker, or it does not answer.
pub fn docker(config: &Config) -> Result<()> {
    let Some((program, socket)) = &config.docker else { return Ok(()) };
    let line = format!("{program} -H unix://{socket} ps -a");
    match Command::new(program).args(["-H", &format!("unix://{socket}"), "ps", "-a"]).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            invalid(format!("Failed to run '{line}': {}; stderr='{stderr}'", output.status))
        }
        Err(e) => invalid(format!("Failed to run '{line}': {e}")),
    }
}

/// Whether the credential is one. Nobody asks for it: the stand-in master lets all in.
///
/// # Errors
/// When it cannot be read, or is not a principal and its secret.
pub fn credential(path: &Path) -> Result<()> {
    let plain = path.strip_prefix("file://").unwrap_or(path);
    let text = match fs::read_to_string(plain) {
        Ok(text) => text,
        Err(e) => return invalid(format!("Failed to read the credential {}: {e}", plain.display())),
    };
    let field = |json: &Json, name: &str| json.get(name).is_some_and(Json::is_string);
    match serde_json::from_str::<Json>(&text) {
        Ok(json) if field(&json, "principal") && field(&json, "secret") => Ok(()),
        _ => invalid(format!("{} is not {{\"principal\":\"…\",\"secret\":\"…\"}}", plain.display())),
    }
}

/// The host's name.
pub fn name() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "localhost".into(), |n| n.trim().to_owned())
}

/// The address the host's name stands for: what Mesos tells the master when it was
/// given none. On many hosts that is 127.0.1.1, so give one.
///
/// # Errors
/// When it stands for nothing.
pub fn own_address() -> Result<Ipv4Addr> {
    let name = name();
    let found = (name.as_str(), 0).to_socket_addrs().ok().and_then(|mut all| {
        all.find_map(|a| match a.ip() {
            IpAddr::V4(v4) => Some(v4),
            IpAddr::V6(_) => None,
        })
    });
    found.map_or_else(|| invalid(format!("Failed to obtain the IP address for '{name}'; give --ip")), Ok)
}
