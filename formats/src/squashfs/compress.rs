//! zstd contexts shared by the threads of a pool.

use std::io;
use std::sync::{Mutex, PoisonError};

use zstd::bulk::Compressor;

use super::Error;
use super::cache::UNCOMPRESSED;

/// Contexts and buffers that are reused from block to block. There are never
/// more than threads compressing at one time.
pub(super) struct Workers {
    level: i32,
    idle: Mutex<Vec<Worker>>,
}

/// A data block: its stored size as inodes and fragment entries have it, and its bytes.
pub(super) type Block = (u32, Vec<u8>);

/// What one thread needs for one block.
pub(super) struct Worker {
    zstd: Compressor<'static>,
    /// The block before compression.
    pub(super) raw: Vec<u8>,
    packed: Vec<u8>,
}

impl Workers {
    pub(super) fn new(level: i32) -> Self {
        Self { level, idle: Mutex::default() }
    }

    /// Runs `job` with a worker nobody else has. `job` must not wait for other
    /// jobs of the pool.
    pub(super) fn with<T>(&self, job: impl FnOnce(&mut Worker) -> Result<T, Error>) -> Result<T, Error> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = idle().pop();
        let mut worker = match taken {
            Some(worker) => worker,
            None => Worker::new(self.level).map_err(Error::Compress)?,
        };
        let result = job(&mut worker);
        idle().push(worker);
        result
    }
}

impl Worker {
    pub(super) fn new(level: i32) -> io::Result<Self> {
        Ok(Self { zstd: Compressor::new(level)?, raw: Vec::new(), packed: Vec::new() })
    }

    /// The compressed form of `raw`, or `None` when that is not shorter.
    pub(super) fn shorter(&mut self) -> Result<Option<&[u8]>, Error> {
        self.packed.clear();
        self.packed.reserve(zstd::zstd_safe::compress_bound(self.raw.len()));
        self.zstd.compress_to_buffer(&self.raw, &mut self.packed).map_err(Error::Compress)?;
        Ok((self.packed.len() < self.raw.len()).then_some(&self.packed))
    }

    /// `raw` as a data block.
    pub(super) fn data_block(&mut self) -> Result<Block, Error> {
        let (flag, bytes) = match self.shorter()? {
            Some(packed) => (0, packed.to_vec()),
            None => (UNCOMPRESSED, self.raw.clone()),
        };
        let size = u32::try_from(bytes.len()).expect("a block is at most 1 MiB");
        Ok((size | flag, bytes))
    }
}
