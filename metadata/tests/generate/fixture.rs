//! Documents and NICs to generate from.

use metadata::document::{Document, SledDocument};
use metadata::generate::{self, Error, Generated, Image, Nic};
use serde_json::{Value, json};

/// A document with this configuration.
pub(crate) fn document(config: Value) -> SledDocument {
    let hash = "ab".repeat(32);
    let file = |name: &str| json!({"file": name, "size": 1, "sha256": hash});
    let document = json!({
        "sledos": 1,
        "head": {"sled": "r12-b07", "generation": 7, "issued": 1, "expires": 2, "identity": {}},
        "role": "compute",
        "image": {
            "name": "compute", "version": "2026.11.24", "root-hash": hash, "urls": [],
            "usr": file("usr.squashfs"), "verity": file("usr.verity"), "uki": file("compute.efi"),
        },
        "config": config,
    });
    match Document::parse(document.to_string().as_bytes()).unwrap() {
        Document::Sled(sled) => *sled,
        Document::Retired(_) => unreachable!("it has a configuration"),
    }
}

/// Two ports on the board, two of a 10G card, one of them without a cable.
pub(crate) fn nics() -> Vec<Nic> {
    let nic = |name: &str, last: u8, driver: &str, path: &str, speed_mbps: Option<u32>| Nic {
        name: name.into(),
        mac: metadata::values::Mac([0x52, 0x54, 0, 0, 0, last]),
        driver: driver.into(),
        speed_mbps,
        path: path.into(),
        has_link: speed_mbps.is_some(),
    };
    vec![
        nic("eth0", 0x11, "ixgbe", "0000:3b:00.1", Some(10_000)),
        nic("eth1", 0x10, "ixgbe", "0000:3b:00.0", Some(10_000)),
        nic("eth2", 0x01, "igb", "0000:01:00.0", Some(1_000)),
        nic("eth3", 0x02, "igb", "0000:01:00.1", None),
    ]
}

/// The image's own daemon.json.
pub(crate) fn image() -> Image {
    let daemon_json = include_str!("../../../overlays/compute/etc/docker/daemon.json").into();
    Image { daemon_json: Some(daemon_json), ..Image::default() }
}

pub(crate) fn generate(config: Value) -> Result<Generated, Error> {
    generate::generate(&document(config), &nics(), &image())
}

/// A compute sled with everything a role usually says.
pub(crate) fn compute() -> Value {
    json!({
        "hostname": "r12-b07.rack.example.net",
        "networks": {
            "mgmt": {"match": {"driver": ["igb"]}},
            "data": {
                "match": {"min-speed": 10000, "index": 0},
                "addresses": ["10.20.12.7/24", "2001:db8:20::7/64"],
                "gateway": "10.20.12.1", "mtu": 9000, "dns": ["10.20.0.53"],
                "routes": [{"to": "10.30.0.5/16", "via": "10.20.12.2"}],
            },
        },
        "ssh-keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEq4Bq2UV2vDtnhkd1JbBkSvzLfKxRQAgXLaCAv1UMlB ops@example"],
        "time": {"servers": ["ntp1.example.net", "10.20.0.123", "2001:db8::123"], "zone": "Europe/Berlin"},
        "dns": {"servers": ["10.20.0.53", "2001:db8::53"], "search": ["rack.example.net", "example.net"]},
        "docker": {
            "data-root": "/var/lib/containers/docker", "mirrors": ["https://mirror.example.net"],
            "insecure-registries": ["registry.example.net:5000", "10.0.0.0/8"],
            "log-max-size": "50m", "bridge-address": "172.31.0.1/16", "labels": ["rack=r12"],
        },
        "mesos": {
            "master": "zk://10.20.0.1:2181,10.20.0.2:2181/mesos",
            "attributes": {"rack": "r12", "bay": "7", "role": "compute", "vlans": "[10-20]"},
            "resources": {"cpus": 30.5, "mem": 122880, "disk": 409600, "ports": ["31000-32000"], "role": "prod"},
            "fault-domain": {"region": "eu", "zone": "r12"},
            "credential": {"principal": "agent", "secret": "pa$$ \"wörd\""},
            "flags": {"executor_registration_timeout": "15mins"},
        },
        "files": {
            "/etc/sysctl.d/90-site.conf": {"contents": "vm.swappiness = 1\n"},
            "/root/.netrc": {"contents": "machine x\n", "mode": "0600"},
        },
        "units": {
            "site.service": {
                "contents": "[Unit]\nDescription=Site\n[Service]\nType=oneshot\nExecStart=/usr/bin/true\n",
                "wanted-by": ["multi-user.target"],
            },
            "getty@tty2.service": {"wanted-by": ["getty.target"]},
            "lldpd.service": {"drop-ins": {"10-nice.conf": {"contents": "[Service]\nNice=5\n"}}},
            "smartmontools.service": {"mask": true},
        },
    })
}

/// Both ports of the card in a bond, two tagged networks on it and an untagged one.
pub(crate) fn bonded() -> Value {
    let bond = json!({"mode": "lacp"});
    let card = json!({"path": ["0000:3b:00.*"]});
    json!({
        "hostname": "s1",
        "networks": {
            "data": {"match": card, "bond": bond, "vlan": 20, "mtu": 9000, "addresses": ["10.20.0.7/24"]},
            "mgmt": {"match": card, "bond": bond},
            "storage": {"match": card, "bond": bond, "vlan": 30, "dhcp": "yes", "required": false},
        },
        "mesos": {"master": "10.0.0.1:5050", "network": "mgmt"},
    })
}

/// Nothing but a name, and a NIC that is dead.
pub(crate) fn broken() -> Value {
    json!({
        "hostname": "r12-b07",
        "networks": {
            "mgmt": {"match": {"mac": ["52-54-00-00-00-01"]}, "vlan": 5, "router-advertisements": true},
            "data": {"match": {"driver": ["mlx5_core"]}, "addresses": ["10.0.0.7/24"]},
        },
        "mesos": {"master": "10.0.0.1:5050", "resources": {"mem": 1, "disk": 1}},
    })
}

/// No network has a NIC.
pub(crate) fn lost() -> Value {
    json!({"hostname": "x", "networks": {"data": {"match": {"driver": ["none"]}}}})
}

/// All of them by name.
pub(crate) fn all() -> [(&'static str, Value); 5] {
    [
        ("bonded", bonded()),
        ("broken", broken()),
        ("compute", compute()),
        ("lost", lost()),
        ("least", json!({"hostname": "x"})),
    ]
}
