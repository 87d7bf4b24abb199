//! Changes to a fleet file as text, so that its comments and its order survive.
//!
//! Every change is small and local; who asks for it parses the result and compares it
//! with what was wanted before anything is written.

use yaml::diagnostic::Place;
use yaml::{Key, Node, Value};

/// Replaces a range of bytes.
#[derive(Clone, Debug)]
pub(super) struct Change {
    from: usize,
    to: usize,
    with: String,
}

/// A file that is being changed.
pub(super) struct Editor<'a> {
    text: &'a str,
    /// Where each line begins.
    lines: Vec<usize>,
    changes: Vec<Change>,
    newline: &'static str,
}

/// A new value of a key.
pub(super) enum New {
    One(String),
    Many(Vec<String>),
}

impl<'a> Editor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let starts = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1);
        let bom = if text.starts_with('\u{feff}') { 3 } else { 0 };
        let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
        Self { text, lines: std::iter::once(bom).chain(starts).collect(), changes: Vec::new(), newline }
    }

    /// The text with all changes.
    pub(super) fn finish(mut self) -> String {
        self.changes.sort_by_key(|c| (c.from, c.to));
        let mut out = String::with_capacity(self.text.len() + 4096);
        let mut at = 0;
        for change in &self.changes {
            out.push_str(self.text.get(at..change.from).unwrap_or_default());
            out.push_str(&change.with);
            at = change.to.max(at);
        }
        out.push_str(self.text.get(at..).unwrap_or_default());
        out
    }

    fn change(&mut self, from: usize, to: usize, with: String) {
        self.changes.push(Change { from, to, with });
    }

    /// The byte at a line and column, both from 1.
    fn byte(&self, (line, column): (usize, usize)) -> usize {
        let Some(start) = self.lines.get(line.saturating_sub(1)).copied() else { return self.text.len() };
        let rest = self.text.get(start..).unwrap_or_default();
        rest.char_indices().nth(column.saturating_sub(1)).map_or(self.text.len(), |(at, _)| start + at)
    }

    fn start(&self, place: &Place) -> usize {
        self.byte((place.line, place.column))
    }

    /// The line a value ends on. One in a block ends at the beginning of the next.
    fn last_line(&self, node: &Node) -> usize {
        let (line, column) = node.place.end;
        if column <= 1 && line > node.place.line { line - 1 } else { line }
    }

    /// Where a line ends, its newline left out.
    fn line_end(&self, line: usize) -> usize {
        let start = self.lines.get(line.saturating_sub(1)).copied().unwrap_or(self.text.len());
        let rest = self.text.get(start..).unwrap_or_default();
        let length = rest.find('\n').unwrap_or(rest.len());
        start + rest.get(..length).map_or(0, |l| l.trim_end_matches('\r').len())
    }

    fn is_flow(&self, node: &Node) -> bool {
        self.text.get(self.start(&node.place)..).is_some_and(|t| t.starts_with(['{', '[']))
    }

    /// Adds entries, each a text without its indentation (`name: {…}` or `- {…}`), to
    /// the map or list at a key of the file.
    pub(super) fn append(&mut self, root: &Node, key: &str, entries: &[String]) {
        let newline = self.newline;
        let block =
            |indent: &str| entries.iter().map(|e| format!("{newline}{indent}{e}")).collect::<String>();
        let Some((name, node)) = root.key(key).zip(root.get(key)) else {
            let text = self.text.trim_end();
            let end = text.len();
            let with = format!("{newline}{newline}{key}:{}{newline}", block("  "));
            return self.change(end, self.text.len(), with);
        };
        let last = match &node.value {
            Value::Map(map) => map.last().map(|(_, n)| n),
            Value::List(list) => list.last(),
            _ => {
                let end = self.line_end(name.place.line);
                return self.change(end, end, block("  "));
            }
        };
        let end = self.byte(node.place.end);
        match last {
            None => self.change(self.start(&node.place), end, block("  ").to_string()),
            Some(last) if self.is_flow(node) => {
                let at = self.byte(last.place.end);
                let flow: Vec<_> = entries.iter().map(|e| e.trim_start_matches("- ")).collect();
                self.change(at, at, format!(", {}", flow.join(", ")));
            }
            Some(last) => {
                let at = self.line_end(self.last_line(last));
                let indent = " ".repeat(node.place.column.saturating_sub(1));
                self.change(at, at, block(&indent));
            }
        }
    }

    /// Sets a key of a map, or removes it. `beside` are keys a new one is put behind.
    pub(super) fn set(&mut self, map: &Node, key: &str, new: Option<New>, beside: &[&str]) {
        let Value::Map(entries) = &map.value else { return };
        let found = entries.iter().position(|(k, _)| k.name == key);
        match (found, new) {
            (None, None) => {}
            (Some(at), None) => self.remove(map, entries, at),
            (Some(at), Some(new)) => {
                if let Some((_, node)) = entries.get(at) {
                    self.replace(node, new);
                }
            }
            (None, Some(new)) => {
                let line = format!("{key}: {}", flow(&new));
                let last = entries.iter().rfind(|(k, _)| beside.contains(&k.name.as_str()));
                let Some((_, last)) = last.or(entries.last()) else { return };
                if self.is_flow(map) {
                    let at = self.byte(last.place.end);
                    self.change(at, at, format!(", {line}"));
                } else {
                    let at = self.line_end(self.last_line(last));
                    let indent = " ".repeat(map.place.column.saturating_sub(1));
                    self.change(at, at, format!("{}{indent}{line}", self.newline));
                }
            }
        }
    }

    fn replace(&mut self, node: &Node, new: New) {
        let (from, to) = (self.start(&node.place), self.byte(node.place.end));
        let (Value::List(old), New::Many(new)) = (&node.value, &new) else {
            return self.change(from, to, flow(&new));
        };
        if self.is_flow(node) && old.len() != new.len() {
            return self.change(from, to, flow(&New::Many(new.clone())));
        }
        for (old, new) in old.iter().zip(new) {
            self.change(self.start(&old.place), self.byte(old.place.end), quoted(new));
        }
        for gone in old.iter().skip(new.len()) {
            self.remove_lines(gone.place.line, self.last_line(gone));
        }
        if let Some(last) = old.last() {
            let at = self.line_end(self.last_line(last));
            let indent = " ".repeat(node.place.column.saturating_sub(1));
            for more in new.iter().skip(old.len()) {
                self.change(at, at, format!("{}{indent}- {}", self.newline, quoted(more)));
            }
        }
    }

    fn remove(&mut self, map: &Node, entries: &[(Key, Node)], at: usize) {
        let Some((key, node)) = entries.get(at) else { return };
        if !self.is_flow(map) {
            return self.remove_lines(key.place.line, self.last_line(node));
        }
        match (at.checked_sub(1).and_then(|before| entries.get(before)), entries.get(at + 1)) {
            (Some((_, before)), _) => {
                self.change(self.byte(before.place.end), self.byte(node.place.end), String::new())
            }
            (None, Some((next, _))) => {
                self.change(self.start(&key.place), self.start(&next.place), String::new())
            }
            (None, None) => self.change(self.start(&key.place), self.byte(node.place.end), String::new()),
        }
    }

    fn remove_lines(&mut self, first: usize, last: usize) {
        let from = self.lines.get(first.saturating_sub(1)).copied().unwrap_or(self.text.len());
        let to = self.lines.get(last).copied().unwrap_or(self.text.len());
        self.change(from, to, String::new());
    }
}

/// A value on one line.
pub(super) fn flow(new: &New) -> String {
    match new {
        New::One(text) => quoted(text),
        New::Many(texts) => format!("[{}]", texts.iter().map(|t| quoted(t)).collect::<Vec<_>>().join(", ")),
    }
}

/// A text as a YAML scalar, in quotes when another reader could take it for a number
/// (`52:54:00:12:34:56` is one in YAML 1.1) or for something else.
pub(super) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._:/@+-".contains(c);
    let first = text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    let letters = text.chars().any(|c| c.is_ascii_alphabetic());
    let word = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let lower = text.to_ascii_lowercase();
    let number = lower.starts_with("0x") || lower.starts_with("0o") || text.parse::<f64>().is_ok();
    if first
        && letters
        && !number
        && !text.ends_with(':')
        && text.chars().all(plain)
        && !word.contains(&lower.as_str())
    {
        return text.to_owned();
    }
    // JSON's escapes are YAML's, too.
    serde_json::to_string(text).unwrap_or_default()
}

/// What a node says, without places: to compare.
pub(super) fn content(node: &Node) -> String {
    match &node.value {
        Value::Null => "~".to_owned(),
        Value::Scalar { text, .. } => format!("{text:?}"),
        Value::List(list) => format!("[{}]", list.iter().map(content).collect::<Vec<_>>().join(",")),
        Value::Map(map) => {
            let pairs = map.iter().map(|(k, v)| format!("{:?}:{}", k.name, content(v)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use yaml::diagnostic::Source;

    fn edited(text: &str, edit: impl FnOnce(&mut Editor<'_>, &Node)) -> String {
        let root = yaml::parse(&Source::new("t.yaml", text)).unwrap();
        let mut editor = Editor::new(text);
        edit(&mut editor, &root);
        editor.finish()
    }

    #[test]
    fn entries_are_added_wherever_the_key_stands() {
        let entries = ["x: {bay: 2}".to_owned()];
        for (text, want) in [
            (
                "sleds:\n  # c\n  a: {bay: 1} # d\n\n# e\nz: 1\n",
                "sleds:\n  # c\n  a: {bay: 1} # d\n  x: {bay: 2}\n\n# e\nz: 1\n",
            ),
            ("sleds:\n  a:\n    bay: 1\nz: 1\n", "sleds:\n  a:\n    bay: 1\n  x: {bay: 2}\nz: 1\n"),
            ("a: 1", "a: 1\n\nsleds:\n  x: {bay: 2}\n"),
            ("sleds: {}\nz: 1\n", "sleds: \n  x: {bay: 2}\nz: 1\n"),
            ("sleds:   # c\nz: 1\n", "sleds:   # c\n  x: {bay: 2}\nz: 1\n"),
            ("sleds: {a: {bay: 1}}\n", "sleds: {a: {bay: 1}, x: {bay: 2}}\n"),
            ("sleds:\r\n  a: {bay: 1}\r\nz: 1\r\n", "sleds:\r\n  a: {bay: 1}\r\n  x: {bay: 2}\r\nz: 1\r\n"),
        ] {
            assert_eq!(edited(text, |e, root| e.append(root, "sleds", &entries)), want);
        }
    }

    #[test]
    fn values_are_replaced_added_and_removed_in_place() {
        let set = |text: &str, key: &str, new: Option<New>| {
            edited(text, |e, root| e.set(root.get("m").unwrap(), key, new, &["a"]))
        };
        let one = |t: &str| Some(New::One(t.to_owned()));
        let many = |t: &[&str]| Some(New::Many(t.iter().map(|t| (*t).to_owned()).collect()));
        assert_eq!(set("m: {a: \"1\", b: 2} # c\n", "a", one("x")), "m: {a: x, b: 2} # c\n");
        assert_eq!(set("m: {a: 1, b: 2}\n", "a", None), "m: {b: 2}\n");
        assert_eq!(set("m: {a: 1, b: [2, 3]}\n", "b", None), "m: {a: 1}\n");
        assert_eq!(set("m: {a: 1, b: [2, 3]}\n", "b", many(&["x"])), "m: {a: 1, b: [x]}\n");
        assert_eq!(set("m: {a: 1}\n", "b", one("x")), "m: {a: 1, b: x}\n");
        assert_eq!(set("m:\n  a: 1 # c\n  b: 2\n", "d", one("x")), "m:\n  a: 1 # c\n  d: x\n  b: 2\n");
        assert_eq!(
            set("m:\n  a: 1\n  b:\n    - p # c\n    - q\n", "b", many(&["x"])),
            "m:\n  a: 1\n  b:\n    - x # c\n"
        );
        assert_eq!(
            set("m:\n  a: 1\n  b:\n    - p # c\n", "b", many(&["x", "z"])),
            "m:\n  a: 1\n  b:\n    - x # c\n    - z\n"
        );
        assert_eq!(set("m:\n  a: 1\n  b:\n    - p\n  d: 2\n", "b", None), "m:\n  a: 1\n  d: 2\n");
    }

    #[test]
    fn what_could_be_a_number_is_quoted() {
        for text in ["ZM18AS036112", "aa:bb:cc:00:00:01", "4c4c4544-0042", "52:54:00:ab:cd:ef"] {
            assert_eq!(quoted(text), text);
        }
        for text in
            ["12", "1e5", "52:54:00:12:34:56", "0x1f", "no", "a b", "", "..CN7", "a\"", "a:", "1,2", "inf"]
        {
            assert!(quoted(text).starts_with('"'), "{text}");
        }
    }
}
