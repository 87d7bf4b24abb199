//! Chromium, driven over WebDriver (W3C Recommendation 2018) by its own driver.

use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The accessibility checker, from npm.
const AXE: &str = "axe-core@4.10.3";

pub(crate) struct Browser {
    driver: Child,
    address: SocketAddr,
    session: String,
}

/// Test output that is kept: pictures.
fn output() -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

/// The checker's script; fetched once.
fn axe() -> String {
    let dir = output();
    let script = dir.join("package/axe.min.js");
    if !script.exists() {
        let run = |package: &str, program: &str, args: &[&str]| {
            let out = Command::new(program).args(args).current_dir(&dir).output();
            let out =
                out.unwrap_or_else(|e| panic!("{program}: {e}; on Debian it is in the package {package}"));
            assert!(out.status.success(), "{program}: {}", String::from_utf8_lossy(&out.stderr));
            String::from_utf8_lossy(&out.stdout).trim().to_owned()
        };
        let archive = run("npm", "npm", &["pack", "--silent", AXE]);
        run("tar", "tar", &["--extract", "--gzip", "--file", &archive, "package/axe.min.js"]);
    }
    std::fs::read_to_string(script).unwrap()
}

impl Browser {
    pub(crate) fn start(profile: &Path) -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("chromedriver: {e}; on Debian it is in the package chromium-driver"));
        // `ChromeDriver was started successfully on port 41231.`
        let lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut started = lines.filter(|line| line.contains("started successfully"));
        let port =
            started.next().and_then(|line| line.split("on port ").nth(1)?.trim_end_matches('.').parse().ok());
        let address = SocketAddr::from(([127, 0, 0, 1], port.expect("it says its port")));
        let mut browser = Self { driver, address, session: String::new() };
        let profile = format!("--user-data-dir={}", profile.join("chromium").display());
        let args = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--window-size=1700,2700",
            &profile,
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": {"args": args}}}});
        let session = browser.ask("POST", "/session", &wanted)["sessionId"].as_str().unwrap().to_owned();
        browser.session = format!("/session/{session}");
        let limits = json!({"script": 120_000, "pageLoad": 120_000});
        browser.post("/timeouts", &limits);
        browser
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(300))).unwrap();
        let body = if method == "POST" { body.to_string() } else { String::new() };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).unwrap();
        // It leaves the connection open.
        let mut reader = BufReader::new(stream);
        let (mut status, mut length, mut line) = (String::new(), 0, String::new());
        while reader.read_line(&mut line).unwrap() > 2 {
            let lower = line.to_ascii_lowercase();
            if status.is_empty() {
                status.clone_from(&line);
            } else if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            line.clear();
        }
        let mut text = vec![0; length];
        reader.read_exact(&mut text).unwrap();
        let value = serde_json::from_slice::<Value>(&text).unwrap()["value"].clone();
        assert!(status.contains(" 200 "), "{method} {path}: {status}: {value:#}");
        value
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.ask("POST", &format!("{}{path}", self.session), body)
    }

    pub(crate) fn go(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    pub(crate) fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({"script": script, "args": []}))
    }

    /// A script that calls back, while something else is done.
    pub(crate) fn run_async(&self, script: &str, meanwhile: impl FnOnce()) -> Value {
        std::thread::scope(|scope| {
            let running = scope.spawn(|| self.post("/execute/async", &json!({"script": script, "args": []})));
            meanwhile();
            running.join().unwrap()
        })
    }

    pub(crate) fn until(&self, what: &str, script: &str) {
        let start = Instant::now();
        while self.run(script) != true {
            let page = || {
                self.run("return document.body.innerText")
                    .as_str()
                    .unwrap_or_default()
                    .chars()
                    .take(2000)
                    .collect::<String>()
            };
            assert!(start.elapsed() < Duration::from_secs(120), "not {what}: {}", page());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Types; keys are those of WebDriver section 17.4.2.
    pub(crate) fn keys(&self, keys: &str) {
        let strokes: Vec<_> = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key.to_string()})))
            .collect();
        self.post("/actions", &json!({"actions": [{"type": "key", "id": "keyboard", "actions": strokes}]}));
    }

    pub(crate) fn screenshot(&self, name: &str) {
        let data = self.ask("GET", &format!("{}/screenshot", self.session), &Value::Null);
        let path = output().join(name);
        std::fs::write(&path, base64(data.as_str().unwrap())).unwrap();
        println!("{}", path.display());
    }

    /// Lets the checker look: it must not find anything.
    pub(crate) fn accessible(&self, what: &str) {
        self.run(&axe());
        let script = "const done = arguments[0]; axe.run(document).then((r) => done({bad: r.violations.map((v) => \
                      ({id: v.id, help: v.help, nodes: v.nodes.slice(0, 3).map((n) => n.html + ': ' + n.failureSummary)})), good: r.passes.length}), \
                      (e) => done({bad: [String(e)], good: 0}));";
        let found = self.run_async(script, || {});
        assert_eq!(found["bad"], json!([]), "{what}: {found:#}");
        assert!(found["good"].as_u64().unwrap() > 15, "it looked at something: {found}");
    }
}

/// Decodes base64 (RFC 4648).
fn base64(text: &str) -> Vec<u8> {
    let value = |c: u8| match c {
        b'A'..=b'Z' => u32::from(c - b'A'),
        b'a'..=b'z' => u32::from(c - b'a') + 26,
        b'0'..=b'9' => u32::from(c - b'0') + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u8> = text.bytes().filter(|c| *c != b'=').collect();
    let group = |four: &[u8]| {
        let bits = four.iter().fold(0, |bits, c| bits << 6 | value(*c)) << (6 * (4 - four.len()));
        bits.to_be_bytes()[1..four.len()].to_vec()
    };
    digits.chunks(4).flat_map(group).collect()
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() && !std::thread::panicking() {
            self.ask("DELETE", &self.session, &Value::Null);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
