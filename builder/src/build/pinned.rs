//! Files that a recipe names by URL and sha256.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use super::Error;
use crate::apt::fetch::{Client, Patience, Wanted};
use crate::apt::sources::{Mirror, Origin};
use crate::cache::Cache;
use crate::digest::{Hash, hex, parse_sha256, sha256_reader};
use crate::recipe::model::ComponentSource;

/// The largest component that is fetched, in bytes.
const LIMIT: u64 = 1 << 30;

/// Where the file of a component is: a path as it stands; for a URL the copy in
/// the cache, fetched when it is not there or damaged.
pub(super) fn file(
    component: &str,
    source: &ComponentSource,
    cache: &Cache,
    patience: Patience,
) -> Result<PathBuf, Error> {
    if !source.location.contains("://") {
        return Ok(PathBuf::from(&source.location));
    }
    let text = source.sha256.clone().unwrap_or_default();
    let sha256 = parse_sha256(&text).ok_or_else(|| Error::Pin { component: component.to_owned(), text })?;
    let dir = cache.dir().join("components");
    let path = dir.join(hex(&sha256));
    let present = fs::File::open(&path).and_then(|mut file| sha256_reader(&mut file));
    if present.is_ok_and(|(found, _)| found == sha256) {
        return Ok(path);
    }
    let url = Mirror { url: source.location.clone(), origin: Origin::Recipe };
    let wanted = Wanted {
        what: &format!("component {component}"),
        limit: LIMIT,
        hash: Some(Hash::Sha256(sha256)),
        gone: "Correct the `location` of the component in the recipe",
    };
    let bytes = Client::new(patience).exact(wanted, &url)?;
    let failed = |source| Error::Io { what: "writing", path: path.clone(), source };
    fs::create_dir_all(&dir).map_err(failed)?;
    let mut temporary = tempfile::NamedTempFile::new_in(&dir).map_err(failed)?;
    temporary.write_all(&bytes).map_err(failed)?;
    temporary.persist(&path).map_err(|error| failed(error.error))?;
    Ok(path)
}
