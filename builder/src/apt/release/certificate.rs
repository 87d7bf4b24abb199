//! Whether a key may sign at a given time: proved to belong to its owner, not
//! expired, not revoked. `pgp` verifies single signatures; which of them count
//! is decided here (RFC 9580 section 5.2.3.10, 10.1).

use pgp::composed::{SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType};
use pgp::types::{KeyDetails, Tag};

/// Why a key may not sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    Expired { at: i64 },
    Revoked,
    Other(&'static str),
}

/// Checks the primary key as an owner of its subkeys. `times`: each must lie
/// before the key's expiry.
pub(super) fn check_primary(key: &SignedPublicKey, times: &[i64]) -> Result<(), Unfit> {
    let primary = &key.primary_key;
    let revoked = |sig: &Signature| sig.verify_key(primary).is_ok();
    if key.details.revocation_signatures.iter().any(revoked) {
        return Err(Unfit::Revoked);
    }
    let newest = newest_self_signature(key).ok_or(Unfit::Other("nothing binds its owner to it"))?;
    let direct = newest_direct_signature(key);
    let created = i64::from(primary.created_at().as_secs());
    for signature in std::iter::once(newest).chain(direct) {
        check_expiry(created, signature, times)?;
    }
    Ok(())
}

/// Checks that the primary key itself may sign data.
pub(super) fn check_primary_signs(key: &SignedPublicKey) -> Result<(), Unfit> {
    let flags = newest_direct_signature(key)
        .into_iter()
        .chain(newest_self_signature(key))
        .map(Signature::key_flags)
        .collect::<Vec<_>>();
    // No flags at all: a key of old, for everything.
    let none = flags.iter().all(|f| {
        !f.sign() && !f.certify() && !f.encrypt_comms() && !f.encrypt_storage() && !f.authentication()
    });
    if none || flags.iter().any(|f| f.sign()) {
        Ok(())
    } else {
        Err(Unfit::Other("it is not a key for signing data"))
    }
}

/// Checks that a subkey may sign data in the name of the primary key.
pub(super) fn check_subkey(
    key: &SignedPublicKey,
    subkey: &SignedPublicSubKey,
    times: &[i64],
) -> Result<(), Unfit> {
    let valid = |sig: &&Signature| sig.verify_subkey_binding(&key.primary_key, &subkey.key).is_ok();
    let of_type = |typ| subkey.signatures.iter().filter(move |sig| sig.typ() == Some(typ));
    if of_type(SignatureType::SubkeyRevocation).any(|sig| valid(&sig)) {
        return Err(Unfit::Revoked);
    }
    let binding = of_type(SignatureType::SubkeyBinding)
        .filter(|sig| strong(sig))
        .filter(valid)
        .max_by_key(|sig| sig.created())
        .ok_or(Unfit::Other("nothing binds this subkey to its primary key"))?;
    if !binding.key_flags().sign() {
        return Err(Unfit::Other("it is not a subkey for signing data"));
    }
    // Without this signature the primary key could claim a stranger's key as its own.
    let unconfirmed = Unfit::Other("the subkey does not confirm its primary key");
    let back = binding.embedded_signature().filter(|sig| strong(sig)).ok_or(unconfirmed)?;
    back.verify_primary_key_binding(&subkey.key, &key.primary_key).map_err(|_| unconfirmed)?;
    check_expiry(i64::from(subkey.key.created_at().as_secs()), binding, times)
}

/// Whether the hash cannot be forged.
pub(super) fn strong(signature: &Signature) -> bool {
    use HashAlgorithm::{Sha3_256, Sha3_512, Sha224, Sha256, Sha384, Sha512};
    signature
        .hash_alg()
        .is_some_and(|hash| matches!(hash, Sha224 | Sha256 | Sha384 | Sha512 | Sha3_256 | Sha3_512))
}

fn check_expiry(created: i64, signature: &Signature, times: &[i64]) -> Result<(), Unfit> {
    let Some(lifetime) = signature.key_expiration_time().map(|d| i64::from(d.as_secs())) else {
        return Ok(());
    };
    let at = created + lifetime;
    // A lifetime of zero means none (RFC 9580 section 5.2.3.13).
    if lifetime != 0 && times.iter().any(|time| *time >= at) {
        return Err(Unfit::Expired { at });
    }
    Ok(())
}

/// The newest valid certification of one of its user ids by the key itself.
/// It is the place where keys carry their flags and their expiry.
fn newest_self_signature(key: &SignedPublicKey) -> Option<&Signature> {
    let certifies = |sig: &Signature| {
        use SignatureType::{CertCasual, CertGeneric, CertPersona, CertPositive};
        matches!(sig.typ(), Some(CertGeneric | CertPersona | CertCasual | CertPositive))
    };
    key.details
        .users
        .iter()
        .flat_map(|user| user.signatures.iter().map(move |sig| (user, sig)))
        .filter(|(_, sig)| certifies(sig) && strong(sig))
        .filter(|(user, sig)| sig.verify_certification(&key.primary_key, Tag::UserId, &user.id).is_ok())
        .map(|(_, sig)| sig)
        .max_by_key(|sig| sig.created())
}

fn newest_direct_signature(key: &SignedPublicKey) -> Option<&Signature> {
    let signatures = key.details.direct_signatures.iter();
    signatures
        .filter(|sig| strong(sig) && sig.verify_key(&key.primary_key).is_ok())
        .max_by_key(|sig| sig.created())
}
