//! What programs and the page are told about sleds.

use crate::App;
use crate::keeper::UNKNOWN;
use crate::site::Site;
use crate::sled::check::{Finding, findings};
use crate::sled::facts::Facts;
use crate::sled::state::{Change, Millis, Record, State};
use metadata::document::SledDocument;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

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
    /// Hardware that is in no fleet file.
    pub unknown: Vec<Unknown>,
}

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
    /// The bay that its cables lead to, if they do.
    pub place: Option<(String, u32)>,
    /// What it is.
    pub hardware: Facts,
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
        findings: findings(document, record, &site.places),
    }
}

/// Unknown hardware as it is.
pub fn unknown(id: &str, record: &Record, site: &Site) -> Unknown {
    let place = record.facts.nics.iter().find_map(|nic| site.places.ports.get(nic.neighbour.as_ref()?));
    Unknown {
        id: id.to_owned(),
        heard: record.heard,
        detail: record.detail.clone(),
        address: record.address,
        place: place.map(|(_, at)| (at.rack.clone(), at.bay)),
        hardware: record.facts.clone(),
    }
}

/// Everything.
pub(crate) fn status(app: &App) -> Status {
    let (site, records) = (app.site.get(), app.keeper.live.all());
    let record = |name: &String| records.get(name).map(|record| &**record);
    let sleds: Vec<_> = site.sleds.iter().map(|(name, d)| sled(d, record(name), &site)).collect();
    let unknown: Vec<_> = records
        .iter()
        .filter(|(id, _)| id.starts_with(UNKNOWN))
        .map(|(id, record)| self::unknown(id, record, &site))
        .collect();
    let mut counts: BTreeMap<String, usize> = State::ALL.iter().map(|s| (s.word().to_owned(), 0)).collect();
    for sled in &sleds {
        *counts.entry(sled.state.word().to_owned()).or_default() += 1;
    }
    *counts.entry(State::Unknown.word().to_owned()).or_default() += unknown.len();
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
    }
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
    Some(app.keeper.detail(id).map(|(history, report)| Detail {
        sled: document.map(|document| sled(document, record.as_deref(), &site)),
        unknown: record.as_deref().filter(|_| document.is_none()).map(|record| unknown(id, record, &site)),
        facts: record.map(|record| record.facts.clone()).unwrap_or_default(),
        history,
        report: report.and_then(|report| serde_json::from_slice(&report).ok()),
    }))
}
