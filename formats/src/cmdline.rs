//! The kernel command line, cut into parameters as the kernel does it.
//!
//! Source: Linux `lib/cmdline.c` `next_arg` and `kernel/params.c` `parse_args`:
//! white space separates, double quotes protect white space and may stand
//! around a whole parameter or around its value, dashes and underscores in a
//! name are the same character, `--` ends what is the kernel's.

/// One parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param<'a> {
    /// What is before the first `=`.
    pub name: &'a str,
    /// What is after it, without surrounding quotes. `None` without `=`.
    pub value: Option<&'a str>,
}

impl Param<'_> {
    /// Whether this is the parameter of that name; `-` and `_` are the same.
    pub fn is(&self, name: &str) -> bool {
        let one = |c: u8| if c == b'-' { b'_' } else { c };
        self.name.len() == name.len() && self.name.bytes().map(one).eq(name.bytes().map(one))
    }
}

/// The parameters of a command line in their order, up to `--`.
///
/// Every text is a valid command line. A name may repeat: by custom the last
/// one counts, or all do for a list.
pub fn params(line: &str) -> impl Iterator<Item = Param<'_>> {
    Params(line).take_while(|p| *p != Param { name: "--", value: None })
}

struct Params<'a>(&'a str);

impl<'a> Iterator for Params<'a> {
    type Item = Param<'a>;

    fn next(&mut self) -> Option<Param<'a>> {
        let line = self.0.trim_start_matches(is_space);
        if line.is_empty() {
            return None;
        }
        let mut in_quotes = false;
        let ends = |c: char| {
            in_quotes ^= c == '"';
            is_space(c) && !in_quotes
        };
        let (word, rest) = line.split_at(line.find(ends).unwrap_or(line.len()));
        self.0 = rest;
        let quoted = word.strip_prefix('"');
        let word = quoted.map_or(word, |inner| inner.strip_suffix('"').unwrap_or(inner));
        // A name is not empty: the kernel takes a leading `=` as part of it.
        let equals = word.char_indices().skip(1).find(|(_, c)| *c == '=');
        let Some((at, _)) = equals else { return Some(Param { name: word, value: None }) };
        let (name, value) = word.split_at(at);
        let value = value.strip_prefix('=').unwrap_or(value);
        let value = value.strip_prefix('"').map_or(value, |inner| inner.strip_suffix('"').unwrap_or(inner));
        Some(Param { name, value: Some(value) })
    }
}

/// The kernel's `isspace` for ASCII.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(line: &str) -> Vec<(&str, Option<&str>)> {
        params(line).map(|p| (p.name, p.value)).collect()
    }

    #[test]
    fn quotes_protect_spaces_around_a_value_or_a_whole_parameter() {
        assert_eq!(
            pairs(" a b=c \t d=\"e f\" \"g=h i\" j=\"\" k=l\"m n\"o\n"),
            [
                ("a", None),
                ("b", Some("c")),
                ("d", Some("e f")),
                ("g", Some("h i")),
                ("j", Some("")),
                ("k", Some("l\"m n\"o")),
            ]
        );
    }

    #[test]
    fn what_follows_two_dashes_is_for_init() {
        assert_eq!(pairs("quiet -- sledos.debug"), [("quiet", None)]);
    }

    #[test]
    fn odd_lines_are_read_too() {
        assert_eq!(pairs(""), []);
        assert_eq!(pairs("=x"), [("=x", None)]);
        assert_eq!(pairs("a=\"open b"), [("a", Some("open b"))]);
        assert_eq!(pairs("\""), [("", None)]);
        assert_eq!(pairs("a==b"), [("a", Some("=b"))]);
    }

    #[test]
    fn dashes_and_underscores_are_the_same() {
        let param = Param { name: "sledos.onfail_delay", value: None };
        assert!(param.is("sledos.onfail-delay"));
        assert!(!param.is("sledos.onfail"));
    }
}
