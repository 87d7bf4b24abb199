//! Says that a document is the newest: `metadata::freshness` has the form. Nothing is kept of a
//! question, and nothing is signed but such answers: of what others give, only digits are in it.

use super::reply::{self, Reply};
use crate::App;
use hyper::StatusCode;
use hyper::header::CACHE_CONTROL;
use metadata::freshness::{Statement, is_nonce};

/// Answers for this sled, and this query.
pub(super) fn answer(app: &App, sled: &str, query: &str) -> Reply {
    let Some(nonce) = query.strip_prefix("nonce=").filter(|nonce| is_nonce(nonce)) else {
        let why = "give the number of the question, 32 to 64 small hexadecimal digits: ?nonce=…";
        return reply::say(StatusCode::BAD_REQUEST, why);
    };
    let Some(signer) = &app.freshness else {
        return reply::say(StatusCode::NOT_FOUND, "this server has no key for freshness");
    };
    let site = app.site.get();
    let Some((generation, sha256)) = site.newest(sled) else {
        return reply::say(StatusCode::NOT_FOUND, "there is no such sled");
    };
    let says = Statement { sled, nonce, time: crate::now() / 1000, generation, sha256 };
    let text = says.answer(signer).into_bytes();
    let mut reply = reply::with(StatusCode::OK, "text/plain; charset=utf-8", text);
    reply::set(&mut reply, CACHE_CONTROL, "no-store");
    reply
}
