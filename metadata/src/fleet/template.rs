//! `{rack}`, `{bay}`, `{bay:02}`, `{sled}`, `{role}` in texts.
//!
//! Braces around anything that is not a lower-case word stay: `${HOME}`, `{"a": 1}`.
//! `{{rack}}` is the text `{rack}`.

use yaml::Wrong;
use yaml::nearest::nearest;

/// What the names stand for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vars<'a> {
    pub(super) sled: &'a str,
    pub(super) rack: &'a str,
    pub(super) role: &'a str,
    pub(super) bay: u32,
}

const NAMES: [&str; 4] = ["sled", "rack", "role", "bay"];

/// A piece of a text.
enum Piece<'a> {
    Text(&'a str),
    /// Name, and what follows a colon.
    Name(&'a str, Option<&'a str>),
}

/// The first piece of a text and the rest.
fn next(text: &str) -> (Piece<'_>, &str) {
    let open = text.find('{').unwrap_or(text.len());
    let (before, rest) = text.split_at(open);
    if !before.is_empty() {
        return (Piece::Text(before), rest);
    }
    let inner = |text| {
        let (inside, after): (&str, &str) = str::split_once(str::strip_prefix(text, '{')?, '}')?;
        let (name, width) = inside.split_once(':').map_or((inside, None), |(n, w)| (n, Some(w)));
        let word = name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') && !name.is_empty();
        let digits = width.is_none_or(|w| !w.is_empty() && w.bytes().all(|b| b.is_ascii_digit()));
        (word && digits).then_some((name, width, after))
    };
    if let Some((name, width, after)) = inner(text) {
        return (Piece::Name(name, width), after);
    }
    let doubled = text.get(1..).and_then(inner).filter(|(.., after)| after.starts_with('}'));
    if let Some((.., after)) = doubled {
        let end = text.len() - after.len();
        return (Piece::Text(text.get(1..end).unwrap_or_default()), after.get(1..).unwrap_or_default());
    }
    let (brace, rest) = text.split_at(text.len().min(1));
    (Piece::Text(brace), rest)
}

/// Whether there is something to replace.
pub(super) fn is_in(text: &str) -> bool {
    let mut rest = text;
    while !rest.is_empty() {
        let (piece, after) = next(rest);
        if matches!(piece, Piece::Name(..)) {
            return true;
        }
        rest = after;
    }
    false
}

/// The text with everything replaced.
pub(super) fn render(text: &str, vars: Vars<'_>) -> Result<String, Wrong> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let (piece, after) = next(rest);
        rest = after;
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Name("bay", width) => {
                let zeros = width.is_some_and(|w| w.starts_with('0'));
                let width = width.and_then(|w| w.parse().ok()).unwrap_or(0_usize).min(9);
                let bay = vars.bay;
                out.push_str(&if zeros { format!("{bay:0width$}") } else { format!("{bay:width$}") });
            }
            Piece::Name("sled", None) => out.push_str(vars.sled),
            Piece::Name("rack", None) => out.push_str(vars.rack),
            Piece::Name("role", None) => out.push_str(vars.role),
            Piece::Name(name, Some(width)) if NAMES.contains(&name) => {
                return Err(Wrong::new(format!("`{{{name}:{width}}}`: only `bay` is a number")));
            }
            Piece::Name(name, _) => {
                let wrong = Wrong::new(format!("nothing is called `{{{name}}}` here"));
                return Err(match nearest(name, NAMES) {
                    Some(near) => wrong.hint(format!("did you mean `{{{near}}}`?")),
                    None => wrong.hint(format!(
                        "there are {{sled}}, {{rack}}, {{role}}, {{bay}} and {{bay:02}}; `{{{{{name}}}}}` is the text `{{{name}}}`"
                    )),
                });
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const VARS: Vars<'_> = Vars { sled: "r1-b07", rack: "r1", role: "compute", bay: 7 };

    #[test]
    fn names_are_replaced_and_other_braces_stay() {
        for (text, want) in [
            ("{rack}-b{bay:02}", "r1-b07"),
            ("{role}/{sled}/{bay}", "compute/r1-b07/7"),
            ("${HOME} {\"a\": {}} {", "${HOME} {\"a\": {}} {"),
            ("{{rack}} {{}} {{{rack}}}", "{rack} {{}} {{rack}}"),
            ("ü{bay}ü", "ü7ü"),
        ] {
            assert_eq!(render(text, VARS).unwrap(), want, "{text}");
        }
        for (text, says) in [("{racks}", "did you mean `{rack}`"), ("{x}", "there are"), ("{rack:2}", "")] {
            let wrong = render(text, VARS).unwrap_err();
            assert!(wrong.hint.unwrap_or_default().starts_with(says), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_renders_or_says_why(text in "[{}a-z:0-9ü]{0,30}") {
            let has = is_in(&text);
            match render(&text, VARS) {
                Ok(out) if !has => prop_assert!(out.len() <= text.len()),
                _ => {}
            }
        }
    }
}
