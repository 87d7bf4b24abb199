//! A difference for people.

use std::fmt;

use super::{Change, Diff, FileChange};
use crate::progress::bytes;

/// Lines of a section; `--json` has all.
const MOST: usize = 60;
/// Bytes below which a change of a package's size is not shown: names and inodes are
/// shared out, so that every change moves all others a little.
const SMALL: u64 = 1024;
/// Lines of one changelog.
const MOST_CHANGELOG: usize = 12;

/// `+1.5 MiB`, `-3 B`, `=`.
pub(super) fn delta(before: u64, now: u64) -> String {
    match now.cmp(&before) {
        std::cmp::Ordering::Greater => format!("+{}", bytes(now - before)),
        std::cmp::Ordering::Less => format!("-{}", bytes(before - now)),
        std::cmp::Ordering::Equal => "=".to_owned(),
    }
}

/// Size before, size now and what lies between.
pub(super) fn sizes(before: Option<u64>, now: Option<u64>) -> String {
    let shown = |size: Option<u64>| size.map_or("not there".to_owned(), bytes);
    format!("{} → {} ({})", shown(before), shown(now), delta(before.unwrap_or(0), now.unwrap_or(0)))
}

pub(super) fn version(version: Option<&String>) -> &str {
    version.map_or("not there", String::as_str)
}

pub(super) fn file(change: &FileChange) -> String {
    let path = &change.path;
    match change.change {
        Change::Added => format!("+ {path}  {}", bytes(change.new_size)),
        Change::Removed => format!("- {path}  {}", bytes(change.old_size)),
        Change::Changed => {
            let what = change.what.join(", ");
            let size = match change.old_size == change.new_size {
                true => String::new(),
                false => format!(", {}", delta(change.old_size, change.new_size)),
            };
            format!("~ {path}  {what}{size}")
        }
    }
}

/// What more there is than is shown.
fn more(f: &mut fmt::Formatter<'_>, count: usize, most: usize, indent: &str) -> fmt::Result {
    if count > most { writeln!(f, "{indent}… and {} more; --json has all", count - most) } else { Ok(()) }
}

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return writeln!(f, "{} and {} are the same", self.old, self.new);
        }
        writeln!(f, "from {}\n  to {}", self.old, self.new)?;
        for (what, before, now) in &self.facts {
            writeln!(f, "{what}: {before} → {now}")?;
        }
        let (gone, new) = &self.cmdline;
        for (sign, args) in [('-', gone), ('+', new)] {
            for arg in args {
                writeln!(f, "command line: {sign}{arg}")?;
            }
        }
        for (title, list) in [("artefacts", &self.artefacts), ("unified kernel image", &self.uki)] {
            if !list.is_empty() {
                writeln!(f, "\n{title}")?;
            }
            for (name, before, now) in list {
                writeln!(f, "  {name}: {}", sizes(*before, *now))?;
            }
        }
        if !self.packages.is_empty() {
            writeln!(f, "\n{} packages", self.packages.len())?;
        }
        for package in self.packages.iter().take(MOST) {
            let (old, new) = (version(package.old.as_ref()), version(package.new.as_ref()));
            write!(f, "  {} {old} → {new}", package.name)?;
            if let Some(was) = &package.was {
                write!(f, "  (was {was})")?;
            }
            if let Some((before, now)) = package.sizes {
                write!(f, "  {}", delta(before, now))?;
            }
            writeln!(f)?;
            for line in package.changelog.iter().take(MOST_CHANGELOG) {
                writeln!(f, "      {line}")?;
            }
            more(f, package.changelog.len(), MOST_CHANGELOG, "      ")?;
            if let Some(why) = &package.no_changelog {
                writeln!(f, "      no changelog: {why}")?;
            }
        }
        more(f, self.packages.len(), MOST, "  ")?;
        if !self.sizes.is_empty() {
            writeln!(f, "\nin /usr, compressed")?;
        }
        let large = self.sizes.iter().take_while(|(_, before, now)| before.abs_diff(*now) >= SMALL).count();
        for (owner, before, now) in self.sizes.iter().take(large.min(MOST)) {
            writeln!(f, "  {:>12}  {owner}", delta(*before, *now))?;
        }
        more(f, large, MOST, "  ")?;
        if self.sizes.len() > large {
            writeln!(f, "  {:>12}  {} others by less than 1 KiB each", "", self.sizes.len() - large)?;
        }
        if !self.modules.is_empty() {
            writeln!(f, "\nmodules\n  {}", self.modules.join(" "))?;
        }
        if !self.config.is_empty() {
            writeln!(f, "\nconfiguration")?;
        }
        for (path, lines) in &self.config {
            writeln!(f, "  {path}")?;
            for line in lines.iter().take(MOST) {
                writeln!(f, "    {line}")?;
            }
            more(f, lines.len(), MOST, "    ")?;
        }
        if !self.files.is_empty() {
            writeln!(f, "\n{} files", self.files.len())?;
        }
        for change in self.files.iter().take(MOST) {
            writeln!(f, "  {}", file(change))?;
        }
        more(f, self.files.len(), MOST, "  ")
    }
}
