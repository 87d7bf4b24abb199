//! A merged config → what a sled's configuration has more.

use super::World;
use super::check::{flag, list, text};
use super::install;
use super::place::Roots;
use super::resource;
use crate::config::{Account, Config, FileEntry};
use crate::generate;
use base64::Engine as _;
use std::collections::BTreeMap;
use std::fmt::Display;
use yaml::diagnostic::Place;
use yaml::{Node, Problems};

const UNITS: &str = "/etc/systemd/system";

/// Adds a config to a sled's configuration, and reports what cannot be.
pub(super) fn into(
    config: &mut Config,
    root: &Node,
    roots: &Roots,
    world: &mut dyn World,
    problems: &Problems,
) {
    let mut to = Target { config, roots, problems, places: BTreeMap::new() };
    for group in list(root, &["passwd", "groups"]) {
        to.group(group);
    }
    for user in list(root, &["passwd", "users"]) {
        to.user(user);
    }
    for directory in list(root, &["storage", "directories"]) {
        to.path(directory, FileEntry { directory: true, mode: mode(directory), ..owned(directory) });
    }
    for file in list(root, &["storage", "files"]) {
        match self::file(file, world) {
            Ok(entry) => to.path(file, entry),
            Err((node, what)) => to.wrong(&node.place, what),
        }
    }
    for node in list(root, &["storage", "links"]) {
        let (link, hard) = (text(node, "target").map(str::to_owned), flag(node, "hard"));
        to.path(node, FileEntry { link, hard, overwrite: Some(flag(node, "overwrite")), ..owned(node) });
    }
    let units: Vec<&Node> = list(root, &["systemd", "units"]).collect();
    to.units(&units);
    // Once more as the sled will look at it: paths, modes, keys, and what is in the way.
    if let Err(wrong) = generate::check(to.config) {
        let at = to.places.iter().filter(|(field, _)| wrong.field.starts_with(field.as_str()));
        let place = at.max_by_key(|(field, _)| field.len()).map_or(&root.place, |(_, place)| place);
        to.problems.report(roots.wrong(place, format_args!("{} ({})", wrong.problem, wrong.field)));
    }
}

struct Target<'a> {
    config: &'a mut Config,
    roots: &'a Roots,
    problems: &'a Problems,
    /// Where each field of the configuration comes from.
    places: BTreeMap<String, Place>,
}

impl Target<'_> {
    fn wrong(&self, place: &Place, what: impl Display) {
        self.problems.report(self.roots.wrong(place, what));
    }

    /// Adds an entry at the path of a node.
    fn path(&mut self, node: &Node, entry: FileEntry) {
        let path = text(node, "path").unwrap_or_default();
        let place = node.get("path").unwrap_or(node).place.clone();
        self.put(&place, path, entry);
    }

    fn put(&mut self, place: &Place, path: &str, entry: FileEntry) {
        if let Err(wrong) = generate::check_path(path) {
            return self.wrong(place, wrong);
        }
        self.places.insert(format!("files.{path}"), place.clone());
        if self.config.files.insert(path.to_owned(), entry).is_some() {
            self.wrong(place, format_args!("{path} is in the fleet file, too; keep one of them"));
        }
    }

    fn group(&mut self, node: &Node) {
        let name = text(node, "name").unwrap_or_default();
        if let Some(no) = node.get("shouldExist").filter(|n| n.text() == Some("false")) {
            return self
                .wrong(&no.place, "groups of the image cannot be taken away: not supported by sledos");
        }
        let group = Account {
            id: number(node, "gid"),
            password_hash: text(node, "passwordHash").map(str::to_owned),
            system: flag(node, "system"),
            ..Account::default()
        };
        self.places.insert(format!("groups.{name}"), node.place.clone());
        if self.config.groups.insert(name.to_owned(), group).is_some() {
            self.wrong(
                &node.place,
                format_args!("the group `{name}` is in the fleet file, too; keep one of them"),
            );
        }
    }

    fn user(&mut self, node: &Node) {
        let name = text(node, "name").unwrap_or_default();
        if let Some(no) = node.get("shouldExist").filter(|n| n.text() == Some("false")) {
            return self.wrong(&no.place, "users of the image cannot be taken away: not supported by sledos");
        }
        let texts =
            |path: &str| list(node, &[path]).filter_map(Node::text).map(str::to_owned).collect::<Vec<_>>();
        let given = |key: &str| text(node, key).map(str::to_owned);
        let mut ssh_keys = texts("sshAuthorizedKeys");
        if name == "root" {
            if let Some(home) = node.get("homeDir").filter(|h| h.text() != Some("/root")) {
                self.wrong(&home.place, "root's home cannot be moved: not supported by sledos");
            }
            let known = &mut self.config.ssh_keys;
            ssh_keys.retain(|key| !known.contains(key));
            known.append(&mut ssh_keys);
        }
        let user = Account {
            id: number(node, "uid"),
            comment: given("gecos"),
            home: given("homeDir"),
            create_home: flag(node, "noCreateHome").then_some(false),
            shell: given("shell"),
            primary_group: given("primaryGroup"),
            user_group: flag(node, "noUserGroup").then_some(false),
            groups: texts("groups"),
            // An empty hash is not "no password", it is none that fits.
            password_hash: node
                .get("passwordHash")
                .and_then(Node::text)
                .map(|hash| if hash.is_empty() { "*".to_owned() } else { hash.to_owned() }),
            ssh_keys,
            system: flag(node, "system"),
        };
        self.places.insert(format!("users.{name}"), node.place.clone());
        if self.config.users.insert(name.to_owned(), user).is_some() {
            self.wrong(
                &node.place,
                format_args!("the user `{name}` is in the fleet file, too; keep one of them"),
            );
        }
    }

    fn units(&mut self, units: &[&Node]) {
        let name = |unit: &Node| text(unit, "name").unwrap_or_default().to_owned();
        let mut known = install::Units::new();
        for unit in units {
            let mut dropins: Vec<&Node> = list(unit, &["dropins"]).collect();
            dropins.sort_by_key(|d| text(d, "name"));
            let contents = text(unit, "contents").into_iter();
            if text(unit, "contents").is_some() {
                let all = contents.chain(dropins.iter().filter_map(|d| text(d, "contents")));
                known.insert(text(unit, "name").unwrap_or_default(), all.collect());
            }
        }
        let file = |contents: &str| FileEntry { contents: contents.to_owned(), ..FileEntry::default() };
        let link = |target: &str| FileEntry { link: Some(target.to_owned()), ..FileEntry::default() };
        for unit in units {
            let (unit_name, place) = (name(unit), &unit.get("name").unwrap_or(unit).place);
            let path = format!("{UNITS}/{unit_name}");
            for dropin in list(unit, &["dropins"]) {
                if let Some(contents) = dropin.get("contents").and_then(Node::text) {
                    let name = text(dropin, "name").unwrap_or_default();
                    self.put(&dropin.place, &format!("{path}.d/{name}"), file(contents));
                }
            }
            if flag(unit, "mask") {
                self.put(place, &path, link("/dev/null"));
                continue;
            }
            if let Some(contents) = text(unit, "contents") {
                self.put(place, &path, file(contents));
            } else if let Some(mask) = unit.get("mask") {
                self.wrong(
                    &mask.place,
                    "whether the image masks it is not known here: not supported by sledos",
                );
            }
            let Some(enabled) = unit.get("enabled") else { continue };
            if flag(unit, "enabled") {
                match install::links(&unit_name, &known) {
                    Ok(links) => links.into_iter().for_each(|(from, target)| {
                        // Two units may share an alias or be enabled by each other's `Also=`.
                        if self.config.files.get(&from) != Some(&link(&target)) {
                            self.put(&enabled.place, &from, link(&target));
                        }
                    }),
                    Err(what) => self.wrong(&enabled.place, what),
                }
            } else if !known.contains_key(unit_name.as_str()) {
                let what = "a unit of the image cannot be disabled, only masked: not supported by sledos";
                self.wrong(&enabled.place, what);
            }
        }
    }
}

fn number(node: &Node, name: &str) -> Option<u32> {
    node.get(name)?.text()?.parse().ok()
}

/// A mode as the document has it: octal.
fn mode(node: &Node) -> Option<String> {
    number(node, "mode").map(|mode| format!("{mode:04o}"))
}

/// An entry with its owner.
fn owned(node: &Node) -> FileEntry {
    let (user, group) = (node.get("user"), node.get("group"));
    let name = |owner: Option<&Node>| owner.and_then(|o| text(o, "name")).map(str::to_owned);
    let id = |owner: Option<&Node>| owner.and_then(|o| number(o, "id"));
    FileEntry { uid: id(user), gid: id(group), user: name(user), group: name(group), ..FileEntry::default() }
}

/// A file, or where in it something is wrong, and what.
fn file<'n>(node: &'n Node, world: &mut dyn World) -> Result<FileEntry, (&'n Node, String)> {
    let source = node.get("contents").filter(|c| c.get("source").is_some());
    let mut bytes = Vec::new();
    for part in source.into_iter().chain(list(node, &["append"])) {
        let at = part.get("source").unwrap_or(part);
        bytes.append(&mut resource::bytes(part, world).map_err(|what| (at, what))?);
    }
    let (contents, base64) = match String::from_utf8(bytes) {
        Ok(text) => (text, false),
        Err(error) => (base64::engine::general_purpose::STANDARD.encode(error.as_bytes()), true),
    };
    let overwrite = Some(flag(node, "overwrite")).filter(|_| source.is_some());
    Ok(FileEntry { contents, base64, append: source.is_none(), overwrite, mode: mode(node), ..owned(node) })
}
