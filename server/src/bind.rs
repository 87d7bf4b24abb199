//! Taking unknown hardware in: it becomes a sled in the fleet file, its document is
//! compiled, and the next time it asks it goes on.

use crate::App;
use crate::http::intake::{bearer, read};
use crate::http::reply::{self, Reply};
use crate::keeper::UNKNOWN;
use crate::metrics::Refusal;
use crate::site::same;
use crate::sled::facts::Facts;
use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::Arc;

/// Who becomes what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Wanted {
    /// Id of the unknown hardware.
    pub id: String,
    /// Digest of what was shown of it. Others may post under its id: it is this that is meant.
    pub digest: String,
    /// The rack it sits in.
    pub rack: String,
    /// The bay.
    pub bay: u32,
    /// Its role, when the bay has no sled in the fleet file yet.
    #[serde(default)]
    pub role: Option<String>,
    /// That it takes the place of the sled that is in the bay; that one's hardware is retired.
    #[serde(default)]
    pub replace: bool,
}

/// The hardware, the place and the role, for who changes the fleet file.
#[derive(Clone, Debug)]
pub struct Binding {
    /// What the hardware says of itself.
    pub hardware: Facts,
    /// The place and the role.
    pub wanted: Wanted,
}

/// Answers `/v1/bind`.
pub(crate) async fn bind(app: &Arc<App>, request: Request<Incoming>, address: IpAddr) -> Reply {
    let right = bearer(request.headers()).map(|token| same(token.as_bytes(), app.operator.as_bytes()));
    if right != Some(true) {
        app.metrics.refuse(Refusal::Forged);
        app.log.limited("order refused", &format!("bind from {address}: not the operator's token"));
        let status = if right.is_none() { StatusCode::UNAUTHORIZED } else { StatusCode::FORBIDDEN };
        return reply::say(
            status,
            "this needs the operator's token: the line in operator.token of the server's state directory",
        );
    }
    if app.fleet.is_none() {
        return reply::say(StatusCode::CONFLICT, "this server has no fleet file to change");
    }
    let body = match read(app, request, app.limits.max_inventory).await {
        Ok(body) => body,
        Err(reply) => return reply,
    };
    let wanted: Wanted = match serde_json::from_slice(&body) {
        Ok(wanted) => wanted,
        Err(error) => return reply::say(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let record = app.keeper.live.get(&wanted.id).filter(|_| wanted.id.starts_with(UNKNOWN));
    let Some(record) = record else {
        return reply::say(StatusCode::NOT_FOUND, "no unknown hardware has this id");
    };
    let rivals = record.rivals.iter().map(|rival| &rival.facts);
    let Some(hardware) =
        std::iter::once(&record.facts).chain(rivals).find(|facts| facts.digest() == wanted.digest)
    else {
        let why = format!("{} says something else of itself than what was shown: look again", wanted.id);
        return reply::say(StatusCode::CONFLICT, &why);
    };
    let site = app.site.get();
    if let Some(sled) = site.at(&wanted.rack, wanted.bay).filter(|_| !wanted.replace) {
        let state = app.keeper.live.get(sled).map(|record| record.state).unwrap_or_default();
        let why = format!(
            "rack {} bay {} is the place of {sled}, which is {state}: say that its hardware is replaced, and retired",
            wanted.rack, wanted.bay
        );
        return reply::say(StatusCode::CONFLICT, &why);
    }
    let binding = Binding { hardware: hardware.clone(), wanted };
    let app = Arc::clone(app);
    // Files are written and documents compiled.
    let done = tokio::task::spawn_blocking(move || app.bind(&binding, address)).await;
    match done {
        Ok(Ok(says)) => reply::say(StatusCode::OK, &says),
        Ok(Err(why)) => reply::say(StatusCode::CONFLICT, &why),
        Err(_) => reply::say(StatusCode::INTERNAL_SERVER_ERROR, "the server has a bug; its log says more"),
    }
}
