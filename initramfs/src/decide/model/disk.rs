//! A disk with a volatile cache whose power can be cut.

use crate::slots::disk::Disk;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

pub(super) const SECTOR: u64 = 512;

type Sector = Arc<[u8; 512]>;
/// What was written, by number; what is not in it is zero.
type Sectors = BTreeMap<u64, Sector>;

/// The power of the whole machine: how many writes and flushes it lasts for.
#[derive(Clone, Debug, Default)]
pub(super) struct Power(Arc<Mutex<Option<u64>>>);

impl Power {
    /// Cuts it after so many operations; `None`: never.
    pub(super) fn lasts(&self, operations: Option<u64>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = operations;
    }

    /// Whether it is gone.
    pub(super) fn is_gone(&self) -> bool {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) == Some(0)
    }

    /// An operation that needs it.
    pub(super) fn operation(&self) -> io::Result<()> {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match left.as_mut() {
            None => Ok(()),
            Some(0) => Err(io::Error::other("the power is cut")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Bytes {
    /// What a power cut leaves.
    lasting: Sectors,
    /// What reads give.
    view: Sectors,
    /// Writes since the last flush, in order: first sector and its bytes, or a range of zeroes.
    cache: Vec<Cached>,
    operations: u64,
}

#[derive(Clone, Debug)]
enum Cached {
    Sector(u64, Sector),
    Zero(u64, u64),
}

/// A handle of the disk.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    bytes: Arc<Mutex<Bytes>>,
    power: Power,
    pub(super) size: u64,
    pub(super) unreadable: bool,
}

impl Memory {
    pub(super) fn new(size: u64, power: &Power) -> Self {
        Self { bytes: Arc::default(), power: power.clone(), size, unreadable: false }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Bytes> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A disk of its own with the same content.
    pub(super) fn copy(&self, power: &Power) -> Self {
        let bytes = Arc::new(Mutex::new(self.lock().clone()));
        Self { bytes, power: power.clone(), ..self.clone() }
    }

    /// What is left after a power cut: every cached write of a sector has its own luck.
    pub(super) fn lose(&self, luck: &mut dyn FnMut() -> bool) {
        let mut bytes = self.lock();
        for write in std::mem::take(&mut bytes.cache) {
            if luck() {
                apply(&mut bytes.lasting, &write);
            }
        }
        bytes.view = bytes.lasting.clone();
    }

    /// Everything that is on it, to compare.
    pub(super) fn sectors(&self) -> Vec<(u64, [u8; 512])> {
        self.lock().view.iter().map(|(at, bytes)| (*at, **bytes)).collect()
    }

    /// Damages what is at this place.
    pub(super) fn rot(&self, at: u64) {
        let mut bytes = self.lock();
        let mut sector = bytes.view.get(&(at / SECTOR)).map_or([0; 512], |sector| **sector);
        sector.iter_mut().for_each(|byte| *byte ^= 0x5a);
        let sector = Arc::new(sector);
        bytes.view.insert(at / SECTOR, Arc::clone(&sector));
        bytes.lasting.insert(at / SECTOR, sector);
    }

    /// How many writes and flushes it has seen.
    pub(super) fn operations(&self) -> u64 {
        self.lock().operations
    }
}

fn apply(to: &mut Sectors, write: &Cached) {
    match write {
        Cached::Sector(at, bytes) => drop(to.insert(*at, Arc::clone(bytes))),
        Cached::Zero(at, len) => {
            let gone: Vec<_> = to.range(*at..at + len).map(|(at, _)| *at).collect();
            for at in gone {
                to.remove(&at);
            }
        }
    }
}

impl Disk for Memory {
    fn read(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        if self.unreadable || at + buffer.len() as u64 > self.size {
            return Err(io::Error::other("does not read"));
        }
        buffer.fill(0);
        let bytes = self.lock();
        let end = at + buffer.len() as u64;
        for (number, sector) in bytes.view.range(at / SECTOR..end.div_ceil(SECTOR)) {
            let start = number * SECTOR;
            let (from, to) = (start.max(at), (start + SECTOR).min(end));
            let index = |place: u64, base: u64| usize::try_from(place - base).unwrap();
            buffer[index(from, at)..index(to, at)]
                .copy_from_slice(&sector[index(from, start)..index(to, start)]);
        }
        Ok(())
    }

    fn write(&self, at: u64, data: &[u8]) -> io::Result<()> {
        assert!(at + data.len() as u64 <= self.size, "{} bytes at {at}", data.len());
        self.power.operation()?;
        let mut bytes = self.lock();
        bytes.operations += 1;
        let (mut at, mut rest) = (at, data);
        while !rest.is_empty() {
            let offset = usize::try_from(at % SECTOR).unwrap();
            let len = rest.len().min(512 - offset);
            let mut sector = bytes.view.get(&(at / SECTOR)).map_or([0; 512], |sector| **sector);
            sector[offset..offset + len].copy_from_slice(&rest[..len]);
            let sector = Arc::new(sector);
            bytes.view.insert(at / SECTOR, Arc::clone(&sector));
            bytes.cache.push(Cached::Sector(at / SECTOR, sector));
            (at, rest) = (at + len as u64, &rest[len..]);
        }
        Ok(())
    }

    fn zero(&self, at: u64, len: u64) -> io::Result<()> {
        assert!(
            at + len <= self.size && at.is_multiple_of(SECTOR) && len.is_multiple_of(SECTOR),
            "{len} at {at}"
        );
        self.power.operation()?;
        let mut bytes = self.lock();
        bytes.operations += 1;
        let write = Cached::Zero(at / SECTOR, len / SECTOR);
        apply(&mut bytes.view, &write);
        bytes.cache.push(write);
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        self.power.operation()?;
        let mut bytes = self.lock();
        bytes.operations += 1;
        bytes.lasting = bytes.view.clone();
        bytes.cache.clear();
        Ok(())
    }
}
