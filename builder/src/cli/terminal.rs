//! The way to standard output and standard error: everything a command prints goes through
//! here, because packages, images, sheets and sleds say things that end up in it.

use std::io::Write as _;

use serde_json::Value;
use yaml::shown;

/// Prints lines. A reader that has gone (`| head`) is no failure.
pub fn out(text: &str) {
    let mut out = std::io::stdout();
    out.write_all(shown::lines(text).as_bytes()).and_then(|()| out.flush()).ok();
}

/// Prints lines on standard error.
pub fn err(text: &str) {
    std::io::stderr().write_all(shown::lines(text).as_bytes()).ok();
}

/// Prints JSON that means the same to a program and does nothing to a terminal.
pub fn json(value: &Value) {
    out(&shown::json(&format!("{value:#}\n")));
}

/// As `println!`.
macro_rules! say {
    () => { $crate::cli::terminal::out("\n") };
    ($($text:tt)*) => { $crate::cli::terminal::out(&(format!($($text)*) + "\n")) };
}

/// As `eprintln!`.
macro_rules! complain {
    ($($text:tt)*) => { $crate::cli::terminal::err(&(format!($($text)*) + "\n")) };
}

pub(crate) use {complain, say};

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// Every file of the commands, and what they print.
    #[test]
    fn no_command_prints_past_it() {
        let mut dirs = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
        let mut found = Vec::new();
        while let Some(dir) = dirs.pop() {
            for entry in std::fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    dirs.push(path);
                } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("cli/terminal.rs") {
                    let text = std::fs::read_to_string(&path).unwrap();
                    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
                    let past =
                        code.lines().filter(|line| line.contains("print!(") || line.contains("println!("));
                    found.extend(past.map(|line| format!("{}: {}", path.display(), line.trim())));
                }
            }
        }
        assert!(found.is_empty(), "{found:#?}");
    }
}
