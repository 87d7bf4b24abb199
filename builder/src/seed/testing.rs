//! A machine for tests, and images.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use super::host::{Host, Nic};
use super::settings::Settings;
use crate::digest::hex;
use sha2::{Digest as _, Sha256};

/// Settings without anything special.
pub(super) fn settings() -> Settings {
    serde_json::from_str(
        r#"{"mac":"52:54:00:00:00:01","address":"10.0.0.2","prefix":24,"range":["10.0.0.100","10.0.0.200"]}"#,
    )
    .unwrap()
}

/// A machine that has what a test gives it.
#[derive(Default)]
pub(super) struct Fake {
    pub(super) nics: Vec<Nic>,
    pub(super) stick: Option<PathBuf>,
    pub(super) web: BTreeMap<String, Vec<u8>>,
    pub(super) free: u64,
    /// How often it was brought online.
    pub(super) online: usize,
}

impl Host for Fake {
    fn nics(&mut self) -> Vec<Nic> {
        self.nics.clone()
    }
    fn stick(&mut self) -> Result<PathBuf, String> {
        self.stick.clone().ok_or_else(|| "there is no stick".to_owned())
    }
    fn online(&mut self, _: &Settings) -> Result<(), String> {
        self.online += 1;
        Ok(())
    }
    fn open(&mut self, url: &str) -> Result<Box<dyn Read>, String> {
        let bytes = self.web.get(url).ok_or_else(|| format!("{url} answers 404"))?;
        Ok(Box::new(Cursor::new(bytes.clone())))
    }
    fn free(&mut self) -> u64 {
        self.free
    }
}

/// Writes an image of one artefact, and a disk that is no part of what is served.
pub(super) fn image(images: &Path, name: &str, version: &str, usr: &[u8]) {
    let dir = images.join(name).join(version);
    std::fs::create_dir_all(&dir).unwrap();
    let artefact =
        |bytes: &[u8]| serde_json::json!({"size": bytes.len(), "sha256": hex(&Sha256::digest(bytes))});
    let manifest = serde_json::json!({
        "format": 1, "image": name, "version": version, "time": 0, "builder": "test", "root-hash": "cd".repeat(32),
        "kernel": {"release": "6", "cmdline": ""},
        "inputs": {"recipe": "", "lock": "", "init": "", "usr-level": 1, "block-size": 1, "initramfs-level": 1},
        "partitions": [], "packages": {}, "components": {}, "missing-components": [], "nics": [],
        "artefacts": {"usr.squashfs": artefact(usr), "disk.raw": artefact(b"disk")},
    });
    std::fs::write(dir.join("usr.squashfs"), usr).unwrap();
    std::fs::write(dir.join("disk.raw"), b"disk").unwrap();
    std::fs::write(dir.join("manifest.json"), manifest.to_string()).unwrap();
    crate::output::write_sums(&dir, &BTreeMap::new()).unwrap();
}
