//! Saying the same thing not too often: a server that is down for a day would else
//! fill the console with one line.

use std::collections::BTreeMap;
use std::time::Duration;

/// How often the same line may be said.
const PAUSE: Duration = Duration::from_secs(60);

/// Remembers what was said when.
#[derive(Debug, Default)]
pub(super) struct Voice {
    said: BTreeMap<String, Duration>,
}

impl Voice {
    /// Whether the line may be said now; then it counts as said.
    pub(super) fn may(&mut self, line: &str, now: Duration) -> bool {
        self.said.retain(|_, at| now.saturating_sub(*at) < PAUSE);
        if self.said.contains_key(line) {
            return false;
        }
        self.said.insert(line.to_owned(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_line_is_said_once_a_minute() {
        let mut voice = Voice::default();
        let said = |voice: &mut Voice, line, s| voice.may(line, Duration::from_secs(s));
        assert!(said(&mut voice, "a", 0));
        assert!(!said(&mut voice, "a", 59));
        assert!(said(&mut voice, "b", 59));
        assert!(said(&mut voice, "a", 60));
        assert!(!said(&mut voice, "b", 118));
    }
}
