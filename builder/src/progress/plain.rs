//! Lines of text, for logs.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

use super::{Event, Level, Sink, StageInfo, Unit, bytes, duration};

/// A stage that takes long says where it is this often.
const INTERVAL: Duration = Duration::from_secs(10);

/// One line when a stage begins, every ten seconds, and when it ends.
pub struct PlainLines<W> {
    out: W,
    shown: BTreeMap<u64, Instant>,
}

impl<W: Write + Send> PlainLines<W> {
    /// Lines on this writer.
    pub fn new(out: W) -> Self {
        Self { out, shown: BTreeMap::new() }
    }

    fn line(&mut self, text: &str) {
        // Nobody reading the log is no reason to stop the build.
        writeln!(self.out, "{}", yaml::shown::lines(text)).and_then(|()| self.out.flush()).ok();
    }
}

/// `12.0 MiB of 40.0 MiB`, `3 of 40 packages`, or nothing.
pub(super) fn count(stage: &StageInfo<'_>, done: u64) -> String {
    let total = stage.total.filter(|total| *total != done);
    match (stage.unit, total) {
        (Unit::Bytes, Some(total)) => format!("{} of {}", bytes(done), bytes(total)),
        (Unit::Bytes, None) => bytes(done),
        (Unit::Items(what), Some(total)) => format!("{done} of {total} {what}"),
        (Unit::Items(what), None) => format!("{done} {what}"),
        (Unit::Time, _) => String::new(),
    }
}

impl<W: Write + Send> Sink for PlainLines<W> {
    fn show(&mut self, event: &Event<'_>) {
        match event {
            Event::Start { stage } => {
                self.shown.insert(stage.id, Instant::now());
                self.line(&format!("{} …", stage.name));
            }
            Event::Advance { stage, done } => {
                if self.shown.get(&stage.id).is_some_and(|shown| shown.elapsed() < INTERVAL) {
                    return;
                }
                self.shown.insert(stage.id, Instant::now());
                self.line(&format!("{} … {}", stage.name, count(stage, *done)));
            }
            Event::Finish { stage, done, took, complete } => {
                self.shown.remove(&stage.id);
                let end = if *complete { "done" } else { "not completed" };
                let count = Some(count(stage, *done)).filter(|c| !c.is_empty()).map(|c| format!(", {c}"));
                self.line(&format!(
                    "{}: {end}{} ({})",
                    stage.name,
                    count.unwrap_or_default(),
                    duration(*took)
                ));
            }
            Event::Message { level: Level::Info, text } => self.line(text),
            Event::Message { level: Level::Warning, text } => self.line(&format!("warning: {text}")),
        }
    }
}
