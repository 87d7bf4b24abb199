//! Blank sleds.

use super::support::{READY, SOON, Scene};
use sledos::qemu::{Firmware, NicModel, machine};

const FIRST: &str = "52:54:00:00:01:01";
const SECOND: &str = "52:54:00:00:02:01";

/// Whether a sled has reported that it has its document.
fn on_its_way(status: &serde_json::Value, sled: &str) -> bool {
    let is =
        |s: &serde_json::Value| s["sled"] == sled && (s["state"] == "configuring" || s["state"] == "ready");
    status["sleds"].as_array().is_some_and(|all| all.iter().any(is))
}

#[test]
fn a_bios_sled_and_an_unknown_uefi_sled_are_configured_by_one_server() {
    let mut scene = Scene::new("full");
    let networks = "networks: {mgmt: {match: {driver: [e1000e, virtio_net]}, address: dhcp}}";
    let role = format!(
        "  compute: {{image: compute, freshness: {{required: true}}, config: {{hostname: '{{rack}}-b{{bay:02}}', {networks}}}}}\n"
    );
    scene.fleet_of(&role, &format!("  r1-b01: {{rack: r1, bay: 1, role: compute, macs: ['{FIRST}']}}\n"));
    scene.serve(&["--pxe-range", "10.77.0.100,10.77.0.200"]);
    let never = scene.get("/v1/status");
    assert_eq!(never["sleds"][0]["findings"][0]["kind"], "never-seen");

    let machine = scene.power_on("bios", &scene.blank(NicModel::E1000e, FIRST, Firmware::Bios));
    scene.until("asked", SOON, |status| status["sleds"][0]["asked"].is_object());
    machine.wait_for("metadata: r1-b01 generation 1 from ", SOON).expect("it gets its document");
    // How sleds get ready on this server is shown with three roles at once.
    let status = scene.until("configured", READY, |status| on_its_way(status, "r1-b01"));
    assert_eq!(status["sleds"][0]["findings"], serde_json::json!([]), "{status:#}");
    let detail = scene.get("/v1/sleds/r1-b01");
    let states: Vec<_> =
        detail["history"].as_array().into_iter().flatten().filter_map(|h| h["state"].as_str()).collect();
    assert_eq!(states.first(), Some(&"configuring"));
    assert_eq!(detail["report"]["hardware"]["nics"][0]["mac"], FIRST);
    let fresh = detail["report"]["freshness"].as_str().unwrap_or_default();
    assert!(fresh.starts_with("proven fresh at 2"), "{detail:#}");
    println!("{detail:#}");
    drop(machine);

    // Nobody knows this one; once it is bound it goes on, without a reboot.
    let firmware = machine::uefi_vars(&scene.dir).expect("OVMF is installed");
    let machine = scene.power_on("uefi", &scene.blank(NicModel::Virtio, SECOND, firmware));
    let status =
        scene.until("unknown", SOON, |status| status["unknown"].as_array().is_some_and(|u| !u.is_empty()));
    let id = status["unknown"][0]["id"].as_str().expect("it has one").to_owned();
    assert_eq!(status["unknown"][0]["hardware"]["nics"][0]["mac"], SECOND);
    scene.bind(&id, "r1/2");
    let status = scene.until("configured", READY, |status| on_its_way(status, "r1-b02"));
    assert_eq!(status["unknown"], serde_json::json!([]));
    let console = machine.console();
    assert!(console.contains("metadata: unknown sled: "), "{console}");
    assert_eq!(console.matches(">>Start PXE").count(), 1, "one boot: {console}");
    assert!(std::fs::read_to_string(scene.dir.join("fleet.yaml")).is_ok_and(|text| text.contains(SECOND)));
}
