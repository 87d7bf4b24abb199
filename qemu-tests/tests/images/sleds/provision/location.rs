//! A place is what it is, whatever hardware sits there.

use super::support::{SOON, Scene, now, sled};
use sledos::qemu::Smbios;

#[test]
fn a_switch_port_selects_the_document_for_any_hardware() {
    let scene = Scene::new("location");
    // The fleet knows the sled of bay 9 with other hardware.
    let yaml = scene
        .yaml("", &sled("r1-b09", 9, "52:54:00:99:99:99").replace("macs:", "board-serial: OLD0001, macs:"));
    scene.fleet.compile(&yaml, &scene.rack.web.url(), now());
    for (round, board) in ["NEW0001", "NEW0002"].into_iter().enumerate() {
        let mac = |card| format!("52:54:00:0a:0{round}:0{card}");
        let (mut spec, port) = scene.given_kernel(1536, &mac(1), &mac(2));
        spec.smbios = Smbios { board_serial: Some(board.into()), ..Smbios::default() };
        let _switch = scene.rack.announce(&port, [2, 0, 0, 0, 0, 1], "Ethernet9");
        let machine = scene.power_on(board, &spec);
        // The end of the line that says where the document is from.
        let told = format!("; board {board} sits where OLD0001 was");
        let console = machine.wait_for(&told, SOON).expect("it becomes bay 9");
        assert!(console.contains("metadata: r1-b09 generation 1 from "), "{console}");
        assert!(console.contains("by switch 02:00:00:00:00:01 port Ethernet9"), "{console}");
    }
}
