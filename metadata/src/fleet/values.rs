//! What stands in a cell: bays, serial numbers, UUIDs, MAC addresses. A text is one of
//! them, or it is refused with the reason; nothing is made to fit.

use crate::values::Mac;

/// Words before the number of a bay, in lower case.
const BAY_WORDS: [&str; 20] = [
    "bay",
    "slot",
    "node",
    "unit",
    "u",
    "ru",
    "he",
    "b",
    "n",
    "s",
    "pos",
    "position",
    "einschub",
    "schacht",
    "baie",
    "emplacement",
    "bahia",
    "sled",
    "server",
    "platz",
];

/// `7`, `07`, `7.0`, `1,00`, `Bay 7`, `U7`; and `R12-B07` in rack `R12`.
pub(super) fn bay_of(text: &str, rack: &str) -> Option<u32> {
    let text = unquoted(text).to_lowercase();
    let rack = rack.to_lowercase();
    let rest = text.strip_prefix(rack.as_str()).filter(|_| !rack.is_empty());
    let rest = rest.and_then(|rest| rest.strip_prefix(['-', '_', '/', ' ', ':', '.']));
    number(rest.or_else(|| behind_rack(&text)).unwrap_or(&text).trim())
}

/// What stands behind `R13-`, when a word says that it is the bay: vendors number racks
/// as they like.
fn behind_rack(text: &str) -> Option<&str> {
    let (rack, bay) = text.split_once(['-', '_', '/', ' '])?;
    let digits = rack.strip_prefix("rack").or_else(|| rack.strip_prefix('r'))?;
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    (plain && bay.trim_start().starts_with(char::is_alphabetic)).then_some(bay)
}

/// A number, with or without one of the words before it.
fn number(text: &str) -> Option<u32> {
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let (word, number) = text.split_at(start);
    let word = word.trim_end_matches([' ', '.', '-', '_', '#', ':']);
    if !word.is_empty() && !BAY_WORDS.contains(&word) || text.starts_with(['-', '.', '_', ':']) {
        return None;
    }
    let (whole, part) = number.split_once(['.', ',']).unwrap_or((number, "0"));
    let digits = |t: &str| !t.is_empty() && t.len() <= 9 && t.bytes().all(|b| b.is_ascii_digit());
    // `1,000` may be a thousand.
    let zero = part.len() <= 2 && !part.is_empty() && part.bytes().all(|b| b == b'0');
    if digits(whole) && zero { whole.parse().ok() } else { None }
}

/// `="0123"` and `'0123` are how Excel keeps a text a text.
pub(super) fn unquoted(text: &str) -> &str {
    let text = text.trim();
    let formula = text.strip_prefix("=\"").and_then(|t| t.strip_suffix('"'));
    formula.unwrap_or(text).trim_start_matches('\'').trim()
}

/// Why a text is no serial number: what is wrong, and what to do.
pub(super) fn no_serial(text: &str) -> Option<(String, &'static str)> {
    let shown = super::cells::shown(text);
    let label = "type it anew from the label on the sled";
    let as_text = "ask for the sheet with this column as text, or read the serial number off the sled";
    if let Some(odd) = text.chars().find(|c| !matches!(c, ' '..='~')) {
        let code = u32::from(odd);
        let what =
            format!("there are broken characters in this serial number: `{shown}` has U+{code:04X} in it");
        return Some((what, label));
    }
    if is_scientific(text) {
        return Some((format!("`{shown}` is a number that Excel has rounded: its digits are lost"), as_text));
    }
    if is_error(text) {
        return Some((format!("`{shown}` is an error of the spreadsheet, not a serial number"), label));
    }
    if text.contains(',') || text.starts_with(['=', '+', '-', '@']) {
        return Some((format!("`{shown}` is no serial number, but a number, list or formula"), as_text));
    }
    if is_date(text) {
        return Some((format!("`{shown}` is a date, not a serial number"), as_text));
    }
    if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') && text.contains('.') {
        return Some((format!("`{shown}` is a number with a point, not a serial number"), as_text));
    }
    if mac_of(text).is_some() && text.contains([':', '-', '.']) {
        return Some((
            format!("`{shown}` is a MAC address, not a serial number"),
            "a cell is missing before it, or one too many",
        ));
    }
    if uuid_of(text).is_some() && text.contains('-') {
        return Some((
            format!("`{shown}` is a UUID, not a serial number"),
            "a cell is missing before it, or one too many",
        ));
    }
    None
}

/// `#N/A`, `#REF!`, in the languages of spreadsheets.
pub(super) fn is_error(text: &str) -> bool {
    let rest = text.trim().strip_prefix('#');
    rest.is_some_and(|t| {
        t.ends_with(['!', '?']) || t.contains('/') || (!t.is_empty() && t.bytes().all(|b| b == b'#'))
    })
}

/// `2024-07-08`, `08.07.24`, `7/8/2024`, `Jul-08`, `08-Jul-24`, `8. Juli`.
fn is_date(text: &str) -> bool {
    const MONTHS: [&str; 21] = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec", // English
        "mär", "mai", "okt", "dez", // German
        "fév", "avr", "aoû", "déc", "ene", // French, Spanish
    ];
    let date = text.split(['T', ' ']).next().unwrap_or_default();
    let time = text.get(date.len()..).is_some_and(|t| t.trim_start_matches(['T', ' ']).contains(':'));
    let date = if time { date } else { text };
    let parts: Vec<String> =
        date.split(['-', '/', '.', ' ']).filter(|p| !p.is_empty()).map(str::to_lowercase).collect();
    let digits = |p: &String| p.len() <= 4 && p.bytes().all(|b| b.is_ascii_digit());
    let month = |p: &String| {
        p.chars().count() <= 9
            && p.chars().all(char::is_alphabetic)
            && MONTHS.iter().any(|m| p.starts_with(m))
            && (p.chars().count() == 3
                || ["uary", "ch", "il", "e", "y", "ust", "tember", "ober", "ember"]
                    .iter()
                    .any(|end| p.ends_with(end))
                || p.ends_with('i')
                || p.ends_with("ar"))
    };
    let words = parts.iter().filter(|p| month(p)).count();
    let numbers = parts.iter().filter(|p| digits(p)).count();
    let all = words + numbers == parts.len();
    let short = parts.iter().filter(|p| p.len() <= 2).count();
    all && ((words == 1 && (1..=2).contains(&numbers)) || (words == 0 && numbers == 3 && short >= 2))
}

/// `1.23E+11`: what a spreadsheet makes of a long number.
pub(super) fn is_scientific(text: &str) -> bool {
    let Some((mantissa, exponent)) = text.split_once(['e', 'E']) else { return false };
    let sign = exponent.strip_prefix(['+', '-']);
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    let point = mantissa.contains(['.', ',']);
    let plain = mantissa.split(['.', ',']).all(digits);
    plain && (sign.is_some_and(digits) || (point && digits(exponent)))
}

/// Twelve hexadecimal digits, with something between or not.
pub(super) fn mac_of(text: &str) -> Option<Mac> {
    let text = text.trim_start_matches("0x").trim_start_matches("0X");
    let odd = |c: char| !c.is_ascii_hexdigit() && !matches!(c, ':' | '-' | '.' | '_' | ' ');
    if text.contains(odd) {
        return None;
    }
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    (digits.len() == 12).then(|| digits.parse().ok()).flatten()
}

/// A UUID with or without its dashes and braces.
pub(super) fn uuid_of(text: &str) -> Option<String> {
    let text = text.trim().trim_matches(['{', '}']).to_ascii_lowercase();
    let hex = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let text = if hex {
        let part = |from, to| text.get(from..to).unwrap_or_default();
        format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
    } else {
        text
    };
    super::format::check("uuid", &text).is_ok().then_some(text)
}

/// Whether a text is a MAC address or a damaged one, not something else.
pub(super) fn resembles_mac(text: &str) -> bool {
    let digits = text.chars().filter(char::is_ascii_hexdigit).count();
    let rest = text.chars().filter(|c| c.is_alphanumeric() && !c.is_ascii_hexdigit()).count();
    let address = text.split('/').next().unwrap_or_default().parse::<std::net::IpAddr>().is_ok();
    !address && (is_scientific(text) || is_error(text) || (digits >= 6 && rest <= 2))
}

/// Whether a text is a UUID or a damaged one. GUIDs of InfiniBand have 16 digits.
pub(super) fn resembles_uuid(text: &str) -> bool {
    let digits = text.chars().filter(char::is_ascii_hexdigit).count();
    let rest = text.chars().filter(|c| c.is_alphanumeric() && !c.is_ascii_hexdigit()).count();
    is_scientific(text) || is_error(text) || (digits >= 8 && digits != 16 && rest <= 2)
}

/// Letters and digits together, as serial numbers have them and words do not.
pub(super) fn resembles_serial(text: &str) -> bool {
    let text = text.trim();
    let of = |kind: fn(&char) -> bool| text.chars().filter(kind).count();
    text.len() >= 6
        && text.bytes().all(|b| b.is_ascii_alphanumeric())
        && of(char::is_ascii_digit) >= 2
        && of(char::is_ascii_alphabetic) >= 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bays_numbers_and_addresses_as_sheets_have_them() {
        for (text, bay) in [
            ("7", 7),
            ("07", 7),
            ("7.0", 7),
            ("1,00", 1),
            ("Bay 7", 7),
            ("R12-B07", 7),
            ("r12/7", 7),
            (" 40 ", 40),
            ("U7", 7),
            ("R13-B07", 7),
            ("Slot #3", 3),
            ("'5", 5),
            ("=\"6\"", 6),
        ] {
            assert_eq!(bay_of(text, "R12"), Some(bay), "{text}");
        }
        for text in [
            "",
            "seven",
            "7a",
            "99999999999",
            "11.5",
            "13,5",
            "7-8",
            "U7-U8",
            "Jul-08",
            "08. Jul",
            "-7",
            "1,000",
            "7/8",
            "7;8",
            "#N/A",
            "2024-07-08",
            "7 8",
            "\u{200b}7",
            "٧",
        ] {
            assert_eq!(bay_of(text, "R12"), None, "{text}");
        }
        for text in ["1.23457E+12", "1,23E+11", "1E+11", "2.5e11"] {
            assert!(is_scientific(text), "{text}");
        }
        for text in ["12E4", "ZE+1", "1.2", "E+1", "52E400"] {
            assert!(!is_scientific(text), "{text}");
        }
        for text in [
            "52:54:00:ab:cd:ef",
            "52-54-00-AB-CD-EF",
            "5254.00ab.cdef",
            "525400ABCDEF",
            "52 54 00 ab cd ef",
            "525400-abcdef",
        ] {
            assert_eq!(mac_of(text).map(|m| m.to_string()).as_deref(), Some("52:54:00:ab:cd:ef"), "{text}");
        }
    }

    #[test]
    fn serial_numbers_and_what_spreadsheets_put_there() {
        for text in [
            "ZM18AS036112",
            "..CN7016342L00DF.",
            "5Y6VS1X",
            "MAR12345",
            "A-17-2",
            "000123",
            "S/N 12-AB",
            "123-45",
        ] {
            assert_eq!(no_serial(text), None, "{text}");
        }
        for text in [
            "#N/A",
            "#REF!",
            "#WERT!",
            "####",
            "1.5E+11",
            "Jul-08",
            "08-Jul-24",
            "8. Juli",
            "2024-07-08",
            "08.07.24",
            "7/8/2024",
            "2024-07-08 00:00:00",
            "1,234",
            "1234.0",
            "SNX\u{200b}1A",
            "SNX\u{a0}1A",
            "\u{421}N1234",
            "SN\u{feff}1",
            "SN\u{ad}1",
            "52:54:00:ab:cd:ef",
            "=A2",
            "4c4c4544-0042-3510-8051-b7c04f333832",
        ] {
            assert!(no_serial(text).is_some(), "{text}");
        }
    }

    proptest! {
        /// Where two numbers stand, none of them is taken.
        #[test]
        fn no_bay_is_guessed(a in 1_u32..60, b in 1_u32..60, between in "[-/;:+ ]|\\.[1-9]|,[1-9]| - |–| bis ", word in "|U|Bay |R12-B") {
            let text = format!("{word}{a}{between}{b}");
            prop_assert_eq!(bay_of(&text, "R12"), None);
        }

        /// A character that is no printable ASCII is never in a serial number.
        #[test]
        fn no_odd_character_is_taken(before in "[A-Z0-9]{1,8}", odd in "[^ -~]", after in "[A-Z0-9]{1,8}") {
            let (what, _) = no_serial(&format!("{before}{odd}{after}")).unwrap();
            prop_assert!(what.contains("U+"), "{}", what);
            prop_assert!(what.chars().all(|c| c == ' ' || c.is_ascii_graphic() || c.is_alphanumeric()));
        }
    }
}
