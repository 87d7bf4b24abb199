//! A rack with a storage sled.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mesos_double::master::{Master, Options};
pub(crate) use qemu_tests::console::sledos as said;
use qemu_tests::fleet::Fleet;
use qemu_tests::guest::{Guest, Key, Way};
use qemu_tests::image;
use qemu_tests::namespace::{GATEWAY, Namespace};
use qemu_tests::rack::Rack;
use qemu_tests::scratch::Scratch;
use qemu_tests::turn::Turn;
use sledos::cli::boot::manifest;
use sledos::image::manifest::Manifest;
use sledos::qemu::{Boot, Disk, Machine, MachineSpec, NicModel, machine};

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

/// The storage image with the stand-in for the Mesos agent, built once.
fn storage() -> &'static Path {
    static IMAGE: OnceLock<PathBuf> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let deb = tmp().join("storage-mesos-agent-double.deb");
        let layout = mesos_double::deb::Layout::CMake;
        mesos_double::deb::package(&mesos_double::deb::build_static(), layout, &deb)
            .expect("the package can be written");
        let mut request = image::request("storage.yaml", &tmp().join("output-storage"));
        request.components = vec![("mesos-agent".to_owned(), deb)];
        request.require_components = true;
        image::build(request).dir
    })
}

/// A test's rack, its fleet and its key for SSH. Fields are dropped in this order.
pub(crate) struct Scene {
    pub(crate) rack: Rack,
    pub(crate) fleet: Fleet,
    pub(crate) key: Key,
    pub(crate) dir: Scratch,
    manifest: Manifest,
    master: Master,
    _turn: Turn,
}

impl Scene {
    pub(crate) fn new(name: &str) -> Self {
        let turn = Turn::take();
        let dir = Scratch::new(tmp().join("storage").join(name));
        let images = storage().ancestors().nth(2).expect("it is NAME/VERSION");
        let fleet = Fleet::new(&dir.join("www"), images);
        let rack = Rack::new(&dir, &fleet.root);
        let namespace = rack.namespace.name().to_owned();
        let master = std::thread::spawn(move || {
            Namespace::enter(&namespace);
            Master::start(GATEWAY.parse().expect("an address"), 0, Options::default())
        });
        let master = master.join().expect("it does not panic").expect("the bridge has its address");
        let manifest = manifest(storage()).expect("the image has one");
        Self { rack, fleet, key: Key::new(&dir), dir, manifest, master, _turn: turn }
    }

    /// Compiles and serves the fleet: sled `r1-b07`, installed on a pair of NVMe disks, with
    /// `count` data disks below /data.
    pub(crate) fn serve(&self, count: u32) {
        let (key, master) = (self.key.public(), self.master.address());
        let yaml = format!(
            "fleet: test
servers: {{metadata: [URL], image: [URL/images], report: [URL], time: [{GATEWAY}]}}
trust: [KEY]
images: {{trust: none}}
racks:
  r1:
    bays: 40
    subnets: {{data: {{network: 10.77.1.0/24, first: 10.77.1.11}}}}
roles:
  storage:
    image: storage
    install: {{disk: {{transport: [nvme], pick: first}}, mirror: true}}
    config:
      hostname: '{{rack}}-b{{bay:02}}'
      ssh-keys: ['{key}']
      networks:
        mgmt: {{match: {{driver: [e1000e]}}, address: dhcp}}
        data: {{match: {{driver: [vmxnet3]}}, address: rack, mtu: 9000}}
      disks:
        data: {{match: {{rotational: true, min-size: 1000000000000}}, count: {count}, mount: /data}}
      docker: {{log-max-size: 10m, log-max-files: 3}}
      mesos:
        master: '{master}'
        reconfiguration-policy: additive
        resources: {{cpus: 2, mem: 1024, disk: 2048, ports: ['31000-32000']}}
sleds:
  r1-b07: {{rack: r1, bay: 7, role: storage, macs: ['{MGMT}']}}
"
        );
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is past 1970").as_secs();
        let plan = self.fleet.compile(&yaml, &self.rack.web.url(), now);
        drop(plan);
    }

    /// The sled with these disks, given kernel and initramfs as iPXE does it.
    pub(crate) fn netboot(&self, disks: Vec<Disk>) -> MachineSpec {
        let cmdline = format!(
            "{} no_timer_check sledos.trust={} sledos.metadata={} sledos.onfail-delay=1",
            self.manifest.kernel.cmdline,
            self.fleet.public,
            self.rack.web.url()
        );
        let (kernel, initrd) = (storage().join("vmlinuz"), storage().join("initramfs.zst"));
        let boot = Boot::Kernel { kernel, initrd, cmdline };
        MachineSpec { boot, ..self.diskboot(disks) }
    }

    /// The sled with these disks, booted by UEFI firmware from them.
    pub(crate) fn diskboot(&self, disks: Vec<Disk>) -> MachineSpec {
        let (mgmt, _) = self.rack.plug(NicModel::E1000e, MGMT);
        let (data, _) = self.rack.plug(NicModel::Vmxnet3, DATA);
        MachineSpec {
            memory: 2560,
            firmware: machine::uefi_vars(&self.dir).expect("OVMF is installed"),
            boot: Boot::Disk,
            nics: vec![mgmt, data],
            disks,
            netns: Some(self.rack.namespace.name().to_owned()),
            ..MachineSpec::default()
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
