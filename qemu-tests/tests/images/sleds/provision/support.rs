//! A rack with one fleet, and the sleds that are plugged into it.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mesos_double::master::{Master, Options};
pub(crate) use qemu_tests::console::sledos as said;
use qemu_tests::fleet::Fleet;
use qemu_tests::guest::{Guest, Key, Way};
use qemu_tests::image;
use qemu_tests::image::Request;
use qemu_tests::namespace::{GATEWAY, Namespace};
use qemu_tests::rack::Rack;
use qemu_tests::scratch::Scratch;
use qemu_tests::turn::Turn;
use sledos::cli::boot::manifest;
use sledos::image::manifest::Manifest;
use sledos::qemu::{Boot, Machine, MachineSpec, NicModel};

/// From power-on to a document, a refusal or a report.
pub(crate) const SOON: Duration = Duration::from_secs(240);
/// From power-on to ready, on a busy host without KVM.
pub(crate) const READY: Duration = Duration::from_secs(900);
/// The sled's 1G port.
pub(crate) const MGMT: &str = "52:54:00:00:07:01";
/// The sled's 10G port.
const DATA: &str = "52:54:00:00:07:02";

fn tmp() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// The compute image with the stand-in for the Mesos agent, built once.
pub(crate) fn compute() -> &'static Path {
    static IMAGE: OnceLock<PathBuf> = OnceLock::new();
    IMAGE.get_or_init(|| compute_version("test", "output-with-agent"))
}

/// The same as another version, built once.
pub(crate) fn compute_2() -> &'static Path {
    static IMAGE: OnceLock<PathBuf> = OnceLock::new();
    IMAGE.get_or_init(|| compute_version("test-2", "output-with-agent-2"))
}

fn compute_version(version: &str, output: &str) -> PathBuf {
    image::build(compute_request(version, output)).dir
}

fn compute_request(version: &str, output: &str) -> Request {
    let deb = tmp().join("mesos-agent-double.deb");
    let layout = mesos_double::deb::Layout::Autotools;
    mesos_double::deb::package(&mesos_double::deb::build_static(), layout, &deb)
        .expect("the package can be written");
    let mut request = image::request("compute.yaml", &tmp().join(output));
    request.version = Some(version.to_owned());
    request.components = vec![("mesos-agent".to_owned(), deb)];
    request.require_components = true;
    request
}

/// The compute image with further lines in its recipe and files in an overlay.
pub(crate) fn compute_with(version: &str, lines: &str, files: &[(&str, &str)]) -> PathBuf {
    let request = compute_request(version, "output-variants");
    image::variant(request, &tmp().join("variants"), version, lines, files)
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is past 1970").as_secs()
}

/// A test's rack, its fleet and its key for SSH. Fields are dropped in this order.
pub(crate) struct Scene {
    pub(crate) rack: Rack,
    pub(crate) fleet: Fleet,
    pub(crate) key: Key,
    pub(crate) dir: Scratch,
    pub(crate) manifest: Manifest,
    pub(crate) master: Master,
    _turn: Turn,
}

impl Scene {
    pub(crate) fn new(name: &str) -> Self {
        let turn = Turn::take();
        let dir = Scratch::new(tmp().join("provision").join(name));
        let images = compute().ancestors().nth(2).expect("it is NAME/VERSION");
        let fleet = Fleet::new(&dir.join("www"), images);
        let rack = Rack::new(&dir, &fleet.root);
        let namespace = rack.namespace.name().to_owned();
        let master = std::thread::spawn(move || {
            Namespace::enter(&namespace);
            Master::start(GATEWAY.parse().expect("an address"), 0, Options::default())
        });
        let master = master.join().expect("it does not panic").expect("the bridge has its address");
        let manifest = manifest(compute()).expect("the image has one");
        Self { rack, fleet, key: Key::new(&dir), dir, manifest, master, _turn: turn }
    }

    /// The fleet file: one role, and sleds as lines below `sleds:`. `role` are further
    /// lines of the role.
    pub(crate) fn yaml(&self, role: &str, sleds: &str) -> String {
        let (key, master) = (self.key.public(), self.master.address());
        format!(
            "fleet: test
servers: {{metadata: [URL], image: [URL/images], report: [URL], time: [{GATEWAY}]}}
trust: [KEY]
images: {{trust: none}}
racks:
  r1:
    bays: 40
    subnets: {{data: {{network: 10.77.1.0/24, first: 10.77.1.11}}}}
    switches: [{{chassis: '02:00:00:00:00:01', port: 'Ethernet{{bay}}'}}]
roles:
  compute:
    image: compute
{role}
    config:
      hostname: '{{rack}}-b{{bay:02}}'
      ssh-keys: ['{key}']
      networks:
        mgmt: {{match: {{driver: [e1000e]}}, address: dhcp}}
        data: {{match: {{driver: [vmxnet3]}}, address: rack, mtu: 9000}}
      docker: {{log-max-size: 10m, log-max-files: 3}}
      mesos:
        master: '{master}'
        attributes: {{rack: '{{rack}}', bay: '{{bay}}', role: '{{role}}'}}
        resources: {{cpus: 2, mem: 1024, disk: 2048, ports: ['31000-32000']}}
sleds:
{sleds}
"
        )
    }

    /// Compiles and serves the fleet with this sled in bay 7.
    pub(crate) fn serve(&self, role: &str) {
        self.serve_text(&self.yaml(role, &sled("r1-b07", 7, MGMT)));
    }

    pub(crate) fn serve_text(&self, yaml: &str) {
        let plan = self.fleet.compile(yaml, &self.rack.web.url(), now());
        drop(plan);
    }

    /// A sled without a disk that is given kernel and initramfs, as iPXE does it.
    pub(crate) fn blank(&self, memory: u32) -> MachineSpec {
        self.blank_with(memory, MGMT, DATA).0
    }

    /// The same with these MAC addresses; also returns the switch port of the first.
    pub(crate) fn blank_with(&self, memory: u32, mgmt: &str, data: &str) -> (MachineSpec, String) {
        let (mgmt, port) = self.rack.plug(NicModel::E1000e, mgmt);
        let (data, _) = self.rack.plug(NicModel::Vmxnet3, data);
        let cmdline = format!(
            "{} no_timer_check sledos.trust={} sledos.metadata={} sledos.onfail-delay=1",
            self.manifest.kernel.cmdline,
            self.fleet.public,
            self.rack.web.url()
        );
        let (kernel, initrd) = (compute().join("vmlinuz"), compute().join("initramfs.zst"));
        let spec = MachineSpec {
            memory,
            boot: Boot::Kernel { kernel, initrd, cmdline },
            nics: vec![mgmt, data],
            netns: Some(self.rack.namespace.name().to_owned()),
            ..MachineSpec::default()
        };
        (spec, port)
    }

    /// Puts other versions of the image beside the one that the scene's server has.
    pub(crate) fn add_images(&self, more: &[&Path]) {
        let images = self.fleet.root.join("images");
        std::fs::remove_file(&images).expect("it was a link");
        let dir = images.join("compute");
        std::fs::create_dir_all(&dir).expect("the directory can be made");
        for image in more.iter().copied().chain([compute()]) {
            let name = image.file_name().expect("it is NAME/VERSION");
            std::os::unix::fs::symlink(image, dir.join(name)).expect("the image can be linked");
        }
    }

    pub(crate) fn power_on(&self, name: &str, spec: &MachineSpec) -> Machine {
        Machine::start(name, spec, &self.dir).expect("QEMU starts")
    }

    /// Waits until the sled says that it is ready; then logs in with the document's key.
    pub(crate) fn ready(&self, machine: Machine, mgmt: &str) -> Guest {
        machine.wait_for("sledos: ready: ", READY).expect("the sled gets ready");
        let address = self.rack.address_of(mgmt, SOON);
        let way = Way::Namespace { name: self.rack.namespace.name().to_owned(), address };
        Guest::attach(machine, way, &self.key)
    }

    /// The agents that the master knows.
    pub(crate) fn agents(&self) -> Vec<serde_json::Value> {
        let (name, address) = (self.rack.namespace.name().to_owned(), self.master.address());
        let text = std::thread::spawn(move || {
            use std::io::{Read as _, Write as _};
            Namespace::enter(&name);
            let mut stream = std::net::TcpStream::connect(address)?;
            write!(stream, "GET /state HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n")?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            Ok::<_, std::io::Error>(text)
        });
        let text = text.join().expect("it does not panic").expect("the master answers");
        let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let state: serde_json::Value = serde_json::from_str(body).expect("its state is JSON");
        state["slaves"].as_array().cloned().unwrap_or_default()
    }
}

/// A line of `sleds:`.
pub(crate) fn sled(name: &str, bay: u32, mac: &str) -> String {
    format!("  {name}: {{rack: r1, bay: {bay}, role: compute, macs: ['{mac}']}}\n")
}
