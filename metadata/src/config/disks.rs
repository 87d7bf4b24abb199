//! Data disks: which disks of a sled carry data, with which filesystem, and where it
//! is mounted.

use crate::document::{DiskMatch, Wipe};
use serde::{Deserialize, Serialize};

/// A set of data disks that are used alike. Each gets one partition, labelled
/// `SLED:SET:NN`, a filesystem labelled `SET-NN`, and the mount point `MOUNT/NN`: `NN` is
/// the bay as the enclosure tells it, else the first number that no disk of the set has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct DiskSet {
    /// Recognises its disks. With `pick` it is `count` of them (default 1), else all.
    #[serde(rename = "match")]
    pub disk: DiskMatch,
    /// How many there should be. The sled waits a moment for one that is missing, then
    /// serves without it and says so; more than so many are left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// The filesystem of a disk that gets one.
    #[serde(default)]
    pub filesystem: Filesystem,
    /// Directory of the mount points. Default: `/srv/SET`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mount: Option<String>,
    /// Whether the Mesos agent offers each of them as a disk of its own (MOUNT).
    #[serde(default = "yes")]
    pub mesos: bool,
    /// What may be destroyed on a disk that is not blank and not of this set.
    #[serde(default)]
    pub wipe: Wipe,
    /// Serial numbers of the disks that `wipe` is for. `foreign` needs them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wipe_serials: Vec<String>,
}

/// A filesystem for data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Filesystem {
    /// XFS.
    #[default]
    Xfs,
    /// ext4.
    Ext4,
}

impl Filesystem {
    /// The kernel's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Xfs => "xfs",
            Self::Ext4 => "ext4",
        }
    }
}

fn yes() -> bool {
    true
}

/// Longest name of a partition in a GPT, in UTF-16 units.
const PARTITION_NAME: usize = 36;
/// Longest name of a set: an XFS has 12 bytes for `SET-NN`.
const SET_NAME: usize = 9;

impl DiskSet {
    /// Directory of the mount points.
    pub fn directory(&self, set: &str) -> String {
        self.mount.clone().unwrap_or_else(|| format!("/srv/{set}"))
    }

    /// Where its disk with this number is mounted.
    pub fn mount_point(&self, set: &str, bay: u32) -> String {
        format!("{}/{bay:02}", self.directory(set))
    }

    /// Why this set of a sled cannot be, with the key that is wrong.
    ///
    /// # Errors
    /// The key and what is wrong with it.
    pub fn check(&self, sled: &str, set: &str) -> Result<(), (&'static str, String)> {
        let small = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        if set.is_empty() || set.len() > SET_NAME || !set.bytes().all(small) {
            let problem = format!("`{set}` is no name of a set: up to {SET_NAME} small letters and digits");
            return Err(("", problem));
        }
        let longest = partition_name(sled, set, 99).len();
        if longest > PARTITION_NAME {
            let problem = format!(
                "`{}` is too long for the name of a partition by {}: shorten the name of the sled or the set",
                partition_name(sled, set, 99),
                longest - PARTITION_NAME
            );
            return Err(("", problem));
        }
        if self.disk == DiskMatch::default() {
            return Err(("match", "would take every disk: give `rotational`, `min-size`, `model`…".into()));
        }
        if self.wipe == Wipe::Foreign && self.wipe_serials.is_empty() {
            let problem = "is for disks that are listed: add their serial numbers to `wipe-serials`";
            return Err(("wipe", problem.into()));
        }
        if self.wipe == Wipe::Never && !self.wipe_serials.is_empty() {
            return Err(("wipe-serials", "has no effect without `wipe: foreign` or `wipe: all`".into()));
        }
        let directory = self.directory(set);
        let plain = |part: &str| {
            !matches!(part, "" | "." | "..") && part.bytes().all(|b| b.is_ascii_graphic() && b != b'\\')
        };
        let taken = ["usr", "proc", "sys", "dev", "run", "bin", "sbin", "lib", "lib64", "boot", "etc", "tmp"];
        let parts = directory.strip_prefix('/').unwrap_or_default();
        if !parts.split('/').all(plain) || parts.split('/').next().is_some_and(|top| taken.contains(&top)) {
            let problem =
                format!("`{directory}` is not a place for data: use a path below /srv, /data, /var…");
            return Err(("mount", problem));
        }
        Ok(())
    }
}

/// The name of the partition of a data disk.
pub fn partition_name(sled: &str, set: &str, bay: u32) -> String {
    format!("{sled}:{set}:{bay:02}")
}

/// Takes a partition name apart: sled, set, bay.
pub fn parse_partition_name(name: &str) -> Option<(&str, &str, u32)> {
    let mut parts = name.split(':');
    let (sled, set, bay) = (parts.next()?, parts.next()?, parts.next()?);
    let plain = parts.next().is_none() && !sled.is_empty() && !set.is_empty();
    let digits = (2..=4).contains(&bay.len()) && bay.bytes().all(|b| b.is_ascii_digit());
    if plain && digits { Some((sled, set, bay.parse().ok()?)) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> DiskSet {
        serde_json::from_str(r#"{"match": {"rotational": true}}"#).unwrap()
    }

    #[test]
    fn names_of_partitions_say_whose_they_are() {
        assert_eq!(partition_name("r12-b07", "data", 3), "r12-b07:data:03");
        assert_eq!(parse_partition_name("r12-b07:data:03"), Some(("r12-b07", "data", 3)));
        for other in ["ROOT", "a:b", "a:b:c", "a:b:1", "a:b:01:d", ":b:01", "a::01", "a:b:+1", "a:b:00001"] {
            assert_eq!(parse_partition_name(other), None, "{other}");
        }
    }

    #[test]
    fn a_set_that_cannot_be_is_refused_by_its_key() {
        assert_eq!(set().check("r12-b07", "data"), Ok(()));
        assert_eq!((set().mesos, set().directory("data")), (true, "/srv/data".into()));
        let key = |set: DiskSet, name: &str| set.check("r12-b07", name).unwrap_err().0;
        assert_eq!((key(set(), ""), key(set(), "a-b"), key(set(), "longestname")), ("", "", ""));
        assert_eq!(set().check(&"s".repeat(29), "data").unwrap_err().0, "");
        assert_eq!(set().check(&"s".repeat(28), "data"), Ok(()));
        assert_eq!(key(DiskSet { disk: DiskMatch::default(), ..set() }, "data"), "match");
        assert_eq!(key(DiskSet { wipe: Wipe::Foreign, ..set() }, "data"), "wipe");
        assert_eq!(key(DiskSet { wipe_serials: vec!["A".into()], ..set() }, "data"), "wipe-serials");
        for bad in ["data", "/", "/usr/x", "/run/x", "/srv/../etc", "/srv//x", "/srv/a b", "/etc/x"] {
            assert_eq!(key(DiskSet { mount: Some(bad.into()), ..set() }, "data"), "mount", "{bad}");
        }
    }
}
