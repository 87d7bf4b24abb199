//! What the server says on standard error: each kind of line a few times, then how
//! many more there were, so that nobody can fill a disk by asking for nonsense.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many lines of a kind are said at once.
const AT_ONCE: u32 = 5;
/// After how long they are said again.
const WINDOW: Duration = Duration::from_secs(60);

/// Where lines go.
type Sink = Box<dyn Fn(&str) + Send + Sync>;

/// Says lines.
pub struct Log {
    sink: Sink,
    said: Mutex<HashMap<&'static str, Said>>,
}

struct Said {
    since: Instant,
    count: u32,
    more: u64,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Log")
    }
}

impl Log {
    /// Lines go there.
    pub fn new(sink: Sink) -> Self {
        Self { sink, said: Mutex::default() }
    }

    /// What an operator always wants to see.
    pub fn say(&self, line: &str) {
        (self.sink)(&clean(line));
    }

    /// What strangers can cause.
    pub fn limited(&self, kind: &'static str, line: &str) {
        self.at(Instant::now(), kind, line);
    }

    fn at(&self, now: Instant, kind: &'static str, line: &str) {
        let more = {
            let mut all = self.said.lock().unwrap_or_else(PoisonError::into_inner);
            let said = all.entry(kind).or_insert(Said { since: now, count: 0, more: 0 });
            let mut more = 0;
            if now.saturating_duration_since(said.since) >= WINDOW {
                more = said.more;
                *said = Said { since: now, count: 0, more: 0 };
            }
            if said.count >= AT_ONCE {
                said.more += 1;
                return;
            }
            said.count += 1;
            more
        };
        if more > 0 {
            self.say(&format!("{kind}: {more} more were not shown"));
        }
        self.say(&format!("{kind}: {line}"));
    }
}

/// One line, whatever was in it, and not a long one.
fn clean(line: &str) -> String {
    yaml::shown::line(&line.chars().take(1000).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_flood_is_a_few_lines_and_a_number() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let to = Arc::clone(&lines);
        let log = Log::new(Box::new(move |line| to.lock().unwrap().push(line.to_owned())));
        let start = Instant::now();
        for n in 0..1000 {
            log.at(start, "forged report", &format!("{n}\n\u{1b}[2J"));
        }
        log.at(start, "other", "x");
        log.at(start + WINDOW, "forged report", "again");
        let lines = lines.lock().unwrap();
        assert_eq!(lines.len(), 8, "{lines:?}");
        assert_eq!(lines[0], "forged report: 0\u{fffd}\u{fffd}[2J");
        assert_eq!(lines[6..], ["forged report: 995 more were not shown", "forged report: again"]);
    }
}
