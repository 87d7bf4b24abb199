//! Ready: Docker answers, and the Mesos agent has an id of its master. That systemd
//! has started them says neither.

use super::address;
use super::http;
use super::mark::{self, Trial};
use super::post::{self, Post};
use super::sled::{READY, Sled};
use serde::Deserialize;
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

const DOCKER_SOCKET: &str = "/run/docker.sock";
const PATIENCE: Duration = Duration::from_secs(5);

/// Between two looks: at first short, so that a quick start is seen at once.
const SOON: Duration = Duration::from_millis(250);
const LATER: Duration = Duration::from_secs(5);

/// What one part of a sled says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The image does not have it, or the document does not want it.
    Unused,
    /// It works. What it said: a version, an id.
    Up(String),
    /// It does not, and why.
    Down(String),
}

/// All parts that a sled waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// Docker's daemon.
    pub docker: Answer,
    /// The Mesos agent.
    pub mesos: Answer,
}

impl Look {
    /// Asks all of them.
    pub fn at(sled: &Sled) -> Self {
        Self { docker: docker(sled), mesos: mesos(sled) }
    }

    /// Why the sled is not ready; empty when it is.
    pub fn problems(&self) -> String {
        let down = |(name, answer): (&str, &Answer)| match answer {
            Answer::Down(why) => Some(format!("{name} {why}")),
            _ => None,
        };
        let all = [("docker", &self.docker), ("mesos agent", &self.mesos)];
        all.into_iter().filter_map(down).collect::<Vec<_>>().join("; ")
    }

    /// As it goes into reports.
    pub fn json(&self) -> Value {
        let part = |answer: &Answer, key: &str| match answer {
            Answer::Unused => Value::Null,
            Answer::Up(says) => json!({ key: says }),
            Answer::Down(why) => json!({ "problem": why }),
        };
        json!({"docker": part(&self.docker, "server"), "mesos": part(&self.mesos, "id")})
    }
}

/// Whether a unit is kept from starting by the document.
fn masked(sled: &Sled, unit: &str) -> bool {
    let link = fs::read_link(sled.path(&format!("/etc/systemd/system/{unit}")));
    link.is_ok_and(|to| to == std::path::Path::new("/dev/null"))
}

fn docker(sled: &Sled) -> Answer {
    if !sled.path("/usr/sbin/dockerd").exists() || masked(sled, "docker.service") {
        return Answer::Unused;
    }
    let answer = UnixStream::connect(sled.path(DOCKER_SOCKET)).and_then(|mut socket| {
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        http::ask(&mut socket, "GET", "docker", "/_ping", &[], b"")
    });
    match answer {
        Ok(http::Response { status: 200, server, .. }) => Answer::Up(server.unwrap_or_default()),
        Ok(http::Response { status, .. }) => Answer::Down(format!("answers {status}")),
        Err(error) => Answer::Down(format!("does not answer ({error})")),
    }
}

fn mesos(sled: &Sled) -> Answer {
    let environment = sled.agent_environment();
    let get = |flag: &str| environment.get(&format!("MESOS_{flag}")).filter(|value| !value.is_empty());
    let wanted = get("MASTER").is_some() && sled.path("/usr/sbin/mesos-agent").exists();
    if !wanted || masked(sled, "mesos-agent.service") {
        return Answer::Unused;
    }
    let ip = match (get("IP"), get("IP_DISCOVERY_COMMAND")) {
        (Some(ip), _) => ip.parse().map_err(|_| format!("MESOS_IP={ip} is not an address")),
        (None, Some(command)) => discover(command),
        // It listens on all of them.
        (None, None) => Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)),
    };
    let port = match get("PORT") {
        None => Ok(5051),
        Some(port) => port.parse().map_err(|_| format!("MESOS_PORT={port} is not a port")),
    };
    match (ip, port) {
        (Ok(ip), Ok(port)) => agent(SocketAddr::new(ip, port)),
        (Err(why), _) | (_, Err(why)) => Answer::Down(why),
    }
}

/// As the agent does it.
fn discover(command: &str) -> Result<IpAddr, String> {
    let network = command.strip_prefix("/usr/bin/sledctl address ");
    let output = Command::new("/bin/sh").args(["-c", command]).output();
    let fail = || format!("has no address in {}", network.unwrap_or(command));
    let output = output.map_err(|_| fail())?;
    String::from_utf8_lossy(&output.stdout).trim().parse().map_err(|_| fail())
}

/// `/health` and the metric `slave/registered` are good as soon as a master is seen;
/// only an id says that the master has taken the agent.
fn agent(address: SocketAddr) -> Answer {
    #[derive(Deserialize)]
    struct State {
        #[serde(default)]
        id: String,
    }
    let answer = TcpStream::connect_timeout(&address, PATIENCE).and_then(|mut socket| {
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        http::ask(&mut socket, "GET", &address.to_string(), "/state", &[], b"")
    });
    match answer {
        Ok(http::Response { status: 200, body, .. }) => match serde_json::from_slice::<State>(&body) {
            Ok(State { id }) if !id.is_empty() => Answer::Up(id),
            Ok(_) => Answer::Down("runs, but no master has registered it".into()),
            Err(error) => Answer::Down(format!("answers with what is not its state ({error})")),
        },
        Ok(http::Response { status: 401, .. }) => Answer::Down(
            "keeps its state behind a password, so that nobody sees whether it is registered; \
             set authenticate_http_readonly to false"
                .into(),
        ),
        Ok(http::Response { status, .. }) => Answer::Down(format!("answers {status}")),
        Err(error) => Answer::Down(format!("does not answer at {address} ({error})")),
    }
}

/// Waits until everything answers; how long is up to systemd. Then leaves
/// [`READY`], a line on the console and a report.
///
/// # Errors
/// When [`READY`] cannot be written. A report nobody takes is only said.
pub fn wait(sled: &Sled, post: &dyn Post) -> Result<(), String> {
    let (mut said, mut pause) = (String::new(), SOON);
    let look = loop {
        let look = Look::at(sled);
        let problems = look.problems();
        if problems.is_empty() {
            break look;
        }
        if problems != said {
            println!("not ready: {problems}");
            said = problems;
        }
        sleep(pause);
        pause = (pause * 2).min(LATER);
    };
    let uptime = sled.uptime_ms();
    let mut ready = look.json();
    ready["ready"] = true.into();
    ready["uptime_ms"] = uptime.into();
    fs::write(sled.path(READY), format!("{ready}\n")).map_err(|e| format!("{READY}: {e}"))?;
    say(sled, uptime, &format!("ready: {}{}", sled.hostname(), with(&look)));
    if let Err(error) = post::send(sled, post, "ready", Some(ready)) {
        println!("not reported: {error}");
    }
    Ok(())
}

fn with(look: &Look) -> String {
    let mut text = String::new();
    if let Answer::Up(version) = &look.docker {
        text += &format!(", docker {}", version.trim_start_matches("Docker/"));
    }
    if let Answer::Up(id) = &look.mesos {
        text += &format!(", mesos agent {id}");
    }
    text
}

/// Says and reports that the sled did not get ready in time. An image on trial is
/// given up for this boot: the sled restarts, and systemd-boot counts down.
///
/// # Errors
/// When systemd does not take the order to restart.
pub fn give_up(sled: &Sled, post: &dyn Post) -> Result<(), String> {
    if sled.path(READY).exists() {
        println!("this sled is ready; what failed came after that");
        return Ok(());
    }
    let look = Look::at(sled);
    let trial = mark::look(sled);
    let restart = trial.as_ref().is_ok_and(|trial| restarts(trial.as_ref()));
    let next = match (&trial, restart) {
        (_, true) => "; its image is on trial: restarts".to_owned(),
        (Err(error), _) => format!("; stays as it is ({error})"),
        (Ok(_), false) => "; stays as it is".to_owned(),
    };
    say(sled, sled.uptime_ms(), &format!("not ready: {}: {}{next}", sled.hostname(), look.problems()));
    let mut report = look.json();
    report["ready"] = false.into();
    report["restarts"] = restart.into();
    if let Err(error) = post::send(sled, post, "not-ready", Some(report)) {
        println!("not reported: {error}");
    }
    if !restart {
        return Ok(());
    }
    let status = Command::new("systemctl").args(["--no-block", "reboot"]).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("systemctl reboot: {status}")),
        Err(error) => Err(format!("systemctl: {error}")),
    }
}

/// Whether another boot can be better: a try is left, or another image. One that has
/// neither would restart for ever, and be of no more use for it.
fn restarts(trial: Option<&Trial>) -> bool {
    matches!(trial, Some(Trial::OnTrial { left, other, .. }) if *left > 0 || *other)
}

/// A line like those of PID 1. One write: a terminal that hangs up takes all or nothing.
pub(super) fn say(sled: &Sled, uptime: u64, text: &str) {
    println!("{text}");
    let line = format!("[{:>5}.{:03}] sledos: {text}\r\n", uptime / 1000, uptime % 1000);
    if let Ok(mut console) = fs::File::options().write(true).open(sled.path("/dev/console")) {
        let _ = console.write_all(line.as_bytes());
    }
}

/// The addresses of the sled's networks, for people.
pub fn networks(sled: &Sled) -> Vec<(String, String)> {
    let Ok(interfaces) = address::interfaces(sled) else { return Vec::new() };
    let describe = |interface| match address::interface(sled, interface) {
        None if interface.macs.is_empty() => "no NIC fits".to_owned(),
        None => "no interface".to_owned(),
        Some(name) => match address::ipv4(&name) {
            Ok(Some(ip)) => format!("{name} {ip}"),
            Ok(None) => format!("{name} without an IPv4 address"),
            Err(error) => format!("{name}: {error}"),
        },
    };
    interfaces.networks.iter().map(|(name, interface)| (name.clone(), describe(interface))).collect()
}

#[cfg(test)]
pub(super) mod tests;
