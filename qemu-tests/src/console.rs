//! Trouble that a console shows although a test would pass.

/// What never belongs on the console of a healthy boot.
const TROUBLE: [&str; 13] = [
    "Kernel panic",
    "Oops:",
    "BUG:",
    "Call Trace:",
    "blocked for more than",
    "Out of memory",
    "Failed to start",
    "Dependency failed",
    "Failed unmounting",
    "Failed to unmount",
    "Could not detach",
    "Failed to finalize",
    "SLED-",
];

/// The lines of a console that show trouble.
pub fn trouble(text: &str) -> Vec<&str> {
    text.lines().filter(|line| TROUBLE.iter().any(|t| line.contains(t))).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn finds_a_panic_and_leaves_a_clean_boot_alone() {
        assert!(super::trouble("Linux version 6.1\nReached target multi-user.target\n").is_empty());
        assert_eq!(super::trouble("a\n[ 1.0] Kernel panic - not syncing\n").len(), 1);
    }
}
