//! The grammar of Mesos's attributes. Source: Apache Mesos 1.11,
//! `src/common/attributes.cpp`, `src/common/values.cpp`.
//!
//! The agent refuses to start on a bad attribute, so it is found here.

/// An attribute's name: not empty, nothing that ends it.
pub(super) fn attribute_key(text: &str) -> Result<(), &'static str> {
    if text.trim().is_empty() || text.contains([':', ';', '\n']) {
        return Err("not the name of an attribute: it is empty, or has `:` or `;` in it");
    }
    Ok(())
}

/// An attribute's value: a number, a range, or text.
pub(super) fn attribute_value(text: &str) -> Result<(), &'static str> {
    if text.contains([';', '\n']) {
        return Err("not the value of an attribute: `;` would end it");
    }
    // The agent removes spaces before it looks at the value.
    let text = text.replace(' ', "");
    if text.is_empty() {
        return Err("empty, and the Mesos agent does not start with an empty attribute");
    }
    if text.contains(['{', '}']) {
        return Err("a set, and Mesos allows none in attributes");
    }
    let pairs = |open, close| text.matches(open).count() == text.matches(close).count();
    if !pairs('[', ']') || !pairs('(', ')') {
        return Err("not the value of an attribute: its brackets do not match");
    }
    match text.find('[') {
        None => Ok(()),
        Some(0) => ranges(&text),
        Some(_) => Err("not the value of an attribute: `[` may only begin a range"),
    }
}

fn ranges(text: &str) -> Result<(), &'static str> {
    let wrong = "not a range: write it as [1-5] or [1-5, 8-9]";
    let inside = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).ok_or(wrong)?;
    for part in inside.split(',') {
        let (low, high) = part.split_once('-').ok_or(wrong)?;
        let number = |t: &str| t.parse::<u64>().ok().filter(|_| t.bytes().all(|b| b.is_ascii_digit()));
        match (number(low), number(high)) {
            (Some(low), Some(high)) if low <= high => {}
            _ => return Err(wrong),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_numbers_ranges_and_text() {
        for good in ["r12", "12", "1.5", "[1-5]", "[1-5, 8-9]", "a b", "10G"] {
            assert_eq!(attribute_value(good), Ok(()), "{good}");
        }
        for bad in ["", " ", "{a,b}", "a;b", "[1-", "[5-1]", "[a-b]", "x[1-2]", "[]", "a)"] {
            assert!(attribute_value(bad).is_err(), "{bad}");
        }
        for bad in ["", "a:b", "a;b"] {
            assert!(attribute_key(bad).is_err(), "{bad}");
        }
    }
}
