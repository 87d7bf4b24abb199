//! JSON (RFC 8259) whose values keep their places. Strings become quoted scalars;
//! numbers, `true` and `false` plain ones.

use std::collections::BTreeMap;
use std::sync::Arc;
use yaml::diagnostic::{Diagnostic, Diagnostics, Place, Source};
use yaml::{Key, Node, Value};

/// Deeper nesting is refused; Ignition needs 8 levels.
const MAX_DEPTH: usize = 64;

/// Reads a whole text as one value.
///
/// # Errors
/// The first mistake, at its place.
pub(super) fn parse(source: &Arc<Source>) -> Result<Node, Diagnostics> {
    let mut reader = Reader { source, rest: source.text.chars().peekable(), line: 1, column: 1 };
    let node = reader.value(0).and_then(|node| {
        reader.space();
        match reader.rest.peek() {
            None => Ok(node),
            Some(_) => Err(reader.wrong("something follows behind the end of the value")),
        }
    });
    node.map_err(|wrong| Diagnostics(vec![*wrong]))
}

type Read<T> = Result<T, Box<Diagnostic>>;

struct Reader<'s> {
    source: &'s Arc<Source>,
    rest: std::iter::Peekable<std::str::Chars<'s>>,
    line: usize,
    column: usize,
}

impl Reader<'_> {
    fn place(&self) -> Place {
        Place::new(self.source, self.line, self.column)
    }

    fn wrong(&self, what: &str) -> Box<Diagnostic> {
        Box::new(Diagnostic::at(&self.place(), format!("not valid JSON: {what}")))
    }

    fn next(&mut self) -> Option<char> {
        let next = self.rest.next()?;
        if next == '\n' {
            (self.line, self.column) = (self.line + 1, 1);
        } else {
            self.column += 1;
        }
        Some(next)
    }

    fn space(&mut self) {
        while self
            .rest
            .next_if(|c| matches!(c, ' ' | '\t' | '\r' | '\n'))
            .map(|c| {
                if c == '\n' {
                    (self.line, self.column) = (self.line + 1, 1);
                } else {
                    self.column += 1;
                }
            })
            .is_some()
        {}
    }

    fn expect(&mut self, wanted: char) -> Read<()> {
        self.space();
        match self.rest.peek().copied() {
            Some(c) if c == wanted => {
                self.next();
                Ok(())
            }
            Some(c) => Err(self.wrong(&format!("`{wanted}` expected, this is `{c}`"))),
            None => Err(self.wrong(&format!("`{wanted}` expected, the text ends here"))),
        }
    }

    /// Whether a list or map ends here; a comma is needed between entries.
    fn ends(&mut self, with: char, first: bool) -> Read<bool> {
        self.space();
        if self.rest.peek() == Some(&with) {
            self.next();
            return Ok(true);
        }
        if !first {
            self.expect(',')?;
        }
        Ok(false)
    }

    fn value(&mut self, depth: usize) -> Read<Node> {
        self.space();
        let mut place = self.place();
        if depth > MAX_DEPTH {
            return Err(self.wrong(&format!("nested deeper than {MAX_DEPTH} levels")));
        }
        let value = match self.rest.peek() {
            Some('{') => self.map(depth)?,
            Some('[') => {
                self.next();
                let mut list = Vec::new();
                while !self.ends(']', list.is_empty())? {
                    list.push(self.value(depth + 1)?);
                }
                Value::List(list)
            }
            Some('"') => Value::Scalar { text: self.string()?, quoted: true },
            Some(_) => self.literal()?,
            None => return Err(self.wrong("a value expected, the text ends here")),
        };
        place.end = (self.line, self.column);
        if place.line == self.line {
            place.width = self.column.saturating_sub(place.column).max(1);
        }
        Ok(Node { place, value })
    }

    fn map(&mut self, depth: usize) -> Read<Value> {
        self.next();
        let mut entries = Vec::new();
        let mut seen: BTreeMap<String, Place> = BTreeMap::new();
        while !self.ends('}', entries.is_empty())? {
            self.space();
            let mut place = self.place();
            if self.rest.peek() != Some(&'"') {
                return Err(self.wrong("a key in double quotes expected"));
            }
            let name = self.string()?;
            place.width = self.column.saturating_sub(place.column).max(1);
            place.end = (self.line, self.column);
            if let Some(first) = seen.insert(name.clone(), place.clone()) {
                return Err(Box::new(
                    Diagnostic::at(&place, format!("the key `{name}` is here twice"))
                        .also("first here", &first)
                        .hint("merge the two, or remove one"),
                ));
            }
            self.expect(':')?;
            let value = self.value(depth + 1)?;
            entries.push((Key { name, place }, value));
        }
        Ok(Value::Map(entries))
    }

    fn string(&mut self) -> Read<String> {
        self.next();
        let mut text = String::new();
        loop {
            match self.next() {
                Some('"') => return Ok(text),
                Some('\\') => text.push(self.escape()?),
                Some(c) if c < ' ' => return Err(self.wrong("a control character in a string; write `\\n`")),
                Some(c) => text.push(c),
                None => return Err(self.wrong("a string without its end")),
            }
        }
    }

    fn escape(&mut self) -> Read<char> {
        let c = self.next().ok_or_else(|| self.wrong("a string without its end"))?;
        Ok(match c {
            '"' | '\\' | '/' => c,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let high = self.hex()?;
                // A character beyond U+FFFF is written as two surrogates.
                let code = if (0xd800..0xdc00).contains(&high) {
                    if (self.next(), self.next()) != (Some('\\'), Some('u')) {
                        return Err(self.wrong("half a surrogate pair"));
                    }
                    let low = self.hex()?.wrapping_sub(0xdc00);
                    if low >= 0x400 {
                        return Err(self.wrong("half a surrogate pair"));
                    }
                    0x1_0000 + ((high - 0xd800) << 10) + low
                } else {
                    high
                };
                char::from_u32(code).ok_or_else(|| self.wrong("half a surrogate pair"))?
            }
            _ => return Err(self.wrong("an escape that JSON does not have")),
        })
    }

    fn hex(&mut self) -> Read<u32> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.next().and_then(|c| c.to_digit(16));
            code = code << 4 | digit.ok_or_else(|| self.wrong("`\\u` without four digits"))?;
        }
        Ok(code)
    }

    fn literal(&mut self) -> Read<Value> {
        let wrong = self.wrong("this is no value");
        let mut text = String::new();
        while let Some(c) = self.rest.next_if(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')) {
            self.column += 1;
            text.push(c);
        }
        match text.as_str() {
            "null" => Ok(Value::Null),
            "true" | "false" => Ok(Value::Scalar { text, quoted: false }),
            _ if is_number(&text) => Ok(Value::Scalar { text, quoted: false }),
            _ => Err(wrong),
        }
    }
}

/// Section 6.
fn is_number(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let plain = digits(whole) && (whole == "0" || !whole.starts_with('0'));
    plain && digits(part) && digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Node, String> {
        parse(&Source::new("t.ign", text)).map_err(|e| {
            let place = e.0[0].place.clone().unwrap();
            format!("{}:{} {}", place.line, place.column, e.0[0].message)
        })
    }

    #[test]
    fn values_keep_their_places() {
        let node =
            read("{\n  \"a\": [1, true, null],\r\n\t\"b\": {\"c\": \"\\u00e4\\ud83d\\ude00\\/\"}\n}\n")
                .unwrap();
        let c = node.get("b").unwrap().get("c").unwrap();
        assert_eq!((c.place.line, c.place.column, c.text()), (3, 13, Some("ä😀/")));
        let list: Vec<_> = node.get("a").unwrap().entries().map(|n| n.text().map(str::to_owned)).collect();
        assert_eq!(list, [Some("1".into()), Some("true".into()), None]);
    }

    #[test]
    fn mistakes_have_a_place() {
        for (text, says) in [
            ("", "1:1 not valid JSON: a value expected, the text ends here"),
            ("{\"a\": 1,}", "1:9 not valid JSON: a key in double quotes expected"),
            ("{\"a\": 01}", "1:7 not valid JSON: this is no value"),
            ("{\"a\" 1}", "1:6 not valid JSON: `:` expected, this is `1`"),
            ("[1 2]", "1:4 not valid JSON: `,` expected, this is `2`"),
            ("[1,]", "1:4 not valid JSON: this is no value"),
            ("{} x", "1:4 not valid JSON: something follows behind the end of the value"),
            ("{\n\"a\":1,\n\"a\":2}", "3:1 the key `a` is here twice"),
            ("\"\\ud800x\"", "1:10 not valid JSON: half a surrogate pair"),
        ] {
            assert_eq!(read(text).unwrap_err(), says, "{text:?}");
        }
        assert!(read(&"[".repeat(100_000)).unwrap_err().contains("nested deeper"));
    }
}
