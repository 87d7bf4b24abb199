//! InRelease (or Release and Release.gpg): who signed it, and what it says.
//!
//! [`open`] takes the file as it came from a mirror and gives a [`Release`] only
//! when a key of the keyring signed exactly the text it is parsed from, the text
//! is about the suite that was asked for, and it is not out of date.
//! Format: <https://wiki.debian.org/DebianRepository/Format>.

mod certificate;
mod keyring;
mod signature;

use std::collections::BTreeMap;

pub use keyring::Keyring;

use super::deb822;
use crate::date;
use crate::digest::{self, Hash};

/// A verified Release file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// The suite it was asked for by.
    pub suite: String,
    /// Seconds since 1970.
    pub date: i64,
    /// Components that exist, without the prefix security suites write (`updates/main`).
    pub components: Vec<String>,
    /// Architectures that exist.
    pub architectures: Vec<String>,
    /// Whether files can be fetched by their hash.
    pub by_hash: bool,
    /// What its packages are worth when the same name is in other suites, too.
    pub automatic: Automatic,
    /// Whether packages for all architectures are in the index of each
    /// (`No-Support-for-Architecture-all: Packages`), not in one of their own.
    pub all_in_each: bool,
    /// Index files: path below the suite's directory → size and hash.
    pub files: BTreeMap<String, IndexFile>,
    /// sha256 of the InRelease file, or of the Release file beside Release.gpg.
    pub sha256: [u8; 32],
    /// Fingerprint of the primary key that signed it, upper-case hexadecimal.
    pub signed_by: String,
}

/// What a Release says about an index file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexFile {
    /// In bytes.
    pub size: u64,
    /// Its hash: the sha256 when there is one.
    pub hash: Hash,
}

/// `NotAutomatic` and `ButAutomaticUpgrades`: apt's default pins (apt_preferences(5)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Automatic {
    /// Neither is given.
    #[default]
    Yes,
    /// `ButAutomaticUpgrades: yes`, as in backports.
    Upgrades,
    /// `NotAutomatic: yes`, as in experimental.
    No,
}

impl Automatic {
    /// apt's pin priority.
    pub fn priority(self) -> u16 {
        match self {
            Automatic::Yes => 500,
            Automatic::Upgrades => 100,
            Automatic::No => 1,
        }
    }
}

/// The time that counts. The program never looks at the clock by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Seconds since 1970.
    pub now: i64,
    /// The archive is an old one on purpose (a snapshot): neither `Valid-Until`
    /// nor a key that expired since count. A key must have been valid when it signed.
    pub archived: bool,
}

/// Why an InRelease is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The keyring cannot be opened or parsed, or holds no key.
    #[error(
        "cannot use the keyring {file}: {problem}. Install the package \
         debian-archive-keyring, or name a keyring in the recipe"
    )]
    Keyring {
        /// The file.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// Not an OpenPGP signature, or none of a Release file.
    #[error("not a signed Release file: {problem}")]
    NotSigned {
        /// What is wrong.
        problem: &'static str,
    },
    /// Text before or after the signed part.
    #[error("there is text outside of the signed part")]
    TextOutside,
    /// None of the signatures is by a key of the keyring.
    #[error("signed by {signers}, none of which is in the keyring {keyring}")]
    UnknownSigner {
        /// Key ids or fingerprints.
        signers: String,
        /// The keyring that was tried.
        keyring: String,
    },
    /// A signature does not fit the text: one of them was changed.
    #[error("the signature by {key} does not fit the text; it was changed or damaged on its way")]
    BadSignature {
        /// Fingerprint of the key.
        key: String,
    },
    /// The key had expired.
    #[error("the key {key} that signed it expired on {}. Update the keyring {keyring}", date::display(*expired))]
    ExpiredKey {
        /// Fingerprint of the key.
        key: String,
        /// Seconds since 1970.
        expired: i64,
        /// The keyring.
        keyring: String,
    },
    /// The key was revoked by its owner.
    #[error("the key {key} that signed it is revoked")]
    RevokedKey {
        /// Fingerprint of the key.
        key: String,
    },
    /// The key is not one for signing, or not proved to belong to its owner.
    #[error("the key {key} may not sign: {problem}")]
    UnfitKey {
        /// Fingerprint of the key.
        key: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// A hash that can be forged.
    #[error("the signature by {key} uses {hash}, which can be forged")]
    WeakHash {
        /// Fingerprint of the key.
        key: String,
        /// `SHA1`.
        hash: String,
    },
    /// The signature's own time limit is over, or has not begun.
    #[error(
        "the signature by {key} is not valid at {}. Is the clock right?", date::display(*now)
    )]
    SignatureTime {
        /// Fingerprint of the key.
        key: String,
        /// Seconds since 1970.
        now: i64,
    },
    /// A good signature on something that is no Release file.
    #[error("the Release file is signed but malformed: {problem}")]
    Malformed {
        /// What is wrong.
        problem: String,
    },
    /// A good signature on another suite.
    #[error("it is about {found}, not about {wanted}")]
    WrongSuite {
        /// What was asked for.
        wanted: String,
        /// `stable (bookworm)`.
        found: String,
    },
    /// `Valid-Until` is over: an old file may hide security updates.
    #[error(
        "it was valid until {}, that is over. The mirror lags behind, use another --mirror; \
         for an archive that is old on purpose run `sledos lock --archived`", date::display(*until)
    )]
    OutOfDate {
        /// Seconds since 1970.
        until: i64,
    },
}

/// Verifies and parses an InRelease file.
pub fn open(bytes: &[u8], suite: &str, keyring: &Keyring, clock: Clock) -> Result<Release, Error> {
    let verified = signature::verify(bytes, keyring, clock)?;
    let mut release = parse(&verified.text, suite, clock)?;
    release.sha256 = digest::sha256(bytes);
    release.signed_by = verified.signed_by;
    Ok(release)
}

/// Verifies a Release file by its `Release.gpg`, and parses it.
pub fn open_detached(
    bytes: &[u8],
    signature: &[u8],
    suite: &str,
    keyring: &Keyring,
    clock: Clock,
) -> Result<Release, Error> {
    let verified = signature::verify_detached(bytes, signature, keyring, clock)?;
    let mut release = parse(&verified.text, suite, clock)?;
    release.sha256 = digest::sha256(bytes);
    release.signed_by = verified.signed_by;
    Ok(release)
}

fn parse(text: &str, wanted: &str, clock: Clock) -> Result<Release, Error> {
    let malformed = |problem: String| Error::Malformed { problem };
    let stanza = deb822::stanzas(text).next().ok_or_else(|| malformed("it is empty".to_owned()))?;
    let mut release = Release {
        suite: wanted.to_owned(),
        date: 0,
        components: Vec::new(),
        architectures: Vec::new(),
        by_hash: false,
        automatic: Automatic::Yes,
        all_in_each: false,
        files: BTreeMap::new(),
        sha256: [0; 32],
        signed_by: String::new(),
    };
    let (mut suite, mut codename, mut dated) = ("", "", false);
    let (mut not_automatic, mut upgrades, mut weak) = (false, false, false);
    for field in stanza.fields() {
        let field = field.map_err(|bad| malformed(bad.to_string()))?;
        let time = || {
            date::parse(field.value)
                .ok_or_else(|| malformed(format!("`{}: {}` is no date", field.name, field.value)))
        };
        match field.name.to_ascii_lowercase().as_str() {
            "suite" => suite = field.value,
            "codename" => codename = field.value,
            "date" => (release.date, dated) = (time()?, true),
            // Some generators write the field and nothing in it: then it says nothing, as for apt.
            "valid-until" if field.value.is_empty() => {}
            "valid-until" => {
                let until = time()?;
                if until < clock.now && !clock.archived {
                    return Err(Error::OutOfDate { until });
                }
            }
            "components" => {
                let short = |c: &str| c.rsplit('/').next().unwrap_or(c).to_owned();
                release.components = field.words().map(short).collect();
            }
            "architectures" => release.architectures = field.words().map(str::to_owned).collect(),
            "acquire-by-hash" => release.by_hash = yes(field.value) || field.value == "force",
            "notautomatic" => not_automatic = yes(field.value),
            "butautomaticupgrades" => upgrades = yes(field.value),
            "no-support-for-architecture-all" => {
                release.all_in_each = field.words().any(|word| word == "Packages");
            }
            kind @ ("sha256" | "sha512") => {
                for line in field.lines().filter(|line| !line.is_empty()) {
                    let (path, file) = index_file(line, kind)
                        .ok_or_else(|| malformed(format!("`{line}` is no index file's hash")))?;
                    let known = release.files.entry(path).or_insert(file);
                    if kind == "sha256" {
                        *known = file;
                    }
                }
            }
            "md5sum" | "sha1" => weak = true,
            _ => {}
        }
    }
    release.automatic = match (not_automatic, upgrades) {
        (false, false) => Automatic::Yes,
        (true, false) => Automatic::No,
        // The one word is enough for apt.
        (_, true) => Automatic::Upgrades,
    };
    // A flat repository is asked for by its directory, and some name no suite at all.
    let nameless = suite.is_empty() && codename.is_empty();
    if suite != wanted && codename != wanted && !wanted.ends_with('/') && !nameless {
        let found = format!("{suite} ({codename})");
        return Err(Error::WrongSuite { wanted: wanted.to_owned(), found });
    }
    if !dated {
        return Err(malformed("it has no date".to_owned()));
    }
    if weak && release.files.is_empty() {
        return Err(malformed("it lists files by MD5Sum or SHA1 alone, which can be forged".to_owned()));
    }
    Ok(release)
}

/// As apt reads a switch.
fn yes(value: &str) -> bool {
    ["yes", "true", "with", "on", "enable", "1"].iter().any(|word| value.eq_ignore_ascii_case(word))
}

fn index_file(line: &str, kind: &str) -> Option<(String, IndexFile)> {
    let mut words = line.split_ascii_whitespace();
    let digits = words.next()?;
    let hash = match kind {
        "sha512" => Hash::Sha512(digest::parse_sha512(digits)?),
        _ => Hash::Sha256(digest::parse_sha256(digits)?),
    };
    let size = words.next()?.parse().ok()?;
    let path = words.next()?.to_owned();
    words.next().is_none().then_some((path, IndexFile { size, hash }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Origin: Debian\nSuite: stable-security\nCodename: bookworm-security\n\
        Date: Sat, 06 Sep 2025 08:12:33 UTC\nValid-Until: Sat, 13 Sep 2025 08:12:33 UTC\n\
        Acquire-By-Hash: yes\nComponents: updates/main updates/contrib\nArchitectures: all amd64\n\
        SHA256:\n e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 0 main/x\n";
    const NOW: Clock = Clock { now: 1_757_200_000, archived: false };

    #[test]
    fn what_it_says() {
        let release = parse(TEXT, "bookworm-security", NOW).unwrap();
        assert_eq!(release.date, 1_757_146_353);
        assert_eq!(release.components, ["main", "contrib"]);
        assert!(release.by_hash);
        assert_eq!(release.files["main/x"], IndexFile { size: 0, hash: Hash::Sha256(digest::sha256(b"")) });
    }

    #[test]
    fn another_suite_an_old_file_and_nonsense_are_refused() {
        assert!(matches!(parse(TEXT, "bookworm", NOW), Err(Error::WrongSuite { .. })));
        let late = Clock { now: NOW.now + 30 * 86_400, ..NOW };
        assert!(matches!(parse(TEXT, "bookworm-security", late), Err(Error::OutOfDate { .. })));
        assert!(parse(TEXT, "bookworm-security", Clock { archived: true, ..late }).is_ok());
        for bad in [TEXT.replace("Date: Sat", "Other: Sat"), TEXT.replace(" 0 main", " main"), String::new()]
        {
            assert!(matches!(parse(&bad, "bookworm-security", NOW), Err(Error::Malformed { .. })), "{bad}");
        }
    }
}
