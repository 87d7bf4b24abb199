//! Reports and inventories: bounded, in time, and from who they say they are from.

use super::reply::{self, Reply};
use crate::App;
use crate::keeper::{Refused, UNKNOWN};
use crate::metrics::Refusal;
use crate::sled::check::misplaced;
use crate::sled::facts::{Facts, cut};
use crate::sled::state::{Event, Step};
use crate::sled::told;
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH};
use hyper::{HeaderMap, Request, StatusCode};
use serde_json::Value;
use std::net::IpAddr;
use std::sync::atomic::Ordering;

/// The name PID 1 reports under when it has no document. No sled may have it.
const NOBODY: &str = metadata::fleet::RESERVED;

/// Longest sentence of a sled that is kept, in bytes.
const MAX_DETAIL: usize = 300;

/// Reads a body within its limits.
pub(crate) async fn read(app: &App, request: Request<Incoming>, max: usize) -> Result<Bytes, Reply> {
    let said = request.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    let too_long = || {
        app.metrics.refuse(Refusal::TooLong);
        refused(StatusCode::PAYLOAD_TOO_LARGE, &format!("at most {max} bytes"))
    };
    if said.is_some_and(|said| said > u64::try_from(max).unwrap_or(u64::MAX)) {
        return Err(too_long());
    }
    match tokio::time::timeout(app.limits.body, Limited::new(request.into_body(), max).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_long()),
        Ok(Err(_)) => {
            app.metrics.refuse(Refusal::Protocol);
            Err(refused(StatusCode::BAD_REQUEST, "the body does not come to its end"))
        }
        Err(_) => {
            app.metrics.refuse(Refusal::TooSlow);
            Err(refused(StatusCode::REQUEST_TIMEOUT, "the body does not come to its end"))
        }
    }
}

/// A refusal before the body was read: the connection has no use any more.
fn refused(status: StatusCode, why: &str) -> Reply {
    let mut reply = reply::say(status, why);
    reply::set(&mut reply, CONNECTION, "close");
    reply
}

/// `Authorization: Bearer …` (RFC 6750 section 2.1).
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// A report of a sled.
pub(super) async fn report(app: &App, sled: &str, request: Request<Incoming>, address: IpAddr) -> Reply {
    let site = app.site.get();
    // Documents of an older compiler may have a sled of this name: it has a token, too.
    let stranger = sled == NOBODY && !site.sleds.contains_key(sled);
    if !stranger {
        // Before the body: who shows nothing is not listened to.
        let token = bearer(request.headers());
        let status = match token {
            None => Some((StatusCode::UNAUTHORIZED, "a report needs the token of the sled's document")),
            Some(_) if !site.sleds.contains_key(sled) => {
                Some((StatusCode::FORBIDDEN, "there is no such sled, or this is not its token"))
            }
            Some(token) if !site.is_token(sled, token) => {
                Some((StatusCode::FORBIDDEN, "there is no such sled, or this is not its token"))
            }
            Some(_) => None,
        };
        if let Some((status, why)) = status {
            app.metrics.refuse(Refusal::Forged);
            app.log.limited("report refused", &format!("as {sled} from {address}: {why}"));
            return refused(status, why);
        }
    }
    let most = if stranger { app.limits.max_inventory } else { app.limits.max_body };
    let body = match read(app, request, most).await {
        Ok(body) => body,
        Err(reply) => return reply,
    };
    let report: Value = match serde_json::from_slice(&body) {
        Ok(report) => report,
        Err(error) => return malformed(app, address, &error.to_string()),
    };
    let names = report["sled"].as_str().is_none_or(|name| name == sled);
    if report["report"] != 1 || !names {
        return malformed(app, address, "it is no report of format 1 of this sled");
    }
    let facts = Facts::of_report(&report);
    let Some(document) = site.sleds.get(sled) else {
        let failure =
            failure(&report).map_or("no document".to_owned(), |(code, detail)| format!("{code}: {detail}"));
        let body = told(&report, told::OF_STRANGER);
        drop(report);
        return unknown(app, facts, format!("does not come up: {failure}"), address, body).await;
    };
    let body = told(&report, told::OF_SLED);
    let Some(step) = step(&report) else { return malformed(app, address, "its event is not known") };
    // Much larger than its text, and others wait with theirs for the disk.
    drop(report);
    let misplaced = misplaced(document, &facts, &site.places);
    let event = Event::Reported { step, facts: Box::new(facts), misplaced };
    kept(app, app.keeper.keep(sled, event, Some(address), body).await)
}

/// What is kept of it.
fn told(value: &Value, room: usize) -> Bytes {
    told::kept(value, room).to_string().into()
}

fn failure(report: &Value) -> Option<(String, String)> {
    let failure = report.get("failure")?;
    let text = |key: &str| cut(failure[key].as_str().unwrap_or_default(), MAX_DETAIL);
    Some((text("code"), format!("{}: {}", text("title"), text("detail"))))
}

/// What a report is about.
fn step(report: &Value) -> Option<Step> {
    if let Some((code, detail)) = failure(report) {
        return Some(Step::Failed { code: Some(code), detail });
    }
    let ready = &report["ready"];
    let parts = || {
        let part = |name: &str, key: &str| Some(format!("{name} {}", ready[name][key].as_str()?));
        let all = [("docker", "server"), ("mesos", "id"), ("docker", "problem"), ("mesos", "problem")];
        let all = all.into_iter().filter_map(|(name, key)| part(name, key));
        cut(&all.collect::<Vec<_>>().join(", "), MAX_DETAIL)
    };
    let is_ready = ready["ready"] == true;
    Some(match report["event"].as_str().unwrap_or("boot") {
        "configuring" => Step::Configuring("has its document".into()),
        "restart" => Step::Configuring("restarts into another image".into()),
        "boot" | "ready" if is_ready => Step::Ready(parts()),
        "boot" => Step::Configuring("starts its image".into()),
        "not-ready" => Step::Failed { code: None, detail: format!("not ready in time: {}", parts()) },
        "alive" if is_ready => Step::Ready(parts()),
        "alive" => Step::Alive,
        _ => return None,
    })
}

/// The inventory of hardware that has no document.
pub(super) async fn inventory(app: &App, request: Request<Incoming>, address: IpAddr) -> Reply {
    let body = match read(app, request, app.limits.max_inventory).await {
        Ok(body) => body,
        Err(reply) => return reply,
    };
    let inventory: Value = match serde_json::from_slice(&body) {
        Ok(inventory) => inventory,
        Err(error) => return malformed(app, address, &error.to_string()),
    };
    if inventory["inventory"] != 1 {
        return malformed(app, address, "it is no inventory of format 1");
    }
    let facts = Facts::of_hardware(&inventory["hardware"]);
    let place =
        facts.nics.iter().find_map(|nic| app.site.get().places.ports.get(nic.neighbour.as_ref()?).cloned());
    let place =
        place.map(|(_, place)| format!(", in rack {} bay {}", place.rack, place.bay)).unwrap_or_default();
    let detail = match inventory["state"].as_str() {
        Some("retired") => format!("was replaced, and is back{place}"),
        _ => format!("is in no fleet file{place}"),
    };
    let body = told(&inventory, told::OF_STRANGER);
    drop(inventory);
    unknown(app, facts, detail, address, body).await
}

async fn unknown(app: &App, facts: Facts, detail: String, address: IpAddr, body: Bytes) -> Reply {
    let Some(print) = facts.fingerprint() else {
        return malformed(app, address, "it has no serial number, UUID or MAC address to know it by");
    };
    let event = Event::Unknown { facts: Box::new(facts), detail };
    kept(app, app.keeper.keep(&format!("{UNKNOWN}{print}"), event, Some(address), body).await)
}

fn malformed(app: &App, address: IpAddr, why: &str) -> Reply {
    app.metrics.refuse(Refusal::Malformed);
    app.log.limited("report that is none", &format!("from {address}: {why}"));
    reply::say(StatusCode::BAD_REQUEST, why)
}

fn kept(app: &App, kept: Result<(), Refused>) -> Reply {
    match kept {
        Ok(()) => {
            app.metrics.reports.fetch_add(1, Ordering::Relaxed);
            reply::empty(StatusCode::NO_CONTENT)
        }
        Err(Refused::Busy) => {
            app.metrics.refuse(Refusal::Busy);
            reply::busy("too many reports wait")
        }
        Err(Refused::Store) => {
            app.metrics.refuse(Refusal::Store);
            reply::busy("reports cannot be kept at the moment")
        }
    }
}
