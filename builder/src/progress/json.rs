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
//! unknown. Keys may be added, none is taken away. `docs/schema/progress.json` is the
//! JSON Schema.

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
        writeln!(self.0, "{}", yaml::shown::json(&object.to_string())).and_then(|()| self.0.flush()).ok();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_schema_has_every_event_and_all_its_keys() {
        let info = StageInfo { id: 1, name: "download", unit: Unit::Items("packages"), total: None };
        let took = Duration::from_millis(1500);
        let mut lines = JsonLines::new(Vec::new());
        for event in [
            Event::Start { stage: info },
            Event::Advance { stage: info, done: 3 },
            Event::Finish { stage: info, done: 4, took, complete: true },
            Event::Message { level: Level::Warning, text: "x" },
        ] {
            lines.show(&event);
        }
        let schema: Value = serde_json::from_str(include_str!("../../../docs/schema/progress.json")).unwrap();
        let kinds = schema["oneOf"].as_array().unwrap();
        let text = String::from_utf8(lines.0).unwrap();
        assert_eq!(text.lines().count(), kinds.len());
        for (line, kind) in text.lines().zip(kinds) {
            let object: Value = serde_json::from_str(line).unwrap();
            assert_eq!(object["event"], kind["properties"]["event"]["const"]);
            let ours: BTreeSet<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
            let required: BTreeSet<&str> =
                kind["required"].as_array().unwrap().iter().map(|key| key.as_str().unwrap()).collect();
            assert_eq!(ours, required, "{line}");
        }
        assert_eq!(kinds[3]["properties"]["level"]["enum"][1], "warning");
    }
}
