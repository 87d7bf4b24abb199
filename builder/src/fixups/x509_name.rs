//! The hash of a certificate's subject by which OpenSSL finds it in a
//! directory: `X509_NAME_hash_ex()`, `openssl x509 -subject_hash`.
//!
//! It is the start of the SHA-1 of the subject in a canonical form
//! (`x509_name_canon()` in OpenSSL's `crypto/x509/x_name.c`): every text is
//! UTF-8, in lower case, with runs of spaces made one and none at the ends.

use sha1::{Digest as _, Sha1};

const INTEGER: u8 = 0x02;
const OID: u8 = 0x06;
const UTF8: u8 = 0x0c;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// `[0] EXPLICIT Version`.
const VERSION: u8 = 0xa0;

/// The subject hash of the first certificate in a PEM text; `None` when it is
/// not an X.509 certificate.
pub(super) fn subject_hash(pem: &str) -> Option<u32> {
    let der = der_of(pem)?;
    let (certificate, _) = expect(&der, SEQUENCE)?;
    let (tbs, _) = expect(certificate, SEQUENCE)?;
    let rest = expect(tbs, VERSION).map_or(tbs, |(_, rest)| rest);
    let (_serial, rest) = expect(rest, INTEGER)?;
    let (_algorithm, rest) = expect(rest, SEQUENCE)?;
    let (_issuer, rest) = expect(rest, SEQUENCE)?;
    let (_validity, rest) = expect(rest, SEQUENCE)?;
    let (subject, _) = expect(rest, SEQUENCE)?;
    let digest = Sha1::digest(canonical(subject)?);
    Some(u32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]]))
}

/// The RDNs one after the other, without the SEQUENCE around them.
fn canonical(mut name: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    while !name.is_empty() {
        let (mut rdn, rest) = expect(name, SET)?;
        name = rest;
        let mut entries = Vec::new();
        while !rdn.is_empty() {
            let (entry, rest) = expect(rdn, SEQUENCE)?;
            rdn = rest;
            let (oid, value) = expect(entry, OID)?;
            let (tag, text, _) = tlv(value)?;
            let mut body = encode(OID, oid);
            body.extend(match utf8(tag, text)? {
                Some(text) => encode(UTF8, squeeze(&text).as_bytes()),
                None => encode(tag, text),
            });
            entries.push(encode(SEQUENCE, &body));
        }
        // DER: the elements of a SET OF are sorted.
        entries.sort();
        out.extend(encode(SET, &entries.concat()));
    }
    Some(out)
}

/// A value of one of the string types as text; `Some(None)` for other types.
fn utf8(tag: u8, bytes: &[u8]) -> Option<Option<String>> {
    let text = match tag {
        // UTF8String, PrintableString, IA5String, VisibleString
        0x0c | 0x13 | 0x16 | 0x1a => String::from_utf8(bytes.to_vec()).ok()?,
        // T61String, taken for Latin-1 as OpenSSL does
        0x14 => bytes.iter().copied().map(char::from).collect(),
        // UniversalString, BMPString
        0x1c => {
            let units = bytes.chunks(4).map(|c| Some(u32::from_be_bytes(c.try_into().ok()?)));
            units.map(|unit| char::from_u32(unit?)).collect::<Option<String>>()?
        }
        0x1e => {
            let units = bytes.chunks(2).map(|c| Some(u16::from_be_bytes(c.try_into().ok()?)));
            String::from_utf16(&units.collect::<Option<Vec<_>>>()?).ok()?
        }
        _ => return Some(None),
    };
    Some(Some(text))
}

/// Lower case, and white space reduced, in ASCII only.
fn squeeze(text: &str) -> String {
    let space = |c: char| c.is_ascii_whitespace() || c == '\x0b';
    let words: Vec<_> = text.split(space).filter(|w| !w.is_empty()).collect();
    words.join(" ").to_ascii_lowercase()
}

fn expect(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    tlv(bytes).filter(|(found, ..)| *found == tag).map(|(_, content, rest)| (content, rest))
}

/// Tag, content and what follows (X.690, definite lengths up to four bytes).
fn tlv(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, short], rest) = bytes.split_first_chunk::<2>()?;
    let (len, rest) = match short {
        0..=0x7f => (usize::from(short), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(short & 0x7f))?;
            (digits.iter().try_fold(0_usize, |n, d| n.checked_mul(256)?.checked_add(usize::from(*d)))?, rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(len)?;
    Some((tag, content, rest))
}

fn encode(tag: u8, content: &[u8]) -> Vec<u8> {
    let len = content.len().to_be_bytes();
    let digits = &len[len.iter().take_while(|b| **b == 0).count()..];
    let mut out = vec![tag];
    match (digits, u8::try_from(digits.len())) {
        ([], _) => out.push(0),
        ([short @ 0..=0x7f], _) => out.push(*short),
        (_, Ok(count)) => {
            out.push(0x80 | count);
            out.extend_from_slice(digits);
        }
        (_, Err(_)) => unreachable!("a usize has at most eight bytes"),
    }
    out.extend_from_slice(content);
    out
}

fn der_of(pem: &str) -> Option<Vec<u8>> {
    let (_, body) = pem.split_once("-----BEGIN CERTIFICATE-----")?;
    let (body, _) = body.split_once("-----END CERTIFICATE-----")?;
    let (mut out, mut bits, mut held) = (Vec::new(), 0_u32, 0_u32);
    for c in body.bytes().filter(|c| !c.is_ascii_whitespace() && *c != b'=') {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        held = (held << 6 | u32::from(value)) & 0xffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push(u8::try_from(held >> bits & 0xff).ok()?);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_as_they_are_written() {
        for len in [0, 1, 127, 128, 255, 256, 65_536] {
            let content = vec![7; len];
            let encoded = encode(SEQUENCE, &content);
            assert_eq!(tlv(&encoded), Some((SEQUENCE, &content[..], &[][..])), "{len}");
        }
        assert_eq!(tlv(&[SEQUENCE, 0x82, 1]), None);
        assert_eq!(tlv(&[SEQUENCE, 5, 1]), None);
        assert_eq!(tlv(&[SEQUENCE, 0x80, 0, 0]), None);
    }

    #[test]
    fn text_is_squeezed_and_other_types_stay() {
        assert_eq!(squeeze("  A \t bC\u{c4} "), "a bc\u{c4}");
        assert_eq!(utf8(0x1e, &[0, 0x41, 0, 0xe9]), Some(Some("A\u{e9}".into())));
        assert_eq!(utf8(0x1e, &[0, 0x41, 0]), None);
        assert_eq!(utf8(0x03, &[1]), Some(None));
    }

    #[test]
    fn what_is_no_certificate_has_no_hash() {
        for pem in [
            "",
            "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----",
            "-----BEGIN CERTIFICATE-----\n!",
        ] {
            assert_eq!(subject_hash(pem), None, "{pem}");
        }
    }
}
