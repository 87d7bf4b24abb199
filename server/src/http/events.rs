//! Server-sent events (WHATWG HTML, section 9.2): `sleds` with what has changed, as in
//! `/v1/status`, and `reload` when everything may have.

use super::body::Body;
use super::connection::Limits;
use super::reply::{self, Reply};
use super::status;
use crate::App;
use crate::keeper::UNKNOWN;
use crate::metrics::Refusal;
use bytes::Bytes;
use hyper::StatusCode;
use serde_json::json;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{broadcast, mpsc};
use tokio::time::{Instant, sleep, timeout};

/// Changes of this time are sent together.
const TOGETHER: Duration = Duration::from_millis(150);
/// When there is nothing to say, that there is somebody who would.
const PULSE: Duration = Duration::from_secs(15);
/// More changes than that, and everything is fetched anew.
const MANY: usize = 500;

/// A stream.
pub(super) fn stream(app: &Arc<App>, address: IpAddr) -> Reply {
    let Limits { streams, streams_per_address, .. } = app.limits;
    let Some(seat) = app.streams.take(address, streams, streams_per_address) else {
        app.metrics.refuse(Refusal::Busy);
        return reply::busy("too many pages are open");
    };
    // One that waits, and one that is written: who does not read holds no more.
    let (sender, receiver) = mpsc::channel(1);
    let changes = app.keeper.changes.subscribe();
    let app = Arc::clone(app);
    tokio::spawn(async move {
        let _seat = seat;
        // Ends when the other side has gone away, or does not read.
        let _ = send(&app, changes, &sender).await;
    });
    reply::with(StatusCode::OK, "text/event-stream", Body::Events(receiver))
}

async fn send(
    app: &App,
    mut changes: broadcast::Receiver<String>,
    to: &mpsc::Sender<Bytes>,
) -> Result<(), mpsc::error::SendError<Bytes>> {
    to.send(Bytes::from_static(b"retry: 2000\n\n")).await?;
    loop {
        let Ok(first) = timeout(PULSE, changes.recv()).await else {
            to.send(Bytes::from_static(b": nothing new\n\n")).await?;
            continue;
        };
        sleep(TOGETHER).await;
        let mut ids = BTreeSet::new();
        let mut all = false;
        let mut next = Some(first);
        let end = Instant::now() + TOGETHER;
        while let Some(change) = next {
            match change {
                Ok(id) if id.is_empty() => all = true,
                Ok(id) => drop(ids.insert(id)),
                Err(broadcast::error::RecvError::Lagged(_)) => all = true,
                Err(broadcast::error::RecvError::Closed) => return Ok(()),
            }
            next = match changes.try_recv() {
                Ok(id) if Instant::now() < end => Some(Ok(id)),
                Ok(id) => {
                    ids.insert(id);
                    None
                }
                Err(broadcast::error::TryRecvError::Lagged(n)) => {
                    Some(Err(broadcast::error::RecvError::Lagged(n)))
                }
                Err(_) => None,
            };
        }
        let event =
            if all || ids.len() > MANY { "event: reload\ndata: {}\n\n".to_owned() } else { told(app, &ids) };
        to.send(event.into()).await?;
    }
}

fn told(app: &App, ids: &BTreeSet<String>) -> String {
    let site = app.site.get();
    let (mut sleds, mut unknown, mut gone) = (Vec::new(), Vec::new(), Vec::new());
    for id in ids {
        let record = app.keeper.live.get(id);
        match (site.sleds.get(id), record) {
            (Some(document), record) => sleds.push(status::sled(document, record.as_deref(), &site)),
            (None, Some(record)) if id.starts_with(UNKNOWN) => {
                unknown.push(status::unknown(id, &record, &site))
            }
            (None, _) => gone.push(id),
        }
    }
    format!("event: sleds\ndata: {}\n\n", json!({"sleds": sleds, "unknown": unknown, "gone": gone}))
}
