//! What systemd says of a service, and what the service said: `systemctl show` and
//! `journalctl`, as people use them.

use super::sled::Sled;
use std::io::{self, BufRead, BufReader, Read};
use std::process::{Command, Stdio};

/// Longest part of a journal that is read: an agent that nobody took says little.
const MAX_JOURNAL: u64 = 64 << 20;
/// Longest line that is looked at, in bytes.
const MAX_LINE: u64 = 16 << 10;

/// A service as systemd sees it: `systemctl show`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unit {
    /// `active`, `activating`, `inactive`, `failed`…
    pub active: String,
    /// `running`, `auto-restart`, `dead`…
    pub sub: String,
    /// Of its last start (systemd.exec(5), `$INVOCATION_ID`); empty before the first.
    pub invocation: String,
    /// How often systemd has started it again by itself.
    pub restarts: u32,
}

impl Unit {
    /// Asks systemd.
    ///
    /// # Errors
    /// When systemctl does not run.
    pub fn show(sled: &Sled, name: &str) -> Result<Self, String> {
        let properties = "--property=ActiveState,SubState,InvocationID,NRestarts";
        let output = Command::new(sled.path("/usr/bin/systemctl")).args(["show", properties, name]).output();
        let output = output.map_err(|e| format!("systemctl: {e}"))?;
        if !output.status.success() {
            return Err(format!("systemctl show {name}: {}", output.status));
        }
        Ok(Self::parse(&String::from_utf8_lossy(&output.stdout)))
    }

    fn parse(text: &str) -> Self {
        let mut unit = Self::default();
        for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
            match key {
                "ActiveState" => unit.active = value.to_owned(),
                "SubState" => unit.sub = value.to_owned(),
                "InvocationID" => unit.invocation = value.to_owned(),
                "NRestarts" => unit.restarts = value.parse().unwrap_or_default(),
                _ => {}
            }
        }
        unit
    }
}

/// What a service said since it was started the last time, line by line, until `enough`
/// says so.
///
/// # Errors
/// When journalctl does not run.
pub fn said_now(
    sled: &Sled,
    name: &str,
    invocation: &str,
    enough: &mut dyn FnMut(&str) -> bool,
) -> Result<(), String> {
    let invocation = format!("_SYSTEMD_INVOCATION_ID={invocation}");
    journal(sled, &[&format!("_SYSTEMD_UNIT={name}"), &invocation], enough)
}

/// The last lines of a service in this boot, whichever start they are of.
///
/// # Errors
/// When journalctl does not run.
pub fn said_last(sled: &Sled, name: &str, line: &mut dyn FnMut(&str)) -> Result<(), String> {
    let unit = format!("_SYSTEMD_UNIT={name}");
    journal(sled, &["--boot", "--lines=500", &unit], &mut |text| {
        line(text);
        false
    })
}

/// What systemd wrote in this boot when a process of a service ended otherwise than it
/// should: by a signal, a core dump, an exit status. Ends that are as they should be are
/// not in the journal.
///
/// # Errors
/// When journalctl does not run.
pub fn ended_badly(sled: &Sled, line: &mut dyn FnMut(&str)) -> Result<(), String> {
    // SD_MESSAGE_UNIT_PROCESS_EXIT of sd-messages.h.
    let message = "MESSAGE_ID=98e322203f7a4ed290d09fe03c09fe15";
    journal(sled, &["--boot", "--lines=1000", "_PID=1", message], &mut |text| {
        line(text);
        false
    })
}

fn journal(sled: &Sled, arguments: &[&str], enough: &mut dyn FnMut(&str) -> bool) -> Result<(), String> {
    let mut child = Command::new(sled.path("/usr/bin/journalctl"))
        .args(["--quiet", "--no-pager", "--output=cat"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| format!("journalctl: {e}"))?;
    if let Some(out) = child.stdout.take() {
        // What was read until then counts.
        let _ = lines(&mut BufReader::new(out.take(MAX_JOURNAL)), enough);
    }
    // It may still have much to say.
    let _ = child.kill();
    child.wait().map(drop).map_err(|e| format!("journalctl: {e}"))
}

/// Hands on each line; of a long one its beginning.
fn lines(reader: &mut impl BufRead, enough: &mut dyn FnMut(&str) -> bool) -> io::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if !line.ends_with(b"\n") {
            reader.skip_until(b'\n')?;
        }
        if enough(String::from_utf8_lossy(&line).trim_end()) {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_read_whatever_their_order() {
        let unit = Unit::parse(
            "SubState=auto-restart\nNRestarts=3\nOther=x=y\nInvocationID=ab\nActiveState=activating\n",
        );
        let expected = Unit {
            active: "activating".into(),
            sub: "auto-restart".into(),
            invocation: "ab".into(),
            restarts: 3,
        };
        assert_eq!(unit, expected);
        assert_eq!(Unit::parse("NRestarts=-1\nnothing"), Unit::default());
    }

    #[test]
    fn long_lines_are_cut_and_the_next_one_is_whole() {
        let text = format!("{}\nnext\nlast", "x".repeat(100_000));
        let mut all = Vec::new();
        lines(&mut text.as_bytes(), &mut |line| {
            all.push(line.to_owned());
            line == "next"
        })
        .unwrap();
        assert_eq!((all.len(), all[0].len(), all[1].as_str()), (2, 16 << 10, "next"));
    }
}
