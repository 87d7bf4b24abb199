//! Ready: Docker answers, and a master has registered the Mesos agent. That systemd
//! has started them says neither.

use super::address;
use super::agent;
use super::http;
use super::mark::{self, Trial};
use super::mesos::{self, Asking};
use super::post::{self, Post};
use super::sled::{READY, Sled};
use crate::log;
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
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
    /// It would: others that it needs are away, and this sled's network works.
    Away(String),
}

/// All parts that a sled waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// Docker's daemon.
    pub docker: Answer,
    /// The Mesos agent.
    pub mesos: Answer,
    /// Another agent.
    pub agent: Answer,
}

impl Look {
    /// Asks all of them.
    pub fn at(sled: &Sled) -> Self {
        Self::again(sled, &mut Asking::default())
    }

    /// The same for who asks more than once.
    fn again(sled: &Sled, asking: &mut Asking) -> Self {
        Self { docker: docker(sled), mesos: mesos::look(sled, asking), agent: agent::look(sled) }
    }

    /// Whether the image may be why the sled is not ready.
    fn blames_image(&self) -> bool {
        [&self.docker, &self.mesos, &self.agent].into_iter().any(|answer| matches!(answer, Answer::Down(_)))
    }

    /// Why the sled is not ready; empty when it is.
    pub fn problems(&self) -> String {
        let down = |(name, answer): (&str, &Answer)| match answer {
            Answer::Down(why) | Answer::Away(why) => Some(format!("{name} {why}")),
            _ => None,
        };
        let all = [("docker", &self.docker), ("mesos agent", &self.mesos), ("agent", &self.agent)];
        all.into_iter().filter_map(down).collect::<Vec<_>>().join("; ")
    }

    /// As it goes into reports.
    pub fn json(&self) -> Value {
        let part = |answer: &Answer, key: &str| match answer {
            Answer::Unused => Value::Null,
            Answer::Up(says) => json!({ key: says }),
            Answer::Down(why) => json!({ "problem": why }),
            Answer::Away(why) => json!({ "problem": why, "away": true }),
        };
        let mut json = json!({"docker": part(&self.docker, "server"), "mesos": part(&self.mesos, "id")});
        if self.agent != Answer::Unused {
            json["agent"] = part(&self.agent, "says");
        }
        json
    }
}

fn docker(sled: &Sled) -> Answer {
    if !sled.path("/usr/sbin/dockerd").exists() || sled.masks("docker.service") {
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

/// Waits until everything answers; how long is up to systemd. Then leaves
/// [`READY`], a line on the console and a report.
///
/// # Errors
/// When [`READY`] cannot be written. A report nobody takes is only said.
pub fn wait(sled: &Sled, post: &dyn Post) -> Result<(), String> {
    let (mut said, mut pause, mut asking) = (String::new(), SOON, Asking::default());
    let look = loop {
        let look = Look::again(sled, &mut asking);
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
    if let Answer::Up(says) = &look.agent {
        text += &format!(", {says}");
    }
    text
}

/// Says and reports that the sled did not get ready in time, and does what [`next`] says.
///
/// # Errors
/// When systemd does not take the order.
pub fn give_up(sled: &Sled, post: &dyn Post) -> Result<(), String> {
    if sled.path(READY).exists() {
        println!("this sled is ready; what failed came after that");
        return Ok(());
    }
    let look = Look::at(sled);
    let trial = mark::look(sled);
    let next = next(&trial, look.blames_image());
    let says = match (&next, &trial) {
        (Next::Restart, _) => "its image is on trial: restarts".to_owned(),
        (Next::Wait { give_back: true }, _) => {
            "its image is not to blame and keeps its tries: waits on".to_owned()
        }
        (Next::Wait { .. }, Err(error)) => format!("stays as it is ({error}), and waits on"),
        (Next::Wait { .. }, Ok(_)) => "stays as it is, and waits on".to_owned(),
    };
    say(sled, sled.uptime_ms(), &format!("not ready: {}: {}; {says}", sled.hostname(), look.problems()));
    let mut report = look.json();
    report["ready"] = false.into();
    report["restarts"] = (next == Next::Restart).into();
    if let Err(error) = post::send(sled, post, "not-ready", Some(report)) {
        println!("not reported: {error}");
    }
    match next {
        Next::Restart => systemctl(sled, &["--no-block", "reboot"]),
        Next::Wait { give_back } => {
            if give_back && let Err(error) = mark::give_back(sled) {
                println!("the try is lost: {error}");
            }
            systemctl(sled, &["--no-block", "start", "sledos-ready.service"])
        }
    }
}

/// What a sled does that did not get ready in time.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// Its image is given up for this boot: systemd-boot counts down.
    Restart,
    /// It waits again, as it is.
    Wait {
        /// The try that this boot took says nothing about its image.
        give_back: bool,
    },
}

/// Decides it. An image that cannot be why is not given up: when the cluster's master is away
/// during a rollout, no sled goes back to the image before.
fn next(trial: &Result<Option<Trial>, String>, blames_image: bool) -> Next {
    match trial {
        Ok(trial) if blames_image && restarts(trial.as_ref()) => Next::Restart,
        Ok(Some(Trial::OnTrial { .. })) => Next::Wait { give_back: !blames_image },
        _ => Next::Wait { give_back: false },
    }
}

/// Whether another boot can be better: a try is left, or another image. One that has
/// neither would restart for ever, and be of no more use for it.
fn restarts(trial: Option<&Trial>) -> bool {
    matches!(trial, Some(Trial::OnTrial { left, other, .. }) if *left > 0 || *other)
}

fn systemctl(sled: &Sled, arguments: &[&str]) -> Result<(), String> {
    match Command::new(sled.path("/usr/bin/systemctl")).args(arguments).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("systemctl {}: {status}", arguments.join(" "))),
        Err(error) => Err(format!("systemctl: {error}")),
    }
}

/// A line like those of PID 1. One write: a terminal that hangs up takes all or nothing.
pub(super) fn say(sled: &Sled, uptime: u64, text: &str) {
    let text = log::plain(text);
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
