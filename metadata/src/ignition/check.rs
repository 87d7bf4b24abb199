//! One config held against the specification of its version: shape first, then what the
//! fields say together.

use super::merge::key;
use super::place::Roots;
use super::spec::{CONFIG, Identity, Kind, NEWEST};
use yaml::nearest::nearest;
use yaml::{Node, Problems, Value};

/// Reads the version and checks the shape. Returns the config without its nulls.
pub(super) fn config(root: &Node, strict: bool, roots: &Roots, problems: &Problems) -> Option<(Node, u8)> {
    let version = root.get("ignition").and_then(|i| i.get("version"));
    let text = version.and_then(Node::text).unwrap_or_default();
    let minor = (0..=NEWEST).find(|minor| text == format!("3.{minor}.0"));
    let Some(minor) = minor else {
        let place = version.map_or(&root.place, |v| &v.place);
        let what = match version {
            None => "has no `ignition.version`".to_owned(),
            Some(_) => format!("the version is `{text}`"),
        };
        problems.report(
            roots.wrong(place, what).why("read are versions 3.0.0 to 3.4.0 of Ignition's specification"),
        );
        return None;
    };
    let shape = Shape { minor, strict, roots, problems };
    let clean = shape.node(root, &CONFIG)?;
    Some((clean, minor))
}

struct Shape<'a> {
    minor: u8,
    /// Whether texts must be in quotes: JSON.
    strict: bool,
    roots: &'a Roots,
    problems: &'a Problems,
}

impl Shape<'_> {
    fn wrong(&self, node: &Node, what: impl std::fmt::Display) -> Option<Node> {
        self.problems.report(self.roots.wrong(&node.place, what));
        None
    }

    /// The node without nulls; nothing when a mistake was reported.
    fn node(&self, node: &Node, kind: &Kind) -> Option<Node> {
        let value = match (kind, &node.value) {
            (Kind::Object(fields), Value::Map(map)) => {
                let mut good = true;
                let mut clean = Vec::new();
                for (key, node) in map {
                    let field = fields.iter().find(|f| f.name == key.name);
                    match field {
                        None => {
                            let wrong = self.roots.wrong(&key.place, "Ignition has no such field");
                            self.problems.report(match nearest(&key.name, fields.iter().map(|f| f.name)) {
                                Some(near) => wrong.hint(format!("did you mean `{near}`?")),
                                None => wrong,
                            });
                            good = false;
                        }
                        Some(field) if field.since > self.minor => {
                            let what =
                                format!("is there since 3.{}.0, this is 3.{}.0", field.since, self.minor);
                            self.problems.report(self.roots.wrong(&key.place, what));
                            good = false;
                        }
                        Some(_) if matches!(node.value, Value::Null) => {}
                        Some(field) => match self.node(node, &field.kind) {
                            Some(node) => clean.push((key.clone(), node)),
                            None => good = false,
                        },
                    }
                }
                good.then_some(Value::Map(clean))?
            }
            (Kind::List(of, _), Value::List(list)) => {
                let clean: Vec<Option<Node>> = list.iter().map(|node| self.node(node, of)).collect();
                Value::List(clean.into_iter().collect::<Option<_>>()?)
            }
            (Kind::Text, Value::Scalar { quoted, .. }) if *quoted || !self.strict => node.value.clone(),
            (Kind::Number, Value::Scalar { text, quoted: false }) => {
                let digits = text.strip_prefix('-').unwrap_or(text);
                let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
                if !plain || (digits.len() > 1 && digits.starts_with('0')) {
                    return self.wrong(node, format_args!("`{text}` is not a whole decimal number"));
                }
                node.value.clone()
            }
            (Kind::Boolean, Value::Scalar { text, quoted: false }) if matches!(&**text, "true" | "false") => {
                node.value.clone()
            }
            (Kind::Unsupported(_), _) if says_nothing(node) => node.value.clone(),
            (Kind::Unsupported(what), _) => {
                let wrong = self.roots.wrong(&node.place, "is not supported by sledos").why(*what);
                self.problems.report(wrong);
                return None;
            }
            _ => {
                let wanted = match kind {
                    Kind::Object(_) => "an object",
                    Kind::List(..) => "a list",
                    Kind::Number => "a number",
                    Kind::Boolean => "true or false",
                    _ => "a text",
                };
                return self.wrong(node, format_args!("should be {wanted}"));
            }
        };
        Some(Node { place: node.place.clone(), value })
    }
}

/// Whether there is no value at any depth: Go's types print structs that nobody filled in.
/// An entry of a list is there, whatever is in it.
fn says_nothing(node: &Node) -> bool {
    match &node.value {
        Value::Null => true,
        Value::Scalar { .. } => false,
        Value::List(list) => list.is_empty(),
        Value::Map(map) => map.iter().all(|(_, node)| says_nothing(node)),
    }
}

/// Entries of an object's list.
pub(super) fn list<'n>(node: &'n Node, path: &[&str]) -> impl Iterator<Item = &'n Node> {
    path.iter().try_fold(node, |node, key| node.get(key)).into_iter().flat_map(Node::entries)
}

/// The text of a field, when it is not empty.
pub(super) fn text<'n>(node: &'n Node, name: &str) -> Option<&'n str> {
    node.get(name).and_then(Node::text).filter(|t| !t.is_empty())
}

/// Whether a field is `true`.
pub(super) fn flag(node: &Node, name: &str) -> bool {
    node.get(name).and_then(Node::text) == Some("true")
}

/// Reports what the fields of a config say wrongly together.
pub(super) fn meaning(root: &Node, minor: u8, roots: &Roots, problems: &Problems) {
    let wrong = |node: &Node, what: &str| problems.report(roots.wrong(&node.place, what));
    duplicates(root, &CONFIG, roots, problems);
    for reference in list(root, &["ignition", "config", "merge"]) {
        if text(reference, "source").is_none() {
            wrong(reference, "has no `source`");
        }
        resource(reference, minor, roots, problems);
    }
    root.get("ignition")
        .and_then(|i| i.get("config")?.get("replace"))
        .into_iter()
        .for_each(|r| resource(r, minor, roots, problems));
    let links: Vec<&str> = list(root, &["storage", "links"]).filter_map(|l| text(l, "path")).collect();
    for kind in ["files", "directories", "links"] {
        for node in list(root, &["storage", kind]) {
            storage(node, kind, minor, &links, roots, problems);
        }
    }
    for unit in list(root, &["systemd", "units"]) {
        let name = text(unit, "name").unwrap_or_default();
        let extension = name.rsplit_once('.').map(|(_, e)| e).unwrap_or_default();
        let known = "service socket device mount automount swap target path timer slice scope";
        if !known.split(' ').any(|k| k == extension) {
            wrong(
                unit.get("name").unwrap_or(unit),
                "is not the name of a unit: thing.service, thing.timer, …",
            );
        }
        for dropin in list(unit, &["dropins"]) {
            if !text(dropin, "name").is_some_and(|n| n.ends_with(".conf") && !n.contains('/')) {
                wrong(dropin.get("name").unwrap_or(dropin), "is not the name of a drop-in: thing.conf");
            }
        }
    }
    for account in list(root, &["passwd", "users"]).chain(list(root, &["passwd", "groups"])) {
        if text(account, "name").is_none() {
            wrong(account, "has no `name`");
        }
        for id in ["uid", "gid"].into_iter().filter_map(|id| account.get(id)) {
            // The last one means "as it is" to the kernel.
            if id.text().and_then(|t| t.parse().ok()).is_none_or(|id: u32| id == u32::MAX) {
                wrong(id, "is no number of a user or group: 0 to 4294967294");
            }
        }
    }
}

fn storage(node: &Node, kind: &str, minor: u8, links: &[&str], roots: &Roots, problems: &Problems) {
    let wrong = |node: &Node, what: &str| problems.report(roots.wrong(&node.place, what));
    let path = text(node, "path").unwrap_or_default();
    let clean = path.strip_prefix('/').is_some_and(|rest| {
        !rest.contains('\0') && rest.split('/').all(|name| !matches!(name, "" | "." | ".."))
    });
    if !clean {
        wrong(node.get("path").unwrap_or(node), "is not an absolute path without `//`, `.` and `..`");
    }
    let below = |link: &&str| path.strip_prefix(*link).is_some_and(|rest| rest.starts_with('/'));
    if links.iter().any(below) {
        wrong(node, "is below one of `links`");
    }
    if let Some(mode) = node.get("mode") {
        match mode.text().and_then(|t| t.parse::<u32>().ok()) {
            Some(bits) if bits > 0o7777 => wrong(mode, "is no mode: decimal, at most 4095 (7777 in octal)"),
            Some(bits) if minor < 4 && bits > 0o777 => {
                wrong(mode, "setuid, setgid and sticky are there since 3.4.0; before, Ignition ignores them");
            }
            Some(_) => {}
            None => wrong(mode, "is no mode"),
        }
    }
    for owner in ["user", "group"].into_iter().filter_map(|key| node.get(key)) {
        if owner.get("id").is_some() && text(owner, "name").is_some() {
            wrong(owner, "has `id` and `name`; give one of them");
        }
        let id = owner.get("id").and_then(Node::text).map(str::parse::<u32>);
        if matches!(id, Some(Err(_) | Ok(u32::MAX))) {
            wrong(owner, "the number is none of an owner");
        }
    }
    for content in node.get("contents").into_iter().chain(list(node, &["append"])) {
        resource(content, minor, roots, problems);
    }
    if kind == "files"
        && flag(node, "overwrite")
        && node.get("contents").and_then(|c| c.get("source")).is_none()
    {
        wrong(node, "has `overwrite`, and no `contents.source` to put there");
    }
    if kind == "directories" && flag(node, "overwrite") {
        problems.report(
            roots
                .wrong(&node.get("overwrite").unwrap_or(node).place, "is not supported by sledos")
                .why("what the image has in a directory stays; only its mode and owner change"),
        );
    }
    if kind == "links" && text(node, "target").is_none() {
        wrong(node, "has no `target`");
    }
}

fn resource(node: &Node, minor: u8, roots: &Roots, problems: &Problems) {
    let wrong = |node: &Node, what: &str| problems.report(roots.wrong(&node.place, what));
    if let Some(compression) = node.get("compression").filter(|c| !matches!(c.text(), Some("" | "gzip"))) {
        wrong(compression, "only `gzip` is known");
    }
    let source = node.get("source");
    let scheme = text(node, "source").map(|s| s.split_once(':').map_or("", |(scheme, _)| scheme));
    let hash = node.get("verification").and_then(|v| v.get("hash"));
    if let Some(hash) = hash {
        let sum = hash.text().unwrap_or_default();
        let hex = |hex: &str, length| hex.len() == length && hex.bytes().all(|b| b.is_ascii_hexdigit());
        let good = match sum.split_once('-') {
            Some(("sha512", sum)) => hex(sum, 128),
            Some(("sha256", sum)) if minor > 0 => hex(sum, 64),
            _ => false,
        };
        if !good {
            wrong(hash, "is no hash: sha512-… or, since 3.1.0, sha256-…, in hexadecimal digits");
        } else if source.is_none() {
            wrong(hash, "there is no `source` that it could be the hash of");
        }
    }
    let Some(source) = source else { return };
    match scheme {
        None | Some("data") => {}
        Some("http" | "https") if hash.is_none() => problems.report(
            roots
                .wrong(&source.place, "is fetched over the network, and nothing says what it must be")
                .hint("add `verification.hash`: `sha512-` and what sha512sum prints"),
        ),
        Some("http" | "https") => {}
        Some(scheme @ ("tftp" | "s3" | "gs" | "arn")) => {
            let what = format!("`{scheme}:` is not supported by sledos; data:, http: and https: are");
            problems.report(roots.wrong(&source.place, what));
        }
        Some(_) => wrong(source, "is no URL of data:, http: or https:"),
    }
    for header in list(node, &["httpHeaders"]) {
        if !matches!(scheme, Some("http" | "https")) || text(header, "name").is_none() {
            wrong(header, "is for http: and https:, and needs a `name`");
        }
    }
}

/// Reports entries that are there twice.
fn duplicates(node: &Node, kind: &Kind, roots: &Roots, problems: &Problems) {
    let Kind::Object(fields) = kind else { return };
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for field in *fields {
        let Some(value) = node.get(field.name) else { continue };
        if let Kind::List(of, identity) = &field.kind {
            for entry in value.entries() {
                duplicates(entry, of, roots, problems);
                let list = if *identity == Identity::Path { "path" } else { field.name };
                let Some(key) = key(entry, *identity) else { continue };
                if seen.contains(&(list, key)) {
                    problems.report(roots.wrong(&entry.place, format_args!("`{key}` is here twice")));
                }
                seen.push((list, key));
            }
        } else {
            duplicates(value, &field.kind, roots, problems);
        }
    }
}
