//! Reports to the servers the document names.

use super::http;
use super::sled::Sled;
use serde_json::{Map, Value};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

/// Below a report URL.
const PATH: &str = "v1/report";

const CONNECT: Duration = Duration::from_secs(5);
const STALL: Duration = Duration::from_secs(10);

/// Posts JSON to a URL.
pub trait Post {
    /// Posts, and returns when the server has taken it.
    ///
    /// # Errors
    /// Why it has not, for people.
    fn post(&self, url: &str, bearer: Option<&str>, json: &[u8]) -> Result<(), String>;
}

/// `http://` to addresses. Names would pull the C library's resolver into PID 1.
#[derive(Clone, Copy, Debug)]
pub struct Plain;

impl Post for Plain {
    fn post(&self, url: &str, bearer: Option<&str>, json: &[u8]) -> Result<(), String> {
        let rest = url.strip_prefix("http://").ok_or("only http:// is known here")?;
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let address: SocketAddr = match host.parse() {
            Ok(address) => address,
            Err(_) => {
                let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
                (ip.map_err(|_| format!("`{host}` is not an address"))?, 80).into()
            }
        };
        let bearer = bearer.map(|token| format!("Bearer {token}"));
        let mut headers = vec![("Content-Type", "application/json")];
        headers.extend(bearer.as_deref().map(|value| ("Authorization", value)));
        let answer = TcpStream::connect_timeout(&address, CONNECT).and_then(|mut socket| {
            socket.set_read_timeout(Some(STALL))?;
            socket.set_write_timeout(Some(STALL))?;
            http::ask(&mut socket, "POST", host, path, &headers, json)
        });
        match answer {
            Ok(http::Response { status: 200..=299, .. }) => Ok(()),
            Ok(http::Response { status, .. }) => Err(format!("answers {status}")),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Posts the boot report again.
///
/// # Errors
/// When no server takes it.
pub fn boot_report(sled: &Sled, post: &dyn Post) -> Result<(), String> {
    let ready = sled.text(super::sled::READY).and_then(|text| serde_json::from_str(&text).ok());
    let says = send(sled, post, "boot", ready)?;
    println!("reported to {says}");
    Ok(())
}

/// Posts the boot report with what has happened since; the first server that takes
/// it is enough. Returns which one.
///
/// # Errors
/// Why none took it, or that there is none.
pub fn send(sled: &Sled, post: &dyn Post, event: &str, ready: Option<Value>) -> Result<String, String> {
    let document = sled.document()?;
    let servers = &document.servers;
    let urls = if servers.report.is_empty() { &servers.metadata } else { &servers.report };
    if urls.is_empty() {
        return Err("the sled's document names no server that takes reports".into());
    }
    let json = report(sled, &document, event, ready);
    let mut problems = Vec::new();
    for url in urls {
        match post.post(&format!("{url}/{PATH}"), servers.token.as_deref(), json.to_string().as_bytes()) {
            Ok(()) => return Ok(url.clone()),
            Err(why) => problems.push(format!("{url} {why}")),
        }
    }
    Err(format!("no server takes the report: {}", problems.join("; ")))
}

/// The boot report and who sends it, when and why.
fn report(
    sled: &Sled,
    document: &metadata::document::SledDocument,
    event: &str,
    ready: Option<Value>,
) -> Value {
    // A report that cannot be read is no reason not to say the rest.
    let mut report = sled.boot_report().unwrap_or_else(|error| {
        Map::from_iter([("report".to_owned(), 1.into()), ("problem".to_owned(), error.into())])
    });
    let mut set = |key: &str, value: Value| report.insert(key.to_owned(), value);
    set("event", event.into());
    set("sled", document.head.sled.clone().into());
    set("generation", document.head.generation.into());
    set("hostname", sled.hostname().into());
    set("uptime_ms", sled.uptime_ms().into());
    ready.into_iter().for_each(|ready| drop(set("ready", ready)));
    report.into()
}
