//! Who an agent is after a restart, a reboot, a change and a loss.

use std::fs;

use crate::support::{Place, Running, master, until};

fn ids(master: &Running) -> Vec<String> {
    let state = master.state();
    state["slaves"].as_array().unwrap().iter().map(|s| s["id"].as_str().unwrap().to_owned()).collect()
}

/// A place where an agent has run once with these flags.
fn ran(master: &Running, flags: &[&str]) -> (Place, String) {
    let mut place = Place::new();
    let id = place.agent(&master.address, flags).registered();
    (place, id)
}

#[test]
fn the_same_agent_has_the_same_id_across_restarts_and_reboots() {
    let spot = Place::new();
    let master = master(&spot, "0", &[]);
    let (mut place, id) = ran(&master, &["--attributes=rack:r1;bay:7"]);
    assert_eq!(place.agent(&master.address, &["--attributes=bay:7;rack: r1"]).registered(), id);
    place.reboot();
    assert_eq!(place.agent(&master.address, &["--attributes=rack:r1;bay:07"]).registered(), id);
    assert_eq!(ids(&master), [id]);
}

#[test]
fn a_recovered_id_is_shown_without_a_master() {
    let spot = Place::new();
    let master = master(&spot, "0", &[]);
    let (mut place, id) = ran(&master, &[]);
    drop(master);
    place.reboot();
    assert_eq!(place.agent("127.0.0.1:9", &[]).id(), id);
}

#[test]
fn a_wiped_work_dir_is_a_new_agent_and_the_old_one_is_dropped() {
    let spot = Place::new();
    let master = master(&spot, "0", &[]);
    let (mut place, old) = ran(&master, &[]);
    until("the master sees it go", || master.state()["activated_slaves"] == 0);
    assert_eq!(ids(&master), [old.as_str()]);
    fs::remove_dir_all(place.path("work")).unwrap();
    let new = place.agent(&master.address, &[]).registered();
    assert_ne!(new, old);
    assert_eq!(ids(&master), [new]);
}

#[test]
fn under_equal_any_change_is_fatal_until_latest_is_removed() {
    let spot = Place::new();
    let master = master(&spot, "0", &[]);
    let (mut place, old) = ran(&master, &["--attributes=rack:r1"]);
    let at = format!("--master={}", master.address);
    for change in [
        &["--attributes=rack:r1;bay:7"][..],
        &["--attributes=rack:r2"],
        &[],
        &["--attributes=rack:r1", "--hostname=x"],
    ] {
        let stderr = place.refused(&[&[&*at], change].concat());
        let latest = place.path("work/meta/slaves/latest");
        assert!(stderr.contains(&format!("rm -f {}", latest.display())), "{stderr}");
    }
    // Nothing is lost by that: put right it is itself again.
    assert_eq!(place.agent(&master.address, &["--attributes=rack:r1"]).registered(), old);
    fs::remove_file(place.path("work/meta/slaves/latest")).unwrap();
    assert_ne!(place.agent(&master.address, &["--attributes=rack:r2"]).registered(), old);
}

#[test]
fn under_additive_things_may_come_but_not_change_or_go() {
    let spot = Place::new();
    let master = master(&spot, "0", &[]);
    let policy = "--reconfiguration_policy=additive";
    let (mut place, id) = ran(&master, &[policy, "--attributes=rack:r1;ports:[1-3]"]);
    let at = format!("--master={}", master.address);
    for (attributes, says) in [
        ("rack:r2;ports:[1-3]", "Value of attribute 'rack' changed from r1 to r2"),
        ("rack:7;ports:[1-3]", "Value of attribute 'rack' changed from r1 to 7"),
        ("rack:r1", "Couldn't find attribute ports=[1-3]"),
        ("rack:r1;ports:[1-2]", "Value of attribute 'ports' changed"),
    ] {
        let stderr = place.refused(&[&at, policy, &format!("--attributes={attributes}")]);
        assert!(stderr.contains(says), "{stderr}");
    }
    let more = "--attributes=bay:7;rack:r1;ports:[1-4]";
    let agent = place.agent(&master.address, &[policy, more]);
    assert_eq!(agent.registered(), id);
    assert_eq!(master.state()["slaves"][0]["attributes"]["bay"], 7.0);
    drop(agent);
    // The policy has to stay: what was added is not in what the id was given for.
    let stderr = place.refused(&[&at, more]);
    assert!(stderr.contains("Incompatible agent info detected"), "{stderr}");
}

#[test]
fn under_additive_resources_may_grow_but_not_shrink() {
    let spot = Place::new();
    let master = master(&spot, "0", &[]);
    let policy = "--reconfiguration_policy=additive";
    let mut place = Place::new();
    let with = |place: &Place, resources: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_mesos-agent"));
        command
            .env_clear()
            .arg(format!("--master={}", master.address))
            .arg(format!("--work_dir={}", place.path("work").display()))
            .arg(format!("--runtime_dir={}", place.path("run").display()))
            .args([&format!("--ip={}", place.ip), &format!("--port={}", place.port)])
            .args([policy, "--launcher=posix", "--registration_backoff_factor=20ms", resources]);
        command
    };
    let command = with(&place, "--resources=mem:500;disk:1000;cpus:2");
    let id = place.start(command).registered();
    let stderr = crate::support::refused(with(&place, "--resources=mem:499;disk:1000;cpus:2"));
    assert!(stderr.contains("Value of resource 'mem' decreased from 500 to 499"), "{stderr}");
    let command = with(&place, "--resources=mem:600;disk:1000;cpus:2;gpus:1");
    assert_eq!(place.start(command).registered(), id);
}

#[test]
fn after_a_reboot_a_change_is_a_new_agent_and_no_failure() {
    let spot = Place::new();
    let master = master(&spot, "0", &[]);
    let (mut place, first) = ran(&master, &["--attributes=rack:r1"]);
    place.reboot();
    let agent = place.agent(&master.address, &["--attributes=rack:r2"]);
    let second = agent.registered();
    assert_ne!(second, first);
    assert!(agent.stderr().contains("Falling back to recover as a new agent"), "{}", agent.stderr());
    drop(agent);
    place.reboot();
    let third = place.agent(&master.address, &["--attributes=rack:r2", "--hostname=sled9"]).registered();
    assert_ne!(third, second);
    // It is the same from then on, and changes are fatal again.
    let flags = ["--attributes=rack:r2", "--hostname=sled9"];
    assert_eq!(place.agent(&master.address, &flags).registered(), third);
    place.refused(&[&format!("--master={}", master.address), "--hostname=sled9"]);
}
