//! A fleet of two sleds, compiled, and a server that hands it out.

use metadata::document::{Artefact, Image};
use metadata::fleet::before::Verified;
use metadata::fleet::compile::{File, Inputs, compile, images};
use metadata::fleet::load;
use metadata::fleet::sign::{Signer, new_key};
use metadata::values::Hash32;
use serde_json::{Value, json};
use server::http::connection::Limits;
use server::{Config, Running};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use yaml::diagnostic::Source;

/// What bodies are sent as.
pub(crate) const JSON: &str = "Content-Type: application/json\r\n";
pub(crate) const OPERATOR: &str = "operators-token";
/// Root hash of the image that is asked for.
pub(crate) const ASKED: &str = "0202020202020202020202020202020202020202020202020202020202020202";

/// A directory with documents and images, and the key they are signed with.
pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    signer: Signer,
    /// The secret key with which servers say that documents are the newest.
    online: String,
}

pub(crate) fn yaml(extra: &str) -> String {
    format!(
        "fleet: test
servers: {{metadata: [http://10.0.0.1:8080], image: [http://10.0.0.1:8080/images]}}
trust: [KEY]
racks:
  r1: {{bays: 8, switches: [{{chassis: '02:00:00:00:00:01', port: 'Ethernet{{bay}}'}}]}}
roles: {{compute: {{image: compute, config: {{networks: {{mgmt: {{match: {{driver: [igb]}}, address: dhcp}}}}}}}}}}
sleds:
  r1-b01: {{rack: r1, bay: 1, role: compute, board-serial: ZM1, macs: ['52:54:00:00:00:01']}}
  r1-b02: {{rack: r1, bay: 2, role: compute, board-serial: ZM2, macs: ['52:54:00:00:00:02']}}
{extra}"
    )
}

impl World {
    pub(crate) fn new() -> Self {
        let signer = Signer::parse(&new_key("t", None).unwrap().secret, None).unwrap();
        let online = new_key("online", None).unwrap().secret;
        let world = Self { dir: tempfile::tempdir().unwrap(), signer, online };
        world.compile(&yaml(""));
        let image = world.path("images/compute/1");
        std::fs::create_dir_all(&image).unwrap();
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
        std::fs::write(image.join("usr.squashfs"), bytes).unwrap();
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn online(&self) -> Signer {
        Signer::parse(&self.online, None).unwrap()
    }

    /// Compiles a fleet file into `www`.
    pub(crate) fn compile(&self, text: &str) {
        self.compile_to_some(text, &|_| true);
    }

    /// The same; only these paths are written.
    pub(crate) fn compile_to_some(&self, text: &str, wanted: &dyn Fn(&str) -> bool) {
        let text = text.replace("KEY", self.signer.public().as_str());
        let fleet = load(&Source::new("fleet.yaml", text)).unwrap();
        let artefact = |file: &str| Artefact { file: file.into(), size: 1, sha256: Hash32([1; 32]) };
        let image = Image {
            name: "compute".into(),
            version: "1".into(),
            root_hash: Hash32([2; 32]),
            urls: vec!["http://10.0.0.1:8080/images/compute/1".into()],
            usr: artefact("usr.squashfs"),
            verity: artefact("usr.verity"),
            uki: artefact("x.efi"),
            layout: None,
            extensions: Default::default(),
        };
        let images = images(&fleet).into_keys().map(|choice| (choice, image.clone())).collect();
        let cmdlines = images_of(&images);
        let www = self.path("www");
        let before = |path: &str| std::fs::read(www.join(path)).ok().map(Into::into);
        let time = server_time();
        let inputs = Inputs {
            images: &images,
            cmdlines: &cmdlines,
            time,
            signer: &self.signer,
            freshness: None,
            least_generation: 1,
            before: &before,
            verified: &Verified::default(),
        };
        let plan = compile(&fleet, &inputs).unwrap();
        for (path, file) in plan.files {
            let File::Write(bytes) = file else { continue };
            if !wanted(&path) {
                continue;
            }
            let path = www.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            // As a publisher does it: beside, then in one step.
            let beside = path.with_extension("new");
            std::fs::write(&beside, &bytes).unwrap();
            std::fs::rename(beside, path).unwrap();
        }
    }

    pub(crate) fn start(&self) -> Server {
        self.start_with(Limits::default(), Duration::from_secs(3600))
    }

    pub(crate) fn start_with(&self, limits: Limits, silent: Duration) -> Server {
        self.start_all(limits, silent, None)
    }

    pub(crate) fn start_fleet(&self, fleet: Box<dyn server::Fleet>) -> Server {
        self.start_all(Limits::default(), Duration::from_secs(3600), Some(fleet))
    }

    pub(crate) fn start_all(
        &self,
        limits: Limits,
        silent: Duration,
        fleet: Option<Box<dyn server::Fleet>>,
    ) -> Server {
        let (server, lines) = self.try_start(limits, silent, fleet);
        Server { running: server.unwrap(), lines }
    }

    pub(crate) fn try_start(
        &self,
        limits: Limits,
        silent: Duration,
        fleet: Option<Box<dyn server::Fleet>>,
    ) -> (Result<Running, server::Error>, Arc<Mutex<Vec<String>>>) {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let to = Arc::clone(&lines);
        let running = server::start(Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            tls: None,
            documents: self.path("www"),
            images: self.path("images"),
            pxe: self.path("pxe"),
            store: self.path("state.redb"),
            operator: OPERATOR.into(),
            freshness: Some(self.online()),
            names: vec!["rack.test".into()],
            fleet,
            limits,
            silent,
            log: Box::new(move |line| to.lock().unwrap().push(line.to_owned())),
        });
        (running, lines)
    }

    /// The token in a sled's document.
    pub(crate) fn token(&self, bay: u32) -> String {
        self.token_at("r1", bay)
    }

    pub(crate) fn token_at(&self, rack: &str, bay: u32) -> String {
        let text = std::fs::read(self.path(&format!("www/v1/location/{rack}/{bay}.json"))).unwrap();
        let document: Value = serde_json::from_slice(&text).unwrap();
        document["servers"]["token"].as_str().unwrap().to_owned()
    }
}

fn images_of<K: Clone + Ord>(
    images: &std::collections::BTreeMap<K, Image>,
) -> std::collections::BTreeMap<K, String> {
    images.keys().map(|choice| (choice.clone(), "console=ttyS0".to_owned())).collect()
}

fn server_time() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

pub(crate) struct Server {
    pub(crate) running: Running,
    pub(crate) lines: Arc<Mutex<Vec<String>>>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

/// A connection from this address; all of 127.0.0.0/8 are this machine's.
pub(crate) fn connect_from(address: SocketAddr, from: std::net::Ipv4Addr) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        socket.connect(address).await.unwrap()
    });
    let stream = stream.into_std().unwrap();
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

/// Reads to the end of the connection.
pub(crate) fn finish(mut stream: TcpStream) -> Option<Answer> {
    let mut bytes = Vec::new();
    // A refusal may be followed by a reset, for what was sent and not read.
    let _ = stream.read_to_end(&mut bytes);
    let at = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..at]).into_owned();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, head, body: bytes[at + 4..].to_vec() })
}

impl Server {
    pub(crate) fn address(&self) -> SocketAddr {
        self.running.address
    }

    /// Sends a request with these header lines, and reads the answer.
    pub(crate) fn ask(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        Self::send(connect(self.address()), method, path, headers, body)
    }

    /// The same, from another address.
    pub(crate) fn ask_from(
        &self,
        from: std::net::Ipv4Addr,
        method: &str,
        path: &str,
        headers: &str,
        body: &[u8],
    ) -> Answer {
        Self::send(connect_from(self.address(), from), method, path, headers, body)
    }

    fn send(mut stream: TcpStream, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        let length = if method == "POST" {
            format!("{JSON}Content-Length: {}\r\n", body.len())
        } else {
            String::new()
        };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}{length}\r\n"
        );
        stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
        finish(stream).unwrap_or_else(|| panic!("no answer to {method} {path}"))
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "", b"")
    }

    pub(crate) fn report(&self, sled: &str, token: &str, report: &Value) -> Answer {
        let headers = format!("Authorization: Bearer {token}\r\n");
        self.ask("POST", &format!("/v1/report/{sled}"), &headers, report.to_string().as_bytes())
    }

    /// A sled's part of the status.
    pub(crate) fn sled(&self, name: &str) -> Value {
        let status = self.get("/v1/status").json();
        let sleds = status["sleds"].as_array().unwrap().iter();
        sleds.into_iter().find(|sled| sled["sled"] == name).cloned().unwrap()
    }

    /// Waits until the status is as wanted.
    pub(crate) fn until(&self, what: &str, good: impl Fn(&Value) -> bool) -> Value {
        let start = Instant::now();
        loop {
            let status = self.get("/v1/status").json();
            if good(&status) {
                return status;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "not {what}: {status:#}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A report as PID 1 and sledctl make them.
pub(crate) fn report(event: &str, board: &str, port: &str) -> Value {
    json!({
        "report": 1, "event": event, "image": "compute", "version": "1", "usrhash": ASKED, "generation": 1,
        "steps": [{"step": "disks", "start_ms": 10, "took_ms": 5, "result": "ok", "detail": ""}],
        "hardware": {
            "smbios": {"board_serial": board},
            "nics": [{"name": "eth0", "mac": "52:54:00:00:00:01", "driver": "igb", "speed": 1000, "carrier": true,
                      "neighbour": {"chassis": "02:00:00:00:00:01", "port": port, "name": "leaf"}}],
        },
    })
}

pub(crate) fn ready(board: &str, port: &str) -> Value {
    let mut report = report("ready", board, port);
    report["ready"] = json!({"ready": true, "docker": {"server": "Docker/24"}, "mesos": {"id": "abc-S1"}});
    report
}

pub(crate) fn inventory(board: &str) -> Value {
    let hardware = report("x", board, "Ethernet5")["hardware"].clone();
    json!({"inventory": 1, "state": "unknown", "keys": ["board x"], "hardware": hardware})
}

/// A file of the directory, as it should be handed out.
pub(crate) fn content(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}
