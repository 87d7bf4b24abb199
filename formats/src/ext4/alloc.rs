//! Hands out blocks for data, from the first to the last.

use super::layout::{BLOCKS_PER_GROUP, Layout};

/// Consecutive blocks, at most [`Run::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// First block.
    pub(super) start: u64,
    /// Number of blocks.
    pub(super) len: u16,
}

impl Run {
    /// The longest extent that ext4 can write down.
    pub(super) const MAX: u16 = 32_768;
}

/// Everything below the cursor is in use. It may pass the end of the filesystem:
/// what is then past the end is what is missing.
pub(super) struct Allocator<'a> {
    layout: &'a Layout,
    cursor: u64,
}

impl<'a> Allocator<'a> {
    pub(super) fn new(layout: &'a Layout) -> Self {
        Self { layout, cursor: 0 }
    }

    /// The first block that was not given out.
    pub(super) fn cursor(&self) -> u64 {
        self.cursor
    }

    /// The next `len` blocks that are for data.
    pub(super) fn take(&mut self, mut len: u64) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        while len > 0 {
            let group = self.cursor / BLOCKS_PER_GROUP;
            let overhead = match u32::try_from(group) {
                Ok(group) if group < self.layout.groups => self.layout.overhead(group),
                _ => 0,
            };
            self.cursor = self.cursor.max(self.layout.group_start(group) + overhead);
            let room = self.layout.group_start(group + 1) - self.cursor;
            self.push(&mut runs, room.min(len));
            len -= room.min(len);
        }
        runs
    }

    /// One block.
    pub(super) fn take_one(&mut self) -> u64 {
        self.take(1)[0].start
    }

    /// Adds blocks at the cursor to the last run where they continue it.
    fn push(&mut self, runs: &mut Vec<Run>, mut len: u64) {
        while len > 0 {
            let last =
                runs.last_mut().filter(|r| r.start + u64::from(r.len) == self.cursor && r.len < Run::MAX);
            let room = Run::MAX - last.as_ref().map_or(0, |r| r.len);
            let part = u16::try_from(len).unwrap_or(Run::MAX).min(room);
            match last {
                Some(run) => run.len += part,
                None => runs.push(Run { start: self.cursor, len: part }),
            }
            self.cursor += u64::from(part);
            len -= u64::from(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Options;
    use super::*;

    #[test]
    fn runs_leave_out_tables_and_go_on_past_the_end() {
        let layout = Layout::new(&Options::new(256 << 20, [0; 16], [0; 16], 0), 0).unwrap();
        let mut alloc = Allocator::new(&layout);
        let (first, second) = (layout.overhead(0), layout.overhead(1));
        assert!(first > 0 && second > 0);
        let runs = alloc.take(65_536);
        assert_eq!(runs[0], Run { start: first, len: u16::try_from(32_768 - first).unwrap() });
        assert_eq!(runs[1], Run { start: 32_768 + second, len: Run::MAX });
        assert_eq!(runs.iter().map(|r| u64::from(r.len)).sum::<u64>(), 65_536);
        assert_eq!(alloc.cursor(), 65_536 + first + second);
    }
}
