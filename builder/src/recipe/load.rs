//! Reading a recipe with its `include:`s: files → one merged [`Node`].
//!
//! Included files come first, depth-first in the order listed, each file once: what
//! several files include is laid down once, below all of them. `name` and
//! `description` belong to the file they stand in and are not inherited.

use std::path::{Path, PathBuf};

use super::host::{Host, tidy};
use sha2::{Digest as _, Sha256};
use yaml::diagnostic::{Diagnostic, Diagnostics, Place, Source};
use yaml::{Cursor, Node, Problems, Value, merge, parse};

/// Files of one recipe.
const MAX_FILES: usize = 100;

/// The recipe in `file` laid over everything it includes.
///
/// # Errors
/// Files that cannot be read or parsed, include cycles, `remove-…` that removes nothing.
pub(super) fn load(file: &Path, host: &dyn Host, problems: &Problems) -> Option<(Node, [u8; 32])> {
    let mut sha256 = Sha256::new();
    let top = read(file, host, &mut sha256).map_err(|e| problems.extend(e)).ok()?;
    let chain = vec![(host.identity(file), file.to_owned())];
    let mut loader = Loader { host, problems, chain, done: Vec::new(), sha256 };
    let mut merged = Node { place: top.place.clone(), value: Value::Map(Vec::new()) };
    let top = loader.includes(top, &mut merged)?;
    if let Value::Map(entries) = &mut merged.value {
        entries.retain(|(key, _)| !matches!(key.name.as_str(), "name" | "description"));
    }
    Some((merge(merged, top, problems), loader.sha256.finalize().into()))
}

struct Loader<'a> {
    host: &'a dyn Host,
    problems: &'a Problems,
    /// The files being included right now, outermost first: identity and name.
    chain: Vec<(PathBuf, PathBuf)>,
    done: Vec<PathBuf>,
    /// Of the files read so far.
    sha256: Sha256,
}

impl Loader<'_> {
    /// Lays what `node` includes over `merged`, and returns `node` without its `include:`.
    fn includes(&mut self, mut node: Node, merged: &mut Node) -> Option<Node> {
        let Value::Map(entries) = &mut node.value else {
            let wrong =
                Diagnostic::at(&node.place, format!("a recipe is a map of keys, this is {}", node.kind()));
            self.problems.report(wrong.hint("begin with `name: …`"));
            return None;
        };
        let Some(at) = entries.iter().position(|(key, _)| key.name == "include") else { return Some(node) };
        let (_, list) = entries.remove(at);
        let cursor = Cursor { name: "include".to_owned(), ..Cursor::root(&list, self.problems) };
        let paths = cursor.list(|at| Some((at.text(super::values::location)?, at.node.place.clone())))?;
        // Every include is tried, so that the mistakes of all files are shown.
        let good: Vec<bool> =
            paths.iter().map(|(path, place)| self.include(path, place, merged).is_some()).collect();
        good.into_iter().all(|g| g).then_some(node)
    }

    fn include(&mut self, path: &str, place: &Place, merged: &mut Node) -> Option<()> {
        let file = tidy(&place.file().parent().unwrap_or(Path::new("")).join(path));
        let identity = self.host.identity(&file);
        if let Some(at) = self.chain.iter().position(|(id, _)| *id == identity) {
            let mut names: Vec<_> =
                self.chain.iter().skip(at).map(|(_, name)| name.display().to_string()).collect();
            names.push(file.display().to_string());
            let wrong = Diagnostic::at(place, format!("`{path}` includes itself")).why(names.join(" → "));
            self.problems.report(wrong.hint("remove one of these includes"));
            return None;
        }
        if self.done.contains(&identity) {
            return Some(());
        }
        if self.done.len() + self.chain.len() >= MAX_FILES {
            self.problems.report(Diagnostic::at(place, format!("more than {MAX_FILES} files are included")));
            return None;
        }
        let wrong = |mut e: Diagnostics| {
            for d in e.0.iter_mut().filter(|d| d.place.is_none()) {
                d.place = Some(place.clone());
                d.hint = Some("paths are relative to the file that includes them".to_owned());
            }
            self.problems.extend(e);
        };
        let node = read(&file, self.host, &mut self.sha256).map_err(wrong).ok();
        self.chain.push((identity.clone(), file));
        let node = node.and_then(|node| self.includes(node, merged));
        self.chain.pop();
        self.done.push(identity);
        let empty = Node { place: merged.place.clone(), value: Value::Null };
        let below = std::mem::replace(merged, empty);
        let whole = node.is_some();
        *merged = match node {
            Some(node) => merge(below, node, self.problems),
            None => below,
        };
        whole.then_some(())
    }
}

fn read(file: &Path, host: &dyn Host, sha256: &mut Sha256) -> Result<Node, Diagnostics> {
    let shown = file.display();
    let bytes = host.read(file).map_err(|e| {
        Diagnostic::nowhere(format!("cannot read the recipe {shown}: {e}"))
            .hint("check the path and its permissions")
    })?;
    sha256.update(&bytes);
    parse(&Source::from_utf8(file, bytes)?)
}
