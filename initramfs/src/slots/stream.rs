//! Artefacts from a source, verified while they come.
//!
//! Nothing is handed on that the root hash does not vouch for. What breaks is asked
//! for again from the first byte that is missing; how long to wait between, whom to
//! ask, and when to give up is the source's to know: it sees where it is asked to
//! start, and the same place again means that nothing usable came.

use super::{Error, Source};
use crate::log::Log;
use formats::verity::{self, BLOCK};
use metadata::document::{Artefact, Image};
use std::io::{self, Read};
use std::time::Duration;

/// Bytes that are in memory at one time.
const BUFFER: usize = 64 * SIZE;
/// Bytes of a block, in memory.
const SIZE: usize = 4096;
/// How often in a row nothing may come before it is said again.
const SAY_AGAIN: u32 = 8;
/// Largest step without a line: every 5 s or every tenth.
const EVERY: Duration = Duration::from_secs(5);

/// Takes bytes for a position.
type Writer<'a> = dyn FnMut(u64, &[u8]) -> Result<(), Error> + 'a;

/// Says how far an artefact has come, and where it stopped.
pub(super) struct Progress<'a> {
    log: &'a Log,
    file: &'a str,
    total: u64,
    started: Duration,
    /// Where it began: what was there already says nothing of the speed.
    from: u64,
    said: (Duration, u64),
    /// Where it stopped last, and how often in a row.
    stuck: (u64, u32),
}

impl<'a> Progress<'a> {
    pub(super) fn new(log: &'a Log, file: &'a str, total: u64, from: u64) -> Self {
        let now = log.now();
        Self { log, file, total, started: now, from, said: (now, from), stuck: (u64::MAX, 0) }
    }

    fn at(&mut self, done: u64) {
        let now = self.log.now();
        let tenth = done.saturating_sub(self.said.1) >= (self.total / 10).max(1);
        let ended = done == self.total;
        // Small files and fast links: one line at the end.
        let quiet = now.saturating_sub(self.said.0) < Duration::from_millis(250) && !ended;
        if ended || (!quiet && (tenth || now.saturating_sub(self.said.0) >= EVERY)) {
            self.said = (now, done);
            let ms = u64::try_from(now.saturating_sub(self.started).as_millis()).unwrap_or(u64::MAX).max(1);
            let rate = done.saturating_sub(self.from).saturating_mul(1000) / ms / 1024;
            self.log.say(&format!(
                "{}: {} of {} MiB ({} %), {}.{} MiB/s",
                self.file,
                done >> 20,
                self.total.div_ceil(1 << 20),
                done.saturating_mul(100) / self.total.max(1),
                rate / 1024,
                rate % 1024 * 10 / 1024,
            ));
        }
    }

    /// Nothing more comes. Said the first time at a place, then now and again.
    fn stopped(&mut self, at: u64, why: &str) {
        self.stuck = if self.stuck.0 == at { (at, self.stuck.1.saturating_add(1)) } else { (at, 1) };
        let Self { file, stuck: (_, tries), .. } = self;
        if *tries == 1 {
            self.log.say(&format!("{file}: {why}; asks again from byte {at}"));
        } else if tries.is_multiple_of(SAY_AGAIN) {
            self.log.warn("image", format!("{file}: no progress at byte {at} after {tries} tries: {why}"));
        }
    }
}

/// Fills a buffer as far as there is something; how it ended when that is not all.
fn fill(reader: &mut dyn Read, buffer: &mut [u8]) -> (usize, Option<String>) {
    let mut len = 0;
    while let Some(room) = buffer.get_mut(len..).filter(|room| !room.is_empty()) {
        match reader.read(room) {
            Ok(0) => return (len, Some("it ends too early".to_owned())),
            Ok(n) => len += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (len, Some(error.to_string())),
        }
    }
    (len, None)
}

fn open<'s>(source: &'s dyn Source, file: &str, from: u64) -> Result<Box<dyn Read + 's>, Error> {
    source.open(file, from).map_err(|why| Error::Source { file: file.to_owned(), why })
}

/// A whole artefact in memory; what `check` refuses is fetched again from the start.
pub(super) fn whole<T>(
    source: &dyn Source,
    artefact: &Artefact,
    log: &Log,
    check: &dyn Fn(Vec<u8>) -> Result<T, String>,
) -> Result<T, Error> {
    let Artefact { file, size, .. } = artefact;
    let len = usize::try_from(*size).map_err(|_| Error::Document(format!("{file} of {size} bytes")))?;
    let mut progress = Progress::new(log, file, *size, 0);
    let (mut bytes, mut have) = (vec![0; len], 0);
    loop {
        let mut reader = open(source, file, have as u64)?;
        while have < len {
            let end = len.min(have + BUFFER);
            let (n, broken) = fill(&mut *reader, &mut bytes[have..end]);
            have += n;
            progress.at(have as u64);
            if let Some(why) = broken {
                progress.stopped(have as u64, &why);
                break;
            }
        }
        if have == len {
            match check(std::mem::take(&mut bytes)) {
                Ok(value) => return Ok(value),
                Err(why) => progress.stopped(0, &why),
            }
            (bytes, have) = (vec![0; len], 0);
        }
    }
}

/// The verity tree of an image, verified.
pub(super) fn tree(source: &dyn Source, image: &Image, log: &Log) -> Result<verity::Tree, Error> {
    let Image { root_hash, usr, verity, .. } = image;
    let blocks = usr.size.div_ceil(BLOCK);
    if blocks == 0 || verity::device_bytes(blocks) != Some(verity.size) {
        let (usr, verity) = (usr.size, verity.size);
        return Err(Error::Document(format!("a verity tree of {verity} bytes for a /usr of {usr} bytes")));
    }
    whole(source, verity, log, &|bytes| {
        let tree = verity::Tree::verify(bytes, &root_hash.0).map_err(|e| e.to_string())?;
        if tree.blocks() == blocks { Ok(tree) } else { Err(format!("it covers {} blocks", tree.blocks())) }
    })
}

/// Streams /usr from block `from` on. `write` gets whole blocks in order, with their
/// position in bytes, each one right.
pub(super) fn usr(
    source: &dyn Source,
    artefact: &Artefact,
    tree: &verity::Tree,
    from: u64,
    log: &Log,
    write: &mut Writer<'_>,
) -> Result<(), Error> {
    let Artefact { file, size, .. } = artefact;
    let total = tree.blocks();
    let mut progress = Progress::new(log, file, *size, (from * BLOCK).min(*size));
    let mut buffer = vec![0; BUFFER];
    // The first block that is not written yet.
    let mut next = from;
    while next < total {
        let mut reader = open(source, file, next * BLOCK)?;
        while next < total {
            let at = next * BLOCK;
            let left = usize::try_from(size.saturating_sub(at)).unwrap_or(usize::MAX);
            let want = left.min(BUFFER);
            let (mut len, broken) = fill(&mut *reader, &mut buffer[..want]);
            if len == left {
                // The tree is over blocks: zeroes fill the last one.
                let padded = len.next_multiple_of(SIZE);
                buffer[len..padded].fill(0);
                len = padded;
            }
            let (blocks, _) = buffer[..len].as_chunks::<SIZE>();
            let good = (next..).zip(blocks).take_while(|(n, block)| tree.check_block(*n, block)).count();
            if good > 0 {
                write(at, &buffer[..good * SIZE])?;
                next += good as u64;
                progress.at((next * BLOCK).min(*size));
            }
            if good < len / SIZE {
                progress.stopped(next * BLOCK, &format!("block {next} does not match the root hash"));
                break;
            }
            if let Some(why) = broken {
                progress.stopped(next * BLOCK, &why);
                break;
            }
        }
    }
    Ok(())
}
