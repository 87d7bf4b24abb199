//! Laying one file over another.
//!
//! One rule for every key: single values are replaced, maps merge key by key, lists
//! add up. Entries of a list are the same when their text, or their `name:`, is the
//! same; such maps merge, too. `remove-KEY: [...]` beside a list or map `KEY` first
//! takes away what came from below.

use super::{Key, Node, Problems, Value};
use crate::diagnostic::{Diagnostic, Place};
use crate::nearest::nearest;

/// `over` laid over `base`.
pub fn merge(base: Node, over: Node, problems: &Problems) -> Node {
    let Node { place, value } = over;
    let value = match (base.value, value) {
        (Value::Map(base), Value::Map(over)) => Value::Map(merge_maps(base, over, problems)),
        (_, Value::Map(over)) => Value::Map(merge_maps(Vec::new(), over, problems)),
        (Value::List(base), Value::List(over)) => Value::List(merge_lists(base, over, problems)),
        (_, Value::List(over)) => Value::List(merge_lists(Vec::new(), over, problems)),
        (_, over) => over,
    };
    Node { place, value }
}

/// A node that nothing is below, with its own removals and doubles checked.
fn merge_alone(over: Node, problems: &Problems) -> Node {
    merge(Node { place: over.place.clone(), value: Value::Null }, over, problems)
}

fn merge_maps(mut base: Vec<(Key, Node)>, over: Vec<(Key, Node)>, problems: &Problems) -> Vec<(Key, Node)> {
    let (removals, over): (Vec<_>, Vec<_>) = over
        .into_iter()
        .partition(|(key, node)| key.name.starts_with("remove-") && matches!(node.value, Value::List(_)));
    for (key, node) in removals {
        let target = key.name.trim_start_matches("remove-");
        let below = base.iter_mut().find(|(k, _)| k.name == target).map(|(_, node)| node);
        remove(below, &key, &node, problems);
    }
    for (key, node) in over {
        match base.iter().position(|(k, _)| k.name == key.name) {
            Some(at) => {
                let (_, below) = base.remove(at);
                base.insert(at, (key, merge(below, node, problems)));
            }
            None => base.push((key, merge_alone(node, problems))),
        }
    }
    base
}

fn merge_lists(mut base: Vec<Node>, over: Vec<Node>, problems: &Problems) -> Vec<Node> {
    let mut seen: std::collections::BTreeMap<String, Place> = std::collections::BTreeMap::new();
    for node in over {
        let Some(identity) = node.identity().map(str::to_owned) else {
            base.push(merge_alone(node, problems));
            continue;
        };
        if let Some(first) = seen.get(&identity) {
            let message = format!("`{identity}` is in this list twice");
            problems
                .report(Diagnostic::at(&node.place, message).also("first here", first).hint("remove one"));
            continue;
        }
        seen.insert(identity.clone(), node.place.clone());
        match base.iter().position(|below| below.identity() == Some(identity.as_str())) {
            Some(at) if matches!(node.value, Value::Map(_)) => {
                let below = base.remove(at);
                // What a relative path means depends on the file that named the entry first.
                let name = below.get("name").map(|n| n.place.clone());
                let mut merged = merge(below, node, problems);
                if let (Value::Map(entries), Some(place)) = (&mut merged.value, name) {
                    entries
                        .iter_mut()
                        .filter(|(k, _)| k.name == "name")
                        .for_each(|(_, n)| n.place = place.clone());
                }
                base.insert(at, merged);
            }
            Some(_) => {}
            None => base.push(merge_alone(node, problems)),
        }
    }
    base
}

/// Takes the entries that `names` lists out of a list or map.
fn remove(mut below: Option<&mut Node>, key: &Key, names: &Node, problems: &Problems) {
    let Value::List(names) = &names.value else { return };
    for name in names {
        let Some(text) = name.text() else {
            let message = format!("`{}` lists names, this is {}", key.name, name.kind());
            problems.report(Diagnostic::at(&name.place, message));
            continue;
        };
        let (found, have) = match below.as_deref_mut().map(|node| &mut node.value) {
            Some(Value::List(list)) => {
                let before = list.len();
                list.retain(|node| node.identity() != Some(text));
                (list.len() < before, list.iter().filter_map(Node::identity).collect())
            }
            Some(Value::Map(map)) => {
                let before = map.len();
                map.retain(|(key, _)| key.name != text);
                (map.len() < before, map.iter().map(|(key, _)| key.name.as_str()).collect())
            }
            _ => (false, Vec::new()),
        };
        if !found {
            let wrong = Diagnostic::at(&name.place, format!("there is no `{text}` to remove")).why(format!(
                "`{}` takes away what the included files listed, and none of them listed this",
                key.name
            ));
            problems.report(match nearest(text, have) {
                Some(near) => wrong.hint(format!("did you mean `{near}`?")),
                None => wrong.hint("remove the line, or look for a slip in its name"),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;
    use crate::diagnostic::Source;

    fn show(node: &Node) -> String {
        match &node.value {
            Value::Null => "~".to_owned(),
            Value::Scalar { text, .. } => text.clone(),
            Value::List(list) => format!("[{}]", list.iter().map(show).collect::<Vec<_>>().join(" ")),
            Value::Map(map) => {
                let entries: Vec<_> = map.iter().map(|(k, v)| format!("{}={}", k.name, show(v))).collect();
                format!("{{{}}}", entries.join(" "))
            }
        }
    }

    fn merged(base: &str, over: &str) -> (String, Vec<String>) {
        let problems = Problems::default();
        let [base, over] = [base, over].map(|text| parse(&Source::new("t", text)).unwrap());
        let node = merge(merge_alone(base, &problems), over, &problems);
        let messages =
            problems.into_inner().into_iter().map(|d| format!("{}: {}", d.place.unwrap().line, d.message));
        (show(&node), messages.collect())
    }

    #[test]
    fn single_values_are_replaced_maps_merge_lists_add_up() {
        let (node, wrong) =
            merged("{a: 1, m: {x: 1, y: 2}, l: [p, q]}", "{a: 2, m: {y: 3}, l: [q, r], n: 1}");
        assert_eq!((node.as_str(), wrong.len()), ("{a=2 m={x=1 y=3} l=[p q r] n=1}", 0));
    }

    #[test]
    fn named_entries_merge() {
        let (node, _) =
            merged("nics: [{name: a, driver: d}, {name: b}]", "nics: [{name: a, initramfs: true}]");
        assert_eq!(node, "{nics=[{name=a driver=d initramfs=true} {name=b}]}");
    }

    #[test]
    fn removals_come_first_and_must_hit() {
        let (node, wrong) = merged("{l: [p, q], m: {x: 1, y: 2}}", "{remove-l: [q], l: [r], remove-m: [x]}");
        assert_eq!((node.as_str(), wrong.len()), ("{l=[p r] m={y=2}}", 0));
        let (_, wrong) = merged("l: [docker.io]", "k:\n- {remove-z: [b]}\nremove-l:\n - docker.oi\n - [1]\n");
        let want = [
            "4: there is no `docker.oi` to remove",
            "5: `remove-l` lists names, this is a list",
            "2: there is no `b` to remove",
        ];
        assert_eq!(wrong, want);
    }

    #[test]
    fn doubles_in_one_file_are_mistakes() {
        let (_, wrong) = merged("{}", "l:\n- p\n- q\n- p\n");
        assert_eq!(wrong, ["4: `p` is in this list twice"]);
    }
}
