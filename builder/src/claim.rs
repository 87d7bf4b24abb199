//! What an image says of itself, and whether that is believed. Others may have written it:
//! documents and boot scripts are made of it.
//!
//! A directory is whole when `SHA256SUMS` has its manifest and all artefacts, with the
//! hashes that the manifest has, too; so one that is still being copied is none. Whoever
//! signed `SHA256SUMS` vouches for the root hash, then.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use metadata::fleet::release::Release;
use metadata::signature;
use yaml::shown::is_hostile;

use crate::digest::{hex, sha256};
use crate::image::manifest::Manifest;
use crate::output::{SUMS, parse_sums};
use crate::provenance::SIGNATURE;

/// The file that says what an image is.
pub const MANIFEST: &str = "manifest.json";
/// How far clocks of builders may be ahead, in seconds.
const DAY: i64 = 86_400;
/// What is read of each file, in bytes.
const LIMITS: [(&str, u64); 3] = [(MANIFEST, 16 << 20), (SUMS, 1 << 20), (SIGNATURE, 4 << 10)];

/// The files that speak of an image, as they were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// `manifest.json`.
    pub manifest: Vec<u8>,
    /// `SHA256SUMS`.
    pub sums: Option<String>,
    /// Its signature.
    pub signature: Option<String>,
}

/// Who vouches for an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signed {
    /// The key with this id.
    By(String),
    /// Nobody was asked for.
    Nobody,
}

impl fmt::Display for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::By(key) => write!(f, "signed by {key}"),
            Self::Nobody => f.write_str("unsigned"),
        }
    }
}

/// Why an image is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Not all of it is there: it may still be on its way.
    Partial(String),
    /// It will not become better.
    Wrong(String),
}

impl Refused {
    /// In words.
    pub fn why(&self) -> &str {
        match self {
            Self::Partial(why) | Self::Wrong(why) => why,
        }
    }
}

impl Claim {
    /// Reads the files; `open` gives one by name.
    ///
    /// # Errors
    /// When there is no manifest.
    pub fn read<R: Read>(mut open: impl FnMut(&str) -> io::Result<R>) -> io::Result<Self> {
        let mut bytes = |(name, limit): (&str, u64)| {
            let mut bytes = Vec::new();
            open(name)?.take(limit).read_to_end(&mut bytes)?;
            Ok::<_, io::Error>(bytes)
        };
        let [manifest, sums, signature] = LIMITS;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Self {
            manifest: bytes(manifest)?,
            sums: bytes(sums).ok().map(text),
            signature: bytes(signature).ok().map(text),
        })
    }

    /// Reads them in a directory.
    ///
    /// # Errors
    /// When there is no manifest.
    pub fn in_dir(dir: &Path) -> io::Result<Self> {
        Self::read(|name| File::open(dir.join(name)))
    }

    /// The manifest, when it is one that a builder of ours writes. `now` in seconds since 1970.
    ///
    /// # Errors
    /// What no manifest of ours says.
    pub fn manifest(&self, now: u64) -> Result<Manifest, Refused> {
        let manifest: Manifest = serde_json::from_slice(&self.manifest)
            .map_err(|e| Refused::Partial(format!("{MANIFEST} is no manifest of an image: {e}")))?;
        match stranger(&manifest, i64::try_from(now).unwrap_or(i64::MAX)) {
            None => Ok(manifest),
            Some(why) => Err(Refused::Wrong(format!("{MANIFEST} {why}"))),
        }
    }

    /// Whether `SHA256SUMS` has what the manifest has.
    ///
    /// # Errors
    /// What it has not.
    pub fn whole(&self, manifest: &Manifest) -> Result<(), Refused> {
        let partial = |why: String| Err(Refused::Partial(why));
        let Some(sums) = &self.sums else { return partial(format!("there is no {SUMS}")) };
        let mut listed = BTreeMap::new();
        for line in parse_sums(sums) {
            match line {
                Ok((sum, name)) => drop(listed.insert(name, sum)),
                Err(n) => return partial(format!("{SUMS}, line {n}: not a hash, two spaces and a name")),
            }
        }
        let own = hex(&sha256(&self.manifest));
        let artefacts = manifest.artefacts.iter().map(|(name, artefact)| (name.as_str(), &artefact.sha256));
        for (name, sum) in artefacts.chain([(MANIFEST, &own)]) {
            match listed.get(name) {
                None => return partial(format!("{name} is not in {SUMS}")),
                Some(there) if *there != sum => {
                    return Err(Refused::Wrong(format!("{SUMS} has the hash of another {name}")));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Who vouches for it, of those who have to.
    ///
    /// # Errors
    /// When none of them does.
    pub fn signed(&self, release: &Release) -> Result<Signed, Refused> {
        let Release::By(keys) = release else { return Ok(Signed::Nobody) };
        let Some(minisig) = &self.signature else {
            return Err(Refused::Wrong(format!(
                "it is not signed: there is no {SIGNATURE}; `sledos sign DIR --key release.key` makes it"
            )));
        };
        let sums = self.sums.as_deref().unwrap_or_default();
        match signature::verify(sums.as_bytes(), minisig, keys) {
            Ok(key) => Ok(Signed::By(key)),
            Err(error) => Err(Refused::Wrong(format!(
                "{SIGNATURE}: {error}; `images.trust` has the keys whose images are taken"
            ))),
        }
    }
}

/// What a manifest says that none of ours does.
fn stranger(manifest: &Manifest, now: i64) -> Option<String> {
    if let Some(name) = manifest.odd_name() {
        return Some(format!("has the name `{}` in it, which no file of an image has", name.escape_debug()));
    }
    if manifest.root_hash.parse::<metadata::values::Hash32>().is_err() {
        return Some(format!(
            "has `{}` as root hash, not 64 hexadecimal digits",
            manifest.root_hash.escape_debug()
        ));
    }
    // A line end would begin a line of its own in every boot script.
    if manifest.kernel.cmdline.contains(is_hostile) {
        return Some("has control characters in the kernel's command line".to_owned());
    }
    // The newest is taken: one of tomorrow would be so for ever.
    let time = manifest.time;
    (time < 0 || time > now.saturating_add(DAY)).then(|| format!("has the time {time}, and it is {now}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use metadata::fleet::sign::{Signer, new_key};
    use metadata::signature::TrustedKey;

    /// An image of one artefact, signed by a new key.
    fn claim() -> (Claim, Release) {
        let sum = hex(&sha256(b"usr"));
        let manifest = serde_json::json!({
            "format": 1, "image": "compute", "version": "1", "time": 0, "builder": "test", "root-hash": sum,
            "kernel": {"release": "6", "cmdline": "quiet"},
            "inputs": {"recipe": "", "lock": "", "init": "", "usr-level": 1, "block-size": 1, "initramfs-level": 1},
            "partitions": [], "packages": {}, "components": {}, "missing-components": [], "nics": [],
            "artefacts": {"usr.squashfs": {"size": 3, "sha256": sum}},
        });
        let manifest = manifest.to_string().into_bytes();
        let sums = format!("{}  {MANIFEST}\n{sum}  usr.squashfs\n", hex(&sha256(&manifest)));
        let key = new_key("release", None).unwrap();
        let signature = Signer::parse(&key.secret, None).unwrap().sign(sums.as_bytes(), "x");
        let release = Release::By(vec![TrustedKey::parse(&key.line).unwrap()]);
        (Claim { manifest, sums: Some(sums), signature: Some(signature) }, release)
    }

    fn check(claim: &Claim, release: &Release) -> Result<Signed, Refused> {
        let manifest = claim.manifest(0)?;
        claim.whole(&manifest)?;
        claim.signed(release)
    }

    #[test]
    fn only_what_is_whole_and_signed_by_one_of_these_keys_is_taken() {
        let (claim, release) = claim();
        assert!(matches!(check(&claim, &release), Ok(Signed::By(_))));
        let (_, other) = self::claim();
        assert!(check(&claim, &other).unwrap_err().why().contains("which is not trusted"));
        let unsigned = Claim { signature: None, ..claim.clone() };
        assert!(check(&unsigned, &release).unwrap_err().why().contains("sledos sign DIR"));
        assert_eq!(check(&unsigned, &Release::Unsigned), Ok(Signed::Nobody));
        let bare = Claim { sums: None, ..claim.clone() };
        assert!(matches!(check(&bare, &Release::Unsigned), Err(Refused::Partial(_))));
    }

    /// What is cut off anywhere may still come; what is changed anywhere is never taken.
    #[test]
    fn nothing_cut_off_or_changed_is_taken() {
        let (claim, release) = claim();
        let sums = claim.sums.clone().unwrap();
        // Without its last line end it has all lines.
        for end in 0..sums.len() - 1 {
            let cut = Claim { sums: Some(sums[..end].to_owned()), ..claim.clone() };
            assert!(matches!(check(&cut, &Release::Unsigned), Err(Refused::Partial(_))), "{end}");
            assert!(check(&cut, &release).is_err());
        }
        for end in 0..claim.manifest.len() {
            let cut = Claim { manifest: claim.manifest[..end].to_vec(), ..claim.clone() };
            assert!(matches!(check(&cut, &release), Err(Refused::Partial(_))), "{end}");
            let mut other = claim.clone();
            other.manifest[end] ^= 1;
            assert!(check(&other, &Release::Unsigned).is_err(), "{end}");
        }
    }
}
