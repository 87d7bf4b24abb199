//! A rack with compute sleds.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use mesos_double::deb::Layout;
pub(crate) use qemu_tests::console::sledos as said;
use qemu_tests::image;
use qemu_tests::image::Request;
use qemu_tests::namespace::GATEWAY;
use sledos::qemu::MachineSpec;

use super::super::scene::{DATA, tmp, with_agent};
pub(crate) use super::super::scene::{MGMT, READY, SOON, Scene, now};

/// The compute image with the stand-in for the Mesos agent, built once.
pub(crate) fn compute() -> &'static Path {
    static IMAGE: OnceLock<PathBuf> = OnceLock::new();
    IMAGE.get_or_init(|| image::build(compute_request("test", "output-with-agent")).dir)
}

/// The same as another version, built once.
pub(crate) fn compute_2() -> &'static Path {
    static IMAGE: OnceLock<PathBuf> = OnceLock::new();
    IMAGE.get_or_init(|| image::build(compute_request("test-2", "output-with-agent-2")).dir)
}

fn compute_request(version: &str, output: &str) -> Request {
    Request { version: Some(version.to_owned()), ..with_agent("compute.yaml", output, Layout::Autotools) }
}

/// The compute image with further lines in its recipe and files in an overlay.
pub(crate) fn compute_with(version: &str, lines: &str, files: &[(&str, &str)]) -> PathBuf {
    let request = compute_request(version, "output-variants");
    image::variant(request, &tmp().join("variants"), version, lines, files)
}

impl Scene {
    pub(crate) fn new(name: &str) -> Self {
        Self::with(&format!("provision/{name}"), &compute)
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

    /// A sled without a disk that is given kernel and initramfs, as iPXE does it.
    pub(crate) fn blank(&self, memory: u32) -> MachineSpec {
        self.given_kernel(memory, MGMT, DATA).0
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
}

/// A line of `sleds:`.
pub(crate) fn sled(name: &str, bay: u32, mac: &str) -> String {
    format!("  {name}: {{rack: r1, bay: {bay}, role: compute, macs: ['{mac}']}}\n")
}
