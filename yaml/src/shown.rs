//! What others wrote, made fit for a terminal, a log or a page.
//!
//! Escape sequences move the cursor and write into what is already there; bidirectional
//! controls show a text in another order than it has; what has no width is not seen at
//! all. Each such character becomes U+FFFD, so that one sees that something was there.
//! Source: ECMA-48; Unicode Standard Annex 9 and Unicode Technical Report 36.

/// Whether a character does something else than to be seen.
pub fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// One line, whatever was in it; a tab is a space.
pub fn line(text: &str) -> String {
    text.chars().map(|c| if c == '\t' { ' ' } else { seen(c) }).collect()
}

/// Several lines: their ends and tabs stay.
pub fn lines(text: &str) -> String {
    text.chars().map(|c| if matches!(c, '\n' | '\t') { c } else { seen(c) }).collect()
}

/// A JSON text that means the same and has no such character in it. Outside of its
/// strings, where `\u` escapes them, none can be but line ends and tabs.
pub fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hostile(c) && !matches!(c, '\n' | '\t') {
            let mut units = [0; 2];
            c.encode_utf16(&mut units).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        } else {
            out.push(c);
        }
    }
    out
}

fn seen(c: char) -> char {
    if is_hostile(c) { '\u{fffd}' } else { c }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_that_acts_is_left_whatever_the_text() {
        for c in (0..=u32::from(char::MAX)).filter_map(char::from_u32) {
            let text = format!("a{c}b");
            assert!(!line(&text).contains(is_hostile), "{c:?}");
            assert!(!lines(&text).contains(|c| is_hostile(c) && c != '\n' && c != '\t'), "{c:?}");
            assert_eq!(line(&text).chars().count(), 3, "what was there is still seen: {c:?}");
            // U+0020 to U+007E and letters of any script are themselves.
            assert!(!(c.is_alphanumeric() || c == ' ') || line(&text) == text, "{c:?}");
        }
    }

    #[test]
    fn json_stays_what_it_is() {
        for text in ["\u{9b}2J", "a\u{202e}b", "\u{7f}", "\u{e0041}", "ä\u{200b}€ 日本"] {
            let quoted = format!("[\n  \"{text}\"\n]");
            let shown = json(&quoted);
            assert!(!shown.contains(|c| is_hostile(c) && c != '\n'), "{shown:?}");
            let units: Vec<u16> = text.encode_utf16().collect();
            assert_eq!(unescaped(&shown), units);
        }
    }

    /// The string in the middle, its `\u` undone.
    fn unescaped(json: &str) -> Vec<u16> {
        let inner = json.split('"').nth(1).unwrap();
        let mut out = Vec::new();
        let mut rest = inner;
        while let Some(c) = rest.chars().next() {
            if let Some(hex) = rest.strip_prefix("\\u") {
                out.push(u16::from_str_radix(&hex[..4], 16).unwrap());
                rest = &hex[4..];
            } else {
                out.extend(c.encode_utf16(&mut [0; 2]).iter());
                rest = &rest[c.len_utf8()..];
            }
        }
        out
    }
}
