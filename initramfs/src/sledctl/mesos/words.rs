//! What the agent's log means. Pure.
//!
//! Source: Mesos 1.11, `src/slave/slave.cpp` (`registered`, `reregistered`, `_authenticate`,
//! `recover`), `src/slave/compatibility.cpp`, `src/docker/docker.cpp`; glog's prefix
//! `I1128 15:04:05.000000 123 slave.cpp:1511] `.

/// Longest part of the agent's own words that is passed on, in characters.
const MAX: usize = 300;

/// What one start of the agent has said of its master.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// A master has registered it.
    pub(super) registered: bool,
    /// `host:port` of the master it has found last.
    pub(super) master: Option<String>,
}

impl Told {
    /// Takes in a line.
    pub(super) fn hear(&mut self, line: &str) {
        let text = text(line);
        // Only where a line begins: names of frameworks are in these lines, too.
        if text.starts_with("Registered with master ") || text.starts_with("Re-registered with master ") {
            self.registered = true;
        } else if let Some(at) = text.strip_prefix("New master detected at master@") {
            self.master = Some(at.trim().to_owned());
        }
    }
}

/// A line without glog's prefix.
fn text(line: &str) -> &str {
    prefixed(line).map_or(line, |(_, text)| text)
}

/// Glog's letter and the text behind its prefix.
fn prefixed(line: &str) -> Option<(char, &str)> {
    let (prefix, text) = line.split_once("] ")?;
    let letter = prefix.chars().next()?;
    let date = prefix.get(1..5)?;
    (matches!(letter, 'I' | 'W' | 'E' | 'F') && date.bytes().all(|b| b.is_ascii_digit()))
        .then_some((letter, text))
}

/// Why an agent ended, from what it said last, for people. `None`: it has not said.
#[derive(Clone, Debug, Default)]
pub(super) struct Why(Option<String>);

impl Why {
    /// Takes in a line; what is said last counts.
    pub(super) fn hear(&mut self, line: &str) {
        if let Some(why) = meaning(line) {
            self.0 = Some(why);
        }
    }

    /// The reason.
    pub(super) fn text(self) -> Option<String> {
        self.0
    }
}

/// What is known to end an agent, by words of its log.
const KNOWN: [(&str, &str); 8] = [
    (
        " refused authentication",
        "the master refuses its credential: principal and secret of the document must be among the \
         master's --credentials",
    ),
    (
        " are incompatible with agent resources",
        "what is reserved or a persistent volume on this sled is not among its resources any more",
    ),
    (
        "Incompatible agent info detected",
        "its attributes, resources or name have changed since it was registered",
    ),
    (
        "Configuration change not permitted under",
        "its attributes, resources or name have changed since it was registered",
    ),
    (
        "Timed out getting docker version",
        "docker took more than the 5 s that Mesos gives `docker --version`; the next start finds it in memory",
    ),
    ("not found in /proc/mounts", "a disk that it is to offer is not mounted"),
    ("Failed to bind", "its port is taken: another agent may be running"),
    ("cgroup v2", "it needs cgroup v1: systemd.unified_cgroup_hierarchy=0 on the kernel's command line"),
];

fn meaning(line: &str) -> Option<String> {
    let (letter, text) = prefixed(line).unwrap_or((' ', line));
    let known = KNOWN.iter().find(|(words, _)| text.contains(words));
    // An information that has these words in it ends nothing.
    let ends = matches!(letter, ' ' | 'E' | 'F');
    match known {
        Some((_, meaning)) if ends => Some(format!("{meaning} ({})", short(text))),
        None if letter == 'F' || text.starts_with("EXIT with status ") || text.starts_with("Failed to ") => {
            Some(short(text))
        }
        _ => None,
    }
}

fn short(text: &str) -> String {
    let text = text.trim_start_matches("EXIT with status 1: ");
    let mut out: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX).collect();
    if text.chars().count() > MAX {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_agents_own_words_register_it() {
        let told = |lines: &[&str]| {
            let mut told = Told::default();
            lines.iter().for_each(|line| told.hear(line));
            told
        };
        let prefix = "I1128 15:04:05.000000   123 slave.cpp:1511] ";
        for yes in [
            "Registered with master master@10.0.0.1:5050; given agent ID 7f-S1",
            "Re-registered with master master@10.0.0.1:5050",
        ] {
            assert!(told(&[&format!("{prefix}{yes}")]).registered && told(&[yes]).registered, "{yes}");
        }
        for no in [
            "Got assigned task 'Registered with master x' for framework 1",
            "Framework registered with master",
            "] Registered with master x",
            "",
        ] {
            assert!(!told(&[&format!("{prefix}{no}")]).registered, "{no}");
        }
        let two =
            ["New master detected at master@10.0.0.1:5050", "New master detected at master@10.0.0.2:5050"];
        assert_eq!(told(&two).master.as_deref(), Some("10.0.0.2:5050"));
    }

    #[test]
    fn what_ends_an_agent_is_translated() {
        let why = |lines: &[&str]| {
            let mut why = Why::default();
            lines.iter().for_each(|line| why.hear(line));
            why.text()
        };
        for (line, says) in [
            (
                "EXIT with status 1: Master master@10.0.0.1:5050 refused authentication",
                "refuses its credential",
            ),
            (
                "EXIT with status 1: Failed to perform recovery: Checkpointed resources disk(a)[x] are incompatible \
                 with agent resources cpus:1: y",
                "persistent volume",
            ),
            (
                "E1128 15:04:05.000000 123 main.cpp:1] EXIT with status 1: Timed out getting docker version",
                "5 s",
            ),
            ("F1128 15:04:05.000000 123 x.cpp:1] Check failed: x", "Check failed: x"),
            ("EXIT with status 1: Something new", "Something new"),
        ] {
            assert!(
                why(&["I1128 15:04:05.000000 1 a.cpp:1] Flags at startup: --secret=s", line])
                    .unwrap()
                    .contains(says)
            );
        }
        assert_eq!(
            why(&["I1128 15:04:05.000000 1 a.cpp:1] the peer said: x refused authentication", "hello"]),
            None
        );
        let long = why(&[&format!("EXIT with status 1: \u{1b}{}", "x".repeat(5000))]).unwrap();
        assert!(long.chars().count() == MAX + 1 && !long.contains('\u{1b}'));
    }
}
