//! HTTP/1.1 as a client: documents, images, reports.
//!
//! Our own on top of `httparse`, because a library costs more than it does here:
//! beside a bare TCP socket in the static binary, httparse is 4 KB, minreq 248 KB and
//! ureq 430 KB; 177 KB of these are glibc's `getaddrinfo`, which [`names`] replaces.
//!
//! No TLS: rustls would be 1 MB, and a clock and authorities that have to be right before
//! there is a document. Documents are signed, images verified block by block.
//!
//! One connection per request, no proxy, no cookies, no compression. Every wait has
//! an end, see [`Limits`]; the length of a body is bounded by who reads it.
//! Source: RFC 9110 and RFC 9112; numbers in comments are their sections.

mod body;
mod date;
mod head;
pub mod names;
pub(crate) mod url;
mod wire;

pub use body::Response;
pub use names::Names;

use crate::pulse::Pulse;
use head::Head;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use url::Url;
use wire::Wire;

/// Redirects that are followed, one after the other.
pub const MAX_REDIRECTS: u32 = 3;

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// To connect to one address.
    pub connect: Duration,
    /// Without a byte.
    pub stall: Duration,
    /// Least bytes a second, counted while waiting only, so that a slow disk behind
    /// the reader is not held against the server.
    pub rate: u64,
    /// Over which time `rate` is judged.
    pub window: Duration,
    /// Until the end of the body, all redirects included.
    pub total: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            stall: Duration::from_secs(20),
            rate: 1024,
            window: Duration::from_secs(30),
            total: None,
        }
    }
}

/// Why there is no answer, or not all of it. The URL is left to who asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A URL nobody can be asked with.
    #[error("`{url}` {why}")]
    Url {
        /// The URL.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The name servers do not know it, or do not answer.
    #[error("name {name} does not resolve: {why}")]
    Name {
        /// The host's name.
        name: String,
        /// Why not.
        why: String,
    },
    /// Nobody listens.
    #[error("connection refused by {0}")]
    Refused(SocketAddr),
    /// No interface or router leads there, or the last router says so.
    #[error("no route to {0}")]
    NoRoute(SocketAddr),
    /// No answer to the attempt to connect.
    #[error("{address} does not answer within {limit:?}")]
    NoAnswer {
        /// Who.
        address: SocketAddr,
        /// [`Limits::connect`].
        limit: Duration,
    },
    /// [`Limits::stall`] is over.
    #[error("nothing for {0:?}")]
    Stalled(Duration),
    /// Slower than [`Limits::rate`].
    #[error("only {bytes} bytes in {window:?}")]
    Slow {
        /// What came.
        bytes: u64,
        /// In this time.
        window: Duration,
    },
    /// [`Limits::total`] is over.
    #[error("not complete within {0:?}")]
    Late(Duration),
    /// The connection ended in the middle of a body.
    #[error("closed after {got} of {} bytes", .of.map_or("an unknown number of".into(), |of| of.to_string()))]
    Closed {
        /// Bytes of the body that came.
        got: u64,
        /// How many there should have been.
        of: Option<u64>,
    },
    /// The connection ended before there was an answer.
    #[error("closed without an answer")]
    NoHead,
    /// What came is not HTTP.
    #[error("the answer is not HTTP: {0}")]
    Garbage(&'static str),
    /// More than the reader wants.
    #[error("longer than {0} bytes")]
    TooLong(u64),
    /// Redirected once too often.
    #[error("redirected more than {MAX_REDIRECTS} times, last to {0}")]
    Redirects(String),
    /// Anything else the kernel says.
    #[error("the connection broke")]
    Broken(#[source] io::Error),
}

impl Error {
    /// The error in an [`io::Error`] that reading gave.
    pub fn of(error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(own) => own,
            Err(error) => Self::Broken(error),
        }
    }

    fn into_io(self) -> io::Error {
        match self {
            Self::Broken(error) => error,
            own => io::Error::other(own),
        }
    }
}

/// A client. Threads may share it.
#[derive(Clone, Debug, Default)]
pub struct Client {
    limits: Limits,
    names: Arc<Names>,
    pulse: Pulse,
}

impl Client {
    /// A client that knows no name server yet, see [`Client::names`].
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// The same client with other limits: name servers and trust are shared.
    pub fn with(&self, limits: Limits) -> Self {
        Self { limits, ..self.clone() }
    }

    /// Where names are looked up; can be told other name servers at any time.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Beats with every answer and every piece of one.
    pub fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// Asks for a URL, from a byte on (14.2). A server that does not do ranges
    /// answers 200 and everything, see [`Response::start`]. Any status is an answer.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn get(&self, url: &str, from: u64) -> Result<Response, Error> {
        let end = self.end();
        let mut url = Url::parse(url)?;
        let range = if from > 0 { format!("Range: bytes={from}-\r\n") } else { String::new() };
        for _ in 0..=MAX_REDIRECTS {
            let response = self.ask("GET", &url, &range, &[], end)?;
            match (response.status, &response.location) {
                (301 | 302 | 303 | 307 | 308, Some(to)) => url = url.join(to)?,
                _ => return Ok(response),
            }
        }
        Err(Error::Redirects(url.to_string()))
    }

    /// Posts a body. A redirect is not followed: the token is for this server only.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn post(
        &self,
        url: &str,
        content_type: &str,
        bearer: Option<&str>,
        body: &[u8],
    ) -> Result<Response, Error> {
        let mut headers = format!("Content-Type: {content_type}\r\nContent-Length: {}\r\n", body.len());
        // A token with a line break in it would be two headers.
        if let Some(token) = bearer.filter(|token| token.bytes().all(|b| b.is_ascii_graphic())) {
            headers += &format!("Authorization: Bearer {token}\r\n");
        }
        self.ask("POST", &Url::parse(url)?, &headers, body, self.end())
    }

    fn end(&self) -> Option<Instant> {
        self.limits.total.and_then(|total| Instant::now().checked_add(total))
    }

    fn ask(
        &self,
        method: &str,
        url: &Url,
        headers: &str,
        body: &[u8],
        end: Option<Instant>,
    ) -> Result<Response, Error> {
        let mut stream = self.open(url, end)?;
        let (path, host) = (&url.path, url.authority());
        let agent = concat!("sledos/", env!("CARGO_PKG_VERSION"));
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\nConnection: close\r\n{headers}\r\n"
        )
        .into_bytes();
        request.extend_from_slice(body);
        let sent = stream.write_all(&request).and_then(|()| stream.flush());
        let mut reader = io::BufReader::new(stream);
        // A server may refuse a body before it has read all of it.
        let head = match (Head::read(&mut reader), sent) {
            (Err(Error::NoHead), Err(error)) => return Err(Error::of(error)),
            (head, _) => head?,
        };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        Response::new(&head, reader, now)
    }

    /// Connects to the server of a URL and hangs up: whether it is there.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn reach(&self, url: &str) -> Result<(), Error> {
        self.dial(&Url::parse(url)?, self.end()).map(drop)
    }

    fn open(&self, url: &Url, end: Option<Instant>) -> Result<Wire, Error> {
        Wire::new(self.dial(url, end)?, self.limits, end, self.pulse.clone())
    }

    fn dial(&self, url: &Url, end: Option<Instant>) -> Result<TcpStream, Error> {
        let addresses = self.names.resolve(&url.host, end)?;
        let mut last = None;
        for address in addresses.into_iter().map(|ip| SocketAddr::new(ip, url.port)) {
            self.pulse.beat();
            match connect(address, self.limits.connect, end) {
                Ok(socket) => return Ok(socket),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or(Error::Name { name: url.host.clone(), why: "it has no address".into() }))
    }
}

fn connect(address: SocketAddr, limit: Duration, end: Option<Instant>) -> Result<TcpStream, Error> {
    let left = end.map_or(limit, |end| end.saturating_duration_since(Instant::now()));
    let limit = limit.min(left).max(Duration::from_millis(1));
    TcpStream::connect_timeout(&address, limit).map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => Error::Refused(address),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Error::NoRoute(address),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Error::NoAnswer { address, limit },
        _ => Error::Broken(error),
    })
}

#[cfg(test)]
mod tests;
