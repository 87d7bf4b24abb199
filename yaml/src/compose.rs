//! Text → [`Node`].

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use granit_parser::{Event, Parser, ScalarStyle, Span, options};

use super::{Key, Node, Value};
use crate::diagnostic::{Diagnostic, Diagnostics, Place, Source};

/// Lists and maps inside each other.
const MAX_DEPTH: usize = 32;
/// Nodes that are written in a file: 100 000 sleds have some 20 each.
const MAX_WRITTEN: usize = 4_000_000;
/// Nodes that anchors (`&name`) keep and aliases (`*name`) add, when they are replaced by what they stand
/// for: a node below three anchors is kept three times.
const MAX_COPIED: usize = 200_000;
/// Bytes of text that anchors keep and aliases add.
const MAX_COPIED_TEXT: usize = 32 << 20;

/// Parses one YAML document. An empty one is an empty map.
///
/// Refused beside what YAML forbids: duplicate keys, keys that are not text, tags
/// (`!x`), more than one document, deep nesting, aliases that multiply.
///
/// # Errors
/// Broken syntax stops at the first mistake; all duplicate keys are reported at once.
pub fn parse(source: &Arc<Source>) -> Result<Node, Diagnostics> {
    let parser = Parser::new_from_str_with_options(
        &source.text,
        options! { emit_comments: false, flow_nesting_limit: MAX_DEPTH },
    );
    let mut composer = Composer {
        source,
        parser,
        anchors: HashMap::new(),
        nodes: 0,
        added: 0,
        copied: 0,
        text: 0,
        copied_text: 0,
        mistakes: Vec::new(),
    };
    let node = composer.document()?;
    if composer.mistakes.is_empty() { Ok(node) } else { Err(Diagnostics(composer.mistakes)) }
}

struct Composer<'a> {
    source: &'a Arc<Source>,
    parser: Parser<'a, granit_parser::StrInput<'a>>,
    /// Anchored nodes by the parser's number, with how many nodes and bytes of text each has.
    anchors: HashMap<usize, (Node, usize, usize)>,
    nodes: usize,
    /// Those of them that aliases added.
    added: usize,
    /// Nodes that anchors keep and aliases added.
    copied: usize,
    /// Bytes of text of all nodes.
    text: usize,
    /// Those of them that anchors keep and aliases add.
    copied_text: usize,
    mistakes: Vec<Diagnostic>,
}

impl<'a> Composer<'a> {
    fn document(&mut self) -> Result<Node, Diagnostics> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentEnd => {}
                Event::DocumentStart(..) if root.is_none() => {
                    let (event, span) = self.next()?;
                    root = Some(self.node(event, span, 0)?);
                }
                Event::StreamEnd => break,
                _ => {
                    return Err(Diagnostic::at(&self.place(span), "a second YAML document begins here")
                        .why("one file is one document")
                        .hint("remove the `---`, or put the rest into a file of its own")
                        .into());
                }
            }
        }
        let start = Place::new(self.source, 1, 1);
        Ok(match root {
            Some(Node { value: Value::Null, place }) => Node { place, value: Value::Map(Vec::new()) },
            Some(root) => root,
            None => Node { place: start, value: Value::Map(Vec::new()) },
        })
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Diagnostics> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(e)) => {
                let place = Place::new(self.source, e.marker().line(), e.marker().col() + 1);
                Err(Diagnostic::at(&place, format!("not valid YAML: {}", e.info()))
                    .hint(advice(&place))
                    .into())
            }
            None => Err(Diagnostic::at(&Place::new(self.source, 1, 1), "the file ends too early").into()),
        }
    }

    fn place(&self, span: Span) -> Place {
        let (start, end) = (span.start, span.end);
        let width = if start.line() == end.line() { end.col().saturating_sub(start.col()) } else { 1 };
        Place {
            width: width.max(1),
            end: (end.line(), end.col() + 1),
            ..Place::new(self.source, start.line(), start.col() + 1)
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Diagnostics> {
        let mut place = self.place(span);
        let (before, text_before) = (self.nodes, self.text);
        self.nodes += 1;
        if self.nodes - self.added > MAX_WRITTEN {
            let wrong = format!("more than {MAX_WRITTEN} values in one file");
            return Err(Diagnostic::at(&place, wrong).into());
        }
        if depth > MAX_DEPTH {
            return Err(Diagnostic::at(&place, format!("nested deeper than {MAX_DEPTH} levels")).into());
        }
        if let Some(tag) = event.tag() {
            return Err(Diagnostic::at(
                &place,
                format!("the YAML tag `{}{}` is not supported", tag.handle(), tag.suffix()),
            )
            .hint("leave it out; put text that starts with `!` in quotes")
            .into());
        }
        let (anchor, value) = match event {
            Event::Scalar(text, style, anchor, _) => {
                self.text += text.len();
                (anchor, scalar(&text, style))
            }
            Event::SequenceStart(_, anchor, _) => {
                let (list, end) = self.list(depth)?;
                place.end = collection_end(&place, end, list.last());
                (anchor, Value::List(list))
            }
            Event::MappingStart(_, anchor, _) => {
                let (map, end) = self.map(depth)?;
                place.end = collection_end(&place, end, map.last().map(|(_, node)| node));
                (anchor, Value::Map(map))
            }
            Event::Alias(id) => {
                let Some((size, text)) = self.anchors.get(&id).map(|(_, size, text)| (*size, *text)) else {
                    return Err(Diagnostic::at(&place, "this alias stands inside what it stands for").into());
                };
                self.nodes += size;
                self.added += size;
                self.text += text;
                self.copy(size, text, &place)?;
                (0, self.anchors.get(&id).map_or(Value::Null, |(node, ..)| node.value.clone()))
            }
            _ => return Err(Diagnostic::at(&place, "a value is missing here").into()),
        };
        let node = Node { place, value };
        if anchor != 0 {
            let (size, text) = (self.nodes - before, self.text - text_before);
            self.copy(size, text, &node.place)?;
            self.anchors.insert(anchor, (node.clone(), size, text));
        }
        Ok(node)
    }

    /// Counts nodes and bytes of text that are about to be copied.
    fn copy(&mut self, nodes: usize, text: usize, place: &Place) -> Result<(), Diagnostics> {
        self.copied += nodes;
        self.copied_text += text;
        let what = if self.copied > MAX_COPIED {
            format!("anchors and aliases make more than {MAX_COPIED} values")
        } else if self.copied_text > MAX_COPIED_TEXT {
            format!("anchors and aliases make more than {} MiB of text", MAX_COPIED_TEXT >> 20)
        } else {
            return Ok(());
        };
        Err(Diagnostic::at(place, what)
            .why("an alias (`*name`) counts as often as it is used, an anchor (`&name`) with all that is in it")
            .hint("put what many share into one place that all of them get, like a role")
            .into())
    }

    fn list(&mut self, depth: usize) -> Result<(Vec<Node>, Span), Diagnostics> {
        let mut list = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, span) => return Ok((list, span)),
                (event, span) => list.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<(Vec<(Key, Node)>, Span), Diagnostics> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        let mut seen: BTreeMap<String, Place> = BTreeMap::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                return Ok((entries, span));
            }
            let key = self.node(event, span, depth + 1)?;
            let Value::Scalar { text: name, .. } = key.value else {
                return Err(Diagnostic::at(
                    &key.place,
                    format!("a key must be text, this is {}", key.kind()),
                )
                .hint("put keys with special characters in quotes: `\"*\": …`")
                .into());
            };
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            match seen.get(&name) {
                Some(first) => self.mistakes.push(
                    Diagnostic::at(&key.place, format!("the key `{name}` is here twice"))
                        .also("first here", first)
                        .why("only one of them could count, and which one would be a guess")
                        .hint("merge the two, or remove one"),
                ),
                None => {
                    seen.insert(name.clone(), key.place.clone());
                    entries.push((Key { name, place: key.place }, value));
                }
            }
        }
    }
}

/// Where a collection ends: one in brackets behind its bracket, one made by indentation
/// where its last entry does, as the parser notices its end only at what comes next.
fn collection_end(place: &Place, end: Span, last: Option<&Node>) -> (usize, usize) {
    let bracket = (end.start.line(), end.start.col()) != (end.end.line(), end.end.col());
    match last {
        _ if bracket => (end.end.line(), end.end.col() + 1),
        Some(last) => last.place.end,
        None => place.end,
    }
}

/// The null of the YAML core schema; everything else stays text.
fn scalar(text: &str, style: ScalarStyle) -> Value {
    let quoted = style != ScalarStyle::Plain;
    match text {
        "" | "~" | "null" | "Null" | "NULL" if !quoted => Value::Null,
        _ => Value::Scalar { text: text.to_owned(), quoted },
    }
}

/// What usually is behind broken syntax on this line.
fn advice(place: &Place) -> &'static str {
    let line = place.snippet();
    if line.contains('\t') {
        "YAML is indented with spaces, never with tabs"
    } else if line.contains(": *") || line.trim_start().starts_with("- *") || line.contains("[*") {
        "put patterns that start with `*` in quotes"
    } else {
        "look for a missing quote, bracket or colon here or just above, and at the indentation"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(text: &str) -> Vec<(usize, usize, String)> {
        let found = parse(&Source::new("t.yaml", text)).unwrap_err().0;
        found
            .iter()
            .map(|d| (d.place.as_ref().unwrap().line, d.place.as_ref().unwrap().column, d.message.clone()))
            .collect()
    }

    fn get(text: &str, key: &str) -> Node {
        parse(&Source::new("t.yaml", text)).unwrap().get(key).unwrap().clone()
    }

    #[test]
    fn scalars_stay_as_they_were_written() {
        for (yaml, text) in
            [("0644", "0644"), ("no", "no"), ("1.10", "1.10"), ("'1'", "1"), ("8086:10fb", "8086:10fb")]
        {
            assert_eq!(get(&format!("k: {yaml}\n"), "k").text(), Some(text));
        }
        assert!(matches!(get("k:\n", "k").value, Value::Null));
        assert!(matches!(get("k: ''\n", "k").value, Value::Scalar { quoted: true, .. }));
    }

    #[test]
    fn places_are_lines_and_columns_from_one() {
        let node = get("# c\na: 1\nkey:   value\n", "key");
        assert_eq!((node.place.line, node.place.column, node.place.width), (3, 8, 5));
        let crlf = get("\u{feff}a: 1\r\nkey: ä\r\n", "key");
        assert_eq!((crlf.place.line, crlf.place.column, crlf.text()), (2, 6, Some("ä")));
    }

    #[test]
    fn ends_are_just_behind_the_last_character() {
        let text = "a: [x, 'y']  # c\nb:\n  - p\n  - {q: r}\n\nc: \"d\"\n";
        for (key, end) in [("a", (1, 12)), ("b", (4, 11)), ("c", (6, 7))] {
            assert_eq!(get(text, key).place.end, end, "{key}");
        }
    }

    #[test]
    fn duplicate_keys_show_both_places() {
        let found = parse(&Source::new("t.yaml", "a: 1\nb: 2\na: 3\nb: 4\n")).unwrap_err().0;
        assert_eq!(found.len(), 2);
        let places: Vec<_> =
            found.iter().map(|d| (d.place.as_ref().unwrap().line, d.also[0].1.line)).collect();
        assert_eq!(places, [(3, 1), (4, 2)]);
        assert_eq!(found[0].message, "the key `a` is here twice");
    }

    #[test]
    fn what_is_refused() {
        for (yaml, line, column, says) in [
            ("a: 1\n---\nb: 2\n", 2, 1, "a second YAML document begins here"),
            ("a: !x 1\n", 1, 7, "the YAML tag `!x` is not supported"),
            ("? [a]\n: 1\n", 1, 3, "a key must be text, this is a list"),
            ("a: &a [*a]\n", 1, 8, "this alias stands inside what it stands for"),
            ("a: [1\n", 1, 4, "not valid YAML: unclosed bracket"),
            ("a:\n\tb: 1\n", 2, 2, "not valid YAML: tabs disallowed"),
            ("a: *nobody\n", 1, 4, "not valid YAML"),
        ] {
            let found = fails(yaml);
            assert_eq!((found[0].0, found[0].1), (line, column), "{yaml:?}: {found:?}");
            assert!(found[0].2.starts_with(says), "{yaml:?}: {found:?}");
        }
    }

    #[test]
    fn bombs_are_refused() {
        let mut bomb = String::from("a: &x0 [1,1,1,1,1,1,1,1,1,1]\n");
        for i in 1..9 {
            bomb += &format!("b{i}: &x{i} [{}]\n", vec![format!("*x{}", i - 1); 10].join(","));
        }
        assert_eq!(fails(&bomb)[0].2, "anchors and aliases make more than 200000 values");
        let long = format!("a: &x {}\nb: [{}]\n", "y".repeat(250_000), vec!["*x"; 4000].join(","));
        assert_eq!(fails(&long)[0].2, "anchors and aliases make more than 32 MiB of text");
        // Anchors within anchors: each keeps all that is in it.
        let nested = |values: usize| {
            let open: String = (0..30).map(|n| format!("&a{n} [")).collect();
            format!("a: {open}{}1{}\n", "1, ".repeat(values), "]".repeat(30))
        };
        assert_eq!(fails(&nested(10_000))[0].2, "anchors and aliases make more than 200000 values");
        assert!(parse(&Source::new("x.yaml", nested(5000))).is_ok());
        let many = format!("a: [{}1]\n", "1, ".repeat(200_000));
        assert!(parse(&Source::new("x.yaml", many)).is_ok(), "what is written is no bomb");
        let deep = format!("a:\n{}", (1..100).map(|i| format!("{}- \n", " ".repeat(i))).collect::<String>());
        assert!(fails(&deep)[0].2.contains("nested deeper"), "{:?}", fails(&deep));
        assert!(fails(&format!("a: {}", "[".repeat(100_000)))[0].2.starts_with("not valid YAML"));
    }
}
