//! Whether the Mesos agent works: a master has registered it since it was started, and it
//! answers.
//!
//! No endpoint of the agent tells the first: `/health` and the metric `slave/registered` are
//! good as soon as a master is seen, and the id in `/state` is that of an earlier start. Its
//! log does. `/state` is not asked at all: it looks the master's address up backwards, and an
//! agent with a name server that does not answer stands still meanwhile.

mod words;

use super::http::{self, Response};
use super::outside::{self, Away};
use super::ready::Answer;
use super::sled::{REGISTERED, Sled};
use super::unit::{self, Unit};
use serde::Deserialize;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;
use words::{Told, Why};

/// The unit it runs in.
pub const UNIT: &str = "mesos-agent.service";
/// Where packages have it: those of CMake builds and those of autotools builds.
const PROGRAMS: [&str; 2] = ["/usr/sbin/mesos-agent", "/usr/bin/mesos-agent"];
/// How long one look waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a question stands that is not answered; no other is asked meanwhile.
const LONGEST: Duration = Duration::from_secs(600);
const QUESTION: &[u8] = br#"{"type":"GET_AGENT"}"#;

/// The question that an agent has been asked. There is never more than one: a busy agent
/// answers all that were asked, one after the other.
#[derive(Debug, Default)]
pub struct Asking(Option<Receiver<io::Result<Response>>>);

impl Asking {
    /// Asks, unless it waits for an answer already. `None`: there is none yet.
    fn ask(&mut self, address: SocketAddr) -> Option<io::Result<Response>> {
        let waiting = self.0.take().unwrap_or_else(|| {
            let (sender, answer) = mpsc::channel();
            // Who does not wait any more does not care.
            thread::spawn(move || drop(sender.send(question(address))));
            answer
        });
        match waiting.recv_timeout(PATIENCE) {
            Ok(answer) => Some(answer),
            Err(RecvTimeoutError::Timeout) => {
                self.0 = Some(waiting);
                None
            }
            Err(RecvTimeoutError::Disconnected) => Some(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }
}

fn question(address: SocketAddr) -> io::Result<Response> {
    let mut socket = TcpStream::connect_timeout(&address, PATIENCE)?;
    socket.set_read_timeout(Some(LONGEST))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    let json = "application/json";
    let headers = [("Content-Type", json), ("Accept", json)];
    http::ask(&mut socket, "POST", &address.to_string(), "/api/v1", &headers, QUESTION)
}

/// Looks at the agent of a sled.
pub fn look(sled: &Sled, asking: &mut Asking) -> Answer {
    let environment = sled.agent_environment();
    let get = |flag: &str| environment.get(&format!("MESOS_{flag}")).filter(|value| !value.is_empty());
    let Some(master) = get("MASTER").filter(|_| !sled.masks(UNIT)) else { return Answer::Unused };
    if !PROGRAMS.iter().any(|program| sled.path(program).exists()) {
        return Answer::Down(
            "is not in this image, and the sled's document has a master for it: build with --component \
             mesos-agent=FILE --require-components"
                .into(),
        );
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
    let work_dir = get("WORK_DIR").map_or("/var/lib/mesos", String::as_str);
    match (ip, port) {
        (Ok(ip), Ok(port)) => agent(sled, asking, SocketAddr::new(ip, port), master, work_dir),
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

fn agent(sled: &Sled, asking: &mut Asking, address: SocketAddr, master: &str, work_dir: &str) -> Answer {
    let unit = match Unit::show(sled, UNIT) {
        Ok(unit) => unit,
        Err(why) => return Answer::Down(format!("is not known: {why}")),
    };
    let told = told(sled, &unit);
    let state = match unit.active.as_str() {
        "active" => State::of(asking.ask(address), address),
        _ => State::Stopped(format!("{}, {}", unit.active, unit.sub)),
    };
    if told.registered {
        return match state {
            State::Answers { id } => Answer::Up(id.or_else(|| latest(sled, work_dir)).unwrap_or_default()),
            other => Answer::Down(format!("was registered, but {other}{}", why(sled))),
        };
    }
    match state {
        State::Answers { .. } => match outside::reach(sled, &masters(&told, master)) {
            Err(Away { why, network: true }) => Answer::Away(format!("waits for its master: {why}")),
            Err(Away { why, network: false }) => {
                Answer::Down(format!("waits for its master, and nobody answers this sled: {why}"))
            }
            // It may have ended before, and says why only then.
            Ok(()) if unit.restarts > 0 => Answer::Down(format!("{NOT_TAKEN}{}", why(sled))),
            Ok(()) => Answer::Down(NOT_TAKEN.into()),
        },
        other => Answer::Down(format!("{other}{}", why(sled))),
    }
}

const NOT_TAKEN: &str = "runs, but no master has registered it since it was started (a master without a fault \
                         domain ignores agents that have one)";

/// What it said since its last start. That it is registered is remembered: the journal
/// forgets after some weeks.
fn told(sled: &Sled, unit: &Unit) -> Told {
    let mut told = Told::default();
    if unit.invocation.is_empty() {
        return told;
    }
    if sled.text(REGISTERED).is_some_and(|known| known == unit.invocation) {
        return Told { registered: true, ..told };
    }
    let read = unit::said_now(sled, UNIT, &unit.invocation, &mut |line| {
        told.hear(line);
        told.registered
    });
    if let Err(why) = read {
        eprintln!("{why}");
    }
    if told.registered {
        // Without it the journal is read again.
        let _ = fs::write(sled.path(REGISTERED), &unit.invocation);
    }
    told
}

/// Why it ended the last time, as the end of a sentence.
fn why(sled: &Sled) -> String {
    let mut why = Why::default();
    let read = unit::said_last(sled, UNIT, &mut |line| why.hear(line));
    match (read, why.text()) {
        (Ok(()), Some(why)) => format!("; it ended: {why}"),
        _ => String::new(),
    }
}

/// Where its master may be: what it has found, or else what it was given.
fn masters<'t>(told: &'t Told, given: &'t str) -> Vec<&'t str> {
    if let Some(found) = &told.master {
        return vec![found];
    }
    match given.strip_prefix("zk://") {
        // `user:password@` is before the hosts.
        Some(rest) => {
            let hosts = rest.split('/').next().unwrap_or_default();
            hosts.rsplit('@').next().unwrap_or_default().split(',').collect()
        }
        None => vec![given],
    }
}

/// The id it was given: the name of the directory that `latest` leads to.
fn latest(sled: &Sled, work_dir: &str) -> Option<String> {
    let link = fs::read_link(sled.path(&format!("{work_dir}/meta/slaves/latest"))).ok()?;
    Some(link.file_name()?.to_str()?.to_owned())
}

/// What a running agent says for itself.
#[derive(Debug, PartialEq, Eq)]
enum State {
    /// It works on what it is asked. The id, if it shows it.
    Answers { id: Option<String> },
    /// It does not, for now.
    Not(String),
    /// It does not run.
    Stopped(String),
}

impl State {
    fn of(answer: Option<io::Result<Response>>, address: SocketAddr) -> Self {
        match answer {
            None => Self::Not(format!("does not answer at {address} within {} s", PATIENCE.as_secs())),
            Some(Ok(Response { status: 200, body, .. })) => match id(&body) {
                Ok(id) => Self::Answers { id },
                Err(why) => Self::Not(format!("answers with what is not its state ({why})")),
            },
            // Behind a password; the log says whether it is registered.
            Some(Ok(Response { status: 401 | 403, .. })) => Self::Answers { id: None },
            Some(Ok(Response { status: 404, .. })) => Self::Not("starts: it does not listen yet".into()),
            Some(Ok(Response { status: 503, .. })) => Self::Not("recovers what ran before".into()),
            Some(Ok(Response { status, .. })) => Self::Not(format!("answers {status}")),
            Some(Err(e)) if e.kind() == io::ErrorKind::ConnectionRefused => {
                Self::Not(format!("starts: nobody listens at {address} yet"))
            }
            Some(Err(error)) => Self::Not(format!("does not answer at {address} ({error})")),
        }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Answers { .. } => f.write_str("answers"),
            Self::Not(why) => f.write_str(why),
            Self::Stopped(how) => write!(f, "does not run ({how})"),
        }
    }
}

/// The id in an answer to GET_AGENT (Mesos, "Agent operator API").
fn id(body: &[u8]) -> Result<Option<String>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Answer {
        get_agent: Agent,
    }
    #[derive(Deserialize)]
    struct Agent {
        agent_info: Info,
    }
    #[derive(Deserialize)]
    struct Info {
        id: Option<Id>,
    }
    #[derive(Deserialize)]
    struct Id {
        value: String,
    }
    let answer: Answer = serde_json::from_slice(body)?;
    Ok(answer.get_agent.agent_info.id.map(|id| id.value).filter(|id| !id.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_master_is_where_the_agent_has_found_it_or_where_it_looks() {
        let found = Told { master: Some("10.0.0.9:5050".into()), registered: false };
        assert_eq!(masters(&found, "zk://a:2181/mesos"), ["10.0.0.9:5050"]);
        let none = Told::default();
        assert_eq!(masters(&none, "zk://u:p@a:2181,b:2181/mesos"), ["a:2181", "b:2181"]);
        assert_eq!(masters(&none, "a:5050"), ["a:5050"]);
    }

    #[test]
    fn an_answer_has_the_id_or_none_yet() {
        let of = |text: &str| id(text.as_bytes()).ok();
        let with =
            r#"{"type":"GET_AGENT","get_agent":{"agent_info":{"id":{"value":"7f-S1"},"hostname":"a"}}}"#;
        assert_eq!(of(with), Some(Some("7f-S1".into())));
        assert_eq!(of(r#"{"get_agent":{"agent_info":{"hostname":"a"}}}"#), Some(None));
        assert_eq!(of("{}"), None);
    }
}
