//! One config laid over another. Source: Ignition, "Operator notes", "Config merging".
//!
//! Objects merge field by field. Entries of lists that are the same thing merge, the
//! others follow behind. A path that the upper config uses for another kind of thing is
//! taken away from the lower one. Headers without a value take the lower one away.

use super::spec::{Identity, Kind};
use yaml::{Key, Node, Value};

/// Lays `over` on `below`. Both are of the kind, without nulls.
pub(super) fn merge(below: Node, over: Node, kind: &Kind) -> Node {
    match (kind, below.value, over.value) {
        (Kind::Object(fields), Value::Map(lower), Value::Map(upper)) => {
            let taken = paths(&upper);
            let mut merged: Vec<(Key, Node)> = Vec::new();
            let mut rest = upper;
            for (key, mut node) in lower {
                let Some(field) = fields.iter().find(|f| f.name == key.name) else { continue };
                if let (Kind::List(_, Identity::Path), Value::List(list)) = (&field.kind, &mut node.value) {
                    list.retain(|entry| {
                        let path = entry.get("path").and_then(Node::text).unwrap_or_default();
                        !taken.iter().any(|(list, p)| *list != key.name && p == path)
                    });
                }
                match rest.iter().position(|(k, _)| k.name == key.name) {
                    Some(at) => {
                        let (key, upper) = rest.remove(at);
                        merged.push((key, merge(node, upper, &field.kind)));
                    }
                    None => merged.push((key, node)),
                }
            }
            merged.extend(rest);
            Node { place: over.place, value: Value::Map(merged) }
        }
        (Kind::List(of, identity), Value::List(lower), Value::List(mut upper)) => {
            let mut merged = Vec::new();
            for entry in lower {
                let same = match identity {
                    Identity::Nothing => None,
                    _ => upper.iter().position(|u| key(u, *identity) == key(&entry, *identity)),
                };
                match same.map(|at| upper.remove(at)) {
                    Some(over) if is_header(of) && over.get("value").is_none() => {}
                    Some(over) => merged.push(merge(entry, over, of)),
                    None => merged.push(entry),
                }
            }
            merged.extend(upper);
            Node { place: over.place, value: Value::List(merged) }
        }
        (_, _, value) => Node { place: over.place, value },
    }
}

fn is_header(kind: &Kind) -> bool {
    matches!(kind, Kind::Object(fields) if fields.iter().any(|f| f.name == "value"))
}

/// What tells an entry from the others.
pub(super) fn key(entry: &Node, identity: Identity) -> Option<&str> {
    match identity {
        Identity::Nothing => None,
        Identity::Itself => entry.text(),
        Identity::Field(name) => Some(entry.get(name).and_then(Node::text).unwrap_or_default()),
        Identity::Path => Some(entry.get("path").and_then(Node::text).unwrap_or_default()),
    }
}

/// The paths of an object's lists, with the list each is in.
fn paths(map: &[(Key, Node)]) -> Vec<(String, String)> {
    let of = |(key, node): &(Key, Node)| {
        let paths = node.entries().filter_map(|entry| entry.get("path")?.text());
        paths.map(|path| (key.name.clone(), path.to_owned())).collect::<Vec<_>>()
    };
    map.iter().flat_map(of).collect()
}
