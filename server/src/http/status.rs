//! What programs and the page are told about sleds.

use super::body::Body;
use super::reply::{self, Reply};
use crate::App;
use crate::keeper::UNKNOWN;
use crate::site::Site;
use crate::sled::check::{Finding, findings};
use crate::sled::facts::Facts;
use crate::sled::state::{Asked, Change, Millis, Record, Rival, State};
use crate::sled::told;
use bytes::Bytes;
use hyper::StatusCode;
use metadata::document::SledDocument;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// Everything at once.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Status {
    /// Name of the fleet.
    pub fleet: String,
    /// Now, in milliseconds since 1970.
    pub time: Millis,
    /// What is wrong with the fleet file; what is handed out is the last good one.
    pub problem: Option<String>,
    /// Whether the server can change the fleet file, that is: take unknown hardware in.
    pub can_bind: bool,
    /// Roles a new sled may have.
    pub roles: Vec<String>,
    /// How many bays each rack has.
    pub racks: BTreeMap<String, u32>,
    /// How many sleds are in each state.
    pub counts: BTreeMap<String, usize>,
    /// The sleds of the fleet, by name.
    pub sleds: Vec<Sled>,
    /// Hardware that is in no fleet file, the first page of it: what waits longest.
    pub unknown: Vec<Unknown>,
    /// Where the next page begins, if there is one: `/v1/unknown?after=`.
    pub unknown_next: Option<String>,
}

/// A page of hardware that is in no fleet file.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Page {
    /// What waits longest comes first.
    pub unknown: Vec<Unknown>,
    /// Where the next page begins, if there is one.
    pub next: Option<String>,
}

/// How much unknown hardware is on a page.
const PAGE: usize = 100;

/// A sled of the fleet.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Sled {
    /// Its name.
    pub sled: String,
    /// Its rack.
    pub rack: String,
    /// Its bay.
    pub bay: u32,
    /// Its role.
    pub role: String,
    /// The image its document asks for.
    pub image: String,
    /// Its state.
    pub state: State,
    /// Since when, in milliseconds since 1970; 0 when nothing was ever heard of it.
    pub since: Millis,
    /// When it was last heard of.
    pub heard: Option<Millis>,
    /// One sentence.
    pub detail: String,
    /// Failure code of PID 1.
    pub code: Option<String>,
    /// From where it reports.
    pub address: Option<std::net::IpAddr>,
    /// What somebody who may be it last asked for. It is no state: anybody can ask.
    pub asked: Option<Asked>,
    /// What is other than expected.
    pub findings: Vec<Finding>,
}

/// Hardware that is in no fleet file.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Unknown {
    /// By what it is bound and looked at.
    pub id: String,
    /// When it was last heard of.
    pub heard: Option<Millis>,
    /// One sentence.
    pub detail: String,
    /// From where it reports.
    pub address: Option<std::net::IpAddr>,
    /// The bay that its cables lead to, if they do: by what it says of its switch ports.
    pub place: Option<(String, u32)>,
    /// The sled that has this bay.
    pub occupant: Option<String>,
    /// What it is.
    pub hardware: Facts,
    /// Of what it is; who binds it says that this is what was shown.
    pub digest: String,
    /// Other sources that say they are it.
    pub conflicts: Vec<Conflict>,
}

/// Another source of inventories under the same id: one of them is not this hardware.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Conflict {
    /// From where it reports.
    pub address: Option<std::net::IpAddr>,
    /// When it was last heard of.
    pub heard: Millis,
    /// What it says it is.
    pub hardware: Facts,
    /// Of what it says it is.
    pub digest: String,
}

/// All about one sled.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Detail {
    /// The sled; nothing for unknown hardware.
    pub sled: Option<Sled>,
    /// The hardware, when it is unknown.
    pub unknown: Option<Unknown>,
    /// What it says of itself.
    pub facts: Facts,
    /// Changes of its state, oldest first.
    pub history: Vec<Change>,
    /// Its last report or inventory.
    pub report: Option<Value>,
}

/// A sled as it is.
pub fn sled(document: &SledDocument, record: Option<&Record>, site: &Site) -> Sled {
    let none = Record::default();
    let record = record.unwrap_or(&none);
    let location = document.head.identity.location.as_ref();
    Sled {
        sled: document.head.sled.clone(),
        rack: location.map(|l| l.rack.clone()).unwrap_or_default(),
        bay: location.map(|l| l.bay).unwrap_or_default(),
        role: document.role.clone(),
        image: format!("{} {}", document.image.name, document.image.version),
        state: record.state,
        since: record.since,
        heard: record.heard,
        detail: record.detail.clone(),
        code: record.code.clone(),
        address: record.address,
        asked: record.asked.clone(),
        findings: findings(document, record, &site.places),
    }
}

/// Unknown hardware as it is.
pub fn unknown(id: &str, record: &Record, site: &Site) -> Unknown {
    let place = record.facts.nics.iter().find_map(|nic| site.places.ports.get(nic.neighbour.as_ref()?));
    let conflict = |rival: &Rival| Conflict {
        address: rival.address,
        heard: rival.heard,
        hardware: rival.facts.clone(),
        digest: rival.facts.digest(),
    };
    Unknown {
        id: id.to_owned(),
        heard: record.heard,
        detail: record.detail.clone(),
        address: record.address,
        place: place.map(|(_, at)| (at.rack.clone(), at.bay)),
        occupant: place.map(|(sled, _)| sled.clone()),
        hardware: record.facts.clone(),
        digest: record.facts.digest(),
        conflicts: record.rivals.iter().map(conflict).collect(),
    }
}

/// Everything.
pub(crate) fn status(app: &App) -> Status {
    let (site, records) = (app.site.get(), app.keeper.live.all());
    let record = |name: &String| records.get(name).map(|record| &**record);
    let sleds: Vec<_> = site.sleds.iter().map(|(name, d)| sled(d, record(name), &site)).collect();
    let (unknown, unknown_next) = waiting(&records, &site, None);
    let mut counts: BTreeMap<String, usize> = State::ALL.iter().map(|s| (s.word().to_owned(), 0)).collect();
    for sled in &sleds {
        *counts.entry(sled.state.word().to_owned()).or_default() += 1;
    }
    *counts.entry(State::Unknown.word().to_owned()).or_default() +=
        records.keys().filter(|id| id.starts_with(UNKNOWN)).count();
    let mut roles: Vec<_> = sleds.iter().map(|s| s.role.clone()).collect();
    roles.sort();
    roles.dedup();
    Status {
        fleet: site.fleet.clone(),
        time: crate::now(),
        problem: app.problem(),
        can_bind: app.fleet.is_some(),
        roles,
        racks: site.racks.clone(),
        counts,
        sleds,
        unknown,
        unknown_next,
    }
}

/// A page of unknown hardware, what waits longest first, and where the next one begins.
fn waiting(
    records: &BTreeMap<String, Arc<Record>>,
    site: &Site,
    after: Option<(Millis, &str)>,
) -> (Vec<Unknown>, Option<String>) {
    let all = records.iter().filter(|(id, _)| id.starts_with(UNKNOWN));
    let mut all: Vec<_> = all
        .map(|(id, record)| ((record.since, id.as_str()), record))
        .filter(|(at, _)| after.is_none_or(|after| *at > after))
        .collect();
    all.sort_by_key(|(at, _)| *at);
    let more = all.len() > PAGE;
    all.truncate(PAGE);
    let next = all.last().filter(|_| more).map(|((since, id), _)| format!("{since}.{id}"));
    (all.into_iter().map(|((_, id), record)| unknown(id, record, site)).collect(), next)
}

/// Answers `/v1/unknown`.
pub(crate) fn page(app: &App, query: &str) -> Reply {
    // Ids have no character that a query escapes but the colon, which need not be.
    let after = query.strip_prefix("after=").map(|after| after.replace("%3A", ":").replace("%3a", ":"));
    let after = after.as_deref().and_then(|after| {
        let (since, id) = after.split_once('.')?;
        Some((since.parse().ok()?, id))
    });
    if after.is_none() && !query.is_empty() {
        return reply::say(StatusCode::BAD_REQUEST, "after= begins a page as an earlier one said it");
    }
    let (unknown, next) = waiting(&app.keeper.live.all(), &app.site.get(), after);
    reply::json(&Page { unknown, next })
}

/// A status as JSON, and of what it is: versions of records and documents, what is wrong.
#[derive(Debug)]
pub(crate) struct Made {
    of: (u64, u64, Option<String>),
    at: Instant,
    json: Bytes,
}

/// A status is made again after that, for its time.
const FRESH: Duration = Duration::from_secs(1);

/// Answers `/v1/status`. Who does not read holds the same bytes as all the others.
pub(crate) fn reply(app: &App) -> Reply {
    // Before the records are read: what changes meanwhile makes it old.
    let of = (app.keeper.live.version(), app.site.get().version, app.problem());
    let mut made = app.status.lock().unwrap_or_else(PoisonError::into_inner);
    let json = match made.as_ref().filter(|made| made.of == of && made.at.elapsed() < FRESH) {
        Some(made) => made.json.clone(),
        None => {
            let Ok(json) = serde_json::to_vec(&status(app)).map(Bytes::from) else {
                return reply::json(&status(app));
            };
            *made = Some(Made { of, at: Instant::now(), json: json.clone() });
            json
        }
    };
    drop(made);
    reply::with(StatusCode::OK, "application/json", Body::Bytes(Some(json)))
}

/// All about one, if there is such a sled or such hardware.
pub(crate) fn detail(app: &App, id: &str) -> Option<Result<Detail, crate::store::Error>> {
    let (site, record) = (app.site.get(), app.keeper.live.get(id));
    let document = site.sleds.get(id);
    if document.is_none() && !id.starts_with(UNKNOWN) {
        return None;
    }
    if document.is_none() && record.is_none() {
        return None;
    }
    Some(app.keeper.detail(id).map(|(history, report)| {
        Detail {
            sled: document.map(|document| sled(document, record.as_deref(), &site)),
            unknown: record
                .as_deref()
                .filter(|_| document.is_none())
                .map(|record| unknown(id, record, &site)),
            facts: record.map(|record| record.facts.clone()).unwrap_or_default(),
            history,
            // Those of an older server were kept as they came.
            report: report
                .and_then(|report| serde_json::from_slice(&report).ok())
                .map(|report| told::kept(&report, told::OF_SLED)),
        }
    }))
}
