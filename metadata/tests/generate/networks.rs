//! What networkd makes of a document's networks: in a network namespace, with dnsmasq at the
//! other end of the cable; and whatever the networks are, every line is understood.

use crate::judges;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

/// The cable's end of the sled has the address of the fixture's first 10G port. /sys is
/// read-only, so that networkd does not wait for udev. With the shell all others end.
const LAB: &str = r#"
set -eu
mount --bind "$0/passwd" /etc/passwd
mount -t sysfs -o ro sys /sys; mount -t tmpfs run /run; mkdir -p /run/systemd
cp -r "$0/etc/systemd/network" /run/systemd/
ip link set lo up
ip link add nic0 address 52:54:00:00:00:10 type veth peer name server
unshare --net sleep 600 & there=$!
until [ "$(readlink /proc/$there/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.01; done
ip link set server netns $there
in_there() { nsenter --net=/proc/$there/ns/net "$@"; }
in_there ip link set server mtu 9000 up; in_there ip address add 10.77.0.1/24 dev server
serve() {
    in_there dnsmasq --keep-in-foreground --conf-file=/dev/null --port=0 --user=root --group= --no-ping \
        --interface=server --bind-interfaces --dhcp-authoritative --no-resolv --no-hosts --pid-file= \
        --log-facility=/run/dnsmasq.log --dhcp-range=10.77.0.50,10.77.0.59,120 --dhcp-leasefile=/run/leases \
        --dhcp-option=option:ntp-server,10.77.0.123,10.77.0.124 "$@" & dnsmasq=$!
}
# Until the state is like this; three minutes at most: a lease is renewed after one.
await() {
    tries=0
    until grep -q "$1" /run/systemd/netif/state 2>/dev/null; do
        tries=$((tries + 1))
        [ $tries -lt 1800 ] || { echo "networkd does not get to $1:"; cat /run/systemd/netif/state; exit 1; } >&2
        sleep 0.1
    done
}
show() { cat /run/systemd/netif/state; ip address show nic0; ip route; }
start() { SYSTEMD_LOG_TARGET=console SYSTEMD_LOG_LEVEL=warning /usr/lib/systemd/systemd-networkd 2>/run/said & }
"#;

/// Runs networkd on a document with this one network, and the script in the lab.
fn lab(config: Value, script: &str) -> String {
    let (dir, _) = judges::lay_out(config);
    judges::passwd(dir.path());
    for entry in fs::read_dir(dir.path().join("etc/systemd/network")).unwrap() {
        let path = entry.unwrap().path();
        // A veth is no hardware, and has no address in it.
        let text = fs::read_to_string(&path).unwrap().replace("PermanentMACAddress=", "MACAddress=");
        fs::write(&path, text.replace("Kind=!*\n", "")).unwrap();
    }
    let mut unshare = Command::new("unshare");
    unshare.args(["--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child"]);
    unshare.args(["--mount-proc", "sh", "-c", &format!("{LAB}{script}")]).arg(dir.path());
    let output = judges::run(&mut unshare, "dnsmasq-base, iproute2 and systemd");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

fn sled(network: Value, time: Value) -> Value {
    json!({"hostname": "x", "networks": {"data": network}, "time": time})
}

fn all_parts(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

const CARD: &str = "0000:3b:00.0";

#[test]
fn name_and_time_servers_come_by_dhcp_and_change_with_it() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../overlays/base/usr/lib/sledos/ntp-from-dhcp");
    let shown = lab(
        sled(json!({"match": {"path": [CARD]}, "mtu": 9000}), json!({})),
        &format!(
            "serve --dhcp-option=option:dns-server,10.77.0.2,10.77.0.3; start; await '^NTP=10'; show
             sh {0} /run/systemd/netif/state /run/chrony-dhcp; cat /run/chrony-dhcp/*.sources
             chronyd -p -f /run/chrony-dhcp/networkd.sources
             kill $dnsmasq; serve --dhcp-option=option:dns-server,10.77.0.4; await '^DNS=10.77.0.4$'; show
             sh {0} /run/systemd/netif/state /run/chrony-dhcp; ls /run/chrony-dhcp",
            script.display()
        ),
    );
    let (first, renewed) = shown.split_once("DNS=10.77.0.4\n").expect("it renews");
    all_parts(
        first,
        &[
            "DNS=10.77.0.2 10.77.0.3\n",
            "NTP=10.77.0.123 10.77.0.124\n",
            "mtu 9000",
            "inet 10.77.0.50/24 metric 1024",
            "default via 10.77.0.1 dev nic0 proto dhcp",
            "server 10.77.0.123 iburst\nserver 10.77.0.124 iburst\n",
        ],
    );
    assert!(renewed.ends_with("networkd.sources\n") && !renewed.contains("DNS=10.77.0.2"), "{renewed}");
}

#[test]
fn time_servers_of_the_document_come_in_place_of_those_of_dhcp() {
    let time = json!({"servers": ["ntp.example.net"]});
    let shown = lab(
        sled(json!({"match": {"path": [CARD]}}), time),
        "serve --dhcp-option=option:dns-server,10.77.0.2; start; await '^DNS=10'; show",
    );
    all_parts(&shown, &["DNS=10.77.0.2\n", "OPER_STATE=routable"]);
    assert!(!shown.contains("NTP="), "{shown}");
}

#[test]
fn a_fixed_address_has_its_router_routes_and_name_servers_in_order() {
    let network = json!({
        "match": {"path": [CARD]}, "addresses": ["10.77.0.7/24"], "gateway": "10.77.0.1", "mtu": 1400,
        "dns": ["10.77.0.3", "10.77.0.2"], "routes": [{"to": "10.30.0.0/16", "via": "10.77.0.9"}],
    });
    let shown = lab(sled(network, json!({})), "start; await '^OPER_STATE=routable'; show");
    all_parts(
        &shown,
        &[
            "DNS=10.77.0.3 10.77.0.2\n",
            "mtu 1400",
            "inet 10.77.0.7/24 brd 10.77.0.255",
            "default via 10.77.0.1 dev nic0 proto static",
            "10.30.0.0/16 via 10.77.0.9 dev nic0 proto static",
        ],
    );
}

/// Networks on a card whose two ports are in a bond or on a port alone: one without a VLAN,
/// and some with.
fn networks() -> impl Strategy<Value = Value> {
    let mode = prop::sample::select(vec!["lacp", "active-backup", "balance-xor"]);
    let dhcp = prop::sample::select(vec!["no", "ipv4", "ipv6", "yes"]);
    let network = (any::<bool>(), prop::option::of(1280_u32..9216), 0_usize..4, dhcp, any::<[bool; 3]>());
    (prop::option::of(mode), prop::collection::vec(network, 1..5), any::<bool>()).prop_map(
        |(bond, networks, untagged)| {
            let mut all = serde_json::Map::new();
            for (n, (required, mtu, dns, dhcp, [ra, address, gateway])) in networks.into_iter().enumerate() {
                let path = if bond.is_some() { "0000:3b:00.*" } else { CARD };
                let mut network = json!({"match": {"path": [path]}, "required": required, "dhcp": dhcp});
                let mut set = |key: &str, value: Value| network[key] = value;
                if n > 0 || !untagged {
                    set("vlan", (100 + n).into());
                }
                bond.into_iter().for_each(|mode| set("bond", json!({"mode": mode})));
                mtu.into_iter().for_each(|mtu| set("mtu", mtu.into()));
                set("router-advertisements", ra.into());
                set("dns", (0..dns).map(|d| format!("10.{n}.0.{}", 53 + d)).collect());
                if address {
                    set("addresses", json!([format!("10.{n}.0.7/24")]));
                    if gateway {
                        set("gateway", format!("10.{n}.0.1").into());
                    }
                }
                all.insert(format!("net{n}"), network);
            }
            all.into()
        },
    )
}

/// All values of a key in the files whose name ends so, by file.
fn values(dir: &Path, end: &str, key: &str) -> BTreeMap<String, Vec<String>> {
    let files = fs::read_dir(dir.join("etc/systemd/network")).unwrap().map(|e| e.unwrap().path());
    let of = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        let values = text.lines().filter_map(|l| l.strip_prefix(key)?.strip_prefix('=').map(str::to_owned));
        (path.file_name().unwrap().to_string_lossy().into_owned(), values.collect())
    };
    files.filter(|path| path.to_string_lossy().ends_with(end)).map(|path| of(&path)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn whatever_networks_there_are_networkd_understands_them(networks in networks()) {
        let (dir, _) = judges::lay_out(json!({"hostname": "x", "networks": networks}));
        prop_assert_eq!(judges::networkd(dir.path()), Vec::<String>::new());
        let dir = dir.path();
        let flat = |end, key| values(dir, end, key).into_values().flatten().collect::<Vec<_>>();
        let networks = networks.as_object().unwrap();
        let named = |key: &str| networks.values().filter(|n| !n[key].is_null()).count();

        // Every VLAN is made once, and its port has it.
        let ids: BTreeSet<_> = flat(".netdev", "Id").into_iter().collect();
        prop_assert_eq!((ids.len(), flat(".network", "VLAN").len()), (named("vlan"), named("vlan")));
        prop_assert_eq!(flat(".netdev", "Mode").len(), usize::from(named("bond") > 0));
        // What a VLAN sends fits into what is below it.
        let most = networks.values().filter_map(|n| n["mtu"].as_u64()).max();
        let below = values(dir, ".network", "MTUBytes");
        for (file, mtus) in below.iter().filter(|(file, _)| file.starts_with("10-")) {
            prop_assert_eq!(mtus.first().and_then(|m| m.parse().ok()), most, "{}", file);
        }
        // Each network has its name servers, in order.
        let servers = values(dir, ".network", "DNS");
        let described = values(dir, ".network", "Description");
        for (name, network) in networks {
            let file = described.iter().find(|(_, names)| names.contains(name)).map(|(file, _)| file);
            let wanted: Vec<String> = serde_json::from_value(network["dns"].clone()).unwrap();
            prop_assert_eq!(file.and_then(|file| servers.get(file)), Some(&wanted), "{}", name);
        }
    }
}
