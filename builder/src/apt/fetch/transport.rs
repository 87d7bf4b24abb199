//! One address, one attempt: HTTP, HTTPS or a local file, streamed in bounded pieces.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use ureq::Agent;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use super::{Patience, Problem};

/// Where hosts keep their CA bundle.
const CA_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

#[derive(Debug)]
pub(super) struct Transport {
    agent: Agent,
}

/// Takes the pieces of a file. Its errors end the attempt.
pub(super) type Sink<'a> = dyn FnMut(&[u8]) -> io::Result<()> + 'a;

impl Transport {
    pub(super) fn new(patience: Patience) -> Transport {
        let tls = TlsConfig::builder().root_certs(root_certs()).build();
        let config = Agent::config_builder()
            .user_agent(concat!("sledos/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false)
            .timeout_resolve(Some(patience.connect))
            .timeout_connect(Some(patience.connect))
            .timeout_recv_response(Some(patience.stall))
            .timeout_per_read(Some(patience.stall))
            .tls_config(tls)
            .build();
        Transport { agent: config.into() }
    }

    /// Gives `sink` all bytes of `url` from `offset` on. `limit` is the size the
    /// whole file may have at most. A server that cannot continue at `offset`
    /// is a [`Problem::Status`].
    pub(super) fn get(&self, url: &str, offset: u64, limit: u64, sink: &mut Sink<'_>) -> Result<(), Problem> {
        let (mut body, length) = match url.strip_prefix("file://") {
            Some(path) => open_file(path, offset)?,
            None => self.open_http(url, offset)?,
        };
        let wanted = length.map(|length| offset.saturating_add(length));
        if wanted.is_some_and(|wanted| wanted > limit) {
            return Err(Problem::TooLarge { limit });
        }
        let mut buffer = vec![0; 64 * 1024];
        let mut got = offset;
        loop {
            let n = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(body_problem(error, got, wanted.unwrap_or(limit))),
            };
            let part = buffer.get(..n).unwrap_or_default();
            got = got.saturating_add(u64::try_from(n).unwrap_or(u64::MAX));
            if got > limit {
                return Err(Problem::TooLarge { limit });
            }
            sink(part).map_err(Problem::Io)?;
        }
        match wanted {
            Some(wanted) if got < wanted => Err(Problem::Truncated { got, wanted }),
            _ => Ok(()),
        }
    }

    fn open_http(&self, url: &str, offset: u64) -> Result<(Box<dyn Read>, Option<u64>), Problem> {
        let mut request = self.agent.get(url);
        if offset > 0 {
            request = request.header("Range", format!("bytes={offset}-"));
        }
        let response = request.call().map_err(call_problem)?;
        let expected = if offset > 0 { 206 } else { 200 };
        match response.status().as_u16() {
            404 | 410 => Err(Problem::NotFound),
            code if code == expected => {
                let body = response.into_body();
                let length = body.content_length();
                Ok((Box::new(body.into_reader()), length))
            }
            code => Err(Problem::Status(code)),
        }
    }
}

fn open_file(path: &str, offset: u64) -> Result<(Box<dyn Read>, Option<u64>), Problem> {
    let open = || -> io::Result<(Box<dyn Read>, Option<u64>)> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(offset))?;
        Ok((Box::new(file), Some(length.saturating_sub(offset))))
    };
    open().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Problem::NotFound,
        _ => Problem::Io(error),
    })
}

fn call_problem(error: ureq::Error) -> Problem {
    use ureq::Timeout::{Connect, Resolve};
    match error {
        ureq::Error::Timeout(kind @ (Connect | Resolve)) => {
            Problem::Connect(format!("no answer while waiting to {kind}"))
        }
        ureq::Error::Timeout(_) => Problem::Stalled,
        other => Problem::Connect(other.to_string()),
    }
}

/// What went wrong while the body came: `ureq` wraps its own errors in
/// [`io::Error`].
fn body_problem(error: io::Error, got: u64, wanted: u64) -> Problem {
    let stalled = error.get_ref().and_then(|e| e.downcast_ref::<ureq::Error>());
    match stalled {
        Some(ureq::Error::Timeout(_)) => Problem::Stalled,
        Some(_) => Problem::Truncated { got, wanted },
        None if error.kind() == io::ErrorKind::TimedOut => Problem::Stalled,
        None if error.kind() == io::ErrorKind::UnexpectedEof
            || error.kind() == io::ErrorKind::ConnectionReset =>
        {
            Problem::Truncated { got, wanted }
        }
        None => Problem::Io(error),
    }
}

/// `SSL_CERT_FILE`, else the host's bundle, so that a site's own CA counts;
/// else the list that comes with the program.
pub(crate) fn root_certs() -> RootCerts {
    let given = std::env::var_os("SSL_CERT_FILE").map(std::path::PathBuf::from);
    let known = CA_BUNDLES.iter().map(std::path::PathBuf::from);
    for file in given.into_iter().chain(known) {
        let Ok(pem) = std::fs::read(&file) else { continue };
        let certificates: Vec<Certificate<'static>> = parse_pem(&pem)
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            })
            .collect();
        if !certificates.is_empty() {
            return RootCerts::Specific(Arc::new(certificates));
        }
    }
    RootCerts::WebPki
}
