//! Servers as processes of their own, that can be killed and come back with what they kept.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use super::{Error, Settings};
use crate::serve::client;

/// All servers.
#[derive(Debug)]
pub struct Farm {
    settings: Settings,
    servers: Vec<Mutex<Option<Child>>>,
}

/// Where the servers of a simulation listen: each has a loopback address of its own. The
/// ports are chosen when the directory is made, and written there.
pub(super) fn addresses(settings: &Settings) -> Vec<SocketAddr> {
    let file = settings.dir.join("ports");
    let known = std::fs::read_to_string(&file).unwrap_or_default();
    let ports: Vec<u16> = known.lines().filter_map(|line| line.parse().ok()).collect();
    let ip = |n: usize| Ipv4Addr::new(127, 0, 0, u8::try_from(n + 2).unwrap_or(2));
    if ports.len() == settings.servers {
        return ports.iter().enumerate().map(|(n, port)| (ip(n), *port).into()).collect();
    }
    // Free now; somebody else would have to take just this one of another address.
    let free = |n| {
        let bound = TcpListener::bind((ip(n), 0)).and_then(|listener| listener.local_addr());
        bound.unwrap_or_else(|_| (ip(n), 0).into())
    };
    let all: Vec<SocketAddr> = (0..settings.servers).map(free).collect();
    let text: String = all.iter().map(|address| format!("{}\n", address.port())).collect();
    // What is not written is chosen again; the fleet file would then not fit, and no sled comes up.
    let _ = std::fs::write(file, text);
    all
}

impl Farm {
    /// Starts all of them, and waits until they listen.
    pub(super) fn start(settings: &Settings) -> Result<Self, Error> {
        let servers = (0..settings.servers).map(|_| Mutex::new(None)).collect();
        let farm = Self { settings: settings.clone(), servers };
        (0..settings.servers).try_for_each(|number| farm.restart(number))?;
        Ok(farm)
    }

    /// Where they listen.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        addresses(&self.settings)
    }

    /// Their URLs.
    pub fn urls(&self) -> Vec<String> {
        self.addresses().iter().map(|address| format!("http://{address}")).collect()
    }

    fn child(&self, number: usize) -> Option<std::sync::MutexGuard<'_, Option<Child>>> {
        Some(self.servers.get(number)?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// SIGKILL: nothing is said or written any more.
    pub(super) fn kill(&self, number: usize) {
        if let Some(mut child) = self.child(number).and_then(|mut child| child.take()) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts one with the store it had.
    pub(super) fn restart(&self, number: usize) -> Result<(), Error> {
        let dir = &self.settings.dir;
        let log: PathBuf = dir.join(format!("server-{}.log", number + 1));
        let failed = || Error::Server { number: number + 1, log: log.clone() };
        let address = *self.addresses().get(number).ok_or_else(failed)?;
        let errors =
            File::options().create(true).append(true).open(&log).map_err(Error::io("write", &log))?;
        let child = Command::new(&self.settings.program)
            .arg("serve")
            .arg("--documents")
            .arg(dir.join("www"))
            .arg("--images")
            .arg(dir.join("images"))
            .arg("--state")
            .arg(dir.join(format!("state-{}", number + 1)))
            .args(["--address", &address.ip().to_string(), "--port", &address.port().to_string()])
            // All sleds have one address here.
            .args(["--connections-per-address", "1000000"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn();
        let mut child = child.map_err(Error::io("start", &self.settings.program))?;
        let mut line = String::new();
        let read = child.stdout.as_mut().map(|out| BufReader::new(out).read_line(&mut line));
        let listens = read.is_some_and(|read| read.is_ok()) && line.starts_with("listening on ");
        if !listens {
            let _ = child.kill();
            let _ = child.wait();
            return Err(failed());
        }
        if let Some(mut place) = self.child(number) {
            *place = Some(child);
        }
        Ok(())
    }

    /// The sleds that some server knows as ready, from its store.
    pub(super) fn ready(&self) -> Result<BTreeSet<String>, Error> {
        let mut all = BTreeSet::new();
        for url in self.urls() {
            let status = client::get(&url, "/v1/status")?;
            let sleds = status["sleds"].as_array().map(Vec::as_slice).unwrap_or_default();
            let ready = sleds.iter().filter(|sled| sled["state"] == "ready");
            all.extend(ready.filter_map(|sled| sled["sled"].as_str().map(str::to_owned)));
        }
        Ok(all)
    }
}

impl Drop for Farm {
    fn drop(&mut self) {
        (0..self.servers.len()).for_each(|number| self.kill(number));
    }
}
