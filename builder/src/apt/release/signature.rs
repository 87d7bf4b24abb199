//! The signature of a Release file: around it (RFC 9580 section 7) or beside it (section 10.4).

use pgp::composed::{
    CleartextSignedMessage, Deserializable, DetachedSignature, SignedPublicKey, SignedPublicSubKey,
};
use pgp::packet::{Signature, SignatureType};
use pgp::types::KeyDetails;

use super::certificate::{self, Unfit};
use super::{Clock, Error, Keyring};

const BEGIN: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const END: &str = "-----END PGP SIGNATURE-----";

/// Clocks of signers may be ahead of ours by this many seconds.
const CLOCK_SKEW: i64 = 24 * 3600;

pub(super) struct Verified {
    /// What was signed, with `\n` as line end.
    pub text: String,
    /// Fingerprint of the primary key, upper-case hexadecimal.
    pub signed_by: String,
}

/// The text within a cleartext signed message.
pub(super) fn verify(bytes: &[u8], keyring: &Keyring, clock: Clock) -> Result<Verified, Error> {
    // What `pgp` says of damaged bytes are their numbers, which help nobody.
    let damaged = || Error::NotSigned { problem: "its OpenPGP signature is damaged" };
    let file = std::str::from_utf8(bytes).map_err(|_| Error::NotSigned { problem: "it is no UTF-8 text" })?;
    check_frame(file)?;
    // `pgp` takes an empty line at the end for text.
    let (message, _) = CleartextSignedMessage::from_string(file.trim_end()).map_err(|_| damaged())?;
    let signed = message.signed_text();
    let signed_by = signer(message.signatures(), signed.as_bytes(), keyring, clock)?;
    Ok(Verified { text: signed.replace("\r\n", "\n"), signed_by })
}

/// A text with its signatures in a file of their own, armoured or binary.
pub(super) fn verify_detached(
    text: &[u8],
    signature: &[u8],
    keyring: &Keyring,
    clock: Clock,
) -> Result<Verified, Error> {
    let damaged = |_| Error::NotSigned { problem: "its Release.gpg is no OpenPGP signature" };
    let (parsed, _) = DetachedSignature::from_reader_many_buf(signature).map_err(damaged)?;
    let signatures = parsed
        .map(|one| one.map(|one| one.signature))
        .collect::<Result<Vec<Signature>, _>>()
        .map_err(damaged)?;
    let signed_by = signer(&signatures, text, keyring, clock)?;
    Ok(Verified { text: String::from_utf8_lossy(text).replace("\r\n", "\n"), signed_by })
}

/// Who signed: the fingerprint of the primary key. At least one signature must be good, and
/// none by a known key may be bad. Signatures by keys we do not have are passed over: Debian
/// signs with several.
fn signer(signatures: &[Signature], signed: &[u8], keyring: &Keyring, clock: Clock) -> Result<String, Error> {
    let (mut signed_by, mut refused, mut unknown) = (None, None, Vec::new());
    for signature in signatures {
        let Some(signer) = Signer::find(keyring, signature) else {
            unknown.push(issuer(signature));
            continue;
        };
        match signer.check(signature, signed, clock, keyring) {
            Ok(()) => signed_by = signed_by.or(Some(signer)),
            Err(bad @ Error::BadSignature { .. }) => return Err(bad),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    match (signed_by, refused) {
        (Some(signer), _) => Ok(format!("{:X}", signer.key.primary_key.fingerprint())),
        (None, Some(error)) => Err(error),
        (None, None) if unknown.is_empty() => Err(Error::NotSigned { problem: "it has no signature" }),
        (None, None) => {
            Err(Error::UnknownSigner { signers: unknown.join(", "), keyring: keyring.name.clone() })
        }
    }
}

/// One signed message and nothing else.
fn check_frame(file: &str) -> Result<(), Error> {
    let begins = file.lines().filter(|line| line.trim_end() == BEGIN).count();
    if begins == 0 {
        return Err(Error::NotSigned {
            problem: "it has no line `-----BEGIN PGP SIGNED MESSAGE-----`; is it another page, like that of a proxy?",
        });
    }
    let after = file.rsplit_once(END).map(|(_, after)| after);
    match after {
        None => {
            Err(Error::NotSigned { problem: "it is cut off: it has no line `-----END PGP SIGNATURE-----`" })
        }
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
        signed: &[u8],
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
            None => signature.verify(&self.key.primary_key, signed),
            Some(subkey) => signature.verify(&subkey.key, signed),
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
