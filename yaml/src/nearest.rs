//! "Did you mean…?"

/// The candidate most like `word`, when one is near enough to be a slip of the finger.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    near(word, candidates).first().copied()
}

/// The candidates that are near enough to be a slip of the finger, the nearest first.
pub fn near<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let word: Vec<char> = word.chars().take(64).flat_map(char::to_lowercase).collect();
    let limit = (word.len() / 3).clamp(1, 3);
    let mut found: Vec<_> = candidates
        .into_iter()
        .map(|c| (distance(&word, &c.chars().take(64).collect::<Vec<_>>()), c))
        .filter(|(distance, _)| *distance <= limit)
        .collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter().map(|(_, candidate)| candidate).collect()
}

/// Edits from one word to the other: insert, delete, replace, swap neighbours.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut best = (above[j] + usize::from(x != y)).min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_slips_and_nothing_else() {
        let keys = ["packages", "provided", "nics", "mask", "users"];
        assert_eq!(nearest("pakages", keys), Some("packages"));
        assert_eq!(nearest("Packages", keys), Some("packages"));
        assert_eq!(nearest("nisc", keys), Some("nics"));
        assert_eq!(nearest("unit", keys), None);
        assert_eq!(nearest("", keys), None);
    }

    #[test]
    fn the_nearest_come_first() {
        let names = ["docker.io", "docker.ii", "dockerx", "mdadm", "docker", "docker.io"];
        assert_eq!(near("docker.oi", names), ["docker.ii", "docker.io", "docker", "dockerx"]);
        assert_eq!(near("dokcer", names).first(), Some(&"docker"));
    }
}
