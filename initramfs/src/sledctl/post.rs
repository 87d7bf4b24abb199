//! Reports to the servers the document names.

use super::sled::Sled;
use crate::http::{Client, Limits};
use crate::log::Log;
use crate::retry::Policy;
use serde_json::{Map, Value};
use std::net::IpAddr;
use std::time::Duration;

/// What one server gets.
const AT_MOST: Duration = Duration::from_secs(10);

/// Posts JSON to a URL.
pub trait Post {
    /// Posts, and returns when the server has taken it.
    ///
    /// # Errors
    /// Why it has not, for people.
    fn post(&self, url: &str, bearer: Option<&str>, json: &[u8]) -> Result<(), String>;
}

/// The client PID 1 has, too; names are looked up by the image's resolver.
#[derive(Debug)]
pub struct Web(Client);

impl Web {
    /// A client that asks systemd-resolved for names.
    pub fn new() -> Self {
        let limits = Limits { stall: AT_MOST, total: Some(AT_MOST), ..Limits::default() };
        let client = Client::new(limits);
        client.names().set(&[IpAddr::from([127, 0, 0, 53])], &[]);
        Self(client)
    }
}

impl Default for Web {
    fn default() -> Self {
        Self::new()
    }
}

impl Post for Web {
    fn post(&self, url: &str, bearer: Option<&str>, json: &[u8]) -> Result<(), String> {
        match self.0.post(url, "application/json", bearer, json) {
            Ok(answer) if (200..300).contains(&answer.status) => Ok(()),
            Ok(answer) => Err(format!("answers {}", answer.status)),
            Err(error) => Err(Log::chain(&error)),
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

/// Posts the boot report until a server takes it: one that was away when the sled got
/// ready is told later. Waits as PID 1 does, with full jitter.
///
/// A document without servers is no error: nobody wants to know.
///
/// # Errors
/// When the document cannot be read.
pub fn keep_reporting(sled: &Sled, post: &dyn Post, pause: &dyn Fn(Duration)) -> Result<(), String> {
    let servers = sled.document()?.servers;
    if servers.report.is_empty() && servers.metadata.is_empty() {
        println!("the sled's document names no server that takes reports");
        return Ok(());
    }
    let mut tries = 0_u32;
    while let Err(why) = boot_report(sled, post) {
        // Once, and then now and again: the journal is on the sled's disk.
        if tries.is_multiple_of(32) {
            println!("not reported, tries again: {why}");
        }
        pause(Policy::default().wait(tries, crate::provision::random()));
        tries = tries.saturating_add(1);
    }
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
    // Where PID 1's reports of this sled go, too.
    let path = format!("v1/report/{}", document.head.sled);
    let mut problems = Vec::new();
    for url in urls {
        match post.post(&format!("{url}/{path}"), servers.token.as_deref(), json.to_string().as_bytes()) {
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
    let disks = sled.text(super::sled::DISKS).and_then(|text| serde_json::from_str(&text).ok());
    disks.into_iter().for_each(|disks: Value| drop(set("data-disks", disks)));
    let room = super::room::Room::at(&sled.path("/var"));
    room.into_iter().for_each(|room| drop(set("var", room.json())));
    let merged = super::extension::json(sled, document);
    merged.into_iter().for_each(|merged| drop(set("extensions", merged)));
    let crashes = super::crashes::Crashes::look(sled).json();
    crashes.into_iter().for_each(|crashes| drop(set("crashes", crashes)));
    let bmc = sled.text(super::bmc::OUTCOME).and_then(|text| serde_json::from_str(&text).ok());
    bmc.into_iter().for_each(|bmc: Value| drop(set("bmc", bmc)));
    ready.into_iter().for_each(|ready| drop(set("ready", ready)));
    report.into()
}
