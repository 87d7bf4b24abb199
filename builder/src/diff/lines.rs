//! The lines that differ between two texts.

use std::collections::BTreeMap;

/// Lines compared at most; longer texts are said to differ and no more.
const MOST: usize = 4000;

/// `-old` and `+new` lines between the parts that are the same; `None` when one is no
/// text or too long.
pub(super) fn diff(old: &[u8], new: &[u8]) -> Option<Vec<String>> {
    let old: Vec<&str> = std::str::from_utf8(old).ok()?.lines().collect();
    let new: Vec<&str> = std::str::from_utf8(new).ok()?.lines().collect();
    if old.len().max(new.len()) > MOST {
        return None;
    }
    let mut out = Vec::new();
    step(&old, &new, &mut out);
    Some(out)
}

/// What both have at their ends is cut off; lines that both have once (as in "patience
/// diff") divide the rest.
fn step(mut old: &[&str], mut new: &[&str], out: &mut Vec<String>) {
    let same = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    (old, new) = (&old[same..], &new[same..]);
    let same = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    (old, new) = (&old[..old.len() - same], &new[..new.len() - same]);
    let once = |lines: &[&str]| {
        let mut places: BTreeMap<String, Option<usize>> = BTreeMap::new();
        for (n, line) in lines.iter().enumerate() {
            places.entry((*line).to_owned()).and_modify(|place| *place = None).or_insert(Some(n));
        }
        places
    };
    let theirs = once(new);
    let anchor =
        once(old).into_iter().filter_map(|(line, place)| Some((place?, (*theirs.get(&line)?)?))).min();
    if let Some((a, b)) = anchor {
        step(&old[..a], &new[..b], out);
        step(&old[a + 1..], &new[b + 1..], out);
        return;
    }
    out.extend(old.iter().map(|line| format!("-{line}")));
    out.extend(new.iter().map(|line| format!("+{line}")));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_stay_are_not_shown() {
        let shown = |a: &str, b: &str| diff(a.as_bytes(), b.as_bytes()).unwrap();
        assert_eq!(shown("a\nb\nc\nd", "a\nB\nc\nd\ne"), ["-b", "+B", "+e"]);
        assert_eq!(shown("", "x"), ["+x"]);
        assert_eq!(shown("x\nx", "x\nx"), [""; 0]);
        assert_eq!(diff(b"\xff", b"x"), None);
    }
}
