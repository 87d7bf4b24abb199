//! Lists of domain names as DHCP and router advertisements carry them.
//! Source: RFC 1035 §3.1 and §4.1.4, RFC 3397 §2, RFC 8106 §5.2.

/// Longest name in bytes, as text without the last dot.
const MAX_NAME: usize = 253;
/// More names than any resolver searches.
const MAX_NAMES: usize = 32;

/// The names of a list, in order. Pointers are offsets into the whole list and
/// may only lead back, so reading ends. Padding (empty names) is passed over;
/// the list ends before the first name that is damaged.
pub fn list(bytes: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    let mut at = 0;
    while at < bytes.len() && names.len() < MAX_NAMES {
        let Some((name, next)) = name_at(bytes, at) else { break };
        if !name.is_empty() {
            names.push(name);
        }
        at = next;
    }
    names
}

/// The name at an offset and where the next one starts.
fn name_at(bytes: &[u8], start: usize) -> Option<(String, usize)> {
    let mut name = String::new();
    let (mut at, mut limit, mut next) = (start, start, None);
    loop {
        let length = usize::from(*bytes.get(at)?);
        match length >> 6 {
            0 if length == 0 => return Some((name, next.unwrap_or(at + 1))),
            0 => {
                let label = std::str::from_utf8(bytes.get(at + 1..at + 1 + length)?).ok()?;
                if !name.is_empty() {
                    name.push('.');
                }
                name.push_str(label);
                at += 1 + length;
                if name.len() > MAX_NAME || !is_host_name(label) {
                    return None;
                }
            }
            3 => {
                let to = (length & 0x3f) << 8 | usize::from(*bytes.get(at + 1)?);
                next.get_or_insert(at + 2);
                // Strictly before everything read so far.
                if to >= limit {
                    return None;
                }
                (at, limit) = (to, to);
            }
            _ => return None,
        }
    }
}

/// Whether a text can be written into a resolver's configuration as a name:
/// letters, digits, hyphens, underscores and dots. What a server sends must
/// not be able to add a line to it.
pub fn is_host_name(text: &str) -> bool {
    let ok = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    !text.is_empty() && text.len() <= MAX_NAME && text.bytes().all(ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_share_their_ends() {
        // RFC 3397 §2: eng.apple.com., marketing.apple.com.
        let bytes = b"\x03eng\x05apple\x03com\x00\x09marketing\xc0\x04";
        assert_eq!(list(bytes), ["eng.apple.com", "marketing.apple.com"]);
        assert_eq!(list(&[bytes, &[0, 0, 0][..]].concat()).len(), 2, "padding");
    }

    #[test]
    fn pointers_lead_back_only() {
        assert_eq!(list(b"\xc0\x00"), [] as [&str; 0], "to itself");
        assert_eq!(list(b"\x01a\xc0\x00"), [] as [&str; 0], "into its own name");
        assert_eq!(list(b"\x01a\xc0\x04\x01b\x00"), [] as [&str; 0], "ahead");
        assert_eq!(list(b"\x01a\x00\xc0\x00\xc0\x03"), ["a", "a", "a"], "over another pointer");
    }

    #[test]
    fn damage_ends_the_list_and_keeps_what_was_good() {
        assert_eq!(list(b"\x01a\x00\x05cut"), ["a"]);
        assert_eq!(list(b"\x01a\x00\x04b\nxy\x00\x01c\x00"), ["a"], "a line break is no name");
        assert_eq!(list(b"\x01a\x00\x80\x00"), ["a"], "reserved label kind");
        let long = [&b"\x3fxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"[..]; 4].concat();
        assert_eq!(list(&[&long[..], &[0]].concat()), [] as [&str; 0], "255 bytes");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read(bytes: Vec<u8>) {
            proptest::prop_assert!(list(&bytes).iter().all(|name| name.len() <= MAX_NAME));
        }
        #[test]
        fn many_pointers_are_read(bytes in proptest::collection::vec(
            proptest::prop_oneof![proptest::strategy::Just(0xc0_u8), 0_u8..4], 0..600)) {
            let _ = list(&bytes);
        }
    }
}
