//! Which request goes where.

use super::reply::{self, Reply};
use super::{events, files, fresh, gate, intake, openapi, status};
use crate::metrics::Refusal;
use crate::sled::state::{Event, SCRIPT};
use crate::{App, page};
use hyper::body::Incoming;
use hyper::header::{ALLOW, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use std::net::IpAddr;
use std::sync::Arc;

/// Answers.
pub(crate) async fn answer(app: &Arc<App>, request: Request<Incoming>, address: IpAddr) -> Reply {
    let (route, reply) = find(app, request, address).await;
    app.metrics.answered(route, reply.status().as_u16());
    reply::finish(reply)
}

const READ: &str = "GET, HEAD";

async fn find(app: &Arc<App>, request: Request<Incoming>, address: IpAddr) -> (&'static str, Reply) {
    let method = request.method().clone();
    // Those of RFC 9110 and RFC 5789; which of them a path takes is said there.
    let known = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::OPTIONS,
        Method::PUT,
        Method::DELETE,
        Method::PATCH,
        Method::TRACE,
        Method::CONNECT,
    ];
    if !known.contains(&method) {
        app.metrics.refuse(Refusal::Method);
        app.log.limited("unknown method", &format!("{method} from {address}"));
        return ("none", reply::say(StatusCode::NOT_IMPLEMENTED, "this method is not known here"));
    }
    let is_name = |name: &str| app.names.contains(name) || app.site.get().names.contains(name);
    if let Err((status, why)) = gate::check(&method, request.uri(), request.headers(), is_name) {
        app.metrics.refuse(Refusal::Foreign);
        app.log.limited("request refused", &format!("{method} from {address}: {why}"));
        return ("none", reply::say(status, &why));
    }
    let path = files::merged(request.uri().path());
    if path == "/" {
        return ("page", read_only(app, &method, || page::file("index.html")));
    }
    let Ok(parts) = files::parts(&path) else {
        app.metrics.refuse(Refusal::Path);
        app.log.limited("bad path", &format!("{path} from {address}"));
        return ("none", reply::say(StatusCode::BAD_REQUEST, "this path leads nowhere"));
    };
    let names: Vec<&str> = parts.iter().map(String::as_str).collect();
    match names.as_slice() {
        ["v1", "report", sled] => (
            "report",
            match method {
                Method::POST => intake::report(app, sled, request, address).await,
                other => post_only(app, &other),
            },
        ),
        ["v1", "inventory"] => (
            "inventory",
            match method {
                Method::POST => intake::inventory(app, request, address).await,
                other => post_only(app, &other),
            },
        ),
        ["v1", "bind"] => (
            "bind",
            match method {
                Method::POST => crate::bind::bind(app, request, address).await,
                other => post_only(app, &other),
            },
        ),
        ["v1", "status"] => ("status", read_only(app, &method, || status::reply(app))),
        ["v1", "unknown"] => {
            let query = request.uri().query().unwrap_or_default();
            ("unknown", read_only(app, &method, || status::page(app, query)))
        }
        ["v1", "fresh", sled] => {
            let query = request.uri().query().unwrap_or_default();
            ("fresh", read_only(app, &method, || fresh::answer(app, sled, query)))
        }
        ["v1", "sleds", id] => (
            "sled",
            match method {
                Method::GET | Method::HEAD => detail(app, id).await,
                other => not_allowed(app, &other),
            },
        ),
        ["v1", "events"] => (
            "events",
            match method {
                Method::GET => events::stream(app, address),
                other => not_allowed(app, &other),
            },
        ),
        ["v1", "openapi.json"] => ("openapi", read_only(app, &method, || reply::json(&openapi::document()))),
        ["metrics"] => ("metrics", read_only(app, &method, || metrics(app))),
        ["healthz"] => ("healthz", read_only(app, &method, || reply::say(StatusCode::OK, "ok"))),
        ["page", file] => ("page", read_only(app, &method, || page::file(file))),
        [kind @ ("images" | "pxe"), rest @ ..] if !rest.is_empty() => (
            "file",
            match method {
                Method::GET | Method::HEAD => {
                    let root = if *kind == "images" { &app.images } else { &app.pxe };
                    let parts = parts.get(1..).unwrap_or_default();
                    files::disk(&method, request.headers(), root, parts, &app.metrics).await
                }
                other => not_allowed(app, &other),
            },
        ),
        ["v1", ..] => (
            "document",
            match method {
                Method::GET | Method::HEAD => document(app, &request, &names.join("/"), address),
                other => not_allowed(app, &other),
            },
        ),
        _ => ("none", reply::say(StatusCode::NOT_FOUND, "there is no such thing")),
    }
}

fn read_only(app: &App, method: &Method, get: impl FnOnce() -> Reply) -> Reply {
    match *method {
        Method::GET | Method::HEAD => get(),
        _ => not_allowed(app, method),
    }
}

fn not_allowed(app: &App, method: &Method) -> Reply {
    other_method(app, method, READ)
}

fn post_only(app: &App, method: &Method) -> Reply {
    other_method(app, method, "POST")
}

fn other_method(app: &App, method: &Method, allowed: &'static str) -> Reply {
    if *method == Method::OPTIONS {
        let mut reply = reply::empty(StatusCode::NO_CONTENT);
        reply::set(&mut reply, ALLOW, allowed);
        return reply;
    }
    app.metrics.refuse(Refusal::Method);
    reply::method_not_allowed(allowed)
}

/// A document or script, and a note that somebody has asked for it, who may be the sled. It
/// changes no state: nobody has shown a token.
fn document(app: &App, request: &Request<Incoming>, path: &str, address: IpAddr) -> Reply {
    let site = app.site.get();
    let Some(file) = site.files.get(path) else {
        return reply::say(StatusCode::NOT_FOUND, "there is no such document");
    };
    if *request.method() == Method::GET
        && let Some((sled, what)) = site.asked(path)
    {
        let agent =
            request.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
        // People and monitors ask, too; they are no sled that starts.
        if agent.starts_with("sledos/") || agent.starts_with("iPXE/") {
            let installed = site.sleds.get(sled).is_some_and(|document| document.install.is_some());
            let to_disk = what == SCRIPT
                && installed
                && app.keeper.live.get(sled).is_some_and(|record| record.starts_from_disk());
            // When too many wait, this one is not missed.
            let _ = app.keeper.note(sled, Event::Asked { what }, Some(address));
            if to_disk {
                let text = metadata::fleet::ipxe::to_disk(sled).into_bytes();
                return reply::with(StatusCode::OK, "text/plain; charset=utf-8", text);
            }
        }
    }
    files::memory(request.method(), request.headers(), path, file)
}

async fn detail(app: &Arc<App>, id: &str) -> Reply {
    let (app, id) = (Arc::clone(app), id.to_owned());
    // It reads from the disk.
    let found = tokio::task::spawn_blocking(move || status::detail(&app, &id)).await;
    match found {
        Ok(Some(Ok(detail))) => reply::json(&detail),
        Ok(None) => reply::say(StatusCode::NOT_FOUND, "there is no such sled"),
        Ok(Some(Err(_))) | Err(_) => reply::busy("the store cannot be read at the moment"),
    }
}

fn metrics(app: &App) -> Reply {
    let text = app.metrics.text(&app.keeper.live.all(), app.site.get().sleds.len(), app.problem().is_some());
    reply::with(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text.into_bytes())
}
