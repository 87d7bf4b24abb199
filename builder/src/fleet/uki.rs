//! The image most sleds have, under one name: for firmware that starts it without iPXE.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use super::{Error, Found};
use crate::output::sha256_of_file;
use metadata::fleet::Fleet;
use metadata::fleet::resolve::ImageChoice;
use server::pxe::UKI;

/// Makes `dir`/[`UKI`] the UKI that most sleds have, in one step.
///
/// # Errors
/// When it cannot be copied there, or is another than the image's manifest says.
pub fn link(fleet: &Fleet, found: &BTreeMap<ImageChoice, Found>, dir: &Path) -> Result<(), Error> {
    let mut users: BTreeMap<&ImageChoice, usize> = BTreeMap::new();
    fleet.sleds.iter().for_each(|sled| *users.entry(&sled.image).or_default() += 1);
    // Of those that as many sleds have, the first by name, as boot scripts have it.
    let most = users.iter().max_by(|a, b| a.1.cmp(b.1).then_with(|| b.0.cmp(a.0))).map(|(choice, _)| *choice);
    let Some(found) = most.and_then(|choice| found.get(choice)) else { return Ok(()) };
    let from = found.at.join(&found.image.uki.file);
    let (new, to) = (dir.join(format!(".{UKI}.new")), dir.join(UKI));
    let is_it = |path: &Path| sha256_of_file(path).is_ok_and(|hash| hash == found.image.uki.sha256.0);
    if is_it(&to) {
        return Ok(());
    }
    fs::create_dir_all(dir).map_err(Error::io("make", dir))?;
    let _ = fs::remove_file(&new);
    // A copy: who can write the image later cannot write what is handed out.
    fs::copy(&from, &new).map_err(Error::io("copy", &from))?;
    if !is_it(&new) {
        let _ = fs::remove_file(&new);
        let other = io::Error::new(io::ErrorKind::InvalidData, "it is not what its manifest says");
        return Err(Error::io("take", &from)(other));
    }
    fs::rename(&new, &to).map_err(Error::io("write", &to))
}
