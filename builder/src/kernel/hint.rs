//! What somebody may have meant by a name that does not exist.

/// Up to three of the names that differ least from `wanted`, best first, as the
/// end of a sentence: `; did you mean ixgbe or ixgbevf?`. Empty when none is close.
pub(super) fn did_you_mean<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> String {
    let limit = wanted.len().div_ceil(3);
    let mut close: Vec<(usize, &str)> =
        names.map(|name| (distance(wanted, name), name)).filter(|(d, _)| *d <= limit).collect();
    close.sort_unstable();
    close.dedup();
    close.truncate(3);
    if close.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = close.into_iter().map(|(_, name)| name).collect();
    format!("; did you mean {}?", names.join(" or "))
}

/// How many letters have to be put in, taken out or changed (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for ((cb, pair), left) in b.iter().zip(row.windows(2)).zip(0..) {
            let &[diagonal, above] = pair else { continue };
            let before = next.get::<usize>(left).copied().unwrap_or(above);
            next.push((diagonal + usize::from(ca != *cb)).min(above + 1).min(before + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("ixgbe", "ixgbe"), 0);
    }

    #[test]
    fn hints() {
        let names = ["ixgbevf", "ixgbe", "igb", "sfc"];
        assert_eq!(did_you_mean("ixbge", names.into_iter()), "; did you mean igb or ixgbe?");
        assert_eq!(did_you_mean("sfcc", names.into_iter()), "; did you mean sfc?");
        assert_eq!(did_you_mean("zzzzzz", names.into_iter()), "");
    }
}
