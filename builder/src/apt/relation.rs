//! The language of `Depends:` and its like: `a (>= 1) | b, c:any`
//! (Debian Policy 7.1).

use std::cmp::Ordering;

use debversion::Version;

/// One name in a relation field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Atom<'a> {
    /// Package or virtual package.
    pub name: &'a str,
    /// What stands after the colon: `any`, `amd64`.
    pub arch: Option<&'a str>,
    /// `(>= 1.0)`.
    pub version: Option<(Op, &'a str)>,
}

/// A comparison of versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `<<`
    Earlier,
    /// `<=`, and the obsolete `<`
    EarlierOrEqual,
    /// `=`
    Equal,
    /// `>=`, and the obsolete `>`
    LaterOrEqual,
    /// `>>`
    Later,
}

impl Op {
    /// Whether `left op right`.
    pub fn holds(self, left: &Version, right: &Version) -> bool {
        let order = left.cmp(right);
        match self {
            Op::Earlier => order == Ordering::Less,
            Op::EarlierOrEqual => order != Ordering::Greater,
            Op::Equal => order == Ordering::Equal,
            Op::LaterOrEqual => order != Ordering::Less,
            Op::Later => order == Ordering::Greater,
        }
    }

    /// As written in a field.
    pub fn symbol(self) -> &'static str {
        match self {
            Op::Earlier => "<<",
            Op::EarlierOrEqual => "<=",
            Op::Equal => "=",
            Op::LaterOrEqual => ">=",
            Op::Later => ">>",
        }
    }
}

impl std::fmt::Display for Atom<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)?;
        if let Some(arch) = self.arch {
            write!(f, ":{arch}")?;
        }
        if let Some((op, version)) = self.version {
            write!(f, " ({} {version})", op.symbol())?;
        }
        Ok(())
    }
}

/// Text that is no relation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no package relation like `name (>= 1.0)`")]
pub struct Malformed(pub String);

/// All of `field`: every entry must hold, by any of its alternatives.
/// An entry has at least one alternative.
pub fn parse(field: &str) -> Result<Vec<Vec<Atom<'_>>>, Malformed> {
    field
        .split(',')
        .filter(|entry| !entry.trim().is_empty())
        .map(|entry| entry.split('|').map(atom).collect())
        .collect()
}

fn atom(text: &str) -> Result<Atom<'_>, Malformed> {
    let text = text.trim();
    let malformed = || Malformed(text.to_owned());
    let (name, rest) = match text.find(|c: char| c == '(' || c.is_ascii_whitespace()) {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let (name, arch) = match name.split_once(':') {
        Some((name, arch)) => (name, Some(arch)),
        None => (name, None),
    };
    let valid = |c: u8| c.is_ascii_alphanumeric() || b"+-.".contains(&c);
    if name.is_empty() || !name.bytes().all(valid) || arch == Some("") {
        return Err(malformed());
    }
    let version = match rest.trim() {
        "" => None,
        rest => {
            let inner = rest.strip_prefix('(').and_then(|r| r.strip_suffix(')')).ok_or_else(malformed)?;
            Some(comparison(inner.trim()).ok_or_else(malformed)?)
        }
    };
    Ok(Atom { name, arch, version })
}

fn comparison(text: &str) -> Option<(Op, &str)> {
    let at = text.find(|c: char| !"<>=".contains(c))?;
    let (op, version) = text.split_at(at);
    let op = match op {
        "<<" => Op::Earlier,
        "<=" | "<" => Op::EarlierOrEqual,
        "=" => Op::Equal,
        ">=" | ">" => Op::LaterOrEqual,
        ">>" => Op::Later,
        _ => return None,
    };
    let version = version.trim();
    is_version(version).then_some((op, version))
}

/// Whether `text` has only the characters of versions (Debian Policy 5.6.12,
/// and `_`, which old packages have).
pub fn is_version(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|c| c.is_ascii_alphanumeric() || b".+-:~_".contains(&c))
}

/// Reads a version. What does not follow the rules is compared as if it were
/// all upstream version, as dpkg does for what is installed already.
pub fn version(text: &str) -> Version {
    text.parse().unwrap_or_else(|_| Version {
        epoch: None,
        upstream_version: text.to_owned(),
        debian_revision: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        let field = "libc6 (>= 2.36), python3:any, a (<< 1:2~) | b:amd64 | c (= 1-1)";
        let entries = parse(field).unwrap();
        let text: Vec<String> = entries
            .iter()
            .map(|alternatives| alternatives.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | "))
            .collect();
        assert_eq!(text.join(", "), field);
        assert_eq!(parse("a(>=1),,").unwrap(), parse("a (>= 1)").unwrap());
        assert_eq!(parse("").unwrap(), Vec::<Vec<Atom>>::new());
    }

    #[test]
    fn what_is_no_relation_is_an_error() {
        for bad in ["a (", "a (>= )", "a (~ 1)", "a b", "| a", "a:", "ä", "a (>= 1) x", "a (1)"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn operators() {
        let [one, two]: [Version; 2] = ["1~rc1".parse().unwrap(), "1".parse().unwrap()];
        assert!(Op::Earlier.holds(&one, &two) && !Op::Earlier.holds(&two, &two));
        assert!(Op::EarlierOrEqual.holds(&two, &two) && !Op::EarlierOrEqual.holds(&two, &one));
        assert!(Op::Later.holds(&two, &one) && !Op::Later.holds(&one, &one));
        assert!(Op::LaterOrEqual.holds(&two, &two) && !Op::LaterOrEqual.holds(&one, &two));
        assert!(Op::Equal.holds(&one, &one) && !Op::Equal.holds(&one, &two));
    }
}
