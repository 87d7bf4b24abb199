//! The table of a FAT filesystem: for each cluster the next one of its chain.

use super::ReadError;
use super::bpb::{Bpb, Kind};
use std::ops::Range;

/// What a cluster's entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Free,
    Next(u32),
    /// The last one of its chain.
    End,
    /// Not to be used.
    Bad,
}

#[derive(Clone, Debug)]
pub(super) struct Table {
    kind: Kind,
    pub(super) bytes: Vec<u8>,
}

impl Table {
    pub(super) fn new(kind: Kind, bytes: Vec<u8>) -> Self {
        Self { kind, bytes }
    }

    /// The bytes of an entry.
    fn range(&self, cluster: u32) -> Range<usize> {
        let n = usize::try_from(cluster).unwrap_or(usize::MAX / 8);
        match self.kind {
            Kind::Fat12 => n + n / 2..n + n / 2 + 2,
            Kind::Fat16 => 2 * n..2 * n + 2,
            Kind::Fat32 => 4 * n..4 * n + 4,
        }
    }

    fn raw(&self, cluster: u32) -> Option<u32> {
        let bytes = self.bytes.get(self.range(cluster))?;
        let value = bytes.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte));
        Some(match self.kind {
            Kind::Fat12 if cluster % 2 == 1 => value >> 4,
            Kind::Fat12 => value & 0xfff,
            Kind::Fat16 => value,
            // The upper four bits are reserved.
            Kind::Fat32 => value & 0x0fff_ffff,
        })
    }

    /// All ones.
    fn ones(&self) -> u32 {
        match self.kind {
            Kind::Fat12 => 0xfff,
            Kind::Fat16 => 0xffff,
            Kind::Fat32 => 0x0fff_ffff,
        }
    }

    /// What an entry says; `None` when there is no such cluster.
    pub(super) fn get(&self, cluster: u32) -> Option<Link> {
        let (raw, ones) = (self.raw(cluster)?, self.ones());
        Some(match raw {
            0 => Link::Free,
            _ if raw >= ones - 7 => Link::End,
            _ if raw == ones - 8 => Link::Bad,
            next => Link::Next(next),
        })
    }

    /// Changes an entry.
    pub(super) fn set(&mut self, cluster: u32, link: Link) {
        let value = match link {
            Link::Free => 0,
            Link::Next(next) => next & self.ones(),
            Link::End => self.ones(),
            Link::Bad => self.ones() - 8,
        };
        let (range, kind) = (self.range(cluster), self.kind);
        let Some(bytes) = self.bytes.get_mut(range) else { return };
        let old = bytes.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte));
        let new = match kind {
            Kind::Fat12 if cluster % 2 == 1 => old & 0xf | value << 4,
            Kind::Fat12 => old & 0xf000 | value,
            Kind::Fat16 => value,
            Kind::Fat32 => old & 0xf000_0000 | value,
        };
        bytes.iter_mut().zip(new.to_le_bytes()).for_each(|(byte, new)| *byte = new);
    }

    /// The clusters of a chain, `most` at most: a hostile chain may be a loop.
    pub(super) fn chain(&self, bpb: &Bpb, first: u32, most: usize) -> Result<Vec<u32>, ReadError> {
        match self.as_far_as_it_goes(bpb, first, most) {
            (chain, true) => Ok(chain),
            _ => Err(ReadError::Chain(first)),
        }
    }

    /// The clusters of a chain that may be broken, and whether it is whole as far as asked for.
    pub(super) fn as_far_as_it_goes(&self, bpb: &Bpb, first: u32, most: usize) -> (Vec<u32>, bool) {
        let mut chain = Vec::new();
        let mut cluster = first;
        while chain.len() < most {
            if bpb.at(cluster).is_none() {
                return (chain, false);
            }
            if chain.len() >= usize::try_from(bpb.clusters).unwrap_or(usize::MAX) {
                // A loop: who knows where it should have ended.
                chain.truncate(1);
                return (chain, false);
            }
            chain.push(cluster);
            match self.get(cluster) {
                Some(Link::Next(next)) => cluster = next,
                Some(Link::End) => break,
                Some(Link::Free | Link::Bad) | None => return (chain, false),
            }
        }
        (chain, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn entries_do_not_touch_each_other(
            kind in prop::sample::select(vec![Kind::Fat12, Kind::Fat16, Kind::Fat32]),
            changes in prop::collection::vec((2..60_u32, 0..4_u8, 2..60_u32), 0..40),
        ) {
            let mut table = Table::new(kind, vec![0; 60 * 4]);
            let mut model = [Link::Free; 60];
            for (cluster, what, next) in changes {
                let link = [Link::Free, Link::Next(next), Link::End, Link::Bad][usize::from(what)];
                table.set(cluster, link);
                model[usize::try_from(cluster).unwrap()] = link;
                for (n, expected) in (2..60).zip(&model[2..]) {
                    prop_assert_eq!(table.get(n), Some(*expected));
                }
            }
        }
    }
}
