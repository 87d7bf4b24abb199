//! What an image is made of, for people.

use super::data::{Placed, stored};
use super::plan::Plan;
use crate::tree::{Kind, TreePath};

/// Sizes of a written image. The stored bytes of all files and the metadata
/// add up to the image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Size of the image in bytes, a multiple of 4096.
    pub bytes: u64,
    /// Bytes that are no file's content: inodes, names, tables, padding.
    pub metadata: u64,
    /// Bytes each regular file takes, in tree order: its blocks and its share
    /// of a fragment. The first file with a content pays for it; other files
    /// with the same content and hard links cost 0.
    pub files: Vec<(TreePath, u64)>,
    /// Number of inodes.
    pub inodes: u32,
    /// Number of fragment blocks.
    pub fragments: usize,
    /// Files (not hard links) whose content another file has.
    pub duplicates: u64,
    /// Bytes of content before compression that these did not add.
    pub duplicate_bytes: u64,
    /// Cache entries that were used.
    pub cache_hits: u64,
    /// Cache entries that were missing or bad.
    pub cache_misses: u64,
}

impl Stats {
    pub(super) fn new(plan: &Plan<'_>, placed: &Placed, bytes: u64) -> Self {
        let mut cost = costs(plan, placed);
        let mut stats = Self {
            bytes,
            metadata: bytes - cost.iter().sum::<u64>(),
            inodes: plan.graph.inodes,
            fragments: placed.fragments.len(),
            cache_hits: placed.hits,
            cache_misses: plan.jobs.len() as u64 - placed.hits,
            ..Self::default()
        };
        let mut paid = vec![false; cost.len()];
        for ((path, node), item) in plan.graph.nodes.iter().zip(&plan.item) {
            if !matches!(node.kind, Kind::File(_) | Kind::Hardlink(_)) {
                continue;
            }
            let bytes = match item {
                Some(item) if std::mem::replace(&mut paid[*item], true) => {
                    stats.duplicates += 1;
                    stats.duplicate_bytes += plan.items[*item].content.len();
                    0
                }
                Some(item) => std::mem::take(&mut cost[*item]),
                None => 0,
            };
            stats.files.push(((*path).clone(), bytes));
        }
        stats
    }
}

/// Stored bytes by content. A fragment is shared out by the length of the
/// tails, rounded so that nothing is lost.
fn costs(plan: &Plan<'_>, placed: &Placed) -> Vec<u64> {
    let mut cost: Vec<u64> =
        placed.sizes.iter().map(|sizes| sizes.iter().map(|size| stored(*size)).sum()).collect();
    for (members, (_, size)) in plan.fragments.iter().zip(&placed.fragments) {
        let tails = members.iter().map(|item| u64::from(plan.items[*item].tail));
        let total: u64 = tails.clone().sum();
        let mut before = 0;
        for (item, tail) in members.iter().zip(tails) {
            let share = |upto: u64| stored(*size) * upto / total;
            cost[*item] += share(before + tail) - share(before);
            before += tail;
        }
    }
    cost
}
