//! Two namespaces with cables between them, and programs inside.

use super::child;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Longest wait for anything; half of dnsmasq's shortest lease fits in.
const DEADLINE: Duration = Duration::from_secs(120);

/// A sled's namespace with `eth0`…, and a server's with their other ends
/// `vethsrv0`…, the first of which is 10.77.0.1/24. Gone when dropped.
pub(crate) struct Lab {
    sled: String,
    server: String,
    dir: tempfile::TempDir,
}

fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|e| panic!("{command:?} does not start ({e}); the Debian package iproute2 has ip"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} (needs root): {errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn ip(arguments: &[&str]) -> String {
    run(Command::new("ip").args(arguments))
}

impl Lab {
    /// With this many cables.
    pub(crate) fn new(links: u32) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let id = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = tempfile::tempdir().unwrap();
        let lab = Self { sled: format!("sled-{id}"), server: format!("server-{id}"), dir };
        ip(&["netns", "add", &lab.sled]);
        ip(&["netns", "add", &lab.server]);
        lab.ip_in_server(&["link", "set", "lo", "up"]);
        (0..links).for_each(|n| lab.add_link(n));
        lab
    }

    /// Plugs in cable number `n`.
    pub(crate) fn add_link(&self, n: u32) {
        let (eth, veth) = (format!("eth{n}"), format!("vethsrv{n}"));
        let add = ["link", "add", &veth, "netns", &self.server, "type", "veth"];
        ip(&[&add[..], &["peer", "name", &eth, "netns", &self.sled]].concat());
        self.ip_in_server(&["link", "set", &veth, "up"]);
        if n == 0 {
            self.ip_in_server(&["address", "add", "10.77.0.1/24", "dev", &veth]);
        }
    }

    pub(crate) fn ip_in_sled(&self, arguments: &[&str]) -> String {
        ip(&[&["-netns", &self.sled], arguments].concat())
    }

    pub(crate) fn ip_in_server(&self, arguments: &[&str]) -> String {
        ip(&[&["-netns", &self.server], arguments].concat())
    }

    /// Switches the server's end of cable 0.
    pub(crate) fn server_link(&self, to: &str) {
        self.ip_in_server(&["link", "set", "vethsrv0", to]);
    }

    /// The MAC of `eth<n>`.
    pub(crate) fn sled_mac(&self, n: u32) -> String {
        let text = self.ip_in_sled(&["-brief", "link", "show", &format!("eth{n}")]);
        text.split_whitespace().nth(2).unwrap().to_owned()
    }

    pub(crate) fn resolv_conf(&self) -> PathBuf {
        self.dir.path().join("resolv.conf")
    }

    /// A DHCP server for 10.77.0.50 to .59, two minutes each.
    pub(crate) fn dnsmasq(&self, more: &[String]) -> Program {
        self.dnsmasq_for("10.77.0", more)
    }

    /// The same for another network.
    pub(crate) fn dnsmasq_for(&self, network: &str, more: &[String]) -> Program {
        let mut command = inside(&self.server, "dnsmasq");
        command
            .args(["--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--user=root", "--no-ping"])
            .args(["--interface=vethsrv0", "--bind-interfaces", "--dhcp-authoritative", "--log-dhcp"])
            .args(["--dhcp-sequential-ip", "--log-facility=-", "--no-resolv", "--no-hosts", "--pid-file="])
            .arg(format!("--dhcp-range={network}.50,{network}.59,120"))
            .arg(format!("--dhcp-leasefile={}", self.dir.path().join(format!("leases-{network}")).display()))
            .args(more);
        let mut program = Program::start(command, "dnsmasq (Debian package dnsmasq-base)");
        program.wait("its readiness", |l| l.contains("sockets bound exclusively"));
        program
    }

    /// A sled with this command line.
    pub(crate) fn sled(&self, params: &[&str]) -> Program {
        let mut command = self.child(&self.sled, "child::be_a_sled");
        command.env(child::PARAMS, params.join(" ")).env(child::RESOLV, self.resolv_conf());
        Program::start(command, "the sled")
    }

    /// Sends a frame given in hex from the server's end of cable 0.
    pub(crate) fn send(&self, hex: &str) {
        let mut command = self.child(&self.server, "child::send_a_frame");
        run(command.env(child::FRAME, hex).env(child::LINK, "vethsrv0"));
    }

    /// Calls `eth0` of the sled this, as PID 1 does.
    pub(crate) fn name_link(&self, name: &str) {
        let mut command = self.child(&self.sled, "child::name_a_link");
        run(command.env(child::NAME, name).env(child::LINK, "eth0"));
    }

    /// This binary inside a namespace, for one ignored test.
    fn child(&self, namespace: &str, test: &str) -> Command {
        let mut command = inside(namespace, std::env::current_exe().unwrap().to_str().unwrap());
        command.args(["--exact", test, "--ignored", "--nocapture", "--quiet"]);
        command
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for namespace in [&self.sled, &self.server] {
            let _ = Command::new("ip").args(["netns", "delete", namespace]).status();
        }
    }
}

fn inside(namespace: &str, program: &str) -> Command {
    let mut command = Command::new("ip");
    // `ip` replaces itself by the program: killing it kills that.
    command.args(["netns", "exec", namespace, program]);
    command
}

/// `--dhcp-option=` for each.
pub(crate) fn dhcp_options(options: &[&str]) -> Vec<String> {
    options.iter().map(|option| format!("--dhcp-option={option}")).collect()
}

/// A running program whose lines are read. Killed when dropped.
pub(crate) struct Program {
    name: &'static str,
    process: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    /// Everything so far, for the message when a wait is over.
    all: Vec<String>,
}

impl Program {
    fn start(mut command: Command, name: &'static str) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap_or_else(|e| panic!("{name} does not start: {e}"));
        let (sender, lines) = channel();
        let outputs: [Option<Box<dyn Read + Send>>; 2] = [
            process.stdout.take().map(|s| Box::new(s) as _),
            process.stderr.take().map(|s| Box::new(s) as _),
        ];
        for output in outputs.into_iter().flatten() {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    let _ = sender.send(line);
                }
            });
        }
        let input = process.stdin.take();
        Self { name, process, input, lines, all: Vec::new() }
    }

    /// Waits for the next line like this.
    pub(crate) fn wait(&mut self, what: &str, is: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + DEADLINE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.all.push(line.clone());
                    if is(&line) {
                        return line;
                    }
                }
                Err(why) => {
                    panic!("{} does not tell of {what} ({why}); it told:\n{}", self.name, self.all.join("\n"))
                }
            }
        }
    }

    /// How many lines like this were read so far.
    pub(crate) fn seen(&self, is: impl Fn(&str) -> bool) -> usize {
        self.all.iter().filter(|line| is(line)).count()
    }

    /// The links of the last state that was read from its beginning.
    pub(crate) fn last_links(&self) -> Vec<String> {
        let begin = self.all.iter().rposition(|line| line.starts_with("state ")).unwrap_or(0);
        self.all[begin..].iter().filter(|line| line.starts_with("link ")).cloned().collect()
    }

    /// Gives it a line.
    pub(crate) fn tell(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
