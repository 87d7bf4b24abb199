//! The real machine.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use ureq::tls::TlsConfig;

use super::Error;
use super::host::{Host, LABEL, Nic};
use super::network;
use super::settings::{Layout, Settings};
use crate::apt::fetch::transport::root_certs;

/// Where the stick is mounted: in a mount namespace of this unit's own.
const STICK: &str = "/run/sledos/stick";
/// How long a card may take to get its address.
const ADDRESS: Duration = Duration::from_secs(30);
/// How long a server may take to answer, and between two parts of an answer.
const ANSWER: Duration = Duration::from_secs(30);

/// The machine this runs on.
#[derive(Debug)]
pub struct System {
    layout: Layout,
}

impl System {
    /// With the directory of its seed.
    pub fn new(layout: &Layout) -> Self {
        Self { layout: layout.clone() }
    }
}

fn nic(path: &Path) -> Option<Nic> {
    // Bridges and the like have no device below them.
    let driver = fs::read_link(path.join("device/driver")).ok()?;
    let text = |name: &str| fs::read_to_string(path.join(name)).ok().map(|text| text.trim().to_owned());
    Some(Nic {
        name: path.file_name()?.to_string_lossy().into_owned(),
        mac: text("address")?.parse().ok()?,
        driver: driver.file_name()?.to_string_lossy().into_owned(),
        // It cannot be read as long as the card is switched off.
        carrier: text("carrier").is_some_and(|text| text == "1"),
        speed: text("speed").and_then(|text| text.parse().ok()).filter(|speed| *speed != u32::MAX),
    })
}

/// The cards of this machine, sorted by name.
fn nics() -> Vec<Nic> {
    let entries = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    let mut nics: Vec<_> = entries.filter_map(|entry| nic(&entry.path())).collect();
    nics.sort_by(|a, b| a.name.cmp(&b.name));
    nics
}

/// What a program says when it fails.
fn run(program: &str, args: &[&str]) -> Result<String, String> {
    let out =
        Command::new(program).args(args).output().map_err(|e| format!("cannot start {program}: {e}"))?;
    if out.status.success() {
        return Ok(String::from_utf8_lossy(&out.stdout).into_owned());
    }
    let says = String::from_utf8_lossy(&out.stderr).trim().to_owned();
    Err(format!("{program} {}: {says}", args.join(" ")))
}

/// Gives the card its address; returns the card's name.
///
/// # Errors
/// When there is no such card, or it does not get the address.
pub fn joined(settings: &Settings) -> Result<String, Error> {
    join(settings).map_err(Error::Network)
}

fn join(settings: &Settings) -> Result<String, String> {
    let nics = nics();
    let nic = nics.into_iter().find(|nic| nic.mac == settings.mac);
    let name = nic.ok_or_else(|| format!("this machine has no card {}", settings.mac))?.name;
    let (file, text) = (Path::new(network::FILE), network::unit(settings));
    if fs::read_to_string(file).is_ok_and(|there| there == text) && has(&name, settings) {
        return Ok(name);
    }
    let write = |e| format!("cannot write {}: {e}", file.display());
    file.parent().map_or(Ok(()), fs::create_dir_all).map_err(write)?;
    fs::write(file, text).map_err(write)?;
    run("networkctl", &["reload"])?;
    let start = Instant::now();
    while !has(&name, settings) {
        if start.elapsed() > ADDRESS {
            return Err(format!("{name} does not get the address {}", settings.own()));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(name)
}

fn has(name: &str, settings: &Settings) -> bool {
    let wanted = format!(" {} ", settings.own());
    run("ip", &["-oneline", "-4", "address", "show", "dev", name]).is_ok_and(|text| text.contains(&wanted))
}

impl Host for System {
    fn nics(&mut self) -> Vec<Nic> {
        nics()
    }

    fn stick(&mut self) -> Result<PathBuf, String> {
        let dir = Path::new(STICK);
        let device = Path::new("/dev/disk/by-label").join(LABEL);
        // One that was pulled out is still mounted, and so is the one before.
        let _ = run("umount", &["--lazy", "--quiet", STICK]);
        if !device.exists() {
            return Err(format!(
                "no filesystem labelled {LABEL} is here; plug the stick in, wait a moment and answer again"
            ));
        }
        fs::create_dir_all(dir).map_err(|e| format!("cannot make {STICK}: {e}"))?;
        run("mount", &["-o", "ro,nosuid,nodev,noexec", &device.display().to_string(), STICK])?;
        Ok(dir.to_owned())
    }

    fn online(&mut self, settings: &Settings) -> Result<(), String> {
        join(settings).map(drop)
    }

    fn open(&mut self, url: &str) -> Result<Box<dyn Read>, String> {
        let tls = TlsConfig::builder().root_certs(root_certs()).build();
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .tls_config(tls)
            .timeout_connect(Some(ANSWER))
            .timeout_recv_response(Some(ANSWER))
            .timeout_per_read(Some(ANSWER))
            .http_status_as_error(false)
            .build()
            .into();
        let response = agent.get(url).call().map_err(|e| format!("{url} does not answer: {e}"))?;
        match response.status().as_u16() {
            200 => Ok(Box::new(response.into_body().into_reader())),
            status => Err(format!("{url} answers {status}")),
        }
    }

    fn free(&mut self) -> u64 {
        let existing = self.layout.0.ancestors().find(|dir| dir.exists()).unwrap_or(Path::new("/"));
        rustix::fs::statvfs(existing).map_or(0, |stat| stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}
