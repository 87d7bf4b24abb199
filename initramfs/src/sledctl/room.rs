//! How full /var is: Docker, the agent, logs and the next update share it.

use rustix::fs::StatVfs;
use serde_json::{Value, json};
use std::path::Path;

/// From here on it is said, in per cent.
const LOW: u64 = 85;
/// From here on it is urgent: writes will fail.
const FULL: u64 = 95;

/// How much of a file system is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Per cent of what may be used without privileges, rounded up, as df(1) shows it.
    pub used: u64,
    /// Bytes left.
    pub free: u64,
}

impl Room {
    /// Looks at the file system that has this path; nothing when that is not there.
    pub fn at(path: &Path) -> Option<Self> {
        rustix::fs::statvfs(path).ok().map(|stat| Self::of(&stat))
    }

    fn of(stat: &StatVfs) -> Self {
        let used = stat.f_blocks.saturating_sub(stat.f_bfree);
        let all = used.saturating_add(stat.f_bavail).max(1);
        let percent = (u128::from(used) * 100).div_ceil(u128::from(all));
        Self {
            used: u64::try_from(percent).unwrap_or(100).min(100),
            free: stat.f_bavail.saturating_mul(stat.f_frsize),
        }
    }

    /// What to say; nothing while there is room.
    pub fn says(self) -> Option<String> {
        let Self { used, free } = self;
        let left = format!("{used} % used, {} MiB left", free >> 20);
        match used {
            0..LOW => None,
            LOW..FULL => Some(format!("{left}; make room")),
            _ => Some(format!("{left}: Docker and the agent stop when it is full; make room now")),
        }
    }

    /// For programs.
    pub fn json(self) -> Value {
        json!({"used-percent": self.used, "free": self.free, "problem": self.says()})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(blocks: u64, free: u64, available: u64) -> StatVfs {
        let mut stat = rustix::fs::statvfs("/").unwrap();
        (stat.f_blocks, stat.f_bfree, stat.f_bavail, stat.f_frsize) = (blocks, free, available, 1 << 20);
        stat
    }

    #[test]
    fn it_is_said_from_85_per_cent_on_and_again_from_95() {
        let at = |blocks, free, available| Room::of(&stat(blocks, free, available));
        for (free, used, says) in [
            (1000, 0, None),
            (160, 84, None),
            (159, 85, Some("85 % used, 159 MiB left; make room")),
            (51, 95, Some("95 % used, 51 MiB left: Docker")),
            (0, 100, Some("100 % used, 0 MiB left: Docker")),
        ] {
            let room = at(1000, free, free);
            assert_eq!(room.used, used);
            match (room.says(), says) {
                (Some(text), Some(begin)) => assert!(text.starts_with(begin), "{text}"),
                (text, begin) => assert_eq!(text.as_deref(), begin),
            }
        }
        // Blocks that are kept for root count as used up.
        assert_eq!(at(1000, 100, 0), Room { used: 100, free: 0 });
        // What a damaged file system says.
        assert_eq!(at(0, 5, 0).used, 0);
        assert_eq!(at(u64::MAX, 0, u64::MAX).used, 100);
    }

    #[test]
    fn it_is_what_df_says() {
        let dir = tempfile::tempdir().unwrap();
        let out = std::process::Command::new("df").arg("--output=pcent").arg(dir.path()).output().unwrap();
        let text = String::from_utf8(out.stdout).unwrap();
        let percent: u64 = text.lines().last().unwrap().trim().trim_end_matches('%').parse().unwrap();
        // Others write to the same file system meanwhile.
        assert!(Room::at(dir.path()).unwrap().used.abs_diff(percent) <= 1, "{text}");
        assert_eq!(Room::at(Path::new("/no/such/path")), None);
    }
}
