//! The lock as YAML, written by hand: the same lock is always the same bytes,
//! and a changed package is a few changed lines of a diff.

use std::fmt::Write;

use super::model::{Lock, Package, Release};
use crate::date;
use crate::digest::hex;

pub(super) fn text(lock: &Lock, recipe: &str) -> String {
    let mut out = format!(
        "# Exactly which packages {recipe} is made of, and why each is in.\n\
         # Made by `sledos lock {recipe}`; to change it, run that again.\n\
         format: 1\n"
    );
    // Writing to a String cannot fail.
    let _ = body(&mut out, lock);
    out
}

fn body(out: &mut String, lock: &Lock) -> std::fmt::Result {
    writeln!(out, "timestamp: {} # {}", lock.timestamp, date::display(lock.timestamp))?;
    writeln!(out, "request: {}", quoted(&hex(&lock.request)))?;
    list(out, "asked", lock.asked.iter().map(|name| scalar(name)))?;
    writeln!(out, "releases:{}", if lock.releases.is_empty() { " []" } else { "" })?;
    for release in &lock.releases {
        self::release(out, release)?;
    }
    writeln!(out, "packages:{}", if lock.packages.is_empty() { " []" } else { "" })?;
    for package in &lock.packages {
        self::package(out, package, lock.releases.get(package.release))?;
    }
    if !lock.extensions.is_empty() {
        writeln!(out, "# What an extension has beside the packages of the image.")?;
        writeln!(out, "extensions:")?;
    }
    for (name, packages) in &lock.extensions {
        writeln!(out, "  {}:{}", scalar(name), if packages.is_empty() { " []" } else { "" })?;
        for package in packages {
            self::package(out, package, lock.releases.get(package.release))?;
        }
    }
    if !lock.unreviewed.is_empty() {
        writeln!(out, "# Maintainer scripts nobody looked at yet: `reviewed-scripts:` in the recipe.")?;
    }
    writeln!(out, "unreviewed:{}", if lock.unreviewed.is_empty() { " {}" } else { "" })?;
    for (name, gist) in &lock.unreviewed {
        writeln!(out, "  {}: {}", scalar(name), quoted(gist))?;
    }
    Ok(())
}

fn list(out: &mut String, key: &str, items: impl ExactSizeIterator<Item = String>) -> std::fmt::Result {
    writeln!(out, "{key}:{}", if items.len() == 0 { " []" } else { "" })?;
    for item in items {
        writeln!(out, "  - {item}")?;
    }
    Ok(())
}

fn release(out: &mut String, release: &Release) -> std::fmt::Result {
    writeln!(out, "  - archive: {}", scalar(&release.archive))?;
    writeln!(out, "    suite: {}", scalar(&release.suite))?;
    writeln!(out, "    date: {} # {}", release.date, date::display(release.date))?;
    writeln!(out, "    sha256: {}", quoted(&hex(&release.sha256)))?;
    writeln!(out, "    signed-by: {}", quoted(&release.signed_by))
}

fn package(out: &mut String, package: &Package, release: Option<&Release>) -> std::fmt::Result {
    let because: Vec<String> = package.because.iter().map(|name| scalar(name)).collect();
    let release = release.map(|r| format!("{} {}", r.archive, r.suite)).unwrap_or_default();
    writeln!(out, "  - name: {}", scalar(&package.name))?;
    writeln!(out, "    version: {}", quoted(&package.version))?;
    writeln!(out, "    arch: {}", scalar(&package.arch))?;
    writeln!(out, "    release: {}", quoted(&release))?;
    writeln!(out, "    path: {}", scalar(&package.path))?;
    writeln!(out, "    size: {}", package.size)?;
    writeln!(out, "    sha256: {}", quoted(&hex(&package.sha256)))?;
    writeln!(out, "    because: [{}]", because.join(", "))
}

/// Bare when no reader of YAML can take it for anything but this string.
fn scalar(text: &str) -> String {
    const WORDS: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let letter = text.starts_with(|c: char| c.is_ascii_alphabetic());
    let plain = |c: char| c.is_ascii_alphanumeric() || "+-._/".contains(c);
    if letter && text.chars().all(plain) && !WORDS.contains(&text.to_ascii_lowercase().as_str()) {
        text.to_owned()
    } else {
        quoted(text)
    }
}

/// A double-quoted scalar (YAML 1.2.2 section 7.3.1).
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            c if !c.is_control() && c != '\u{feff}' => out.push(c),
            c => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\U{:08x}", u32::from(c));
            }
        }
    }
    out + "\""
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::lock::read;

    fn parse(text: &str) -> Lock {
        read::parse(std::path::Path::new("x.lock"), text.into()).unwrap()
    }

    fn lock() -> Lock {
        let release = |suite: &str, date| Release {
            archive: "debian".into(),
            suite: suite.into(),
            date,
            sha256: [0x12; 32],
            signed_by: "4CB50190207B4758A3F73A796ED0E7B82643E131".into(),
        };
        let package = |name: &str, release, because: &[&str]| Package {
            name: name.into(),
            version: "1:2.0~rc1-3+b1".into(),
            arch: "amd64".into(),
            sha256: [0xe1; 32],
            size: 1234,
            release,
            path: format!("pool/main/{name}.deb"),
            because: because.iter().map(|s| (*s).to_owned()).collect(),
        };
        Lock {
            timestamp: 1_757_146_353,
            request: [7; 32],
            asked: vec!["curl".into(), "no".into(), "x=1:1.0".into()],
            releases: vec![release("bookworm", 1_757_146_353), release("bookworm-security", 1)],
            packages: vec![
                package("7zip", 1, &["recipe"]),
                package("curl", 0, &["recipe", "g++", "yes"]),
                package("libc6", 0, &["essential"]),
            ],
            extensions: BTreeMap::from([
                ("debug".into(), vec![package("jq", 0, &["recipe"]), package("strace", 1, &["recipe"])]),
                ("empty".into(), vec![]),
            ]),
            unreviewed: BTreeMap::from([(
                "curl".into(),
                "says \"hi\" \\ 'there': # {x} \u{7} ä\u{85}\u{2028}\t".into(),
            )]),
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let lock = lock();
        assert_eq!(parse(&lock.to_text("compute.yaml")), lock);
        let empty = Lock {
            timestamp: 0,
            request: [0; 32],
            asked: vec![],
            releases: vec![],
            packages: vec![],
            extensions: BTreeMap::new(),
            unreviewed: BTreeMap::new(),
        };
        assert_eq!(parse(&empty.to_text("x.yaml")), empty);
    }

    #[test]
    fn a_package_is_a_few_readable_lines() {
        let text = lock().to_text("compute.yaml");
        let curl = "  - name: curl\n    version: \"1:2.0~rc1-3+b1\"\n    arch: amd64\n    release: \"debian bookworm\"\n    path: pool/main/curl.deb\n    size: 1234\n";
        assert!(text.contains(curl), "{text}");
        assert!(text.contains("timestamp: 1757146353 # 2025-09-06 08:12:33 UTC\n"), "{text}");
        assert!(text.contains("because: [recipe, g++, \"yes\"]\n"), "{text}");
    }
}
