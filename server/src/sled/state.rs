//! The states of a sled, and what leads from one to the next.

use super::facts::Facts;
use super::room::WAITS;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Milliseconds since 1970-01-01T00:00:00Z.
pub type Millis = u64;

/// Where a sled is on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is in the fleet file, and has never reported.
    #[default]
    // What stores of older servers have of who had only asked.
    #[serde(alias = "seen")]
    Expected,
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
    pub const ALL: [Self; 7] = [
        Self::Expected,
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
    /// What others say under the same id, when it is unknown: one of them is not it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rivals: Vec<Rival>,
    /// What somebody who may be it last asked for. It is no state: nobody has shown a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
}

/// A request that only a sled has reason for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Asked {
    /// When.
    pub at: Millis,
    /// For what: `its boot script`.
    pub what: String,
    /// From where.
    pub address: Option<IpAddr>,
    /// Boot scripts since it last reported.
    #[serde(default)]
    pub scripts: u32,
}

/// What is asked for by a sled that starts from the network.
pub const SCRIPT: &str = "its boot script";

/// Another source of inventories under one id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Rival {
    /// From where.
    pub address: Option<IpAddr>,
    /// When it was last heard of.
    pub heard: Millis,
    /// What it says of itself.
    pub facts: Facts,
}

/// How many boot scripts a sled gets without a report before one leads to its disk.
const SCRIPTS: u32 = 4;

/// How many of them are kept; of more the one heard of longest ago goes.
const MAX_RIVALS: usize = 3;

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
            Event::Asked { what } => {
                let before = self.asked.as_ref().map_or(0, |asked| asked.scripts);
                let scripts = before.saturating_add(u32::from(what == SCRIPT));
                self.asked = Some(Asked { at: now, what: what.to_owned(), address, scripts });
                return None;
            }
            Event::Unknown { facts, detail } => {
                if !self.is_source(&facts, address, now) {
                    return self.rival(*facts, address, now);
                }
                self.rivals.retain(|r| r.facts.digest() != facts.digest() && !is_past(r.heard, now));
                self.facts = *facts;
                (State::Unknown, None, detail)
            }
            // It was decided before what is said meanwhile was on the disk.
            Event::Silence if !self.is_awaited() => return None,
            Event::Silence => {
                (State::Silent, None, format!("was {}, and is not heard of any more", self.state))
            }
            Event::Reported { facts, .. } if self.facts.is_after(&facts) => return None,
            Event::Reported { step, facts, misplaced } => {
                self.facts.update(*facts);
                self.asked = None;
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
        let new = self.state != state || self.detail != detail;
        if self.state != state {
            self.since = now;
        }
        (self.state, self.code) = (state, code);
        self.detail.clone_from(&detail);
        new.then_some(Change { at: now, state, detail })
    }

    /// Whether firmware may find another image on the sled's disk than the one that its boot
    /// script starts again and again, without one report: every other time then, so that a
    /// disk with nothing to start keeps it from nothing. Nobody has shown a token: whoever
    /// asks in its name makes it start from its own disk, once.
    pub fn starts_from_disk(&self) -> bool {
        let scripts = self.asked.as_ref().map_or(0, |asked| asked.scripts);
        self.heard.is_some() && scripts >= SCRIPTS && scripts.is_multiple_of(2)
    }

    /// Whether facts that came from this address are those of the unknown hardware this
    /// record is of. They are when it says the same, or nothing that contradicts from
    /// where it always was, or when it is not heard of any more.
    pub(crate) fn is_source(&self, facts: &Facts, address: Option<IpAddr>, now: Millis) -> bool {
        self.state != State::Unknown
            || self.heard.is_none_or(|heard| is_past(heard, now))
            || self.facts.digest() == facts.digest()
            || self.address == address && self.facts.may_become(facts)
    }

    /// Somebody else says he is this hardware.
    fn rival(&mut self, facts: Facts, address: Option<IpAddr>, now: Millis) -> Option<Change> {
        self.rivals.retain(|rival| !is_past(rival.heard, now));
        let new = Rival { address, heard: now, facts };
        let same = |old: &&mut Rival| {
            old.facts.digest() == new.facts.digest()
                || old.address == new.address && old.facts.may_become(&new.facts)
        };
        if let Some(old) = self.rivals.iter_mut().find(same) {
            *old = new;
            return None;
        }
        if self.rivals.len() >= MAX_RIVALS
            && let Some(oldest) = (0..self.rivals.len()).min_by_key(|n| self.rivals.get(*n).map(|r| r.heard))
        {
            self.rivals.remove(oldest);
        }
        self.rivals.push(new);
        let from = address.map(|address| format!(", at {address},")).unwrap_or_default();
        Some(Change { at: now, state: self.state, detail: format!("another source{from} has this id, too") })
    }

    /// Whether it should have been heard of since: `patience` in milliseconds.
    pub fn is_overdue(&self, now: Millis, patience: Millis) -> bool {
        self.is_awaited() && self.heard.is_some_and(|heard| now.saturating_sub(heard) > patience)
    }

    /// Whether it should say something sooner or later.
    fn is_awaited(&self) -> bool {
        self.state == State::Configuring || self.facts.beats && self.state == State::Ready
    }
}

/// Whether who was heard of then does not wait any more.
fn is_past(heard: Millis, now: Millis) -> bool {
    now.saturating_sub(heard) > WAITS
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
            (reported(Step::Configuring("has its document".into())), State::Configuring, true),
            (reported(Step::Configuring("hands over".into())), State::Configuring, true),
            (reported(Step::Ready("docker".into())), State::Ready, true),
            (reported(Step::Ready("docker".into())), State::Ready, false),
            (reported(Step::Alive), State::Ready, false),
            (reported(failed("SLED-101")), State::Failed, true),
        ];
        for (n, (event, state, history)) in events.into_iter().enumerate() {
            let at = 1000 + u64::try_from(n).unwrap();
            let change = sled.apply(event, None, at);
            assert_eq!((sled.state, change.is_some()), (state, history), "{n}");
            assert_eq!(sled.heard, Some(at));
        }
        assert_eq!(sled.code.as_deref(), Some("SLED-101"));
        assert_eq!(sled.since, 1005);
    }

    #[test]
    fn a_report_that_comes_after_a_later_one_of_its_boot_changes_nothing() {
        let at = |boot: &str, uptime_ms: u64, step| {
            let report = serde_json::json!({"boot_id": boot, "uptime_ms": uptime_ms});
            Event::Reported { step, facts: Box::new(Facts::of_report(&report)), misplaced: None }
        };
        let mut sled = Record::default();
        let configuring = || Step::Configuring("has its document".into());
        sled.apply(at("a", 5000, configuring()), None, 1);
        sled.apply(at("a", 90_000, Step::Ready("docker".into())), None, 2);
        let ready = sled.clone();
        assert_eq!(sled.apply(at("a", 5000, configuring()), None, 3), None);
        assert_eq!(sled, ready);
        // One that says nothing of its moment is as new as it comes; another boot is another.
        sled.apply(reported(failed("SLED-101")), None, 4);
        assert_eq!(sled.state, State::Failed);
        sled.apply(at("b", 4000, configuring()), None, 5);
        assert_eq!(sled.state, State::Configuring);
    }

    #[test]
    fn who_asks_changes_nothing_but_that_somebody_asked() {
        let mut sled = Record::default();
        for step in [None, Some(Step::Ready("docker".into())), Some(failed("SLED-101"))] {
            step.into_iter().for_each(|step| drop(sled.apply(reported(step), None, 5)));
            let before = Record { asked: None, ..sled.clone() };
            let from = Some([10, 0, 0, 9].into());
            assert_eq!(sled.apply(Event::Asked { what: "its document" }, from, 9), None);
            assert_eq!(Record { asked: None, ..sled.clone() }, before);
            assert_eq!(sled.asked.as_ref().map(|asked| (asked.at, asked.address)), Some((9, from)));
        }
    }

    #[test]
    fn one_that_starts_again_and_again_without_a_report_starts_from_its_disk() {
        let mut sled = Record::default();
        let asks = |sled: &mut Record, times: usize| -> String {
            let mut ask = || {
                let to_disk = sled.starts_from_disk();
                assert_eq!(sled.apply(Event::Asked { what: SCRIPT }, None, 1), None);
                // PID 1 asks for its document without getting to a report.
                sled.apply(Event::Asked { what: "its document" }, None, 1);
                if to_disk { 'd' } else { 'n' }
            };
            (0..times).map(|_| ask()).collect()
        };
        // It never reported: it may have no disk at all.
        assert_eq!(asks(&mut sled, 8), "nnnnnnnn");
        sled.apply(reported(Step::Ready("docker".into())), None, 2);
        assert_eq!(asks(&mut sled, 8), "nnnndndn");
        sled.apply(reported(Step::Configuring("document".into())), None, 3);
        assert_eq!(asks(&mut sled, 5), "nnnnd");
    }

    fn inventory(mac: &str) -> Event {
        let json =
            serde_json::json!({"smbios": {"board_serial": "ZM1"}, "nics": [{"name": "a", "mac": mac}]});
        Event::Unknown { facts: Box::new(Facts::of_hardware(&json)), detail: "is in no fleet file".into() }
    }

    #[test]
    fn who_comes_later_under_one_id_is_a_rival_and_does_not_take_its_place() {
        let (honest, other) = (Some([10, 0, 0, 1].into()), Some([10, 0, 0, 2].into()));
        let mut record = Record::default();
        record.apply(inventory("52:54:00:00:00:01"), honest, 1);
        let facts = record.facts.clone();
        for at in 2..50 {
            let change = record.apply(inventory("52:54:00:00:00:02"), other, at);
            assert_eq!(change.is_some(), at == 2, "it is said once");
            assert_eq!((&record.facts, record.address, record.heard), (&facts, honest, Some(1)));
            assert_eq!(record.rivals.len(), 1);
        }
        for n in 3..60 {
            record.apply(inventory(&format!("52:54:00:00:00:{n:02}")), Some([10, 0, 0, n].into()), 50);
            assert!(record.rivals.len() <= MAX_RIVALS && record.facts == facts);
        }
        // It has got another address, and says the same.
        record.apply(inventory("52:54:00:00:00:01"), other, 60);
        assert_eq!((record.address, record.heard), (other, Some(60)));
        // It went away, and somebody else is there.
        record.apply(inventory("52:54:00:00:00:02"), honest, 61 + WAITS);
        assert!(record.facts != facts && record.rivals.is_empty());
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
        sled.apply(reported(Step::Configuring(String::new())), None, 5000);
        assert!(!sled.is_overdue(6000, 1000));
        assert!(sled.is_overdue(6001, 1000));
        let change = sled.apply(Event::Silence, None, 7000).unwrap();
        assert_eq!(
            (change.state, change.detail.as_str()),
            (State::Silent, "was configuring, and is not heard of any more")
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
