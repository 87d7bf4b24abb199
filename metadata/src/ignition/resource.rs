//! What a `source` stands for: data URLs (RFC 2397) and what the network has, unpacked
//! and held against its hash.

use super::World;
use super::check::{list, text};
use base64::Engine as _;
use sha2::{Digest as _, Sha256, Sha512};
use std::io::Read as _;
use yaml::Node;

/// Longest content, in bytes: no document may be longer.
const MAX: usize = crate::document::MAX_BYTES;

/// The bytes behind a resource with a source.
///
/// # Errors
/// Why there are none.
pub(super) fn bytes(resource: &Node, world: &mut dyn World) -> Result<Vec<u8>, String> {
    let source = text(resource, "source").unwrap_or_default();
    let raw = match source.split_once(':') {
        None => Vec::new(),
        Some(("data", rest)) => data(rest)?,
        Some(_) => {
            let header =
                |header: &Node| Some((text(header, "name")?.to_owned(), text(header, "value")?.to_owned()));
            let headers: Vec<_> = list(resource, &["httpHeaders"]).filter_map(header).collect();
            world.get(source, &headers, MAX)?
        }
    };
    let bytes = match text(resource, "compression") {
        Some(_) => unpack(&raw)?,
        None => raw,
    };
    if bytes.len() > MAX {
        return Err(format!("has more than {MAX} bytes"));
    }
    let Some(hash) = resource.get("verification").and_then(|v| text(v, "hash")) else { return Ok(bytes) };
    let is = if hash.starts_with("sha512-") {
        format!("sha512-{}", hex(&Sha512::digest(&bytes)))
    } else {
        format!("sha256-{}", hex(&Sha256::digest(&bytes)))
    };
    if is.eq_ignore_ascii_case(hash) { Ok(bytes) } else { Err(format!("its hash is {is}, not {hash}")) }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn unpack(raw: &[u8]) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX).unwrap_or(u64::MAX).saturating_add(1);
    flate2::read::MultiGzDecoder::new(raw)
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(|e| format!("is not gzip: {e}"))?;
    Ok(bytes)
}

/// What is behind `data:`.
fn data(rest: &str) -> Result<Vec<u8>, String> {
    let (kind, data) = rest.split_once(',').ok_or("is no data URL: there is no comma in it")?;
    if kind.ends_with(";base64") {
        let decoded = base64::engine::general_purpose::STANDARD.decode(data);
        return decoded.map_err(|e| format!("is not base64: {e}"));
    }
    let mut bytes = Vec::new();
    let mut rest = data.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digit = |b: Option<u8>| char::from(b?).to_digit(16).and_then(|d| u8::try_from(d).ok());
                let (high, low) = (digit(rest.next()), digit(rest.next()));
                bytes
                    .push(high.zip(low).map(|(h, l)| h << 4 | l).ok_or("has a % without two digits behind")?);
            }
            b'!' | b'#'..=b';' | b'=' | b'?'..=b'[' | b']' | b'_' | b'a'..=b'z' | b'~' => bytes.push(byte),
            _ => return Err("has a character that a URL must have as %XX".to_owned()),
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_urls() {
        assert_eq!(data(",a%20b%0A").unwrap(), b"a b\n");
        assert_eq!(data("text/plain;charset=utf-8;base64,/w==").unwrap(), [0xff]);
        assert_eq!(data(",").unwrap(), b"");
        for bad in ["no comma", ",a b", ",%4", ",%zz", ";base64,%3D", ";base64,Zg"] {
            assert!(data(bad).is_err(), "{bad}");
        }
    }
}
