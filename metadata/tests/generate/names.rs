//! What NICs are called.

use crate::fixture;
use metadata::generate::{self, Nic};
use metadata::values::Mac;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

fn nics(count: u8) -> Vec<Nic> {
    let nic = |n: u8| Nic {
        name: format!("eth{n}"),
        mac: Mac([2, 0, 0, 0, 0, n]),
        driver: "ixgbe".into(),
        speed_mbps: Some(10_000),
        path: format!("0000:{n:02x}:00.0"),
        has_link: true,
    };
    (0..count).map(nic).collect()
}

fn names(networks: Value, count: u8) -> (BTreeMap<Mac, String>, Vec<String>) {
    let document = fixture::document(json!({"hostname": "x", "networks": networks}));
    let generated = generate::generate(&document, &nics(count), &fixture::image()).unwrap();
    (generated.names, generated.warnings)
}

proptest! {
    /// Every name is an interface's, is given once, and is the network's with a number.
    #[test]
    fn each_nic_has_one_name_and_each_name_one_nic(
        networks in prop::collection::btree_map("[a-z0-9-]{1,10}", 1_u8..14, 1..4)
    ) {
        let mut first = 0;
        let mut config = serde_json::Map::new();
        for (name, count) in &networks {
            let path: Vec<_> = (first..first + count).map(|n| format!("0000:{n:02x}:00.0")).collect();
            config.insert(name.clone(), json!({"match": {"path": path}, "bond": {"mode": "lacp"}}));
            first += count;
        }
        let (names, _) = names(config.into(), first);
        let all: BTreeSet<_> = names.values().collect();
        prop_assert_eq!(all.len(), names.len());
        for name in all {
            let number = name.bytes().last().is_some_and(|b| b.is_ascii_digit());
            prop_assert!(name.len() <= 15 && number && networks.contains_key(&name[..name.len() - 1]), "{}", name);
            prop_assert!(name.bytes().any(|b| !b.is_ascii_digit()), "{}", name);
        }
    }
}

#[test]
fn names_that_others_give_are_not_given() {
    for network in ["eth", "docker", "bond", "10"] {
        let (names, warnings) = names(json!({(network): {"match": {"driver": ["ixgbe"]}}}), 1);
        assert!(names.is_empty(), "{names:?}");
        let said = format!("networks.{network}: its NICs keep their names: {network}0 ");
        assert!(warnings.iter().any(|w| w.starts_with(&said)), "{warnings:?}");
    }
}

#[test]
fn a_vlan_alone_names_its_nic_too() {
    let vlan = json!({"match": {"driver": ["ixgbe"]}, "vlan": 7});
    assert_eq!(names(json!({"data": vlan}), 1).0.into_values().collect::<Vec<_>>(), ["data0"]);
}
