//! Servers that are away, do not know the sled, or break off.

use super::support::{SOON, Scene};
use qemu_tests::web::Fault;
use std::time::{Duration, Instant};

#[test]
fn a_server_that_is_down_for_two_minutes_is_waited_for() {
    let scene = Scene::new("down");
    scene.serve("");
    scene.rack.web.set_down(true);
    let machine = scene.power_on("down", &scene.blank(1536));
    machine.wait_for("metadata: asks by mac ", SOON).expect("it asks");
    let since = Instant::now();
    let url = scene.rack.web.url();
    // Down is down: as long as the outage lasts it must not have got a document.
    while since.elapsed() < Duration::from_secs(120) {
        let left = Duration::from_secs(120).saturating_sub(since.elapsed());
        assert!(machine.wait_for("metadata: r1-b07 generation", left).is_err());
    }
    assert!(machine.console().contains(&format!("metadata: {url}/v1/")), "{}", machine.console());
    scene.rack.web.set_down(false);
    machine.wait_for("metadata: r1-b07 generation 1 from ", SOON).expect("it is still asking");
}

#[test]
fn an_unknown_sled_reports_its_inventory_and_goes_on_once_it_is_known() {
    let scene = Scene::new("unknown");
    let machine = scene.power_on("unknown", &scene.blank(1536));
    let url = scene.rack.web.url();
    machine
        .wait_for(&format!("metadata: unknown sled: {url} has no document for mac "), SOON)
        .expect("it says that nobody knows it");
    let inventory =
        scene.rack.web.wait_for("inventory", SOON, |r| r.method == "POST" && r.path == "/v1/inventory");
    let inventory: serde_json::Value = serde_json::from_slice(&inventory.body).expect("an inventory is JSON");
    assert_eq!(inventory["state"], "unknown");
    let nics = inventory["hardware"]["nics"].as_array().expect("it has NICs");
    let mut drivers: Vec<_> = nics.iter().filter_map(|nic| nic["driver"].as_str()).collect();
    drivers.sort_unstable();
    assert_eq!(drivers, ["e1000e", "vmxnet3"], "{inventory:#}");
    assert!(machine.console().contains("inventory: "), "{}", machine.console());
    scene.serve("");
    machine.wait_for("metadata: r1-b07 generation 1 from ", SOON).expect("it goes on without a reboot");
}

#[test]
fn a_broken_download_goes_on_where_it_broke_and_a_flipped_bit_is_never_mounted() {
    let scene = Scene::new("broken");
    scene.serve("");
    let size = scene.manifest.artefacts["usr.squashfs"].size;
    let middle = size / 2 / 4096 * 4096;
    scene.rack.web.fault("usr.squashfs", Fault::CloseAfter(middle + 100), 1);
    scene.rack.web.fault("usr.squashfs", Fault::Flip(middle + 8 * 4096 + 5), 1);
    // The server dies in the middle of a body; when it comes back it is busy at first.
    scene.rack.web.fault("usr.squashfs", Fault::DieAfter(4096), 1);
    scene.rack.web.fault("usr.squashfs", Fault::Status(503), 2);
    let memory = 1024 + u32::try_from(size.div_ceil(1 << 20)).expect("an image is not that large");
    let machine = scene.power_on("broken", &scene.blank(memory));
    let dead = middle + 9 * 4096;
    machine.wait_for(&format!("asks again from byte {dead}"), SOON).expect("the server is gone");
    scene.rack.web.set_down(false);
    let console =
        machine.wait_for("sledos: usr: from memory, verified", SOON).expect("it gets the whole image");
    let froms: Vec<_> = scene
        .rack
        .web
        .requests()
        .iter()
        .filter(|r| r.path.ends_with("usr.squashfs") && r.status < 300)
        .map(|r| r.from.unwrap_or(0))
        .collect();
    assert_eq!((froms.len(), froms[0], froms[1]), (4, 0, middle), "{froms:?}");
    assert_eq!(froms[2], middle + 8 * 4096, "the block with the flipped bit is asked for again: {froms:?}");
    assert!(console.contains(&format!("asks again from byte {middle}")), "{console}");
    assert!(console.contains("the server answers 503"), "{console}");
}
