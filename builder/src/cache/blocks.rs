//! Compressed blocks, keyed by a digest of what they are made of.
//!
//! An entry is `magic, crc32 of key and data (little-endian), length (u64,
//! little-endian), data`. The key is part of the checksum, so an entry under a
//! wrong name is found out, too.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::PathBuf;

use super::{Cache, add};
use crate::digest::hex;

const MAGIC: [u8; 4] = *b"SLB1";
const HEADER: usize = 16;
/// More than any block is. Bounds what a damaged length makes us read.
const MAX_LEN: u64 = 64 << 20;

impl Cache {
    /// The block with this key. A damaged one is removed and counts as not there.
    pub fn get(&self, key: &[u8; 32]) -> Option<Vec<u8>> {
        let path = self.block_path(key);
        let found = File::open(&path).and_then(|file| read(file, key));
        match found {
            Ok(data) => {
                add(&self.counts.block_hits, 1);
                add(&self.counts.block_bytes_read, data.len() as u64);
                return Some(data);
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(_) => {
                self.count_damaged();
                let _ = fs::remove_file(&path);
            }
        }
        add(&self.counts.block_misses, 1);
        None
    }

    /// Keeps a block. When it cannot be written, that is counted and nothing
    /// else: the build does without.
    pub fn put(&self, key: &[u8; 32], data: &[u8]) {
        match self.write_block(key, data) {
            Ok(()) => add(&self.counts.block_bytes_written, data.len() as u64),
            Err(_) => add(&self.counts.block_write_failures, 1),
        }
    }

    fn write_block(&self, key: &[u8; 32], data: &[u8]) -> io::Result<()> {
        let len = data.len() as u64;
        if len > MAX_LEN {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut entry = Vec::with_capacity(HEADER + data.len());
        entry.extend_from_slice(&MAGIC);
        entry.extend_from_slice(&checksum(key, data).to_le_bytes());
        entry.extend_from_slice(&len.to_le_bytes());
        entry.extend_from_slice(data);
        let mut temp = self.temp_file()?;
        temp.write_all(&entry)?;
        let path = self.block_path(key);
        let Err(failed) = temp.persist(&path) else { return Ok(()) };
        if failed.error.kind() == io::ErrorKind::NotFound {
            fs::create_dir_all(path.parent().unwrap_or(&self.dir))?;
            failed.file.persist(&path)?;
            return Ok(());
        }
        Err(failed.error)
    }

    fn block_path(&self, key: &[u8; 32]) -> PathBuf {
        let mut fan = hex(key);
        let name = fan.split_off(2);
        self.dir.join("blocks").join(fan).join(name)
    }
}

fn checksum(key: &[u8; 32], data: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(key);
    crc.update(data);
    crc.finalize()
}

fn read(mut file: impl Read, key: &[u8; 32]) -> io::Result<Vec<u8>> {
    let damaged = || io::Error::from(io::ErrorKind::InvalidData);
    let mut header = [0; HEADER];
    file.read_exact(&mut header)?;
    let [m0, m1, m2, m3, c0, c1, c2, c3, len @ ..] = header;
    let len = u64::from_le_bytes(len);
    if [m0, m1, m2, m3] != MAGIC || len > MAX_LEN {
        return Err(damaged());
    }
    let mut data = Vec::with_capacity(usize::try_from(len.min(2 << 20)).map_err(|_| damaged())?);
    // One byte more, to see that the file ends where it should.
    file.take(len + 1).read_to_end(&mut data)?;
    if data.len() as u64 != len || checksum(key, &data).to_le_bytes() != [c0, c1, c2, c3] {
        return Err(damaged());
    }
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [0xab; 32];

    fn cache() -> (tempfile::TempDir, Cache) {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path()).unwrap();
        (dir, cache)
    }

    #[test]
    fn what_is_put_is_got() {
        let (_dir, cache) = cache();
        assert_eq!(cache.get(&KEY), None);
        cache.put(&KEY, b"block");
        cache.put(&KEY, b"block");
        assert_eq!(cache.get(&KEY).as_deref(), Some(&b"block"[..]));
        let stats = cache.stats();
        assert_eq!((stats.block_hits, stats.block_misses, stats.damaged), (1, 1, 0));
        assert_eq!((stats.block_bytes_read, stats.block_bytes_written), (5, 10));
    }

    #[test]
    fn every_flipped_or_missing_byte_is_a_counted_miss_and_can_be_put_again() {
        let (_dir, cache) = cache();
        cache.put(&KEY, b"block");
        let path = cache.block_path(&KEY);
        let good = fs::read(&path).unwrap();
        let mut bad: Vec<_> = (0..good.len()).map(|n| good[..n].to_vec()).collect();
        bad.extend((0..good.len()).map(|i| {
            let mut b = good.clone();
            b[i] ^= 0x10;
            b
        }));
        bad.push([&good[..], b"x"].concat());
        for (n, bytes) in (1..).zip(&bad) {
            fs::write(&path, bytes).unwrap();
            assert_eq!(cache.get(&KEY), None, "{bytes:?}");
            assert_eq!(cache.stats().damaged, n);
        }
        cache.put(&KEY, b"block");
        assert!(cache.get(&KEY).is_some());
        let other = cache.block_path(&[1; 32]);
        fs::create_dir_all(other.parent().unwrap()).unwrap();
        fs::copy(&path, other).unwrap();
        assert_eq!(cache.get(&[1; 32]), None);
    }

    #[test]
    fn a_failed_write_is_counted_and_nothing_else() {
        let (dir, cache) = cache();
        fs::remove_dir_all(dir.path().join("tmp")).unwrap();
        cache.put(&KEY, b"block");
        assert_eq!(cache.stats().block_write_failures, 1);
        assert_eq!(cache.get(&KEY), None);
    }
}
