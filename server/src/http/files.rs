//! Files: documents from memory, artefacts from the disk.

use super::body::Body;
use super::conditions::{Answer, answer};
use super::date;
use super::reply::{self, Reply};
use crate::metrics::Metrics;
use crate::site;
use hyper::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, ETAG, LAST_MODIFIED};
use hyper::{HeaderMap, Method, StatusCode};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// Why a path is not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadPath;

/// A path of a URL, decoded, as parts that stay below where they are put.
///
/// # Errors
/// When a part is empty, `.`, `..`, hidden, or has a NUL, a `/`, a `\` or no UTF-8 in it.
pub fn parts(path: &str) -> Result<Vec<String>, BadPath> {
    let part = |part: &str| {
        let text = decode(part).ok_or(BadPath)?;
        let bad = text.is_empty() || text.starts_with('.') || text.contains(['/', '\\', '\0']);
        if bad { Err(BadPath) } else { Ok(text) }
    };
    path.strip_prefix('/').ok_or(BadPath)?.split('/').map(part).collect()
}

/// A path with one `/` wherever there are several, as nginx does it (`merge_slashes`): URLs are
/// often put together of a base with a `/` at its end.
pub fn merged(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for c in path.chars() {
        if c != '/' || !out.ends_with('/') {
            out.push(c);
        }
    }
    out
}

/// Undoes percent-encoding (RFC 3986 section 2.1), once.
fn decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16).and_then(|d| u8::try_from(d).ok());
            out.push(digit()? << 4 | digit()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

/// The type of a file, by its name.
fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("json") => "application/json",
        Some("ipxe" | "minisig") => "text/plain; charset=utf-8",
        // UEFI HTTP boot goes by this type (UEFI specification, section 24.7.3.1).
        Some("efi") => "application/efi",
        _ => "application/octet-stream",
    }
}

/// A document or script.
pub fn memory(method: &Method, headers: &HeaderMap, name: &str, file: &site::File) -> Reply {
    let length = u64::try_from(file.bytes.len()).unwrap_or(u64::MAX);
    let slice = |from: u64, to: u64| {
        let at = |n| usize::try_from(n).unwrap_or(usize::MAX).min(file.bytes.len());
        Ok(Body::Bytes(Some(file.bytes.slice(at(from)..at(to)))))
    };
    send(
        method,
        headers,
        &Meta { kind: kind(name), etag: &file.etag, modified: file.modified, length },
        slice,
    )
}

/// Opens an artefact below `root`; one whose links lead out of it is not there. The directory
/// of a version, `NAME/VERSION`, may be a link to where it is: who runs the server has made it.
fn open(root: &Path, parts: &[String]) -> io::Result<(File, std::fs::Metadata)> {
    let path: PathBuf = std::iter::once(root.to_owned()).chain(parts.iter().map(PathBuf::from)).collect();
    let path = std::fs::canonicalize(path)?;
    let top = match parts {
        [name, version, _, ..] => root.join(name).join(version),
        _ => root.to_owned(),
    };
    if !path.starts_with(std::fs::canonicalize(top)?) {
        return Err(io::ErrorKind::NotFound.into());
    }
    let file = File::open(path)?;
    let meta = file.metadata()?;
    if meta.is_file() { Ok((file, meta)) } else { Err(io::ErrorKind::NotFound.into()) }
}

/// An artefact.
pub async fn disk(
    method: &Method,
    headers: &HeaderMap,
    root: &Path,
    parts: &[String],
    metrics: &Arc<Metrics>,
) -> Reply {
    let (dir, wanted) = (root.to_owned(), parts.to_vec());
    let opened = tokio::task::spawn_blocking(move || open(&dir, &wanted)).await;
    let (file, meta) = match opened.map_err(io::Error::other).flatten() {
        Ok(opened) => opened,
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename
            ) =>
        {
            return reply::say(StatusCode::NOT_FOUND, "there is no such file");
        }
        Err(_) => return reply::busy("this file cannot be read at the moment"),
    };
    let name = parts.last().map(String::as_str).unwrap_or_default();
    let (etag, modified) = (site::etag(&meta), meta.modified().unwrap_or(SystemTime::UNIX_EPOCH));
    let meta = Meta { kind: kind(name), etag: &etag, modified, length: meta.len() };
    send(method, headers, &meta, |from, to| Ok(Body::part(file, from, to, metrics)))
}

struct Meta<'a> {
    kind: &'static str,
    etag: &'a str,
    modified: SystemTime,
    length: u64,
}

fn send(
    method: &Method,
    headers: &HeaderMap,
    meta: &Meta<'_>,
    body: impl FnOnce(u64, u64) -> io::Result<Body>,
) -> Reply {
    let Meta { kind, etag, modified, length } = *meta;
    let (status, part) = match answer(headers, etag, modified, length) {
        Answer::Whole => (StatusCode::OK, Some((0, length))),
        Answer::Part(from, to) => (StatusCode::PARTIAL_CONTENT, Some((from, to))),
        Answer::NotModified => (StatusCode::NOT_MODIFIED, None),
        Answer::Failed => return reply::say(StatusCode::PRECONDITION_FAILED, "the file is another one"),
        Answer::NoSuchPart => {
            let mut reply = reply::say(StatusCode::RANGE_NOT_SATISFIABLE, "the file has no such part");
            reply::set(&mut reply, CONTENT_RANGE, &format!("bytes */{length}"));
            return reply;
        }
    };
    let mut reply = match part {
        Some((from, to)) if method != Method::HEAD => match body(from, to) {
            Ok(body) => reply::with(status, kind, body),
            Err(_) => return reply::busy("this file cannot be read at the moment"),
        },
        Some(_) => reply::with(status, kind, Body::Bytes(None)),
        None => reply::empty(status),
    };
    if let Some((from, to)) = part {
        reply::set(&mut reply, CONTENT_LENGTH, &(to - from).to_string());
        if status == StatusCode::PARTIAL_CONTENT {
            reply::set(&mut reply, CONTENT_RANGE, &format!("bytes {from}-{}/{length}", to.saturating_sub(1)));
        }
    }
    reply::set(&mut reply, ETAG, etag);
    reply::set(&mut reply, LAST_MODIFIED, &date::format(modified));
    reply::set(&mut reply, ACCEPT_RANGES, "bytes");
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leads_out() {
        assert_eq!(parts("/images/compute/a%20b").unwrap(), ["images", "compute", "a b"]);
        for path in [
            "images/x",
            "/../x",
            "/a/../b",
            "/a/%2e%2e/b",
            "/a/..%2fb",
            "/a/%2E./b",
            "/a//b",
            "/a/",
            "/.git/x",
            "/a/%00",
            "/a/b%5c..%5cc",
            "/a/%ff",
            "/a/%2",
            "/a/%zz",
            "/",
        ] {
            assert_eq!(parts(path), Err(BadPath), "{path}");
        }
        // Decoded once: these are names, not ways up.
        assert_eq!(parts("/%252e%252e/x").unwrap(), ["%2e%2e", "x"]);
    }

    #[test]
    fn links_that_lead_out_of_the_directory_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("images");
        std::fs::create_dir(&root).unwrap();
        std::fs::write(dir.path().join("secret"), "x").unwrap();
        std::fs::write(root.join("good"), "x").unwrap();
        std::os::unix::fs::symlink("../secret", root.join("bad")).unwrap();
        std::os::unix::fs::symlink("good", root.join("link")).unwrap();
        let kind = |name: &str| open(&root, &[name.to_owned()]).map(|_| ()).map_err(|e| e.kind());
        assert_eq!(kind("good"), Ok(()));
        assert_eq!(kind("link"), Ok(()));
        assert_eq!(kind("bad"), Err(io::ErrorKind::NotFound));

        // A version that lies elsewhere, and what a link in it leads to.
        let elsewhere = dir.path().join("built");
        std::fs::create_dir(&elsewhere).unwrap();
        std::fs::create_dir(root.join("compute")).unwrap();
        std::fs::write(elsewhere.join("usr.squashfs"), "x").unwrap();
        std::os::unix::fs::symlink("../secret", elsewhere.join("bad")).unwrap();
        std::os::unix::fs::symlink(&elsewhere, root.join("compute/1")).unwrap();
        let of_version = |file: &str| {
            let parts = ["compute", "1", file].map(str::to_owned);
            open(&root, &parts).map(|_| ()).map_err(|e| e.kind())
        };
        assert_eq!(of_version("usr.squashfs"), Ok(()));
        assert_eq!(of_version("bad"), Err(io::ErrorKind::NotFound));
    }
}
