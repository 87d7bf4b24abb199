//! What Ignition configs name: files beside the fleet file, and URLs.

use std::collections::HashMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use metadata::fleet::{Fleet, ignition};
use metadata::ignition::World;
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use ureq::Agent;
use ureq::tls::TlsConfig;

use super::{Error, MAX_BYTES};
use crate::apt::fetch::transport::root_certs;

/// Bytes that all names of a fleet have together.
const MAX_KEPT: usize = 256 << 20;

const OUTSIDE: &str = "it is not below the directory of the fleet file: put it there and name it from there";

/// Adds the Ignition configs of a fleet to its sleds. Names of files are relative to
/// where the fleet file is.
///
/// # Errors
/// Mistakes in the configs, and what cannot be fetched.
pub fn apply(fleet: &mut Fleet, file: &Path) -> Result<(), Error> {
    Ok(ignition::apply(fleet, &mut Host::new(file.parent().unwrap_or(Path::new(""))))?)
}

struct Host<'a> {
    dir: &'a Path,
    agent: Agent,
    /// What was asked for already, and what there was: many sleds name the same.
    known: HashMap<Asked, Result<Vec<u8>, String>>,
    /// Bytes in `known`.
    kept: usize,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Asked {
    File(String),
    Url(String, Vec<(String, String)>),
}

impl<'a> Host<'a> {
    fn new(dir: &'a Path) -> Self {
        let tls = TlsConfig::builder().root_certs(root_certs()).build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .user_agent(concat!("sledos/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_global(Some(Duration::from_secs(120)))
            .build();
        Self { dir, agent: config.into(), known: HashMap::new(), kept: 0 }
    }

    /// Asks once.
    fn once(
        &mut self,
        asked: Asked,
        ask: impl FnOnce(&Self) -> Result<Vec<u8>, String>,
    ) -> Result<Vec<u8>, String> {
        if let Some(known) = self.known.get(&asked) {
            return known.clone();
        }
        let found = ask(self);
        self.kept = self.kept.saturating_add(found.as_ref().map_or(0, Vec::len));
        if self.kept > MAX_KEPT {
            return Err(format!("the Ignition configs of this fleet name more than {MAX_KEPT} bytes"));
        }
        self.known.insert(asked, found.clone());
        found
    }

    fn fetch(&self, url: &str, headers: &[(String, String)], max: usize) -> Result<Vec<u8>, String> {
        let request = headers.iter().fold(self.agent.get(url), |r, (name, value)| r.header(name, value));
        let fail = |e: &dyn std::fmt::Display| format!("cannot be fetched: {e}");
        let mut body = request.call().map_err(|e| fail(&e))?.into_body().into_reader();
        let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
        let mut bytes = Vec::new();
        body.by_ref().take(limit).read_to_end(&mut bytes).map_err(|e| fail(&e))?;
        Ok(bytes)
    }

    /// A regular file below the directory, with links only to what is below it, too.
    fn below(&self, name: &str) -> Result<Vec<u8>, String> {
        let here = if self.dir.as_os_str().is_empty() { Path::new(".") } else { self.dir };
        let dir = fs::File::open(here).map_err(|e| e.to_string())?;
        // Opening a FIFO would wait for who writes to it.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = openat2(&dir, name, flags, Mode::empty(), ResolveFlags::BENEATH);
        let file = fs::File::from(file.map_err(|e| match e {
            Errno::XDEV => OUTSIDE.to_owned(),
            other => std::io::Error::from(other).to_string(),
        })?);
        if !file.metadata().map_err(|e| e.to_string())?.is_file() {
            return Err("it is no regular file".to_owned());
        }
        let mut bytes = Vec::new();
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_BYTES {
            return Err("too long to be a config".to_owned());
        }
        Ok(bytes)
    }
}

impl World for Host<'_> {
    fn get(&mut self, url: &str, headers: &[(String, String)], max: usize) -> Result<Vec<u8>, String> {
        let asked = Asked::Url(url.to_owned(), headers.to_vec());
        self.once(asked, |host| host.fetch(url, headers, max))
    }
}

impl ignition::Files for Host<'_> {
    fn read(&mut self, name: &str) -> Result<Vec<u8>, String> {
        self.once(Asked::File(name.to_owned()), |host| host.below(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_regular_files_below_the_fleet_file_are_read_and_each_once() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("fleet");
        fs::create_dir_all(dir.join("sub")).unwrap();
        fs::write(temp.path().join("outside"), "secret").unwrap();
        fs::write(dir.join("sub/a.ign"), "{}").unwrap();
        symlink("sub/a.ign", dir.join("within")).unwrap();
        symlink("../outside", dir.join("up")).unwrap();
        symlink("/etc/passwd", dir.join("absolute")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            dir.join("fifo"),
            rustix::fs::FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        let mut host = Host::new(&dir);
        let mut read = |name: &str| ignition::Files::read(&mut host, name);
        assert_eq!(read("sub/a.ign").unwrap(), b"{}");
        assert_eq!(read("within").unwrap(), b"{}");
        assert_eq!(read("sub/../sub/a.ign").unwrap(), b"{}");
        for name in ["../outside", "up", "absolute", "/etc/passwd", "/dev/zero", "sub/../../outside"] {
            assert_eq!(read(name).unwrap_err(), OUTSIDE, "{name}");
        }
        for name in ["fifo", "sub"] {
            assert_eq!(read(name).unwrap_err(), "it is no regular file", "{name}");
        }
        fs::remove_file(dir.join("sub/a.ign")).unwrap();
        assert_eq!(read("sub/a.ign").unwrap(), b"{}", "it was read before");
    }
}
