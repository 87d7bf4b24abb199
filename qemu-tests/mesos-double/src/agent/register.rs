//! Registration with the master: tried for ever, and again when the master goes.
//!
//! What is said between the two doubles is theirs alone, no protocol of Mesos:
//! `POST /double/register`, answered by an id, on a connection that stays open and
//! stands for libprocess's link; no id means that the master has dropped the message.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::Shared;
use crate::http;

/// Mesos's `REGISTER_RETRY_INTERVAL_MAX`.
const LONGEST: Duration = Duration::from_secs(60);
/// How often a link is used so that both know that it is there.
const PING: Duration = Duration::from_secs(15);

/// Registers, waits for the link to end, and again.
pub(super) fn keep_registered(shared: &Arc<Shared>) -> ! {
    loop {
        let link = register(shared);
        shared.connected(true);
        let why = hold(shared, &link);
        shared.connected(false);
        eprintln!("Lost the master at {}: {why}", shared.config.master);
    }
}

fn register(shared: &Shared) -> TcpStream {
    let mut longest = shared.config.backoff;
    let mut silent = false;
    loop {
        thread::sleep(longest.mul_f64(fraction()));
        longest = (longest * 2).min(LONGEST);
        let (id, info) = (shared.id(), shared.info.to_json());
        let body = json!({ "id": id, "ip": shared.ip, "info": info, "credential": shared.credential });
        match http::post(&shared.config.master, "/double/register", &body) {
            Ok((answer, link)) => {
                // A message that was dropped: Mesos's agent hears nothing either.
                let Some(id) = answer.get("id").and_then(Json::as_str) else { continue };
                match shared.registered(id) {
                    Ok(()) => return link,
                    Err(e) => shared.die(&format!("Failed to checkpoint the agent's id: {e}")),
                }
            }
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                shared.die(&format!("Master master@{} refused authentication", shared.config.master))
            }
            Err(e) if !silent => {
                eprintln!("No master at {}: {e}; trying on", shared.config.master);
                silent = true;
            }
            Err(_) => {}
        }
    }
}

/// Waits for the end of a link.
fn hold(shared: &Shared, mut link: &TcpStream) -> io::Error {
    let step = |link: &mut &TcpStream| -> io::Result<()> {
        link.set_read_timeout(Some(PING))?;
        match link.read(&mut [0; 64]) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                // The master's pings are for the actor, too.
                let _actor = shared.actor();
                link.write_all(b"\n")
            }
            other => other.map(drop),
        }
    };
    loop {
        if let Err(e) = step(&mut link) {
            return e;
        }
    }
}

/// Anything from 0 to 1, from the clock: enough to keep sleds from asking all at once.
fn fraction() -> f64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    f64::from(now.subsec_nanos() % 1009) / 1009.0
}
