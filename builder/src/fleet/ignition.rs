//! What Ignition configs name: files beside the fleet file, and URLs.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use metadata::fleet::{Fleet, ignition};
use metadata::ignition::World;
use ureq::Agent;
use ureq::tls::TlsConfig;

use super::{Error, MAX_BYTES};
use crate::apt::fetch::transport::root_certs;

/// Adds the Ignition configs of a fleet to its sleds. Names of files are relative to
/// where the fleet file is.
///
/// # Errors
/// Mistakes in the configs, and what cannot be fetched.
pub fn apply(fleet: &mut Fleet, file: &Path) -> Result<(), Error> {
    let dir = file.parent().unwrap_or(Path::new(""));
    let tls = TlsConfig::builder().root_certs(root_certs()).build();
    let config = Agent::config_builder()
        .tls_config(tls)
        .user_agent(concat!("sledos/", env!("CARGO_PKG_VERSION")))
        .timeout_connect(Some(Duration::from_secs(10)))
        .timeout_global(Some(Duration::from_secs(120)))
        .build();
    Ok(ignition::apply(fleet, &mut Host { dir, agent: config.into() })?)
}

struct Host<'a> {
    dir: &'a Path,
    agent: Agent,
}

impl World for Host<'_> {
    fn get(&mut self, url: &str, headers: &[(String, String)], max: usize) -> Result<Vec<u8>, String> {
        let request = headers.iter().fold(self.agent.get(url), |r, (name, value)| r.header(name, value));
        let fail = |e: &dyn std::fmt::Display| format!("cannot be fetched: {e}");
        let mut body = request.call().map_err(|e| fail(&e))?.into_body().into_reader();
        let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
        let mut bytes = Vec::new();
        body.by_ref().take(limit).read_to_end(&mut bytes).map_err(|e| fail(&e))?;
        Ok(bytes)
    }
}

impl ignition::Files for Host<'_> {
    fn read(&mut self, name: &str) -> Result<Vec<u8>, String> {
        let path = self.dir.join(name);
        let length = fs::metadata(&path).map_err(|e| e.to_string())?.len();
        if length > MAX_BYTES {
            return Err("too long to be a config".to_owned());
        }
        fs::read(path).map_err(|e| e.to_string())
    }
}
