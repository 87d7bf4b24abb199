//! What somebody may have meant by a name that does not exist.

use yaml::nearest::nearest;

/// The name most like `wanted` as the end of a sentence, `; did you mean ixgbe?`.
/// Empty when none is close.
pub(super) fn did_you_mean<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> String {
    nearest(wanted, names).map_or_else(String::new, |name| format!("; did you mean {name}?"))
}
