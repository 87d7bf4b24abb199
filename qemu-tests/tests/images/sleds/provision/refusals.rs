//! Documents that are there and not believed. Each by name, and the next source is tried.

use super::support::MGMT;
use super::support::{SOON, Scene, now, sled};
use qemu_tests::fleet::Fleet;
use std::path::Path;

/// The serial number of the sled's board.
const BOARD: &str = "ZM18AS036112";

/// The document of a MAC address, below a served directory.
fn document(root: &Path, mac: &str) -> std::path::PathBuf {
    root.join("v1/mac").join(format!("{}.json", mac.replace(':', "-")))
}

/// Puts bytes under a name that was a link to the document under the sled's other keys.
fn replace(path: &Path, bytes: &[u8]) {
    std::fs::remove_file(path).expect("it was compiled");
    std::fs::write(path, bytes).expect("it can be written");
}

fn copy(from: &Path, to: &Path) {
    for ending in ["", ".minisig"] {
        let name = |path: &Path| std::path::PathBuf::from(format!("{}{ending}", path.display()));
        replace(&name(to), &std::fs::read(name(from)).expect("it was compiled"));
    }
}

#[test]
fn a_forged_signature_and_an_unknown_key_are_refused_and_the_next_key_is_tried() {
    let scene = Scene::new("forged");
    // The board is asked for before MAC addresses.
    let with_board = sled("r1-b07", 7, MGMT).replace("macs:", &format!("board-serial: {BOARD}, macs:"));
    scene.serve_text(&scene.yaml("", &with_board));
    let mut spec = scene.blank(1536);
    spec.smbios.board_serial = Some(BOARD.into());
    let path = scene.fleet.root.join(format!("v1/board/{BOARD}.json"));
    // One byte of a document that was signed.
    let text = std::fs::read_to_string(&path).expect("it was compiled");
    replace(&path, text.replacen("r1-b07", "r1-b08", 1).as_bytes());
    let machine = scene.power_on("forged", &spec);
    let console = machine.wait_for("metadata: r1-b07 generation 1 from ", SOON).expect("by the MAC address");
    let url = format!("{}/v1/board/{BOARD}.json", scene.rack.web.url());
    assert!(
        console.contains(&format!("metadata: {url} is refused: bad signature: the signature by key ")),
        "{console}"
    );
    drop(machine);

    // The same document by somebody else.
    let others = Fleet::new(&scene.dir.join("others"), &scene.fleet.root.join("images"));
    others.compile(&scene.yaml("", &sled("r1-b07", 7, MGMT)), &scene.rack.web.url(), now());
    copy(&document(&others.root, MGMT), &path);
    let machine = scene.power_on("unknown-key", &spec);
    let console = machine.wait_for("metadata: r1-b07 generation 1 from ", SOON).expect("by the MAC address");
    assert!(console.contains(&format!("metadata: {url} is refused: unknown key: signed by ")), "{console}");
}

#[test]
fn another_sleds_and_an_expired_document_are_refused_and_it_keeps_asking() {
    let scene = Scene::new("another");
    let yaml = scene.yaml("", &(sled("r1-b07", 7, MGMT) + &sled("r1-b08", 8, "52:54:00:00:08:08")));
    scene.serve_text(&yaml);
    copy(&document(&scene.fleet.root, "52:54:00:00:08:08"), &document(&scene.fleet.root, MGMT));
    let machine = scene.power_on("another", &scene.blank(1536));
    machine
        .wait_for(
            &format!("is refused: another sled's document: it is for r1-b08 and does not list mac {MGMT}"),
            SOON,
        )
        .expect("it says whose it is");
    // Once its own is there it goes on, without a reboot.
    std::fs::remove_dir_all(scene.fleet.root.join("v1")).expect("it was compiled");
    scene.fleet.compile(&yaml, &scene.rack.web.url(), now() - 400 * 86_400);
    machine.wait_for("is refused: expired: at ", SOON).expect("it says since when");
    std::fs::remove_dir_all(scene.fleet.root.join("v1")).expect("it was compiled");
    scene.serve_text(&yaml);
    machine.wait_for("metadata: r1-b07 generation 1 from ", SOON).expect("its own document");
}
