//! dnsmasq as `sledos serve --pxe` runs it: it gives its privileges up, and TFTP works.

use server::pxe::{BIOS, Dnsmasq, IPXE, Mode, Settings};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

const ADDRESS: &str = "10.77.0.1";
/// Tells the inner test its directory.
const DIR: &str = "SLEDOS_TEST_PXE_DIR";

fn ip(args: &[&str]) {
    let out = Command::new("ip").args(args).output().expect("iproute2 is there");
    assert!(out.status.success(), "ip {args:?}: {}", String::from_utf8_lossy(&out.stderr));
}

/// Two network namespaces with a cable between them; they go away when this is dropped.
struct Networks([String; 2]);

impl Networks {
    fn new() -> Self {
        let names = ["server", "sled"].map(|who| format!("pxe{}-{who}", std::process::id()));
        names.iter().for_each(|name| ip(&["netns", "add", name]));
        let made = Self(names);
        let [server, sled] = &made.0;
        ip(&["-netns", server, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", sled]);
        for (name, address) in [(server, ADDRESS), (sled, "10.77.0.9")] {
            ip(&["-netns", name, "address", "add", &format!("{address}/24"), "dev", "eth0"]);
            ip(&["-netns", name, "link", "set", "eth0", "up"]);
        }
        made
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        for name in &self.0 {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

#[test]
fn dnsmasq_is_not_root_once_it_has_its_ports() {
    let id = Command::new("id").arg("-u").output().expect("coreutils are there");
    if id.stdout != b"0\n" {
        println!("not run: only root can make network namespaces");
        return;
    }
    // Nobody but root may look into it.
    let dir = tempfile::tempdir().expect("there is a directory");
    let networks = Networks::new();
    let [server, sled] = &networks.0;
    let mut inner = Command::new("ip")
        .args(["netns", "exec", server])
        .arg(std::env::current_exe().expect("this is a program"))
        .args(["--ignored", "--exact", "--nocapture", "pxe::inside"])
        .env(DIR, dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(inner.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
    let id = lines.find_map(|line| line.split_once("dnsmasq is ").map(|(_, id)| id.to_owned()));
    let id = id.expect("dnsmasq starts");
    let url = format!("tftp://{ADDRESS}/{BIOS}");
    let retry = ["--silent", "--retry", "30", "--retry-all-errors", "--retry-delay", "1", "--max-time", "60"];
    let curl = Command::new("ip").args(["netns", "exec", sled, "curl"]).args(retry).arg(&url).output();
    assert_eq!(
        curl.expect("curl is there").stdout,
        std::fs::read(format!("{IPXE}/{BIOS}")).expect("iPXE is there")
    );
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("it runs");
    for line in ["Uid:\t65534\t65534\t65534\t65534\n", "Gid:\t65534\t65534\t65534\t65534\n"] {
        assert!(status.contains(line), "{status}");
    }
    drop(inner.stdin.take());
    lines.for_each(drop);
    assert!(inner.wait().expect("it ends").success());
}

/// Runs dnsmasq until its input ends.
#[test]
#[ignore = "the other test runs it in a namespace"]
fn inside() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let settings = Settings {
        interface: "eth0".into(),
        address: ADDRESS.parse().expect("an address"),
        mode: Mode::Full("10.77.0.100".parse().expect("one"), "10.77.0.200".parse().expect("one")),
        dir: PathBuf::from(dir).join("pxe"),
        url: format!("http://{ADDRESS}:8080"),
        uki: false,
    };
    let dnsmasq = Dnsmasq::start(&settings).expect("it starts");
    println!("dnsmasq is {}", dnsmasq.id());
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}
