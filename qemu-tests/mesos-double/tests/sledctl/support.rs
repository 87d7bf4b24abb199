//! A sled's root directory, and its agent's unit.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sledos_init::sledctl::post::Post;
use sledos_init::sledctl::ready::{Answer, Look};
use sledos_init::sledctl::sled::Sled;

pub(crate) const DOMAIN: &str = r#"{"fault_domain":{"region":{"name":"r"},"zone":{"name":"z"}}}"#;

/// A sled and what lasts of it.
pub(crate) struct Scene {
    dir: tempfile::TempDir,
    pub(crate) sled: Sled,
    pub(crate) ip: String,
    starts: Arc<AtomicU32>,
}

/// The agent's unit: started again when it ends, as `Restart=always` says.
pub(crate) struct Unit {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Unit {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || thread::panicking());
    }
}

/// A port that nobody has at this moment.
fn free_port(ip: &str) -> u16 {
    std::net::TcpListener::bind((ip, 0)).unwrap().local_addr().unwrap().port()
}

impl Scene {
    /// A sled whose agent shall go to this master.
    pub(crate) fn new(master: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let (n, pid) = (NEXT.fetch_add(1, Ordering::Relaxed), std::process::id());
        let ip = format!("127.{}.{}.{n}", 1 + pid / 256 % 200, pid % 256);
        let dir = tempfile::tempdir().unwrap();
        let scene = Self { sled: Sled::new(dir.path()), dir, ip, starts: Arc::default() };
        scene.write("usr/bin/mesos-agent", "");
        scene.write("proc/sys/kernel/hostname", "r12-b07\n");
        scene.write("dev/console", "");
        scene.write("unit/show", "ActiveState=inactive\nSubState=dead\nInvocationID=\nNRestarts=0\n");
        scene.write("run/sledos/boot.json", r#"{"report":1,"image":"compute","version":"1","steps":[]}"#);
        scene.document(&[]);
        fs::create_dir(scene.path("journal")).unwrap();
        let at = scene.dir.path().display().to_string();
        let show = format!("show) echo >>{at}/unit/shown; cat {at}/unit/show ;;");
        scene.script(
            "usr/bin/systemctl",
            &format!("case $1 in {show} *) echo \"$*\" >>{at}/unit/orders ;; esac"),
        );
        let one = format!("_SYSTEMD_INVOCATION_ID=*) exec cat \"{at}/journal/${{a#*=}}\" ;;");
        scene.script(
            "usr/bin/journalctl",
            &format!("for a in \"$@\"; do case $a in {one} esac; done; cat {at}/journal/* | tail -n 500"),
        );
        let port = free_port(&scene.ip);
        scene.write(
            "etc/sledos/mesos-agent.env",
            &format!(
                "MESOS_MASTER={master}\nMESOS_IP={}\nMESOS_PORT={port}\nMESOS_WORK_DIR=/var/lib/mesos\n\
                 MESOS_LAUNCHER=posix\nMESOS_REGISTRATION_BACKOFF_FACTOR=20ms\n\
                 MESOS_RESOURCES=\"disk:1000;mem:500\"\nMESOS_RECONFIGURATION_POLICY=additive\n",
                scene.ip,
            ),
        );
        scene
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn script(&self, path: &str, text: &str) -> String {
        self.write(path, &format!("#!/bin/sh\n{text}\n"));
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(0o755)).unwrap();
        self.path(path).display().to_string()
    }

    /// Its document, with these report servers.
    pub(crate) fn document(&self, report: &[&str]) {
        let hash = "ab".repeat(32);
        let file = |name: &str| json!({"file": name, "size": 1, "sha256": hash});
        let document = json!({
            "sledos": 1,
            "head": {"sled": "r12-b07", "generation": 7, "issued": 1, "expires": 2, "identity": {}},
            "role": "compute",
            "image": {
                "name": "compute", "version": "1", "root-hash": hash, "urls": [],
                "usr": file("usr.squashfs"), "verity": file("usr.verity"), "uki": file("compute.efi"),
            },
            "servers": {"metadata": [], "report": report},
            "config": {"hostname": "r12-b07"},
        });
        self.write("run/sledos/document.json", &document.to_string());
    }

    /// Starts the unit, with these variables besides.
    pub(crate) fn start(&self, variables: &[(&str, &str)]) -> Unit {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mesos-agent"));
        command.env_clear().env("PATH", "/usr/bin:/bin").envs(self.sled.agent_environment());
        // The sled's root is not the agent's.
        for (flag, path) in [("WORK_DIR", "var/lib/mesos"), ("RUNTIME_DIR", "run/mesos")] {
            command.env(format!("MESOS_{flag}"), self.path(path));
        }
        command.envs(variables.iter().copied());
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, root, starts) =
            (Arc::clone(&stop), self.dir.path().to_owned(), Arc::clone(&self.starts));
        let thread = thread::spawn(move || supervise(command, &root, &starts, &stopped));
        Unit { stop, thread: Some(thread) }
    }

    pub(crate) fn look(&self) -> Answer {
        Look::at(&self.sled).mesos
    }

    /// Looks until this holds.
    pub(crate) fn until(&self, what: &str, holds: impl Fn(&Answer) -> bool) -> Answer {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let answer = self.look();
            if holds(&answer) {
                return answer;
            }
            assert!(Instant::now() < deadline, "waited in vain until {what}: {answer:?}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until it is registered and gives its id.
    pub(crate) fn registered(&self) -> String {
        match self.until("it is registered", |answer| matches!(answer, Answer::Up(_))) {
            Answer::Up(id) => id,
            other => panic!("{other:?}"),
        }
    }

    /// How often systemd was asked.
    pub(crate) fn shown(&self) -> usize {
        fs::read_to_string(self.path("unit/shown")).unwrap_or_default().lines().count()
    }

    /// The id that the agent will recover.
    pub(crate) fn latest(&self) -> String {
        let link = fs::read_link(self.path("var/lib/mesos/meta/slaves/latest")).unwrap();
        link.file_name().unwrap().to_str().unwrap().to_owned()
    }

    /// Asks the agent.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> Option<Value> {
        let environment = self.sled.agent_environment();
        let mut socket = TcpStream::connect(format!("{}:{}", self.ip, environment["MESOS_PORT"])).ok()?;
        let length = body.len();
        write!(socket, "{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}")
            .ok()?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        Some(serde_json::from_str(body).unwrap_or(Value::Null))
    }
}

fn supervise(mut command: Command, root: &Path, starts: &AtomicU32, stop: &AtomicBool) {
    let mut restarts = 0;
    let show = |active: &str, sub: &str, start: u32, restarts: u32| {
        let text = format!(
            "ActiveState={active}\nSubState={sub}\nInvocationID={start:032x}\nNRestarts={restarts}\n"
        );
        fs::write(root.join("unit/show.new"), text).unwrap();
        fs::rename(root.join("unit/show.new"), root.join("unit/show")).unwrap();
    };
    while !stop.load(Ordering::SeqCst) {
        let start = starts.fetch_add(1, Ordering::SeqCst);
        let log = File::create(root.join(format!("journal/{start:032x}"))).unwrap();
        show("active", "running", start, restarts);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        end(child, stop);
        restarts += 1;
        show("activating", "auto-restart", start, restarts);
        thread::sleep(Duration::from_millis(100));
    }
}

/// Waits for its end, or brings it about.
fn end(mut child: Child, stop: &AtomicBool) {
    while child.try_wait().unwrap().is_none() {
        if stop.load(Ordering::SeqCst) {
            child.kill().unwrap();
            child.wait().unwrap();
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// A master of its own process, so that it can go away.
pub(crate) struct Master {
    child: Child,
    pub(crate) address: String,
}

impl Drop for Master {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address for a master that may come and go.
pub(crate) fn spot() -> String {
    format!("127.0.0.1:{}", free_port("127.0.0.1"))
}

pub(crate) fn master(address: &str, flags: &[&str]) -> Master {
    let (_, port) = address.rsplit_once(':').unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_mesos-master"))
        .env_clear()
        .arg(format!("--ip={}", Ipv4Addr::LOCALHOST))
        .arg(format!("--port={port}"))
        .args(flags)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
    let address = line.trim_end().strip_prefix("master listening on ").unwrap().to_owned();
    Master { child, address }
}

/// Keeps what it is given.
#[derive(Default)]
pub(crate) struct Taken(pub(crate) Mutex<Vec<Value>>);

impl Post for Taken {
    fn post(&self, _: &str, _: Option<&str>, json: &[u8]) -> Result<(), String> {
        self.0.lock().unwrap().push(serde_json::from_slice(json).unwrap());
        Ok(())
    }
}
