//! What the build is doing, for people and for programs.
//!
//! A stage of the build calls [`Progress::stage`], counts with [`Stage::add`] and ends
//! with [`Stage::finish`]; a [`Sink`] shows it as bars, lines or JSON. Stages may run
//! at the same time on several threads. Times are for display only and never get into
//! an image.

mod bars;
mod human;
mod json;
mod plain;
pub mod trace;

pub use bars::Bars;
pub use human::{bytes, duration};
pub use json::JsonLines;
pub use plain::PlainLines;

use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A stage reports its count at most this often.
const INTERVAL: Duration = Duration::from_millis(100);

/// What a stage counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Things with a name in the plural: `packages`.
    Items(&'static str),
    /// Nothing: it just takes its time.
    Time,
}

/// How important a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Good to know.
    Info,
    /// Somebody should look at it.
    Warning,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A stage begins.
    Start {
        /// What is done.
        stage: StageInfo<'a>,
    },
    /// A stage came further.
    Advance {
        /// What is done.
        stage: StageInfo<'a>,
        /// How much of it, in its unit.
        done: u64,
    },
    /// A stage is over.
    Finish {
        /// What was done.
        stage: StageInfo<'a>,
        /// How much of it, in its unit.
        done: u64,
        /// How long it took.
        took: Duration,
        /// Whether it came to its end; else it failed or was interrupted.
        complete: bool,
    },
    /// Something to say.
    Message {
        /// How important.
        level: Level,
        /// One line.
        text: &'a str,
    },
}

/// A stage, as sinks see it.
#[derive(Clone, Copy, Debug)]
pub struct StageInfo<'a> {
    /// Tells stages apart that run at the same time.
    pub id: u64,
    /// Its name: `download`.
    pub name: &'a str,
    /// What it counts.
    pub unit: Unit,
    /// How much there is to do, when known.
    pub total: Option<u64>,
}

/// Shows events. Called by one thread at a time.
pub trait Sink: Send {
    /// Shows one. Failing to show is no failure of the build.
    fn show(&mut self, event: &Event<'_>);
}

/// Shows nothing.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Sink for Silent {
    fn show(&mut self, _: &Event<'_>) {}
}

/// Shows warnings and nothing else.
struct Warnings<S>(S);

impl<S: Sink> Sink for Warnings<S> {
    fn show(&mut self, event: &Event<'_>) {
        if let Event::Message { level: Level::Warning, .. } = event {
            self.0.show(event);
        }
    }
}

/// How progress is shown: `--progress=`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// Bars on a terminal, plain lines elsewhere.
    #[default]
    Auto,
    /// Lines of text.
    Plain,
    /// One JSON object a line, see [`JsonLines`].
    Json,
    /// Nothing but warnings.
    Silent,
}

/// Where stages report to. Clones report to the same place.
#[derive(Clone)]
pub struct Progress(Arc<Shared>);

struct Shared {
    sink: Mutex<Box<dyn Sink>>,
    times: Mutex<Vec<(String, Duration)>>,
    next_id: AtomicU64,
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a panicking thread showed last is harmless.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Progress {
    /// Reports to a sink.
    pub fn new(sink: impl Sink + 'static) -> Self {
        Self(Arc::new(Shared {
            sink: Mutex::new(Box::new(sink)),
            times: Mutex::default(),
            next_id: AtomicU64::new(0),
        }))
    }

    /// Reports on standard error, so that standard output is free for results.
    pub fn on_stderr(style: Style) -> Self {
        match style {
            Style::Auto if io::stderr().is_terminal() => Self::new(Bars::new()),
            Style::Auto | Style::Plain => Self::new(PlainLines::new(io::stderr())),
            Style::Json => Self::new(JsonLines::new(io::stderr())),
            Style::Silent => Self::new(Warnings(PlainLines::new(io::stderr()))),
        }
    }

    /// Reports to nobody; times are collected all the same.
    pub fn silent() -> Self {
        Self::new(Silent)
    }

    /// Begins a stage. `total` is in its unit.
    pub fn stage(&self, name: &str, unit: Unit, total: Option<u64>) -> Stage {
        let stage = Stage {
            progress: self.clone(),
            id: self.0.next_id.fetch_add(1, Ordering::Relaxed),
            name: name.to_owned(),
            unit,
            total: AtomicU64::new(total.unwrap_or(UNKNOWN)),
            done: AtomicU64::new(0),
            begun: Instant::now(),
            shown: AtomicU64::new(0),
            finished: false,
            _span: trace::span("stage", || name.to_owned()),
        };
        self.show(&Event::Start { stage: stage.info() });
        stage
    }

    /// Says something that is good to know.
    pub fn info(&self, text: impl AsRef<str>) {
        self.show(&Event::Message { level: Level::Info, text: text.as_ref() });
    }

    /// Says something that somebody should look at.
    pub fn warn(&self, text: impl AsRef<str>) {
        self.show(&Event::Message { level: Level::Warning, text: text.as_ref() });
    }

    /// The stages that came to their end, in that order, and how long each took. Stages
    /// that ran at the same time do not add up to the whole.
    pub fn times(&self) -> Vec<(String, Duration)> {
        lock(&self.0.times).clone()
    }

    fn show(&self, event: &Event<'_>) {
        lock(&self.0.sink).show(event);
    }
}

const UNKNOWN: u64 = u64::MAX;

/// A running stage. May be shared between threads. Dropped without
/// [`Stage::finish`], it is shown as not completed.
pub struct Stage {
    progress: Progress,
    id: u64,
    name: String,
    unit: Unit,
    total: AtomicU64,
    done: AtomicU64,
    begun: Instant,
    /// Milliseconds after `begun` at which the count was last shown.
    shown: AtomicU64,
    finished: bool,
    _span: trace::Span,
}

impl Stage {
    /// Counts what was done, in the stage's unit. Cheap enough for tight loops.
    pub fn add(&self, more: u64) {
        let done = self.done.fetch_add(more, Ordering::Relaxed).saturating_add(more);
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let shown = self.shown.load(Ordering::Relaxed);
        let due = now.saturating_sub(shown) >= u64::try_from(INTERVAL.as_millis()).unwrap_or(u64::MAX);
        // One thread of those that find it due shows it.
        if due && self.shown.compare_exchange(shown, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.progress.show(&Event::Advance { stage: self.info(), done });
        }
    }

    /// How much there is to do, as soon as it is known.
    pub fn set_total(&self, total: u64) {
        self.total.store(total, Ordering::Relaxed);
    }

    /// The stage came to its end.
    pub fn finish(mut self) -> Duration {
        self.finished = true;
        self.begun.elapsed()
        // Dropping reports it.
    }

    fn info(&self) -> StageInfo<'_> {
        let total = self.total.load(Ordering::Relaxed);
        StageInfo {
            id: self.id,
            name: &self.name,
            unit: self.unit,
            total: (total != UNKNOWN).then_some(total),
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let took = self.begun.elapsed();
        let done = self.done.load(Ordering::Relaxed);
        if self.finished {
            lock(&self.progress.0.times).push((self.name.clone(), took));
        }
        self.progress.show(&Event::Finish { stage: self.info(), done, took, complete: self.finished });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            lock(&self.0).write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Buffer {
        fn lines(&self) -> Vec<String> {
            String::from_utf8(lock(&self.0).clone()).unwrap().lines().map(str::to_owned).collect()
        }
    }

    #[test]
    fn plain_lines_say_how_a_stage_ended() {
        let buffer = Buffer::default();
        let progress = Progress::new(PlainLines::new(buffer.clone()));
        let stage = progress.stage("download", Unit::Bytes, Some(2048));
        stage.add(2048);
        stage.finish();
        let failing = progress.stage("unpack", Unit::Items("packages"), Some(4));
        failing.add(1);
        drop(failing);
        progress.warn("no agent");
        let lines = buffer.lines();
        assert_eq!(lines[0], "download …");
        assert!(lines.iter().any(|l| l.starts_with("download: done, 2.0 KiB (")), "{lines:?}");
        assert!(lines.iter().any(|l| l.starts_with("unpack: not completed, 1 of 4 packages (")), "{lines:?}");
        assert_eq!(lines.last().unwrap(), "warning: no agent");
        let names: Vec<_> = progress.times().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["download"]);
    }

    #[test]
    fn threads_count_together_and_every_line_is_json() {
        let buffer = Buffer::default();
        let progress = Progress::new(JsonLines::new(buffer.clone()));
        let stage = progress.stage("compress \"x\"", Unit::Bytes, None);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|_| stage.add(3)));
            }
        });
        stage.set_total(12_000);
        stage.finish();
        let objects: Vec<serde_json::Value> =
            buffer.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let last = objects.last().unwrap();
        assert_eq!(objects[0]["event"], "start");
        assert!(objects[0]["total"].is_null());
        assert_eq!(
            (&last["event"], &last["done"], &last["total"]),
            (&"finish".into(), &12_000.into(), &12_000.into())
        );
        assert_eq!((&last["complete"], &last["stage"]), (&true.into(), &"compress \"x\"".into()));
    }
}
