//! What a sled says of itself: the part of reports and inventories that is used.
//!
//! Everything in them comes from outside and may be missing or nonsense: what is not
//! understood is not there, texts are cut, and all of it together is a few kilobytes.

use metadata::junk;
use metadata::values::Mac;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use yaml::shown::is_hostile;

/// Longest text that is kept, in bytes. Serial numbers and ids that are longer are none: cut
/// they could be another's.
const MAX_TEXT: usize = 64;
/// Longest id that LLDP has (IEEE 802.1AB section 8.5.2.1), in bytes.
const MAX_ID: usize = 255;
/// What all NICs together may take, in bytes of JSON.
const MAX_NICS: usize = 8 << 10;

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
    /// When the report was made that says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moment: Option<Moment>,
    /// Sends signs of life when it is ready.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub beats: bool,
}

/// A moment of a sled. Reports may come in another order than they were made: a sled gives up on
/// a slow server, which gets to the report all the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Moment {
    /// The kernel's id of this boot.
    pub boot_id: String,
    /// Milliseconds since it began.
    pub uptime_ms: u64,
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

/// A text without what is not seen, cut to so many bytes.
pub(crate) fn cut(text: &str, most: usize) -> String {
    let mut out: String = text.chars().take(most).filter(|c| !is_hostile(*c)).collect();
    let end = (0..=most.min(out.len())).rev().find(|at| out.is_char_boundary(*at)).unwrap_or(0);
    out.truncate(end);
    out
}

fn text(value: &Value) -> Option<String> {
    Some(cut(value.as_str()?, MAX_TEXT)).filter(|text| !text.is_empty())
}

/// A text that says which one something is: as it was said, or not at all.
fn id(value: &Value, most: usize) -> Option<String> {
    let text = value.as_str()?;
    (!text.is_empty() && text.len() <= most && !text.contains(is_hostile)).then(|| text.to_owned())
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
            moment: id(&report["boot_id"], MAX_TEXT)
                .zip(report["uptime_ms"].as_u64())
                .map(|(boot_id, uptime_ms)| Moment { boot_id, uptime_ms }),
            beats: report["event"] == "alive",
            ..hardware
        }
    }

    /// Of the object `hardware` of an inventory.
    pub fn of_hardware(hardware: &Value) -> Self {
        let smbios = |key: &str| id(hardware["smbios"].get(key)?, MAX_TEXT);
        let serial = |key: &str| smbios(key).and_then(|text| junk::serial(&text).map(str::to_owned));
        let nics = hardware["nics"].as_array().map(Vec::as_slice).unwrap_or_default();
        let nic = |nic: &Value| Nic {
            name: text(&nic["name"]).unwrap_or_default(),
            mac: text(&nic["mac"]).and_then(|mac| Some(mac.parse::<Mac>().ok()?.to_string())),
            driver: text(&nic["driver"]),
            device: text(&nic["device"]),
            speed: nic["speed"].as_u64().filter(|_| nic["carrier"] != false),
            neighbour: id(&nic["neighbour"]["chassis"], MAX_ID).zip(id(&nic["neighbour"]["port"], MAX_ID)),
        };
        let mut room = MAX_NICS;
        let fits = |nic: &Nic| {
            let takes = serde_json::to_string(nic).map_or(usize::MAX, |json| json.len());
            room = room.saturating_sub(takes);
            room > 0
        };
        Self {
            board_serial: serial("board_serial"),
            product_serial: serial("product_serial"),
            uuid: smbios("product_uuid").and_then(|u| junk::uuid(&u)),
            nics: nics.iter().map(nic).take_while(fits).collect(),
            ..Self::default()
        }
    }

    /// Whether others are of the same boot, and were said before these.
    pub fn is_after(&self, other: &Self) -> bool {
        let both = self.moment.as_ref().zip(other.moment.as_ref());
        both.is_some_and(|(this, other)| this.boot_id == other.boot_id && this.uptime_ms > other.uptime_ms)
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
            moment: newer.moment.or(old.moment),
            beats: newer.beats || old.beats,
        };
    }

    /// One name for this hardware: `board-…`, `uuid-…` or `mac-…`, with only letters,
    /// digits, `-`, `.` and `_`. No two have the same: any other byte is `_` and its two
    /// hexadecimal digits. Without anything to tell it by there is none.
    pub fn fingerprint(&self) -> Option<String> {
        let plain = |text: &str| -> String {
            let byte = |b: u8| match b {
                b'.' | b'-' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => char::from(b).to_string(),
                other => format!("_{other:02X}"),
            };
            text.bytes().map(byte).collect()
        };
        let board = self.board_serial.as_deref().map(|s| format!("board-{}", plain(s)));
        let uuid = || self.uuid.as_deref().map(|u| format!("uuid-{}", plain(u)));
        let mac = || {
            let least = self.nics.iter().filter_map(|n| n.mac.as_deref()).min();
            least.map(|mac| format!("mac-{}", mac.replace(':', "-")))
        };
        board.or_else(uuid).or_else(mac)
    }

    /// What says whether these are the facts that somebody was shown: what the fleet file
    /// would get, and where the cables lead. 32 hexadecimal digits of a SHA-256.
    pub fn digest(&self) -> String {
        let mut macs: Vec<_> = self.nics.iter().filter_map(|nic| nic.mac.as_ref()).collect();
        let mut ports: Vec<_> = self.nics.iter().filter_map(|nic| nic.neighbour.as_ref()).collect();
        macs.sort();
        ports.sort();
        let all = (&self.board_serial, &self.product_serial, &self.uuid, macs, ports);
        // Texts always have a JSON form.
        let hash = Sha256::digest(serde_json::to_vec(&all).unwrap_or_default());
        hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether these may be later facts of the same machine, of which a card was found
    /// meanwhile: nothing of them contradicts.
    pub fn may_become(&self, later: &Self) -> bool {
        let fits = |a: &Option<String>, b: &Option<String>| a.is_none() || b.is_none() || a == b;
        let (old, new): (Vec<_>, Vec<_>) = (self.macs().collect(), later.macs().collect());
        let within = |a: &[Mac], b: &[Mac]| a.iter().all(|mac| b.contains(mac));
        fits(&self.board_serial, &later.board_serial)
            && fits(&self.product_serial, &later.product_serial)
            && fits(&self.uuid, &later.uuid)
            && (within(&old, &new) || within(&new, &old))
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
        assert_eq!(facts.fingerprint().as_deref(), Some("board-ZM_2F1"));
        facts.board_serial = None;
        assert_eq!(facts.fingerprint().as_deref(), Some("mac-52-54-00-00-00-01"));
    }

    #[test]
    fn no_two_serial_numbers_have_one_id_and_no_facts_are_large() {
        let id =
            |serial: &str| Facts::of_hardware(&json!({"smbios": {"board_serial": serial}})).fingerprint();
        let like = ["AB/12", "AB-12", "AB_12", "AB_2F12", "AB 12", "AB.12", "Ab-12", "ÄB-12", "AB_-12"];
        let ids: std::collections::BTreeSet<_> = like.iter().map(|serial| id(serial).unwrap()).collect();
        assert_eq!(ids.len(), like.len(), "{ids:?}");
        // Nothing to tell it by, rather than a part of it that another may have, too.
        assert_eq!(id(&"A1".repeat(40)), None);
        assert_eq!(id("A\u{202e}1"), None);
        let nic = json!({"name": "€".repeat(99), "driver": "€".repeat(99), "mac": "52:54:00:00:00:01",
                         "neighbour": {"chassis": "c".repeat(255), "port": "p".repeat(255)}});
        let facts = Facts::of_report(&json!({
            "image": "€".repeat(5000), "hardware": {"nics": vec![nic; 5000], "smbios": {"board_serial": "A1"}},
        }));
        assert!(facts.nics.len() > 4 && serde_json::to_vec(&facts).unwrap().len() < 10_000);
    }

    #[test]
    fn a_digest_changes_with_what_would_be_written_and_with_nothing_else() {
        let of = |mac: &str, port: &str, speed: u64, board: &str| {
            Facts::of_hardware(&json!({"smbios": {"board_serial": board}, "nics": [
                {"name": "a", "mac": mac, "speed": speed, "neighbour": {"chassis": "c", "port": port}}]}))
        };
        let facts = of("52:54:00:00:00:01", "1", 1000, "ZM1");
        assert_eq!(facts.digest(), of("52:54:00:00:00:01", "1", 10, "ZM1").digest());
        for other in [
            of("52:54:00:00:00:02", "1", 1000, "ZM1"),
            of("52:54:00:00:00:01", "2", 1000, "ZM1"),
            of("52:54:00:00:00:01", "1", 1000, "ZM2"),
        ] {
            assert_ne!(facts.digest(), other.digest());
        }
        assert!(!facts.may_become(&of("52:54:00:00:00:02", "1", 1000, "ZM1")));
        assert!(facts.may_become(&of("52:54:00:00:00:01", "2", 1000, "ZM1")));
    }
}
