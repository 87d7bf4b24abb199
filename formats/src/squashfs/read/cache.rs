//! Unpacked blocks that are likely to be needed again soon.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::meta;

/// Metadata blocks kept: 8 KiB each.
const META: usize = 512;
/// Fragments kept, at most 1 MiB each.
const FRAGMENTS: usize = 8;

/// The blocks of one image, by where they start.
#[derive(Debug, Default)]
pub(super) struct Cache {
    meta: Mutex<VecDeque<(u64, meta::Block)>>,
    fragments: Mutex<VecDeque<(u64, Arc<Vec<u8>>)>>,
}

fn find<T: Clone>(queue: &Mutex<VecDeque<(u64, T)>>, at: u64) -> Option<T> {
    let queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
    queue.iter().rev().find(|(start, _)| *start == at).map(|(_, block)| block.clone())
}

fn keep<T>(queue: &Mutex<VecDeque<(u64, T)>>, limit: usize, at: u64, block: T) {
    let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
    if queue.len() >= limit {
        queue.pop_front();
    }
    queue.push_back((at, block));
}

impl Cache {
    pub(super) fn get(&self, at: u64) -> Option<meta::Block> {
        find(&self.meta, at)
    }

    pub(super) fn put(&self, at: u64, block: meta::Block) {
        keep(&self.meta, META, at, block);
    }

    pub(super) fn fragment(&self, at: u64) -> Option<Arc<Vec<u8>>> {
        find(&self.fragments, at)
    }

    pub(super) fn put_fragment(&self, at: u64, block: Arc<Vec<u8>>) {
        keep(&self.fragments, FRAGMENTS, at, block);
    }
}
