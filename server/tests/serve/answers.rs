//! What DHCP servers answer with the exported files: in a network of the test's own, asked as firmware,
//! iPXE and PID 1 ask.

use super::export::hostile;
use metadata::values::Mac;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use server::export::Format;
use server::pxe::{BIOS, EFI};
use std::fs::File;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Where the exported URL is, and the DHCP server.
const SERVER: &str = "10.77.0.1";
const URL: &str = "http://10.77.0.1:8080";

/// Two machines and a cable between them, as network namespaces.
struct Cable(String);

impl Cable {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("dhcp{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let (server, client) = (format!("{name}s"), format!("{name}c"));
        let made = Self(name);
        ip(&["netns", "add", &server]);
        ip(&["netns", "add", &client]);
        let peer = ["type", "veth", "peer", "name", "eth0", "netns", &client];
        ip(&[&["-netns", &server, "link", "add", "eth0"], &peer[..]].concat());
        for (netns, address) in [(&server, format!("{SERVER}/24")), (&client, "10.77.0.2/24".to_owned())] {
            ip(&["-netns", netns, "address", "add", &address, "dev", "eth0"]);
            ip(&["-netns", netns, "link", "set", "lo", "up"]);
            ip(&["-netns", netns, "link", "set", "eth0", "up"]);
        }
        ip(&["-netns", &client, "route", "add", "default", "dev", "eth0"]);
        made
    }

    fn daemon(&self, package: &str, program: &str, args: &[&str], dir: &Path) -> Daemon {
        let log = File::create(dir.join("log")).unwrap();
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &format!("{}s", self.0), program]).args(args);
        command
            .env("KEA_PIDFILE_DIR", dir)
            .env("KEA_LOCKFILE_DIR", dir)
            .env("KEA_LOGGER_DESTINATION", "stderr");
        let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn();
        Daemon(child.unwrap_or_else(|e| panic!("{program}: {e}; on Debian it is in the package {package}")))
    }

    /// A socket of the client's, by a thread that is there.
    fn client(&self) -> UdpSocket {
        let path = format!("/run/netns/{}c", self.0);
        let inside = move || {
            let namespace = File::open(path).unwrap();
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                .expect("this test runs as root");
            UdpSocket::bind("0.0.0.0:68").unwrap()
        };
        let socket = std::thread::spawn(inside).join().unwrap();
        socket.set_broadcast(true).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        socket
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for end in ["s", "c"] {
            let _ = Command::new("ip").args(["netns", "delete", &format!("{}{end}", self.0)]).status();
        }
    }
}

struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ip(args: &[&str]) {
    let out = Command::new("ip").args(args).output();
    let out = out.unwrap_or_else(|e| panic!("ip: {e}; on Debian it is in the package iproute2"));
    assert!(out.status.success(), "ip {args:?}: {}", String::from_utf8_lossy(&out.stderr));
}

/// Who asks: options 93, 60 and 77.
#[derive(Clone, Copy, Debug)]
struct Client {
    arch: Option<u16>,
    class: Option<&'static str>,
    ipxe: bool,
}

/// What an offer says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Offer {
    next: String,
    file: String,
    host: String,
    class: String,
    metadata: String,
}

/// RFC 2131, section 2: a fixed head of 236 bytes, a cookie, options.
fn discover(mac: Mac, xid: u32, client: Client) -> Vec<u8> {
    let mut out = vec![1, 1, 6, 0];
    out.extend(xid.to_be_bytes());
    // Nobody has an address yet: answers are broadcast.
    out.extend([0, 0, 0x80, 0]);
    out.extend([0; 16]);
    out.extend(mac.0);
    out.resize(236, 0);
    out.extend([0x63, 0x82, 0x53, 0x63, 53, 1, 1]);
    out.extend([55, 7, 1, 3, 12, 60, 66, 67, 224]);
    if let Some(arch) = client.arch {
        out.extend([93, 2]);
        out.extend(arch.to_be_bytes());
    }
    for (option, text) in [(60, client.class), (77, client.ipxe.then_some("iPXE"))] {
        let Some(text) = text else { continue };
        out.extend([option, u8::try_from(text.len()).unwrap()]);
        out.extend(text.bytes());
    }
    out.push(255);
    out.resize(out.len().max(300), 0);
    out
}

/// The offer in an answer to this question.
fn offer(bytes: &[u8], xid: u32) -> Option<Offer> {
    let text = |bytes: &[u8]| {
        let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
        String::from_utf8_lossy(&bytes[..end]).into_owned()
    };
    if bytes.len() < 240 || bytes[0] != 2 || bytes[4..8] != xid.to_be_bytes() {
        return None;
    }
    let next = Ipv4Addr::from(<[u8; 4]>::try_from(&bytes[20..24]).ok()?).to_string();
    let mut offer = Offer { next, file: text(&bytes[108..236]), ..Offer::default() };
    let mut rest = &bytes[240..];
    while let [option, length, tail @ ..] = rest {
        match option {
            255 => break,
            0 => rest = &rest[1..],
            _ => {
                let (value, after) = tail.split_at_checked(usize::from(*length))?;
                match option {
                    12 => offer.host = text(value),
                    60 => offer.class = text(value),
                    67 => offer.file = text(value),
                    224 => offer.metadata = text(value),
                    _ => {}
                }
                rest = after;
            }
        }
    }
    Some(offer)
}

/// Asks until there is an answer.
fn ask(socket: &UdpSocket, mac: Mac, client: Client, log: &Path) -> Offer {
    static XID: AtomicU32 = AtomicU32::new(0x7a00);
    let end = Instant::now() + Duration::from_secs(60);
    while Instant::now() < end {
        let xid = XID.fetch_add(1, Ordering::Relaxed);
        socket.send_to(&discover(mac, xid, client), ("255.255.255.255", 67)).unwrap();
        let mut buffer = [0; 2048];
        while let Ok((length, _)) = socket.recv_from(&mut buffer) {
            if let Some(offer) = offer(&buffer[..length], xid) {
                return offer;
            }
        }
    }
    panic!("{mac} {client:?}: no answer\n{}", std::fs::read_to_string(log).unwrap_or_default());
}

/// Every kind of client, and every sled by its name.
fn answers(cable: &Cable, log: &Path, unnamed: &[&str]) {
    let socket = cable.client();
    let client = |arch, class, ipxe| Client { arch, class, ipxe };
    let exported = hostile(Some(URL), "/srv");
    let mac = exported.sleds[0].macs[0];
    let script = format!("{URL}/{}", metadata::fleet::ipxe::ENTRY);
    for (client, file, class) in [
        (client(Some(0), Some("PXEClient:Arch:00000:UNDI:002001"), false), BIOS, None),
        (client(Some(7), Some("PXEClient:Arch:00007:UNDI:003016"), false), EFI, None),
        (client(Some(9), Some("PXEClient:Arch:00009:UNDI:003016"), false), EFI, None),
        (
            client(Some(16), Some("HTTPClient:Arch:00016:UNDI:003001"), false),
            &format!("{URL}/pxe/{EFI}"),
            Some("HTTPClient"),
        ),
        (client(Some(0), Some("PXEClient:Arch:00000:UNDI:002001"), true), &script, None),
        (client(Some(7), Some("PXEClient:Arch:00007:UNDI:003010"), true), &script, None),
    ] {
        let offer = ask(&socket, mac, client, log);
        assert_eq!(offer.file, file, "{client:?}: {offer:?}");
        assert_eq!(offer.next, SERVER, "{client:?}: {offer:?}");
        if let Some(class) = class {
            assert_eq!(offer.class, class, "{client:?}: {offer:?}");
        }
    }
    // PID 1, or Linux on the sled.
    let linux = client(None, None, false);
    for sled in &exported.sleds {
        let short = sled.hostname.split('.').next().unwrap();
        let name = if unnamed.contains(&short) { "" } else { short };
        for mac in &sled.macs {
            let offer = ask(&socket, *mac, linux, log);
            assert_eq!(
                (offer.host.as_str(), offer.metadata.as_str()),
                (name, URL),
                "{}: {offer:?}",
                sled.name
            );
        }
    }
    let stranger = ask(&socket, "52:54:00:99:99:99".parse().unwrap(), linux, log);
    assert_eq!((stranger.host.as_str(), stranger.metadata.as_str()), ("", URL));
}

fn exported(format: Format) -> String {
    hostile(Some(URL), "/srv").text(format).unwrap().text
}

#[test]
fn dnsmasq_answers_as_meant() {
    let (cable, dir) = (Cable::new(), tempfile::tempdir().unwrap());
    let file = dir.path().join("dnsmasq.conf");
    std::fs::write(&file, exported(Format::Dnsmasq)).unwrap();
    let own =
        ["--keep-in-foreground", "--port=0", "--user=root", "--pid-file=", "--no-ping", "--interface=eth0"];
    let leases = format!("--dhcp-leasefile={}", dir.path().join("leases").display());
    let file = format!("--conf-file={}", file.display());
    let range = "--dhcp-range=10.77.0.100,10.77.0.200,1h";
    let args = [&own[..], &[&leases, &file, range, "--log-facility=-"]].concat();
    let _daemon = cable.daemon("dnsmasq-base", "dnsmasq", &args, dir.path());
    answers(&cable, &dir.path().join("log"), &["ignore", "infinite", "12h", "101", "7d"]);
}

#[test]
fn isc_dhcpd_answers_as_meant() {
    let (cable, dir) = (Cable::new(), tempfile::tempdir().unwrap());
    let file = |name: &str, text: &str| {
        std::fs::write(dir.path().join(name), text).unwrap();
        dir.path().join(name).display().to_string()
    };
    let hosts = file("sledos.conf", &exported(Format::IscDhcpd));
    let own = format!(
        "authoritative;\nping-check false;\ninclude \"{hosts}\";\n\
         subnet 10.77.0.0 netmask 255.255.255.0 {{ range 10.77.0.100 10.77.0.200; }}\n"
    );
    let (own, leases, pid) = (file("dhcpd.conf", &own), file("leases", ""), file("pid", ""));
    let args = ["-f", "-d", "-4", "-cf", &own, "-lf", &leases, "-pf", &pid, "eth0"];
    let _daemon = cable.daemon("isc-dhcp-server", "dhcpd", &args, dir.path());
    answers(&cable, &dir.path().join("log"), &[]);
}

#[test]
fn kea_answers_as_meant() {
    let (cable, dir) = (Cable::new(), tempfile::tempdir().unwrap());
    let mut config: serde_json::Value = serde_json::from_str(&exported(Format::Kea)).unwrap();
    let dhcp = &mut config["Dhcp4"];
    dhcp["interfaces-config"]["interfaces"] = serde_json::json!(["eth0"]);
    dhcp["lease-database"]["persist"] = serde_json::json!(false);
    let pools = serde_json::json!([{"pool": "10.77.0.100 - 10.77.0.200"}]);
    dhcp["subnet4"] = serde_json::json!([{"id": 1, "subnet": "10.77.0.0/24", "pools": pools}]);
    let file = dir.path().join("kea.json");
    std::fs::write(&file, config.to_string()).unwrap();
    let _daemon =
        cable.daemon("kea-dhcp4-server", "kea-dhcp4", &["-c", &file.display().to_string()], dir.path());
    answers(&cable, &dir.path().join("log"), &[]);
}
