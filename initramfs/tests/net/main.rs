//! The network of PID 1 in network namespaces, with dnsmasq as the server.
//!
//! Needs root, and the Debian packages dnsmasq-base and iproute2. A "sled" is
//! this test binary, started again inside a namespace (`child.rs`); what it
//! prints is what the tests read. Every wait ends.

// clippy sees the parts that are not `#[test]` functions as no tests.
#![allow(clippy::unwrap_used)]

mod child;
mod lab;

use lab::{Lab, dhcp_options};

#[test]
fn a_lease_with_everything_is_put_into_effect() {
    let lab = Lab::new(1);
    let options = dhcp_options(&[
        "option:router,10.77.0.9",
        "121,0.0.0.0/0,10.77.0.1,10.78.0.0/16,10.77.0.2",
        "option:mtu,1400",
        "option:dns-server,10.77.0.1",
        "option:domain-name,example",
        "option:domain-search,lab.example,rack.lab.example",
        "option:ntp-server,10.77.0.123",
        "224,http://10.77.0.1/v1",
    ]);
    let server = lab.dnsmasq(&options);
    let mut sled = lab.sled(&[]);
    sled.wait("its line", |l| l == "say eth0: 10.77.0.50/24 from 10.77.0.1");
    let state = sled.wait("the lease", |l| l.starts_with("link eth0") && l.contains("dhcp: Bound"));
    for part in [
        "address: 10.77.0.50, prefix: 24, routers: [], routes: [Route { to: 0.0.0.0, prefix: 0, via: 10.77.0.1 }",
        "Route { to: 10.78.0.0, prefix: 16, via: 10.77.0.2 }]",
        "dns: [10.77.0.1], ntp: [10.77.0.123], mtu: Some(1400)",
        "domain: Some(\"example\"), search: [\"lab.example\", \"rack.lab.example\"]",
        "server: Some(10.77.0.1)",
        "metadata_url: Some(\"http://10.77.0.1/v1\")",
    ] {
        assert!(state.contains(part), "{part} is not in {state}");
    }
    sled.wait("the diagnosis", |l| l.ends_with(": 10.77.0.50/24 from 10.77.0.1"));
    // What the kernel says, asked by another program.
    let address = lab.ip_in_sled(&["-4", "address", "show", "eth0"]);
    assert!(
        address.contains("mtu 1400") && address.contains("inet 10.77.0.50/24 metric 1002 brd 10.77.0.255"),
        "{address}"
    );
    assert!(
        address.contains("valid_lft 1") && !address.contains("forever"),
        "ends with the lease: {address}"
    );
    let routes = lab.ip_in_sled(&["-4", "route"]);
    for part in ["default via 10.77.0.1 dev eth0", "10.78.0.0/16 via 10.77.0.2 dev eth0", "src 10.77.0.50"] {
        assert!(routes.contains(part), "{part} is not in {routes}");
    }
    assert!(!routes.contains("10.77.0.9"), "121 replaces 3: {routes}");
    let resolv = std::fs::read_to_string(lab.resolv_conf()).unwrap();
    assert_eq!(resolv, "nameserver 10.77.0.1\nsearch lab.example rack.lab.example\n");
    drop(server);
}

#[test]
fn it_renews_and_the_server_sees_the_same_client() {
    let lab = Lab::new(1);
    // dnsmasq gives no lease of less than two minutes: this takes one.
    let mut server = lab.dnsmasq(&[]);
    let mut sled = lab.sled(&[]);
    let first = sled.wait("the lease", |l| l.starts_with("link eth0") && l.contains("dhcp: Bound"));
    sled.wait("a later end", |l| l.starts_with("link eth0") && l.contains("dhcp: Bound") && l != first);
    for _ in 0..2 {
        server.wait("an acknowledgement", |l| l.contains("DHCPACK") && l.contains("10.77.0.50"));
    }
    assert_eq!(server.seen(|l| l.contains("DHCPDISCOVER") && l.contains("vethsrv")), 1);
}

#[test]
fn refused_after_a_move_to_another_network() {
    let lab = Lab::new(1);
    let server = lab.dnsmasq(&[]);
    let mut sled = lab.sled(&[]);
    sled.wait("the lease", |l| l.starts_with("link eth0") && l.contains("address: 10.77.0.50"));
    lab.server_link("down");
    sled.wait("no carrier", |l| l.ends_with("10.77.0.50/24 from 10.77.0.1, no carrier now"));
    drop(server);
    lab.ip_in_server(&["address", "flush", "dev", "vethsrv0"]);
    lab.ip_in_server(&["address", "add", "10.79.0.1/24", "dev", "vethsrv0"]);
    lab.server_link("up");
    let mut server = lab.dnsmasq_for("10.79.0", &[]);
    sled.wait("the refusal", |l| l.starts_with("say eth0: 10.79.0.1 refused the address"));
    server.wait("the server's view", |l| l.contains("DHCPNAK"));
    sled.wait("the new lease", |l| l.starts_with("link eth0") && l.contains("address: 10.79.0.50"));
    let address = lab.ip_in_sled(&["-4", "address", "show", "eth0"]);
    assert!(address.contains("10.79.0.50/24") && !address.contains("10.77.0.50"), "{address}");
}

#[test]
fn an_address_somebody_has_is_declined_and_another_taken() {
    let lab = Lab::new(1);
    lab.ip_in_server(&["address", "add", "10.77.0.55/32", "dev", "lo"]);
    let host = format!("--dhcp-host={},10.77.0.55", lab.sled_mac(0));
    let mut server = lab.dnsmasq(&[host]);
    let mut sled = lab.sled(&[]);
    sled.wait("the conflict", |l| {
        l.starts_with("say eth0: 10.77.0.55 is in use by ") && l.ends_with(": declined")
    });
    sled.wait("its sentence", |l| {
        l.contains("10.77.0.55 is in use by") && l.ends_with("declined; asking again")
    });
    server.wait("the server's view", |l| l.contains("DHCPDECLINE"));
    sled.wait("another address", |l| l.starts_with("link eth0") && l.contains("address: 10.77.0.50"));
}

#[test]
fn one_of_two_links_is_dead_and_comes_up_late() {
    let lab = Lab::new(2);
    lab.server_link("down");
    let _server = lab.dnsmasq(&[]);
    // The boot link comes first in the list although its number is higher.
    let bootif = format!("BOOTIF=01-{}", lab.sled_mac(1).replace(':', "-"));
    let mut sled = lab.sled(&[&bootif]);
    let eth0 = format!("diagnosis eth0 {}: ", lab.sled_mac(0));
    sled.wait("no carrier", |l| l == format!("{eth0}no carrier"));
    sled.wait("silence", |l| l.ends_with("carrier, nothing heard, no DHCP offer"));
    let order: Vec<_> = sled.last_links().iter().map(|l| l[5..9].to_owned()).collect();
    assert_eq!(order, ["eth1", "eth0"]);
    lab.server_link("up");
    sled.wait("the late link's lease", |l| l.starts_with("link eth0") && l.contains("dhcp: Bound"));
    sled.wait("its sentence", |l| l == format!("{eth0}10.77.0.50/24 from 10.77.0.1"));
}

#[test]
fn a_card_that_appears_later_is_used() {
    let lab = Lab::new(0);
    let mut sled = lab.sled(&[]);
    sled.wait("nothing", |l| l == "diagnosis no network link: no driver found a card");
    lab.add_link(0);
    let _server = lab.dnsmasq(&[]);
    sled.wait("the lease", |l| l.starts_with("link eth0") && l.contains("dhcp: Bound"));
    lab.ip_in_sled(&["link", "delete", "eth0"]);
    sled.wait("nothing again", |l| l == "diagnosis no network link: no driver found a card");
}

#[test]
fn links_made_by_software_are_left_alone() {
    let lab = Lab::new(1);
    lab.ip_in_sled(&["link", "add", "br0", "type", "bridge"]);
    lab.ip_in_sled(&["link", "add", "mv0", "link", "eth0", "type", "macvlan"]);
    let mut sled = lab.sled(&[]);
    sled.wait("its one link", |l| l.starts_with("link eth0") && l.contains("carrier: true"));
    assert_eq!(sled.last_links().len(), 1, "{:?}", sled.last_links());
    let links = lab.ip_in_sled(&["-brief", "link"]);
    let down = |name: &str| links.lines().any(|l| l.starts_with(name) && l.contains("DOWN"));
    assert!(down("br0") && down("mv0"), "{links}");
}

#[test]
fn the_switch_is_heard() {
    let lab = Lab::new(1);
    let mut sled = lab.sled(&[]);
    sled.wait("silence", |l| l.ends_with("carrier, nothing heard, no DHCP offer"));
    // Chassis by MAC, port by name, 120 s, description, system name.
    let lldp = "0180c200000e 02000000aa01 88cc 0207 04 001b21aabbcc 0408 05 657468312f3132 0602 0078 \
                0807 736c65642031 32 0a06 746f722d6131 0000";
    lab.send(lldp);
    let state = sled.wait("the neighbour", |l| l.contains("neighbours: [Neighbour"));
    for part in ["text: \"00:1b:21:aa:bb:cc\"", "text: \"eth1/12\"", "Some(\"sled 12\")", "Some(\"tor-a1\")"]
    {
        assert!(state.contains(part), "{part} is not in {state}");
    }
    sled.wait("LLDP", |l| l.ends_with("carrier, LLDP heard, no DHCP offer"));
    let pad = "00".repeat(40);
    lab.send(&format!("0180c2000000 02000000aa01 0026 424203 0000 00 00 00 {pad}"));
    sled.wait("spanning tree", |l| l.ends_with("the port may still be in listening"));
    let zeros = "00".repeat(18);
    lab.send(&format!("0180c2000002 02000000aa01 8809 0101 0114 {zeros} 0214 {zeros} {pad}"));
    sled.wait("LACP", |l| l.ends_with("carrier, LACP heard: the switch expects a bond; no DHCP offer yet"));
    // A lost carrier forgets all of it.
    lab.server_link("down");
    let state = sled.wait("nothing", |l| l.starts_with("link eth0") && l.contains("carrier: false"));
    assert!(state.contains("bpdu: None, lacp: None") && state.contains("neighbours: []"), "{state}");
}

/// An LLDP frame: chassis id by MAC, port id by name, seconds, capabilities that are on.
fn lldp(from: &str, port: char, ttl: u16, on: u16) -> String {
    format!(
        "0180c200000e 0200000000{from} 88cc 0207 04 0200000000{from} 0402 05 {:02x} 0602 {ttl:04x} \
         0e04 ffff {on:04x} 0000",
        u32::from(port)
    )
}

#[test]
fn the_switch_stays_whoever_else_speaks() {
    const STATION: u16 = 0x80;
    const BRIDGE: u16 = 4;
    let lab = Lab::new(1);
    let mut sled = lab.sled(&[]);
    sled.wait("a carrier", |l| l.ends_with("carrier, nothing heard, no DHCP offer"));
    // The order in which they are known, by the ends of their chassis ids.
    let order = |link: &str| -> Vec<String> {
        let ids = link.split("chassis: Id { subtype: 4, text: \"02:00:00:00:00:").skip(1);
        ids.map(|rest| rest[..2].to_owned()).collect()
    };
    let mut expect = |frame: String, known: &[&str]| {
        lab.send(&frame);
        sled.wait(&format!("{known:?}"), |l| l.starts_with("link eth0") && order(l) == known);
    };
    // A server behind the switch speaks first, and its BMC between.
    expect(lldp("01", 'a', 120, STATION), &["01"]);
    expect(lldp("09", 'b', 120, BRIDGE), &["09", "01"]);
    expect(lldp("02", 'c', 120, 0), &["09", "02", "01"]);
    // Each takes back itself; a port of the switch that was another one does, too.
    lab.send(&lldp("09", 'x', 0, BRIDGE));
    expect(lldp("02", 'c', 0, 0), &["09", "01"]);
    expect(lldp("01", 'a', 0, STATION), &["09"]);
    // A second of life.
    expect(lldp("03", 'd', 1, STATION), &["09", "03"]);
    sled.wait("its end", |l| l.starts_with("link eth0") && order(l) == ["09"]);
    let several =
        "say eth0: several speak LLDP here: 02:00:00:00:00:09 port b, 02:00:00:00:00:01 port a (no bridge)";
    assert_eq!(sled.seen(|l| l == several), 1, "once, when the second is heard");
    assert_eq!(sled.seen(|l| l.starts_with("say eth0: several")), 1);
}

#[test]
fn a_port_without_lldp_is_named_with_its_state() {
    let lab = Lab::new(1);
    let mut sled = lab.sled(&[]);
    sled.wait("the silence", |l| {
        l.starts_with(
            "say eth0: no LLDP for 65 s, so the switch port does not say which sled this is (carrier,",
        ) && l.ends_with("no spanning tree heard). Is LLDP on at the switch?")
    });
}

#[test]
fn a_link_in_use_is_called_by_what_it_is_for() {
    let lab = Lab::new(1);
    let _server = lab.dnsmasq(&[]);
    let mut sled = lab.sled(&[]);
    sled.wait("the lease", |l| l.starts_with("link eth0") && l.contains("dhcp: Bound"));
    lab.name_link("data0");
    sled.wait("its name", |l| l.starts_with("link ") && l.contains("\"data0\"") && l.contains("dhcp: Bound"));
    // Other programs know it by both names, and it has its address still.
    for name in ["data0", "alt-data0"] {
        let shown = lab.ip_in_sled(&["-4", "address", "show", "dev", name]);
        assert!(shown.contains("10.77.0.50/24"), "{shown}");
    }
    assert_eq!(sled.seen(|l| l.contains("carrier: true") && l.contains("lease: Some")), {
        sled.seen(|l| l.starts_with("link ") && l.contains("lease: Some"))
    });
}

#[test]
fn ip_gives_a_fixed_address_and_dhcp_goes_on_elsewhere() {
    let lab = Lab::new(2);
    let _server = lab.dnsmasq(&[]);
    let mut sled =
        lab.sled(&["ip=192.0.2.5::192.0.2.1:255.255.255.0:sled-5:eth1:off:192.0.2.53::192.0.2.123"]);
    sled.wait("the fixed address", |l| {
        l.starts_with("diagnosis eth1") && l.ends_with("192.0.2.5/24 from ip=")
    });
    sled.wait("the lease", |l| l.starts_with("link eth0") && l.contains("dhcp: Bound"));
    let routes = lab.ip_in_sled(&["-4", "route"]);
    assert!(routes.contains("default via 192.0.2.1 dev eth1"), "{routes}");
    let resolv = std::fs::read_to_string(lab.resolv_conf()).unwrap();
    assert!(resolv.starts_with("nameserver 192.0.2.53\n"), "{resolv}");
}

#[test]
fn an_address_for_whichever_link_goes_to_a_living_one() {
    let lab = Lab::new(2);
    lab.server_link("down");
    let mut sled = lab.sled(&["ip=192.0.2.5:::24:::off"]);
    sled.wait("it", |l| l.starts_with("diagnosis eth1") && l.ends_with("192.0.2.5/24 from ip="));
    // The other link, once it lives, has DHCP and not the same address.
    lab.server_link("up");
    let _server = lab.dnsmasq(&[]);
    sled.wait("the lease", |l| l.starts_with("link eth0") && l.contains("address: 10.77.0.50"));
}

#[test]
fn an_address_for_whichever_link_prefers_the_boot_link() {
    let lab = Lab::new(2);
    let bootif = format!("BOOTIF=01-{}", lab.sled_mac(1).replace(':', "-"));
    let mut sled = lab.sled(&["ip=192.0.2.5::192.0.2.1:24:::off", &bootif]);
    sled.wait("it", |l| l.starts_with("diagnosis eth1") && l.ends_with("192.0.2.5/24 from ip="));
    assert_eq!(sled.seen(|l| l.starts_with("diagnosis eth0") && l.contains("192.0.2.5")), 0);
    let routes = lab.ip_in_sled(&["-4", "route"]);
    assert!(routes.contains("default via 192.0.2.1 dev eth1 src 192.0.2.5 metric 100"), "{routes}");
}

#[test]
fn ipv6_comes_by_router_advertisement_and_by_ip() {
    let lab = Lab::new(1);
    lab.ip_in_server(&["address", "add", "fd00:77::1/64", "dev", "vethsrv0", "nodad"]);
    let _server = lab.dnsmasq(&[
        "--enable-ra".to_owned(),
        "--dhcp-range=fd00:77::,ra-only,64".to_owned(),
        "--dhcp-option=option6:dns-server,[fd00:77::1]".to_owned(),
        "--dhcp-option=option6:domain-search,six.example".to_owned(),
    ]);
    let mut sled = lab.sled(&["ip=[2001:db8::5]:::64::eth0:auto6"]);
    let state = sled.wait("both addresses", |l| {
        l.contains("dns6: [fd00:77::1]") && l.contains("(fd00:77::") && l.contains("(2001:db8::5, 64)")
    });
    assert!(state.contains("search6: [\"six.example\"]") && state.contains("dhcp: Off"), "{state}");
    let resolv = std::fs::read_to_string(lab.resolv_conf()).unwrap();
    assert_eq!(resolv, "nameserver fd00:77::1\nsearch six.example\n");
}

#[test]
fn stopped_it_leaves_the_address() {
    let lab = Lab::new(1);
    let _server = lab.dnsmasq(&[]);
    let mut sled = lab.sled(&[]);
    sled.wait("the lease", |l| l.starts_with("link eth0") && l.contains("dhcp: Bound"));
    sled.tell("stop");
    sled.wait("its end", |l| l == "stopped");
    assert!(lab.ip_in_sled(&["-4", "address", "show", "eth0"]).contains("10.77.0.50/24"));
}
