//! Where content goes, decided before any of it is compressed.

use std::collections::{BTreeMap, HashMap};
use std::io::{Seek, Write};
use std::ops::{ControlFlow, Range};

use rayon::prelude::*;

use super::graph::Graph;
use super::{BlockCache, Error, Options, Stats};
use crate::tree::{Content, Digest, Kind, Origin, Tree, TreePath};

/// What will be written, with no choices left.
pub struct Plan<'t> {
    pub(super) options: Options,
    pub(super) graph: Graph<'t>,
    /// Contents in the order of their first file.
    pub(super) items: Vec<Item<'t>>,
    /// By node: the content of a file that is not empty.
    pub(super) item: Vec<Option<usize>>,
    /// By fragment: the contents whose tails it holds, in order.
    pub(super) fragments: Vec<Vec<usize>>,
    /// What is to be done, in the order of the image.
    pub(super) jobs: Vec<Job>,
}

/// A content that is stored once.
pub(super) struct Item<'t> {
    /// Its first file.
    pub(super) path: &'t TreePath,
    pub(super) content: &'t Content,
    pub(super) digest: Digest,
    /// Whole blocks.
    pub(super) blocks: u64,
    /// Bytes after the last whole block.
    pub(super) tail: u32,
    /// The fragment the tail is in, and where. Meaningless without a tail.
    pub(super) fragment: usize,
    pub(super) offset: u32,
}

/// Told of bytes done, and says whether to go on.
pub type Progress<'p> = dyn Fn(u64) -> ControlFlow<()> + Sync + 'p;

/// Blocks that are compressed, cached and written together.
pub(super) enum Job {
    /// Whole blocks of a content.
    Blocks { item: usize, blocks: Range<u64> },
    /// A fragment.
    Fragment(usize),
}

/// Bytes of content in one job, at most.
const JOB: u64 = 8 << 20;

impl<'t> Plan<'t> {
    /// Plans the image of a tree: finds out which contents are the same and
    /// how tails are packed. Reads the contents whose digest is not known yet.
    ///
    /// # Errors
    /// When options are out of range, a hard link leads nowhere, or content
    /// cannot be read.
    pub fn new(tree: &'t Tree, options: &Options) -> Result<Self, Error> {
        options.check()?;
        let graph = Graph::new(tree)?;
        let (items, item) = contents(&graph, options)?;
        let mut plan =
            Self { options: *options, graph, items, item, fragments: Vec::new(), jobs: Vec::new() };
        plan.place_blocks();
        plan.place_tails();
        Ok(plan)
    }

    /// Bytes of content to be stored, before compression: what the progress of
    /// [`Plan::write`] adds up to.
    pub fn content_bytes(&self) -> u64 {
        self.items.iter().map(|item| item.content.len()).sum()
    }

    /// Writes the image from the current position of `out` on. `progress` is
    /// told how many more bytes of content are compressed or found in the
    /// cache, after every block that took time, and may break off: then no
    /// further block is begun. Works in the current rayon pool; needs up to
    /// 150 MiB besides the metadata.
    ///
    /// # Errors
    /// When content cannot be read, `out` cannot be written, the tree exceeds a
    /// limit of the format, or `progress` breaks off.
    pub fn write(
        &self,
        out: &mut (impl Write + Seek),
        cache: &dyn BlockCache,
        progress: &Progress<'_>,
    ) -> Result<Stats, Error> {
        super::image::write(self, out, cache, progress)
    }

    fn place_blocks(&mut self) {
        let step = JOB / u64::from(self.options.block_size);
        for (item, Item { blocks, .. }) in self.items.iter().enumerate() {
            let mut from = 0;
            while from < *blocks {
                let to = (from + step).min(*blocks);
                self.jobs.push(Job::Blocks { item, blocks: from..to });
                from = to;
            }
        }
    }

    /// Fills fragments origin by origin, in tree order.
    fn place_tails(&mut self) {
        let mut by_origin: BTreeMap<&Origin, Vec<usize>> = BTreeMap::new();
        let mut seen = vec![false; self.items.len()];
        for (i, (_, node)) in self.graph.nodes.iter().enumerate() {
            let Some(item) = self.item[i] else { continue };
            if self.items[item].tail > 0 && !std::mem::replace(&mut seen[item], true) {
                by_origin.entry(&node.origin).or_default().push(item);
            }
        }
        for tails in by_origin.into_values() {
            let mut used = self.options.block_size;
            for i in tails {
                let item = &mut self.items[i];
                if used + item.tail > self.options.block_size {
                    self.jobs.push(Job::Fragment(self.fragments.len()));
                    self.fragments.push(Vec::new());
                    used = 0;
                }
                (item.fragment, item.offset) = (self.fragments.len() - 1, used);
                self.fragments[item.fragment].push(i);
                used += item.tail;
            }
        }
    }
}

/// The distinct contents, and for each node which of them it has.
fn contents<'t>(graph: &Graph<'t>, options: &Options) -> Result<(Vec<Item<'t>>, Vec<Option<usize>>), Error> {
    let digests = graph.nodes.par_iter().map(|(path, node)| match &node.kind {
        Kind::File(content) if !content.is_empty() => match content.digest() {
            Ok(digest) => Ok(Some((content, digest))),
            Err(source) => Err(Error::Read { path: (*path).clone(), source }),
        },
        _ => Ok(None),
    });
    let mut items: Vec<Item<'t>> = Vec::new();
    let mut by_digest: HashMap<Digest, usize> = HashMap::new();
    let mut item = Vec::with_capacity(graph.nodes.len());
    for (found, (path, _)) in digests.collect::<Result<Vec<_>, _>>()?.into_iter().zip(&graph.nodes) {
        item.push(found.map(|(content, digest)| {
            *by_digest.entry(digest).or_insert_with(|| {
                let size = u64::from(options.block_size);
                let tail = u32::try_from(content.len() % size).expect("less than a block");
                let blocks = content.len() / size;
                items.push(Item { path, content, digest, blocks, tail, fragment: 0, offset: 0 });
                items.len() - 1
            })
        }));
    }
    Ok((items, item))
}
