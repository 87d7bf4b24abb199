//! As much HTTP/1.1 as the two programs need: small requests, JSON answers.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde_json::Value as Json;

/// The longest body taken.
const MAX_BODY: u64 = 4 << 20;
/// How long a peer may keep still.
const PATIENCE: Duration = Duration::from_secs(10);

/// A request.
pub(crate) struct Request {
    /// `GET` or `POST`.
    pub(crate) method: String,
    /// Without the query.
    pub(crate) path: String,
    /// Whether its `Content-Type` is JSON.
    pub(crate) is_json: bool,
    /// JSON; null when there is none.
    pub(crate) body: Json,
}

/// What to do with a request.
pub(crate) enum Answer {
    /// Answer, and close.
    Close(u16, Json),
    /// Answer, and leave the connection to somebody until he is done.
    Link(Json, Box<dyn FnOnce(&TcpStream) + Send>),
}

/// Answers requests, each in a thread, for ever.
pub(crate) fn serve(listener: &TcpListener, handler: Arc<dyn Fn(Request) -> Answer + Send + Sync>) {
    for stream in listener.incoming() {
        let Ok(stream) = stream else {
            // Out of descriptors: the others will end.
            thread::sleep(Duration::from_millis(50));
            continue;
        };
        let handler = Arc::clone(&handler);
        thread::spawn(move || {
            let _ = connection(stream, handler.as_ref());
        });
    }
}

fn connection(stream: TcpStream, handler: &dyn Fn(Request) -> Answer) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let Message { first, is_json, body } = message(&mut reader)?;
    let mut words = first.split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let path = words.next().unwrap_or_default().split('?').next().unwrap_or_default().to_owned();
    match handler(Request { method, path, is_json, body }) {
        Answer::Close(status, json) => {
            write(&stream, &format!("HTTP/1.1 {status} \r\nConnection: close"), &json)
        }
        Answer::Link(json, hold) => {
            let written = write(&stream, "HTTP/1.1 200 \r\nConnection: keep-alive", &json);
            // If that failed the stream is broken, and he sees it at once.
            hold(&stream);
            written
        }
    }
}

/// Sends a request; the connection is given back, for it may be a link.
pub(crate) fn post(to: &str, path: &str, body: &Json) -> io::Result<(Json, TcpStream)> {
    let address = to.to_socket_addrs()?.next().ok_or_else(|| io::Error::other("the name has no address"))?;
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write(&stream, &format!("POST {path} HTTP/1.1\r\nHost: {to}"), body)?;
    let Message { first, body, .. } = message(&mut BufReader::new(stream.try_clone()?))?;
    match first.split(' ').nth(1) {
        Some("200" | "202") => Ok((body, stream)),
        Some("401") => Err(io::ErrorKind::PermissionDenied.into()),
        _ => Err(io::Error::other(format!("the answer is '{}'", first.trim()))),
    }
}

fn write(mut stream: &TcpStream, head: &str, json: &Json) -> io::Result<()> {
    let body = if json.is_null() { String::new() } else { json.to_string() };
    let length = body.len();
    let text = format!("{head}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(text.as_bytes())
}

/// What is read of a request or an answer.
struct Message {
    first: String,
    is_json: bool,
    body: Json,
}

fn message(reader: &mut BufReader<TcpStream>) -> io::Result<Message> {
    let mut first = String::new();
    let mut is_json = false;
    let mut head = reader.take(64 << 10);
    head.read_line(&mut first)?;
    let mut length = 0_u64;
    loop {
        let mut line = String::new();
        if head.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some((name, value)) = line.split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().map_err(io::Error::other)?;
        } else if name.eq_ignore_ascii_case("content-type") {
            is_json = value.trim() == "application/json";
        }
    }
    if length > MAX_BODY {
        return Err(io::Error::other("the body is too long"));
    }
    let mut body = Vec::new();
    head.into_inner().take(length).read_to_end(&mut body)?;
    let json = if body.is_empty() { Json::Null } else { serde_json::from_slice(&body)? };
    Ok(Message { first, is_json, body: json })
}
