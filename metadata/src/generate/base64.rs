//! Base64 of the standard alphabet, RFC 4648, section 4: content that is no text.

/// The bytes behind a text; nothing when it is not base64.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let padded = text.as_bytes();
    let bare = padded.strip_suffix(b"==").or_else(|| padded.strip_suffix(b"=")).unwrap_or(padded);
    if !padded.len().is_multiple_of(4) {
        return None;
    }
    let mut out = Vec::with_capacity(bare.len());
    let (mut bits, mut count) = (0_u32, 0);
    for byte in bare {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count).to_le_bytes()[0]);
            bits &= (1 << count) - 1;
        }
    }
    // What is left over must be zeros of less than one character.
    (bits == 0 && count < 6).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn the_vectors_of_the_specification_and_what_is_none() {
        for (text, bytes) in
            [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYmFy", "foobar")]
        {
            assert_eq!(decode(text).as_deref(), Some(bytes.as_bytes()), "{text}");
        }
        assert_eq!(decode("/+8="), Some(vec![0xff, 0xef]));
        for bad in ["Zg=", "Zg", "Z===", "Zh==", "Zm9=", "Zm 9", "Zm9v\n", "===="] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
