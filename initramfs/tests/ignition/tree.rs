//! Two trees, line by line.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// What is at a path: kind, mode, owner, content, and with which other path it is one file.
fn look(root: &Path) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut seen: HashMap<u64, String> = HashMap::new();
    below(root, root, &mut all, &mut seen);
    all
}

fn below(root: &Path, dir: &Path, all: &mut BTreeMap<String, String>, seen: &mut HashMap<u64, String>) {
    let mut entries: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let meta = fs::symlink_metadata(&path).unwrap();
        let name = format!("/{}", path.strip_prefix(root).unwrap().display());
        let (owner, mode) = (format!("{}:{}", meta.uid(), meta.gid()), meta.mode() & 0o7777);
        let what = if meta.is_symlink() {
            format!("link {owner} -> {}", fs::read_link(&path).unwrap().display())
        } else if meta.is_dir() {
            format!("directory {mode:04o} {owner}")
        } else {
            let content = fs::read(&path).unwrap();
            let content = if name == "/etc/shadow" { undated(&content) } else { content };
            let same = seen.entry(meta.ino()).or_insert_with(|| name.clone());
            let same = if *same == name { String::new() } else { format!(" is {same}") };
            format!("file {mode:04o} {owner}{same} {:?}", String::from_utf8_lossy(&content))
        };
        all.insert(name, what);
        if meta.is_dir() {
            below(root, &path, all, seen);
        }
    }
}

/// Without the day of the last change: ours is empty, so that it does not change by the day.
fn undated(shadow: &[u8]) -> Vec<u8> {
    let line = |line: &str| {
        let mut fields: Vec<&str> = line.split(':').collect();
        fields[2] = "";
        fields.join(":")
    };
    String::from_utf8_lossy(shadow).lines().map(line).collect::<Vec<_>>().join("\n").into_bytes()
}

/// The lines in which two trees differ.
pub(crate) fn differences(ours: &Path, theirs: &Path) -> String {
    let (ours, theirs) = (look(ours), look(theirs));
    let mut lines = Vec::new();
    for path in ours.keys().chain(theirs.keys()).collect::<std::collections::BTreeSet<_>>() {
        let (a, b) = (ours.get(path), theirs.get(path));
        if a != b {
            lines.push(format!("{path}\n  ours   {}\n  theirs {}", show(a), show(b)));
        }
    }
    lines.join("\n")
}

fn show(what: Option<&String>) -> &str {
    what.map_or("nothing", String::as_str)
}
