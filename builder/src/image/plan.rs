//! The plan of an image: every choice that does not depend on file contents.

use std::fmt;

use super::ids::{Seed, uuid_text};
use crate::recipe::Recipe;
use crate::recipe::model::Layout;

pub use formats::layout::Role;

/// 1 MiB: partitions start and end on multiples of it.
pub const ALIGNMENT: u64 = 1 << 20;

/// 1980-01-01, the first day of FAT.
const FAT_EPOCH: u32 = 315_532_800;

fn size_of(role: Role, layout: &Layout) -> u64 {
    match role {
        Role::Esp => layout.esp,
        Role::UsrA | Role::UsrB => layout.usr,
        Role::UsrAVerity | Role::UsrBVerity => layout.verity,
        Role::Oem => layout.oem,
        Role::Root => layout.root,
    }
}

/// One partition of the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// What it is for.
    pub role: Role,
    /// Partition number, from 1.
    pub number: u32,
    /// First byte.
    pub start: u64,
    /// Length in bytes.
    pub size: u64,
    /// Its unique id in textual byte order. For the /usr that the image
    /// carries this is a placeholder: the root hash takes its place.
    pub uuid: [u8; 16],
}

/// Names, sizes, offsets and ids of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImagePlan {
    /// Image name.
    pub name: String,
    /// Image version.
    pub version: String,
    /// Seconds since 1970: the time of every file in it.
    pub time: i64,
    /// The same, as file systems store it.
    pub mtime: u32,
    /// Where ids come from.
    pub seed: Seed,
    /// The disk's GUID.
    pub disk_uuid: [u8; 16],
    /// Length of `disk.raw` in bytes.
    pub disk_size: u64,
    /// The partitions in order.
    pub partitions: Vec<Partition>,
}

impl ImagePlan {
    /// Plans an image.
    ///
    /// # Errors
    /// When FAT (1980) or ext4 (2106) cannot hold the time.
    pub fn new(recipe: &Recipe, version: &str, time: i64) -> Result<Self, crate::build::Error> {
        let mtime = u32::try_from(time).ok().filter(|t| *t >= FAT_EPOCH);
        let mtime = mtime.ok_or(crate::build::Error::Time(time))?;
        let seed = Seed::of_image(&recipe.name);
        let mut start = ALIGNMENT;
        let mut partitions = Vec::new();
        for (number, role) in (1..).zip(Role::ALL) {
            let size = size_of(role, &recipe.layout).next_multiple_of(ALIGNMENT);
            partitions.push(Partition { role, number, start, size, uuid: seed.uuid(role.label()) });
            start += size;
        }
        Ok(Self {
            name: recipe.name.clone(),
            version: version.to_owned(),
            time,
            mtime,
            seed,
            disk_uuid: seed.uuid("disk"),
            // The backup GPT takes the last 33 sectors.
            disk_size: start + ALIGNMENT,
            partitions,
        })
    }

    /// The partition with this role.
    pub fn partition(&self, role: Role) -> &Partition {
        self.partitions
            .iter()
            .find(|p| p.role == role)
            .expect("a plan has a partition for every role: `new` makes them all")
    }

    /// The UKI's file name on the ESP.
    pub fn uki_name(&self, root_hash: &[u8; 32]) -> String {
        formats::layout::uki_name(&self.name, &self.version, root_hash)
    }
}

impl fmt::Display for ImagePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "image {} {}", self.name, self.version)?;
        writeln!(f, "disk {} {} bytes", uuid_text(&self.disk_uuid), self.disk_size)?;
        for p in &self.partitions {
            let (label, uuid) = (p.role.label(), uuid_text(&p.uuid));
            writeln!(f, "{:>2} {label:<13} {uuid} at {:>12} size {:>12}", p.number, p.start, p.size)?;
        }
        Ok(())
    }
}

/// The default version: the lock's time as `YYYYMMDD.HHMM` (UTC).
pub fn default_version(time: i64) -> String {
    let (year, month, day) = crate::date::civil(time.div_euclid(86_400));
    let seconds = time.rem_euclid(86_400);
    format!("{year:04}{month:02}{day:02}.{:02}{:02}", seconds / 3600, seconds / 60 % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_utc_dates() {
        assert_eq!(default_version(0), "19700101.0000");
        assert_eq!(default_version(951_782_399), "20000228.2359");
        assert_eq!(default_version(951_782_400), "20000229.0000");
        assert_eq!(default_version(1_795_394_760), "20261123.0046");
    }
}
