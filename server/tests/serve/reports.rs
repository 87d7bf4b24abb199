//! What sleds say, and what becomes of it.

use super::support::{World, inventory, ready, report, yaml};
use serde_json::json;
use std::time::Duration;

#[test]
fn a_boot_is_followed_from_its_script_to_ready_and_kept_over_a_restart() {
    let world = World::new();
    let server = world.start();
    let sled = server.sled("r1-b01");
    assert_eq!(
        (sled["state"].as_str(), sled["findings"][0]["kind"].as_str()),
        (Some("expected"), Some("never-seen"))
    );
    // Somebody who looks is no sled that starts.
    server.get("/v1/board/ZM1.json");
    server.ask("GET", "/v1/ipxe/mac/52-54-00-00-00-02.ipxe", "User-Agent: iPXE/1.21.1\r\n", b"");
    let status = server.until("asked", |status| status["sleds"][1]["asked"].is_object());
    assert_eq!(status["sleds"][1]["asked"]["what"], "its boot script");
    // Anybody can ask: it is no state, and nothing was heard of it.
    let sled = server.sled("r1-b02");
    assert_eq!((sled["state"].as_str(), sled["heard"].is_null()), (Some("expected"), true));
    assert!(server.sled("r1-b01")["asked"].is_null());
    let token = world.token(1);
    for (event, state) in [("configuring", "configuring"), ("boot", "configuring")] {
        assert_eq!(server.report("r1-b01", &token, &report(event, "ZM1", "Ethernet1")).status, 204);
        assert_eq!(server.sled("r1-b01")["state"], state);
    }
    assert_eq!(server.report("r1-b01", &token, &ready("ZM1", "Ethernet1")).status, 204);
    let sled = server.sled("r1-b01");
    assert_eq!(
        (sled["state"].as_str(), sled["findings"].as_array().map(Vec::len)),
        (Some("ready"), Some(0)),
        "{sled}"
    );
    assert_eq!(sled["detail"], "docker Docker/24, mesos abc-S1");
    drop(server);
    let server = world.start();
    let detail = server.get("/v1/sleds/r1-b01").json();
    assert_eq!(detail["sled"]["state"], "ready");
    let states: Vec<_> = detail["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|h| h["state"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(states, ["configuring", "configuring", "ready"]);
    assert_eq!(detail["report"]["steps"][0]["step"], "disks");
    assert_eq!(detail["facts"]["nics"][0]["neighbour"], json!(["02:00:00:00:00:01", "Ethernet1"]));
    assert!(!detail.to_string().contains(&token), "a token is nobody's business");
}

#[test]
fn failures_wrong_places_and_other_images_are_said() {
    let world = World::new();
    let server = world.start();
    let mut failed = report("failed", "ZM1", "Ethernet1");
    failed["failure"] = json!({"code": "SLED-101", "title": "no disk carries /usr", "detail": "vda"});
    assert_eq!(server.report("r1-b01", &world.token(1), &failed).status, 204);
    let sled = server.sled("r1-b01");
    assert_eq!((sled["state"].as_str(), sled["code"].as_str()), (Some("failed"), Some("SLED-101")));
    assert_eq!(sled["detail"], "no disk carries /usr: vda");

    let mut other = ready("ZM1", "Ethernet1");
    other["usrhash"] = "ab".repeat(32).into();
    assert_eq!(server.report("r1-b01", &world.token(1), &other).status, 204);
    let sled = server.sled("r1-b01");
    assert_eq!(
        (sled["state"].as_str(), sled["code"].as_str(), sled["findings"][0]["kind"].as_str()),
        (Some("ready"), None, Some("other-image"))
    );

    assert_eq!(server.report("r1-b02", &world.token(2), &ready("ZM2", "Ethernet1")).status, 204);
    let sled = server.sled("r1-b02");
    assert_eq!(
        (sled["state"].as_str(), sled["findings"][0]["kind"].as_str()),
        (Some("wrong-place"), Some("wrong-bay"))
    );
}

#[test]
fn unknown_hardware_is_shown_until_it_reports_as_a_sled() {
    let world = World::new();
    let server = world.start();
    let post =
        |board: &str| server.ask("POST", "/v1/inventory", "", inventory(board).to_string().as_bytes()).status;
    assert_eq!((post("NEW1"), post("NEW1"), post("NEW2")), (204, 204, 204));
    let status = server.get("/v1/status").json();
    let ids: Vec<_> =
        status["unknown"].as_array().unwrap().iter().map(|u| u["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["hw:board-NEW1", "hw:board-NEW2"]);
    assert_eq!(status["counts"]["unknown"], 2);
    assert_eq!(server.get("/v1/sleds/hw:board-NEW1").json()["report"]["keys"], json!(["board x"]));
    // Somebody has added it to the fleet file.
    world.compile(&yaml("  r1-b05: {rack: r1, bay: 5, role: compute, board-serial: NEW1}\n"));
    server.until("reloaded", |status| status["sleds"].as_array().unwrap().len() == 3);
    assert_eq!(server.report("r1-b05", &world.token(5), &ready("NEW1", "Ethernet5")).status, 204);
    let status = server.get("/v1/status").json();
    assert_eq!(status["unknown"].as_array().unwrap().len(), 1);
    assert_eq!(server.get("/v1/sleds/hw:board-NEW1").status, 404);
}

#[test]
fn a_sled_that_stops_on_its_way_is_silent() {
    let world = World::new();
    let server = world.start_with(server::http::connection::Limits::default(), Duration::from_millis(50));
    assert_eq!(server.report("r1-b01", &world.token(1), &report("boot", "ZM1", "Ethernet1")).status, 204);
    assert_eq!(server.report("r1-b02", &world.token(2), &ready("ZM2", "Ethernet2")).status, 204);
    let status = server.until("silent", |status| status["sleds"][0]["state"] == "silent");
    assert_eq!(status["sleds"][0]["detail"], "was configuring, and is not heard of any more");
    assert_eq!(status["sleds"][1]["state"], "ready");
}
