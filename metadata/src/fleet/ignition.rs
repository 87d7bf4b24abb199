//! The Ignition configs of roles and sleds, made part of what sleds are told.

use super::{Fleet, pairs};
use crate::ignition::{self, Ignition, World};
use std::collections::HashMap;
use std::sync::Arc;
use yaml::diagnostic::{Diagnostic, Diagnostics, Source};
use yaml::{Node, Problems, Value};

/// What a fleet's Ignition configs need of the world.
pub trait Files: World {
    /// A file, whose name is as the fleet file has it.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn read(&mut self, name: &str) -> Result<Vec<u8>, String>;
}

/// Adds the Ignition configs of roles and sleds to the configurations of sleds: the
/// role's first, the sled's merged over it.
///
/// # Errors
/// All mistakes of the configs, each at its place.
pub fn apply(fleet: &mut Fleet, files: &mut dyn Files) -> Result<(), Diagnostics> {
    let problems = Problems::default();
    let mut roles: HashMap<String, Option<Merged>> = HashMap::new();
    let Fleet { sleds, root, .. } = fleet;
    let layers = |kind: &str| -> HashMap<&str, &Node> {
        let entries = pairs(root, kind).iter();
        entries.filter_map(|(key, node)| Some((key.name.as_str(), node.get("ignition")?))).collect()
    };
    let (of_roles, of_sleds) = (layers("roles"), layers("sleds"));
    for sled in sleds {
        let role = of_roles.get(sled.role.as_str()).copied();
        let own = of_sleds.get(sled.name.as_str()).copied();
        if role.is_none() && own.is_none() {
            continue;
        }
        let read = |node: Option<&Node>, files: &mut dyn Files| match load(node, files) {
            Ok(config) => Some(config),
            Err(found) => {
                problems.extend(found);
                None
            }
        };
        let below = match roles.get(&sled.role) {
            Some(known) => known.clone(),
            None => {
                let new = read(role, files);
                roles.insert(sled.role.clone(), new.clone());
                new
            }
        };
        let (Some(below), Some(over)) = (below, read(own, files)) else { continue };
        let merged = match (below, over) {
            (Some(below), Some(over)) => match below.merged(&over) {
                Ok(merged) => Arc::new(merged),
                Err(found) => {
                    problems.extend(found);
                    continue;
                }
            },
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => continue,
        };
        // Mistakes that all sleds of a role share are shown once: they have one place.
        if let Err(found) = merged.apply(&mut sled.config, files) {
            problems.extend(Diagnostics(found));
        }
    }
    problems.finish(Some(()))
}

type Merged = Option<Arc<Ignition>>;

/// The config behind `ignition:`: a file, a config, or a list of them, laid over each other.
fn load(node: Option<&Node>, files: &mut dyn Files) -> Result<Merged, Diagnostics> {
    let Some(node) = node else { return Ok(None) };
    match &node.value {
        Value::Scalar { text, .. } => {
            let wrong = |what| Diagnostics(vec![Diagnostic::at(&node.place, what)]);
            let bytes = files.read(text).map_err(|e| wrong(format!("cannot read `{text}`: {e}")))?;
            let source = Source::from_utf8(text.as_str(), bytes)?;
            ignition::read(&source, files).map(|config| Some(Arc::new(config)))
        }
        Value::Map(_) => ignition::inline(node, files).map(|config| Some(Arc::new(config))),
        Value::List(list) => {
            let mut merged: Merged = None;
            for entry in list {
                merged = match (merged, load(Some(entry), files)?) {
                    (Some(below), Some(over)) => Some(Arc::new(below.merged(&over)?)),
                    (below, over) => below.or(over),
                };
            }
            Ok(merged)
        }
        Value::Null => Err(Diagnostics(vec![
            Diagnostic::at(&node.place, "`ignition` has no value")
                .hint("give the name of a file, or a config, or a list of them"),
        ])),
    }
}
