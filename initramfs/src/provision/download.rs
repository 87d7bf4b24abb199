//! Artefacts of the image from its servers: patient, from another server when one fails,
//! from the byte where the last one broke off.

use crate::http::{self, Client};
use crate::log::Log;
use crate::retry::{Policy, Servers};
use crate::slots::Source;
use std::io::{self, Read};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long to sleep at one time: who waits shows that it lives.
const LOOK_UP: Duration = Duration::from_secs(60);

/// The servers of an image.
pub struct Download<'a> {
    client: &'a Client,
    log: &'a Log,
    random: fn() -> u64,
    /// When to give up, by the log's clock; nothing: never.
    until: Option<Duration>,
    state: Mutex<State>,
}

struct State {
    servers: Servers,
    /// What was opened last, at which byte, at which server.
    last: Option<(String, u64, String)>,
}

impl<'a> Download<'a> {
    /// Downloads from these directories, the first one first. Without an end it does not
    /// give up: a sled without an image has nothing better to do.
    pub fn new(
        client: &'a Client,
        log: &'a Log,
        random: fn() -> u64,
        urls: &[String],
        at_most: Option<Duration>,
    ) -> Self {
        let mut servers = Servers::new(Policy::default(), urls.first().cloned());
        servers.set(urls);
        let until = at_most.and_then(|at_most| log.now().checked_add(at_most));
        Self { client, log, random, until, state: Mutex::new(State { servers, last: None }) }
    }
}

impl Source for Download<'_> {
    fn open(&self, file: &str, from: u64) -> Result<Box<dyn Read + '_>, String> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((last, at, server)) = state.last.take()
            && last == file
            && at == from
        {
            // It was opened and nothing that could be used came of it.
            let _ = state.servers.failed(&server, self.log.now(), (self.random)(), None);
        }
        loop {
            for server in state.servers.due(self.log.now()) {
                let url = format!("{server}/{file}");
                let (why, retry_after) = match self.try_open(&url, from) {
                    Ok(Ok(body)) => {
                        state.last = Some((file.to_owned(), from, server));
                        return Ok(body);
                    }
                    Ok(Err((status, after))) => (format!("the server answers {status}"), after),
                    Err(error) => (error.to_string(), None),
                };
                self.log.say(&format!("image: {url}: {why}"));
                let _ = state.servers.failed(&server, self.log.now(), (self.random)(), retry_after);
            }
            let Some(next) = state.servers.next() else {
                return Err("the document names no server for the image".into());
            };
            if self.until.is_some_and(|until| next > until) {
                return Err("no server gave it in time".into());
            }
            self.client.pulse().beat();
            std::thread::sleep(next.saturating_sub(self.log.now()).min(LOOK_UP));
        }
    }
}

impl Download<'_> {
    #[expect(clippy::type_complexity, reason = "a body, or a status with how long to stay away")]
    fn try_open(
        &self,
        url: &str,
        from: u64,
    ) -> Result<Result<Box<dyn Read + '_>, (u16, Option<Duration>)>, http::Error> {
        let mut body = self.client.get(url, from)?;
        match (body.status, body.start) {
            (200 | 206, start) if start == from => Ok(Ok(Box::new(body))),
            // A server without ranges begins at the beginning.
            (200, 0) => {
                let skipped =
                    io::copy(&mut (&mut body).take(from), &mut io::sink()).map_err(http::Error::of)?;
                if skipped < from { Ok(Err((200, None))) } else { Ok(Ok(Box::new(body))) }
            }
            (status, _) => Ok(Err((status, body.retry_after))),
        }
    }
}

impl std::fmt::Debug for Download<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Download")
    }
}
