//! Between agent and master.

use crate::support::{Place, master, until};

const DOMAIN: &str = r#"--domain={"fault_domain":{"region":{"name":"r"},"zone":{"name":"z"}}}"#;

#[test]
fn a_registered_agent_is_in_the_masters_state_as_it_is() {
    let mut place = Place::new();
    let master = master(&place, "0", &["--cluster=c", DOMAIN]);
    let flags = ["--attributes=rack:r1;bay:7", "--hostname=sled7", DOMAIN];
    let agent = place.agent(&master.address, &flags);
    let id = agent.registered();
    let (state, own) = (master.state(), agent.state());
    let shown = &state["slaves"][0];
    assert_eq!(state["cluster"], "c");
    assert_eq!(shown["id"], id);
    assert!(id.ends_with("-S0") && id.len() == 39, "{id}");
    for key in ["hostname", "attributes", "resources", "domain", "pid", "unreserved_resources_full"] {
        assert_eq!(shown[key], own[key], "{key}");
    }
    assert_eq!(shown["hostname"], "sled7");
    assert_eq!(shown["attributes"], serde_json::json!({ "rack": "r1", "bay": 7.0 }));
    assert_eq!((&shown["resources"]["mem"], &shown["resources"]["disk"]), (&500.0.into(), &1000.0.into()));
    assert_eq!(shown["domain"]["fault_domain"]["zone"]["name"], "z");
    assert_eq!(agent.get("/slave(1)/state").1["id"], id);
    assert_eq!(agent.get("/nothing").0, 404);
}

/// `/health` and the metric are good all the while: only the id tells.
#[test]
fn an_agent_with_a_fault_domain_is_never_answered_by_a_master_without() {
    let mut place = Place::new();
    let master = master(&place, "0", &[]);
    let agent = place.agent(&master.address, &[DOMAIN]);
    until("it has asked four times", || master.stderr().matches("Dropping what agent").count() >= 4);
    assert_eq!(agent.id(), "");
    assert_eq!(agent.get("/health").0, 200);
    assert_eq!(agent.get("/metrics/snapshot").1["slave/registered"], 1.0);
    let said = agent.stderr();
    assert!(!said.contains("domain") && !said.contains("egistered with"), "{said}");
    assert_eq!(master.state()["slaves"], serde_json::json!([]));
}

#[test]
fn agents_wait_for_a_master_and_find_it_again() {
    let mut place = Place::new();
    let spot = Place::new();
    // A port that was somebody's, and is nobody's now.
    let address = master(&spot, "0", &[]).address.clone();
    let port = address.rsplit_once(':').unwrap().1;
    let agent = place.agent(&address, &[]);
    until("it has asked", || agent.stderr().contains(&format!("No master at {address}")));
    assert_eq!(agent.id(), "");
    assert_eq!(agent.get("/health").0, 200);
    let first = master(&spot, port, &[]);
    let id = agent.registered();
    drop(first);
    until("it has seen the master go", || agent.state()["double"]["connected"] == false);
    let second = master(&spot, port, &[]);
    assert_eq!(agent.registered(), id);
    assert_eq!(second.state()["slaves"][0]["id"], id);
}

#[test]
fn sigusr1_unregisters_and_sigterm_does_not() {
    let mut place = Place::new();
    let master = master(&place, "0", &[]);
    let agent = place.agent(&master.address, &[]);
    let id = agent.registered();
    assert_eq!(agent.signal("TERM").code(), Some(0));
    until("the master sees it go", || master.state()["slaves"][0]["active"] == false);
    let agent = place.agent(&master.address, &[]);
    assert_eq!(agent.registered(), id);
    assert_eq!(agent.signal("USR1").code(), Some(0));
    assert_eq!(master.state()["slaves"], serde_json::json!([]));
}

#[test]
fn sleds_are_told_apart() {
    let (mut one, mut two) = (Place::new(), Place::new());
    let master = master(&one, "0", &[]);
    let (a, b) = (one.agent(&master.address, &[]), two.agent(&master.address, &[]));
    assert_ne!(a.registered(), b.registered());
    assert_eq!(master.state()["activated_slaves"], 2);
}
