//! The power button. Until systemd runs nobody else looks at it, and the kernel does
//! nothing by itself.
//!
//! Source: Linux `Documentation/input/input.rst`, "Event interface", and
//! `include/uapi/linux/input-event-codes.h`.

use crate::handover;
use crate::log::Log;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::time::Duration;

const INPUT: &str = "/sys/class/input";
/// What the kernel's driver `button` calls it.
const NAME: &str = "Power Button";
/// `struct input_event` on a 64-bit kernel: time (16), type (2), code (2), value (4).
const EVENT: usize = 24;
/// How often to look for buttons whose driver comes late.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Switches the sled off when the button is pressed, from now on. Ends with the hand-over,
/// when another program becomes PID 1.
///
/// # Errors
/// When there can be no thread.
pub fn watch(log: &'static Log) -> std::io::Result<()> {
    let thread = || std::thread::Builder::new().name("power".into());
    let look = move || {
        let mut known = Vec::new();
        loop {
            for name in buttons(Path::new(INPUT)) {
                let device = Path::new("/dev/input").join(&name);
                if !known.contains(&name)
                    && let Ok(file) = File::open(device)
                    && thread().spawn(move || listen(log, file)).is_ok()
                {
                    known.push(name);
                }
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    };
    thread().spawn(look).map(drop)
}

/// Names of the event devices that are power buttons.
fn buttons(input: &Path) -> Vec<String> {
    let names = fs::read_dir(input).into_iter().flatten().flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    let is_button = |name: &String| {
        let what = fs::read_to_string(input.join(name).join("device/name"));
        name.starts_with("event") && what.is_ok_and(|what| what.trim() == NAME)
    };
    names.filter(is_button).collect()
}

fn listen(log: &Log, mut file: File) {
    let mut event = [0; EVENT];
    while file.read_exact(&mut event).is_ok() {
        if is_press(&event) {
            handover::switch_off(log, "power button");
        }
    }
}

/// `EV_KEY`, `KEY_POWER`, pressed.
fn is_press(event: &[u8; EVENT]) -> bool {
    event[16..] == [1, 0, 116, 0, 1, 0, 0, 0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_press_of_the_power_key_counts() {
        let event = |kind: u8, code: u8, value: u8| {
            let mut event = [7; EVENT];
            event[16..].copy_from_slice(&[kind, 0, code, 0, value, 0, 0, 0]);
            event
        };
        assert!(is_press(&event(1, 116, 1)));
        // Released; another key; the end of a report.
        assert!(!is_press(&event(1, 116, 0)) && !is_press(&event(1, 30, 1)) && !is_press(&event(0, 0, 0)));
    }

    #[test]
    fn buttons_are_known_by_name() {
        let sys = tempfile::tempdir().unwrap();
        for (name, what) in
            [("event0", "Power Button\n"), ("event1", "AT keyboard\n"), ("input0", "Power Button\n")]
        {
            fs::create_dir_all(sys.path().join(name).join("device")).unwrap();
            fs::write(sys.path().join(name).join("device/name"), what).unwrap();
        }
        assert_eq!(buttons(sys.path()), ["event0"]);
        assert!(buttons(Path::new("/nonexistent")).is_empty());
    }
}
