//! What ran when on which thread, for a trace viewer: `--trace FILE`.
//!
//! The format is the Trace Event Format (JSON object form), which Perfetto, Chromium's
//! `about:tracing` and speedscope read. Stages and the tasks in them are complete events
//! (`"ph":"X"`); on one thread they are nested or one after another. Times are
//! microseconds since the recording began.
//!
//! There is one recording a process, as threads of one pool do the work of everybody.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::lock;

/// The recording, once there is one.
static RECORDING: OnceLock<Recording> = OnceLock::new();

struct Recording {
    begun: Instant,
    events: Mutex<Vec<Event>>,
    threads: AtomicU32,
}

struct Event {
    kind: &'static str,
    name: String,
    thread: u32,
    begun: Duration,
    took: Duration,
}

thread_local! {
    /// The number of this thread in the recording; 0 before it has one.
    static THREAD: Cell<u32> = const { Cell::new(0) };
}

/// Begins to record.
pub fn record() {
    RECORDING.get_or_init(|| Recording {
        begun: Instant::now(),
        events: Mutex::default(),
        threads: AtomicU32::new(0),
    });
}

/// Something that a thread does until this is dropped.
#[must_use = "it ends when it is dropped"]
pub struct Span(Option<Open>);

struct Open {
    kind: &'static str,
    name: String,
    thread: u32,
    begun: Instant,
}

/// Begins a span, when there is a recording; else costs nothing and asks for no name.
pub fn span(kind: &'static str, name: impl FnOnce() -> String) -> Span {
    Span(RECORDING.get().map(|recording| Open {
        kind,
        name: name(),
        thread: recording.thread(),
        begun: Instant::now(),
    }))
}

impl Drop for Span {
    fn drop(&mut self) {
        if let (Some(open), Some(recording)) = (self.0.take(), RECORDING.get()) {
            lock(&recording.events).push(Event {
                kind: open.kind,
                name: open.name,
                thread: open.thread,
                begun: open.begun.saturating_duration_since(recording.begun),
                took: open.begun.elapsed(),
            });
        }
    }
}

impl Recording {
    fn thread(&self) -> u32 {
        THREAD.with(|thread| {
            if thread.get() == 0 {
                thread.set(self.threads.fetch_add(1, Ordering::Relaxed) + 1);
            }
            thread.get()
        })
    }
}

/// The recording so far as a trace file.
pub fn to_json() -> String {
    let Some(recording) = RECORDING.get() else { return String::new() };
    let events = lock(&recording.events);
    let threads = recording.threads.load(Ordering::Relaxed);
    let mut out: Vec<Value> = (1..=threads)
        .map(|thread| {
            json!({"ph": "M", "name": "thread_name", "pid": 1, "tid": thread, "args": {"name": format!("thread {thread}")}})
        })
        .collect();
    out.push(json!({"ph": "M", "name": "process_name", "pid": 1, "args": {"name": "sledos"}}));
    out.extend(events.iter().map(|event| {
        json!({
            "ph": "X", "pid": 1, "tid": event.thread, "cat": event.kind, "name": event.name,
            "ts": microseconds(event.begun), "dur": microseconds(event.took),
        })
    }));
    json!({"traceEvents": out, "displayTimeUnit": "ms"}).to_string()
}

fn microseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
