//! What a sled says of itself: the part of reports and inventories that is used.
//!
//! Everything in them comes from outside and may be missing or nonsense: what is not
//! understood is not there, texts are cut.

use metadata::junk;
use metadata::values::Mac;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Longest text that is kept, in characters.
const MAX_TEXT: usize = 300;
/// Most NICs and MAC addresses that are kept.
const MAX_NICS: usize = 64;

/// What a sled says of itself. What it has not said is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct Facts {
    /// Name of the running image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Root hash of its /usr.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usrhash: Option<String>,
    /// Generation of the document it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// Serial number of the board.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub board_serial: Option<String>,
    /// Serial number of the product.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product_serial: Option<String>,
    /// UUID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// Its NICs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nics: Vec<Nic>,
    /// Sends signs of life when it is ready.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub beats: bool,
}

/// A NIC.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct Nic {
    /// The kernel's name.
    pub name: String,
    /// Its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// Its driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Its PCI address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Mbit/s of its link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed: Option<u64>,
    /// Chassis id and port id of the switch port at the other end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub neighbour: Option<(String, String)>,
}

fn text(value: &Value) -> Option<String> {
    let plain = |c: &char| !c.is_control();
    Some(value.as_str()?.chars().filter(plain).take(MAX_TEXT).collect::<String>()).filter(|t| !t.is_empty())
}

impl Facts {
    /// Of a report of a boot.
    pub fn of_report(report: &Value) -> Self {
        let hardware = Self::of_hardware(&report["hardware"]);
        Self {
            image: text(&report["image"]),
            version: text(&report["version"]),
            usrhash: text(&report["usrhash"]),
            generation: report["generation"].as_u64(),
            beats: report["event"] == "alive",
            ..hardware
        }
    }

    /// Of the object `hardware` of an inventory.
    pub fn of_hardware(hardware: &Value) -> Self {
        let smbios = |key: &str| text(&hardware["smbios"][key]);
        let nics = hardware["nics"].as_array().map(Vec::as_slice).unwrap_or_default();
        let nic = |nic: &Value| Nic {
            name: text(&nic["name"]).unwrap_or_default(),
            mac: text(&nic["mac"]).and_then(|mac| Some(mac.parse::<Mac>().ok()?.to_string())),
            driver: text(&nic["driver"]),
            device: text(&nic["device"]),
            speed: nic["speed"].as_u64().filter(|_| nic["carrier"] != false),
            neighbour: text(&nic["neighbour"]["chassis"]).zip(text(&nic["neighbour"]["port"])),
        };
        Self {
            board_serial: smbios("board_serial").filter(|s| junk::serial(s).is_some()),
            product_serial: smbios("product_serial").filter(|s| junk::serial(s).is_some()),
            uuid: smbios("product_uuid").and_then(|u| junk::uuid(&u)),
            nics: nics.iter().take(MAX_NICS).map(nic).collect(),
            ..Self::default()
        }
    }

    /// Takes what newer facts say; what they do not say stays.
    pub fn update(&mut self, newer: Self) {
        let had_nics = std::mem::take(&mut self.nics);
        let old = std::mem::take(self);
        *self = Self {
            image: newer.image.or(old.image),
            version: newer.version.or(old.version),
            usrhash: newer.usrhash.or(old.usrhash),
            generation: newer.generation.or(old.generation),
            board_serial: newer.board_serial.or(old.board_serial),
            product_serial: newer.product_serial.or(old.product_serial),
            uuid: newer.uuid.or(old.uuid),
            nics: if newer.nics.is_empty() { had_nics } else { newer.nics },
            beats: newer.beats || old.beats,
        };
    }

    /// One name for this hardware: `board-…`, `uuid-…` or `mac-…`, with only letters,
    /// digits, `-` and `.`. Without anything to tell it by there is none.
    pub fn fingerprint(&self) -> Option<String> {
        let plain = |text: &str| -> String {
            text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect()
        };
        let board = self.board_serial.as_deref().map(|s| format!("board-{}", plain(s)));
        let uuid = || self.uuid.as_deref().map(|u| format!("uuid-{}", plain(u)));
        let mac =
            || self.nics.iter().filter_map(|n| n.mac.as_deref()).min().map(|m| format!("mac-{}", plain(m)));
        board.or_else(uuid).or_else(mac)
    }

    /// MAC addresses of its NICs.
    pub fn macs(&self) -> impl Iterator<Item = Mac> {
        self.nics.iter().filter_map(|nic| nic.mac.as_deref()?.parse().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nonsense_is_no_fact() {
        let facts = Facts::of_report(&json!({
            "image": 7, "usrhash": "ab\u{7}", "generation": -1,
            "hardware": {
                "smbios": {"board_serial": "To be filled by O.E.M.", "product_uuid": "x", "product_serial": "S1"},
                "nics": [{"name": "eth0", "mac": "no", "speed": "fast", "neighbour": {"chassis": "c"}}, 3],
            }
        }));
        assert_eq!(
            (facts.image.as_deref(), facts.usrhash.as_deref(), facts.generation),
            (None, Some("ab"), None)
        );
        assert_eq!((facts.board_serial.as_deref(), facts.uuid.as_deref()), (None, None));
        assert_eq!(facts.product_serial.as_deref(), Some("S1"));
        assert_eq!(facts.nics, [Nic { name: "eth0".into(), ..Nic::default() }, Nic::default()]);
        assert_eq!(facts.fingerprint(), None);
        let long = json!({ "image": "x".repeat(5000) });
        assert_eq!(Facts::of_report(&long).image.unwrap().len(), MAX_TEXT);
    }

    #[test]
    fn what_a_later_report_does_not_say_stays() {
        let hardware =
            json!({"smbios": {"board_serial": "ZM/1"}, "nics": [{"name": "a", "mac": "52-54-00-00-00-01"}]});
        let mut facts = Facts::of_report(&json!({"usrhash": "aa", "hardware": hardware}));
        facts.update(Facts::of_report(&json!({"usrhash": "bb", "event": "alive"})));
        assert_eq!((facts.usrhash.as_deref(), facts.nics.len(), facts.beats), (Some("bb"), 1, true));
        assert_eq!(facts.fingerprint().as_deref(), Some("board-ZM-1"));
        facts.board_serial = None;
        assert_eq!(facts.fingerprint().as_deref(), Some("mac-52-54-00-00-00-01"));
    }
}
