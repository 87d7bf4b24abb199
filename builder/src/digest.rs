//! sha256, sha512 and their hexadecimal forms.

use std::io::{self, Read};

pub use formats::verity::hex;
use sha2::{Digest, Sha256, Sha512};

/// sha256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// sha256 and length of all that `reader` gives.
pub fn sha256_reader(reader: &mut impl Read) -> io::Result<([u8; 32], u64)> {
    let mut hash = Sha256::new();
    let length = update_from(&mut hash, reader)?;
    Ok((hash.finalize().into(), length))
}

/// Adds all that `reader` gives to `hash`, and says how many bytes that were.
pub fn update_from(hash: &mut Sha256, reader: &mut impl Read) -> io::Result<u64> {
    let mut buffer = vec![0; 128 * 1024];
    let mut length = 0u64;
    loop {
        let n = match reader.read(&mut buffer) {
            Ok(0) => return Ok(length),
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let Some(part) = buffer.get(..n) else {
            return Err(io::Error::other("the reader says it gave more than fits"));
        };
        hash.update(part);
        length = length.saturating_add(u64::try_from(n).unwrap_or(u64::MAX));
    }
}

/// What a signed text says another file's content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// sha256.
    Sha256([u8; 32]),
    /// sha512.
    Sha512([u8; 64]),
}

impl Hash {
    /// Whether these are the bytes.
    pub fn fits(&self, bytes: &[u8]) -> bool {
        match self {
            Hash::Sha256(hash) => sha256(bytes) == *hash,
            Hash::Sha512(hash) => <[u8; 64]>::from(Sha512::digest(bytes)) == *hash,
        }
    }

    /// In hexadecimal.
    pub fn hex(&self) -> String {
        match self {
            Hash::Sha256(hash) => hex(hash),
            Hash::Sha512(hash) => hex(hash),
        }
    }

    /// As Release files and `by-hash` directories call it.
    pub fn name(&self) -> &'static str {
        match self {
            Hash::Sha256(_) => "SHA256",
            Hash::Sha512(_) => "SHA512",
        }
    }
}

/// The 64 hexadecimal digits of a sha256, or `None`.
pub fn parse_sha256(text: &str) -> Option<[u8; 32]> {
    parse(text)
}

/// The 128 hexadecimal digits of a sha512, or `None`.
pub fn parse_sha512(text: &str) -> Option<[u8; 64]> {
    parse(text)
}

fn parse<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    let mut hash = [0; N];
    if digits.len() != 2 * hash.len() {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(hash)
}

fn digit(c: u8) -> Option<u8> {
    match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        b'A'..=b'F' => Some(c - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_goes_both_ways_and_refuses_the_rest() {
        // FIPS 180-4's example for "abc".
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(parse_sha256(text), Some(sha256(b"abc")));
        assert_eq!(hex(&sha256(b"abc")), text);
        assert_eq!(parse_sha256(&text[1..]), None);
        assert_eq!(parse_sha256(&text.replace('b', "g")), None);
        assert_eq!(sha256_reader(&mut &b"abc"[..]).unwrap(), (sha256(b"abc"), 3));
    }
}
