use super::*;
use metadata::document::Document;
use serde_json::json;

fn document(name: &str, bay: u32, board: &str) -> SledDocument {
    let artefact = json!({"file": "x", "size": 1, "sha256": "00".repeat(32)});
    let text = json!({
        "sledos": 1,
        "head": {"sled": name, "generation": 1, "issued": 1, "expires": 2, "identity": {
            "location": {"rack": "r1", "bay": bay},
            "switch-ports": [{"chassis": "02:00:00:00:00:01", "port": format!("Ethernet{bay}")}],
            "board-serial": board,
        }},
        "role": "compute",
        "image": {"name": "compute", "version": "2", "root-hash": "ab".repeat(32), "urls": [],
            "usr": artefact, "verity": artefact, "uki": artefact},
        "config": {"hostname": name, "networks": {
            "mgmt": {"match": {"driver": ["igb"]}},
            "data": {"match": {"driver": ["ixgbe"]}},
        }},
    });
    match Document::parse(text.to_string().as_bytes()).unwrap() {
        Document::Sled(sled) => *sled,
        Document::Retired(_) => panic!(),
    }
}

/// A sled as it should be: bay 7 of two.
fn good() -> (SledDocument, Record, Places) {
    let (seven, eight) = (document("r1-b07", 7, "B7"), document("r1-b08", 8, "B8"));
    let mut places = Places::default();
    places.add(&seven);
    places.add(&eight);
    let nic = |name: &str, driver: &str, speed, neighbour: Option<(&str, &str)>| Nic {
        name: name.into(),
        driver: Some(driver.into()),
        speed: Some(speed),
        neighbour: neighbour.map(|(c, p)| (c.into(), p.into())),
        ..Nic::default()
    };
    let facts = Facts {
        usrhash: Some("ab".repeat(32)),
        image: Some("compute".into()),
        version: Some("2".into()),
        board_serial: Some("B7".into()),
        nics: vec![
            nic("eth0", "igb", 1000, Some(("02:00:00:00:00:01", "Ethernet7"))),
            nic("eth1", "ixgbe", 10_000, Some(("other-switch", "1"))),
        ],
        ..Facts::default()
    };
    (seven, Record { heard: Some(1), state: State::Ready, facts, ..Record::default() }, places)
}

#[track_caller]
fn only(kind: Kind, detail: &str, change: impl FnOnce(&mut Record)) {
    let (document, mut record, places) = good();
    assert_eq!(findings(&document, &record, &places), [], "before");
    change(&mut record);
    assert_eq!(findings(&document, &record, &places), [Finding { kind, detail: detail.into() }]);
}

#[test]
fn each_difference_is_named_alone() {
    only(Kind::NeverSeen, "nothing was ever heard of it", |record| *record = Record::default());
    only(
        Kind::WrongBay,
        "sits in rack r1 bay 8, the place of r1-b08 (switch 02:00:00:00:00:01 port Ethernet8)",
        |record| record.facts.nics[0].neighbour.as_mut().unwrap().1 = "Ethernet8".into(),
    );
    only(
        Kind::WrongBay,
        "is plugged into switch 02:00:00:00:00:01 port Ethernet33, which leads to no sled",
        |record| record.facts.nics[0].neighbour.as_mut().unwrap().1 = "Ethernet33".into(),
    );
    only(Kind::WrongBay, "has board B8, which belongs to r1-b08 in rack r1 bay 8", |record| {
        record.facts.board_serial = Some("B8".into());
    });
    only(Kind::OtherHardware, "has board B9; the fleet file says B7", |record| {
        record.facts.board_serial = Some("B9".into());
    });
    only(
        Kind::SwappedPorts,
        "eth1 of network data has 1000 Mbit/s and eth0 of network mgmt has 10000: their cables are exchanged",
        |record| {
            record.facts.nics[0].speed = Some(10_000);
            record.facts.nics[1].speed = Some(1000);
        },
    );
    only(
        Kind::OtherImage,
        "runs compute 1 (cdcdcdcdcdcd); its document asks for compute 2 (abababababab)",
        |record| {
            record.facts.usrhash = Some("cd".repeat(32));
            record.facts.version = Some("1".into());
        },
    );
}

#[test]
fn a_slow_link_alone_is_not_swapped() {
    let (document, mut record, places) = good();
    record.facts.nics[1].speed = Some(1000);
    assert_eq!(findings(&document, &record, &places), []);
}
