//! Minisign signatures of documents (Ed25519), so that the stock `minisign -V` can
//! verify them, too. Source: `jedisct1.github.io/minisign`, "Format".

use minisign_verify::{PublicKey, Signature};

/// A key that is trusted to sign documents.
#[derive(Clone, Debug)]
pub struct TrustedKey {
    text: String,
    key: PublicKey,
}

/// Why a document is not trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The key is not 42 bytes of base64 with the mark of Ed25519.
    #[error("`{0}` is not a minisign public key (56 characters that begin with RW)")]
    Key(String),
    /// The signature file is not one.
    #[error("the signature is not a minisign signature")]
    Malformed,
    /// It is by a key that is not trusted.
    #[error("signed by key {signer}, which is not trusted (trusted: {trusted})")]
    UnknownKey {
        /// Id of the key that signed, as minisign shows it.
        signer: String,
        /// Ids of the trusted keys.
        trusted: String,
    },
    /// It is not the signature of these bytes.
    #[error("the signature by key {0} does not match the document")]
    Mismatch(String),
    /// No key is trusted at all.
    #[error("this image trusts no key (sledos.trust= or `trust:` in the recipe)")]
    NoKeys,
}

impl TrustedKey {
    /// Reads a public key: the base64 line of a minisign `.pub` file.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let key = PublicKey::from_base64(text).map_err(|_| Error::Key(text.to_owned()))?;
        Ok(Self { text: text.to_owned(), key })
    }

    /// The base64 line.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its id, 16 hexadecimal digits, as minisign shows it.
    pub fn id(&self) -> String {
        id_of(&self.text)
    }
}

/// The id in a base64 line of a key or a signature: the eight bytes after the
/// algorithm's mark, the last one first.
fn id_of(line: &str) -> String {
    let mut bytes = Vec::new();
    let mut bits = 0_u32;
    let mut have = 0;
    for c in line.bytes().take(16) {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => break,
        };
        bits = bits << 6 | u32::from(value);
        have += 6;
        if have >= 8 {
            have -= 8;
            bytes.push(u8::try_from(bits >> have & 0xff).unwrap_or_default());
        }
    }
    bytes.iter().skip(2).take(8).rev().map(|b| format!("{b:02X}")).collect()
}

/// Verifies a document's bytes against the text of its `.minisig` file. Returns the
/// id of the key that signed.
///
/// # Errors
/// See [`Error`].
pub fn verify(document: &[u8], minisig: &str, trusted: &[TrustedKey]) -> Result<String, Error> {
    if trusted.is_empty() {
        return Err(Error::NoKeys);
    }
    let signature = Signature::decode(minisig).map_err(|_| Error::Malformed)?;
    let signer = id_of(minisig.lines().nth(1).unwrap_or_default());
    let Some(key) = trusted.iter().find(|key| key.id() == signer) else {
        let trusted: Vec<_> = trusted.iter().map(TrustedKey::id).collect();
        return Err(Error::UnknownKey { signer, trusted: trusted.join(", ") });
    };
    key.key.verify(document, &signature, false).map_err(|_| Error::Mismatch(signer.clone()))?;
    Ok(signer)
}

#[cfg(test)]
mod tests {
    use super::*;

    // The example of the minisign-verify crate's documentation.
    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    const SIGNATURE: &str = "untrusted comment: signature from minisign secret key
RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=
trusted comment: timestamp:1633700835\tfile:test\tprehashed
wLMDjy9FLAuxZ3q4NlEvkgtyhrr0gtTu6KC4KBJdITbbOeAi1zBIYo0v4iTgt8jJpIidRJnp94ABQkJAgAooBQ==
";

    #[test]
    fn a_signature_holds_for_its_bytes_and_its_key_only() {
        let key = TrustedKey::parse(KEY).unwrap();
        assert_eq!(key.id(), "E7620F1842B4E81F");
        assert_eq!(verify(b"test", SIGNATURE, std::slice::from_ref(&key)), Ok("E7620F1842B4E81F".into()));
        assert_eq!(verify(b"tesT", SIGNATURE, std::slice::from_ref(&key)), Err(Error::Mismatch(key.id())));
        let other = KEY.replace("RWQf6LRC", "RWQf6LRD");
        let other = TrustedKey::parse(&other).unwrap();
        let Err(Error::UnknownKey { signer, trusted }) =
            verify(b"test", SIGNATURE, std::slice::from_ref(&other))
        else {
            panic!()
        };
        assert_eq!((signer, trusted), (key.id(), other.id()));
        assert_eq!(verify(b"test", "x", &[key]), Err(Error::Malformed));
        assert_eq!(verify(b"test", SIGNATURE, &[]), Err(Error::NoKeys));
    }

    #[test]
    fn keys_that_are_none_are_refused() {
        for text in ["", "RW", "untrusted comment: x", &KEY[1..], &KEY.replace('W', "X")] {
            assert!(TrustedKey::parse(text).is_err(), "{text}");
        }
    }
}
