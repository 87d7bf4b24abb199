//! The fleet file and what is made of it, without a disk: golden documents, mistakes at
//! their lines, sheets, replacements, generations.
#![allow(clippy::unwrap_used)]

mod addresses;
mod before;
mod compile;
mod docs;
mod edit;
mod freshness;
mod golden;
mod ignition;
mod mistakes;
mod plausible;
mod random;
mod sheet;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use yaml::diagnostic::{Diagnostic, Source};

/// The fleet of the golden test.
const FLEET: &str = include_str!("fleet.yaml");

fn source(text: &str) -> Arc<Source> {
    Source::new("fleet.yaml", text)
}

/// Replaces one piece of [`FLEET`], which must be there once.
#[track_caller]
fn edited(from: &str, to: &str) -> String {
    assert_eq!(FLEET.matches(from).count(), 1, "{from}");
    FLEET.replacen(from, to, 1)
}

/// `line: message` of each.
fn lines(found: &[Diagnostic]) -> Vec<String> {
    found.iter().map(|d| format!("{}: {}", d.place.as_ref().map_or(0, |p| p.line), d.message)).collect()
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Compares with a file; with `UPDATE_DOCS=1` in the environment the file is written.
#[track_caller]
fn is_in_file(now: &str, name: &str) {
    let path = file(name);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, now).unwrap();
    }
    let then = std::fs::read_to_string(&path).unwrap_or_default();
    let line = then.lines().zip(now.lines()).take_while(|(a, b)| a == b).count() + 1;
    assert!(then == now, "{name} differs from line {line} on; UPDATE_DOCS=1 writes it");
}
