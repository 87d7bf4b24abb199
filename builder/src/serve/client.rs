//! Asks a server that runs.

use std::time::Duration;

use serde_json::Value;
use ureq::tls::TlsConfig;

use super::Error;
use crate::apt::fetch::transport::root_certs;

/// How long a server may take.
const AT_MOST: Duration = Duration::from_secs(30);
/// Longest answer: the status of a hundred thousand sleds.
const MAX: u64 = 256 << 20;

fn agent() -> ureq::Agent {
    let tls = TlsConfig::builder().root_certs(root_certs()).build();
    let config = ureq::Agent::config_builder().timeout_global(Some(AT_MOST)).http_status_as_error(false);
    config.tls_config(tls).build().into()
}

fn answer(
    url: String,
    sent: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
) -> Result<(String, String), Error> {
    let silent = |source| Error::Silent { url: url.clone(), source: Box::new(source) };
    let mut response = sent.map_err(silent)?;
    let status = response.status().as_u16();
    let text = response.body_mut().with_config().limit(MAX).read_to_string().map_err(silent)?;
    if (200..300).contains(&status) {
        Ok((url, text))
    } else {
        let says = text.lines().next().unwrap_or_default().to_owned();
        Err(Error::Refused { url, status, says })
    }
}

/// `GET`, and its JSON.
///
/// # Errors
/// When it does not answer, or with something else.
pub fn get(server: &str, path: &str) -> Result<Value, Error> {
    let url = format!("{}{path}", server.trim_end_matches('/'));
    let sent = agent().get(&url).call();
    let (url, text) = answer(url, sent)?;
    serde_json::from_str(&text).map_err(|source| Error::NotOurs { url, source })
}

/// `POST` with a token; returns what it says.
///
/// # Errors
/// When it does not answer, or refuses.
pub fn post(server: &str, path: &str, token: &str, body: &Value) -> Result<String, Error> {
    let url = format!("{}{path}", server.trim_end_matches('/'));
    let request = agent().post(&url).header("Authorization", format!("Bearer {token}"));
    let sent = request.content_type("application/json").send(body.to_string());
    answer(url, sent).map(|(_, text)| text)
}
