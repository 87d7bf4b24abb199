//! Environment files as systemd reads them.
//!
//! Source: systemd 252, systemd.exec(5) "EnvironmentFile=" and `parse_env_file_internal`
//! in `src/basic/env-file.c`. A shell reads what [`quote`] writes in the same way.

/// A value in double quotes; any text without NUL comes back as it was.
pub fn quote(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 2);
    out.push('"');
    for c in value.chars() {
        // What a backslash protects inside double quotes; before anything else it stays.
        if matches!(c, '"' | '\\' | '`' | '$') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

/// Names and values in order. What is no assignment is skipped, as systemd does.
pub fn parse(text: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(first) = chars.next() {
        match first {
            ' ' | '\t' | '\r' | '\n' => continue,
            '#' | ';' => {
                comment(&mut chars);
                continue;
            }
            _ => {}
        }
        let mut key = String::from(first);
        let assigned = loop {
            match chars.next() {
                Some('=') => break true,
                Some('\n' | '\r') | None => break false,
                Some(c) => key.push(c),
            }
        };
        if assigned {
            all.push((key.trim_end().to_owned(), value(&mut chars)));
        }
    }
    all
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// To the end of the line; a backslash before it makes the next line part of it.
fn comment(chars: &mut Chars<'_>) {
    while let Some(c) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            '\n' | '\r' => break,
            _ => {}
        }
    }
}

/// Up to the end of the line that ends the value.
fn value(chars: &mut Chars<'_>) -> String {
    let mut out = String::new();
    // Quotes count only where a value, or the part after a closing quote, begins.
    let mut bare = false;
    // Length up to which white space at the end is part of the value.
    let mut kept = 0;
    while let Some(c) = chars.next() {
        match c {
            '\n' | '\r' => break,
            '\'' if !bare => {
                out.extend(chars.by_ref().take_while(|c| *c != '\''));
                kept = out.len();
            }
            '"' if !bare => {
                double(chars, &mut out);
                kept = out.len();
            }
            ' ' | '\t' if !bare => {}
            '\\' => {
                bare = true;
                match chars.next() {
                    Some('\n' | '\r') | None => {}
                    Some(c) => out.push(c),
                }
                kept = out.len();
            }
            c => {
                bare = true;
                out.push(c);
                if !matches!(c, ' ' | '\t') {
                    kept = out.len();
                }
            }
        }
    }
    out.truncate(kept);
    out
}

fn double(chars: &mut Chars<'_>, out: &mut String) {
    while let Some(c) = chars.next() {
        match c {
            '"' => return,
            '\\' => match chars.next() {
                Some(c @ ('"' | '\\' | '`' | '$')) => out.push(c),
                Some('\n') | None => {}
                Some(c) => out.extend(['\\', c]),
            },
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn people_write_them_like_this() {
        let text = "# comment \\\nstill=comment\n; too\nA=plain  \nB = 'it''s' \nC=\"a \\\"b\\\" \\n\"x\n\
                    D=a\\ b\\\nc\nE=\nno assignment\n  F=a\"b\"\r\nG='two\nlines'";
        let expected = [
            ("A", "plain"),
            ("B", "its"),
            ("C", "a \"b\" \\nx"),
            ("D", "a bc"),
            ("E", ""),
            ("F", "a\"b\""),
            ("G", "two\nlines"),
        ];
        let expected: Vec<_> = expected.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        assert_eq!(parse(text), expected);
    }

    proptest! {
        #[test]
        fn quoted_values_come_back(values in prop::collection::vec("[^\0]{0,20}", 0..4)) {
            let text: String = values.iter().map(|v| format!("K={}\n", quote(v))).collect();
            let back: Vec<_> = parse(&text).into_iter().map(|(_, v)| v).collect();
            prop_assert_eq!(back, values);
        }
        #[test]
        fn any_text_is_read(text in "[\\\\'\"= #;a\n]{0,30}") {
            let _ = parse(&text);
        }
    }
}
