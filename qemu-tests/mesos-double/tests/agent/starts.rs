//! What an agent starts with, and what it refuses.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{Place, master, refused};

const MASTER: &str = "--master=127.0.0.1:9";

#[test]
fn what_mesos_dies_of_is_fatal_and_named() {
    let place = Place::new();
    for (flags, says) in [
        (&[MASTER, "--attributes=rack:"][..], "invalid attribute key:value pair 'rack:'"),
        (&[MASTER, "--attributes=rack:{a}"], "sets are not supported"),
        (&[MASTER, "--atributes=rack:a"], "unknown flag 'atributes'"),
        (&[MASTER, MASTER], "Flag 'master' is already loaded"),
        (&[], "Missing required option `--master`"),
        (&["--master=zk://10.0.0.1:2181,10.0.0.2:2181/mesos"], "has no ZooKeeper"),
        (&[MASTER, "--reconfiguration_policy=any"], "'reconfiguration_policy' flag any"),
        (&[MASTER, "--isolation=cgroups/ram"], "isolator 'cgroups/ram'"),
        (&[MASTER, "--credential=/nonexistent"], "Failed to read the credential /nonexistent"),
        (
            &[MASTER, "--containerizers=docker", "--docker=/bin/false"],
            "Failed to create docker: Failed to get docker version",
        ),
    ] {
        let stderr = place.refused(flags);
        assert!(stderr.contains(says), "{flags:?}: {stderr}");
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_mesos-agent"));
    let stderr = refused({
        command.env_clear().arg(MASTER);
        command
    });
    assert!(stderr.contains("Flag 'work_dir' is required"), "{stderr}");
}

#[test]
fn a_flag_of_the_command_line_and_the_environment_is_fatal() {
    let place = Place::new();
    let mut command = place.command(&[MASTER, "--attributes=rack:a"]);
    command.env("MESOS_ATTRIBUTES", "rack:a");
    let stderr = refused(command);
    assert!(stderr.contains("Flag 'attributes' is already loaded"), "{stderr}");
}

/// Directories that look like the root of a host's cgroups.
fn cgroups(place: &Place, names: &[&str]) -> String {
    let root = place.path("cgroup");
    fs::create_dir_all(&root).unwrap();
    for name in names {
        match *name {
            "cgroup.controllers" => fs::write(root.join(name), "cpu memory").unwrap(),
            dir => fs::create_dir(root.join(dir)).unwrap(),
        }
    }
    root.display().to_string()
}

/// The agent as the image's unit starts it: all flags are variables.
fn as_shipped(place: &Place, cgroups: &str, docker: &str, master: &str) -> Command {
    let env =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../overlays/compute/usr/share/sledos/mesos-agent.env");
    let text = fs::read_to_string(env).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mesos-agent"));
    command.env_clear();
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        let (name, value) = line.split_once('=').unwrap();
        command.env(name, value);
    }
    command
        .env("MESOS_MASTER", master)
        .env("MESOS_IP", &place.ip)
        .env("MESOS_PORT", &place.port)
        .env("MESOS_WORK_DIR", place.path("work"))
        .env("MESOS_RUNTIME_DIR", place.path("run"))
        .env("MESOS_CGROUPS_HIERARCHY", cgroups)
        .env("MESOS_DOCKER", docker)
        .env("MESOS_RESOURCES", "mem:500;disk:1000");
    command
}

#[test]
fn the_settings_of_the_image_start_it_on_cgroup_v1() {
    let mut place = Place::new();
    let cgroups = cgroups(&place, &["cpu", "cpuacct", "freezer", "memory"]);
    let master = master(&place, "0", &[]);
    let command = as_shipped(&place, &cgroups, "/bin/true", &master.address);
    let agent = place.start(command);
    agent.registered();
    let state = agent.state();
    assert_eq!(state["flags"]["recovery_timeout"], "24hrs");
    // No lookup and no name: the address.
    assert_eq!(state["hostname"], place.ip.as_str());
    assert!(!agent.stderr().contains("is no flag"), "{}", agent.stderr());
}

#[test]
fn the_settings_of_the_image_are_refused_on_cgroup_v2() {
    let place = Place::new();
    let root = cgroups(&place, &["cgroup.controllers"]);
    let stderr = refused(as_shipped(&place, &root, "/bin/true", "127.0.0.1:9"));
    assert!(stderr.contains("is cgroup v2, and Mesos 1.11 needs cgroup v1"), "{stderr}");
}

#[test]
fn a_controller_that_is_not_there_is_named() {
    let place = Place::new();
    let root = cgroups(&place, &["cpu", "cpuacct", "freezer"]);
    let stderr = refused(as_shipped(&place, &root, "/bin/true", "127.0.0.1:9"));
    assert!(stderr.contains("for the subsystem 'memory'"), "{stderr}");
}

#[test]
fn cgroup_v2_is_good_enough_for_the_posix_launcher() {
    let mut place = Place::new();
    let root = cgroups(&place, &["cgroup.controllers"]);
    place.agent("127.0.0.1:9", &[&format!("--cgroups_hierarchy={root}")]);
}

#[test]
fn it_says_what_it_is() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_mesos-agent")).env_clear().arg("--version").output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("1.11.0 TEST DOUBLE") && text.contains("not Apache Mesos"), "{text}");
    let mut place = Place::new();
    let agent = place.agent("127.0.0.1:9", &[]);
    assert!(agent.stderr().contains("this is not Apache Mesos"), "{}", agent.stderr());
    let (status, version) = agent.get("/version");
    assert_eq!((status, version["version"].as_str()), (200, Some("1.11.0")));
    assert!(version["test_double"].is_string());
}
