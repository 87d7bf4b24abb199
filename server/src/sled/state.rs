//! The states of a sled, and what leads from one to the next.

use super::facts::Facts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Milliseconds since 1970-01-01T00:00:00Z.
pub type Millis = u64;

/// Where a sled is on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is in the fleet file, and nothing was ever heard of it.
    #[default]
    Expected,
    /// It has asked for its boot script or its document.
    Seen,
    /// It has said that it has its document.
    Configuring,
    /// Everything it is for answers.
    Ready,
    /// It has said why it does not come up.
    Failed,
    /// Hardware that is in no fleet file.
    Unknown,
    /// It comes up, in another place than the fleet file says.
    WrongPlace,
    /// It has begun, and was not heard of since.
    Silent,
}

impl State {
    /// All of them, in the order of a boot.
    pub const ALL: [Self; 8] = [
        Self::Expected,
        Self::Seen,
        Self::Configuring,
        Self::Ready,
        Self::Failed,
        Self::Unknown,
        Self::WrongPlace,
        Self::Silent,
    ];

    /// Its word, in JSON and on the page.
    pub fn word(self) -> &'static str {
        match self {
            Self::Expected => "expected",
            Self::Seen => "seen",
            Self::Configuring => "configuring",
            Self::Ready => "ready",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::WrongPlace => "wrong-place",
            Self::Silent => "silent",
        }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.word())
    }
}

/// What is kept of a sled, or of hardware that nobody knows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct Record {
    /// Its state.
    pub state: State,
    /// Since when.
    pub since: Millis,
    /// One sentence.
    pub detail: String,
    /// Failure code of PID 1: `SLED-101`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// When it was last heard of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heard: Option<Millis>,
    /// From where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// What it says of itself.
    pub facts: Facts,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// It asked for something only a sled asks for. Not authenticated.
    Asked {
        /// For what: `its boot script`.
        what: &'static str,
    },
    /// It reported.
    Reported {
        /// What it says it is doing.
        step: Step,
        /// What it says of itself.
        facts: Box<Facts>,
        /// Why it is not where it belongs, if it is not.
        misplaced: Option<String>,
    },
    /// Hardware without a document showed what it is.
    Unknown {
        /// What it says of itself.
        facts: Box<Facts>,
        /// One sentence.
        detail: String,
    },
    /// It was not heard of for so long.
    Silence,
}

/// What a report is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// On its way.
    Configuring(String),
    /// Everything answers.
    Ready(String),
    /// It does not come up.
    Failed {
        /// PID 1's code, if it was PID 1 that said so.
        code: Option<String>,
        /// Why.
        detail: String,
    },
    /// It is as it was.
    Alive,
}

/// A change of state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Change {
    /// When.
    pub at: Millis,
    /// The new state.
    pub state: State,
    /// One sentence.
    pub detail: String,
}

impl Record {
    /// Lets something happen. Returns what is added to the history: repetitions are not.
    pub fn apply(&mut self, event: Event, address: Option<IpAddr>, now: Millis) -> Option<Change> {
        let silent = matches!(event, Event::Silence);
        let (state, code, detail) = match event {
            Event::Asked { what } if self.state == State::Seen => {
                (State::Seen, None, format!("asks for {what}"))
            }
            Event::Asked { what } => (State::Seen, None, format!("starts: asks for {what}")),
            Event::Unknown { facts, detail } => {
                self.facts = *facts;
                (State::Unknown, None, detail)
            }
            // It was decided before what is said meanwhile was on the disk.
            Event::Silence if !self.is_awaited() => return None,
            Event::Silence => {
                (State::Silent, None, format!("was {}, and is not heard of any more", self.state))
            }
            Event::Reported { step, facts, misplaced } => {
                self.facts.update(*facts);
                match (step, misplaced) {
                    (Step::Failed { code, detail }, _) => (State::Failed, code, detail),
                    (_, Some(why)) => (State::WrongPlace, None, why),
                    (Step::Configuring(detail), None) => (State::Configuring, None, detail),
                    (Step::Ready(detail), None) => (State::Ready, None, detail),
                    // What it was before it went silent is not known any more: it is up.
                    (Step::Alive, None) if self.state == State::Silent => {
                        (State::Ready, None, "is heard of again".to_owned())
                    }
                    (Step::Alive, None) => (self.state, self.code.clone(), self.detail.clone()),
                }
            }
        };
        if !silent {
            self.heard = Some(now);
            self.address = address.or(self.address);
        }
        // While it is seen, what it asks for changes at every request: no history of that.
        let new = self.state != state || (self.detail != detail && state != State::Seen);
        if self.state != state {
            self.since = now;
        }
        (self.state, self.code) = (state, code);
        self.detail.clone_from(&detail);
        new.then_some(Change { at: now, state, detail })
    }

    /// Whether it should have been heard of since: `patience` in milliseconds.
    pub fn is_overdue(&self, now: Millis, patience: Millis) -> bool {
        self.is_awaited() && self.heard.is_some_and(|heard| now.saturating_sub(heard) > patience)
    }

    /// Whether it should say something sooner or later.
    fn is_awaited(&self) -> bool {
        matches!(self.state, State::Seen | State::Configuring)
            || self.facts.beats && self.state == State::Ready
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reported(step: Step) -> Event {
        Event::Reported { step, facts: Box::default(), misplaced: None }
    }

    fn failed(code: &str) -> Step {
        Step::Failed { code: Some(code.into()), detail: "no disk".into() }
    }

    #[test]
    fn a_boot_goes_from_expected_to_ready_and_every_step_is_history() {
        let mut sled = Record::default();
        let events = [
            (Event::Asked { what: "its boot script" }, State::Seen, true),
            (Event::Asked { what: "its document" }, State::Seen, false),
            (reported(Step::Configuring("has its document".into())), State::Configuring, true),
            (reported(Step::Configuring("hands over".into())), State::Configuring, true),
            (reported(Step::Ready("docker".into())), State::Ready, true),
            (reported(Step::Ready("docker".into())), State::Ready, false),
            (reported(Step::Alive), State::Ready, false),
            (Event::Asked { what: "its document" }, State::Seen, true),
            (reported(failed("SLED-101")), State::Failed, true),
        ];
        for (n, (event, state, history)) in events.into_iter().enumerate() {
            let at = 1000 + u64::try_from(n).unwrap();
            let change = sled.apply(event, None, at);
            assert_eq!((sled.state, change.is_some()), (state, history), "{n}");
            assert_eq!(sled.heard, Some(at));
        }
        assert_eq!(sled.code.as_deref(), Some("SLED-101"));
        assert_eq!(sled.since, 1008);
    }

    #[test]
    fn the_wrong_place_is_stronger_than_ready_and_a_failure_stronger_than_that() {
        let mut sled = Record::default();
        let misplaced =
            |step| Event::Reported { step, facts: Box::default(), misplaced: Some("bay 8".into()) };
        sled.apply(misplaced(Step::Ready(String::new())), None, 1);
        assert_eq!((sled.state, sled.detail.as_str()), (State::WrongPlace, "bay 8"));
        sled.apply(misplaced(failed("SLED-104")), None, 2);
        assert_eq!((sled.state, sled.detail.as_str()), (State::Failed, "no disk"));
    }

    #[test]
    fn only_who_has_begun_can_fall_silent() {
        let mut sled = Record::default();
        assert!(!sled.is_overdue(1 << 40, 1000), "a sled that never came is expected");
        sled.apply(Event::Asked { what: "its document" }, None, 5000);
        assert!(!sled.is_overdue(6000, 1000));
        assert!(sled.is_overdue(6001, 1000));
        let change = sled.apply(Event::Silence, None, 7000).unwrap();
        assert_eq!(
            (change.state, change.detail.as_str()),
            (State::Silent, "was seen, and is not heard of any more")
        );
        assert_eq!(sled.heard, Some(5000), "silence is not heard");
        assert!(!sled.is_overdue(1 << 40, 1000));
        sled.apply(reported(Step::Ready(String::new())), None, 8000);
        assert!(!sled.is_overdue(1 << 40, 1000), "one that never sends signs of life need not");
        sled.facts.beats = true;
        assert!(sled.is_overdue(1 << 40, 1000));
    }

    #[test]
    fn words_are_those_of_json() {
        for state in State::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.word());
        }
    }
}
