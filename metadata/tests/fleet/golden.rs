//! Six sleds, every value of each.

use super::{FLEET, is_in_file, source};
use metadata::fleet::explain::{explain, show};
use metadata::fleet::{check, load};

#[test]
fn every_sled_is_told_what_it_should_be() {
    let fleet = load(&source(FLEET)).unwrap();
    let all: Vec<_> = fleet.sleds.iter().map(|sled| show(&fleet, sled)).collect();
    let text = serde_json::to_string_pretty(&all).unwrap() + "\n";
    is_in_file(&text, "tests/fleet/golden.json");
}

#[test]
fn the_fleet_has_no_warnings_and_its_gaps_are_noted() {
    let report = check(&source(FLEET));
    assert!(report.warnings.is_empty(), "{:?}", report.warnings);
    assert_eq!(
        report.notes,
        ["rack r12: no sled in 4 of 8 bays: 5-8", "rack r13: no sled in 2 of 4 bays: 3-4"]
    );
}

#[test]
fn every_value_knows_its_line_and_its_layer() {
    let fleet = load(&source(FLEET)).unwrap();
    let of = |sled: &str| {
        let sled = fleet.sleds.iter().find(|s| s.name == sled).unwrap();
        let leaves = explain(&fleet, sled);
        move |path: &str| {
            let leaf = leaves.iter().find(|l| l.path == path).unwrap_or_else(|| panic!("no {path}"));
            let line = FLEET.lines().nth(leaf.place.line - 1).unwrap().trim();
            (leaf.value.clone(), leaf.layer.clone(), line.to_owned())
        }
    };
    let (b03, r13) = (of("r12-b03"), of("r13-b01"));
    let (value, layer, line) = b03("config.networks.data.mtu");
    assert_eq!((value.as_str(), layer.as_str()), ("1500", "sled"));
    assert!(line.starts_with("r12-b03:"), "{line}");
    let (value, layer, line) = b03("config.hostname");
    assert_eq!((value.as_str(), layer.as_str()), ("r12-b03", "role compute"));
    assert!(line.starts_with("hostname:"), "{line}");
    let (value, layer, line) = b03("config.networks.data.addresses[0]");
    assert_eq!((value.as_str(), layer.as_str()), ("10.1.12.13/24", "rack r12"));
    assert!(line.starts_with("data: {network:"), "{line}");
    assert_eq!(b03("config.time.zone").1, "fleet");
    assert_eq!(b03("config.time.servers[0]").2, "time: [10.0.0.3]");
    assert_eq!(r13("config.dns.servers[0]").1, "fleet");
    assert_eq!(r13("config.dns.servers[1]").1, "rack r13");
    assert_eq!(r13("install.disk.transport[0]").1, "sled");
    assert_eq!(r13("install.disk.pick").1, "role storage");
    assert_eq!(r13("image").0, "storage@20261101.0600");
}
