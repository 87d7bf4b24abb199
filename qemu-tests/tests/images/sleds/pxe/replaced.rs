//! A broken sled is pulled out, and another one pushed in.

use super::support::{SOON, Scene};
use qemu_tests::namespace::GATEWAY;
use qemu_tests::rack::Announcer;

const OLD: &str = "52:54:00:00:01:01";
const NEW: &str = "52:54:00:00:09:09";

#[test]
fn a_new_sled_on_the_same_switch_port_becomes_the_old_one_which_is_then_refused() {
    let mut scene = Scene::new("replaced");
    scene.fleet(&format!(
        "  r1-b01: {{rack: r1, bay: 1, role: compute, board-serial: OLD0001, macs: ['{OLD}']}}\n"
    ));
    scene.serve(&["--pxe-range", "10.77.0.100,10.77.0.200"]);
    let status =
        |scene: &Scene| scene.sledos(&["fleet", "status", "--server", &format!("http://{GATEWAY}:8080")]);
    assert!(status(&scene).contains("never-seen: nothing was ever heard of it"), "{}", status(&scene));

    let (spec, port) = scene.given_kernel(OLD, "OLD0001");
    let switch = Announcer::start(&scene.namespace, &port, [2, 0, 0, 0, 0, 1], "Ethernet1");
    let machine = scene.power_on("old", &spec);
    let report = |status: &serde_json::Value, board: &str| {
        let sled = &status["sleds"][0];
        sled["state"] == "configuring" && sled["findings"].to_string().contains(board) != (board == "OLD0001")
    };
    scene.until("the old one", SOON, |status| report(status, "OLD0001"));
    // Its power is cut, its cable stays.
    drop(machine);

    let (mut spec, _) = scene.given_kernel(NEW, "NEW0001");
    spec.nics[0].link = sledos::qemu::Link::Tap(port);
    let machine = scene.power_on("new", &spec);
    machine.wait_for("; board NEW0001 sits where OLD0001 was", SOON).expect("it becomes bay 1");
    scene.until("the new one", SOON, |status| report(status, "NEW0001"));
    let says = status(&scene);
    assert!(says.contains("other-hardware: has board NEW0001; the fleet file says OLD0001"), "{says}");
    drop((machine, switch));

    // Once the fleet file says so, too, the old one is nobody any more.
    scene.sledos(&[
        "fleet",
        "replace",
        "r1/1",
        "--serial",
        "NEW0001",
        "--mac",
        NEW,
        "--fleet",
        "DIR/fleet.yaml",
    ]);
    scene.until("the fleet file", SOON, |status| status["sleds"][0]["findings"] == serde_json::json!([]));
    let (spec, _) = scene.given_kernel(OLD, "OLD0001");
    let machine = scene.power_on("again", &spec);
    let console = machine.wait_for("is refused: retired: ", SOON).expect("it is told that it is retired");
    assert!(!console.contains("metadata: r1-b01 generation"), "{console}");
}
