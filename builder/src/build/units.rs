//! Units that a component brings: what runs is what the recipe says.
//!
//! A package made for a Debian host comes with a unit of its own, sometimes switched on. In
//! an image the recipe's overlay has the unit of that name, and `enable:` is all that
//! switches one on.

use formats::tree::{Origin, Tree, TreePath};

const USR: &str = "usr/lib/systemd/system";
/// Searched before [`USR`]: a unit there hides one of the same name here.
const ETC: &str = "etc/systemd/system";

/// Takes away what components have that would switch a unit on, or change or hide one that
/// is not theirs. Returns a line for each.
pub(super) fn settle(tree: &mut Tree) -> Vec<String> {
    let away: Vec<(TreePath, String)> = tree
        .iter()
        .filter_map(|(path, node)| {
            let Origin::Component(name) = &node.origin else { return None };
            let why = in_the_way(tree, path)?;
            (!node.is_dir())
                .then(|| (path.clone(), format!("/{path} of the component {name} is left out: {why}")))
        })
        .collect();
    for (path, _) in &away {
        tree.remove(path);
    }
    away.into_iter().map(|(_, line)| line).collect()
}

fn in_the_way(tree: &Tree, path: &TreePath) -> Option<&'static str> {
    let text = path.to_string();
    let (place, rest) = [ETC, USR]
        .into_iter()
        .find_map(|dir| Some((dir, text.strip_prefix(dir)?.strip_prefix('/')?.to_owned())))?;
    let first = rest.split('/').next().unwrap_or_default();
    if first.ends_with(".wants") || first.ends_with(".requires") || first.ends_with(".upholds") {
        return Some("the recipe's `enable:` switches units on");
    }
    let unit = first.strip_suffix(".d").unwrap_or(first);
    // The same file below /usr has been replaced by an overlay's already.
    let image_has = TreePath::parse(format!("{USR}/{unit}").as_bytes())
        .is_ok_and(|path| tree.get(&path).is_some_and(|node| !matches!(node.origin, Origin::Component(_))));
    let other = place == ETC || first.ends_with(".d");
    (image_has && other).then_some("the image has this unit")
}

#[cfg(test)]
mod tests {
    use super::*;
    use formats::tree::Node;

    fn tree(files: &[(&str, Origin)]) -> Tree {
        let mut tree = Tree::new(Node::dir(Origin::Fixup("test")));
        for (path, origin) in files {
            let parts: Vec<&str> = path.split('/').collect();
            for depth in 1..parts.len() {
                let dir = TreePath::parse(parts[..depth].join("/").as_bytes()).unwrap();
                if tree.get(&dir).is_none() {
                    tree.insert(dir, Node::dir(origin.clone())).unwrap();
                }
            }
            let node = Node::file(b"x".to_vec(), 0o644, origin.clone());
            tree.insert(TreePath::parse(path.as_bytes()).unwrap(), node).unwrap();
        }
        tree
    }

    #[test]
    fn a_component_neither_switches_units_on_nor_hides_those_of_the_image() {
        let component = || Origin::Component("mesos-agent".into());
        let overlay = || Origin::Overlay("compute".into());
        let mut tree = tree(&[
            ("usr/lib/systemd/system/mesos-agent.service", overlay()),
            ("etc/systemd/system/mesos-agent.service", component()),
            ("etc/systemd/system/mesos-agent.service.d/own.conf", component()),
            ("usr/lib/systemd/system/mesos-agent.service.d/own.conf", component()),
            ("usr/lib/systemd/system/mesos-agent.service.d/site.conf", overlay()),
            ("usr/lib/systemd/system/mesos-slave.service", component()),
            ("usr/lib/systemd/system/mesos-slave.service.d/own.conf", component()),
            ("usr/lib/systemd/system/multi-user.target.wants/mesos-slave.service", component()),
            ("etc/systemd/system/multi-user.target.wants/mesos-slave.service", component()),
            ("usr/bin/mesos-init-wrapper", component()),
        ]);
        let lines = settle(&mut tree);
        assert_eq!(lines.len(), 5, "{lines:#?}");
        let has = |path: &str| tree.get(&TreePath::parse(path.as_bytes()).unwrap()).is_some();
        for stays in [
            "usr/lib/systemd/system/mesos-agent.service",
            "usr/lib/systemd/system/mesos-agent.service.d/site.conf",
            "usr/lib/systemd/system/mesos-slave.service",
            "usr/lib/systemd/system/mesos-slave.service.d/own.conf",
            "usr/bin/mesos-init-wrapper",
        ] {
            assert!(has(stays), "{stays}");
        }
        assert!(!has("etc/systemd/system/mesos-agent.service"));
    }
}
