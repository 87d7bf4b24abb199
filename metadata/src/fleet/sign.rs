//! Keys and signatures in minisign's formats. Source: `jedisct1.github.io/minisign`,
//! "Signature format", "Secret key format".
//!
//! The `minisign` crate makes, encrypts and reads keys. It mixes random bytes into
//! each signature, so signing itself is done here, as RFC 8032 has it: the same
//! document gets the same signature.

use crate::signature::TrustedKey;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use blake2::digest::Mac as _;
use blake2::{Blake2b512, Blake2bMac512, Digest as _};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

/// Prehashed with BLAKE2b, then Ed25519.
const ALGORITHM: &[u8; 2] = b"ED";

/// Why a key cannot be used or made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a secret key in minisign's format.
    #[error("this is not a minisign secret key")]
    NotAKey(#[source] minisign::PError),
    /// A public key was given.
    #[error("this is a public key; the one that signs is needed")]
    Public,
    /// It is encrypted and no password was given.
    #[error("this key is encrypted, and no password was given")]
    Encrypted,
    /// It is encrypted with another password.
    #[error("the password does not fit this key")]
    Password(#[source] minisign::PError),
    /// No random numbers, or the crate refused.
    #[error("cannot make a key")]
    Make(#[source] minisign::PError),
    /// The halves of the key do not belong together.
    #[error("this key is damaged: its public half is not that of its secret half")]
    Damaged,
}

/// A key that signs.
pub struct Signer {
    key: SigningKey,
    id: [u8; 8],
    public: TrustedKey,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({})", self.public.id())
    }
}

/// A new key pair as the text of its two files.
pub struct NewKey {
    /// The secret key file.
    pub secret: String,
    /// The public key file.
    pub public: String,
    /// The line of it that `trust:` wants.
    pub line: String,
}

/// Makes a key pair, its secret half encrypted when there is a password.
///
/// # Errors
/// [`Error::Make`].
pub fn new_key(name: &str, password: Option<&str>) -> Result<NewKey, Error> {
    let pair = match password {
        Some(password) => minisign::KeyPair::generate_encrypted_keypair(Some(password.to_owned())),
        None => minisign::KeyPair::generate_unencrypted_keypair(),
    };
    let pair = pair.map_err(Error::Make)?;
    let comment = format!("sledos secret key {name}");
    let secret = pair.sk.to_box(Some(&comment)).map_err(Error::Make)?.into_string();
    let public = pair.pk.to_box().map_err(Error::Make)?.into_string();
    Ok(NewKey { secret, public, line: pair.pk.to_base64() })
}

impl Signer {
    /// Reads the text of a secret key file.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn parse(text: &str, password: Option<&str>) -> Result<Self, Error> {
        let line = text.lines().nth(1).unwrap_or(text).trim();
        if TrustedKey::parse(line).is_ok() {
            return Err(Error::Public);
        }
        let boxed = || minisign::SecretKeyBox::from_string(text).map_err(Error::NotAKey);
        let key = match (boxed()?.into_unencrypted_secret_key(), password) {
            (Ok(key), _) => key,
            (Err(e), _) if !is_secret_key(line) => return Err(Error::NotAKey(e)),
            (Err(_), None) => return Err(Error::Encrypted),
            (Err(_), Some(password)) => {
                boxed()?.into_secret_key(Some(password.to_owned())).map_err(Error::Password)?
            }
        };
        let public = minisign::PublicKey::from_secret_key(&key).map_err(Error::NotAKey)?.to_base64();
        let public = TrustedKey::parse(&public).map_err(|_| Error::Damaged)?;
        // Algorithms 2 + 2 + 2, salt 32, limits 8 + 8; then id 8, secret and public half.
        let bytes = key.to_bytes();
        let part = |from: usize, to: usize| bytes.get(from..to).ok_or(Error::Damaged);
        let id = part(54, 62)?.try_into().map_err(|_| Error::Damaged)?;
        let pair: [u8; 64] = part(62, 126)?.try_into().map_err(|_| Error::Damaged)?;
        let key = SigningKey::from_keypair_bytes(&pair).map_err(|_| Error::Damaged)?;
        Ok(Self { key, id, public })
    }

    /// Its public half.
    pub fn public(&self) -> &TrustedKey {
        &self.public
    }

    /// The bare Ed25519 signature of these bytes, not prehashed (RFC 8032, 5.1.6).
    pub fn sign_plain(&self, bytes: &[u8]) -> [u8; 64] {
        self.key.sign(bytes).to_bytes()
    }

    /// What a sled shows with its reports, 64 hexadecimal digits: the same for the same
    /// sled and hardware, unknown to whoever has neither this key nor the document.
    /// `what` says whose it is. Keyed BLAKE2b (RFC 7693 section 2.9), by a key of its own
    /// that is derived from the one that signs.
    pub fn token(&self, what: &[&[u8]]) -> String {
        let mut key = Blake2b512::new_with_prefix(b"sledos report token key\0");
        key.update(self.key.as_bytes());
        // A key of 64 bytes is always taken.
        let Ok(mut mac) = Blake2bMac512::new_from_slice(&key.finalize()) else { return String::new() };
        for part in what {
            mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().iter().take(32).map(|b| format!("{b:02x}")).collect()
    }

    /// The text of the `.minisig` file of these bytes. The comment is signed, too.
    pub fn sign(&self, bytes: &[u8], comment: &str) -> String {
        let signature = self.key.sign(&Blake2b512::digest(bytes)).to_bytes();
        let mut first = ALGORITHM.to_vec();
        first.extend(self.id);
        first.extend(signature);
        let mut second = signature.to_vec();
        second.extend(comment.as_bytes());
        let second = self.key.sign(&second).to_bytes();
        format!(
            "untrusted comment: signature from sledos key {}\n{}\ntrusted comment: {comment}\n{}\n",
            self.public.id(),
            STANDARD.encode(first),
            STANDARD.encode(second),
        )
    }
}

/// Whether a bare Ed25519 signature is that of these bytes by this key.
pub fn verify_plain(key: &TrustedKey, bytes: &[u8], signature: &[u8]) -> bool {
    // Algorithm 2, id 8, then the public half.
    let verifying = || {
        let line = STANDARD.decode(key.as_str()).ok()?;
        VerifyingKey::from_bytes(line.get(10..)?.try_into().ok()?).ok()
    };
    let signature = Signature::from_slice(signature);
    verifying()
        .zip(signature.ok())
        .is_some_and(|(key, signature)| key.verify_strict(bytes, &signature).is_ok())
}

/// Whether a line is a secret key, encrypted or not: `Ed`, a key derivation, `B2`.
fn is_secret_key(line: &str) -> bool {
    STANDARD.decode(line).is_ok_and(|b| b.len() == 158 && b.starts_with(b"Ed") && b.get(4..6) == Some(b"B2"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::{self, verify};

    #[test]
    fn what_is_signed_verifies_and_is_the_same_every_time() {
        let new = new_key("berlin", None).unwrap();
        let signer = Signer::parse(&new.secret, None).unwrap();
        assert_eq!(signer.public().as_str(), new.line);
        let minisig = signer.sign(b"document", "sled r12-b07");
        assert_eq!(minisig, signer.sign(b"document", "sled r12-b07"));
        let trusted = [TrustedKey::parse(&new.line).unwrap()];
        assert_eq!(verify(b"document", &minisig, &trusted), Ok(trusted[0].id()));
        let wrong = verify(b"documenT", &minisig, &trusted);
        assert!(matches!(wrong, Err(signature::Error::Mismatch(_))));
        let other = minisig.replace("sled r12-b07", "sled r12-b08");
        assert!(verify(b"document", &other, &trusted).is_err(), "the comment is signed");
    }

    #[test]
    fn keys_with_a_password_need_it() {
        let new = new_key("berlin", Some("secret")).unwrap();
        assert!(matches!(Signer::parse(&new.secret, None), Err(Error::Encrypted)));
        assert!(matches!(Signer::parse(&new.secret, Some("wrong")), Err(Error::Password(_))));
        assert_eq!(Signer::parse(&new.secret, Some("secret")).unwrap().public().as_str(), new.line);
        assert!(matches!(Signer::parse(&new.public, None), Err(Error::Public)));
        for text in ["", "x\ny", "untrusted comment: a\nRWQ=\n"] {
            assert!(matches!(Signer::parse(text, Some("p")), Err(Error::NotAKey(_))), "{text:?}");
        }
    }
}
