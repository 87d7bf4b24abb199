//! Package versions that differ, and what their changelogs say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use super::changelog;
use crate::cache::Cache;
use crate::lock::Lock;
use crate::lock::model;

/// A package that is not the same in both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PackageChange {
    /// Its name.
    pub name: String,
    /// The name it had before: kernels have their release in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub was: Option<String>,
    /// Version before; `None` when it was not there.
    pub old: Option<String>,
    /// Version now; `None` when it is gone.
    pub new: Option<String>,
    /// Bytes of the compressed /usr before and now, when both are known.
    pub sizes: Option<(u64, u64)>,
    /// Why it is in: the lock's `because`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<String>,
    /// Lines of its Debian changelog since the old version.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changelog: Vec<String>,
    /// Why there are none, for a package whose version changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_changelog: Option<String>,
}

/// What is known of the packages of one side.
#[derive(Debug, Default)]
pub(super) struct Side {
    /// Name → version.
    pub(super) versions: BTreeMap<String, String>,
    /// The lock, when there is one.
    pub(super) lock: Option<Lock>,
    /// Owner → bytes of the compressed /usr, when that is known.
    pub(super) sizes: Option<BTreeMap<String, u64>>,
}

impl Side {
    /// The package that has the kernel: `linux-image-6.1.0-56-amd64`.
    fn kernel(&self) -> Option<&String> {
        let release = |name: &&String| {
            name.strip_prefix("linux-image-").is_some_and(|r| r.starts_with(|c: char| c.is_ascii_digit()))
        };
        let mut kernels = self.versions.keys().filter(release);
        kernels.next().filter(|_| kernels.next().is_none())
    }

    fn locked(&self, name: &str) -> Option<&model::Package> {
        self.lock.as_ref()?.all_packages().find(|p| p.name == name)
    }
}

/// Packages that differ. `cache`: where .debs with changelogs may be.
pub(super) fn compare(old: &Side, new: &Side, cache: Option<&Arc<Cache>>) -> Vec<PackageChange> {
    let names: BTreeSet<&String> = old.versions.keys().chain(new.versions.keys()).collect();
    let (kernel_before, kernel_now) = (old.kernel(), new.kernel());
    let replaced = kernel_before.is_some() && kernel_now.is_some() && kernel_before != kernel_now;
    let mut out = Vec::new();
    for name in names {
        let is = |kernel: Option<&String>| replaced && kernel == Some(name);
        if is(kernel_before) {
            continue;
        }
        let was = kernel_before.filter(|_| is(kernel_now));
        let old_name = was.unwrap_or(name);
        let (before, now) = (old.versions.get(old_name), new.versions.get(name));
        let digest = |side: &Side, name: &str| side.locked(name).map(|p| p.sha256);
        // The same version with other bytes is another package, too.
        let rebuilt = matches!((digest(old, old_name), digest(new, name)), (Some(a), Some(b)) if a != b);
        if before == now && !rebuilt && was.is_none() {
            continue;
        }
        let sizes = match (&old.sizes, &new.sizes) {
            (Some(a), Some(b)) => {
                let of = |sums: &BTreeMap<String, u64>, name: &str| {
                    sums.get(&format!("package {name}")).copied().unwrap_or(0)
                };
                Some((of(a, old_name), of(b, name)))
            }
            _ => None,
        };
        let mut change = PackageChange {
            name: name.clone(),
            was: was.cloned(),
            old: before.cloned(),
            new: now.cloned(),
            sizes,
            because: new.locked(name).or(old.locked(name)).map(|p| p.because.clone()).unwrap_or_default(),
            changelog: Vec::new(),
            no_changelog: None,
        };
        if let (Some(before), Some(_)) = (before, now) {
            match changelog::since(cache, new.locked(name), before) {
                Ok(lines) => change.changelog = lines,
                Err(why) => change.no_changelog = Some(why),
            }
        }
        out.push(change);
    }
    out
}
