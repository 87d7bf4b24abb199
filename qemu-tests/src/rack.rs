//! A rack of a test: a switch with a DHCP server (the real dnsmasq), a provisioning
//! server, and ports that sleds are plugged into.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::net::{self, AddressFamily, SocketType};
use sledos::qemu::{Link, Nic, NicModel};
use syscalls::packet::PacketSocket;

use crate::namespace::{GATEWAY, Namespace};
use crate::web::Web;

/// A rack. Everything in it ends when it is dropped.
#[derive(Debug)]
pub struct Rack {
    /// Its network.
    pub namespace: Namespace,
    /// Its server.
    pub web: Web,
    dir: PathBuf,
    dhcp: Option<Child>,
}

impl Rack {
    /// Makes a rack whose server has the files of `root`. `dir` is for its own files.
    pub fn new(dir: &Path, root: &Path) -> Self {
        let namespace = Namespace::make();
        let web = Web::start(&namespace, root);
        let mut rack = Self { namespace, web, dir: dir.to_owned(), dhcp: None };
        rack.start_dhcp();
        rack
    }

    /// Starts the DHCP server.
    ///
    /// # Panics
    /// When dnsmasq is missing.
    pub fn start_dhcp(&mut self) {
        self.start_dhcp_with(&[]);
    }

    /// Starts the DHCP server, with further arguments of dnsmasq.
    ///
    /// # Panics
    /// When dnsmasq is missing.
    pub fn start_dhcp_with(&mut self, more: &[&str]) {
        let leases = self.leases();
        let mut dnsmasq = self.namespace.command("dnsmasq");
        dnsmasq
            // Without a file for its number: two that start at once would fight for it.
            .args(["--keep-in-foreground", "--pid-file=", "--conf-file=/dev/null", "--interface=br0"])
            .args(["--bind-interfaces", "--dhcp-authoritative", "--dhcp-range=10.77.0.100,10.77.0.200,1h"])
            .args([format!("--dhcp-leasefile={}", leases.display()), "--user=root".into()])
            .arg(format!("--dhcp-option=option:ntp-server,{GATEWAY}"))
            .args(if more.iter().any(|m| m.starts_with("--port=")) { &[][..] } else { &["--port=0"] })
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child =
            dnsmasq.spawn().unwrap_or_else(|e| panic!("ip: {e}; on Debian it is in the package iproute2"));
        self.dhcp = Some(child);
    }

    /// Stops the DHCP server.
    pub fn stop_dhcp(&mut self) {
        if let Some(mut child) = self.dhcp.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn leases(&self) -> PathBuf {
        self.dir.join("dnsmasq.leases")
    }

    /// A NIC on a new port of the switch, and the port's name on the test's side.
    pub fn plug(&self, model: NicModel, mac: &str) -> (Nic, String) {
        let tap = self.namespace.tap();
        (Nic { model, link: Link::Tap(tap.clone()), mac: Some(mac.to_owned()) }, tap)
    }

    /// Waits until the DHCP server has given an address to a MAC address.
    ///
    /// # Panics
    /// When it has not by the deadline.
    pub fn address_of(&self, mac: &str, deadline: Duration) -> String {
        let start = Instant::now();
        loop {
            // time mac address name client-id
            let text = std::fs::read_to_string(self.leases()).unwrap_or_default();
            let lease = text
                .lines()
                .map(|l| l.split_whitespace().collect::<Vec<_>>())
                .find(|l| l.get(1) == Some(&mac));
            if let Some(address) = lease.and_then(|l| l.get(2).map(|a| (*a).to_owned())) {
                return address;
            }
            assert!(start.elapsed() < deadline, "no lease for {mac} after {} s:\n{text}", deadline.as_secs());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Lets the switch announce itself on a port, as LLDP does, until the value is dropped.
    pub fn announce(&self, port: &str, chassis: [u8; 6], port_id: &str) -> Announcer {
        Announcer::start(&self.namespace, port, chassis, port_id)
    }
}

impl Announcer {
    /// Announces a port of a switch.
    pub fn start(namespace: &Namespace, port: &str, chassis: [u8; 6], port_id: &str) -> Self {
        let (stop, namespace) = (Arc::new(AtomicBool::new(false)), namespace.name().to_owned());
        let (flag, frame, port) = (Arc::clone(&stop), lldp(chassis, port_id), port.to_owned());
        let thread = std::thread::spawn(move || {
            Namespace::enter(&namespace);
            let any = net::socket(AddressFamily::INET, SocketType::DGRAM, None).expect("sockets can be made");
            let index = net::netdevice::name_to_index(&any, &port).expect("the port is there");
            let socket = PacketSocket::open(index, 0x88cc, &[]).expect("the port is up");
            while !flag.load(Ordering::Relaxed) {
                // The sled may be off.
                let _ = socket.send(&frame);
                std::thread::sleep(Duration::from_millis(500));
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Rack {
    fn drop(&mut self) {
        self.stop_dhcp();
    }
}

/// Sends LLDP frames until it is dropped.
#[derive(Debug)]
pub struct Announcer {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Announcer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// An LLDP frame (IEEE 802.1AB): chassis id by MAC, port id by interface name, TTL, end.
fn lldp(chassis: [u8; 6], port: &str) -> Vec<u8> {
    let mut frame = vec![0x01, 0x80, 0xc2, 0, 0, 0x0e];
    frame.extend(chassis);
    frame.extend([0x88, 0xcc]);
    let mut tlv = |kind: u8, subtype: &[u8], value: &[u8]| {
        let length = u8::try_from(subtype.len() + value.len()).expect("test values are short");
        frame.extend([kind << 1, length]);
        frame.extend(subtype);
        frame.extend(value);
    };
    tlv(1, &[4], &chassis);
    tlv(2, &[5], port.as_bytes());
    tlv(3, &[], &[0, 120]);
    tlv(0, &[], &[]);
    frame
}
