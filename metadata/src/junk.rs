//! Serial numbers and UUIDs that firmware reports although they identify nobody.
//!
//! Source: what boards were seen to answer; a value that many machines share must
//! never select a document.

/// Texts that vendors leave where a serial number should be, in lower case.
const PLACEHOLDERS: [&str; 18] = [
    "to be filled by o.e.m.",
    "to be filled by oem",
    "to be filled",
    "default string",
    "default",
    "none",
    "null",
    "n/a",
    "na",
    "not specified",
    "not available",
    "not applicable",
    "unknown",
    "empty",
    "system serial number",
    "base board serial number",
    "chassis serial number",
    "invalid",
];

/// UUIDs that whole product lines share, in lower case.
const SHARED_UUIDS: [&str; 3] = [
    "03000200-0400-0500-0006-000700080009",
    "12345678-1234-5678-90ab-cddeefaabbcc",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
];

/// The serial number, trimmed, or nothing when it identifies nobody: empty, a
/// placeholder, one character over and over, counting digits.
pub fn serial(text: &str) -> Option<&str> {
    let text = text.trim_matches(|c: char| c.is_whitespace() || c.is_control());
    let lower = text.to_ascii_lowercase();
    let mut chars = lower.chars().filter(|c| c.is_alphanumeric());
    let first = chars.next()?;
    let counting = "0123456789012345678901234567890";
    let counts = lower.len() >= 5 && (counting.contains(&lower) || counting[1..].contains(&lower));
    let junk = PLACEHOLDERS.contains(&lower.as_str()) || chars.all(|c| c == first) || counts;
    (!junk).then_some(text)
}

/// The UUID in lower case, or nothing when it is none or identifies nobody.
pub fn uuid(text: &str) -> Option<String> {
    let lower = text.trim().to_ascii_lowercase();
    let groups: Vec<_> = lower.split('-').collect();
    let shape = groups.iter().map(|g| g.len()).eq([8, 4, 4, 4, 12]);
    let hex = lower.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit());
    let mut digits = lower.bytes().filter(|b| *b != b'-');
    let first = digits.next()?;
    let junk = SHARED_UUIDS.contains(&lower.as_str()) || digits.all(|d| d == first);
    (shape && hex && !junk).then_some(lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_boards_say_when_they_have_no_serial_is_no_serial() {
        let junk = [
            "",
            "  ",
            "0",
            "00000000",
            "FFFFFFFF",
            "To be filled by O.E.M.",
            "0123456789",
            "123456789",
            "None",
            "Default string",
            "........",
            "xxxxxxxx",
            "N/A",
            "System Serial Number",
            "\u{0}\u{0}",
        ];
        for text in junk {
            assert_eq!(serial(text), None, "{text:?}");
        }
        assert_eq!(serial(" ZM18AS036112 \n"), Some("ZM18AS036112"));
        assert_eq!(serial("..CN7016342L00DF."), Some("..CN7016342L00DF."));
    }

    #[test]
    fn shared_and_broken_uuids_are_none() {
        for text in [
            "03000200-0400-0500-0006-000700080009",
            "00000000-0000-0000-0000-000000000000",
            "Not Settable",
            "",
        ] {
            assert_eq!(uuid(text), None, "{text}");
        }
        let good = "4C4C4544-0042-3510-8051-B7C04F333832";
        assert_eq!(uuid(good), Some(good.to_lowercase()));
    }
}
