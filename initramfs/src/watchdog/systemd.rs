//! Whether the image's systemd feeds the watchdog: `RuntimeWatchdogSec=` of
//! systemd-system.conf(5), in the main file and its drop-ins.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Later ones win over files of the same name in earlier ones (systemd.unit(5)).
const DIRS: [&str; 3] = ["usr/lib/systemd", "run/systemd", "etc/systemd"];

/// Reads the configuration of the system below this root. Not seen:
/// `systemd.watchdog_sec=` on the command line, which only the image's owner sets.
pub fn systemd_takes_over(root: &Path) -> bool {
    let mut main = String::new();
    let mut drop_ins = BTreeMap::new();
    for dir in DIRS.map(|dir| root.join(dir)) {
        if let Ok(text) = fs::read_to_string(dir.join("system.conf")) {
            main = text;
        }
        for entry in fs::read_dir(dir.join("system.conf.d")).into_iter().flatten().flatten() {
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            if entry.path().extension().is_some_and(|ending| ending == "conf") {
                drop_ins.insert(entry.file_name(), text);
            }
        }
    }
    let texts = std::iter::once(&main).chain(drop_ins.values());
    texts.fold(false, |set, text| setting(text).unwrap_or(set))
}

/// What one file says, if it says anything.
fn setting(text: &str) -> Option<bool> {
    let mut manager = false;
    let mut result = None;
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            manager = line == "[Manager]";
        } else if let Some(value) = line.strip_prefix("RuntimeWatchdogSec")
            && let Some(value) = value.trim_start().strip_prefix('=')
            && manager
        {
            let value = value.trim();
            let off = ["", "off", "no", "false"].contains(&value)
                || value.trim_end_matches(|c: char| c.is_ascii_alphabetic()).trim() == "0";
            result = Some(!off);
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::tests::files;

    #[test]
    fn the_last_word_counts() {
        let root = tempfile::tempdir().unwrap();
        assert!(!systemd_takes_over(root.path()));
        files(
            root.path(),
            &[("usr/lib/systemd/system.conf.d/50-sledos.conf", "[Manager]\nRuntimeWatchdogSec=30s\n")],
        );
        assert!(systemd_takes_over(root.path()));
        files(root.path(), &[("etc/systemd/system.conf", "[Manager]\n#RuntimeWatchdogSec=off\n")]);
        assert!(systemd_takes_over(root.path()));
        files(
            root.path(),
            &[("etc/systemd/system.conf.d/60-off.conf", "[Manager]\nRuntimeWatchdogSec = 0\n")],
        );
        assert!(!systemd_takes_over(root.path()));
        files(root.path(), &[("etc/systemd/system.conf.d/70.txt", "[Manager]\nRuntimeWatchdogSec=9\n")]);
        assert!(!systemd_takes_over(root.path()));
    }

    #[test]
    fn what_switches_it_off_and_on() {
        for (value, on) in
            [("10min", true), ("default", true), ("1", true), ("0s", false), ("off", false), ("", false)]
        {
            assert_eq!(setting(&format!("[Manager]\nRuntimeWatchdogSec={value}")), Some(on), "{value}");
        }
        assert_eq!(setting("[Other]\nRuntimeWatchdogSec=9"), None);
        assert_eq!(setting("[Manager]\nRuntimeWatchdogSecX=9"), None);
    }
}
