//! Bars on a terminal, one for each running stage.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::plain::count;
use super::{Event, Level, Sink, StageInfo, Unit, duration};

/// Bars on standard error. A stage that ends leaves one line.
pub struct Bars {
    all: MultiProgress,
    running: BTreeMap<u64, ProgressBar>,
}

impl Default for Bars {
    fn default() -> Self {
        Self::new()
    }
}

impl Bars {
    /// No bar yet.
    pub fn new() -> Self {
        Self { all: MultiProgress::new(), running: BTreeMap::new() }
    }

    fn line(&self, text: &str) {
        self.all.println(yaml::shown::lines(text)).ok();
    }
}

fn style(stage: &StageInfo<'_>) -> ProgressStyle {
    let template = match (stage.unit, stage.total) {
        (Unit::Bytes, Some(_)) => {
            "{spinner} {prefix:<12} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}"
        }
        (Unit::Bytes, None) => "{spinner} {prefix:<12} {bytes} {bytes_per_sec}",
        (Unit::Items(_), Some(_)) => "{spinner} {prefix:<12} [{bar:30}] {pos}/{len} {msg} {eta}",
        (Unit::Items(_), None) => "{spinner} {prefix:<12} {pos} {msg}",
        (Unit::Time, _) => "{spinner} {prefix:<12} {elapsed}",
    };
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

impl Sink for Bars {
    fn show(&mut self, event: &Event<'_>) {
        match event {
            Event::Start { stage } => {
                let bar = ProgressBar::new(stage.total.unwrap_or(0)).with_style(style(stage));
                let bar = self.all.add(bar.with_prefix(stage.name.to_owned()));
                if let Unit::Items(what) = stage.unit {
                    bar.set_message(what);
                }
                bar.enable_steady_tick(Duration::from_millis(200));
                self.running.insert(stage.id, bar);
            }
            Event::Advance { stage, done } => {
                let Some(bar) = self.running.get(&stage.id) else { return };
                if let Some(total) = stage.total.filter(|total| bar.length() != Some(*total)) {
                    bar.set_length(total);
                    bar.set_style(style(stage));
                }
                bar.set_position(*done);
            }
            Event::Finish { stage, done, took, complete } => {
                if let Some(bar) = self.running.remove(&stage.id) {
                    bar.finish_and_clear();
                    self.all.remove(&bar);
                }
                let mark = if *complete { "✓" } else { "✗" };
                self.line(&format!(
                    "{mark} {:<12} {:>8}  {}",
                    stage.name,
                    duration(*took),
                    count(stage, *done)
                ));
            }
            Event::Message { level: Level::Info, text } => self.line(text),
            Event::Message { level: Level::Warning, text } => self.line(&format!("warning: {text}")),
        }
    }
}
