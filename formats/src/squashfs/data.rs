//! Compresses and writes content.

use std::io::Write;
use std::ops::Range;

use rayon::prelude::*;
use sha2::Digest as _;

use super::Error;
use super::cache::{self, BlockCache, Entry, UNCOMPRESSED};
use super::compress::{Block, Workers};
use super::plan::{Item, Job, Plan, Progress};
use crate::tree::Digest;

/// Bytes of content compressed at one time, besides the same amount that is
/// being written.
const BATCH: u64 = 48 << 20;

/// Where content is in the image.
pub(super) struct Placed {
    /// By content: where its first block starts.
    pub(super) start: Vec<u64>,
    /// By content: the stored size of each whole block.
    pub(super) sizes: Vec<Vec<u32>>,
    /// By fragment: where it starts, and its stored size.
    pub(super) fragments: Vec<(u64, u32)>,
    /// Where the next thing goes.
    pub(super) end: u64,
    /// Jobs found in the cache.
    pub(super) hits: u64,
}

/// Bytes a block takes in the image.
pub(super) fn stored(size: u32) -> u64 {
    u64::from(size & (UNCOMPRESSED - 1))
}

/// Writes all content; `start` is where `out` stands in the image.
///
/// While one batch of jobs is written, the next one is compressed. The order of
/// the image is that of the jobs, whoever finishes first.
pub(super) fn write(
    plan: &Plan<'_>,
    start: u64,
    out: &mut impl Write,
    cache: &dyn BlockCache,
    progress: &Progress<'_>,
) -> Result<Placed, Error> {
    let maker = Maker { plan, cache, progress, workers: Workers::new(plan.options.level) };
    let mut placed = Placed {
        start: vec![0; plan.items.len()],
        sizes: plan.items.iter().map(|_| Vec::new()).collect(),
        fragments: Vec::with_capacity(plan.fragments.len()),
        end: start,
        hits: 0,
    };
    let mut done: (&[Job], Vec<Made>) = (&[], Vec::new());
    let mut rest = plan.jobs.as_slice();
    while !rest.is_empty() || !done.0.is_empty() {
        let (now, later) = rest.split_at(plan.batch(rest));
        let mut made = Ok(Vec::new());
        let written = rayon::in_place_scope(|scope| {
            scope.spawn(|_| made = now.par_iter().with_max_len(1).map(|job| maker.make(job)).collect());
            placed.append(done.0, &done.1, out)
        });
        written?;
        done = (now, made?);
        rest = later;
    }
    Ok(placed)
}

impl Placed {
    fn append(&mut self, jobs: &[Job], made: &[Made], out: &mut impl Write) -> Result<(), Error> {
        for (job, Made { entry, hit }) in jobs.iter().zip(made) {
            match job {
                Job::Blocks { item, blocks } => {
                    if blocks.start == 0 {
                        self.start[*item] = self.end;
                    }
                    self.sizes[*item].extend(entry.sizes());
                }
                Job::Fragment(_) => self.fragments.extend(entry.sizes().map(|size| (self.end, size))),
            }
            out.write_all(entry.data()).map_err(Error::Write)?;
            self.end += entry.data().len() as u64;
            self.hits += u64::from(*hit);
        }
        Ok(())
    }
}

impl Plan<'_> {
    /// Bytes of content in a job.
    fn bytes(&self, job: &Job) -> u64 {
        match job {
            Job::Blocks { blocks, .. } => (blocks.end - blocks.start) * u64::from(self.options.block_size),
            Job::Fragment(fragment) => u64::from(self.fragment_len(*fragment)),
        }
    }

    fn fragment_len(&self, fragment: usize) -> u32 {
        self.fragments[fragment].iter().map(|item| self.items[*item].tail).sum()
    }

    /// How many of these jobs make a batch.
    fn batch(&self, jobs: &[Job]) -> usize {
        let mut bytes = 0;
        let fits = |job: &&Job| {
            bytes += self.bytes(job);
            bytes <= BATCH
        };
        jobs.iter().take_while(fits).count().max(1).min(jobs.len())
    }
}

/// What a job comes to.
struct Made {
    entry: Entry,
    hit: bool,
}

struct Maker<'p> {
    plan: &'p Plan<'p>,
    cache: &'p dyn BlockCache,
    progress: &'p Progress<'p>,
    workers: Workers,
}

impl Maker<'_> {
    /// Takes the blocks of a job from the cache or makes them.
    fn make(&self, job: &Job) -> Result<Made, Error> {
        let (key, lengths) = match job {
            Job::Blocks { item, blocks } => {
                let count = usize::try_from(blocks.end - blocks.start).expect("a job is at most 8 MiB");
                (self.blocks_key(&self.plan.items[*item], blocks), vec![self.plan.options.block_size; count])
            }
            Job::Fragment(fragment) => {
                (self.fragment_key(*fragment), vec![self.plan.fragment_len(*fragment)])
            }
        };
        let cached = self.cache.get(&key).and_then(|bytes| Entry::check(&key, bytes, lengths.into_iter()));
        Ok(match cached {
            Some(entry) => {
                self.done(self.plan.bytes(job))?;
                Made { entry, hit: true }
            }
            None => {
                let blocks = match job {
                    Job::Blocks { item, blocks } => self.compress_blocks(&self.plan.items[*item], blocks)?,
                    Job::Fragment(fragment) => vec![self.compress_fragment(*fragment)?],
                };
                let entry = Entry::new(&key, &blocks);
                self.cache.put(&key, entry.bytes());
                Made { entry, hit: false }
            }
        })
    }

    /// After every block: a job of 8 MiB takes seconds at the high levels.
    fn done(&self, bytes: u64) -> Result<(), Error> {
        if (self.progress)(bytes).is_break() { Err(Error::Stopped) } else { Ok(()) }
    }

    fn blocks_key(&self, item: &Item<'_>, blocks: &Range<u64>) -> Digest {
        let mut key = cache::key(&self.plan.options, "blocks");
        key.update(item.digest);
        key.update(blocks.start.to_le_bytes());
        key.update(blocks.end.to_le_bytes());
        key.finalize().into()
    }

    fn fragment_key(&self, fragment: usize) -> Digest {
        let mut key = cache::key(&self.plan.options, "fragment");
        for item in &self.plan.fragments[fragment] {
            key.update(self.plan.items[*item].digest);
        }
        key.finalize().into()
    }

    fn compress_blocks(&self, item: &Item<'_>, blocks: &Range<u64>) -> Result<Vec<Block>, Error> {
        let size = u64::from(self.plan.options.block_size);
        let blocks: Vec<u64> = blocks.clone().collect();
        let compressed = blocks.par_iter().with_max_len(1).map(|block| {
            self.workers.with(|worker| {
                worker.raw.resize(usize::try_from(size).expect("a block is at most 1 MiB"), 0);
                item.read(&mut worker.raw, block * size)?;
                let packed = if is_hole(&worker.raw) { (0, Vec::new()) } else { worker.data_block()? };
                self.done(size)?;
                Ok(packed)
            })
        });
        compressed.collect()
    }

    fn compress_fragment(&self, fragment: usize) -> Result<Block, Error> {
        self.workers.with(|worker| {
            worker.raw.clear();
            for item in &self.plan.fragments[fragment] {
                let item = &self.plan.items[*item];
                let from = worker.raw.len();
                worker.raw.resize(from + usize::try_from(item.tail).expect("less than a block"), 0);
                let tail = &mut worker.raw[from..];
                item.read(tail, item.content.len() - u64::from(item.tail))?;
            }
            let packed = worker.data_block()?;
            self.done(u64::from(self.plan.fragment_len(fragment)))?;
            Ok(packed)
        })
    }
}

/// Whether all bytes are zero. Pieces are tested without a branch per byte.
fn is_hole(raw: &[u8]) -> bool {
    raw.chunks(256).all(|piece| piece.iter().fold(0, |all, byte| all | byte) == 0)
}

impl Item<'_> {
    fn read(&self, buf: &mut [u8], offset: u64) -> Result<(), Error> {
        let failed = |source| Error::Read { path: self.path.clone(), source };
        self.content.read_exact_at(buf, offset).map_err(failed)
    }
}
