//! Networks that do not do what they should.

use super::dhcp::{Ask, Say, Server, gateway};
use super::{Case, Seen, forget, goes_on, roomy, scene};
use crate::sleds::provision::support::{MGMT, SOON, Scene};
use qemu_tests::namespace::GATEWAY;
use sledos::qemu::{Boot, Machine, MachineSpec};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const FIRST: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 150);
const SECOND: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 151);

/// A sled with one NIC, so that there is one conversation with the server.
fn one_nic(case: &Case) -> (Scene, MachineSpec) {
    let (scene, mut spec) = scene(case);
    spec.nics.truncate(1);
    (scene, spec)
}

/// Pulls or plugs a cable.
fn link(machine: &mut Machine, nic: &str, up: bool) {
    machine.qmp("set_link", serde_json::json!({"name": nic, "up": up})).expect("QEMU has this NIC");
}

pub(super) fn two_dhcp_servers(case: &Case) -> Seen {
    let (scene, spec) = one_nic(case);
    // The second comes when the first was taken; which is first is chance otherwise.
    let _other = Server::start(&scene.rack.namespace, Ipv4Addr::new(10, 99, 0, 1), |ask| match ask {
        Ask::Request => Say::Offer(Ipv4Addr::new(10, 99, 0, 50)),
        _ => Say::Nothing,
    });
    let machine = scene.power_on(case.test, &spec);
    let seen = case.seen(&machine);
    goes_on(&machine);
    seen
}

pub(super) fn dhcp_nak(case: &Case) -> Seen {
    let (mut scene, spec) = one_nic(case);
    scene.rack.stop_dhcp();
    let mut requests = 0;
    let _server = Server::start(&scene.rack.namespace, gateway(), move |ask| match ask {
        Ask::Discover => Say::Offer(FIRST),
        Ask::Request => {
            requests += 1;
            if requests == 1 { Say::Nak("not today") } else { Say::Ack(FIRST, 3600) }
        }
        Ask::Decline => Say::Nothing,
    });
    let machine = scene.power_on(case.test, &spec);
    let seen = case.seen(&machine);
    goes_on(&machine);
    seen
}

pub(super) fn lease_that_ends(case: &Case) -> Seen {
    let (mut scene, spec) = one_nic(case);
    scene.rack.stop_dhcp();
    scene.rack.web.set_down(true);
    let given = Arc::new(AtomicBool::new(false));
    let again = Arc::new(AtomicBool::new(false));
    let (once, back) = (Arc::clone(&given), Arc::clone(&again));
    let _server = Server::start(&scene.rack.namespace, gateway(), move |ask| {
        let address = if back.load(Ordering::Relaxed) { SECOND } else { FIRST };
        match ask {
            // Once there is a lease, it says no more.
            _ if once.load(Ordering::Relaxed) && address == FIRST => Say::Nothing,
            Ask::Discover => Say::Offer(address),
            Ask::Request => {
                once.store(true, Ordering::Relaxed);
                Say::Ack(address, 10)
            }
            Ask::Decline => Say::Nothing,
        }
    });
    let machine = scene.power_on(case.test, &spec);
    let seen = case.seen(&machine);
    again.store(true, Ordering::Relaxed);
    machine.wait_for(&format!("{SECOND}/24 from {GATEWAY}"), SOON).expect("it asks again");
    scene.rack.web.set_down(false);
    goes_on(&machine);
    seen
}

pub(super) fn loss_and_delay(case: &Case) -> Seen {
    let (scene, mut spec) = roomy(case);
    for chain in ["INPUT", "OUTPUT"] {
        let mut iptables = scene.rack.namespace.command("iptables");
        iptables.args([
            "-A",
            chain,
            "-m",
            "statistic",
            "--mode",
            "random",
            "--probability",
            "0.01",
            "-j",
            "DROP",
        ]);
        let done = iptables.status().expect("ip can be run");
        assert!(done.success(), "iptables failed; on Debian it is in the package iptables");
    }
    // Every 30 ms what came is let through, in both directions: 15 ms on the average.
    for nic in 0..spec.nics.len() {
        let filter = format!("filter-buffer,id=delay{nic},netdev=net{nic},queue=all,interval=30000");
        spec.extra.extend(["-object".into(), filter]);
    }
    let machine = scene.power_on(case.test, &spec);
    goes_on(&machine);
    case.seen(&machine)
}

pub(super) fn first_nic_without_carrier(case: &Case) -> Seen {
    let (scene, spec) = scene(case);
    let mut machine = scene.power_on(case.test, &spec);
    link(&mut machine, "net0", false);
    goes_on(&machine);
    case.seen(&machine)
}

pub(super) fn link_after_60_s(case: &Case) -> Seen {
    let (scene, spec) = scene(case);
    let mut machine = scene.power_on(case.test, &spec);
    let start = Instant::now();
    link(&mut machine, "net0", false);
    link(&mut machine, "net1", false);
    let seen = case.seen(&machine);
    // It must not have a document before.
    let left = Duration::from_secs(60).saturating_sub(start.elapsed());
    assert!(machine.wait_for("metadata: asks by", left).is_err(), "{}", machine.console());
    link(&mut machine, "net0", true);
    goes_on(&machine);
    seen
}

pub(super) fn mtu_9000_on_1500(case: &Case) -> Seen {
    let (mut scene, mut spec) = scene(case);
    scene.rack.stop_dhcp();
    scene.rack.start_dhcp_with(&["--dhcp-option=option:mtu,9000"]);
    // The server's end takes large frames, the sled's port does not let them through.
    scene.rack.namespace.ip(&["link", "set", "br0", "mtu", "9000"]);
    spec.nics.truncate(1);
    forget(&scene);
    let text = "x".repeat(12_000);
    scene.serve(&format!(
        "    ignition: {{ignition: {{version: 3.4.0}}, storage: {{files: [{{path: /etc/large, contents: {{source: 'data:,{text}'}}}}]}}}}"
    ));
    let machine = scene.power_on(case.test, &spec);
    let seen = case.seen(&machine);
    let console = goes_on(&machine);
    // Not by luck at a second try.
    assert!(!console.contains("nothing for"), "{console}");
    seen
}

pub(super) fn duplicate_address(case: &Case) -> Seen {
    let (mut scene, spec) = one_nic(case);
    scene.rack.stop_dhcp();
    scene.rack.namespace.ip(&["address", "add", &format!("{FIRST}/32"), "dev", "br0"]);
    let mut address = FIRST;
    let _server = Server::start(&scene.rack.namespace, gateway(), move |ask| match ask {
        Ask::Discover => Say::Offer(address),
        Ask::Request => Say::Ack(address, 3600),
        Ask::Decline => {
            address = SECOND;
            Say::Nothing
        }
    });
    let machine = scene.power_on(case.test, &spec);
    let seen = case.seen(&machine);
    machine.wait_for(&format!("{SECOND}/24 from {GATEWAY}"), SOON).expect("it takes another one");
    goes_on(&machine);
    seen
}

pub(super) fn dns_dead(case: &Case) -> Seen {
    let (mut scene, mut spec) = scene(case);
    scene.rack.stop_dhcp();
    scene.rack.start_dhcp_with(&[&format!("--dhcp-option=option:dns-server,{GATEWAY}")]);
    let url = scene.rack.web.url();
    let named = url.replace(GATEWAY, "prov.rack.test");
    let Boot::Kernel { cmdline, .. } = &mut spec.boot else { panic!("it boots a kernel") };
    *cmdline = cmdline.replace(&format!("sledos.metadata={url}"), &format!("sledos.metadata={named}"));
    let machine = scene.power_on(case.test, &spec);
    let seen = case.seen(&machine);
    scene.rack.stop_dhcp();
    scene.rack.start_dhcp_with(&[
        "--port=53",
        &format!("--address=/prov.rack.test/{GATEWAY}"),
        "--no-resolv",
    ]);
    let console = goes_on(&machine);
    assert!(console.contains(&format!("generation 1 from {named} by mac {MGMT}")), "{console}");
    seen
}
