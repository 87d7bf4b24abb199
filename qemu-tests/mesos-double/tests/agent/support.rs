//! Agents and masters as processes on loopback addresses of a test's own, so that
//! a port taken once can be taken again.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use tempfile::TempDir;

/// A place for one agent, and all that lasts between its starts.
pub(crate) struct Place {
    pub(crate) dir: TempDir,
    pub(crate) ip: String,
    pub(crate) port: String,
    boot: u32,
}

/// A program; ended when dropped.
pub(crate) struct Running {
    child: Child,
    pub(crate) address: String,
    stderr: PathBuf,
}

impl Place {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let pid = std::process::id();
        let ip = format!("127.{}.{}.{n}", 1 + pid / 256 % 200, pid % 256);
        let place = Self { dir: TempDir::new().unwrap(), ip, port: "0".into(), boot: 0 };
        fs::write(place.path("boot"), "boot-0").unwrap();
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn reboot(&mut self) {
        self.boot += 1;
        fs::write(self.path("boot"), format!("boot-{}", self.boot)).unwrap();
    }

    pub(crate) fn command(&self, flags: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mesos-agent"));
        command
            .env_clear()
            .env("MESOS_DOUBLE_BOOT_ID_FILE", self.path("boot"))
            .arg(format!("--work_dir={}", self.path("work").display()))
            .arg(format!("--runtime_dir={}", self.path("run").display()))
            .arg(format!("--ip={}", self.ip))
            .arg(format!("--port={}", self.port))
            .args(["--launcher=posix", "--registration_backoff_factor=20ms", "--resources=disk:1000;mem:500"])
            .args(flags);
        command
    }

    /// Starts the agent, which must come up; it keeps its port from then on.
    pub(crate) fn agent(&mut self, master: &str, flags: &[&str]) -> Running {
        let mut command = self.command(flags);
        command.arg(format!("--master={master}"));
        self.start(command)
    }

    pub(crate) fn start(&mut self, command: Command) -> Running {
        let agent = Running::start(command, self.path("agent.err"), "agent listening on ");
        self.port = agent.address.rsplit_once(':').unwrap().1.to_owned();
        agent
    }

    /// Starts the agent, which must exit with 1, and gives what it says.
    pub(crate) fn refused(&self, flags: &[&str]) -> String {
        refused(self.command(flags))
    }
}

pub(crate) fn refused(mut command: Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    stderr
}

pub(crate) fn master(place: &Place, port: &str, flags: &[&str]) -> Running {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mesos-master"));
    command.env_clear().arg(format!("--ip={}", place.ip)).arg(format!("--port={port}")).args(flags);
    Running::start(command, place.path("master.err"), "master listening on ")
}

impl Running {
    fn start(mut command: Command, stderr: PathBuf, says: &str) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&stderr).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let mut running = Self { child, address: String::new(), stderr };
        let address = line.trim_end().strip_prefix(says);
        running.address =
            address.unwrap_or_else(|| panic!("it says {line:?} and {}", running.stderr())).to_owned();
        running
    }

    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap()
    }

    /// The status and the body, null when there is none.
    pub(crate) fn get(&self, path: &str) -> (u16, Json) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, if body.is_empty() { Json::Null } else { serde_json::from_str(body).unwrap() })
    }

    pub(crate) fn state(&self) -> Json {
        let (status, state) = self.get("/state");
        assert_eq!(status, 200);
        state
    }

    pub(crate) fn id(&self) -> String {
        self.state()["id"].as_str().unwrap().to_owned()
    }

    /// Waits until an agent is registered, and gives its id.
    pub(crate) fn registered(&self) -> String {
        until("the agent is registered", || self.state()["double"]["connected"] == true);
        self.id()
    }

    pub(crate) fn signal(mut self, name: &str) -> ExitStatus {
        let line = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success());
        self.child.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(10));
    }
}
