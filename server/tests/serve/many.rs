//! A fleet of many thousands, and documents that do not read.

use super::support::World;
use metadata::fleet::compile::{INDEX, Index, MAX_INDEX};
use server::http::connection::Limits;
use std::error::Error as _;
use std::fmt::Write as _;
use std::time::Duration;

const SLEDS: usize = 12_000;

/// Racks of 40 sleds with all the keys that real ones have.
fn fleet() -> String {
    let mut text = String::from(
        "fleet: many
servers: {metadata: [http://10.0.0.1:8080], image: [http://10.0.0.1:8080/images]}
trust: [KEY]
racks:
",
    );
    for rack in 0..SLEDS / 40 {
        writeln!(
            text,
            "  r{rack}: {{bays: 40, switches: [{{chassis: leaf-{rack}, port: 'Ethernet{{bay}}'}}]}}"
        )
        .unwrap();
    }
    text += "roles: {compute: {image: compute, config: {networks: {mgmt: {match: {driver: [igb]}, address: dhcp}}}}}
sleds:
";
    for n in 0..SLEDS {
        let mac = |kind: u8| format!("52:54:{kind:02x}:00:{:02x}:{:02x}", n / 256, n % 256);
        writeln!(
            text,
            "  s{n}: {{rack: r{}, bay: {}, role: compute, board-serial: ZM{n:08}, product-serial: CN{n:08}, \
             uuid: 4c4c4544-0042-3510-8051-b7c0{n:08x}, macs: ['{}', '{}'], bmc-mac: '{}'}}",
            n / 40,
            n % 40 + 1,
            mac(0),
            mac(1),
            mac(2),
        )
        .unwrap();
    }
    text
}

#[test]
fn more_than_ten_thousand_sleds_are_handed_out() {
    let world = World::new();
    // Each document under one of its keys is enough.
    world.compile_to_some(&fleet(), &|path| {
        path.starts_with("v1/fleet.json") || path.starts_with("v1/board/")
    });
    // The list names each by the key that comes first.
    let list = world.path("www").join(INDEX);
    let mut index: Index = serde_json::from_slice(&std::fs::read(&list).unwrap()).unwrap();
    let length = std::fs::metadata(&list).unwrap().len();
    assert!(length > 4 << 20, "{length}");
    assert!(length / 12 * 100 < MAX_INDEX, "a hundred thousand sleds would not fit: {length}");
    for entry in index.sleds.values_mut() {
        entry.paths.retain(|path| path.starts_with("v1/board/"));
    }
    std::fs::write(&list, serde_json::to_vec(&index).unwrap()).unwrap();
    let server = world.start();
    assert_eq!(server.get("/v1/status").json()["sleds"].as_array().map(Vec::len), Some(SLEDS));
    assert_eq!(server.get("/v1/board/ZM00011999.json").status, 200);
}

/// A fleet file with a mistake.
struct Broken;

impl server::Fleet for Broken {
    fn changed(&mut self) -> bool {
        false
    }

    fn compile(&mut self) -> Result<String, String> {
        Err("a mistake".to_owned())
    }

    fn bind(&mut self, _: &server::bind::Binding) -> Result<String, String> {
        Err("a mistake".to_owned())
    }
}

#[test]
fn documents_that_do_not_read_stop_the_start_and_are_named() {
    let start = |world: &World, fleet: bool| {
        let fleet = fleet.then(|| Box::new(Broken) as Box<dyn server::Fleet>);
        world.try_start(Limits::default(), Duration::from_secs(3600), fleet).0
    };
    let long = |path: &std::path::Path, length| std::fs::File::create(path).unwrap().set_len(length).unwrap();
    for fleet in [false, true] {
        for (name, says) in [
            (INDEX, "is no list of sleds"),
            (INDEX, "bytes; at most 268435456 are handed out"),
            ("v1/board/ZM2.json", "is no document of r1-b02, which v1/fleet.json lists"),
            ("v1/mac/52-54-00-00-00-01.json", "bytes; at most 4194304 are handed out"),
        ] {
            let world = World::new();
            let path = world.path("www").join(name);
            match (says.starts_with("bytes"), name) {
                (false, _) => std::fs::write(&path, b"{}").unwrap(),
                (true, INDEX) => long(&path, MAX_INDEX + 1),
                (true, _) => long(&path, (4 << 20) + 1),
            }
            let error = start(&world, fleet).unwrap_err();
            let said = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            let said = format!("{error}: {said}");
            assert!(said.contains(says) && said.contains(name), "{said}");
        }
        // None at all, and a mistake to show: what there is to mend is on the page.
        let world = World::new();
        std::fs::remove_dir_all(world.path("www")).unwrap();
        assert_eq!(start(&world, fleet).is_ok(), fleet);
    }
}
