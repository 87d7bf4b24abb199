//! Long and short names.

use std::collections::BTreeSet;

use super::error::NameReason;

/// Base and extension of a short name, padded with spaces.
pub(super) type ShortName = [u8; 11];

/// The largest number behind a tilde.
const MAX_NUMBER: u32 = 999_999;
/// Most UTF-16 units of a long name.
const MAX_UNITS: usize = 255;

/// A name that FAT can hold.
pub(super) struct Name<'a> {
    long: &'a str,
}

impl<'a> Name<'a> {
    /// Checks a name.
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, NameReason> {
        let long = std::str::from_utf8(bytes).map_err(|_| NameReason::NotUtf8)?;
        if let Some(c) = long.chars().find(|c| *c < ' ' || *c == '\x7f' || "\"*/:<>?\\|".contains(*c)) {
            return Err(NameReason::Character(c));
        }
        if long.ends_with(['.', ' ']) {
            return Err(NameReason::End);
        }
        if long.starts_with(' ') {
            return Err(NameReason::Start);
        }
        if long.encode_utf16().count() > MAX_UNITS {
            return Err(NameReason::TooLong);
        }
        Ok(Self { long })
    }

    /// What readers compare: the name without its case.
    pub(super) fn folded(&self) -> String {
        self.long.chars().flat_map(char::to_uppercase).collect()
    }

    /// The UTF-16 units of the long name.
    pub(super) fn units(&self) -> Vec<u16> {
        self.long.encode_utf16().collect()
    }

    /// Whether the name is in capitals and short enough to need no long name.
    pub(super) fn is_short(&self, short: &ShortName) -> bool {
        let (base, extension) = short.split_at(8);
        let (base, extension) = (base.trim_ascii_end(), extension.trim_ascii_end());
        let dot: &[u8] = if extension.is_empty() { b"" } else { b"." };
        [base, dot, extension].concat() == self.long.as_bytes()
    }

    /// Base and extension in the characters of short names, and whether something was lost.
    fn basis(&self) -> (Vec<u8>, Vec<u8>, bool) {
        let (base, extension) = match self.long.rfind('.') {
            Some(dot) if dot > 0 => (&self.long[..dot], &self.long[dot + 1..]),
            _ => (self.long, ""),
        };
        let mut lossy = false;
        let mut shorten = |part: &str, max: usize| {
            let mut out = Vec::new();
            for c in part.chars() {
                match u8::try_from(c).ok().map(|b| b.to_ascii_uppercase()) {
                    Some(b' ' | b'.') => lossy = true,
                    Some(b) if is_short_character(b) => out.push(b),
                    _ => {
                        lossy = true;
                        out.push(b'_');
                    }
                }
            }
            lossy |= out.len() > max || out.is_empty() != part.is_empty();
            out.truncate(max);
            out
        };
        let (base, extension) = (shorten(base, 8), shorten(extension, 3));
        (base, extension, lossy)
    }
}

impl<'a> AsRef<Name<'a>> for Name<'a> {
    fn as_ref(&self) -> &Name<'a> {
        self
    }
}

/// Whether a byte may be in a short name or in a label.
pub(super) fn is_short_character(b: u8) -> bool {
    b.is_ascii_uppercase() || b.is_ascii_digit() || b"!#$%&'()-@^_`{}~".contains(&b)
}

fn join(base: &[u8], extension: &[u8]) -> ShortName {
    let mut short = [b' '; 11];
    short[..base.len()].copy_from_slice(base);
    short[8..8 + extension.len()].copy_from_slice(extension);
    short
}

/// Short names for the names of one directory, in their order. A name that is
/// short already keeps it; the others get a number behind a tilde.
///
/// # Errors
/// The index of a name for which no number up to 999 999 is left.
pub(super) fn short_names<'a>(names: &[impl AsRef<Name<'a>>]) -> Result<Vec<ShortName>, usize> {
    let bases: Vec<_> = names.iter().map(|name| name.as_ref().basis()).collect();
    let plain = bases.iter().filter(|(_, _, lossy)| !lossy).map(|(base, ext, _)| join(base, ext));
    let mut taken: BTreeSet<ShortName> = plain.collect();
    // Where to go on counting, by what the names begin with.
    let mut next = std::collections::BTreeMap::new();
    let mut out = Vec::with_capacity(names.len());
    for (i, (base, extension, lossy)) in bases.iter().enumerate() {
        if !lossy {
            out.push(join(base, extension));
            continue;
        }
        let key = (base[..base.len().min(6)].to_vec(), extension);
        let from = next.get(&key).copied().unwrap_or(1_u32);
        let n = (from..=MAX_NUMBER).find(|n| !taken.contains(&numbered(base, extension, *n))).ok_or(i)?;
        taken.insert(numbered(base, extension, n));
        next.insert(key, n + 1);
        out.push(numbered(base, extension, n));
    }
    Ok(out)
}

fn numbered(base: &[u8], extension: &[u8], n: u32) -> ShortName {
    let tail = format!("~{n}");
    let keep = base.len().min(8 - tail.len());
    join(&[&base[..keep], tail.as_bytes()].concat(), extension)
}

/// A short name for a name that comes into a directory where these are.
pub(super) fn short_name(name: &Name<'_>, taken: &BTreeSet<ShortName>) -> Option<ShortName> {
    let (base, extension, lossy) = name.basis();
    let plain = (!lossy).then(|| join(&base, &extension)).filter(|plain| !taken.contains(plain));
    plain.or_else(|| {
        (1..=MAX_NUMBER).map(|n| numbered(&base, &extension, n)).find(|short| !taken.contains(short))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(names: &[&str]) -> Vec<String> {
        let names: Vec<_> = names.iter().map(|n| Name::new(n.as_bytes()).unwrap()).collect();
        short_names(&names).unwrap().iter().map(|n| String::from_utf8(n.to_vec()).unwrap()).collect()
    }

    #[test]
    fn short_names_are_unique_and_plain_where_they_can_be() {
        assert_eq!(
            short(&[
                "BOOTX64.EFI",
                "linux",
                "systemd-boot.conf",
                "systemd-bootx64.efi",
                "systemd-other.conf"
            ]),
            ["BOOTX64 EFI", "LINUX      ", "SYSTEM~1CON", "SYSTEM~1EFI", "SYSTEM~2CON"]
        );
        assert_eq!(
            short(&["a b", "a+b", ".hidden", "x.y.z"]),
            ["AB~1       ", "A_B~1      ", "HIDDEN~1   ", "XY~1    Z  "]
        );
        // The number does not take the name of one that is short already.
        assert_eq!(short(&["longfilename", "LONGFI~1"]), ["LONGFI~2   ", "LONGFI~1   "]);
        assert_eq!(short(&["ü", "日本"]), ["_~1        ", "__~1       "]);
    }

    #[test]
    fn only_capitals_need_no_long_name() {
        for (name, is) in
            [("BOOT", true), ("A.B", true), ("boot", false), ("Boot.efi", false), ("LONGFILENAME", false)]
        {
            let n = Name::new(name.as_bytes()).unwrap();
            let short = short_names(&[Name::new(name.as_bytes()).unwrap()]).unwrap()[0];
            assert_eq!(n.is_short(&short), is, "{name}");
        }
    }

    #[test]
    fn impossible_names() {
        let long = "x".repeat(256);
        for (name, why) in [
            ("a:b", NameReason::Character(':')),
            ("a\nb", NameReason::Character('\n')),
            ("dot.", NameReason::End),
            ("space ", NameReason::End),
            (" space", NameReason::Start),
            (long.as_str(), NameReason::TooLong),
        ] {
            assert_eq!(Name::new(name.as_bytes()).err(), Some(why));
        }
        assert_eq!(Name::new(b"\xff").err(), Some(NameReason::NotUtf8));
    }
}
