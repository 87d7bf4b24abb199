//! The keys an archive may be signed by.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use pgp::composed::{Deserializable, SignedPublicKey};
use pgp::types::KeyDetails;

use super::Error;

/// Debian's keyring on a Debian host.
const HOST_KEYRINGS: [&str; 2] =
    ["/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp"];
/// Larger keyrings are refused; Debian's has 60 kB.
const LIMIT: u64 = 16 << 20;

/// Public keys, from one file.
#[derive(Clone, Debug)]
pub struct Keyring {
    /// Names it in messages.
    pub(super) name: String,
    pub(super) keys: Vec<SignedPublicKey>,
}

impl Keyring {
    /// Debian's keys: of the file given, or of the host's.
    pub fn debian(given: Option<&Path>) -> Result<Keyring, Error> {
        let host = HOST_KEYRINGS.iter().map(Path::new).find(|file| file.exists());
        Keyring::read(given.or(host).unwrap_or(Path::new(HOST_KEYRINGS[0])))
    }

    /// Fingerprints of all keys and subkeys, in upper-case hexadecimal.
    pub fn fingerprints(&self) -> BTreeSet<String> {
        let of = |key: &SignedPublicKey| {
            let subkeys = key.public_subkeys.iter().map(|subkey| format!("{:X}", subkey.key.fingerprint()));
            std::iter::once(format!("{:X}", key.primary_key.fingerprint())).chain(subkeys).collect::<Vec<_>>()
        };
        self.keys.iter().flat_map(of).collect()
    }

    /// The keys of a binary or armoured file.
    pub fn read(file: &Path) -> Result<Keyring, Error> {
        let name = file.display().to_string();
        let problem = |problem: String| Error::Keyring { file: name.clone(), problem };
        let length = fs::metadata(file).map_err(|error| problem(error.to_string()))?.len();
        if length > LIMIT {
            return Err(problem(format!("it has {length} bytes, which is no keyring")));
        }
        let bytes = fs::read(file).map_err(|error| problem(error.to_string()))?;
        Keyring::parse(&bytes, &name)
    }

    /// The keys of binary or armoured bytes; one armour block after the other is
    /// fine. `name` is for messages.
    pub fn parse(bytes: &[u8], name: &str) -> Result<Keyring, Error> {
        let problem = |problem: String| Error::Keyring { file: name.to_owned(), problem };
        let mut keys = Vec::new();
        for block in blocks(bytes) {
            let (parsed, _) =
                SignedPublicKey::from_reader_many_buf(block).map_err(|error| problem(error.to_string()))?;
            for key in parsed {
                keys.push(key.map_err(|error| problem(error.to_string()))?);
            }
        }
        if keys.is_empty() {
            return Err(problem("there is no OpenPGP public key in it".to_owned()));
        }
        Ok(Keyring { name: name.to_owned(), keys })
    }
}

/// Each armour block of a text; a binary file as it is.
fn blocks(bytes: &[u8]) -> Vec<&[u8]> {
    const BEGIN: &str = "-----BEGIN PGP";
    let Some(text) = std::str::from_utf8(bytes).ok().filter(|text| text.contains(BEGIN)) else {
        return vec![bytes];
    };
    let starts: Vec<usize> = text.match_indices(BEGIN).map(|(at, _)| at).collect();
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    starts.iter().zip(ends).filter_map(|(start, end)| bytes.get(*start..end)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_keyring_is_an_error() {
        for bad in [&b""[..], b"hello", b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n", &[0x99, 1, 2]] {
            assert!(matches!(Keyring::parse(bad, "k"), Err(Error::Keyring { .. })), "{bad:?}");
        }
    }
}
