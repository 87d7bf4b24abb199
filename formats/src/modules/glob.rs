//! Shell patterns as module aliases use them: `*`, `?`, `[a-f]`, `[!a]`.
//!
//! `*` also matches `/`, and outside of brackets `-` and `_` are one, because
//! the kernel's names mix them freely. There is no escape character. A pattern
//! with an unclosed bracket matches nothing.

/// Whether the whole of `text` matches `pattern`. Takes at most
/// `pattern.len() * text.len()` steps.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where to go on when what follows the last `*` did not match: one byte later.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let step = match (pattern.get(p), text.get(t)) {
            (None, None) => return true,
            (Some(b'*'), _) => {
                retry = Some((p + 1, t));
                p += 1;
                continue;
            }
            (Some(b'?'), Some(_)) => Some(1),
            (Some(b'['), Some(c)) => bracket(&pattern[p..], *c),
            (Some(a), Some(b)) if same(*a, *b) => Some(1),
            _ => None,
        };
        match (step, retry) {
            (Some(len), _) => {
                p += len;
                t += 1;
            }
            (None, Some((after, from))) if from < text.len() => {
                retry = Some((after, from + 1));
                (p, t) = (after, from + 1);
            }
            (None, _) => return false,
        }
    }
}

fn same(a: u8, b: u8) -> bool {
    a == b || (matches!(a, b'-' | b'_') && matches!(b, b'-' | b'_'))
}

/// The length of the bracket expression that `pattern` starts with, when it matches `c`.
fn bracket(pattern: &[u8], c: u8) -> Option<usize> {
    let negated = matches!(pattern.get(1), Some(b'!' | b'^'));
    let start = if negated { 2 } else { 1 };
    // A `]` right at the start stands for itself.
    let close = pattern.iter().skip(start + 1).position(|b| *b == b']')? + start + 1;
    let mut set = pattern.get(start..close)?;
    let mut found = false;
    while let [first, rest @ ..] = set {
        if let [b'-', last, rest @ ..] = rest {
            found |= (*first..=*last).contains(&c);
            set = rest;
        } else {
            found |= *first == c;
            set = rest;
        }
    }
    (found != negated).then_some(close + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases() {
        let igb = "pci:v00008086d00001521sv00008086sd00000001bc02sc00i00";
        assert!(matches("pci:v00008086d00001521sv*sd*bc*sc*i*", igb));
        assert!(matches("pci:v*d*sv*sd*bc02sc00i*", igb));
        assert!(!matches("pci:v00008086d00001522sv*sd*bc*sc*i*", igb));
        assert!(matches("usb:v05A9p[1-6]511d01[0-1]*dc*", "usb:v05A9p2511d0103dcFF"));
        assert!(!matches("usb:v05A9p[1-6]511d01[0-1]*dc*", "usb:v05A9p7511d0103dcFF"));
        assert!(matches("leds-gpio", "leds_gpio"));
        assert!(matches("a[!0-9]?", "ab1") && !matches("a[!0-9]?", "a11"));
        assert!(matches("", "") && !matches("", "x") && matches("**", ""));
        assert!(matches("[]a]x", "]x") && !matches("[a", "a") && !matches("[", "["));
    }

    #[test]
    fn many_stars_do_not_take_for_ever() {
        assert!(!matches(&"*a".repeat(200), &"a".repeat(199)));
        assert!(!matches(&format!("{}b", "a*".repeat(500)), &"a".repeat(2000)));
    }

    proptest::proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in "[ab*?]{0,6}", text in "[ab]{0,6}") {
            fn slow(p: &[u8], t: &[u8]) -> bool {
                match (p, t) {
                    ([], []) => true,
                    ([b'*', rest @ ..], _) => slow(rest, t) || (!t.is_empty() && slow(p, &t[1..])),
                    ([b'?', rest @ ..], [_, more @ ..]) => slow(rest, more),
                    ([a, rest @ ..], [b, more @ ..]) if a == b => slow(rest, more),
                    _ => false,
                }
            }
            proptest::prop_assert_eq!(matches(&pattern, &text), slow(pattern.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn never_panics(pattern in "\\PC{0,40}", text in "\\PC{0,40}") {
            let _ = matches(&pattern, &text);
        }
    }
}
