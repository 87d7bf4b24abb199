//! Data disks: what of a set cannot be is refused here, and what the Mesos agent offers
//! once it is known which disks are there.

use super::Error;
use super::mesos;
use crate::config::Config;
use crate::document::SledDocument;
use serde_json::{Value, json};

pub(super) fn check(sled: &str, config: &Config) -> Result<(), Error> {
    let field = |set: &str, key: &str| match key {
        "" => format!("disks.{set}"),
        key => format!("disks.{set}.{key}"),
    };
    for (name, set) in &config.disks {
        set.check(sled, name).map_err(|(key, problem)| Error::new(field(name, key), problem))?;
        if let Some(other) = crossed(config, name) {
            let problem = format!("the mount points are below those of the set `{other}`, or the same");
            return Err(Error::new(field(name, "mount"), problem));
        }
    }
    Ok(())
}

/// The set whose mount points are in the way of this one's.
pub(crate) fn crossed<'c>(config: &'c Config, name: &str) -> Option<&'c str> {
    let own = config.disks.get(name)?.directory(name) + "/";
    let mut others = config.disks.iter().filter(|(other, _)| *other != name);
    others
        .find(|(other, set)| own.starts_with(&(set.directory(other) + "/")))
        .map(|(other, _)| other.as_str())
}

/// A data disk that is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mounted {
    /// Where.
    pub path: String,
    /// Size of its filesystem in MB (2^20 bytes), as Mesos counts.
    pub megabytes: u64,
}

/// The agent's `--resources` with a MOUNT disk for each of these. `None` when the
/// document has no agent or there are none: then what [`super::generate`] made stands.
///
/// # Errors
/// As [`super::generate`] has them for `mesos.resources`.
pub fn resources(document: &SledDocument, disks: &[Mounted]) -> Result<Option<String>, Error> {
    let Some(mesos) = document.config.mesos.as_ref().filter(|_| !disks.is_empty()) else { return Ok(None) };
    let role = mesos.resources.role.as_deref();
    let mut all = mesos::messages(&mesos.resources)?;
    all.extend(disks.iter().map(|disk| {
        let source = json!({"type": "MOUNT", "mount": {"root": disk.path}});
        reserved(
            json!({
                "name": "disk", "type": "SCALAR", "scalar": {"value": disk.megabytes},
                "disk": {"source": source},
            }),
            role,
        )
    }));
    Ok(Some(Value::Array(all).to_string()))
}

/// A resource that is for a role, if there is one.
pub(super) fn reserved(mut resource: Value, role: Option<&str>) -> Value {
    if let (Some(role), Some(map)) = (role, resource.as_object_mut()) {
        map.insert("role".into(), role.into());
    }
    resource
}
