//! What a power cut leaves on a disk: QEMU records every write and flush of a guest in their
//! order, and the disk is built as it may be after any of them. Of what was written since
//! the last flush each sector has its own luck, as on a disk with a volatile cache.
//!
//! Source of the format: QEMU's `block/blklogwrites.c`, which is that of the kernel's
//! `Documentation/admin-guide/device-mapper/log-writes.rst`.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::SeekFrom;

/// Bytes of a sector, in the log and on the disk.
const SECTOR: u64 = 512;
/// First bytes of the log (little-endian).
const MAGIC: u64 = 0x006a_7366_7773_6872;
const FLUSH: u64 = 1;
const FUA: u64 = 2;
const DISCARD: u64 = 4;
/// Most bytes that are copied at once.
const CHUNK: usize = 1 << 20;

/// Where the disks of a guest lie, side by side in one file: what is written to all of them is
/// in one order.
#[derive(Clone, Copy, Debug)]
pub enum Bay<'p> {
    /// Plain bytes; what is written is recorded in this log.
    Recorded {
        /// The bytes.
        file: &'p Path,
        /// An empty file.
        log: &'p Path,
    },
    /// What [`over`] made.
    Over(&'p Path),
}

/// QEMU's arguments for disks in a bay: how many bytes each has, and its device, as
/// `nvme,serial=A`.
pub fn arguments(bay: Bay<'_>, disks: &[(u64, &str)]) -> Vec<String> {
    let file = |path: &Path| path.display().to_string().replace(',', ",,");
    let nodes = match bay {
        Bay::Recorded { file: bytes, log } => vec![
            format!(
                "driver=raw,node-name=bay-file,discard=unmap,file.driver=file,file.filename={}",
                file(bytes)
            ),
            format!(
                "driver=blklogwrites,node-name=bay,file=bay-file,log-sector-size={SECTOR},\
                 log.driver=file,log.filename={}",
                file(log)
            ),
        ],
        Bay::Over(bytes) => {
            vec![format!("driver=qcow2,node-name=bay,file.driver=file,file.filename={}", file(bytes))]
        }
    };
    let mut arguments: Vec<_> = nodes.into_iter().flat_map(|node| ["-blockdev".to_owned(), node]).collect();
    if disks.iter().any(|(_, device)| device.starts_with("scsi-")) {
        arguments.extend(["-device", "virtio-scsi-pci"].map(str::to_owned));
    }
    let mut offset = 0;
    for (n, (bytes, device)) in disks.iter().enumerate() {
        let disk = format!("driver=raw,node-name=disk{n},file=bay,offset={offset},size={bytes}");
        // Each writes to its own part of the bay only.
        let device = format!("{device},drive=disk{n},share-rw=on,bootindex={}", n + 1);
        arguments.extend(["-blockdev".to_owned(), disk, "-device".to_owned(), device]);
        offset += bytes;
    }
    arguments
}

/// A layer over these bytes, for a guest that writes: they stay.
pub fn over(bytes: &Path, layer: PathBuf) -> PathBuf {
    let options = ["create", "-q", "-f", "qcow2", "-F", "raw", "-b"].map(std::ffi::OsStr::new);
    let files = [bytes.as_os_str(), layer.as_os_str()];
    crate::judge::run("qemu-utils", "qemu-img", options.into_iter().chain(files));
    layer
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

    /// `count` places, spread over what is written to these parts of the disk; the seed says where
    /// the first is. Every other one is right before or after a flush, where code thinks that it
    /// has got somewhere.
    pub fn places(&self, count: usize, parts: &[Range<u64>], seed: u64) -> Vec<usize> {
        let is_in = |at: u64| parts.iter().any(|part| part.contains(&at));
        let inside = |n: &usize| self.entries[*n].len > 0 && is_in(self.entries[*n].at);
        let writes: Vec<_> = (0..self.len()).filter(inside).collect();
        let (Some(first), Some(last)) = (writes.first(), writes.last()) else { return Vec::new() };
        let flushes = (*first..self.len()).filter(|n| self.entries[*n].flags & (FLUSH | FUA) != 0);
        let after = flushes.clone().find(|n| n > last).unwrap_or(*last);
        let flushes: Vec<_> = flushes.take_while(|n| *n <= after).collect();
        let (even, odd) = (count / 2, count - count / 2);
        // Of a thousand steps from one place to the next.
        let step = usize::try_from(Luck(seed).number() % 1000).unwrap_or(0);
        let spread = |all: usize, n: usize, of: usize| all * (1000 * n + step) / (1000 * of);
        let mut places: Vec<_> = (0..odd).map(|n| writes[spread(writes.len(), n, odd)]).collect();
        if !flushes.is_empty() {
            places.extend((0..even).map(|n| flushes[spread(flushes.len(), n, even)] + (n + step) % 2));
        }
        places.sort_unstable();
        places.dedup();
        places
    }

    /// The disk as it was `before`, copied to a file in which cuts are built one after the other.
    ///
    /// # Errors
    /// The kernel's.
    pub fn rebuild(&self, before: &Path, to: &Path) -> io::Result<Rebuilt<'_>> {
        let copied = std::process::Command::new("cp")
            .args(["--sparse=always", "--reflink=auto"])
            .args([before, to])
            .status()?;
        if !copied.success() {
            return Err(io::Error::other("cp failed"));
        }
        let disk = File::options().read(true).write(true).open(to)?;
        Ok(Rebuilt { recording: self, disk, settled: 0, unsettled: Vec::new() })
    }
}

/// A disk as a power cut may leave it.
#[derive(Debug)]
pub struct Rebuilt<'r> {
    recording: &'r Recording,
    disk: File,
    /// So many entries are on it, whatever luck they had.
    settled: usize,
    /// What was where the last cut had luck.
    unsettled: Vec<(u64, Vec<u8>)>,
}

impl Rebuilt<'_> {
    /// Builds the disk as a cut after `after` entries may leave it: no fewer than the last time.
    /// Returns what has changed.
    ///
    /// # Errors
    /// The kernel's, or when it was later in the run.
    pub fn cut(&mut self, after: usize, seed: u64) -> io::Result<Vec<Range<u64>>> {
        let entries = &self.recording.entries[..after.min(self.recording.len())];
        let settled = entries.iter().rposition(|entry| entry.flags & FLUSH != 0).map_or(0, |n| n + 1);
        if settled < self.settled {
            return Err(io::Error::other("the disk is past that"));
        }
        let mut changes = Vec::new();
        for (at, bytes) in std::mem::take(&mut self.unsettled).iter().rev() {
            self.disk.write_all_at(bytes, *at)?;
            changes.push(*at..at + bytes.len() as u64);
        }
        for entry in &entries[self.settled..settled] {
            self.apply(*entry, &mut || true)?;
            changes.extend(self.unsettled.drain(..).map(|(at, bytes)| at..at + bytes.len() as u64));
        }
        self.settled = settled;
        let mut luck = Luck(seed);
        for entry in &entries[settled..] {
            self.apply(*entry, &mut || entry.flags & FUA != 0 || luck.number() >> 63 == 1)?;
        }
        changes.extend(self.unsettled.iter().map(|(at, bytes)| *at..at + bytes.len() as u64));
        Ok(changes)
    }

    /// Writes the sectors of an entry that are lucky, and keeps what was there. What is
    /// discarded reads as anything: it stays.
    fn apply(&mut self, entry: Entry, luck: &mut dyn FnMut() -> bool) -> io::Result<()> {
        if entry.flags & DISCARD != 0 {
            return Ok(());
        }
        let mut done = 0;
        let mut buffer = vec![0; CHUNK];
        while done < entry.len {
            let len = usize::try_from(entry.len - done).unwrap_or(CHUNK).min(CHUNK);
            let bytes = &mut buffer[..len];
            self.recording.log.read_exact_at(bytes, entry.data + done)?;
            let mut at = entry.at + done;
            for (lucky, bytes) in by_luck(bytes, luck) {
                if lucky {
                    let mut before = vec![0; bytes.len()];
                    self.disk.read_exact_at(&mut before, at)?;
                    if before != bytes {
                        self.disk.write_all_at(bytes, at)?;
                        self.unsettled.push((at, before));
                    }
                }
                at += bytes.len() as u64;
            }
            done += len as u64;
        }
        Ok(())
    }
}

/// SplitMix64.
struct Luck(u64);

impl Luck {
    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
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

/// Copies a part of a disk to a file of its own, holes left out.
///
/// # Errors
/// The kernel's.
pub fn part(disk: &Path, part: Range<u64>, to: &Path) -> io::Result<()> {
    let (from, to) = (File::open(disk)?, File::create(to)?);
    to.set_len(part.end - part.start)?;
    let mut buffer = vec![0; CHUNK];
    let mut at = part.start;
    loop {
        // There is none behind the last data.
        at = match rustix::fs::seek(&from, SeekFrom::Data(at)) {
            Err(rustix::io::Errno::NXIO) => return Ok(()),
            found => found?,
        };
        let end = rustix::fs::seek(&from, SeekFrom::Hole(at))?.min(part.end);
        if at >= end {
            return Ok(());
        }
        while at < end {
            let len = usize::try_from(end - at).unwrap_or(CHUNK).min(CHUNK);
            from.read_exact_at(&mut buffer[..len], at)?;
            to.write_all_at(&buffer[..len], at - part.start)?;
            at += len as u64;
        }
    }
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
        let cuts = |places: &[(usize, u64)]| {
            let to = scratch.join("cut.raw");
            let mut rebuilt = recording.rebuild(&before, &to).unwrap();
            places.iter().for_each(|(after, seed)| drop(rebuilt.cut(*after, *seed).unwrap()));
            std::fs::read(to).unwrap()
        };
        let cut = |after: usize, seed: u64| cuts(&[(after, seed)]);
        assert_eq!(cut(recording.len(), 1), all, "everything was flushed");
        let last = recording.entries.iter().rposition(|entry| entry.flags & FLUSH == 0).unwrap() + 1;
        let torn = cut(last, 1);
        assert!(torn[..16 << 10].iter().all(|byte| [0, 1, 3].contains(byte)));
        assert!(torn[..8 << 10].contains(&1) && torn[..8 << 10].contains(&3), "each sector has its own luck");
        assert_eq!(torn[64 << 10..68 << 10], all[64 << 10..68 << 10], "what was flushed is there");
        assert_ne!(torn, cut(last, 2));
        assert_eq!(cut(0, 1), vec![0; 1 << 20]);
        // Cuts before it leave nothing behind.
        assert_eq!(cuts(&[(0, 1), (2, 5), (last, 1), (last, 2)]), cut(last, 2));
        assert_eq!(cuts(&[(2, 5), (last, 3), (recording.len(), 1)]), all);
        assert!(recording.rebuild(&before, &scratch.join("cut.raw")).unwrap().cut(last, 1).is_ok());
        for range in [0..1 << 20, 6 << 10..130 << 10, 200 << 10..1 << 20] {
            part(&disk, range.clone(), &scratch.join("part")).unwrap();
            let [from, to] = [range.start, range.end].map(|at| usize::try_from(at).unwrap());
            assert!(std::fs::read(scratch.join("part")).unwrap() == all[from..to], "{range:?}");
        }
        std::fs::remove_dir_all(&*scratch).unwrap();
    }
}
