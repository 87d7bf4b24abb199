//! YAML files written by people: every value keeps its place, so that each mistake
//! can be shown at its line and column, and all of them at once.
//!
//! [`parse`] makes a tree of [`Node`]s in which scalars are still text: what `0644`
//! or `no` means is up to the reader of that key, never guessed. [`merge()`] lays one
//! file over another, [`Cursor`] and [`Fields`] turn nodes into values.

#![forbid(unsafe_code)]

mod compose;
pub mod diagnostic;
mod merge;
pub mod nearest;
mod read;
pub mod shown;

pub use compose::parse;
pub use merge::merge;
pub use read::{Cursor, Fields, Problems, Wrong};

use crate::diagnostic::Place;

/// A value and where it is.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it begins.
    pub place: Place,
    /// What it is.
    pub value: Value,
}

/// What a [`Node`] is.
#[derive(Clone, Debug)]
pub enum Value {
    /// Nothing after the colon, `~` or `null`.
    Null,
    /// Text, number or truth value, as written.
    Scalar {
        /// The text, escapes undone.
        text: String,
        /// Whether it stood in quotes or in a block: then it is text, whatever it looks like.
        quoted: bool,
    },
    /// A list.
    List(Vec<Node>),
    /// A map in the order of the file, without duplicate keys.
    Map(Vec<(Key, Node)>),
}

/// A key of a map.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its text.
    pub name: String,
    /// Where it is.
    pub place: Place,
}

impl Node {
    /// What this is, for messages.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Scalar { .. } => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    /// The value of a key, when this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|(k, _)| k.name == key).map(|(_, v)| v),
            _ => None,
        }
    }

    /// A key with its place, when this is a map that has it.
    pub fn key(&self, name: &str) -> Option<&Key> {
        match &self.value {
            Value::Map(entries) => entries.iter().map(|(k, _)| k).find(|k| k.name == name),
            _ => None,
        }
    }

    /// The entries, when this is a list; else nothing.
    pub fn entries(&self) -> impl Iterator<Item = &Node> {
        match &self.value {
            Value::List(list) => list.iter(),
            _ => [].iter(),
        }
    }

    /// The text, when this is a scalar.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// What tells this entry of a list from the others: its text, or its `name:`.
    pub fn identity(&self) -> Option<&str> {
        self.text().or_else(|| self.get("name")?.text())
    }
}
