//! pax extension headers: POSIX.1-2017, pax, "pax Extended Header".
//!
//! Records are read by their length, as the standard says, so that values may
//! have line ends in them: file capabilities do.

use std::collections::BTreeMap;

/// What a header says of one member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Records {
    /// `path`.
    pub(super) path: Option<Vec<u8>>,
    /// `linkpath`.
    pub(super) linkpath: Option<Vec<u8>>,
    /// `uname`.
    pub(super) uname: Option<String>,
    /// `gname`.
    pub(super) gname: Option<String>,
    /// `uid`.
    pub(super) uid: Option<u64>,
    /// `gid`.
    pub(super) gid: Option<u64>,
    /// `size`.
    pub(super) size: Option<u64>,
    /// `SCHILY.xattr.*`, by name without the prefix.
    pub(super) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// Parses the body of an extension header: `length key=value\n`, repeated.
/// Times and comments are skipped.
///
/// # Errors
/// With what is wrong, for a message.
pub(super) fn parse(mut bytes: &[u8]) -> Result<Records, &'static str> {
    let mut out = Records::default();
    while !bytes.is_empty() {
        let (key, value, rest) = record(bytes).ok_or("a damaged extension header")?;
        bytes = rest;
        let text = || String::from_utf8(value.to_vec()).map_err(|_| "an owner that is not UTF-8");
        let number = || text()?.parse::<u64>().map_err(|_| "a damaged number in an extension header");
        match key {
            b"path" => out.path = Some(value.to_vec()),
            b"linkpath" => out.linkpath = Some(value.to_vec()),
            b"uname" => out.uname = Some(text()?),
            b"gname" => out.gname = Some(text()?),
            b"uid" => out.uid = Some(number()?),
            b"gid" => out.gid = Some(number()?),
            b"size" => out.size = Some(number()?),
            _ if key.starts_with(b"SCHILY.xattr.") => {
                let name = key.strip_prefix(b"SCHILY.xattr.").unwrap_or_default();
                let known = [&b"security."[..], b"user.", b"trusted."].iter().any(|p| name.starts_with(p));
                if !known || name.len() > 255 || value.len() > 1 << 16 {
                    return Err("an extended attribute that is not supported");
                }
                out.xattrs.insert(name.to_vec(), value.to_vec());
            }
            _ if key.starts_with(b"GNU.sparse.") => return Err("a sparse file, which is not supported"),
            _ if key.starts_with(b"SCHILY.acl.") => {
                return Err("an access control list, which is not supported");
            }
            _ => {}
        }
    }
    Ok(out)
}

/// Key and value of the first record, and what follows it.
fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let digits = bytes.iter().take(8).position(|b| *b == b' ')?;
    let len: usize = std::str::from_utf8(bytes.get(..digits)?).ok()?.parse().ok()?;
    let body = bytes.get(digits + 1..len)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|b| *b == b'=')?;
    Some((body.get(..equals)?, body.get(equals + 1..)?, bytes.get(len..)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_may_hold_line_ends() {
        let found = parse(b"31 SCHILY.xattr.user.a=1\n2\0=3\n\n12 path=a/b\n").unwrap();
        assert_eq!(found.xattrs[&b"user.a"[..]], b"1\n2\0=3\n");
        assert_eq!(found.path.as_deref(), Some(&b"a/b"[..]));
    }

    #[test]
    fn damaged_records() {
        for bad in [&b"5 a=b"[..], b"99 a=b\n", b"6 a=b\n\n", b"0 a=b\n", b"x a=b\n", b"5 ab\n", b"2 \n"] {
            assert!(parse(bad).is_err(), "{}", bad.escape_ascii());
        }
        assert!(parse(b"22 GNU.sparse.major=1\n").is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(b in "[0-9]{1,3} [a-z=\n]{0,20}") {
            let _ = parse(b.as_bytes());
        }
    }
}
