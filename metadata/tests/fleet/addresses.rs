//! Addresses, networks and routers that do not fit each other.

use super::{edited, lines, source};
use metadata::fleet::check;
use proptest::prelude::*;

#[track_caller]
fn wrong(from: &str, to: &str, want: &[&str]) {
    assert_eq!(lines(&check(&source(&edited(from, to))).errors), want, "{to}");
}

const R13: &str = "data: {network: 10.1.13.0/24, gateway: 10.1.13.1, first: 10.1.13.11}";

#[test]
fn subnets_of_racks() {
    let subnet = |line: &str| format!("data: {{{line}}}");
    wrong(
        R13,
        &subnet("network: 10.1.13.5/24, gateway: 10.1.13.1, first: 10.1.13.11"),
        &["27: 10.1.13.5/24 is an address in a network, not the network"],
    );
    wrong(
        R13,
        &subnet("network: 10.1.0.0/16, first: 10.1.13.11"),
        &[
            "27: the subnets `data` of rack `r13` (10.1.0.0/16) and `data` of rack `r12` (10.1.12.0/24) overlap",
        ],
    );
    wrong(
        R13,
        &subnet("network: 10.1.12.0/24, first: 10.1.12.18"),
        &[
            "27: bays of `data` of rack `r12` (10.1.12.0/24) and `data` of rack `r13` (10.1.12.0/24) would have the same addresses",
        ],
    );
    let report = check(&source(&edited(R13, &subnet("network: 10.1.12.0/24, first: 10.1.12.19"))));
    assert_eq!(lines(&report.errors), [""; 0]);
    assert!(report.notes.contains(&"one network of several racks: 10.1.12.0/24 of r12, r13".to_owned()));
}

#[test]
fn addresses_and_routers_of_sleds() {
    let of = |network: &str| format!("mgmt: {{match: {{driver: [e1000e, igb]}}, {network}}}");
    let mgmt = "mgmt: {match: {driver: [e1000e, igb]}, address: dhcp}";
    let two = |network: &str, wanted: &str| {
        let report = check(&source(&edited(mgmt, &of(network))));
        let found = lines(&report.errors);
        assert!(found.iter().any(|line| line == wanted) && found.len() <= 4, "{found:?}");
    };
    two(
        "address: \"10.9.{bay}.0/24\"",
        "39: 10.9.1.0/24 is the network itself, not the address of a host in it",
    );
    two(
        "address: \"10.9.{bay}.255/24\"",
        "39: 10.9.1.255/24 is the network's broadcast address, not the address of a host in it",
    );
    two(
        "address: 127.0.0.1/8",
        "39: 127.0.0.1/8 is no address of a machine, not the address of a host in it",
    );
    two("address: \"10.9.0.{bay}/24\", gateway: 10.8.0.1", "39: 10.8.0.1 is not in 10.9.0.0/24");
    two(
        "address: \"10.9.0.{bay}/24\", routes: [{to: 10.7.0.0/16, via: 10.8.0.1}]",
        "39: 10.8.0.1 is not in 10.9.0.0/24",
    );
    two(
        "address: \"10.9.0.{bay}/24\", gateway: 10.9.0.2",
        "39: the router 10.9.0.2 is the sled's own address",
    );
    let fine = |network: &str| {
        assert_eq!(lines(&check(&source(&edited(mgmt, &of(network)))).errors), [""; 0], "{network}");
    };
    fine("address: \"fd00::{bay}/64\", gateway: \"fe80::1\"");
    fine("address: \"10.9.{bay}.0/31\", routes: [{to: 10.7.0.0/16, via: \"10.9.{bay}.1\"}]");
    fine("address: dhcp, routes: [{to: 10.7.0.0/16, via: 10.8.0.1}]");
    fine(
        "addresses: [\"10.9.0.{bay}/24\", \"10.8.0.{bay}/24\"], routes: [{to: 10.7.0.0/16, via: 10.8.0.99}]",
    );
    wrong(
        mgmt,
        &of("address: 10.1.13.1/32"),
        &[
            "39: 10.1.13.1 is a rack's gateway and would be a sled's address",
            "39: two sleds would have the address 10.1.13.1",
        ],
    );
}

#[test]
fn addresses_of_bmcs() {
    let to = |bmc: &str| edited("config:\n  ssh-keys:", &format!("config:\n  bmc: {{{bmc}}}\n  ssh-keys:"));
    let errors = |bmc: &str| lines(&check(&source(&to(bmc))).errors);
    let fine = "address: \"10.9.{rack}.{bay}/24\"".replace("{rack}", "0");
    let found = errors(&fine);
    assert!(
        found.iter().all(|line| line.starts_with("13: two sleds would have the address 10.9.0."))
            && found.len() == 2,
        "{found:?}"
    );
    let gateway = errors("address: \"10.9.0.{bay}/24\", gateway: 10.8.0.1");
    assert!(gateway.contains(&"13: 10.8.0.1 is not in 10.9.0.0/24".to_owned()), "{gateway:?}");
    let host = errors("address: 10.9.0.0/24");
    assert!(
        host.contains(&"13: 10.9.0.0/24 is the network itself, not the address of a host in it".to_owned())
    );
    let taken = errors("address: \"10.1.12.1{bay}/24\"");
    assert!(taken.contains(&"13: two sleds would have the address 10.1.12.12".to_owned()), "{taken:?}");

    let own = "r13-b02: {rack: r13, bay: 2, role: storage, board-serial: ZM18AS036202";
    let report = check(&source(&edited(own, &format!("{own}, config: {{bmc: {{address: 10.1.13.99/24}}}}"))));
    assert_eq!(lines(&report.errors), [""; 0]);
    assert_eq!(
        lines(&report.warnings),
        ["72: the BMC's address is in 10.1.13.0/24, which is the sleds' network `data`"]
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Held against every pair of racks.
    #[test]
    fn racks_that_overlap_are_found(nets in prop::collection::vec((0..64_u32, 26..31_u32, 1..4_u32), 1..5)) {
        let place = |base: u32, prefix: u32| (base & !((1 << (32 - prefix)) - 1), 1_u32 << (32 - prefix));
        let mut text = String::from("fleet: f\nracks:\n");
        for (n, (base, prefix, bays)) in nets.iter().enumerate() {
            let (start, size) = place(*base, *prefix);
            let bays = (*bays).min(size - 2);
            text += &format!(
                "  r{n}: {{bays: {bays}, subnets: {{data: {{network: 10.0.0.{start}/{prefix}, first: 10.0.0.{}}}}}}}\n",
                start + 1
            );
        }
        let overlap = nets.iter().enumerate().any(|(n, (a, p, _))| {
            nets.iter().take(n).any(|(b, q, _)| {
                let ((a, size_a), (b, size_b)) = (place(*a, *p), place(*b, *q));
                a < b + size_b && b < a + size_a
            })
        });
        let report = check(&source(&text));
        prop_assert_eq!(report.fleet.is_none(), overlap, "{}\n{:?}", text, lines(&report.errors));
    }
}
