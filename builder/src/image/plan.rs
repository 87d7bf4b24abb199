//! The plan of an image: every choice that does not depend on file contents.

use std::fmt;

use formats::gpt::{self, Guid, Partition};
use formats::layout;

use super::ids::Seed;
use crate::recipe::Recipe;
use crate::recipe::model::Layout;

pub use formats::layout::Role;

/// 1980-01-01, the first day of FAT.
const FAT_EPOCH: u32 = 315_532_800;

/// Bytes in a sector of `disk.raw`.
pub const SECTOR: u32 = 512;

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
    /// The table of `disk.raw`, a partition for every role. The ids of the /usr that the image
    /// carries are placeholders: the root hash takes their place.
    pub table: gpt::Plan,
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
        let table = table(&recipe.layout, &seed)?;
        Ok(Self { name: recipe.name.clone(), version: version.to_owned(), time, mtime, seed, table })
    }

    /// The partition with this role.
    pub fn partition(&self, role: Role) -> &Partition {
        let named = |p: &&Partition| p.name == role.label();
        self.table.partitions.iter().find(named).expect("a plan has a partition for every role")
    }

    /// The UKI's file name on the ESP.
    pub fn uki_name(&self, root_hash: &[u8; 32]) -> String {
        formats::layout::uki_name(&self.name, &self.version, root_hash)
    }
}

impl fmt::Display for ImagePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "image {} {}", self.name, self.version)?;
        writeln!(f, "disk {} {} bytes", self.table.disk_guid, self.table.disk_size)?;
        for p in &self.table.partitions {
            writeln!(f, "{:>2} {:<13} {} at {:>12} size {:>12}", p.number, p.name, p.guid, p.start, p.size)?;
        }
        Ok(())
    }
}

/// The table of the smallest disk with these partitions.
///
/// # Errors
/// When they are larger together than any disk.
pub fn table(layout: &Layout, seed: &Seed) -> Result<gpt::Plan, layout::TooSmall> {
    let id = |purpose| Guid::from_uuid(seed.uuid(purpose));
    layout::plan(layout, None, SECTOR, id("disk"), &|role| id(role.label()))
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
