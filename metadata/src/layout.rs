//! Where a sled looks for its document: paths below a metadata URL, so that any
//! static HTTP server can answer.
//!
//! The signature lies beside the document, with `.minisig` at the end of its name.

use crate::values::Mac;
use std::fmt;

/// Ending of a signature's name.
pub const SIGNATURE: &str = ".minisig";

/// The ways to ask, as they are named in recipes and on the command line, in the
/// default order: a place first, because hardware is replaced and places stay.
pub const WORDS: [&str; 6] = ["location", "switch-port", "board", "product", "uuid", "mac"];

/// One way to ask for a document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// By place, known from the command line: rack and bay.
    Location(String, u32),
    /// By the switch port that LLDP announces: chassis id and port id.
    SwitchPort(String, String),
    /// By the board's serial number.
    Board(String),
    /// By the product's serial number.
    Product(String),
    /// By UUID.
    Uuid(String),
    /// By the MAC address of any of its NICs.
    Mac(Mac),
}

impl Key {
    /// Its word in [`WORDS`].
    pub fn word(&self) -> &'static str {
        match self {
            Self::Location(..) => "location",
            Self::SwitchPort(..) => "switch-port",
            Self::Board(_) => "board",
            Self::Product(_) => "product",
            Self::Uuid(_) => "uuid",
            Self::Mac(_) => "mac",
        }
    }

    /// The path of the document below a metadata URL: `v1/mac/52-54-00-12-34-56.json`.
    pub fn path(&self) -> String {
        let name = |text: &str| escape(text);
        match self {
            Self::Location(rack, bay) => format!("v1/location/{}/{bay}.json", name(rack)),
            Self::SwitchPort(chassis, port) => format!("v1/switch/{}/{}.json", name(chassis), name(port)),
            Self::Board(serial) => format!("v1/board/{}.json", name(serial)),
            Self::Product(serial) => format!("v1/product/{}.json", name(serial)),
            Self::Uuid(uuid) => format!("v1/uuid/{}.json", name(&uuid.to_ascii_lowercase())),
            Self::Mac(mac) => format!("v1/mac/{}.json", mac.to_string().replace(':', "-")),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Location(rack, bay) => write!(f, "location {rack}/{bay}"),
            Self::SwitchPort(chassis, port) => write!(f, "switch {chassis} port {port}"),
            Self::Board(serial) => write!(f, "board {serial}"),
            Self::Product(serial) => write!(f, "product {serial}"),
            Self::Uuid(uuid) => write!(f, "uuid {uuid}"),
            Self::Mac(mac) => write!(f, "mac {mac}"),
        }
    }
}

/// A text as one file name that is its own URL: letters, digits, `-`, `.` inside,
/// other bytes as `_` and two hexadecimal digits. Percent signs are avoided: servers
/// and tools disagree on who undoes them.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (n, byte) in text.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric() || byte == b'-' || (byte == b'.' && n > 0);
        if plain {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("_{byte:02x}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_paths_that_no_server_changes() {
        let keys = [
            Key::Location("r 12".into(), 7),
            Key::SwitchPort("aa:bb:cc:00:00:01".into(), "Ethernet1/7".into()),
            Key::Board("..CN7016/x".into()),
            Key::Product("é".into()),
            Key::Uuid("4C4C4544-0042-3510-8051-B7C04F333832".into()),
            Key::Mac(Mac([0x52, 0x54, 0, 0x12, 0x34, 0x56])),
        ];
        let paths: Vec<_> = keys.iter().map(Key::path).collect();
        assert_eq!(
            paths,
            [
                "v1/location/r_2012/7.json",
                "v1/switch/aa_3abb_3acc_3a00_3a00_3a01/Ethernet1_2f7.json",
                "v1/board/_2e.CN7016_2fx.json",
                "v1/product/_c3_a9.json",
                "v1/uuid/4c4c4544-0042-3510-8051-b7c04f333832.json",
                "v1/mac/52-54-00-12-34-56.json",
            ]
        );
    }

    #[test]
    fn no_two_texts_are_one_name() {
        let texts = ["a_b", "a:b", "a_3ab", "a b", ".", "..", "", "a.b", "A"];
        let names: std::collections::BTreeSet<_> = texts.iter().map(|t| escape(t)).collect();
        assert_eq!(names.len(), texts.len());
    }
}
