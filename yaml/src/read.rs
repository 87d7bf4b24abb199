//! [`Node`] → values of the type a key asks for.
//!
//! Functions return `None` when a mistake was reported, so that a reader goes on and
//! finds all the others.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::{Key, Node, Value};
use crate::diagnostic::{Diagnostic, Diagnostics, Place};
use crate::nearest::nearest;

/// The mistakes found so far.
#[derive(Debug, Default)]
pub struct Problems(RefCell<Vec<Diagnostic>>);

impl Problems {
    /// Adds one.
    pub fn report(&self, problem: Diagnostic) {
        self.0.borrow_mut().push(problem);
    }

    /// Adds several.
    pub fn extend(&self, problems: Diagnostics) {
        self.0.borrow_mut().extend(problems.0);
    }

    /// All of them, in the order found.
    pub fn into_inner(self) -> Vec<Diagnostic> {
        self.0.into_inner()
    }

    /// The value when nothing was wrong.
    ///
    /// # Errors
    /// All mistakes, sorted by file and line; each once, also when an alias repeats it.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Diagnostics> {
        let mut found = self.into_inner();
        let at = |d: &Diagnostic| d.place.as_ref().map(|p| (p.file().to_owned(), p.line, p.column));
        found.sort_by(|a, b| at(a).cmp(&at(b)).then_with(|| a.message.cmp(&b.message)));
        found.dedup_by(|a, b| a.message == b.message && a.place == b.place);
        match value {
            Some(value) if found.is_empty() => Ok(value),
            _ if found.is_empty() => {
                Err(Diagnostic::nowhere("the file was refused for no stated reason").into())
            }
            _ => Err(Diagnostics(found)),
        }
    }
}

/// Why a text is not what a key wants. The place is added by who knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// What is wrong.
    pub message: String,
    /// Why.
    pub why: Option<String>,
    /// What to do.
    pub hint: Option<String>,
}

impl Wrong {
    /// What is wrong.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), why: None, hint: None }
    }

    /// Adds the reason.
    #[must_use]
    pub fn why(mut self, why: impl Into<String>) -> Self {
        self.why = Some(why.into());
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The mistake at a place.
    pub fn at(self, place: &Place) -> Diagnostic {
        Diagnostic { why: self.why, hint: self.hint, ..Diagnostic::at(place, self.message) }
    }
}

/// A node to be read, and what it is called in messages.
#[derive(Clone)]
pub struct Cursor<'a> {
    /// The node.
    pub node: &'a Node,
    /// Where mistakes go.
    pub problems: &'a Problems,
    /// Its name: `kernel.cmdline`; empty for the whole file.
    pub name: String,
}

impl<'a> Cursor<'a> {
    /// The whole file.
    pub fn root(node: &'a Node, problems: &'a Problems) -> Self {
        Self { node, problems, name: String::new() }
    }

    /// Reports a mistake here.
    pub fn wrong<T>(&self, wrong: Wrong) -> Option<T> {
        self.problems.report(wrong.at(&self.node.place));
        None
    }

    fn expected<T>(&self, what: &str) -> Option<T> {
        let name = if self.name.is_empty() { "this file" } else { &self.name };
        if matches!(self.node.value, Value::Null) {
            return self.wrong(
                Wrong::new(format!("`{name}` has no value"))
                    .why(format!("it should be {what}"))
                    .hint("give it one (`[]` is an empty list), or remove the line"),
            );
        }
        let example = match (&self.node.value, what) {
            (Value::Scalar { text, .. }, "a list") => {
                format!("write `{}: [{text}]`", name.rsplit('.').next().unwrap_or(name))
            }
            (Value::List(_), "a map") => "write `key: value` lines instead of `- …` lines".to_owned(),
            (Value::Map(_), "a list") => "write `- …` lines instead of `key: value` lines".to_owned(),
            _ => {
                return self
                    .wrong(Wrong::new(format!("`{name}` should be {what}, this is {}", self.node.kind())));
            }
        };
        self.wrong(
            Wrong::new(format!("`{name}` should be {what}, this is {}", self.node.kind())).hint(example),
        )
    }

    /// A single value, made of its text by `parse`.
    pub fn text<T>(&self, parse: impl FnOnce(&str) -> Result<T, Wrong>) -> Option<T> {
        match self.node.text() {
            Some(text) => parse(text).map_or_else(|wrong| self.wrong(wrong), Some),
            None => self.expected("a single value"),
        }
    }

    /// Whether this is text in quotes or in a block.
    pub fn is_quoted(&self) -> bool {
        matches!(self.node.value, Value::Scalar { quoted: true, .. })
    }

    /// `true` or `false`.
    pub fn boolean(&self) -> Option<bool> {
        match self.node.text() {
            Some("true") if !self.is_quoted() => Some(true),
            Some("false") if !self.is_quoted() => Some(false),
            Some(text) => self.wrong(
                Wrong::new(format!("`{}` should be true or false, this is `{text}`", self.name))
                    .hint("write `true` or `false`, without quotes"),
            ),
            None => self.expected("true or false"),
        }
    }

    /// A whole number within a range.
    pub fn integer(&self, range: RangeInclusive<i64>) -> Option<i64> {
        let (low, high) = (range.start(), range.end());
        let Some(text) = self.node.text() else { return self.expected("a number") };
        match text.parse::<i64>() {
            Ok(_) if self.is_quoted() => self.wrong(
                Wrong::new(format!("`{}` should be a number, this is text", self.name))
                    .hint("remove the quotes"),
            ),
            Ok(n) if text != n.to_string() => self.wrong(
                Wrong::new(format!("`{text}` is not a plain decimal number")).hint(format!("write `{n}`")),
            ),
            Ok(n) if range.contains(&n) => Some(n),
            Ok(n) => self.wrong(Wrong::new(format!("`{}` is {n}, it must be {low} to {high}", self.name))),
            Err(_) => self.wrong(
                Wrong::new(format!("`{}` should be a number, this is `{text}`", self.name))
                    .hint(format!("write a whole number from {low} to {high}")),
            ),
        }
    }

    /// The entries of a list.
    pub fn list<T>(&self, each: impl Fn(Cursor<'a>) -> Option<T>) -> Option<Vec<T>> {
        let Value::List(list) = &self.node.value else { return self.expected("a list") };
        let read: Vec<Option<T>> =
            list.iter().map(|node| each(Cursor { node, name: self.name.clone(), ..self.clone() })).collect();
        read.into_iter().collect()
    }

    /// The entries of a map whose keys are free.
    pub fn map<K: Ord, T>(
        &self,
        key: impl Fn(&str) -> Result<K, Wrong>,
        each: impl Fn(Cursor<'a>) -> Option<T>,
    ) -> Option<BTreeMap<K, T>> {
        let Value::Map(map) = &self.node.value else { return self.expected("a map") };
        let entry = |(k, node): &'a (Key, Node)| {
            let name = format!("{}.{}", self.name, k.name);
            let parsed = key(&k.name).map_err(|wrong| self.problems.report(wrong.at(&k.place))).ok();
            let value = each(Cursor { node, name, ..self.clone() });
            Some((parsed?, value?))
        };
        let read: Vec<Option<(K, T)>> = map.iter().map(entry).collect();
        read.into_iter().collect()
    }

    /// The entries of a map whose keys are known. Call [`Fields::finish`] at the end.
    pub fn fields(&self) -> Option<Fields<'a>> {
        match &self.node.value {
            Value::Map(entries) => {
                Some(Fields { at: self.clone(), entries, asked: RefCell::new(Vec::new()) })
            }
            _ => self.expected("a map"),
        }
    }
}

/// A map whose keys are known: every key asked for is one.
pub struct Fields<'a> {
    at: Cursor<'a>,
    entries: &'a [(Key, Node)],
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Fields<'a> {
    /// The value of a key, when it is there.
    pub fn get(&self, key: &'static str) -> Option<Cursor<'a>> {
        self.asked.borrow_mut().push(key);
        let (_, node) = self.entries.iter().find(|(k, _)| k.name == key)?;
        let name = if self.at.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.at.name) };
        Some(Cursor { node, name, ..self.at.clone() })
    }

    /// A key that must be there.
    pub fn required<T>(&self, key: &'static str, read: impl FnOnce(Cursor<'a>) -> Option<T>) -> Option<T> {
        match self.get(key) {
            Some(at) => read(at),
            None => {
                let who = match self.at.node.identity() {
                    _ if self.at.name.is_empty() => "the file".to_owned(),
                    Some(name) => format!("`{name}`"),
                    None => format!("`{}`", self.at.name),
                };
                self.at.wrong(Wrong::new(format!("{who} has no `{key}`")).hint(format!("add `{key}: …`")))
            }
        }
    }

    /// A key with a default.
    pub fn or<T>(
        &self,
        key: &'static str,
        default: T,
        read: impl FnOnce(Cursor<'a>) -> Option<T>,
    ) -> Option<T> {
        self.get(key).map_or(Some(default), read)
    }

    /// A key that may be missing. The outer `None` is a mistake.
    pub fn optional<T>(
        &self,
        key: &'static str,
        read: impl FnOnce(Cursor<'a>) -> Option<T>,
    ) -> Option<Option<T>> {
        self.get(key).map_or(Some(None), |at| read(at).map(Some))
    }

    /// Reports the keys nobody asked for.
    pub fn finish(self) {
        let known = self.asked.borrow();
        for (key, _) in self.entries.iter().filter(|(k, _)| !known.contains(&k.name.as_str())) {
            let within =
                if self.at.name.is_empty() { String::new() } else { format!(" in `{}`", self.at.name) };
            let wrong = Wrong::new(format!("unknown key `{}`{within}", key.name));
            let removed = key.name.strip_prefix("remove-").filter(|k| known.contains(k));
            let hint = match nearest(&key.name, known.iter().copied()) {
                _ if key.name == "<<" => "merge keys are not supported: use `include:`".to_owned(),
                _ if removed.is_some() => format!("`{}` takes a list: `{0}: [name, …]`", key.name),
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known keys: {}", known.join(", ")),
            };
            self.at.problems.report(wrong.hint(hint).at(&key.place));
        }
    }
}
