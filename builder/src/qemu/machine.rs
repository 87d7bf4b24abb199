//! A running virtual machine. It is killed when dropped.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;

use super::command::{OVMF_CODE, OVMF_VARS, QEMU, QEMU_PACKAGE};
use super::qmp::Qmp;
use super::{Accel, Error, Firmware, MachineSpec};

/// A running machine whose first serial port is captured.
#[derive(Debug)]
pub struct Machine {
    name: String,
    child: Child,
    qmp: Qmp,
    console: Arc<Console>,
    keyboard: Option<ChildStdin>,
    log: PathBuf,
}

#[derive(Debug, Default)]
struct Console {
    state: Mutex<ConsoleState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct ConsoleState {
    text: Vec<u8>,
    closed: bool,
}

impl Console {
    fn lock(&self) -> MutexGuard<'_, ConsoleState> {
        // The state is only ever appended to: it is whole even after a panic elsewhere.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The program and arguments of a machine whose console is this terminal.
///
/// # Errors
/// When the firmware is missing or no accelerator can be probed.
pub fn interactive(spec: &MachineSpec) -> Result<Command, Error> {
    firmware_present(spec)?;
    let mut command = command(spec);
    command.args(spec.args(Accel::probe()?)).args(["-serial", "mon:stdio"]);
    Ok(command)
}

/// QEMU, in the namespace that the machine's network is in. `ip netns exec` becomes
/// QEMU, so its process id is QEMU's.
fn command(spec: &MachineSpec) -> Command {
    match &spec.netns {
        None => Command::new(QEMU),
        Some(name) => {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", name, QEMU]);
            command
        }
    }
}

/// A fresh variable store for [`Firmware::Uefi`] in `dir`.
///
/// # Errors
/// When the firmware is not installed or the copy fails.
pub fn uefi_vars(dir: &Path) -> Result<Firmware, Error> {
    let vars = dir.join("uefi-vars.fd");
    if !Path::new(OVMF_VARS).exists() {
        return Err(Error::NoFirmware { path: OVMF_VARS.into() });
    }
    std::fs::copy(OVMF_VARS, &vars).map_err(|source| Error::Io {
        what: "copying the UEFI variables to",
        path: vars.clone(),
        source,
    })?;
    Ok(Firmware::Uefi { vars })
}

fn firmware_present(spec: &MachineSpec) -> Result<(), Error> {
    if matches!(spec.firmware, Firmware::Uefi { .. }) && !Path::new(OVMF_CODE).exists() {
        return Err(Error::NoFirmware { path: OVMF_CODE.into() });
    }
    Ok(())
}

impl Machine {
    /// Starts a machine. Its console goes to `dir/NAME.console`.
    ///
    /// # Errors
    /// When QEMU is missing or dies at once.
    pub fn start(name: &str, spec: &MachineSpec, dir: &Path) -> Result<Self, Error> {
        firmware_present(spec)?;
        let socket = dir.join(format!("{name}.qmp"));
        let log = dir.join(format!("{name}.console"));
        let mut file =
            File::create(&log).map_err(|source| Error::Io { what: "creating", path: log.clone(), source })?;
        let mut qmp_option = std::ffi::OsString::from("unix:");
        qmp_option.push(&socket);
        qmp_option.push(",server=on,wait=off");
        let mut child = command(spec)
            .args(spec.args(Accel::probe()?))
            .args(["-serial", "stdio", "-qmp"])
            .arg(qmp_option)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(|source| Error::Start { program: QEMU.into(), package: QEMU_PACKAGE, source })?;
        let console = Arc::new(Console::default());
        if let Some(mut out) = child.stdout.take() {
            let console = Arc::clone(&console);
            std::thread::spawn(move || {
                let mut buf = [0; 4096];
                while let Ok(n @ 1..) = out.read(&mut buf) {
                    let _ = file.write_all(&buf[..n]);
                    console.lock().text.extend_from_slice(&buf[..n]);
                    console.changed.notify_all();
                }
                console.lock().closed = true;
                console.changed.notify_all();
            });
        }
        let keyboard = child.stdin.take();
        match Qmp::connect(&socket) {
            Ok(qmp) => Ok(Self { name: name.to_owned(), child, qmp, console, keyboard, log }),
            Err(e) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(e)
            }
        }
    }

    /// Waits until the console has said something, at most until the deadline.
    /// Returns all it has said so far.
    ///
    /// # Errors
    /// [`Error::Timeout`], or [`Error::Stopped`] when the machine ended without saying it.
    pub fn wait_for(&self, token: &str, deadline: Duration) -> Result<String, Error> {
        self.wait_until(token, deadline, |text| text.contains(token))
    }

    /// Waits until all that the console has said is as `is` wants it; `token` is its name.
    ///
    /// # Errors
    /// Those of [`Machine::wait_for`].
    pub fn wait_until(
        &self,
        token: &str,
        deadline: Duration,
        is: impl Fn(&str) -> bool,
    ) -> Result<String, Error> {
        let start = Instant::now();
        let mut state = self.console.lock();
        loop {
            let text = String::from_utf8_lossy(&state.text);
            if is(&text) {
                return Ok(text.into_owned());
            }
            let (name, token, log) = (self.name.clone(), token.to_owned(), self.log.clone());
            if state.closed {
                return Err(Error::Stopped { name, token, log, tail: tail(&text) });
            }
            let Some(left) = deadline.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) else {
                return Err(Error::Timeout { name, token, waited: deadline, log, tail: tail(&text) });
            };
            drop(text);
            state = self.console.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Types something on the console; Enter is `\r`.
    ///
    /// # Errors
    /// When the machine is off.
    pub fn type_in(&mut self, text: &str) -> Result<(), Error> {
        let written = match &mut self.keyboard {
            Some(keyboard) => keyboard.write_all(text.as_bytes()).and_then(|()| keyboard.flush()),
            None => Err(std::io::ErrorKind::BrokenPipe.into()),
        };
        written.map_err(|source| Error::Io {
            what: "typing on the console of",
            path: self.log.clone(),
            source,
        })
    }

    /// What the console has said so far.
    pub fn console(&self) -> String {
        String::from_utf8_lossy(&self.console.lock().text).into_owned()
    }

    /// Runs a command of QEMU's control protocol, and returns what it returned.
    ///
    /// # Errors
    /// When QEMU refuses it or goes away.
    pub fn qmp(&mut self, command: &str, arguments: serde_json::Value) -> Result<serde_json::Value, Error> {
        self.qmp.execute(command, arguments)
    }

    /// The port on 127.0.0.1 that leads to a forwarded port of the guest.
    ///
    /// # Errors
    /// When the machine has no such forward.
    pub fn forwarded_port(&mut self, guest: u16) -> Result<u16, Error> {
        self.qmp.forwarded_port(guest)
    }

    /// Runs a command of QEMU's control socket, to plug something in or out.
    ///
    /// # Errors
    /// When QEMU refuses it.
    pub fn control(&mut self, command: &str, arguments: serde_json::Value) -> Result<(), Error> {
        self.qmp.execute(command, arguments).map(drop)
    }

    /// Presses the power button and waits for the machine to be off.
    ///
    /// # Errors
    /// [`Error::Timeout`] when it is not off by the deadline.
    pub fn power_off(mut self, deadline: Duration) -> Result<String, Error> {
        self.qmp.execute("system_powerdown", json!({}))?;
        self.wait_off(deadline)
    }

    /// Waits for the machine to end by itself (power-off, or a reboot, which
    /// `-no-reboot` makes an end). Returns what the console said.
    ///
    /// # Errors
    /// [`Error::Timeout`] when it is still running at the deadline.
    pub fn wait_off(mut self, deadline: Duration) -> Result<String, Error> {
        let start = Instant::now();
        let mut state = self.console.lock();
        while !state.closed {
            let Some(left) = deadline.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) else {
                let text = String::from_utf8_lossy(&state.text).into_owned();
                drop(state);
                return Err(Error::Timeout {
                    name: self.name.clone(),
                    token: "power off".into(),
                    waited: deadline,
                    log: self.log.clone(),
                    tail: tail(&text),
                });
            };
            state = self.console.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let text = String::from_utf8_lossy(&state.text).into_owned();
        drop(state);
        let _: Option<ExitStatus> = self.child.wait().ok();
        Ok(text)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The last lines of a console.
fn tail(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(25)..].join("\n")
}
