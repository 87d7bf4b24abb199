//! Answers.

use super::body::Body;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde::Serialize;

/// An answer.
pub type Reply = Response<Body>;

/// What browsers are told about everything: nothing from elsewhere, and no guessing.
const SAFE: [(&str, &str); 4] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("server", "sledos"),
];

/// An answer with a body of this type.
pub fn with(status: StatusCode, kind: &'static str, body: impl Into<Body>) -> Reply {
    let mut reply = Response::new(body.into());
    *reply.status_mut() = status;
    set(&mut reply, CONTENT_TYPE, kind);
    set(&mut reply, CACHE_CONTROL, "no-cache");
    reply
}

/// An answer without a body.
pub fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(Body::Bytes(None));
    *reply.status_mut() = status;
    reply
}

/// Why not, in a sentence.
pub fn say(status: StatusCode, why: &str) -> Reply {
    with(status, "text/plain; charset=utf-8", format!("{why}\n").into_bytes())
}

/// JSON.
pub fn json(value: &impl Serialize) -> Reply {
    match serde_json::to_vec(value) {
        Ok(mut text) => {
            text.push(b'\n');
            with(StatusCode::OK, "application/json", text)
        }
        Err(_) => say(StatusCode::INTERNAL_SERVER_ERROR, "this cannot be written as JSON"),
    }
}

/// 405.
pub fn method_not_allowed(allowed: &'static str) -> Reply {
    let mut reply = say(StatusCode::METHOD_NOT_ALLOWED, &format!("only {allowed}"));
    set(&mut reply, ALLOW, allowed);
    reply
}

/// 503, and when to come back.
pub fn busy(why: &str) -> Reply {
    let mut reply = say(StatusCode::SERVICE_UNAVAILABLE, why);
    set(&mut reply, RETRY_AFTER, "5");
    reply
}

/// Sets a header.
pub fn set(reply: &mut Reply, name: HeaderName, value: &str) {
    // Values are ours, or were checked: what is no header is left out.
    if let Ok(value) = HeaderValue::from_str(value) {
        reply.headers_mut().insert(name, value);
    }
}

/// Adds what every answer has.
pub fn finish(mut reply: Reply) -> Reply {
    for (name, value) in SAFE {
        reply.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    reply
}
