//! `sledos serve` as it is run: a port that is told, an edit that counts at once, a broken
//! one that does not, hardware that is taken in by a command.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sledos::serve::client;

use super::support::Case;

/// A server; it ends when this is dropped.
pub(super) struct Server {
    child: Child,
    pub(super) url: String,
}

impl Server {
    pub(super) fn start(case: &Case) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sledos"))
            .args(["serve", "--key", "ops.key", "--address", "127.0.0.1", "--port", "0", "--state", "state"])
            .current_dir(case.path("."))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{line}")).to_owned();
        Self { child, url }
    }

    pub(super) fn until(&self, what: &str, good: impl Fn(&Value) -> bool) -> Value {
        let start = Instant::now();
        loop {
            let status = client::get(&self.url, "/v1/status").unwrap();
            if good(&status) {
                return status;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "not {what}: {status:#}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn an_edit_counts_at_once_and_a_broken_one_keeps_the_last_good_documents() {
    let case = Case::new();
    let server = Server::start(&case);
    let status = server.until("compiled", |status| status["sleds"].as_array().is_some_and(|s| s.len() == 2));
    assert_eq!((&status["problem"], &status["can_bind"]), (&Value::Null, &json!(true)));
    let document = || client::get(&server.url, "/v1/board/ZM18AS036101.json");
    assert_eq!(document().unwrap()["config"]["networks"]["data"]["mtu"], 9000);
    case.edit("mtu: 9000", "mtu: 1500");
    server.until("compiled again", |_| {
        document().is_ok_and(|d| d["config"]["networks"]["data"]["mtu"] == 1500)
    });
    case.edit("role: compute, board-serial: ZM18AS036102", "role: compte, board-serial: ZM18AS036102");
    let status = server.until("broken", |status| status["problem"].is_string());
    let problem = status["problem"].as_str().unwrap();
    assert!(problem.contains("fleet.yaml:") && problem.contains("`compte`"), "{problem}");
    assert_eq!(status["sleds"].as_array().unwrap().len(), 2);
    assert_eq!(document().unwrap()["config"]["networks"]["data"]["mtu"], 1500);
    let table = case.works(&["fleet", "status", "--server", &server.url]);
    assert!(table.contains("never-seen") && table.contains("the fleet file cannot be used"), "{table}");
    case.edit("compte", "compute");
    server.until("mended", |status| status["problem"].is_null());
}

#[test]
fn unknown_hardware_is_bound_by_a_command_that_needs_the_operators_token() {
    let case = Case::new();
    let server = Server::start(&case);
    let inventory = json!({"inventory": 1, "state": "unknown", "keys": [], "hardware": {
        "smbios": {"board_serial": "ZM18AS039999"}, "nics": [{"name": "eth0", "mac": "52:54:00:99:00:09"}]}});
    client::post(&server.url, "/v1/inventory", "none", &inventory).unwrap();
    let bind =
        ["fleet", "bind", "hw:board-ZM18AS039999", "r12/3", "--role", "compute", "--server", &server.url];
    fs::write(case.path("wrong"), "wrong\n").unwrap();
    case.fails(&[&bind[..], &["--token-file", "wrong"]].concat(), 4, "operator.token");
    let token = ["--token-file", "state/operator.token"];
    let says = case.works(&[&bind[..], &token].concat());
    let (shown, done) = says.split_once('\n').unwrap();
    assert!(shown.ends_with(" from 127.0.0.1: board ZM18AS039999, mac 52:54:00:99:00:09"), "{says}");
    assert_eq!(done, "hw:board-ZM18AS039999 is now r12-b03, in rack r12 bay 3\n");
    // It finds its document by board and by MAC address, and its boot script.
    assert_eq!(
        client::get(&server.url, "/v1/mac/52-54-00-99-00-09.json").unwrap()["head"]["sled"],
        "r12-b03"
    );
    let text = fs::read_to_string(case.path("fleet.yaml")).unwrap();
    assert!(text.contains("# a comment that stays") && text.contains("r12-b03: {rack: "), "{text}");
    // The bay has a sled now: another one takes its place when that is said, and only then.
    let other = json!({"inventory": 1, "state": "unknown", "keys": [], "hardware": {
        "smbios": {"board_serial": "ZM18AS039998"}, "nics": [{"name": "eth0", "mac": "52:54:00:99:00:08"}]}});
    client::post(&server.url, "/v1/inventory", "none", &other).unwrap();
    let bind =
        ["fleet", "bind", "hw:board-ZM18AS039998", "r12/3", "--server", &server.url, token[0], token[1]];
    case.fails(&bind, 4, "is the place of r12-b03, which is expected");
    assert!(!fs::read_to_string(case.path("fleet.yaml")).unwrap().contains("retired:"));
    case.fails(&[&bind[..], &["--replace", "--digest", "00000000"]].concat(), 2, "52:54:00:99:00:08");
    case.works(&[&bind[..], &["--replace"]].concat());
    assert!(fs::read_to_string(case.path("fleet.yaml")).unwrap().contains("retired:"));
    case.fails(&["fleet", "bind", "hw:none", "r12/4", "--server", &server.url, token[0], token[1]], 4, "404");
}

#[test]
fn a_state_directory_that_others_write_to_is_refused() {
    let case = Case::new();
    fs::create_dir(case.path("state")).unwrap();
    fs::set_permissions(case.path("state"), fs::Permissions::from_mode(0o777)).unwrap();
    // Somebody else's, before the server is started.
    fs::write(case.path("state/operator.token"), "mine\n").unwrap();
    let serve = ["serve", "--key", "ops.key", "--address", "127.0.0.1", "--port", "0", "--state", "state"];
    case.fails(&serve, 1, "lets others write into it");
}

#[test]
fn an_image_that_is_copied_in_place_counts_when_it_is_whole() {
    let case = Case::new();
    case.image("20261125.0800", 3);
    let (from, to) = (case.path("aside"), case.path("output/compute/20261125.0800"));
    fs::rename(&to, &from).unwrap();
    let server = Server::start(&case);
    server.until("compiled", |status| status["sleds"].as_array().is_some_and(|s| s.len() == 2));
    // The directory first, then its files, the last of them in two pieces.
    fs::create_dir(&to).unwrap();
    let files = ["manifest.json", "SHA256SUMS", "compute.efi", "usr.verity"];
    for file in files {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
    let usr = fs::read(from.join("usr.squashfs")).unwrap();
    fs::write(to.join("usr.squashfs"), &usr[..5]).unwrap();
    // An edit is compiled meanwhile, and takes the image that is whole.
    case.edit("mtu: 9000", "mtu: 8900");
    let document = || client::get(&server.url, "/v1/board/ZM18AS036101.json").unwrap();
    server.until("compiled again", |_| document()["config"]["networks"]["data"]["mtu"] == 8900);
    assert_eq!(document()["image"]["version"], "20261124.0800");
    assert_eq!(server.until("well", |_| true)["problem"], Value::Null);
    fs::write(to.join("usr.squashfs"), &usr).unwrap();
    server.until("the new image", |_| document()["image"]["version"] == "20261125.0800");
}

/// The most memory that a process has had, in KiB.
fn peak(child: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn readers_that_read_nothing_hold_little_memory() {
    let case = Case::new();
    let file = fs::File::create(case.path("output/compute/20261124.0800/big")).unwrap();
    file.set_len(64 << 20).unwrap();
    let server = Server::start(&case);
    let before = peak(&server.child);
    let address = server.url.strip_prefix("http://").unwrap();
    let request = format!(
        "GET /images/compute/20261124.0800/big HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    );
    let readers: Vec<_> = (0..512)
        .map(|_| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            stream
        })
        .collect();
    for stream in &readers {
        // Its answer has begun, so its buffers are full or filling.
        let mut byte = [0];
        assert_eq!(stream.peek(&mut byte).unwrap(), 1);
        assert_eq!(&byte, b"H");
    }
    let grown = (peak(&server.child) - before) >> 10;
    println!("512 readers that read nothing: {grown} MiB");
    assert!(grown < 256, "{grown} MiB");
    drop(readers);
    server.until("answers again", |_| true);
}
