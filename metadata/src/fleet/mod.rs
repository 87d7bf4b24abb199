//! The fleet file: racks, roles and sleds as a person writes them, and the documents
//! that are made of it.
//!
//! ```text
//! fleet.yaml ─check→ Fleet ─compile→ Plan: signed documents by path
//! vendor.csv ─import→ lines for fleet.yaml
//! ```
//!
//! | What | Module |
//! |---|---|
//! | the types of the file | [`file`] |
//! | its JSON Schema, which also decides what is accepted | [`schema`] |
//! | layers → what one sled is told | [`resolve`] |
//! | Ignition configs of roles and sleds | [`ignition`] |
//! | where each value came from | [`explain`] |
//! | signed documents, what is kept and what is new | [`compile`] |
//! | what lies there already, and need not be read | [`before`] |
//! | scripts that start each sled's image | [`ipxe`] |
//! | addresses and their networks | `addresses` |
//! | users and groups that images have | [`fit`] |
//! | names that others gave | [`known`] |
//! | whose images it takes | [`release`] |
//! | keys | [`sign`] |
//! | vendors' sheets | [`import`] |
//! | replaced hardware, new hardware | [`replace`], [`bind`] |
//! | a server that nobody could know beforehand | [`adopt`] |
//!
//! Pure: no I/O, time is an argument.

mod addresses;
pub mod adopt;
pub mod before;
pub mod bind;
mod cells;
pub mod compile;
mod de;
mod edit;
pub mod explain;
pub mod file;
pub mod fit;
mod format;
pub mod ignition;
pub mod import;
pub mod ipxe;
pub mod known;
mod lint;
mod mesos;
mod placed;
mod plausible;
pub mod release;
pub mod replace;
pub mod resolve;
pub mod schema;
mod shape;
mod sheet;
pub mod sign;
mod template;
mod values;

use file::FleetFile;
use resolve::Sled;
use std::sync::Arc;
use yaml::diagnostic::{Diagnostic, Diagnostics, Source};
use yaml::{Node, Problems, Value};

/// Largest fleet file that is read, in bytes.
pub const MAX_BYTES: u64 = 64 << 20;

/// The name under which hardware without a document reports, and no sled can have.
pub const RESERVED: &str = "unknown";

/// A fleet without mistakes.
#[derive(Clone, Debug)]
pub struct Fleet {
    /// The file.
    pub file: FleetFile,
    /// Its sleds, sorted by name.
    pub sleds: Vec<Sled>,
    /// The file's values with their places.
    root: Node,
}

/// What there is to say about a fleet file.
#[derive(Debug, Default)]
pub struct Report {
    /// The fleet, when there are no errors.
    pub fleet: Option<Fleet>,
    /// Mistakes, by place.
    pub errors: Vec<Diagnostic>,
    /// What is probably not meant.
    pub warnings: Vec<Diagnostic>,
    /// What is good to know.
    pub notes: Vec<String>,
}

/// Reads a fleet file and says everything about it at once.
pub fn check(source: &Arc<Source>) -> Report {
    let root = match yaml::parse(source) {
        Ok(root) => root,
        Err(Diagnostics(errors)) => return Report { errors, ..Report::default() },
    };
    let problems = Problems::default();
    shape::Shape { schema: schema::fleet(), templates: true }.check(&root, "", &problems);
    if let Err(Diagnostics(errors)) = problems.finish(Some(())) {
        // What is behind a wrong shape would be guessed.
        return Report { errors, ..Report::default() };
    }
    let file: FleetFile = match de::from_node(&root) {
        Ok(file) => file,
        Err(error) => return Report { errors: vec![*error], ..Report::default() },
    };
    let problems = Problems::default();
    let mut found = lint::Found::default();
    let racks = resolve::racks(&file, &root, &problems);
    let sleds = resolve::sleds(&file, &root, &racks, &problems, &mut found);
    lint::fleet(&file, &root, &sleds, &problems, &mut found);
    let lint::Found { mut warnings, notes } = found;
    sort(&mut warnings);
    match problems.finish(Some(())) {
        Ok(()) => Report { fleet: Some(Fleet { file, sleds, root }), errors: Vec::new(), warnings, notes },
        Err(Diagnostics(errors)) => Report { fleet: None, errors, warnings, notes },
    }
}

/// Reads a fleet file that must be without mistakes.
///
/// # Errors
/// All mistakes.
pub fn load(source: &Arc<Source>) -> Result<Fleet, Diagnostics> {
    let report = check(source);
    report.fleet.ok_or(Diagnostics(report.errors))
}

/// By place, each once.
fn sort(found: &mut Vec<Diagnostic>) {
    let at = |d: &Diagnostic| d.place.as_ref().map(|p| (p.line, p.column));
    found.sort_by(|a, b| at(a).cmp(&at(b)).then_with(|| a.message.cmp(&b.message)));
    found.dedup_by(|a, b| a.message == b.message && at(a) == at(b));
}

/// The node at the end of a path of keys.
fn at<'a>(node: &'a Node, path: &[&str]) -> Option<&'a Node> {
    path.iter().try_fold(node, |node, key| node.get(key))
}

/// The entries of the map at a key.
fn pairs<'a>(node: &'a Node, key: &str) -> &'a [(yaml::Key, Node)] {
    match node.get(key).map(|n| &n.value) {
        Some(Value::Map(map)) => map,
        _ => &[],
    }
}
