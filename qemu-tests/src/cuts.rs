//! What a power cut leaves on a disk: QEMU records every write and flush of a guest in their
//! order, and the disk is built as it may be after any of them. Of what was written since
//! the last flush each sector has its own luck, as on a disk with a volatile cache.
//!
//! Source of the format: QEMU's `block/blklogwrites.c`, which is that of the kernel's
//! `Documentation/admin-guide/device-mapper/log-writes.rst`.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// Bytes of a sector, in the log and on the disk.
const SECTOR: u64 = 512;
/// First bytes of the log (little-endian).
const MAGIC: u64 = 0x006a_7366_7773_6872;
const FLUSH: u64 = 1;
const FUA: u64 = 2;
const DISCARD: u64 = 4;
/// Most bytes that are copied at once.
const CHUNK: usize = 1 << 20;

/// QEMU's arguments for a virtio disk in this file, whose writes go to this log.
pub fn arguments(disk: &Path, log: &Path, serial: &str) -> Vec<String> {
    let file = |path: &Path| path.display().to_string().replace(',', ",,");
    let sparse = "discard=unmap,detect-zeroes=off";
    [
        "-blockdev".to_owned(),
        format!("driver=raw,node-name=cut-disk,{sparse},file.driver=file,file.filename={}", file(disk)),
        "-blockdev".to_owned(),
        format!(
            "driver=blklogwrites,node-name=cut,file=cut-disk,log-sector-size={SECTOR},\
             log.driver=file,log.filename={}",
            file(log)
        ),
        "-device".to_owned(),
        format!("virtio-blk-pci,drive=cut,serial={serial},bootindex=1"),
    ]
    .into()
}

/// A write or a flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    /// Where on the disk, in bytes.
    at: u64,
    /// How many bytes.
    len: u64,
    flags: u64,
    /// Where its bytes are in the log.
    data: u64,
}

/// A recorded run.
#[derive(Debug)]
pub struct Recording {
    log: File,
    entries: Vec<Entry>,
}

impl Recording {
    /// Reads what QEMU recorded.
    ///
    /// # Errors
    /// When it does not read, or is no such log.
    pub fn open(log: &Path) -> io::Result<Self> {
        let log = File::open(log)?;
        let word = |at: u64| {
            let mut bytes = [0; 8];
            log.read_exact_at(&mut bytes, at).map(|()| u64::from_le_bytes(bytes))
        };
        if word(0)? != MAGIC || word(8)? != 1 {
            return Err(io::Error::other("no log of writes, or of another version"));
        }
        let count = word(16)?;
        let mut at = SECTOR;
        let mut entries = Vec::new();
        for _ in 0..count {
            let [sector, sectors, flags] = [word(at)?, word(at + 8)?, word(at + 16)?];
            let (len, data) = (sectors * SECTOR, at + SECTOR);
            entries.push(Entry { at: sector * SECTOR, len, flags, data });
            at = data + if flags & DISCARD == 0 { len } else { 0 };
        }
        Ok(Self { log, entries })
    }

    /// How many writes and flushes there are: as many places for a cut, and one more.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// `count` places, spread over the run: every other one right before or after a flush,
    /// where code thinks that it has got somewhere.
    pub fn places(&self, count: usize) -> Vec<usize> {
        let flushes: Vec<_> =
            (0..self.len()).filter(|n| self.entries[*n].flags & (FLUSH | FUA) != 0).collect();
        let even = count / 2;
        let spread = |all: usize, n: usize, of: usize| all * (2 * n + 1) / (2 * of.max(1));
        let mut places: Vec<_> = (0..count - even).map(|n| spread(self.len(), n, count - even)).collect();
        if !flushes.is_empty() {
            places.extend((0..even).map(|n| flushes[spread(flushes.len(), n, even)] + n % 2));
        }
        places.sort_unstable();
        places.dedup();
        places
    }

    /// Builds the disk as a cut after `after` entries may leave it, from what it was before.
    ///
    /// # Errors
    /// The kernel's.
    pub fn cut(&self, before: &Path, after: usize, seed: u64, to: &Path) -> io::Result<()> {
        let copied = std::process::Command::new("cp")
            .args(["--sparse=always", "--reflink=auto"])
            .args([before, to])
            .status()?;
        if !copied.success() {
            return Err(io::Error::other("cp failed"));
        }
        let disk = File::options().write(true).open(to)?;
        let entries = &self.entries[..after.min(self.len())];
        let settled = entries.iter().rposition(|entry| entry.flags & FLUSH != 0).map_or(0, |n| n + 1);
        for entry in &entries[..settled] {
            self.apply(&disk, *entry, &mut || true)?;
        }
        let mut state = seed;
        for entry in &entries[settled..] {
            let mut luck = || {
                // SplitMix64.
                state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                entry.flags & FUA != 0 || z >> 63 == 1
            };
            self.apply(&disk, *entry, &mut luck)?;
        }
        Ok(())
    }

    /// Writes the sectors of an entry that are lucky. What is discarded reads as anything: it
    /// stays.
    fn apply(&self, disk: &File, entry: Entry, luck: &mut dyn FnMut() -> bool) -> io::Result<()> {
        if entry.flags & DISCARD != 0 {
            return Ok(());
        }
        let mut done = 0;
        let mut buffer = vec![0; CHUNK];
        while done < entry.len {
            let len = usize::try_from(entry.len - done).unwrap_or(CHUNK).min(CHUNK);
            let bytes = &mut buffer[..len];
            self.log.read_exact_at(bytes, entry.data + done)?;
            let mut at = entry.at + done;
            for (lucky, bytes) in by_luck(bytes, luck) {
                if lucky {
                    disk.write_all_at(bytes, at)?;
                }
                at += bytes.len() as u64;
            }
            done += len as u64;
        }
        Ok(())
    }
}

/// Runs of sectors that have the same luck.
fn by_luck<'b>(bytes: &'b [u8], luck: &mut dyn FnMut() -> bool) -> Vec<(bool, &'b [u8])> {
    let sector = usize::try_from(SECTOR).unwrap_or(512);
    let mut runs: Vec<(bool, usize, usize)> = Vec::new();
    for (n, bytes) in bytes.chunks(sector).enumerate() {
        let lucky = luck();
        match runs.last_mut() {
            Some((before, _, end)) if *before == lucky => *end += bytes.len(),
            _ => runs.push((lucky, n * sector, n * sector + bytes.len())),
        }
    }
    runs.into_iter().map(|(lucky, from, to)| (lucky, &bytes[from..to])).collect()
}

/// An empty disk of this size.
///
/// # Errors
/// The kernel's.
pub fn empty(path: PathBuf, bytes: u64) -> io::Result<PathBuf> {
    File::create(&path)?.set_len(bytes)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge;
    use crate::scratch::Scratch;

    /// QEMU's own writer is the reference: what it wrote after the last flush may be lost,
    /// what it wrote before may not.
    #[test]
    fn a_cut_keeps_what_was_flushed() {
        let scratch = Scratch::new(std::env::temp_dir().join(format!("cuts-{}", std::process::id())));
        let (disk, log) = (scratch.join("disk.raw"), scratch.join("log"));
        let before = empty(scratch.join("before.raw"), 1 << 20).unwrap();
        empty(disk.clone(), 1 << 20).unwrap();
        empty(log.clone(), 0).unwrap();
        let image = format!(
            "driver=blklogwrites,log-sector-size=512,file.driver=file,file.filename={},log.driver=file,log.filename={}",
            disk.display(),
            log.display()
        );
        let writes = [
            "write -P 1 0 8k",
            "write -P 2 64k 4k",
            "flush",
            "write -P 3 0 16k",
            "write -P 4 128k 64k",
            "flush",
        ];
        let commands = writes.iter().flat_map(|write| ["-c", write]);
        judge::run("qemu-utils", "qemu-io", ["--image-opts", &image].into_iter().chain(commands));

        let recording = Recording::open(&log).unwrap();
        let all = std::fs::read(&disk).unwrap();
        let cut = |after: usize, seed: u64| {
            let to = scratch.join("cut.raw");
            recording.cut(&before, after, seed, &to).unwrap();
            std::fs::read(to).unwrap()
        };
        assert_eq!(cut(recording.len(), 1), all, "everything was flushed");
        let last = recording.entries.iter().rposition(|entry| entry.flags & FLUSH == 0).unwrap() + 1;
        let torn = cut(last, 1);
        assert!(torn[..16 << 10].iter().all(|byte| [0, 1, 3].contains(byte)));
        assert!(torn[..8 << 10].contains(&1) && torn[..8 << 10].contains(&3), "each sector has its own luck");
        assert_eq!(torn[64 << 10..68 << 10], all[64 << 10..68 << 10], "what was flushed is there");
        assert_ne!(torn, cut(last, 2));
        assert_eq!(cut(0, 1), vec![0; 1 << 20]);
        std::fs::remove_dir_all(&*scratch).unwrap();
    }
}
