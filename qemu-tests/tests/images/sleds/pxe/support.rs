//! A switch, what is on it, each in a process of its own, and sleds.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use clap::Parser as _;
use metadata::fleet::sign::{NewKey, new_key};
use qemu_tests::image;
use qemu_tests::namespace::{GATEWAY, Namespace};
use qemu_tests::scratch::Scratch;
use qemu_tests::turn::Turn;
use serde_json::Value;
use sledos::qemu::{Boot, Firmware, Link, Machine, MachineSpec, Nic, NicModel};

/// From power-on to a document.
pub(crate) const SOON: Duration = Duration::from_secs(420);
/// From power-on to ready, on a busy host without KVM.
pub(crate) const READY: Duration = Duration::from_secs(900);
/// Set for the process that is the server; its arguments, with line ends between.
const ARGS: &str = "SLEDOS_SERVE_ARGS";
/// Around what that process prints.
const MARK: &str = "\n----- sledos -----\n";

/// The program's own command line in this test's binary: the server's process.
#[test]
#[ignore = "started by the other tests in a process of its own"]
fn serve() {
    let Ok(args) = std::env::var(ARGS) else { return };
    let args = ["sledos"].into_iter().chain(args.lines());
    print!("{MARK}");
    let done = sledos::cli::run(&sledos::cli::Cli::parse_from(args));
    print!("{MARK}");
    if let Err(failure) = done {
        failure.print(&mut std::io::stderr());
        std::process::exit(1);
    }
}

pub(crate) fn tmp() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// The key of these tests.
fn key() -> &'static NewKey {
    static KEY: OnceLock<NewKey> = OnceLock::new();
    KEY.get_or_init(|| new_key("test", None).expect("there are random numbers"))
}

/// Another image for the same server, beside the compute image.
pub(crate) fn another(recipe: &str) -> PathBuf {
    let mut request = image::request(recipe, &tmp().join("output-pxe"));
    // What is not shipped has no lock yet.
    request.locked = request.recipe.with_extension("lock").exists();
    image::build(request).dir
}

/// The compute image, built once. It trusts the key by itself, as one that firmware starts
/// without anybody's command line has to.
pub(crate) fn compute() -> &'static Path {
    static IMAGE: OnceLock<PathBuf> = OnceLock::new();
    IMAGE.get_or_init(|| image::build(compute_request("output-pxe")).dir)
}

/// The same with further lines in its recipe and files in an overlay.
pub(crate) fn compute_with(version: &str, lines: &str, files: &[(&str, &str)]) -> PathBuf {
    let request = compute_request("output-pxe-variants");
    image::variant(request, &tmp().join("variants-pxe"), version, lines, files)
}

fn compute_request(output: &str) -> image::Request {
    let mut request = image::request("compute.yaml", &tmp().join(output));
    request.lock = Some(request.recipe.with_extension("lock"));
    let include = request.recipe.display().to_string();
    let recipe = format!(
        "include: ['{include}']\nname: compute\nprovisioning: {{trust: ['{}']}}\n\
         kernel: {{cmdline: [no_timer_check]}}\n",
        key().line
    );
    request.recipe = tmp().join("compute-pxe.yaml");
    std::fs::write(&request.recipe, recipe).expect("cargo's scratch directory can be written");
    request
}

/// A program that runs on the switch, and is killed at the end.
struct Daemon {
    child: Child,
    log: PathBuf,
}

/// A switch, a fleet file, and what runs there. Fields are dropped in this order.
pub(crate) struct Scene {
    server: Option<Child>,
    said: Option<Receiver<String>>,
    daemons: Vec<Daemon>,
    neighbours: Vec<Namespace>,
    pub(crate) namespace: Namespace,
    pub(crate) dir: Scratch,
    _turn: Turn,
}

impl Scene {
    pub(crate) fn new(name: &str) -> Self {
        let turn = Turn::take();
        let dir = Scratch::new(tmp().join("pxe").join(name));
        std::fs::write(dir.join("ops.key"), &key().secret).expect("the directory was made just now");
        let namespace = Namespace::make();
        Self {
            server: None,
            said: None,
            daemons: Vec::new(),
            neighbours: Vec::new(),
            namespace,
            dir,
            _turn: turn,
        }
    }

    /// Writes the fleet file with these lines below `sleds:`.
    pub(crate) fn fleet(&self, sleds: &str) {
        let config = "networks: {mgmt: {match: {driver: [e1000e, virtio_net]}, address: dhcp}}";
        let hostname = "hostname: '{rack}-b{bay:02}'";
        self.fleet_of(&format!("  compute: {{image: compute, config: {{{hostname}, {config}}}}}\n"), sleds);
    }

    /// The same with these lines below `roles:`.
    pub(crate) fn fleet_of(&self, roles: &str, sleds: &str) {
        let url = format!("http://{GATEWAY}:8080");
        let text = format!(
            "fleet: pxe
servers: {{metadata: ['{url}'], image: ['{url}/images'], report: ['{url}']}}
trust: ['{}']
images: {{trust: none}}
racks:
  r1:
    bays: 8
    subnets: {{mgmt: {{network: 10.77.0.0/24, first: 10.77.0.11}}}}
    switches: [{{chassis: '02:00:00:00:00:01', port: 'Ethernet{{bay}}'}}]
roles:
{roles}sleds:
{sleds}",
            key().line
        );
        std::fs::write(self.dir.join("fleet.yaml"), text).expect("the directory is there");
    }

    /// Starts the server with these further arguments, and waits until it listens.
    pub(crate) fn serve(&mut self, more: &[&str]) {
        self.serve_images(compute().ancestors().nth(2).expect("it is NAME/VERSION"), more);
    }

    /// The same with the images in this directory.
    pub(crate) fn serve_images(&mut self, images: &Path, more: &[&str]) {
        let path = |name: &str| self.dir.join(name).display().to_string();
        let mut args = vec!["serve".to_owned(), "--images".into(), images.display().to_string()];
        args.extend(["--fleet".into(), path("fleet.yaml"), "--key".into(), path("ops.key")]);
        args.extend(["--state".into(), path("state"), "--pxe".into(), "br0".into()]);
        args.extend(more.iter().map(|arg| (*arg).to_owned()));
        let exe = std::env::current_exe().expect("this test is a program");
        let mut child = Command::new("ip")
            .args(["netns", "exec", self.namespace.name()])
            .arg(exe)
            .args(["--ignored", "--exact", "--nocapture", "sleds::pxe::support::serve"])
            .env(ARGS, args.join("\n"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("ip: {e}; on Debian it is in the package iproute2"));
        let out = child.stdout.take().expect("it is piped");
        let (sender, said) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        self.server = Some(child);
        let wait = Instant::now();
        while wait.elapsed() < Duration::from_secs(60) {
            if said
                .recv_timeout(Duration::from_secs(1))
                .is_ok_and(|line| line.contains("listening on http://"))
            {
                self.said = Some(said);
                return;
            }
        }
        panic!("the server does not start");
    }

    /// Starts a program on the switch, and waits until this address is listened on, as
    /// `ss` shows it: `udp` or `tcp`, and a port.
    pub(crate) fn daemon(&mut self, package: &str, program: &str, args: &[&str], listens: (&str, u16)) {
        let daemon = self.start(&self.namespace, package, program, args, listens);
        self.daemons.push(daemon);
    }

    /// The same on another machine, that has this address and is plugged into the switch.
    pub(crate) fn daemon_at(
        &mut self,
        address: &str,
        package: &str,
        program: &str,
        args: &[&str],
        listens: (&str, u16),
    ) {
        let other = self.namespace.neighbour(address);
        let daemon = self.start(&other, package, program, args, listens);
        self.daemons.push(daemon);
        self.neighbours.push(other);
    }

    fn start(
        &self,
        namespace: &Namespace,
        package: &str,
        program: &str,
        args: &[&str],
        listens: (&str, u16),
    ) -> Daemon {
        let log = self.dir.join(format!("{program}.log"));
        let file = std::fs::File::create(&log).expect("the directory is there");
        let errors = file.try_clone().expect("a file can be had twice");
        let mut command = namespace.command(program);
        command.args(args).current_dir(&self.dir).stdin(Stdio::null()).stdout(file).stderr(errors);
        command.env("KEA_LOCKFILE_DIR", &self.dir).env("KEA_PIDFILE_DIR", &self.dir);
        let child = command.spawn();
        let child = child.unwrap_or_else(|e| panic!("ip: {e}; on Debian it is in the package iproute2"));
        let mut daemon = Daemon { child, log };
        let (kind, port) = listens;
        let wait = Instant::now();
        loop {
            let flag = if kind == "udp" { "-Hlun" } else { "-Hltn" };
            let seen = namespace.command("ss").args([flag, &format!("sport = {port}")]).output();
            if seen.is_ok_and(|out| !out.stdout.is_empty()) {
                return daemon;
            }
            let ended = daemon.child.try_wait().expect("it was started");
            let late = wait.elapsed() > Duration::from_secs(60);
            let log = || std::fs::read_to_string(&daemon.log).unwrap_or_default();
            assert!(ended.is_none() && !late, "{program} (Debian: {package}) {ended:?}:\n{}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What `sledos` prints with these arguments, run beside the fleet file.
    pub(crate) fn sledos(&self, args: &[&str]) -> String {
        let exe = std::env::current_exe().expect("this test is a program");
        let args: Vec<_> =
            args.iter().map(|arg| arg.replace("DIR", &self.dir.display().to_string())).collect();
        let out = self
            .namespace
            .command(&exe.display().to_string())
            .args(["--ignored", "--exact", "--nocapture", "sleds::pxe::support::serve"])
            .env(ARGS, args.join("\n"))
            .stdin(Stdio::null())
            .output()
            .expect("this test is a program");
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(out.status.success(), "sledos {args:?}: {text}{}", String::from_utf8_lossy(&out.stderr));
        // The test harness prints, too.
        let text = text.split_once(MARK).map_or("", |(_, text)| text);
        text.split_once(MARK).map_or(text, |(text, _)| text).to_owned()
    }

    /// A sled without a disk, that starts from the network.
    pub(crate) fn blank(&self, model: NicModel, mac: &str, firmware: Firmware) -> MachineSpec {
        let manifest = sledos::cli::boot::manifest(compute()).expect("the image has one");
        let image = manifest.artefacts["usr.squashfs"].size;
        let memory = 1200 + u32::try_from(image.div_ceil(1 << 20)).expect("an image is not that large");
        let nic = Nic { model, link: Link::Tap(self.namespace.tap()), mac: Some(mac.to_owned()) };
        MachineSpec {
            memory,
            firmware,
            boot: Boot::Network,
            nics: vec![nic],
            netns: Some(self.namespace.name().to_owned()),
            ..MachineSpec::default()
        }
    }

    /// The same sled given kernel and initramfs, as if iPXE had; and its switch port.
    pub(crate) fn given_kernel(&self, mac: &str, board: &str) -> (MachineSpec, String) {
        let mut spec = self.blank(NicModel::E1000e, mac, Firmware::Bios);
        let manifest = sledos::cli::boot::manifest(compute()).expect("the image has one");
        let cmdline = format!("{} sledos.metadata=http://{GATEWAY}:8080", manifest.kernel.cmdline);
        let (kernel, initrd) = (compute().join("vmlinuz"), compute().join("initramfs.zst"));
        spec.boot = Boot::Kernel { kernel, initrd, cmdline };
        spec.smbios.board_serial = Some(board.to_owned());
        let Some(Link::Tap(port)) = spec.nics.first().map(|nic| nic.link.clone()) else { unreachable!() };
        (spec, port)
    }

    pub(crate) fn power_on(&self, name: &str, spec: &MachineSpec) -> Machine {
        Machine::start(name, spec, &self.dir).expect("QEMU starts")
    }

    /// Runs something on the switch.
    pub(crate) fn inside<T: Send + 'static>(&self, run: impl FnOnce() -> T + Send + 'static) -> T {
        let name = self.namespace.name().to_owned();
        let thread = std::thread::spawn(move || {
            Namespace::enter(&name);
            run()
        });
        thread.join().expect("it does not panic")
    }

    /// What the server says at a path.
    pub(crate) fn get(&self, path: &str) -> Value {
        let path = path.to_owned();
        let got = self.inside(move || {
            sledos::serve::client::get(&format!("http://{GATEWAY}:8080"), &path).map_err(|e| format!("{e:?}"))
        });
        got.unwrap_or_else(|e| panic!("{e}"))
    }

    /// Takes unknown hardware in, as `sledos fleet bind` does it.
    pub(crate) fn bind(&self, id: &str, place: &str) {
        let file = self.dir.join("state/operator.token").display().to_string();
        let args = ["sledos", "fleet", "bind", id, place, "--role", "compute", "--token-file", &file];
        let url = format!("http://{GATEWAY}:8080");
        let args: Vec<_> = args.into_iter().chain(["--server", &url]).map(str::to_owned).collect();
        let done = self.inside(move || {
            let cli = sledos::cli::Cli::parse_from(args);
            sledos::cli::run(&cli).map_err(|failure| {
                let mut text = Vec::new();
                failure.print(&mut text);
                String::from_utf8_lossy(&text).into_owned()
            })
        });
        done.unwrap_or_else(|why| panic!("{why}"));
    }

    /// Waits until the server says something, and returns it.
    pub(crate) fn until(&self, what: &str, deadline: Duration, good: impl Fn(&Value) -> bool) -> Value {
        let wait = Instant::now();
        loop {
            let status = self.get("/v1/status");
            if good(&status) {
                return status;
            }
            assert!(wait.elapsed() < deadline, "not {what} after {} s: {status:#}", deadline.as_secs());
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if let Some(mut child) = self.server.take() {
            // Ends its dnsmasq, too.
            let pid = rustix::process::Pid::from_child(&child);
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            let _ = child.wait();
        }
        for Daemon { child, .. } in &mut self.daemons {
            // Politely: what a program has started itself ends with it.
            let pid = rustix::process::Pid::from_child(child);
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            let _ = child.wait();
        }
    }
}
