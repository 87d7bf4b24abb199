//! Reads a FAT32 filesystem that may be damaged: what is on an ESP already.

use std::io;

const ENTRY: usize = 32;
const ATTR_DIRECTORY: u8 = 0x10;
const ATTR_VOLUME_ID: u8 = 0x08;
const ATTR_LONG_NAME: u8 = 0x0f;
const DELETED: u8 = 0xe5;
/// UTF-16 units in one entry of a long name.
const UNITS: usize = 13;
/// Largest directory that is read: as many entries as FAT may have.
const MAX_DIR: u64 = 65_536 * ENTRY as u64;
/// Largest table that is read, in bytes: 16 million clusters.
const MAX_FAT: u64 = 64 << 20;
/// Numbers from here on end a chain.
const END_OF_CHAIN: u32 = 0x0fff_fff8;

/// Why a filesystem cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The disk does not read.
    #[error("FAT32: it does not read")]
    Io(
        /// What the reader said.
        #[from]
        io::Error,
    ),
    /// There is no FAT32 filesystem.
    #[error("FAT32: there is no such filesystem: {0}")]
    NotFat32(
        /// What is missing.
        &'static str,
    ),
    /// A chain of clusters leads out of the filesystem, or does not end where it should.
    #[error("FAT32: the chain of clusters from {0} is broken")]
    Chain(
        /// Its first cluster.
        u32,
    ),
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The long name, or the short one in small letters where there is no other.
    pub name: String,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Length of a file in bytes.
    pub len: u32,
    first: u32,
}

/// A filesystem that is open for reading.
pub struct Volume<'a> {
    read_at: &'a mut dyn FnMut(u64, &mut [u8]) -> io::Result<()>,
    fat: Vec<u8>,
    cluster_size: u64,
    data: u64,
    clusters: u32,
    root: u32,
}

impl std::fmt::Debug for Volume<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Volume").field("clusters", &self.clusters).finish_non_exhaustive()
    }
}

impl<'a> Volume<'a> {
    /// Opens a filesystem of at most `size` bytes. `read_at` fills a buffer from an
    /// offset; it is asked for multiples of 512 bytes within the `size` bytes only.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn open(
        size: u64,
        read_at: &'a mut dyn FnMut(u64, &mut [u8]) -> io::Result<()>,
    ) -> Result<Self, ReadError> {
        let mut boot = [0; 512];
        read_at(0, &mut boot)?;
        let u16_at = |at: usize| u64::from(u16::from_le_bytes([boot[at], boot[at + 1]]));
        let u32_at = |at: usize| u32::from_le_bytes([boot[at], boot[at + 1], boot[at + 2], boot[at + 3]]);
        if boot[510..] != [0x55, 0xaa] {
            return Err(ReadError::NotFat32("no boot sector"));
        }
        let (sector, per_cluster) = (u16_at(11), u64::from(boot[13]));
        if !matches!(sector, 512 | 1024 | 2048 | 4096) || !per_cluster.is_power_of_two() {
            return Err(ReadError::NotFat32("impossible sectors"));
        }
        let (reserved, fats) = (u16_at(14), u64::from(boot[16]));
        let (sectors, fat_sectors) = (u64::from(u32_at(32)), u64::from(u32_at(36)));
        // FAT12 and FAT16 have a root directory of a fixed size and count elsewhere.
        if u16_at(17) != 0 || u16_at(22) != 0 || fat_sectors == 0 || reserved == 0 || fats == 0 {
            return Err(ReadError::NotFat32("another kind of FAT"));
        }
        let data = (reserved + fats * fat_sectors) * sector;
        let clusters = (sectors * sector).checked_sub(data).map(|bytes| bytes / (per_cluster * sector));
        let clusters = clusters.and_then(|n| u32::try_from(n).ok());
        let clusters = clusters.filter(|n| (u64::from(*n) + 2) * 4 <= fat_sectors * sector);
        let (Some(clusters), true) = (clusters, sectors * sector <= size && fat_sectors * sector <= MAX_FAT)
        else {
            return Err(ReadError::NotFat32("impossible sizes"));
        };
        let len =
            usize::try_from(fat_sectors * sector).map_err(|_| ReadError::NotFat32("impossible sizes"))?;
        let mut fat = vec![0; len];
        read_at(reserved * sector, &mut fat)?;
        Ok(Self { read_at, fat, cluster_size: per_cluster * sector, data, clusters, root: u32_at(44) })
    }

    /// The entries of a directory, `/` between the names of its path; `None` when
    /// there is none. Case does not matter.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn dir(&mut self, path: &str) -> Result<Option<Vec<Entry>>, ReadError> {
        let mut entries = self.entries(self.root)?;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            match entries.iter().find(|e| e.is_dir && e.name.eq_ignore_ascii_case(name)) {
                Some(dir) => entries = self.entries(dir.first)?,
                None => return Ok(None),
            }
        }
        Ok(Some(entries))
    }

    /// The content of a file. An empty one for a directory.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn read(&mut self, file: &Entry) -> Result<Vec<u8>, ReadError> {
        if file.is_dir || file.len == 0 {
            return Ok(Vec::new());
        }
        let mut bytes = self.chain(file.first, u64::from(file.len))?;
        let len = usize::try_from(file.len).unwrap_or(usize::MAX);
        if bytes.len() < len {
            return Err(ReadError::Chain(file.first));
        }
        bytes.truncate(len);
        Ok(bytes)
    }

    /// The clusters of a chain, as many as `most` bytes need at most.
    fn chain(&mut self, first: u32, most: u64) -> Result<Vec<u8>, ReadError> {
        let broken = || ReadError::Chain(first);
        let cluster_size = usize::try_from(self.cluster_size).map_err(|_| broken())?;
        let mut bytes = Vec::new();
        let mut cluster = first;
        // `most` bounds what a hostile file may cost; a loop in a chain ends there, too.
        while cluster < END_OF_CHAIN && (bytes.len() as u64) < most {
            let index = cluster.checked_sub(2).filter(|index| *index < self.clusters).ok_or_else(broken)?;
            if bytes.len() as u64 >= u64::from(self.clusters) * self.cluster_size {
                return Err(broken());
            }
            let from = bytes.len();
            bytes.resize(from + cluster_size, 0);
            (self.read_at)(self.data + u64::from(index) * self.cluster_size, &mut bytes[from..])?;
            let at = usize::try_from(cluster).map_err(|_| broken())? * 4;
            let next =
                self.fat.get(at..at + 4).and_then(|b| <[u8; 4]>::try_from(b).ok()).ok_or_else(broken)?;
            // The upper four bits are reserved.
            cluster = u32::from_le_bytes(next) & 0x0fff_ffff;
        }
        Ok(bytes)
    }

    fn entries(&mut self, first: u32) -> Result<Vec<Entry>, ReadError> {
        let bytes = self.chain(first, MAX_DIR)?;
        let mut entries = Vec::new();
        let mut long: Vec<u16> = Vec::new();
        for raw in bytes.chunks_exact(ENTRY) {
            match (raw[0], raw[11]) {
                (0, _) => break,
                (DELETED, _) => long.clear(),
                (order, ATTR_LONG_NAME) => {
                    // The last part comes first and has a mark.
                    if order & 0x40 != 0 {
                        long.clear();
                    }
                    let fields = [&raw[1..11], &raw[14..26], &raw[28..32]].concat();
                    let mut part: Vec<u16> =
                        fields.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
                    debug_assert_eq!(part.len(), UNITS);
                    part.append(&mut long);
                    long = part;
                }
                (_, attributes) if attributes & ATTR_VOLUME_ID != 0 => long.clear(),
                (b'.', _) => {}
                (_, attributes) => {
                    let until = long.iter().position(|unit| *unit == 0).unwrap_or(long.len());
                    let name = match &long[..until] {
                        [] => short_name(&raw[..11]),
                        units => String::from_utf16_lossy(units),
                    };
                    long.clear();
                    entries.push(Entry {
                        name,
                        is_dir: attributes & ATTR_DIRECTORY != 0,
                        len: u32::from_le_bytes([raw[28], raw[29], raw[30], raw[31]]),
                        first: u32::from_le_bytes([raw[26], raw[27], raw[20], raw[21]]),
                    });
                }
            }
        }
        Ok(entries)
    }
}

fn short_name(raw: &[u8]) -> String {
    let text = |part: &[u8]| String::from_utf8_lossy(part.trim_ascii_end()).to_ascii_lowercase();
    let (base, extension) = raw.split_at(8);
    let (base, extension) = (text(base), text(extension));
    if extension.is_empty() { base } else { format!("{base}.{extension}") }
}
