//! `meta/resources/resources.info`: what the master has had the agent write down, which is
//! reservations and persistent volumes. JSON here, a protobuf in Mesos. It does not hang on
//! the agent's id: a new one has to offer what is in it, too.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use crate::grammar::resources::{self, Resource};
use crate::grammar::{Invalid, Result, invalid};

fn path(work_dir: &Path) -> PathBuf {
    work_dir.join("meta/resources/resources.info")
}

/// Writes down what the master says.
///
/// # Errors
/// When it is no list of resources, or cannot be written.
pub fn keep(work_dir: &Path, messages: &Json) -> io::Result<()> {
    let Some(list) = messages.as_array() else { return Err(io::Error::other("no list of resources")) };
    for message in list {
        resource(message).map_err(io::Error::other)?;
    }
    let path = path(work_dir);
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    // Mesos writes none when there is nothing.
    let text = if list.is_empty() { String::new() } else { messages.to_string() };
    fs::write(path, text)
}

/// Refuses resources that what was written down cannot be part of.
///
/// # Errors
/// What is missing, in Mesos's words.
pub fn check(work_dir: &Path, offered: &[Resource]) -> Result<()> {
    let text = fs::read_to_string(path(work_dir)).unwrap_or_default();
    if text.is_empty() {
        return Ok(());
    }
    let damaged = |e: &dyn std::fmt::Display| Invalid(format!("Failed to recover resources: {e}"));
    let messages: Json = serde_json::from_str(&text).map_err(|e| damaged(&e))?;
    for message in messages.as_array().into_iter().flatten() {
        let kept = resource(message).map_err(|e| damaged(&e))?;
        // A disk of its own is offered as a whole, to whichever role.
        let fits =
            |r: &Resource| (&r.name, &r.source) == (&kept.name, &kept.source) && kept.value.within(&r.value);
        if !offered.iter().any(fits) {
            return invalid(format!(
                "Checkpointed resources {} are incompatible with agent resources {}: {} is not contained",
                messages,
                resources::to_json(offered),
                message
            ));
        }
    }
    Ok(())
}

/// A message without what makes it a volume.
fn resource(message: &Json) -> Result<Resource> {
    let mut plain = message.clone();
    if let Some(disk) = plain.get_mut("disk").and_then(Json::as_object_mut) {
        disk.remove("persistence");
        disk.remove("volume");
    }
    let mut all = resources::of_json(&Json::Array(vec![plain]), resources::UNRESERVED)?;
    all.pop().ok_or_else(|| Invalid("no resource".to_owned()))
}
