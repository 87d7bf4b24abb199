//! The part of reports and inventories that is kept to be looked at: known keys, of known
//! kinds, and of bounded length. Everything else in them is dropped.

use super::facts::cut;
use serde_json::{Map, Value};

/// Longest text that is kept, in bytes.
const MAX_TEXT: usize = 128;
/// What is kept of hardware that nobody knows, in bytes of JSON.
pub const OF_STRANGER: usize = 8 << 10;
/// What is kept of a sled, which has shown its token: the steps of a boot, too.
pub const OF_SLED: usize = 64 << 10;

/// What may stand under a key.
enum Kind {
    Text,
    Number,
    Bool,
    Texts,
    One(&'static [(&'static str, Kind)]),
    Many(&'static [(&'static str, Kind)]),
}
use Kind::{Bool, Many, Number, One, Text, Texts};

/// Who speaks LLDP at the other end of a cable.
const NEIGHBOUR: &[(&str, Kind)] = &[("chassis", Text), ("port", Text), ("name", Text)];

/// What PID 1 and sledctl put into them, and the page shows.
const KNOWN: &[(&str, Kind)] = &[
    ("state", Text),
    ("event", Text),
    ("freshness", Text),
    ("keys", Texts),
    (
        "hardware",
        One(&[
            (
                "smbios",
                One(&[
                    ("sys_vendor", Text),
                    ("product_name", Text),
                    ("product_serial", Text),
                    ("product_uuid", Text),
                    ("board_vendor", Text),
                    ("board_name", Text),
                    ("board_serial", Text),
                    ("bios_version", Text),
                ]),
            ),
            ("cpus", One(&[("model", Text), ("sockets", Number), ("cores", Number), ("threads", Number)])),
            ("memory", Number),
            ("bmc_mac", Text),
            (
                "nics",
                Many(&[
                    ("name", Text),
                    ("alternative_names", Texts),
                    ("mac", Text),
                    ("driver", Text),
                    ("device", Text),
                    ("speed", Number),
                    ("carrier", Bool),
                    ("neighbour", One(NEIGHBOUR)),
                    ("other_neighbours", Many(NEIGHBOUR)),
                ]),
            ),
            (
                "disks",
                Many(&[
                    ("name", Text),
                    ("size", Number),
                    ("model", Text),
                    ("serial", Text),
                    ("transport", Text),
                ]),
            ),
        ]),
    ),
    ("crashes", Many(&[("says", Text), ("times", Number)])),
    (
        "steps",
        Many(&[
            ("step", Text),
            ("start_ms", Number),
            ("took_ms", Number),
            ("result", Text),
            ("detail", Text),
        ]),
    ),
];

/// What is kept of a report or an inventory, as JSON of about at most `room` bytes.
pub fn kept(value: &Value, mut room: usize) -> Value {
    object(value, KNOWN, &mut room)
}

fn object(value: &Value, known: &[(&str, Kind)], room: &mut usize) -> Value {
    let entry = |(key, kind): &(&str, Kind)| Some(((*key).to_owned(), one(value.get(key)?, kind, room)?));
    Value::Object(known.iter().filter_map(entry).collect::<Map<_, _>>())
}

fn one(value: &Value, kind: &Kind, room: &mut usize) -> Option<Value> {
    let mut take = |bytes: usize| {
        // Its key, and what stands around it.
        *room = room.checked_sub(bytes + 16)?;
        Some(())
    };
    match kind {
        Text => {
            let text = cut(value.as_str()?, MAX_TEXT);
            take(text.len())?;
            Some(text.into())
        }
        Number => {
            take(8)?;
            value.as_u64().map(Value::from)
        }
        Bool => {
            take(1)?;
            value.as_bool().map(Value::from)
        }
        Texts => {
            let texts = value.as_array().map(Vec::as_slice).unwrap_or_default();
            Some(texts.iter().map_while(|text| one(text, &Text, room)).collect())
        }
        One(known) => value.is_object().then(|| object(value, known, room)),
        Many(known) => {
            let all = value.as_array().map(Vec::as_slice).unwrap_or_default();
            let entries = all.iter().map_while(|entry| {
                *room = room.checked_sub(8)?;
                Some(object(entry, known, room))
            });
            Some(entries.collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_known_stays_and_lists_are_lists() {
        let report = json!({
            "secret": "x", "freshness": "proven", "keys": ["board x", 3], "crashes": [{"says": "a", "times": 2, "odd": 1}], "steps": [{"step": "disks", "start_ms": 1, "odd": 2}],
            "hardware": {"nics": {"length": 9}, "disks": "many", "memory": -1, "cpus": {"model": "a\u{1b}[2J"},
                         "smbios": {"board_serial": "ZM1"}},
        });
        let want = json!({
            "freshness": "proven", "keys": ["board x"], "crashes": [{"says": "a", "times": 2}], "steps": [{"step": "disks", "start_ms": 1}],
            "hardware": {"nics": [], "disks": [], "cpus": {"model": "a[2J"}, "smbios": {"board_serial": "ZM1"}},
        });
        assert_eq!(kept(&report, OF_SLED), want);
        assert_eq!(kept(&json!([1]), OF_SLED), json!({}));
    }

    #[test]
    fn no_report_is_large_whatever_is_in_it() {
        let long = "€".repeat(10_000);
        let nic = json!({"name": long, "mac": long, "neighbour": {"chassis": long}});
        let many = json!({
            "keys": vec![long.clone(); 9999], "steps": vec![json!({"step": long}); 9999],
            "hardware": {"nics": vec![nic; 9999], "disks": vec![json!({}); 9999]},
        });
        for room in [OF_STRANGER, OF_SLED] {
            assert!(kept(&many, room).to_string().len() < 2 * room);
        }
        let empty = json!({"steps": vec![json!({}); 1 << 16]});
        assert!(kept(&empty, OF_STRANGER).to_string().len() < 2 * OF_STRANGER);
    }
}
