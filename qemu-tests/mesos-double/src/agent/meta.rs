//! What an agent remembers: `<work_dir>/meta`, laid out as Mesos does.
//!
//! `boot_id`; `slaves/<id>/slave.info` (JSON here, a protobuf in Mesos) and
//! `slaves/latest`, a link to the directory of the id in use. `slave.info` is
//! written once, when the id is given: what is added later under `additive` does
//! not get in, so the old information stays what is compared with.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::info::Info;

/// The directory.
#[derive(Clone, Debug)]
pub struct Meta(PathBuf);

impl Meta {
    /// That of a work directory. Nothing is made yet.
    pub fn of(work_dir: &Path) -> Self {
        Self(work_dir.join("meta"))
    }

    /// The link that has to go for a new id.
    pub fn latest_path(&self) -> PathBuf {
        self.0.join("slaves/latest")
    }

    /// The id in use and the information it was given for.
    ///
    /// # Errors
    /// When there is one but cannot be read.
    pub fn latest(&self) -> io::Result<Option<(String, Info)>> {
        let target = match fs::read_link(self.latest_path()) {
            Ok(target) => target,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        let id = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = match fs::read(self.latest_path().join("slave.info")) {
            Ok(text) => text,
            // The agent died before it wrote it.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        let json = serde_json::from_slice(&text)?;
        let info = Info::of_json(&json).map_err(io::Error::other)?;
        Ok(Some((id, info)))
    }

    /// Forgets the id, not its directory.
    ///
    /// # Errors
    /// When the link cannot be removed.
    pub fn forget(&self) -> io::Result<()> {
        match fs::remove_file(self.latest_path()) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    /// Keeps an id that was given.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep(&self, id: &str, info: &Info) -> io::Result<()> {
        let dir = self.0.join("slaves").join(id);
        fs::create_dir_all(&dir)?;
        replace(&dir.join("slave.info"), info.to_json().to_string().as_bytes())?;
        let link = self.0.join("slaves/latest.new");
        let _ = fs::remove_file(&link);
        symlink(&dir, &link)?;
        fs::rename(link, self.latest_path())?;
        File::open(self.0.join("slaves"))?.sync_all()
    }

    /// The boot the agent ran in last.
    pub fn boot_id(&self) -> Option<String> {
        fs::read_to_string(self.0.join("boot_id")).ok()
    }

    /// Keeps the boot it runs in.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_boot_id(&self, boot_id: &str) -> io::Result<()> {
        fs::create_dir_all(&self.0)?;
        replace(&self.0.join("boot_id"), boot_id.as_bytes())
    }
}

fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(new, path)
}
