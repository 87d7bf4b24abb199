//! Downloads as a stage of the build.

use crate::apt::fetch;
use crate::output::Interrupt;
use crate::progress::{Progress, Stage};

/// Counts bytes of downloads in a stage.
pub(super) struct Downloads<'a> {
    stage: Stage,
    progress: &'a Progress,
    interrupt: &'a Interrupt,
}

impl<'a> Downloads<'a> {
    pub(super) fn new(stage: Stage, progress: &'a Progress, interrupt: &'a Interrupt) -> Self {
        Self { stage, progress, interrupt }
    }

    pub(super) fn finish(self) {
        self.stage.finish();
    }
}

impl fetch::Progress for Downloads<'_> {
    fn expected(&self, _files: usize, bytes: u64) {
        self.stage.set_total(bytes);
    }

    fn downloaded(&self, bytes: u64) {
        self.stage.add(bytes);
    }

    fn stopped(&self) -> bool {
        self.interrupt.is_set()
    }

    fn note(&self, text: &str) {
        self.progress.info(text);
    }
}
