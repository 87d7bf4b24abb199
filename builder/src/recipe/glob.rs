//! Patterns for paths of the image.
//!
//! | | matches |
//! |---|---|
//! | `*` | any characters but `/`, also none |
//! | `?` | one character but `/` |
//! | `[a-z]`, `[!a-z]` | one character of, or not of, a set; never `/` |
//! | `**` | any number of whole directories, also none; at the end: everything below, but not the directory itself |
//! | `\x` | the character `x` itself |
//!
//! A pattern is matched against the whole path, which has no leading slash. Matching
//! is on bytes (`?` is one byte of a name in UTF-8) and takes at most pattern × path
//! steps.

use super::values::check_relative;
use yaml::Wrong;

/// A parsed pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// `**`
    AnyDirs,
    /// One component.
    Name(Vec<Token>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Byte(u8),
    Any,
    Many,
    Set { not: bool, ranges: Vec<(u8, u8)> },
}

impl Glob {
    /// Parses a pattern.
    ///
    /// # Errors
    /// Absolute paths, `..`, empty components, a `[` without `]`, `**` beside other
    /// characters, a trailing backslash.
    pub fn parse(pattern: &str) -> Result<Self, Wrong> {
        check_relative(pattern, "pattern")?;
        let parts =
            pattern.split('/').map(|part| parse_part(part, pattern)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { parts })
    }

    /// Whether a path (relative, components joined by `/`) matches.
    pub fn matches(&self, path: &[u8]) -> bool {
        let names: Vec<&[u8]> = path.split(|b| *b == b'/').filter(|n| !n.is_empty()).collect();
        let is_dirs = |part: &Part| *part == Part::AnyDirs;
        let ends_in_dirs = self.parts.last().is_some_and(is_dirs);
        let one = |part: &Part, name: &&[u8]| match part {
            Part::Name(tokens) => wildcard(tokens, name, |t| *t == Token::Many, |t, b| t.matches(*b)),
            Part::AnyDirs => false,
        };
        if !ends_in_dirs {
            return wildcard(&self.parts, &names, is_dirs, one);
        }
        // `dir/**` is what is below dir: at least one component must be left for it.
        let Some((_, above)) = names.split_last() else { return false };
        wildcard(&self.parts, above, is_dirs, one)
    }
}

impl Token {
    fn matches(&self, byte: u8) -> bool {
        match self {
            Self::Byte(b) => *b == byte,
            Self::Any | Self::Many => true,
            Self::Set { not, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&byte)) != *not
            }
        }
    }
}

/// Matches items against a pattern in which some parts stand for any number of items.
/// Going back to the last such part only is enough, so this takes |pattern| × |items|.
fn wildcard<P, I>(
    pattern: &[P],
    items: &[I],
    is_many: impl Fn(&P) -> bool,
    one: impl Fn(&P, &I) -> bool,
) -> bool {
    let (mut p, mut i) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    loop {
        match (pattern.get(p), items.get(i)) {
            (Some(part), _) if is_many(part) => {
                back = Some((p, i));
                p += 1;
            }
            (Some(part), Some(item)) if one(part, item) => {
                p += 1;
                i += 1;
            }
            (None, None) => return true,
            _ => match back {
                Some((many, from)) if from < items.len() => {
                    back = Some((many, from + 1));
                    (p, i) = (many + 1, from + 1);
                }
                _ => return false,
            },
        }
    }
}

fn parse_part(part: &str, pattern: &str) -> Result<Part, Wrong> {
    let bad = |what: &str| Wrong::new(format!("the pattern `{pattern}` {what}"));
    if part == "**" {
        return Ok(Part::AnyDirs);
    }
    let mut tokens = Vec::new();
    let mut bytes = part.bytes().peekable();
    while let Some(byte) = bytes.next() {
        tokens.push(match byte {
            b'*' if bytes.peek() == Some(&b'*') => {
                return Err(bad("has `**` beside other characters")
                    .why("`**` stands for whole directories")
                    .hint("write `**/*.txt` for files in any directory, `*.txt` for one directory"));
            }
            b'*' => Token::Many,
            b'?' => Token::Any,
            b'\\' => Token::Byte(bytes.next().ok_or_else(|| bad("ends in a backslash"))?),
            b'[' => parse_set(&mut bytes).ok_or_else(|| {
                bad("has a `[` without its `]`").hint("write `\\[` for the character itself")
            })?,
            other => Token::Byte(other),
        });
    }
    Ok(Part::Name(tokens))
}

fn parse_set(bytes: &mut std::iter::Peekable<std::str::Bytes<'_>>) -> Option<Token> {
    let not = bytes.next_if(|b| matches!(b, b'!' | b'^')).is_some();
    let mut ranges: Vec<(u8, u8)> = Vec::new();
    loop {
        let low = bytes.next()?;
        if low == b']' && !ranges.is_empty() {
            return Some(Token::Set { not, ranges });
        }
        if bytes.peek() != Some(&b'-') {
            ranges.push((low, low));
            continue;
        }
        bytes.next();
        if bytes.peek() == Some(&b']') {
            ranges.extend([(low, low), (b'-', b'-')]);
        } else {
            ranges.push((low, bytes.next()?));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, path: &str) -> bool {
        Glob::parse(pattern).unwrap().matches(path.as_bytes())
    }

    #[test]
    fn table() {
        for (pattern, yes, no) in [
            (
                "usr/share/doc/**",
                &["usr/share/doc/a", "usr/share/doc/a/b"][..],
                &["usr/share/doc", "usr/share/docs/a"][..],
            ),
            ("usr/*/x", &["usr/a/x", "usr/.a/x"], &["usr/x", "usr/a/b/x", "usr//x"]),
            ("**/*.mo", &["a.mo", "x/y/a.mo"], &["a.mo/b", "a.mos"]),
            ("a/**/b", &["a/b", "a/x/b", "a/x/y/b"], &["a", "b", "ab", "a/x/bc"]),
            ("a/**/b/**", &["a/b/c", "a/b/b/b"], &["a/b", "a/x/b"]),
            ("a?c", &["abc"], &["ac", "a/c", "abbc"]),
            ("[a-c]*[!0-9]", &["ax", "bb"], &["dx", "a1"]),
            ("[]]", &["]"], &["["]),
            ("[a-]", &["a", "-"], &["b"]),
            ("a\\*", &["a*"], &["ab"]),
            ("*", &["a"], &["a/b", ""]),
            ("**", &["a", "a/b"], &[""]),
            ("a*b*c", &["abc", "aXbYc", "abcbc"], &["ab", "acb"]),
        ] {
            for path in yes {
                assert!(matches(pattern, path), "{pattern} should match {path}");
            }
            for path in no {
                assert!(!matches(pattern, path), "{pattern} should not match {path}");
            }
        }
    }

    #[test]
    fn what_is_refused() {
        for pattern in ["/usr", "a/../b", "a//b", "a/", "", "[ab", "[]", "a**", "**.txt", "a\\"] {
            assert!(Glob::parse(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        assert!(!matches(&format!("{}b", "a*".repeat(200)), &"a".repeat(20_000)));
        assert!(!matches(&format!("{}b", "**/a/".repeat(200)), &"a/".repeat(10_000)));
    }

    proptest! {
        /// A pattern without wildcards matches itself only; `**` matches every path.
        #[test]
        fn plain_patterns(a in "[a-z]{1,3}(/[a-z]{1,3}){0,3}", b in "[a-z]{1,3}(/[a-z]{1,3}){0,3}") {
            prop_assert_eq!(matches(&a, &b), a == b);
            prop_assert!(matches("**", &b));
        }

        /// Against the definition, written the slow way.
        #[test]
        fn agrees_with_the_definition(pattern in "(a|b|\\*|\\?){1,6}", name in "[ab]{0,8}") {
            fn slow(p: &[u8], n: &[u8]) -> bool {
                match (p.first(), n.first()) {
                    (None, None) => true,
                    (Some(b'*'), _) => slow(&p[1..], n) || (!n.is_empty() && slow(p, &n[1..])),
                    (Some(b'?'), Some(_)) => slow(&p[1..], &n[1..]),
                    (Some(x), Some(y)) if x == y => slow(&p[1..], &n[1..]),
                    _ => false,
                }
            }
            prop_assume!(!pattern.contains("**") && !name.is_empty());
            prop_assert_eq!(matches(&pattern, &name), slow(pattern.as_bytes(), name.as_bytes()));
        }
    }
}
