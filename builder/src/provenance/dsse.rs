//! Dead Simple Signing Envelope, version 1.0.2.
//! Source: <https://github.com/secure-systems-lab/dsse>, `protocol.md` and `envelope.md`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use metadata::fleet::sign::{Signer, verify_plain};
use metadata::signature::TrustedKey;
use serde::{Deserialize, Serialize};

/// What an envelope carries.
pub(super) const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// The envelope.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<Signature>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Signature {
    /// Optional, and a hint only.
    #[serde(default)]
    keyid: String,
    sig: String,
}

/// Why an envelope is not believed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// Not an envelope.
    #[error("it is no DSSE envelope")]
    Envelope(#[source] serde_json::Error),
    /// Base64 is damaged.
    #[error("its {0} is not base64")]
    Base64(&'static str),
    /// Something else is in it.
    #[error("it carries {0:?}, not {PAYLOAD_TYPE}")]
    PayloadType(String),
    /// No signature in it is by a trusted key.
    #[error("no trusted key signed it (signed by: {0})")]
    NotTrusted(String),
}

/// Pre-authentication encoding: what is signed.
fn encoded(payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), payload.len()).into_bytes();
    bytes.extend(payload);
    bytes
}

/// Signs a payload. The same payload and key give the same line.
pub(super) fn seal(payload: &[u8], signer: &Signer) -> String {
    let envelope = Envelope {
        payload: STANDARD.encode(payload),
        payload_type: PAYLOAD_TYPE.to_owned(),
        signatures: vec![Signature {
            keyid: signer.public().id(),
            sig: STANDARD.encode(signer.sign_plain(&encoded(payload))),
        }],
    };
    let mut line = serde_json::to_string(&envelope).unwrap_or_default();
    line.push('\n');
    line
}

/// The payload of an envelope that one of these keys signed.
///
/// # Errors
/// See [`Error`].
pub(super) fn open(line: &str, trusted: &[TrustedKey]) -> Result<Vec<u8>, Error> {
    let envelope: Envelope = serde_json::from_str(line.trim_end()).map_err(Error::Envelope)?;
    if envelope.payload_type != PAYLOAD_TYPE {
        return Err(Error::PayloadType(envelope.payload_type));
    }
    let payload = STANDARD.decode(&envelope.payload).map_err(|_| Error::Base64("payload"))?;
    let signed = encoded(&payload);
    for signature in &envelope.signatures {
        let sig = STANDARD.decode(&signature.sig).map_err(|_| Error::Base64("signature"))?;
        if trusted.iter().any(|key| verify_plain(key, &signed, &sig)) {
            return Ok(payload);
        }
    }
    let ids: Vec<_> = envelope.signatures.into_iter().map(|signature| signature.keyid).collect();
    Err(Error::NotTrusted(ids.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use metadata::fleet::sign::new_key;

    #[test]
    fn only_the_signed_payload_and_a_trusted_key_open_it() {
        let pair = || {
            let new = new_key("k", None).unwrap();
            (Signer::parse(&new.secret, None).unwrap(), TrustedKey::parse(&new.line).unwrap())
        };
        let ((signer, key), (_, other)) = (pair(), pair());
        let line = seal(b"{}", &signer);
        assert_eq!(line, seal(b"{}", &signer));
        assert_eq!(open(&line, &[other.clone(), key.clone()]).unwrap(), b"{}");
        assert!(matches!(open(&line, &[other]), Err(Error::NotTrusted(ids)) if ids == key.id()));
        let forged = line.replace(&STANDARD.encode(b"{}"), &STANDARD.encode(b"[]"));
        assert!(matches!(open(&forged, std::slice::from_ref(&key)), Err(Error::NotTrusted(_))));
        let text = line.replace(PAYLOAD_TYPE, "text/plain");
        assert!(matches!(open(&text, std::slice::from_ref(&key)), Err(Error::PayloadType(_))));
        for bad in ["", "{}", "[1]", "{\"payload\":1}"] {
            assert!(matches!(open(bad, std::slice::from_ref(&key)), Err(Error::Envelope(_))), "{bad}");
        }
    }

    #[test]
    fn what_is_signed_is_the_specifications_example() {
        // protocol.md, "Signature definition", with this payload's type.
        assert_eq!(
            encoded(b"hello world"),
            b"DSSEv1 28 application/vnd.in-toto+json 11 hello world".to_vec()
        );
    }
}
