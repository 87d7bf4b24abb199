//! The name of an image's UKI on the ESP, which is its boot entry's id, and what it says.
//!
//! `IMAGE_VERSION_HASH+LEFT-DONE.efi`: the first half of the root hash's first half keeps two
//! builds of one version apart. `+LEFT-DONE` is systemd-boot's count of tries (Boot Loader
//! Specification, "Boot counting"): it is written down before each boot, and taken away when
//! the image got ready. Sleds that were installed by an earlier release have entries without
//! a hash.
//!
//! FAT and systemd-boot do not tell capitals from small letters, so neither do comparisons.

use std::fmt;

/// Tries of a new image.
pub const TRIES: u32 = 3;
/// Digits of the root hash in a name.
const DIGITS: usize = 16;

/// How the entry of an image stands on an ESP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// There is none.
    Missing,
    /// systemd-boot counts its tries.
    OnTrial {
        /// Tries that are left, at least one.
        left: u32,
        /// How often it was started. What was started and still is on trial did not get ready.
        done: u32,
    },
    /// Its tries are used up; systemd-boot starts it only when there is nothing else.
    Exhausted,
    /// It got ready once: it has no count of tries any more.
    Good,
}

/// The name of a UKI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryName {
    /// All but the count of tries and the ending.
    stem: String,
    /// Tries that are left, and done.
    tries: Option<(u32, u32)>,
}

impl EntryName {
    /// The entry of an image that was never started.
    pub fn new(image: &str, version: &str, root_hash: &[u8; 32]) -> Self {
        let hash = crate::verity::hex(root_hash);
        let stem = format!("{image}_{version}_{}", hash.get(..DIGITS).unwrap_or(&hash));
        Self { stem, tries: Some((TRIES, 0)) }
    }

    /// Takes a file name apart; `None` when it is not that of a UKI.
    pub fn parse(file: &str) -> Option<Self> {
        let (stem, ending) = file.rsplit_once('.')?;
        if !ending.eq_ignore_ascii_case("efi") || stem.is_empty() {
            return None;
        }
        let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?;
        let counted = stem.rsplit_once('+').and_then(|(stem, counter)| {
            let (left, done) = counter.split_once('-').unwrap_or((counter, "0"));
            Some(Self { stem: stem.to_owned(), tries: Some((number(left)?, number(done)?)) })
        });
        Some(counted.unwrap_or_else(|| Self { stem: stem.to_owned(), tries: None }))
    }

    /// How it stands.
    pub fn standing(&self) -> Standing {
        match self.tries {
            None => Standing::Good,
            Some((0, _)) => Standing::Exhausted,
            Some((left, done)) => Standing::OnTrial { left, done },
        }
    }

    /// The same entry without a count of tries.
    #[must_use]
    pub fn good(&self) -> Self {
        Self { tries: None, ..self.clone() }
    }

    /// The same entry before its last try; `None` when it was never tried, or has no count.
    pub fn before_last_try(&self) -> Option<Self> {
        let (left, done) = self.tries?;
        let tries = Some((left.checked_add(1)?, done.checked_sub(1)?));
        Some(Self { tries, ..self.clone() })
    }

    /// The same entry with its tries used up.
    #[must_use]
    pub fn exhausted(&self) -> Self {
        let done = self.tries.map_or(0, |(_, done)| done);
        Self { tries: Some((0, done)), ..self.clone() }
    }

    /// This entry with another one's count of tries.
    #[must_use]
    pub fn counted_like(&self, other: &Self) -> Self {
        Self { tries: other.tries, ..self.clone() }
    }

    /// Whether both are entries of one image: alike but for the count of tries.
    pub fn is(&self, other: &Self) -> bool {
        self.stem.eq_ignore_ascii_case(&other.stem)
    }

    /// Whether this is the entry without a hash that an earlier release would have made for
    /// the same image and version.
    pub fn is_old_name_of(&self, other: &Self) -> bool {
        let without = other.stem.rsplit_once('_').filter(|(_, hash)| is_hash(hash));
        without.is_some_and(|(stem, _)| self.stem.eq_ignore_ascii_case(stem))
    }

    /// The version.
    pub fn version(&self) -> Option<&str> {
        let stem = match self.stem.rsplit_once('_') {
            Some((stem, hash)) if is_hash(hash) && stem.contains('_') => stem,
            _ => &self.stem,
        };
        stem.split_once('_').map(|(_, version)| version)
    }

    /// Name, version and hash, for people.
    pub fn stem(&self) -> &str {
        &self.stem
    }

    /// What systemd-boot's `default` (loader.conf(5)) says to start this entry before all
    /// others: `….efi`, `…+3.efi` and `…+2-1.efi`, but not `…+0-3.efi`, so that an image that
    /// has used up its tries gives way. What is before it ends with the hash, which no other
    /// image's name goes on after. systemd-boot compares with the id in small letters.
    pub fn pattern(&self) -> String {
        let mut pattern = String::new();
        for c in self.stem.chars() {
            if matches!(c, '*' | '?' | '[' | '\\') {
                pattern.push('\\');
            }
            pattern.extend(c.to_lowercase());
        }
        pattern + "[+.][1-9e]*"
    }
}

impl fmt::Display for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.stem)?;
        match self.tries {
            None => {}
            Some((left, 0)) => write!(f, "+{left}")?,
            Some((left, done)) => write!(f, "+{left}-{done}")?,
        }
        f.write_str(".efi")
    }
}

fn is_hash(text: &str) -> bool {
    text.len() == DIGITS && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// How an image stands on an ESP with these files. Its entry may be there twice after a power
/// cut: then a good one counts, else the one with the fewest tries.
pub fn standing<'n>(files: impl IntoIterator<Item = &'n str>, image: &EntryName) -> Standing {
    own(files, image).map_or(Standing::Missing, |name| name.standing())
}

/// The entry that [`standing`] speaks of. An old name counts where there is no other.
pub fn own<'n>(files: impl IntoIterator<Item = &'n str>, image: &EntryName) -> Option<EntryName> {
    let names = files.into_iter().filter_map(EntryName::parse);
    let ours = names.filter(|name| name.is(image) || name.is_old_name_of(image));
    ours.min_by_key(|name| (!name.is(image), name.tries.map(|(left, _)| left + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: [u8; 32] = [0xab; 32];
    const STEM: &str = "compute_1.4_abababababababab";

    /// systemd-boot's `efi_fnmatch` on what patterns of ours have in them.
    fn matches(pattern: &str, id: &str) -> bool {
        let Some(c) = pattern.chars().next() else { return id.is_empty() };
        let rest = &pattern[c.len_utf8()..];
        let next = |ok: &dyn Fn(char) -> bool, pattern: &str| {
            id.chars().next().is_some_and(|c| ok(c) && matches(pattern, &id[c.len_utf8()..]))
        };
        match c {
            '*' => (0..=id.len()).any(|n| id.is_char_boundary(n) && matches(rest, &id[n..])),
            '\\' => {
                let literal = rest.chars().next().unwrap();
                next(&|c| c == literal, &rest[literal.len_utf8()..])
            }
            '[' => {
                let (set, rest) = rest.split_once(']').unwrap();
                let set: Vec<_> = set.chars().collect();
                let range = set.len() > 2 && set[1] == '-';
                let ok = |c: char| {
                    let (of_range, others) =
                        if range { (&set[..3], &set[3..]) } else { (&set[..0], &set[..]) };
                    others.contains(&c) || matches!(of_range, [from, _, to] if (*from..=*to).contains(&c))
                };
                next(&ok, rest)
            }
            _ => next(&|have| have == c, rest),
        }
    }

    fn starts(stem: &str, id: &str) -> bool {
        // systemd-boot has ids in small letters.
        let name = EntryName { stem: stem.into(), tries: None };
        matches(&name.pattern(), &id.to_lowercase())
    }

    #[test]
    fn the_default_is_this_image_while_it_has_tries_and_no_other() {
        for counter in ["", "+3", "+2-1", "+1-2", "+9"] {
            assert!(starts(STEM, &format!("{STEM}{counter}.efi")), "{counter}");
        }
        for id in [
            "compute_1.4_abababababababab+0-3.efi",
            "compute_1.4_abababababababab+0.efi",
            "compute_1.4.1_abababababababab+3.efi",
            "compute_1.4_cdabababababab12+3.efi",
            "compute_1.4+3.efi",
            "compute_1.4.1+3.efi",
            "compute_1.4.efi",
            "xcompute_1.4_abababababababab.efi",
        ] {
            assert!(!starts(STEM, id), "{id}");
        }
        // Versions may be told apart by nothing but what comes after.
        for other in ["1.4.1", "1.4.e", "1.4+5", "1.4-1", "1.4~1", "1.4_1"] {
            let other = EntryName::new("compute", other, &HASH);
            assert!(!starts(STEM, &other.to_string()), "{other}");
            assert!(!starts(&other.stem, &format!("{STEM}+3.efi")), "{other}");
        }
        // Capitals: of the version, and of a firmware that shows short names.
        assert!(starts("Compute_1.4RC_abababababababab", "COMPUTE_1.4rc_ABABABABABABABAB+3.EFI"));
        assert!(starts("a*b?[c]", "a*b?[c]+1.efi") && !starts("a*b", "axb+1.efi"));
    }

    #[test]
    fn a_name_says_image_version_and_tries() {
        let name = EntryName::new("compute", "1.4", &HASH);
        assert_eq!(name.to_string(), format!("{STEM}+3.efi"));
        assert_eq!(EntryName::parse(&name.to_string()), Some(name.clone()));
        assert_eq!(name.good().to_string(), format!("{STEM}.efi"));
        let standing = |file: &str| EntryName::parse(file).unwrap().standing();
        assert_eq!(standing("a_1+3.efi"), Standing::OnTrial { left: 3, done: 0 });
        assert_eq!(standing("a_1+2-1.EFI"), Standing::OnTrial { left: 2, done: 1 });
        assert_eq!(standing("a_1+10.efi"), Standing::OnTrial { left: 10, done: 0 });
        assert_eq!(standing("a_1+0-3.efi"), Standing::Exhausted);
        assert_eq!(standing("a_1+00.efi"), Standing::Exhausted);
        // No counts: systemd-boot would take these for names, too.
        for name in ["a_1.efi", "a_1+x.efi", "a_1+-1.efi", "a_1+1-.efi", "a_1+.efi", "a_1.0+deb.efi"] {
            assert_eq!(standing(name), Standing::Good, "{name}");
        }
        for name in ["a_1", "a_1.conf", ".efi", "efi", ""] {
            assert_eq!(EntryName::parse(name), None, "{name}");
        }
        for (file, version) in [
            ("compute_1.4_abababababababab+3.efi", Some("1.4")),
            ("compute_1.4+3.efi", Some("1.4")),
            ("compute_1_4_abababababababab.efi", Some("1_4")),
            ("compute_abababababababab.efi", Some("abababababababab")),
            ("memtest.efi", None),
        ] {
            assert_eq!(EntryName::parse(file).unwrap().version(), version, "{file}");
        }
    }

    #[test]
    fn an_image_is_found_by_its_hash_and_by_its_old_name() {
        let of = |files: &[&str]| standing(files.iter().copied(), &EntryName::new("compute", "1.4", &HASH));
        for (files, expected) in [
            (&[][..], Standing::Missing),
            (&["compute_1.4_abababababababab.efi"], Standing::Good),
            (&["COMPUTE_1.4_ABABABABABABABAB+1-2.EFI"], Standing::OnTrial { left: 1, done: 2 }),
            (&["compute_1.4+2-1.efi"], Standing::OnTrial { left: 2, done: 1 }),
            (&["compute_1.4.efi"], Standing::Good),
            // The same version of another build, another version, a copy.
            (
                &["compute_1.4_cdabababababab12.efi", "compute_1.4.1.efi", "compute_1.4.efi.old"],
                Standing::Missing,
            ),
            // The name with the hash counts more than the old one.
            (
                &["compute_1.4.efi", "compute_1.4_abababababababab+3.efi"],
                Standing::OnTrial { left: 3, done: 0 },
            ),
            // After a cut.
            (&["compute_1.4_abababababababab+2-1.efi", "compute_1.4_abababababababab.efi"], Standing::Good),
            (
                &["compute_1.4_abababababababab+3.efi", "compute_1.4_abababababababab+2-1.efi"],
                Standing::OnTrial { left: 2, done: 1 },
            ),
            (&["compute_1.4_abababababababab+0-3.efi"], Standing::Exhausted),
        ] {
            assert_eq!(of(files), expected, "{files:?}");
        }
    }
}
