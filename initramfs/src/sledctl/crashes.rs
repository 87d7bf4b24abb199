//! Services whose process ended otherwise than it should, since the boot: also those that
//! run again, which no state of a unit tells.

use super::sled::Sled;
use super::unit;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Most different ends that are told.
const MOST: usize = 32;

/// How often each end was, by what systemd says of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Crashes(BTreeMap<String, u32>);

impl Crashes {
    /// Asks the journal. Without one there is nothing to tell.
    pub fn look(sled: &Sled) -> Self {
        let mut crashes = Self::default();
        let _ = unit::ended_badly(sled, &mut |line| crashes.add(line));
        crashes
    }

    fn add(&mut self, line: &str) {
        let line = line.trim();
        if !line.is_empty() && (self.0.len() < MOST || self.0.contains_key(line)) {
            let times = self.0.entry(line.to_owned()).or_default();
            *times = times.saturating_add(1);
        }
    }

    /// For programs; nothing when all ended well.
    pub fn json(&self) -> Option<Value> {
        let one = |(says, times): (&String, &u32)| json!({"says": says, "times": times});
        (!self.0.is_empty()).then(|| self.0.iter().map(one).collect())
    }
}

/// For people, from [`Crashes::json`].
pub fn text(crashes: &Value) -> String {
    let one = |crash: &Value| {
        let says = crash.get("says").and_then(Value::as_str).unwrap_or_default();
        match crash.get("times").and_then(Value::as_u64).unwrap_or(1) {
            1 => says.to_owned(),
            times => format!("{says} ({times} times)"),
        }
    };
    crashes.as_array().into_iter().flatten().map(one).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_journal_is_asked_for_bad_ends_and_they_are_counted() {
        let root = tempfile::tempdir().unwrap();
        let journalctl = root.path().join("usr/bin/journalctl");
        fs::create_dir_all(journalctl.parent().unwrap()).unwrap();
        // sd-messages.h: SD_MESSAGE_UNIT_PROCESS_EXIT.
        let script = "#!/bin/sh\ncase \"$*\" in *--boot*MESSAGE_ID=98e322203f7a4ed290d09fe03c09fe15) ;; \
                      *) exit 1 ;; esac\nfor n in 1 2; do\n\
                      echo docker.service: Main process exited, code=killed, status=9/KILL; done\n\
                      echo x.service: Main process exited, code=dumped, status=11/SEGV\n";
        fs::write(&journalctl, script).unwrap();
        fs::set_permissions(&journalctl, fs::Permissions::from_mode(0o755)).unwrap();
        let crashes = Crashes::look(&Sled::new(root.path())).json().unwrap();
        assert_eq!((&crashes[0]["times"], crashes.as_array().unwrap().len()), (&2.into(), 2));
        assert_eq!(
            text(&crashes),
            "docker.service: Main process exited, code=killed, status=9/KILL (2 times); \
             x.service: Main process exited, code=dumped, status=11/SEGV"
        );
    }

    #[test]
    fn all_is_well_without_any_and_many_are_bounded() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(Crashes::look(&Sled::new(root.path())).json(), None);
        let mut crashes = Crashes::default();
        (0..1000).for_each(|n| crashes.add(&format!("x@{n}.service: Main process exited")));
        assert_eq!(crashes.json().unwrap().as_array().unwrap().len(), MOST);
    }
}
