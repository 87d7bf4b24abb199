//! Ignition configs, spec 3.0 to 3.4, as part of what a sled is told.
//!
//! ```text
//! JSON or YAML ─check→ config ─replace, merge→ one config ─convert→ files, links, users …
//! ```
//!
//! Everything is done when a fleet is compiled: sources are fetched, unpacked, held
//! against their hashes and put into the document. A sled knows nothing of Ignition.
//! What sledos does not carry out is a mistake at its JSON pointer, line and column.
//!
//! | What | Module |
//! |---|---|
//! | JSON with places | `json` |
//! | the fields, and which are carried out | `spec` |
//! | one config against the specification | `check` |
//! | one config over another | `merge` |
//! | `source`: data URLs, the network, gzip, hashes | `resource` |
//! | `enabled`: links of an [Install] section | `install` |
//! | a config into a sled's configuration | `convert` |
//!
//! Where it differs from Ignition: keys of users go to /etc/ssh/authorized_keys.d, where
//! the image's sshd looks; units are enabled by links instead of a preset; what comes
//! over the network needs a hash; `/etc/skel` is not copied.

mod check;
mod convert;
mod install;
mod json;
mod merge;
mod place;
mod resource;
mod spec;

use crate::config::Config;
use place::Roots;
use std::sync::Arc;
use yaml::diagnostic::{Diagnostic, Diagnostics, Source};
use yaml::{Node, Problems};

/// Deeper references of configs to configs are refused: they may go in circles.
const MAX_DEPTH: usize = 16;

/// Where content comes from.
pub trait World {
    /// What a URL of http: or https: has, at most so many bytes.
    ///
    /// # Errors
    /// Why it has nothing.
    fn get(&mut self, url: &str, headers: &[(String, String)], max: usize) -> Result<Vec<u8>, String>;
}

/// A config without mistakes, its references replaced and merged.
#[derive(Debug)]
pub struct Ignition {
    root: Node,
    minor: u8,
    roots: Roots,
}

/// Reads a config from JSON.
///
/// # Errors
/// All mistakes of the first config that has some.
pub fn read(source: &Arc<Source>, world: &mut dyn World) -> Result<Ignition, Diagnostics> {
    from_node(&json::parse(source)?, true, world)
}

/// Takes a config that stands in a YAML file.
///
/// # Errors
/// Like [`read`].
pub fn inline(node: &Node, world: &mut dyn World) -> Result<Ignition, Diagnostics> {
    from_node(node, false, world)
}

fn from_node(node: &Node, strict: bool, world: &mut dyn World) -> Result<Ignition, Diagnostics> {
    let mut roots = Roots::default();
    let (root, minor) = one(node, strict, &mut roots)?;
    let (root, minor) = render(root, minor, &mut roots, world, 0)?;
    let merged = Ignition { root, minor, roots };
    let problems = Problems::default();
    check::meaning(&merged.root, minor, &merged.roots, &problems);
    problems.finish(Some(merged))
}

/// Checks one config alone.
fn one(node: &Node, strict: bool, roots: &mut Roots) -> Result<(Node, u8), Diagnostics> {
    roots.push(node);
    let problems = Problems::default();
    let clean = check::config(node, strict, roots, &problems);
    if let Some((root, minor)) = &clean {
        check::meaning(root, *minor, roots, &problems);
    }
    problems.finish(clean)
}

/// Puts what `ignition.config` refers to in its place.
fn render(
    root: Node,
    minor: u8,
    roots: &mut Roots,
    world: &mut dyn World,
    depth: usize,
) -> Result<(Node, u8), Diagnostics> {
    let references = root.get("ignition").and_then(|i| i.get("config"));
    let replace = references.and_then(|r| r.get("replace")).filter(|r| r.get("source").is_some());
    let fetch = |reference: &Node, roots: &mut Roots, world: &mut dyn World| {
        let place = &reference.get("source").unwrap_or(reference).place;
        if depth > MAX_DEPTH {
            return Err(Diagnostics(vec![roots.wrong(place, "configs refer to configs too deeply")]));
        }
        let bytes =
            resource::bytes(reference, world).map_err(|e| Diagnostics(vec![roots.wrong(place, e)]))?;
        let url = check::text(reference, "source").unwrap_or_default();
        let name: String = if url.starts_with("data:") {
            format!("{}:{}:{} (data URL)", place.file().display(), place.line, place.column)
        } else {
            url.to_owned()
        };
        let (root, minor) = one(&json::parse(&Source::from_utf8(name, bytes)?)?, true, roots)?;
        render(root, minor, roots, world, depth + 1)
    };
    if let Some(replace) = replace {
        return fetch(replace, roots, world);
    }
    let merge: Vec<Node> =
        references.map(|r| check::list(r, &["merge"]).cloned().collect()).unwrap_or_default();
    let (mut merged, mut newest) = (root, minor);
    for reference in &merge {
        let (over, minor) = fetch(reference, roots, world)?;
        merged = merge::merge(merged, over, &spec::CONFIG);
        newest = newest.max(minor);
    }
    Ok((merged, newest))
}

impl Ignition {
    /// Lays another config over this one, as `ignition.config.merge` would.
    ///
    /// # Errors
    /// When the two together have mistakes.
    pub fn merged(&self, over: &Self) -> Result<Self, Diagnostics> {
        let mut roots = self.roots.clone();
        roots.append(&over.roots);
        let root = merge::merge(self.root.clone(), over.root.clone(), &spec::CONFIG);
        let merged = Self { root, minor: self.minor.max(over.minor), roots };
        let problems = Problems::default();
        check::meaning(&merged.root, merged.minor, &merged.roots, &problems);
        problems.finish(Some(merged))
    }

    /// Adds what the config says to a sled's configuration.
    ///
    /// # Errors
    /// What cannot be fetched or carried out, or what the configuration says already.
    pub fn apply(&self, config: &mut Config, world: &mut dyn World) -> Result<(), Vec<Diagnostic>> {
        let problems = Problems::default();
        convert::into(config, &self.root, &self.roots, world, &problems);
        let found = problems.into_inner();
        if found.is_empty() { Ok(()) } else { Err(found) }
    }
}
