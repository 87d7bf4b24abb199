//! Where in which config a value is: as JSON pointer (RFC 6901), line and column.

use yaml::diagnostic::{Diagnostic, Place};
use yaml::{Node, Value};

/// The configs that were read, to find pointers in: a merged config keeps only places.
#[derive(Clone, Debug, Default)]
pub(super) struct Roots(Vec<Node>);

impl Roots {
    /// Adds a config.
    pub(super) fn push(&mut self, root: &Node) {
        self.0.push(root.clone());
    }

    /// Adds the configs of another.
    pub(super) fn append(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }

    /// The mistake at a place, named by its pointer.
    pub(super) fn wrong(&self, place: &Place, what: impl std::fmt::Display) -> Diagnostic {
        let pointer = self.0.iter().find_map(|root| pointer(root, place));
        Diagnostic::at(
            place,
            format!("{}: {what}", pointer.as_deref().filter(|p| !p.is_empty()).unwrap_or("/")),
        )
    }
}

/// The pointer to the value or key at a place.
fn pointer(node: &Node, place: &Place) -> Option<String> {
    let below = |name: &str, node: &Node| {
        pointer(node, place).map(|p| format!("/{}{p}", name.replace('~', "~0").replace('/', "~1")))
    };
    if node.place == *place {
        return Some(String::new());
    }
    match &node.value {
        Value::Map(map) => map.iter().find_map(|(key, node)| {
            let here = key.place == *place;
            if here { Some(format!("/{}", key.name)) } else { below(&key.name, node) }
        }),
        Value::List(list) => list.iter().enumerate().find_map(|(n, node)| below(&n.to_string(), node)),
        _ => None,
    }
}
