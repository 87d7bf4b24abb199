//! The console lines and the boot report: each step says once what it did and
//! how long it took, to people and to programs.

use crate::failure::{Code, Failure};
use std::fs::File;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As planned.
    Ok,
    /// The boot goes on without it.
    Warning,
    /// The boot ends here.
    Failed(Code),
}

/// One step of the boot as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The step's name: a word or two, the same at every boot.
    pub name: &'static str,
    /// When it began, since the kernel started.
    pub start: Duration,
    /// How long it took.
    pub took: Duration,
    /// How it ended.
    pub outcome: Outcome,
    /// What it says, one line.
    pub detail: String,
}

/// Writes lines to the console and remembers the steps. Threads may share it.
#[derive(Debug)]
pub struct Log {
    consoles: Mutex<Vec<File>>,
    now: fn() -> Duration,
    entries: Mutex<Vec<Entry>>,
}

/// One line in which every character is one to be seen. Switches, disks, files of an ESP and
/// firmware say what they are called; on a terminal that must not act. `yaml/src/shown.rs` does
/// the same for operators.
pub fn plain(text: &str) -> String {
    let seen = |c: char| match c {
        '\n' | '\t' => ' ',
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    text.chars().map(seen).collect()
}

impl Log {
    /// A log without a console; `now` is the time since the kernel started.
    pub fn new(now: fn() -> Duration) -> Self {
        Self { consoles: Mutex::new(Vec::new()), now, entries: Mutex::new(Vec::new()) }
    }

    /// From now on lines go to this console, too.
    pub fn attach(&self, console: File) {
        self.consoles.lock().unwrap_or_else(PoisonError::into_inner).push(console);
    }

    /// Time since the kernel started.
    pub fn now(&self) -> Duration {
        (self.now)()
    }

    /// One line on every console. A console that takes no bytes is no reason to stop.
    pub fn say(&self, text: &str) {
        let now = self.now();
        let text = plain(text);
        let line = format!("[{:>5}.{:03}] sledos: {text}\r\n", now.as_secs(), now.subsec_millis());
        for console in self.consoles.lock().unwrap_or_else(PoisonError::into_inner).iter_mut() {
            let _ = console.write_all(line.as_bytes());
        }
    }

    /// Does a step, then says and remembers how it went. `work` returns its
    /// value and the line to say; no line means nothing worth one.
    ///
    /// # Errors
    /// Those of `work`; they are remembered, but saying them is left to whoever
    /// ends the boot.
    pub fn step<T>(
        &self,
        name: &'static str,
        work: impl FnOnce() -> Result<(T, String), Failure>,
    ) -> Result<T, Failure> {
        let start = self.now();
        match work() {
            Ok((value, detail)) => {
                if !detail.is_empty() {
                    self.say(&format!("{name}: {detail}"));
                }
                self.remember(name, start, Outcome::Ok, detail);
                Ok(value)
            }
            Err(failure) => {
                self.remember(name, start, Outcome::Failed(failure.code), failure.detail.clone());
                Err(failure)
            }
        }
    }

    /// Something is not as it should be and the boot goes on.
    pub fn warn(&self, name: &'static str, detail: impl std::fmt::Display) {
        let detail = detail.to_string();
        self.say(&format!("{name}: warning: {detail}"));
        self.remember(name, self.now(), Outcome::Warning, detail);
    }

    /// Remembers, for the report, a line of a step that was said already.
    pub fn note(&self, name: &'static str, detail: &str) {
        self.remember(name, self.now(), Outcome::Ok, detail.to_owned());
    }

    fn remember(&self, name: &'static str, start: Duration, outcome: Outcome, detail: String) {
        let took = self.now().saturating_sub(start);
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.push(Entry { name, start, took, outcome, detail });
    }

    /// An error with all its causes, in one line.
    pub fn chain(error: &dyn std::error::Error) -> String {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        text
    }

    /// The steps so far.
    pub fn entries(&self) -> Vec<Entry> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_one_line_with_its_time_and_one_entry() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("console");
        let log = Log::new(|| Duration::from_millis(1234));
        log.attach(File::create(&path).unwrap());
        assert_eq!(log.step("modules", || Ok((7, "loaded 31".into()))), Ok(7));
        log.warn("var", "none");
        let failure = Failure::new(Code::Var, "no");
        assert_eq!(log.step("var", || Err::<((), String), _>(failure.clone())), Err(failure));
        assert_eq!(
            std::fs::read_to_string(path).unwrap(),
            "[    1.234] sledos: modules: loaded 31\r\n[    1.234] sledos: var: warning: none\r\n"
        );
        let outcomes: Vec<_> = log.entries().iter().map(|e| e.outcome).collect();
        assert_eq!(outcomes, [Outcome::Ok, Outcome::Warning, Outcome::Failed(Code::Var)]);
    }

    #[test]
    fn no_name_that_others_gave_acts_on_a_console() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("console");
        let log = Log::new(|| Duration::ZERO);
        log.attach(File::create(&path).unwrap());
        log.say("disk: Ex\u{1b}[2Jt\u{9b}1m\u{202e}é\r\n[    0.000] sledos: ready");
        let expected = "[    0.000] sledos: disk: Ex\u{fffd}[2Jt\u{fffd}1m\u{fffd}é\u{fffd} [    0.000] sledos: ready\r\n";
        assert_eq!(std::fs::read_to_string(path).unwrap(), expected);
    }
}
