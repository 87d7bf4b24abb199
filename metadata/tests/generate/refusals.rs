//! One mistake each: the field is named, and what to do.

use crate::fixture;
use serde_json::{Value, json};

/// A sound configuration with one part replaced.
fn with(pointer: &str, value: Value) -> Value {
    let mut config = fixture::compute();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    config.pointer_mut(parent).unwrap()[key.replace("~1", "/")] = value;
    config
}

fn refused(pointer: &str, value: Value) -> String {
    fixture::generate(with(pointer, value)).expect_err(pointer).to_string()
}

#[test]
fn mistakes_are_named_by_field() {
    for (pointer, value, says) in [
        ("/hostname", json!("a_b"), "hostname: `a_b` is not a host name"),
        ("/hostname", json!("a".repeat(65)), "hostname: "),
        ("/networks/data/match", json!({}), "networks.data.match: says nothing"),
        (
            "/networks/data/match",
            json!({"driver": ["igb"]}),
            "networks.mgmt.match: fits the same NIC as networks.data, both without a VLAN: eth2 52:54:00:00:00:01 igb 0000:01:00.0 1000 Mbit/s",
        ),
        ("/networks/data/mtu", json!(20), "networks.data.mtu: 20 is not possible"),
        ("/networks/data/vlan", json!(4095), "networks.data.vlan: 4095 is not a VLAN"),
        ("/networks/data/gateway", json!("10.20.13.1"), "networks.data.gateway: 10.20.13.1 is in no network"),
        (
            "/networks/data/routes",
            json!([{"to": "10.0.0.0/8", "via": "2001:db8:20::1"}]),
            "networks.data.routes: ",
        ),
        ("/networks/data/addresses", json!(["0.0.0.0/0"]), "networks.data.addresses: "),
        ("/networks/data/bond", json!({"mode": "lacp", "hash": "x"}), "networks.data.bond.hash: `x`"),
        ("/networks/management1", json!({"match": {"index": 0}}), "networks.management1: a network's name"),
        ("/ssh-keys", json!(["ssh-rsa"]), "ssh-keys[0]: is not a public key"),
        ("/ssh-keys", json!(["ssh-ed25519 AAAA x\nroot"]), "ssh-keys[0]: has a line break"),
        ("/time/servers", json!(["a b"]), "time.servers: `a b`"),
        ("/time/zone", json!("../../etc/shadow"), "time.zone: "),
        ("/dns/search", json!(["a\nb"]), "dns.search: "),
        ("/docker/data-root", json!("/usr/x"), "docker.data-root: /usr/x/x cannot be written"),
        ("/docker/mirrors", json!(["mirror"]), "docker.mirrors: `mirror` is not a mirror"),
        ("/docker/log-max-size", json!("50mb"), "docker.log-max-size: `50mb`"),
        ("/docker/bridge-address", json!("172.17.0.0/16"), "docker.bridge-address: "),
        ("/docker/labels", json!(["x"]), "docker.labels[0]: `x` is not key=value"),
        (
            "/disks",
            json!({"data": {"match": {"rotational": true}, "wipe": "foreign"}}),
            "disks.data.wipe: is for disks that are listed",
        ),
        ("/disks", json!({"d-1": {"match": {"rotational": true}}}), "disks.d-1: `d-1` is no name of a set"),
        ("/mesos/master", json!("10.0.0.1"), "mesos.master: `10.0.0.1` is neither"),
        ("/mesos/master", json!("zk://h:2181"), "mesos.master: "),
        (
            "/mesos/network",
            json!("storage"),
            "mesos.network: `storage` is none of the sled's networks: data, mgmt",
        ),
        ("/mesos/attributes/rack", json!(""), "mesos.attributes.rack: has no value"),
        ("/mesos/attributes/rack", json!("a;b:c"), "mesos.attributes.rack: the value has `;`"),
        ("/mesos/attributes/rack", json!("a b"), "mesos.attributes.rack: the value has `;` or spaces"),
        ("/mesos/attributes/rack", json!("{a,b}"), "mesos.attributes.rack: the value has brackets"),
        ("/mesos/attributes/rack", json!("[5-1]"), "mesos.attributes.rack: the value has brackets"),
        ("/mesos/attributes/rack", json!("nan"), "mesos.attributes.rack: Mesos takes"),
        ("/mesos/attributes/a:b", json!("x"), "mesos.attributes.a:b: the key"),
        ("/mesos/resources/role", json!("a;b"), "mesos.resources.role: "),
        ("/mesos/resources/ports", json!(["31000"]), "mesos.resources.ports: `31000`"),
        ("/mesos/resources/ports", json!(["1-65536"]), "mesos.resources.ports: "),
        ("/mesos/resources/cpus", json!(-1.0), "mesos.resources.cpus: -1"),
        ("/mesos/resources/custom", json!({"mem": 1.0}), "mesos.resources.custom: `mem`"),
        (
            "/mesos/flags/attributes",
            json!("a:b"),
            "mesos.flags.attributes: has a field of its own: mesos.attributes",
        ),
        ("/mesos/flags/work-dir", json!("x"), "mesos.flags.work-dir: is no flag"),
        ("/mesos/isolation", json!(["a,b"]), "mesos.isolation: `a,b`"),
        ("/mesos/reconfiguration-policy", json!("any"), "mesos.reconfiguration-policy: "),
        ("/files/~1x", json!({}), "files./x: /x cannot be written"),
        (
            "/files/~1etc~1hostname",
            json!({}),
            "files./etc/hostname: /etc/hostname is made from `hostname` already",
        ),
        ("/files/~1etc~1y", json!({"mode": "0999"}), "files./etc/y.mode: `0999`"),
        ("/units/x", json!({"mask": true}), "units.x: is not the name of a unit"),
        ("/units/x.service", json!({}), "units.x.service: says nothing"),
        ("/units/x.service", json!({"mask": true, "contents": ""}), "units.x.service: `mask`"),
        ("/units/x.service", json!({"drop-ins": {"x": {"contents": ""}}}), "units.x.service.drop-ins: `x`"),
        ("/units/x.service", json!({"contents": "", "wanted-by": ["../x"]}), "units.x.service.wanted-by: "),
    ] {
        let error = refused(pointer, value);
        assert!(error.starts_with(says), "{pointer}: {error}");
    }
}

#[test]
fn a_network_that_is_required_has_to_have_a_nic() {
    let data = json!({"match": {"driver": ["none"]}, "required": true});
    let error = refused("/networks/data", data);
    assert!(
        error.starts_with("networks.data.match: fits no NIC, data stays down. NICs here: eth0"),
        "{error}"
    );
}

#[test]
fn what_changes_with_the_image_is_warned_of() {
    let generated = fixture::generate(with("/mesos/attributes/image", json!("2026.11.24"))).unwrap();
    assert!(generated.warnings[0].starts_with("mesos.attributes.image: changes with the image"));
}

#[test]
fn secrets_are_only_roots() {
    let generated = fixture::generate(fixture::compute()).unwrap();
    let mode = |path: &str| generated.files.iter().find(|f| f.path == path).unwrap().mode;
    assert_eq!(mode("/etc/sledos/mesos-credential"), 0o600);
    assert_eq!(mode("/etc/ssh/authorized_keys.d/root"), 0o600);
}
