//! A rack with one fleet and one image, and the sleds that are plugged into it.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mesos_double::deb::Layout;
use mesos_double::master::{Master, Options};
use qemu_tests::fleet::Fleet;
use qemu_tests::guest::{self, Guest, Key, Way};
use qemu_tests::image::{self, Request};
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
pub(crate) const DATA: &str = "52:54:00:00:07:02";

pub(crate) fn tmp() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// An image of a shipped recipe with the stand-in for the Mesos agent, built below `output`.
pub(crate) fn with_agent(recipe: &str, output: &str, layout: Layout) -> Request {
    let deb = tmp().join(format!("{}-mesos-agent-double.deb", recipe.trim_end_matches(".yaml")));
    mesos_double::deb::package(&mesos_double::deb::build_static(), layout, &deb)
        .expect("the package can be written");
    let mut request = image::request(recipe, &tmp().join(output));
    request.components = vec![("mesos-agent".to_owned(), deb)];
    request.require_components = true;
    request
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
    image: PathBuf,
    _turn: Turn,
}

impl Scene {
    /// A rack whose server has this image. `dir` is its place in cargo's scratch directory.
    pub(crate) fn with(dir: &str, image: &dyn Fn() -> &'static Path) -> Self {
        let turn = Turn::take();
        let dir = Scratch::new(tmp().join(dir));
        let image = image();
        let images = image.ancestors().nth(2).expect("it is NAME/VERSION");
        let fleet = Fleet::new(&dir.join("www"), images);
        let rack = Rack::new(&dir, &fleet.root);
        let namespace = rack.namespace.name().to_owned();
        let master = std::thread::spawn(move || {
            Namespace::enter(&namespace);
            Master::start(GATEWAY.parse().expect("an address"), 0, Options::default())
        });
        let master = master.join().expect("it does not panic").expect("the bridge has its address");
        let manifest = manifest(image).expect("the image has one");
        Self { rack, fleet, key: Key::new(&dir), dir, manifest, master, image: image.to_owned(), _turn: turn }
    }

    pub(crate) fn serve_text(&self, yaml: &str) {
        let plan = self.fleet.compile(yaml, &self.rack.web.url(), now());
        drop(plan);
    }

    /// A sled without a disk that is given kernel and initramfs, as iPXE does it; and the switch
    /// port of its first NIC.
    pub(crate) fn given_kernel(&self, memory: u32, mgmt: &str, data: &str) -> (MachineSpec, String) {
        let (mgmt, port) = self.rack.plug(NicModel::E1000e, mgmt);
        let (data, _) = self.rack.plug(NicModel::Vmxnet3, data);
        let cmdline = format!(
            "{} no_timer_check sledos.trust={} sledos.metadata={} sledos.onfail-delay=1",
            self.manifest.kernel.cmdline,
            self.fleet.public,
            self.rack.web.url()
        );
        let (kernel, initrd) = (self.image.join("vmlinuz"), self.image.join("initramfs.zst"));
        let spec = MachineSpec {
            memory,
            boot: Boot::Kernel { kernel, initrd, cmdline },
            nics: vec![mgmt, data],
            netns: Some(self.rack.namespace.name().to_owned()),
            ..MachineSpec::default()
        };
        (spec, port)
    }

    pub(crate) fn power_on(&self, name: &str, spec: &MachineSpec) -> Machine {
        Machine::start(name, spec, &self.dir).expect("QEMU starts")
    }

    /// Waits until the sled says that it is ready; then logs in with the document's key.
    pub(crate) fn ready(&self, machine: Machine, mgmt: &str) -> Guest {
        machine.wait_for(guest::READY, READY).expect("the sled gets ready");
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
