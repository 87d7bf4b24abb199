//! What runs inside a namespace: this binary again, asked for one of these
//! tests by name. On their own they do nothing useful, so they are ignored.

use formats::ipconf::{IpParam, parse_bootif};
use sledos_init::net::netlink::Op;
use sledos_init::net::rtnl::Rtnl;
use sledos_init::net::{Network, Setup};
use std::io::BufRead;
use std::time::Duration;
use syscalls::packet::PacketSocket;

/// Its command line (`ip=`, `BOOTIF=`), one parameter after the other.
pub(crate) const PARAMS: &str = "SLEDOS_TEST_PARAMS";
/// Where it writes resolv.conf.
pub(crate) const RESOLV: &str = "SLEDOS_TEST_RESOLV";
/// A frame in hex for [`send_a_frame`].
pub(crate) const FRAME: &str = "SLEDOS_TEST_FRAME";
/// The link to send it on.
pub(crate) const LINK: &str = "SLEDOS_TEST_LINK";

fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish()
}

fn print(line: &str) {
    use std::io::Write;
    // Not println!: the test harness would keep it back.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// The network of a sled: prints every state, and what it says. Ends when its
/// input ends; stops the network when told.
#[test]
#[ignore = "is run by the other tests inside a namespace"]
fn be_a_sled() {
    let params = std::env::var(PARAMS).unwrap();
    let values = |name| params.split(' ').filter_map(|p| p.strip_prefix(name)).collect::<Vec<&str>>();
    let setup = Setup {
        statics: values("ip=").into_iter().map(|v| IpParam::parse(v).unwrap()).collect(),
        bootif: values("BOOTIF=").first().map(|v| parse_bootif(v).unwrap()),
        switch_port: true,
        resolv_conf: std::env::var_os(RESOLV).unwrap().into(),
    };
    let network = Network::start(setup, random, Box::new(|line| print(&format!("say {line}"))));
    let watched = std::sync::Arc::clone(&network);
    std::thread::spawn(move || {
        let mut seen = 0;
        loop {
            let now = watched.wait_change(seen, Duration::from_secs(600));
            if now == seen {
                continue;
            }
            seen = now;
            let links = watched.links();
            print(&format!("state {}", links.len()));
            links.iter().for_each(|l| print(&format!("link {} {l:?}", l.name)));
            watched.diagnosis().iter().for_each(|d| print(&format!("diagnosis {d}")));
        }
    });
    for line in std::io::stdin().lock().lines() {
        if line.unwrap() == "stop" {
            network.stop();
            print("stopped");
        }
    }
}

/// What [`name_a_link`] calls it.
pub(crate) const NAME: &str = "SLEDOS_TEST_NAME";

#[test]
#[ignore = "is run by the other tests inside a namespace"]
fn name_a_link() {
    let mut rtnl = Rtnl::open().unwrap();
    let link = link_index();
    let name = std::env::var(NAME).unwrap();
    rtnl.change(link, &Op::AlternativeName(format!("alt-{name}"))).unwrap();
    let renamed = rtnl.name(link, &name).unwrap();
    let info = rtnl.links().unwrap().into_iter().find(|info| info.index == link).unwrap();
    assert_eq!(info.name == name, renamed, "{info:?}");
    assert!(renamed || info.alternative_names.contains(&name), "{info:?}");
    assert!(info.alternative_names.contains(&format!("alt-{name}")), "{info:?}");
}

fn link_index() -> u32 {
    let index = std::fs::read_to_string(format!("/sys/class/net/{}/ifindex", std::env::var(LINK).unwrap()));
    index.unwrap().trim().parse().unwrap()
}

#[test]
#[ignore = "is run by the other tests inside a namespace"]
fn send_a_frame() {
    let hex: String = std::env::var(FRAME).unwrap().split_whitespace().collect();
    let bytes: Vec<u8> =
        (0..hex.len() / 2).map(|n| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).unwrap()).collect();
    let socket = PacketSocket::open(link_index(), 0x88cc, &[]).unwrap();
    socket.send(&bytes).unwrap();
}
