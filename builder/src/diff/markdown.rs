//! A difference for a pull request.

use std::fmt::Write as _;

use super::text::{delta, file, sizes, version};
use super::{Change, Diff};

/// Lines of a section.
const MOST: usize = 100;

/// The difference as Markdown.
pub fn markdown(diff: &Diff) -> String {
    let mut out = format!("### `{}` → `{}`\n", diff.old, diff.new);
    if diff.is_empty() {
        out.push_str("\nNothing differs.\n");
        return out;
    }
    for (what, before, now) in &diff.facts {
        let _ = write!(out, "\n- {what}: {} → {}", code(before), code(now));
    }
    for (sign, args) in [('-', &diff.cmdline.0), ('+', &diff.cmdline.1)] {
        for arg in args {
            let _ = write!(out, "\n- command line: {}", code(&format!("{sign}{arg}")));
        }
    }
    for (name, before, now) in &diff.artefacts {
        let _ = write!(out, "\n- {}: {}", code(name), sizes(*before, *now));
    }
    out.push('\n');
    if !diff.packages.is_empty() {
        let _ = write!(
            out,
            "\n**{} packages**\n\n| package | from | to | in /usr |\n|---|---|---|---|\n",
            diff.packages.len()
        );
        for package in &diff.packages {
            let size = package.sizes.map(|(before, now)| delta(before, now)).unwrap_or_default();
            let (old, new) = (version(package.old.as_ref()), version(package.new.as_ref()));
            let _ = writeln!(out, "| {} | {} | {} | {size} |", cell(&package.name), cell(old), cell(new));
        }
    }
    let logs: String = (diff.packages.iter().filter(|package| !package.changelog.is_empty()))
        .map(|package| package.changelog.join("\n") + "\n")
        .collect();
    details(&mut out, "Changelogs", &logs);
    let owners = diff.sizes.iter().take_while(|(_, before, now)| before.abs_diff(*now) >= 1024).take(MOST);
    let owners: String =
        owners.map(|(owner, before, now)| format!("{:>12}  {owner}\n", delta(*before, *now))).collect();
    details(&mut out, "Sizes in /usr, compressed", &owners);
    details(&mut out, "Modules", &diff.modules.join("\n"));
    let config: String =
        diff.config.iter().map(|(path, lines)| format!("{path}\n{}\n", lines.join("\n"))).collect();
    details(&mut out, "Configuration", &config);
    let count = |change| diff.files.iter().filter(|file| file.change == change).count();
    let title = format!(
        "Files: {} added, {} removed, {} changed",
        count(Change::Added),
        count(Change::Removed),
        count(Change::Changed)
    );
    let mut files: String = diff.files.iter().take(MOST).map(|change| file(change) + "\n").collect();
    if diff.files.len() > MOST {
        let _ = writeln!(files, "… and {} more", diff.files.len() - MOST);
    }
    details(&mut out, &title, &files);
    out
}

fn details(out: &mut String, title: &str, text: &str) {
    if !text.trim().is_empty() {
        // A fence longer than any in the text.
        let fence = "`".repeat(text.split(|c| c != '`').map(str::len).max().unwrap_or(0).max(2) + 1);
        let _ = write!(
            out,
            "\n<details><summary>{title}</summary>\n\n{fence}diff\n{}\n{fence}\n\n</details>\n",
            text.trim_end()
        );
    }
}

fn code(text: &str) -> String {
    format!("`{}`", text.replace('`', "'"))
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '<'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_block() {
        let mut diff = Diff { old: "a".into(), new: "b".into(), ..Diff::default() };
        assert!(markdown(&diff).contains("Nothing differs"));
        diff.config.push(("/etc/x".into(), vec!["+```".into(), "+</details>".into()]));
        let text = markdown(&diff);
        assert!(text.contains("\n````diff\n/etc/x\n+```\n"), "{text}");
    }
}
