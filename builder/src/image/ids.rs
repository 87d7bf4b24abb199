//! Everything random-looking in an image, derived from its name.
//!
//! Each id is the sha256 of a seed and of what it is for, so that adding a
//! partition never changes another one's id.

use sha2::{Digest, Sha256};

use crate::digest::hex;

/// Source of all ids of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed([u8; 32]);

impl Seed {
    /// The seed of an image: the same for all its versions, so that a diff of
    /// two versions shows only what really changed.
    pub fn of_image(name: &str) -> Self {
        Self(derive(b"sledos image", name))
    }

    /// 32 bytes for one purpose.
    pub fn bytes(&self, purpose: &str) -> [u8; 32] {
        derive(&self.0, purpose)
    }

    /// A UUID (RFC 9562 version 8: custom) in textual byte order.
    pub fn uuid(&self, purpose: &str) -> [u8; 16] {
        let mut uuid = [0; 16];
        uuid.copy_from_slice(&self.bytes(purpose)[..16]);
        uuid[6] = uuid[6] & 0x0f | 0x80;
        uuid[8] = uuid[8] & 0x3f | 0x80;
        uuid
    }

    /// A 32-bit volume number.
    pub fn u32(&self, purpose: &str) -> u32 {
        let [a, b, c, d, ..] = self.bytes(purpose);
        u32::from_be_bytes([a, b, c, d])
    }
}

fn derive(seed: &[u8], purpose: &str) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update((seed.len() as u64).to_be_bytes());
    hasher.update(seed);
    hasher.update(purpose.as_bytes());
    hasher.finalize().into()
}

/// A UUID as people write it.
pub fn uuid_text(uuid: &[u8; 16]) -> String {
    let hex = hex(uuid);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_by_purpose_and_image_and_have_the_version_bits() {
        let a = Seed::of_image("compute");
        assert_ne!(a.uuid("ROOT"), a.uuid("OEM"));
        assert_ne!(a.uuid("ROOT"), Seed::of_image("storage").uuid("ROOT"));
        let text = uuid_text(&a.uuid("ROOT"));
        assert_eq!(&text[14..15], "8");
        assert!("89ab".contains(&text[19..20]), "{text}");
    }
}
