//! One JSON object a line, for programs: `--progress=json`.
//!
//! ```json
//! {"event":"start","id":0,"stage":"download","unit":"bytes","total":159383552}
//! {"event":"advance","id":0,"stage":"download","unit":"bytes","total":159383552,"done":1048576}
//! {"event":"finish","id":0,"stage":"download","unit":"bytes","total":159383552,"done":159383552,"seconds":12.5,"complete":true}
//! {"event":"message","level":"warning","text":"the image has no mesos-agent"}
//! ```
//!
//! `unit` is `bytes`, `time` or the plural of what is counted; `total` is null while
//! unknown. Keys may be added, none is taken away.

use std::io::Write;

use serde_json::{Value, json};

use super::{Event, Level, Sink, StageInfo, Unit};

/// JSON lines on a writer.
pub struct JsonLines<W>(W);

impl<W: Write + Send> JsonLines<W> {
    /// Lines on this writer.
    pub fn new(out: W) -> Self {
        Self(out)
    }
}

fn stage(event: &str, stage: &StageInfo<'_>) -> Value {
    let unit = match stage.unit {
        Unit::Bytes => "bytes",
        Unit::Items(what) => what,
        Unit::Time => "time",
    };
    json!({"event": event, "id": stage.id, "stage": stage.name, "unit": unit, "total": stage.total})
}

impl<W: Write + Send> Sink for JsonLines<W> {
    fn show(&mut self, event: &Event<'_>) {
        let object = match event {
            Event::Start { stage: info } => stage("start", info),
            Event::Advance { stage: info, done } => {
                let mut object = stage("advance", info);
                object["done"] = json!(done);
                object
            }
            Event::Finish { stage: info, done, took, complete } => {
                let mut object = stage("finish", info);
                object["done"] = json!(done);
                object["seconds"] = json!(took.as_secs_f64());
                object["complete"] = json!(complete);
                object
            }
            Event::Message { level, text } => {
                let level = match level {
                    Level::Info => "info",
                    Level::Warning => "warning",
                };
                json!({"event": "message", "level": level, "text": text})
            }
        };
        // Nobody reading is no reason to stop the build.
        writeln!(self.0, "{object}").and_then(|()| self.0.flush()).ok();
    }
}
