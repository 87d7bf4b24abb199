//! What the agent asks of the host before it starts.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use super::config::{Config, Facts};
use crate::grammar::{Invalid, Result, invalid};

/// Names another file than the kernel's boot id, so that a test can reboot.
pub const BOOT_ID_VARIABLE: &str = "MESOS_DOUBLE_BOOT_ID_FILE";

/// Names another file than /proc/mounts, so that a test can mount without mounting.
pub const MOUNTS_VARIABLE: &str = "MESOS_DOUBLE_MOUNTS_FILE";
/// Names a file: while it is there, no name server answers.
pub const SILENT_DNS_VARIABLE: &str = "MESOS_DOUBLE_SILENT_DNS_FILE";

/// Mesos's `DOCKER_VERSION_WAIT_TIMEOUT`.
const DOCKER_VERSION: Duration = Duration::from_secs(5);
/// What a reverse look-up takes when nobody answers: the resolver's tries, of each name server.
const LOOK_UP: Duration = Duration::from_secs(100);

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

/// Asks Docker for its version, before anything is recovered.
///
/// # Errors
/// When there is no Docker, or it takes more than 5 s.
pub fn docker_version(config: &Config) -> Result<()> {
    let Some((program, socket)) = &config.docker else { return Ok(()) };
    let why =
        "Failed to create a containerizer: Could not create DockerContainerizer: Failed to create docker";
    let child = Command::new(program)
        .args(["-H", &format!("unix://{socket}"), "--version"])
        .stdout(Stdio::null())
        .spawn();
    let mut child = child.map_err(|e| Invalid(format!("{why}: Failed to get docker version: {e}")))?;
    let deadline = Instant::now() + DOCKER_VERSION;
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return invalid(format!("{why}: Failed to get docker version: {status}")),
            Err(e) => return invalid(format!("{why}: Failed to get docker version: {e}")),
            Ok(None) if Instant::now() >= deadline => {
                let _ = child.kill();
                let _ = child.wait();
                return invalid(format!("{why}: Timed out getting docker version"));
            }
            Ok(None) => thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Refuses disks of their own that are not mounted.
///
/// # Errors
/// Which one.
pub fn mounted(config: &Config) -> Result<()> {
    let path = std::env::var_os(MOUNTS_VARIABLE).unwrap_or_else(|| "/proc/mounts".into());
    let mounts = fs::read_to_string(path).unwrap_or_default();
    for resource in &config.resources {
        let source = resource.source.as_ref().filter(|source| source.get("type") == Some(&"MOUNT".into()));
        let Some(root) = source.and_then(|s| s.pointer("/mount/root")).and_then(Json::as_str) else {
            continue;
        };
        if !mounts.lines().any(|line| line.split(' ').nth(1) == Some(root)) {
            return invalid(format!(
                "Failed to determine agent resources: Mount root '{root}' not found in /proc/mounts"
            ));
        }
    }
    Ok(())
}

/// Looks the master's address up backwards, as `/state` does, for its `master_hostname`.
pub fn look_up() {
    let Some(silent) = std::env::var_os(SILENT_DNS_VARIABLE) else { return };
    let deadline = Instant::now() + LOOK_UP;
    while Path::new(&silent).exists() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(20));
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

/// The credential.
///
/// # Errors
/// When it cannot be read, or is not a principal and its secret.
pub fn credential(path: &Path) -> Result<Json> {
    let plain = path.strip_prefix("file://").unwrap_or(path);
    let text = match fs::read_to_string(plain) {
        Ok(text) => text,
        Err(e) => return invalid(format!("Failed to read the credential {}: {e}", plain.display())),
    };
    let field = |json: &Json, name: &str| json.get(name).is_some_and(Json::is_string);
    match serde_json::from_str::<Json>(&text) {
        Ok(json) if field(&json, "principal") && field(&json, "secret") => Ok(json),
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
