//! The rack page: one document, one script, one sheet, all in the program.

use crate::http::reply::{self, Reply};
use hyper::StatusCode;

const FILES: [(&str, &str, &str); 6] = [
    ("index.html", "text/html; charset=utf-8", include_str!("index.html")),
    ("app.js", "text/javascript; charset=utf-8", include_str!("app.js")),
    ("detail.js", "text/javascript; charset=utf-8", include_str!("detail.js")),
    ("bind.js", "text/javascript; charset=utf-8", include_str!("bind.js")),
    ("page.css", "text/css; charset=utf-8", include_str!("page.css")),
    ("icon.svg", "image/svg+xml", include_str!("icon.svg")),
];

/// A file of the page.
pub(crate) fn file(name: &str) -> Reply {
    match FILES.iter().find(|(file, ..)| *file == name) {
        Some((_, kind, text)) => reply::with(StatusCode::OK, kind, text.as_bytes().to_vec()),
        None => reply::say(StatusCode::NOT_FOUND, "the page has no such file"),
    }
}
