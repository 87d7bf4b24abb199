//! The cleartext signature around a Release file (RFC 9580 section 7).

use pgp::composed::{CleartextSignedMessage, SignedPublicKey, SignedPublicSubKey};
use pgp::packet::{Signature, SignatureType};
use pgp::types::KeyDetails;

use super::certificate::{self, Unfit};
use super::{Clock, Error, Keyring};

const BEGIN: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const END: &str = "-----END PGP SIGNATURE-----";

/// Clocks of signers may be ahead of ours by this many seconds.
const CLOCK_SKEW: i64 = 24 * 3600;

pub(super) struct Verified {
    /// Exactly what was signed, with `\n` as line end.
    pub text: String,
    /// Fingerprint of the primary key, upper-case hexadecimal.
    pub signed_by: String,
}

/// At least one signature must be good, and none by a known key may be bad.
/// Signatures by keys we do not have are passed over: Debian signs with several.
pub(super) fn verify(bytes: &[u8], keyring: &Keyring, clock: Clock) -> Result<Verified, Error> {
    let not_signed = |problem: &dyn std::fmt::Display| Error::NotSigned { problem: problem.to_string() };
    let file = std::str::from_utf8(bytes).map_err(|error| not_signed(&error))?;
    check_frame(file)?;
    // `pgp` takes an empty line at the end for text.
    let (message, _) =
        CleartextSignedMessage::from_string(file.trim_end()).map_err(|error| not_signed(&error))?;
    let signed = message.signed_text();
    let (mut signed_by, mut refused, mut unknown) = (None, None, Vec::new());
    for signature in message.signatures() {
        let Some(signer) = Signer::find(keyring, signature) else {
            unknown.push(issuer(signature));
            continue;
        };
        match signer.check(signature, &signed, clock, keyring) {
            Ok(()) => signed_by = signed_by.or(Some(signer)),
            Err(bad @ Error::BadSignature { .. }) => return Err(bad),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    match (signed_by, refused) {
        (Some(signer), _) => Ok(Verified {
            text: signed.replace("\r\n", "\n"),
            signed_by: format!("{:X}", signer.key.primary_key.fingerprint()),
        }),
        (None, Some(error)) => Err(error),
        (None, None) if unknown.is_empty() => Err(not_signed(&"it has no signature")),
        (None, None) => {
            Err(Error::UnknownSigner { signers: unknown.join(", "), keyring: keyring.name.clone() })
        }
    }
}

/// One signed message and nothing else.
fn check_frame(file: &str) -> Result<(), Error> {
    let begins = file.lines().filter(|line| line.trim_end() == BEGIN).count();
    if begins == 0 {
        return Err(Error::NotSigned { problem: format!("it has no line `{BEGIN}`") });
    }
    let after = file.rsplit_once(END).map(|(_, after)| after);
    match after {
        None => Err(Error::NotSigned { problem: format!("it has no line `{END}`") }),
        Some(after) if begins > 1 || !file.starts_with(BEGIN) || !after.trim().is_empty() => {
            Err(Error::TextOutside)
        }
        Some(_) => Ok(()),
    }
}

/// A key of the keyring that says it made a signature.
struct Signer<'a> {
    key: &'a SignedPublicKey,
    /// `None`: the primary key.
    subkey: Option<&'a SignedPublicSubKey>,
}

impl<'a> Signer<'a> {
    fn find(keyring: &'a Keyring, signature: &Signature) -> Option<Signer<'a>> {
        keyring.keys.iter().find_map(|key| {
            if issued(signature, &key.primary_key) {
                return Some(Signer { key, subkey: None });
            }
            let subkey = key.public_subkeys.iter().find(|subkey| issued(signature, &subkey.key))?;
            Some(Signer { key, subkey: Some(subkey) })
        })
    }

    fn check(
        &self,
        signature: &Signature,
        signed: &str,
        clock: Clock,
        keyring: &Keyring,
    ) -> Result<(), Error> {
        let key = match self.subkey {
            None => format!("{:X}", self.key.primary_key.fingerprint()),
            Some(subkey) => format!("{:X}", subkey.key.fingerprint()),
        };
        if !certificate::strong(signature) {
            let hash = signature.hash_alg().map_or_else(|| "no hash".to_owned(), |h| h.to_string());
            return Err(Error::WeakHash { key, hash });
        }
        // Other types of signatures do not cover the text.
        if !matches!(signature.typ(), Some(SignatureType::Text | SignatureType::Binary)) {
            return Err(Error::BadSignature { key });
        }
        let fits = match self.subkey {
            None => signature.verify(&self.key.primary_key, signed.as_bytes()),
            Some(subkey) => signature.verify(&subkey.key, signed.as_bytes()),
        };
        if fits.is_err() {
            return Err(Error::BadSignature { key });
        }
        let made = signature.created().map(|time| i64::from(time.as_secs()));
        let lifetime = signature.signature_expiration_time().map(|d| i64::from(d.as_secs()));
        let made =
            made.ok_or(Error::UnfitKey { key: key.clone(), problem: "it does not say when it signed" })?;
        let over = lifetime.is_some_and(|life| life != 0 && made + life <= clock.now && !clock.archived);
        if over || made > clock.now + CLOCK_SKEW {
            return Err(Error::SignatureTime { key, now: clock.now });
        }
        let times = if clock.archived { vec![made] } else { vec![made, clock.now] };
        self.may_sign(&times).map_err(|unfit| match unfit {
            Unfit::Expired { at } => Error::ExpiredKey { key, expired: at, keyring: keyring.name.clone() },
            Unfit::Revoked => Error::RevokedKey { key },
            Unfit::Other(problem) => Error::UnfitKey { key, problem },
        })
    }

    fn may_sign(&self, times: &[i64]) -> Result<(), Unfit> {
        certificate::check_primary(self.key, times)?;
        match self.subkey {
            None => certificate::check_primary_signs(self.key),
            Some(subkey) => certificate::check_subkey(self.key, subkey, times),
        }
    }
}

fn issued(signature: &Signature, key: &impl KeyDetails) -> bool {
    let (prints, ids) = (signature.issuer_fingerprint(), signature.issuer_key_id());
    if prints.is_empty() {
        return ids.iter().any(|id| **id == key.legacy_key_id());
    }
    prints.iter().any(|print| **print == key.fingerprint())
}

fn issuer(signature: &Signature) -> String {
    let prints = signature.issuer_fingerprint();
    match (prints.first(), signature.issuer_key_id().first()) {
        (Some(print), _) => format!("{print:X}"),
        (None, Some(id)) => format!("{id}"),
        (None, None) => "nobody".to_owned(),
    }
}
