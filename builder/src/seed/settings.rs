//! What a seed keeps, and where.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use metadata::values::Mac;
use serde::{Deserialize, Serialize};

use super::Error;
use super::answers::Address;

/// Where the server listens.
pub const PORT: u16 = 8080;

/// The answers that are no files of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// The NIC on the sleds' network. Its name may change, this does not.
    pub mac: Mac,
    /// The seed's address there.
    pub address: Ipv4Addr,
    /// Bits of that network's prefix.
    pub prefix: u8,
    /// The addresses that sleds get; without them another DHCP server gives addresses.
    pub range: Option<(Ipv4Addr, Ipv4Addr)>,
}

impl Settings {
    /// The address in its network.
    pub fn own(&self) -> Address {
        Address { ip: self.address, prefix: self.prefix }
    }

    /// The URL of the server.
    pub fn url(&self) -> String {
        format!("http://{}:{PORT}", self.address)
    }
}

/// The directory of a seed.
#[derive(Clone, Debug)]
pub struct Layout(pub PathBuf);

impl Layout {
    /// The configuration, exchanged as a whole.
    pub fn config(&self) -> PathBuf {
        self.0.join("config")
    }
    /// The settings in it.
    pub fn settings(&self) -> PathBuf {
        self.config().join("seed.json")
    }
    /// The fleet file in it. The server changes it, too, when hardware is bound.
    pub fn fleet(&self) -> PathBuf {
        self.config().join("fleet.yaml")
    }
    /// The key in it.
    pub fn key(&self) -> PathBuf {
        self.config().join("ops.key")
    }
    /// Images, as `NAME/VERSION`.
    pub fn images(&self) -> PathBuf {
        self.0.join("images")
    }
    /// What the server keeps.
    pub fn state(&self) -> PathBuf {
        self.0.join("state")
    }
}

/// A seed that is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Before {
    /// Its settings.
    pub settings: Settings,
    /// Its fleet file.
    pub fleet: Vec<u8>,
    /// Its secret key's file.
    pub key: String,
}

/// Reads the settings.
///
/// # Errors
/// When there are none, or they are not what this program writes.
pub fn read(layout: &Layout) -> Result<Settings, Error> {
    let path = layout.settings();
    let bytes = fs::read(&path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => Error::NotSetUp(path.clone()),
        _ => Error::io("read", &path)(source),
    })?;
    serde_json::from_slice(&bytes).map_err(|source| Error::Settings { path, source })
}

/// Reads all of a configuration; nothing when the seed is not set up.
///
/// # Errors
/// When it cannot be read.
pub fn before(layout: &Layout) -> Result<Option<Before>, Error> {
    let settings = match read(layout) {
        // Damaged settings are asked for anew.
        Err(Error::NotSetUp(_) | Error::Settings { .. }) => return Ok(None),
        other => other?,
    };
    let bytes = |path: &Path| fs::read(path).map_err(Error::io("read", path));
    let key = String::from_utf8_lossy(&bytes(&layout.key())?).into_owned();
    Ok(Some(Before { settings, fleet: bytes(&layout.fleet())?, key }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_are_missing_or_damaged_are_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout(dir.path().to_owned());
        assert!(matches!(read(&layout), Err(Error::NotSetUp(_))));
        assert_eq!(before(&layout).unwrap(), None);
        fs::create_dir(layout.config()).unwrap();
        fs::write(layout.settings(), "{}").unwrap();
        assert!(matches!(read(&layout), Err(Error::Settings { .. })));
        assert_eq!(before(&layout).unwrap(), None);
        let text = r#"{"mac":"52:54:00:00:00:01","address":"10.0.0.2","prefix":24,"range":null}"#;
        fs::write(layout.settings(), text).unwrap();
        assert_eq!(read(&layout).unwrap().url(), "http://10.0.0.2:8080");
        assert!(matches!(before(&layout), Err(Error::Io { .. })), "the other files are missing");
    }
}
