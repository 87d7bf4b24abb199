//! A network of a test's own: a network namespace with a bridge, which is the switch
//! that sleds are plugged into. Nothing leads out of it.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The bridge's address, where the test's servers are.
pub const GATEWAY: &str = "10.77.0.1";

/// A namespace; it and everything in it go away when it is dropped.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    taps: AtomicU32,
}

impl Namespace {
    /// Makes one with a bridge `br0` that has [`GATEWAY`].
    ///
    /// # Panics
    /// When the test does not run as root or `ip` is missing: this is test code.
    pub fn make() -> Self {
        let made = Self::empty();
        made.ip(&["link", "add", "br0", "type", "bridge", "forward_delay", "0"]);
        made.ip(&["address", "add", &format!("{GATEWAY}/24"), "dev", "br0"]);
        made.ip(&["link", "set", "br0", "up"]);
        made
    }

    fn empty() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("sled{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        ip(&["netns", "add", &name]);
        let made = Self { name, taps: AtomicU32::new(0) };
        made.ip(&["link", "set", "lo", "up"]);
        made
    }

    /// Another machine on this switch: a namespace whose `eth0` has this address.
    pub fn neighbour(&self, address: &str) -> Self {
        let made = Self::empty();
        let port = format!("port{}", self.taps.fetch_add(1, Ordering::Relaxed));
        self.ip(&["link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &made.name]);
        self.ip(&["link", "set", &port, "master", "br0", "up"]);
        made.ip(&["address", "add", &format!("{address}/24"), "dev", "eth0"]);
        made.ip(&["link", "set", "eth0", "up"]);
        made
    }

    /// Its name, as `ip netns` knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes a tap that is plugged into the bridge; returns its name.
    pub fn tap(&self) -> String {
        let tap = format!("tap{}", self.taps.fetch_add(1, Ordering::Relaxed));
        self.ip(&["tuntap", "add", &tap, "mode", "tap"]);
        self.ip(&["link", "set", &tap, "master", "br0", "up"]);
        tap
    }

    /// Runs `ip` in it.
    pub fn ip(&self, args: &[&str]) {
        ip(&[&["-netns", self.name.as_str()], args].concat());
    }

    /// A command that will run in it.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// Moves the calling thread, and only it, into the namespace.
    ///
    /// # Panics
    /// When the namespace is gone.
    pub fn enter(name: &str) {
        let file = File::open(PathBuf::from("/run/netns").join(name)).expect("the namespace is there");
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
            .expect("root may enter a namespace");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

fn ip(args: &[&str]) {
    let out = Command::new("ip")
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("ip: {e}; on Debian it is in the package iproute2"));
    assert!(out.status.success(), "ip {args:?}: {}", String::from_utf8_lossy(&out.stderr));
}
