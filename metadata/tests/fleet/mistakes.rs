//! One change to a good fleet, one mistake at its line.

use super::{FLEET, edited, lines, source};
use metadata::fleet::check;

/// The change gives exactly these errors.
#[track_caller]
fn wrong(from: &str, to: &str, want: &[&str]) {
    let report = check(&source(&edited(from, to)));
    assert_eq!(lines(&report.errors), want, "{to}");
    assert!(report.fleet.is_none());
}

#[test]
fn shape() {
    wrong("lifetime: 90d", "lifetme: 90d", &["10: unknown key `lifetme`"]);
    wrong("mtu: 9000", "mut: 9000", &["40: unknown key `mut` in `roles.compute.config.networks.data`"]);
    wrong("    bays: 4\n", "", &["25: `racks.r13` has no `bays`"]);
    wrong("bays: 4", "bays: four", &["25: `racks.r13.bays` should be a number, this is `four`"]);
    wrong(
        "mtu: 9000",
        "mtu: 67",
        &["40: `roles.compute.config.networks.data.mtu` is 67, it must be 68 to 65535"],
    );
    wrong(
        "mtu: 9000",
        "vlan: 4095",
        &["40: `roles.compute.config.networks.data.vlan` is 4095, it must be 1 to 4094"],
    );
    wrong("wipe: foreign", "wipe: forein", &["51: `forein` is none of never, foreign, all"]);
    wrong(
        "metadata: [http://10.0.0.2:8080]",
        "metadata: http://10.0.0.2:8080",
        &["4: `servers.metadata` should be a list, this is a single value"],
    );
    wrong(
        "macs: [5254.0012.0003]",
        "macs: [5254.0012.003]",
        &[
            "69: `5254.0012.003` is not a MAC address: six pairs of hexadecimal digits, like 52:54:00:12:34:56",
        ],
    );
    wrong(
        "rotational: false",
        "rotational: no",
        &["51: `roles.storage.install.disk.rotational` should be true or false, this is `no`"],
    );
    wrong("r13-b02:", "r13-b01:", &["72: the key `r13-b01` is here twice"]);
}

#[test]
fn names_that_mean_something_to_a_server() {
    wrong("r13-b02:", "unknown:", &["72: no sled can be called `unknown`"]);
}

#[test]
fn names_that_others_gave() {
    wrong(
        "zone: Europe/Berlin",
        "zone: Europe/Berln",
        &["15: `Europe/Berln` is not a time zone like Europe/Berlin or UTC"],
    );
    let of = |from: &str, to: &str| lines(&check(&source(&edited(from, to))).warnings);
    assert_eq!(
        of("driver: [ixgbe]", "driver: [ixbge]"),
        ["40: `ixbge` is no driver of a NIC that is known here"]
    );
    for name in ["ignore", "infinite", "12h", "7D", "101"] {
        let warning = format!("72: `{name}` means something else to dnsmasq");
        assert_eq!(of("r13-b02: {", &format!("\"{name}\": {{")), [warning]);
    }
}

#[test]
fn masters_that_the_agent_would_not_find() {
    let master = |text: &str| {
        let found = check(&source(&edited("zk://10.0.0.10:2181/mesos", text)));
        lines(&found.errors)
    };
    for good in
        ["10.0.0.10:5050", "m.example:5050", "'[fd00::1]:5050'", "zk://a:1,b:2/m/x", "zk://u:p@a:1,b:2/m"]
    {
        assert_eq!(master(good), [""; 0], "{good}");
    }
    for bad in [
        "zk:/10.0.0.10:2181/mesos",
        "zk:/10.0.0.10:2181",
        "zk:10.0.0.10:2181",
        "zk//a:2181/mesos",
        "zk://10.0.0.10/mesos",
        "zk://10.0.0.10:2181",
        "zk://10.0.0.10:2181/",
        "zk://10.0.0.10:2181/mesos/",
        "zk://a:2181,/mesos",
        "zk://a:2181,zk://b:2181/mesos",
        "zk://a:0/mesos",
        "zk://a:70000/mesos",
        "http://10.0.0.10:5050",
        "10.0.0.10",
        "'10.0.0.10:'",
        "10.0.0.10:5050/",
        "a b:5050",
        "'10.0.0.10:5050,10.0.0.11:5050'",
    ] {
        let found = master(bad);
        assert!(found.len() == 1 && found[0].starts_with("43: `"), "{bad}: {found:?}");
    }
}

#[test]
fn data_disks() {
    let set = |lines: &str| {
        format!("disks: {{{lines}}}\n      networks:\n        data: {{match: {{min-speed: 10000}}")
    };
    let wrong = |lines: &str, want: &[&str]| {
        let report =
            check(&source(&edited("networks:\n        data: {match: {min-speed: 10000}", &set(lines))));
        assert_eq!(super::lines(&report.errors), want, "{lines}");
    };
    let good = "data: {match: {rotational: true}, count: 16, mount: /data}";
    wrong(good, &[]);
    wrong("data: {mtch: {}}", &["53: unknown key `mtch` in `roles.storage.config.disks.data`"]);
    wrong("data: {count: 16}", &["53: `config.disks.data` has no `match`"]);
    wrong(
        "data: {match: {rotational: true}, count: 0}",
        &["53: `roles.storage.config.disks.data.count` is 0, it must be 1 to 99"],
    );
    wrong(
        "data: {match: {}}",
        &["53: `match` would take every disk: give `rotational`, `min-size`, `model`…"],
    );
    wrong(
        "d-1: {match: {rotational: true}}",
        &["53: `d-1` is no name of a set of disks: up to 9 small letters and digits"],
    );
    wrong("data: {match: {rotational: true}, filesystem: zfs}", &["53: `zfs` is none of xfs, ext4"]);
    wrong(
        "data: {match: {rotational: true}, wipe: foreign}",
        &["53: `wipe` is for disks that are listed: add their serial numbers to `wipe-serials`"],
    );
    let picked =
        "53: `wipe` is not for a disk that is picked from several: when one is missing or late it is another";
    wrong("data: {match: {rotational: true, pick: first}, wipe: all}", &[picked]);
    wrong("data: {match: {rotational: true, pick: first}, wipe: all, wipe-serials: [Z1]}", &[]);
    wrong("data: {match: {serial: [Z1], pick: first}, wipe: all}", &[]);
    wrong("data: {match: {rotational: true}, wipe: all}", &[]);
    wrong(
        "data: {match: {rotational: true}, mount: /usr/data}",
        &["53: `mount` `/usr/data` is not a place for data: use a path below /srv, /data, /var…"],
    );
    wrong(
        "a: {match: {rotational: true}, mount: /data}, b: {match: {rotational: false}, mount: /data/b}",
        &["53: the mount points of `b` are below those of `a`, or the same"],
    );
}

#[test]
fn all_at_once() {
    let text =
        FLEET.replace("lifetime:", "lifetme:").replace("mtu: 9000", "mut: 1").replace("bays: 4", "bays: x");
    let found = lines(&check(&source(&text)).errors);
    assert_eq!(found.len(), 3, "{found:?}");
}

#[test]
fn a_system_disk_that_is_picked_is_wiped_only_when_it_is_listed() {
    let picked =
        "51: `wipe` is not for a disk that is picked from several: when one is missing or late it is another";
    wrong("serial: [S45PNA0M1, S45PNA0M2], pick", "pick", &[picked]);
    let fine = |from: &str, to: &str| assert_eq!(lines(&check(&source(&edited(from, to))).errors), [""; 0]);
    fine("serial: [S45PNA0M1, S45PNA0M2], pick: smallest}, wipe: foreign", "pick: smallest}");
    fine("serial: [S45PNA0M1, S45PNA0M2], pick: smallest", "min-size: 1");
    fine("serial: [S45PNA0M1, S45PNA0M2], pick", "wwn: [eui.0025385b21404eb1], pick");
}

#[test]
fn values_after_the_layers_are_together() {
    wrong("rack: \"{rack}\"", "rack: \"{racks}\"", &["44: nothing is called `{racks}` here"]);
    wrong(
        "role: \"{role}\"",
        "role: \"{{a,b}\"",
        &["44: `{{a,b}` is a set, and Mesos allows none in attributes"],
    );
    wrong(
        "hostname: \"{rack}-b{bay:02}\"",
        "hostname: \"{rack}_{bay}\"",
        &[
            "37: `r12_1` is not a host name: labels of letters, digits and `-`, with dots between",
            "37: `r12_2` is not a host name: labels of letters, digits and `-`, with dots between",
            "37: `r12_3` is not a host name: labels of letters, digits and `-`, with dots between",
        ],
    );
    wrong("hostname: \"{rack}-b{bay:02}\"", "hostname: same", &["37: two sleds would be called `same`"]);
    wrong("match: {min-speed: 10000}, ", "", &["54: `config.networks.data` has no `match`"]);
    wrong(
        "data: {network: 10.1.13.0/24",
        "date: {network: 10.1.13.0/24",
        &["54: rack `r13` has no subnet `data`"],
    );
    wrong("address: dhcp}", "address: 10.9.9.9/24}", &["39: two sleds would have the address 10.9.9.9"]);
    wrong(
        "master: zk://10.0.0.10:2181/mesos",
        "network: mgnt\n        master: a:5050",
        &["43: there is no network `mgnt`"],
    );
}

#[test]
fn racks_and_sleds_together() {
    wrong(
        "role: compute, board-serial: ZM18AS036102",
        "role: computer, board-serial: ZM18AS036102",
        &["68: there is no role `computer`"],
    );
    wrong("r12-b02: {rack: r12", "r12-b02: {rack: r99", &["68: there is no rack `r99`"]);
    wrong("rack: r12, bay: 2,", "rack: r12, bay: 9,", &["68: there is no bay 9: rack `r12` has 8"]);
    wrong(
        "rack: r12, bay: 3,",
        "rack: r12, bay: 2,",
        &[
            "21: two sleds would have the address 10.1.12.12",
            "37: two sleds would be called `r12-b02`",
            "69: the bay r12/2 is here twice",
        ],
    );
    wrong(
        "macs: [5254.0012.0003]",
        "macs: [52:54:00:12:00:02]",
        &["69: the MAC address 52:54:00:12:00:02 is here twice"],
    );
    wrong(
        "bmc-mac: 52:54:00:12:ff:01",
        "bmc-mac: 52:54:00:12:00:02",
        &["68: the MAC address 52:54:00:12:00:02 is here twice"],
    );
    wrong(
        "board-serial: ZM18AS036103",
        "board-serial: zm18as036102",
        &["69: the board serial zm18as036102 is here twice"],
    );
    wrong("swp2: 2", "swp2: 5", &["29: there is no bay 5: the rack has 4"]);
    wrong(
        "port: \"Ethernet{bay}\"",
        "port: Ethernet",
        &["23: port `Ethernet` of switch aa:bb:cc:00:00:01 leads to two bays"],
    );
    wrong(
        "first: 10.1.13.11",
        "first: 10.1.13.252",
        &["27: 10.1.13.0/24 is too small: bay 4 would be outside of it"],
    );
    wrong(
        "gateway: 10.1.13.1,",
        "gateway: 10.1.13.13,",
        &["27: 10.1.13.13 would be the address of bay 3, too"],
    );
    wrong("gateway: 10.1.13.1,", "gateway: 10.2.13.1,", &["27: 10.2.13.1 is not in 10.1.13.0/24"]);
    wrong(
        "board-serial: ZM18AS030000",
        "board-serial: ZM18AS036101",
        &["75: the board serial ZM18AS036101 is retired and in use"],
    );
}

#[test]
fn warnings() {
    let of = |from: &str, to: &str| lines(&check(&source(&edited(from, to))).warnings);
    let junk = of("board-serial: ZM18AS036202", "board-serial: \"0123456789\"");
    assert_eq!(
        junk,
        [
            "72: sled `r13-b02` has neither serial nor UUID nor MAC",
            "72: the serial number `0123456789` identifies nobody",
        ]
    );
    let uuid = "uuid: 4c4c4544-0042-3510-8051-b7c04f330001";
    let twice = of("board-serial: ZM18AS036202", &format!("board-serial: ZM18AS036202, {uuid}"));
    assert_eq!(twice.len(), 2, "{twice:?}");
    assert!(twice.iter().all(|w| w.ends_with("identifies nobody and is not used")), "{twice:?}");
    let mesos = of("mem: 250000, ", "");
    assert_eq!(mesos, ["45: the agent's memory and disk are not both given"]);
    let gateways = of("address: dhcp}", "address: dhcp, gateway: 10.0.0.1}");
    assert_eq!(gateways, ["39: a sled with two default gateways"]);
}
