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

/// What PID 1 and `sledctl` said.
pub fn sledos(text: &str) -> String {
    text.lines().filter(|line| line.contains("sledos: ")).collect::<Vec<_>>().join("\n")
}

/// The version of the compute image that PID 1 runs of.
pub fn image(text: &str) -> Option<&str> {
    text.lines()
        .find_map(|line| line.split_once("sledos: image: compute "))
        .map(|(_, version)| version.trim())
}

/// The machine id that is on /var.
pub fn machine_id(text: &str) -> Option<&str> {
    let said = text.lines().find_map(|line| line.split_once("sledos: machine id: "))?.1;
    said.split_once(',').map(|(id, _)| id)
}

#[cfg(test)]
mod tests {
    #[test]
    fn tells_what_a_sled_runs() {
        let text =
            "[    0.1] sledos: image: compute 7\r\nx\r\n[    9.1] sledos: machine id: 00ff, from /var\r\n";
        assert_eq!((super::image(text), super::machine_id(text)), (Some("7"), Some("00ff")));
        assert_eq!(super::sledos(text).lines().count(), 2);
        assert_eq!(super::image("sledos: image: installs the image\n"), None);
    }

    #[test]
    fn finds_a_panic_and_leaves_a_clean_boot_alone() {
        assert!(super::trouble("Linux version 6.1\nReached target multi-user.target\n").is_empty());
        assert_eq!(super::trouble("a\n[ 1.0] Kernel panic - not syncing\n").len(), 1);
    }
}
