//! The stanza format of Release, Packages and `.sources` files (deb822(5)),
//! read in place: fields are slices of the text, nothing is copied. A field
//! knows its line, so that a mistake in a file people edit can be shown.

/// A block of fields, separated from others by empty lines.
#[derive(Clone, Copy, Debug)]
pub struct Stanza<'a> {
    text: &'a str,
    /// Number of its first line, from 1.
    pub line: usize,
}

/// `Name: value` with its continuation lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// As written; compare without regard to case.
    pub name: &'a str,
    /// All lines, the first and the last trimmed.
    pub value: &'a str,
    /// Number of its first line, from 1.
    pub line: usize,
}

/// A line that is neither a field nor the continuation of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is neither `Field: value` nor a continuation that starts with a space")]
pub struct Malformed {
    /// From 1.
    pub line: usize,
}

/// The stanzas of `text`.
pub fn stanzas(text: &str) -> impl Iterator<Item = Stanza<'_>> {
    let mut lines = Lines { rest: text, line: 0 };
    std::iter::from_fn(move || {
        let (first, line) = lines.find(|(text, _)| !is_blank(text))?;
        let start = offset(text, first);
        let end = lines.find(|(text, _)| is_blank(text)).map_or(text.len(), |(blank, _)| offset(text, blank));
        Some(Stanza { text: text.get(start..end)?, line })
    })
}

impl<'a> Stanza<'a> {
    /// Its fields in order. Comment lines (`#`) are passed over.
    pub fn fields(self) -> impl Iterator<Item = Result<Field<'a>, Malformed>> {
        let text = self.text;
        let mut lines = Lines { rest: text, line: self.line - 1 }.peekable();
        std::iter::from_fn(move || {
            let (first, line) = lines.find(|(text, _)| !text.starts_with('#'))?;
            let Some((name, value)) = first.split_once(':') else {
                return Some(Err(Malformed { line }));
            };
            if name.is_empty() || name.starts_with([' ', '\t']) {
                return Some(Err(Malformed { line }));
            }
            let start = offset(text, value);
            let mut end = start + value.len();
            while let Some((more, _)) = lines.next_if(|(text, _)| text.starts_with([' ', '\t', '#'])) {
                // A comment belongs to the value only when more of it follows.
                if !more.starts_with('#') {
                    end = offset(text, more) + more.len();
                }
            }
            Some(Ok(Field { name: name.trim_end(), value: text.get(start..end)?.trim(), line }))
        })
    }
}

impl<'a> Field<'a> {
    /// Whether it is called `name`.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// Its lines, trimmed, without comments.
    pub fn lines(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.value.lines().filter(|line| !line.starts_with('#')).map(str::trim)
    }

    /// Its words, over all lines.
    pub fn words(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.lines().flat_map(str::split_ascii_whitespace)
    }
}

/// Lines without their ends, and their numbers from 1.
struct Lines<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Iterator for Lines<'a> {
    type Item = (&'a str, usize);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        self.line += 1;
        let (line, rest) = match self.rest.split_once('\n') {
            Some(parts) => parts,
            // An empty slice at the very end keeps `offset` true.
            None => self.rest.split_at(self.rest.len()),
        };
        self.rest = rest;
        Some((line.strip_suffix('\r').unwrap_or(line), self.line))
    }
}

fn is_blank(line: &str) -> bool {
    line.bytes().all(|c| c == b' ' || c == b'\t')
}

/// Where `part`, a slice of `text`, begins in it.
fn offset(text: &str, part: &str) -> usize {
    part.as_ptr().addr() - text.as_ptr().addr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stanzas_fields_lines_and_comments() {
        let text =
            "\n# lead\nTypes: deb\n# a comment: not a field\nURIs: a\n b\n# inside\n\tc \nEmpty:\n \n\nX: 1";
        let all: Vec<Vec<Field>> =
            stanzas(text).map(|s| s.fields().collect::<Result<_, _>>().unwrap()).collect();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0][0], Field { name: "Types", value: "deb", line: 3 });
        assert_eq!(all[0][1].words().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(all[0][2].value, "");
        assert_eq!(all[1], [Field { name: "X", value: "1", line: 12 }]);
    }

    #[test]
    fn what_is_no_field_says_its_line() {
        let stanza = stanzas("A: 1\nnonsense\n").next().unwrap();
        assert_eq!(stanza.fields().nth(1), Some(Err(Malformed { line: 2 })));
        assert_eq!(stanzas(" : \n").next().unwrap().fields().next(), Some(Err(Malformed { line: 1 })));
        assert_eq!(stanzas("").count(), 0);
    }
}
