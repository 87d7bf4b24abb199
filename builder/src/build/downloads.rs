//! Downloads as a stage of the build.

use crate::apt::fetch;
use crate::progress::{Progress, Stage};

/// Counts bytes of downloads in a stage.
pub(super) struct Downloads<'a> {
    stage: Stage,
    progress: &'a Progress,
}

impl<'a> Downloads<'a> {
    pub(super) fn new(stage: Stage, progress: &'a Progress) -> Self {
        Self { stage, progress }
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

    fn note(&self, text: &str) {
        self.progress.info(text);
    }
}
