//! A rack with a storage sled.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use mesos_double::deb::Layout;
pub(crate) use qemu_tests::console::sledos as said;
use qemu_tests::image;
use qemu_tests::namespace::GATEWAY;
use sledos::qemu::{Boot, Disk, MachineSpec, machine};

use super::super::scene::{DATA, with_agent};
pub(crate) use super::super::scene::{MGMT, READY, SOON, Scene};

/// The storage image with the stand-in for the Mesos agent, built once.
fn storage() -> &'static Path {
    static IMAGE: OnceLock<PathBuf> = OnceLock::new();
    IMAGE.get_or_init(|| image::build(with_agent("storage.yaml", "output-storage", Layout::CMake)).dir)
}

pub(crate) fn scene(name: &str) -> Scene {
    Scene::with(&format!("storage/{name}"), &storage)
}

impl Scene {
    /// Compiles and serves the fleet: sled `r1-b07`, installed on a pair of NVMe disks, with
    /// `count` data disks below /data.
    pub(crate) fn serve_disks(&self, count: u32) {
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
        self.serve_text(&yaml);
    }

    /// The sled with these disks, given kernel and initramfs as iPXE does it.
    pub(crate) fn netboot(&self, disks: Vec<Disk>) -> MachineSpec {
        let firmware = machine::uefi_vars(&self.dir).expect("OVMF is installed");
        MachineSpec { firmware, disks, ..self.given_kernel(2560, MGMT, DATA).0 }
    }

    /// The sled with these disks, booted by UEFI firmware from them.
    pub(crate) fn diskboot(&self, disks: Vec<Disk>) -> MachineSpec {
        MachineSpec { boot: Boot::Disk, ..self.netboot(disks) }
    }
}
