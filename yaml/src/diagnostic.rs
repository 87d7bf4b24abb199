//! A person's mistake in a file, shown at its line and column with what to do about it.
//!
//! ```text
//! error: unknown key `pakages`
//!   --> recipes/compute.yaml:12:1
//!    |
//! 12 | pakages: [docker.io]
//!    | ^^^^^^^
//!    = hint: did you mean `packages`?
//! ```
//!
//! No colours: the text is the same in a log, a mail and a terminal.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Columns of source shown at most; longer lines are cut around the place.
const WIDTH: usize = 100;

/// A file as it was read.
#[derive(Debug)]
pub struct Source {
    /// Its name as people know it.
    pub file: PathBuf,
    /// Its text.
    pub text: String,
}

impl Source {
    /// A file's text, to make places in.
    pub fn new(file: impl Into<PathBuf>, text: impl Into<String>) -> Arc<Self> {
        Arc::new(Self { file: file.into(), text: text.into() })
    }

    /// A file's bytes, which must be UTF-8.
    ///
    /// # Errors
    /// With the place of the first byte that is not.
    pub fn from_utf8(file: impl Into<PathBuf>, bytes: Vec<u8>) -> Result<Arc<Self>, Diagnostics> {
        let file = file.into();
        String::from_utf8(bytes).map(|text| Self::new(&file, text)).map_err(|e| {
            let good = e.as_bytes().get(..e.utf8_error().valid_up_to()).unwrap_or_default();
            let before = String::from_utf8_lossy(good);
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
            let text = String::from_utf8_lossy(e.as_bytes());
            Diagnostic::at(&Place::new(&Self::new(&file, text), line, column), "this is not UTF-8")
                .hint("save the file as UTF-8")
                .into()
        })
    }
}

/// A place in a file.
#[derive(Clone, Debug)]
pub struct Place {
    /// The file.
    pub source: Arc<Source>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Characters to underline, all on that line; at least one is.
    pub width: usize,
    /// Line and column just behind its last character; editors need it.
    pub end: (usize, usize),
}

impl Place {
    /// A place of one character.
    pub fn new(source: &Arc<Source>, line: usize, column: usize) -> Self {
        Self { source: Arc::clone(source), line, column, width: 1, end: (line, column.saturating_add(1)) }
    }

    /// The file's name.
    pub fn file(&self) -> &Path {
        &self.source.file
    }

    /// The line of source, without its end.
    pub fn snippet(&self) -> &str {
        self.source.text.lines().nth(self.line.saturating_sub(1)).unwrap_or("")
    }
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.source, &other.source) && (self.line, self.column) == (other.line, other.column)
    }
}

/// `file:line:column`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.source.file.display(), self.line, self.column)
    }
}

/// One mistake.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// What is wrong, on one line.
    pub message: String,
    /// Where.
    pub place: Option<Place>,
    /// Other places that belong to it, each with a label: where a key was first.
    pub also: Vec<(String, Place)>,
    /// Why it is wrong.
    pub why: Option<String>,
    /// What to do.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// A mistake at a place.
    pub fn at(place: &Place, message: impl Into<String>) -> Self {
        Self { place: Some(place.clone()), ..Self::nowhere(message) }
    }

    /// A mistake that has no place, like a file that does not exist.
    pub fn nowhere(message: impl Into<String>) -> Self {
        Self { message: message.into(), place: None, also: Vec::new(), why: None, hint: None }
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

    /// Adds another place.
    #[must_use]
    pub fn also(mut self, label: impl Into<String>, place: &Place) -> Self {
        self.also.push((label.into(), place.clone()));
        self
    }
}

/// Without the `error: ` in front, which who prints it adds.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Clean(&self.message))?;
        let places = self.place.iter().map(|p| ("", p));
        let all = places.chain(self.also.iter().map(|(label, p)| (label.as_str(), p)));
        let gutter = all.clone().map(|(_, p)| p.line.to_string().len()).max().unwrap_or(0);
        for (label, place) in all {
            if label.is_empty() {
                write!(f, "\n{:gutter$}--> {place}", "")?;
            } else {
                write!(f, "\n{:gutter$}::: {place}: {label}", "")?;
            }
            write_snippet(f, place, gutter)?;
        }
        for (label, text) in [("why", &self.why), ("hint", &self.hint)] {
            if let Some(text) = text {
                write!(f, "\n{:gutter$} = {label}: {}", "", Clean(text))?;
            }
        }
        Ok(())
    }
}

/// The line of a place with a caret under it, cut to [`WIDTH`].
fn write_snippet(f: &mut fmt::Formatter<'_>, place: &Place, gutter: usize) -> fmt::Result {
    let line = place.snippet();
    let at = place.column.saturating_sub(1);
    let from = if at < WIDTH * 3 / 4 { 0 } else { at - WIDTH / 2 };
    let shown: String = line.chars().skip(from).take(WIDTH).collect();
    let (before, after) =
        (if from > 0 { "…" } else { "" }, if line.chars().nth(from + WIDTH).is_some() { "…" } else { "" });
    let pad = at - from + before.chars().count();
    let carets = place.width.clamp(1, (WIDTH - (at - from)).max(1));
    write!(f, "\n{:gutter$} |", "")?;
    write!(f, "\n{:>gutter$} | {before}{}{after}", place.line, Clean(&shown))?;
    write!(f, "\n{:gutter$} | {:pad$}{:^<carets$}", "", "", "")
}

/// Text from a file, safe to print: a tab is one column, control characters cannot
/// reach the terminal.
struct Clean<'a>(&'a str);

impl fmt::Display for Clean<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::shown::line(self.0))
    }
}

/// All mistakes found at once; never empty.
#[derive(Clone, Debug)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl From<Diagnostic> for Diagnostics {
    fn from(one: Diagnostic) -> Self {
        Self(vec![one])
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, diagnostic) in self.0.iter().enumerate() {
            write!(f, "{}{diagnostic}", if i == 0 { "" } else { "\n\nerror: " })?;
        }
        if self.0.len() > 1 {
            write!(f, "\n\n{} mistakes", self.0.len())?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_line_caret_why_and_hint() {
        let source = Source::new("a.yaml", "one: 1\npakages: [x]\none: 2\n");
        let d = Diagnostic::at(&Place { width: 7, ..Place::new(&source, 2, 1) }, "unknown key `pakages`")
            .also("first here", &Place::new(&source, 1, 1))
            .why("no such key")
            .hint("did you mean `packages`?");
        let want = "\
unknown key `pakages`
 --> a.yaml:2:1
  |
2 | pakages: [x]
  | ^^^^^^^
 ::: a.yaml:1:1: first here
  |
1 | one: 1
  | ^
  = why: no such key
  = hint: did you mean `packages`?";
        assert_eq!(d.to_string(), want);
    }

    #[test]
    fn long_lines_are_cut_and_control_characters_do_not_reach_the_terminal() {
        let source = Source::new("a.yaml", format!("{}\u{1b}[31m!{}", "a".repeat(5000), "b".repeat(5000)));
        let text = Diagnostic::at(&Place::new(&source, 1, 5005), "m\u{7}").to_string();
        assert!(text.len() < 600, "{text}");
        assert!(!text.contains('\u{1b}') && !text.contains('\u{7}'), "{text:?}");
        let lines: Vec<&str> = text.lines().collect();
        let caret = lines[4].chars().position(|c| c == '^').unwrap();
        assert_eq!(lines[3].chars().nth(caret), Some('m'), "{text}");
        assert!(lines[3].contains("| …") && lines[3].ends_with('…'), "{text}");
    }

    #[test]
    fn places_outside_the_file_do_no_harm() {
        let source = Source::new("a.yaml", "");
        for (line, column, width) in [(0, 0, 0), (9, 9, 9), (1, usize::MAX / 2, usize::MAX)] {
            let place = Place { width, ..Place::new(&source, line, column) };
            assert!(Diagnostic::at(&place, "x").to_string().contains("a.yaml"));
        }
    }
}
