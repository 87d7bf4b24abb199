//! The machine id: made once, kept on /var, put into /etc at every boot.
//!
//! Source: machine-id(5): 32 lower-case hex digits and a newline. Without one
//! in /etc systemd takes each boot for the first.

use crate::durable;
use rustix::fs::Mode;
use std::fs;
use std::io;
use std::path::Path;

/// Where it is kept below /var.
const KEPT: &str = "lib/sledos/machine-id";

/// What was done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was there.
    Kept,
    /// There was none; one was made.
    Made,
    /// What was there was no machine id. It is kept as `machine-id.invalid`.
    Replaced,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Kept => "from /var",
            Self::Made => "new",
            Self::Replaced => "new; what was in /var is no machine id",
        })
    }
}

/// Reads the machine id kept below `var`, or makes one from `random`; writes it
/// to `etc/machine-id`. When this returns, a made id is on the disk.
///
/// # Errors
/// When it cannot be read for another reason than being absent, or not be written.
pub fn settle(
    var: &Path,
    etc: &Path,
    random: impl FnOnce() -> io::Result<[u8; 16]>,
) -> io::Result<(String, Outcome)> {
    let kept = var.join(KEPT);
    let read = match durable::read(&kept, 1024) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(Vec::new()),
        read => read,
    };
    let (id, outcome) = match read {
        Ok(bytes) => match parse(&bytes) {
            Some(id) => (id, Outcome::Kept),
            None => {
                fs::rename(&kept, kept.with_extension("invalid"))?;
                (make(random()?), Outcome::Replaced)
            }
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => (make(random()?), Outcome::Made),
        Err(error) => return Err(error),
    };
    if outcome != Outcome::Kept {
        let dir = kept.parent().unwrap_or(var);
        fs::create_dir_all(dir)?;
        durable::write(dir, "machine-id", format!("{id}\n").as_bytes(), 0o444)?;
    }
    let file = etc.join("machine-id");
    fs::write(&file, format!("{id}\n"))?;
    rustix::fs::chmod(&file, Mode::from_raw_mode(0o444))?;
    Ok((id, outcome))
}

fn parse(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?.trim_end_matches('\n');
    let hex = text.len() == 32 && text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
    (hex && text.bytes().any(|c| c != b'0')).then(|| text.to_owned())
}

/// A random UUID (RFC 9562, version 4) without dashes, as systemd makes them.
fn make(mut bytes: [u8; 16]) -> String {
    let [.., version, _, variant, _, _, _, _, _, _, _] = &mut bytes;
    *version = (*version & 0x0f) | 0x40;
    *variant = (*variant & 0x3f) | 0x80;
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(kept: Option<&str>) -> (tempfile::TempDir, io::Result<(String, Outcome)>) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("lib/sledos")).unwrap();
        fs::create_dir(dir.path().join("etc")).unwrap();
        if let Some(text) = kept {
            fs::write(dir.path().join(KEPT), text).unwrap();
        }
        let result = settle(dir.path(), &dir.path().join("etc"), || Ok([0xff; 16]));
        (dir, result)
    }
    const MADE: &str = "ffffffffffff4fffbfffffffffffffff";

    #[test]
    fn one_is_made_once_and_kept() {
        let (dir, result) = run(None);
        assert_eq!(result.unwrap(), (MADE.into(), Outcome::Made));
        let again = settle(dir.path(), &dir.path().join("etc"), || panic!("not asked again")).unwrap();
        assert_eq!(again, (MADE.into(), Outcome::Kept));
        assert_eq!(fs::read_to_string(dir.path().join("etc/machine-id")).unwrap(), format!("{MADE}\n"));
    }

    #[test]
    fn what_is_no_machine_id_is_replaced_and_not_thrown_away() {
        for bad in ["", "uninitialized\n", "0123", &"0".repeat(32), &"A".repeat(32)] {
            let (dir, result) = run(Some(bad));
            assert_eq!(result.unwrap(), (MADE.into(), Outcome::Replaced), "{bad}");
            assert_eq!(fs::read_to_string(dir.path().join("lib/sledos/machine-id.invalid")).unwrap(), bad);
        }
    }

    #[test]
    fn one_that_cannot_be_read_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join(KEPT)).unwrap();
        assert!(settle(dir.path(), dir.path(), || Ok([1; 16])).is_err());
        assert!(dir.path().join(KEPT).is_dir());
    }
}
