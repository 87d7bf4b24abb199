//! How large clusters and tables are.

use super::{Error, min_size};

/// Sectors before the first table: boot sector, FSInfo, their copies.
pub(super) const RESERVED_SECTORS: u64 = 32;
/// Copies of the table.
pub(super) const FATS: u64 = 2;
/// With fewer clusters it is FAT16.
const MIN_CLUSTERS: u64 = 65_525;
/// Entries of the table that stand for no cluster.
const FIRST_CLUSTER: u64 = 2;

/// Sectors of the smallest filesystem.
pub(super) const fn min_sectors(sector_size: u64) -> u64 {
    RESERVED_SECTORS + FATS * (MIN_CLUSTERS + FIRST_CLUSTER).div_ceil(sector_size / 4) + MIN_CLUSTERS
}

/// The geometry of a filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    /// Bytes in a sector.
    pub(super) sector_size: u16,
    /// Sectors in the filesystem.
    pub(super) sectors: u32,
    /// A power of two from 1 to 64.
    pub(super) sectors_per_cluster: u8,
    /// Sectors in each table.
    pub(super) fat_sectors: u32,
    /// Clusters for data.
    pub(super) clusters: u32,
}

impl Geometry {
    /// The geometry for a filesystem of so many bytes.
    pub(super) fn new(size: u64, sector_size: u32) -> Result<Self, Error> {
        let narrow_sector = u16::try_from(sector_size).ok().filter(|n| matches!(n, 512 | 1024 | 2048 | 4096));
        let narrow_sector = narrow_sector.ok_or(Error::SectorSize(sector_size))?;
        let sector_size = u64::from(sector_size);
        let fail = || Error::Size { size, sector: narrow_sector, min: min_size(narrow_sector.into()) };
        // Below 2 TiB whatever the sectors are: the specification's table ends there.
        let units = u32::try_from(size / 512).map_err(|_| fail())?;
        if !size.is_multiple_of(sector_size) || size < min_size(narrow_sector.into()) {
            return Err(fail());
        }
        let sectors = u32::try_from(size / sector_size).map_err(|_| fail())?;
        // The specification's table, "DiskTableFAT32", in units of 512 bytes.
        let cluster_units: u16 = match units {
            0..=532_480 => 1,              // to 260 MiB
            532_481..=16_777_216 => 8,     // to 8 GiB
            16_777_217..=33_554_432 => 16, // to 16 GiB
            33_554_433..=67_108_864 => 32, // to 32 GiB
            _ => 64,
        };
        let sectors_per_cluster = u8::try_from((cluster_units / (narrow_sector / 512)).max(1));
        let sectors_per_cluster = sectors_per_cluster.expect("at most 64");
        let per_cluster = u64::from(sectors_per_cluster);
        let entries_per_sector = sector_size / 4;
        let data = u64::from(sectors) - RESERVED_SECTORS;
        // The fewest sectors t with 128 t entries for 2 + (data - 2 t) / per_cluster clusters,
        // made whole clusters so that data is aligned like the filesystem.
        let fat = (data + FIRST_CLUSTER * per_cluster)
            .div_ceil(entries_per_sector * per_cluster + FATS)
            .next_multiple_of(per_cluster);
        let clusters = (data - FATS * fat) / per_cluster;
        let narrow = |n| u32::try_from(n).expect("fewer clusters than sectors");
        Ok(Self {
            sector_size: narrow_sector,
            sectors,
            sectors_per_cluster,
            fat_sectors: narrow(fat),
            clusters: narrow(clusters),
        })
    }

    /// Bytes in a cluster.
    pub(super) fn cluster_size(&self) -> u64 {
        u64::from(self.sectors_per_cluster) * u64::from(self.sector_size)
    }

    /// Where a table starts, in bytes.
    pub(super) fn fat_offset(&self, copy: u64) -> u64 {
        (RESERVED_SECTORS + copy * u64::from(self.fat_sectors)) * u64::from(self.sector_size)
    }

    /// Where a cluster starts, in bytes. The first cluster has number 2.
    pub(super) fn cluster_offset(&self, cluster: u32) -> u64 {
        self.fat_offset(FATS) + (u64::from(cluster) - FIRST_CLUSTER) * self.cluster_size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fat::MIN_SIZE;

    #[test]
    fn every_size_has_enough_clusters_and_a_table_for_them() {
        let mib = |n: u64| n << 20;
        let sizes = [MIN_SIZE, MIN_SIZE + 512, mib(33), mib(64), mib(260), mib(260) + 512, mib(1024)];
        for size in sizes.into_iter().chain([
            mib(8192),
            mib(8192) + 512,
            mib(16_385),
            mib(32_769),
            mib(2 << 20) - 4096,
        ]) {
            for sector in [512, 1024, 2048, 4096] {
                let size = size.max(min_size(sector)).next_multiple_of(sector.into());
                let Ok(g) = Geometry::new(size, sector) else { panic!("{size} with sectors of {sector}") };
                assert!(u64::from(g.clusters) >= MIN_CLUSTERS, "{size}");
                assert!(g.clusters < 0x0fff_fff5, "{size}");
                let entries = u64::from(g.fat_sectors) * u64::from(sector) / 4;
                assert!(entries >= u64::from(g.clusters) + FIRST_CLUSTER, "{size}");
                let end = g.cluster_offset(g.clusters + 2);
                assert!(end <= size && size - end < 3 * g.cluster_size(), "{size}");
            }
        }
        assert_eq!(Geometry::new(MIN_SIZE, 512).unwrap().clusters, 65_525);
        assert_eq!(Geometry::new(min_size(4096), 4096).unwrap().clusters, 65_525);
    }

    #[test]
    fn other_sizes_are_refused() {
        for sector in [0, 256, 513, 8192, u32::MAX] {
            assert!(matches!(Geometry::new(64 << 20, sector), Err(Error::SectorSize(_))), "{sector}");
        }
        for size in [0, MIN_SIZE - 512, MIN_SIZE + 1, 2 << 40, u64::MAX] {
            assert!(matches!(Geometry::new(size, 512), Err(Error::Size { .. })), "{size}");
        }
    }
}
