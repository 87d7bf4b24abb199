//! A booted image, reached by SSH as an operator would.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sledos::qemu::{Error, Machine, MachineSpec};

use crate::console;

/// From power-on to a login prompt; some minutes on a busy host without KVM.
pub const BOOT: Duration = Duration::from_secs(420);
/// From a login prompt to an answering sshd.
const SSH: Duration = Duration::from_secs(180);
/// From the power button to off.
pub const POWER_OFF: Duration = Duration::from_secs(180);

/// What a sled says when it is ready.
pub const READY: &str = "sledos: ready: ";

/// The starts that a sled needed until it was ready.
#[derive(Debug)]
pub struct Starts {
    /// The machine, which is up.
    pub machine: Machine,
    /// Versions of the images that PID 1 ran of, in their order.
    pub images: Vec<String>,
    /// What all consoles said.
    pub said: String,
}

/// Starts a machine until it is ready: into whatever its disk and its document lead to.
///
/// # Panics
/// When it is not ready after `most` starts, or at a deadline still runs and is not.
pub fn until_ready(most: usize, deadline: Duration, power_on: impl Fn(usize) -> Machine) -> Starts {
    let (mut images, mut said) = (Vec::new(), String::new());
    for start in 0..most {
        let machine = power_on(start);
        let ended = machine.wait_until(READY, deadline, |all| all.contains(READY));
        let all = machine.console();
        images.extend(console::image(&all).map(str::to_owned));
        println!("--- start {start}\n{}", console::sledos(&all));
        said += &all;
        match ended {
            Ok(_) => return Starts { machine, images, said },
            Err(Error::Stopped { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    panic!("not ready after {most} starts: {images:?}");
}

/// A key pair made for one test, given to the guest as the systemd credential
/// `ssh.authorized_keys.root`.
#[derive(Debug)]
pub struct Key {
    file: PathBuf,
    public: String,
}

impl Key {
    /// Makes one in `dir`.
    ///
    /// # Panics
    /// When `ssh-keygen` is missing.
    pub fn new(dir: &Path) -> Self {
        let file = dir.join("key");
        if !file.exists() {
            let args = ["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"].map(std::ffi::OsString::from);
            super::judge::run(
                "openssh-client",
                "ssh-keygen",
                args.into_iter().chain([file.clone().into_os_string()]),
            );
        }
        let public = std::fs::read_to_string(file.with_extension("pub")).expect("ssh-keygen wrote it");
        Self { file, public: public.trim().to_owned() }
    }

    /// The file with the private key.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The public key, as in authorized_keys.
    pub fn public(&self) -> &str {
        &self.public
    }

    /// The SMBIOS string that gives the guest this key.
    pub fn oem_string(&self) -> String {
        sledos::qemu::command::ssh_key_credential(&self.public)
    }
}

/// A machine and the way into it.
#[derive(Debug)]
pub struct Guest {
    /// The machine.
    pub machine: Machine,
    key: PathBuf,
    way: Way,
    connection: Option<Connection>,
}

/// A connection that all commands share (`ControlMaster`, ssh_config(5)): under TCG a login
/// takes seconds.
#[derive(Debug)]
struct Connection {
    ssh: Child,
    /// Where its socket is; socket addresses are short (`sun_path`, unix(7)).
    dir: tempfile::TempDir,
}

impl Connection {
    fn socket(&self) -> PathBuf {
        self.dir.path().join("ssh")
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let _ = self.ssh.kill();
        let _ = self.ssh.wait();
    }
}

/// How a guest's sshd is reached.
#[derive(Clone, Debug)]
pub enum Way {
    /// By a port of 127.0.0.1 that QEMU forwards.
    Forward(u16),
    /// By its address, from inside a network namespace.
    Namespace {
        /// The namespace.
        name: String,
        /// The guest's address.
        address: String,
    },
}

impl Guest {
    /// Boots a machine, whose first NIC forwards port 22, up to its login prompt.
    ///
    /// # Errors
    /// When it does not get there.
    pub fn boot(name: &str, spec: &MachineSpec, key: &Key, dir: &Path) -> Result<Self, Error> {
        let mut machine = Machine::start(name, spec, dir)?;
        machine.wait_for("login:", BOOT)?;
        let port = machine.forwarded_port(22)?;
        Ok(Self::attach(machine, Way::Forward(port), key))
    }

    /// The way into a machine that is up.
    ///
    /// # Panics
    /// When nobody can log in: this is test code, and that is the test's result.
    pub fn attach(machine: Machine, way: Way, key: &Key) -> Self {
        let mut guest = Self { machine, key: key.file.clone(), way, connection: None };
        guest.connect();
        guest
    }

    /// The prompt may come before sshd, and QEMU's forward accepts connections that nobody in
    /// the guest does: ssh ends then.
    fn connect(&mut self) {
        let start = Instant::now();
        let mut last = String::new();
        while start.elapsed() < SSH {
            let dir = tempfile::tempdir().expect("there is room for a socket");
            let (mut command, host) = self.client();
            command.args(["-N", "-M", "-S"]).arg(dir.path().join("ssh")).arg(host).stdin(Stdio::null());
            let mut connection = Connection { ssh: spawn(&mut command), dir };
            while connection.ssh.try_wait().expect("ssh was started").is_none() {
                if connection.socket().exists() {
                    self.connection = Some(connection);
                    return;
                }
                assert!(start.elapsed() < 2 * SSH, "a login that does not end:\n{}", self.machine.console());
                std::thread::sleep(Duration::from_millis(50));
            }
            last.clear();
            if let Some(mut stderr) = connection.ssh.stderr.take() {
                let _ = stderr.read_to_string(&mut last);
            }
            std::thread::sleep(Duration::from_secs(1));
        }
        panic!("no SSH login: {last}\n--- console:\n{}", self.machine.console());
    }

    /// Runs a shell command as root; returns its standard output.
    ///
    /// # Panics
    /// When it fails: this is test code, and that is the test's result.
    pub fn run(&self, command: &str) -> String {
        self.feed(command, &[])
    }

    /// As [`Guest::run`], with bytes on its standard input.
    ///
    /// # Panics
    /// When it fails.
    pub fn feed(&self, command: &str, input: &[u8]) -> String {
        let (ok, stdout, stderr) = self.try_run(command, input);
        assert!(
            ok,
            "in the guest, `{command}` failed:\n{stdout}{stderr}\n--- console:\n{}",
            self.machine.console()
        );
        stdout
    }

    /// Runs a command that may fail: whether it succeeded, standard output, standard error.
    ///
    /// # Panics
    /// When `ssh` is missing.
    pub fn try_run(&self, command: &str, input: &[u8]) -> (bool, String, String) {
        let (code, stdout, stderr) = self.ssh(command, input);
        (code == Some(0), stdout, stderr)
    }

    fn ssh(&self, command: &str, input: &[u8]) -> (Option<i32>, String, String) {
        let (mut client, host) = self.client();
        if let Some(connection) = &self.connection {
            client.arg("-S").arg(connection.socket());
        }
        let mut ssh = spawn(client.arg(host).arg(command).stdin(Stdio::piped()));
        if let Some(mut stdin) = ssh.stdin.take() {
            // A command that does not read its input closes it: no error.
            let _ = stdin.write_all(input);
        }
        let out = ssh.wait_with_output().expect("ssh was started");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (out.status.code(), text(&out.stdout), text(&out.stderr))
    }

    /// ssh with its options, and whom it goes to.
    fn client(&self) -> (Command, String) {
        let (mut ssh, port, host) = match &self.way {
            Way::Forward(port) => (Command::new("ssh"), *port, "127.0.0.1"),
            Way::Namespace { name, address } => {
                let mut inside = Command::new("ip");
                inside.args(["netns", "exec", name, "ssh"]);
                (inside, 22, address.as_str())
            }
        };
        ssh.args(["-F", "none", "-i"])
            .arg(&self.key)
            .args(["-p", &port.to_string()])
            .args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"])
            .args(["-o", "LogLevel=ERROR", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"])
            // A guest under TCG is slow to answer.
            .args(["-o", "ConnectTimeout=60"])
            .args(["-o", "ServerAliveInterval=30", "-o", "ServerAliveCountMax=10"]);
        (ssh, format!("root@{host}"))
    }

    /// Presses the power button; returns all the console said.
    ///
    /// # Errors
    /// When it does not go off.
    pub fn power_off(self) -> Result<String, Error> {
        self.machine.power_off(POWER_OFF)
    }
}

fn spawn(ssh: &mut Command) -> Child {
    ssh.stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("ssh: {e}; on Debian it is in the package openssh-client"))
}
