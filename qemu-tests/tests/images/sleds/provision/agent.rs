//! Another agent than Mesos on an installed sled: it is drained before each restart, also before that into the next
//! image, and ready in it.

use super::support::{MGMT, READY, Scene, compute_2, sled};
use qemu_tests::guest;
use sledos::output::SparseFile;
use sledos::qemu::{Boot, Bus, Disk, MachineSpec, machine};

const INSTALL: &str = "    install: {disk: {transport: [virtio], pick: first}}";
/// A container, in the place of Mesos. What drains it leaves a line on /var.
const AGENT: &str = r#"      agent:
        unit: worker.service
        ready: [/usr/bin/docker, exec, worker, /usr/bin/true]
        drain: [/usr/bin/sh, -c, "docker stop --time 5 worker && grep ^IMAGE_VERSION= /etc/os-release >>/var/lib/drained"]
      units:
        worker.service:
          contents: |
            [Unit]
            Requires=docker.service
            After=docker.service
            [Service]
            ExecStartPre=/usr/bin/sh -c 'tar --directory / --create bin lib lib64 sbin | docker import - worker'
            ExecStart=/usr/bin/docker run --rm --name worker --volume /usr:/usr:ro worker /usr/bin/sleep infinity
sleds:
"#;

#[test]
#[ignore = "four starts; see CONTRIBUTING.md"]
fn another_agent_is_drained_and_comes_up_in_the_next_image() {
    let scene = Scene::new("agent");
    scene.add_images(&[compute_2()]);
    let document = |version: &str| {
        let yaml = scene.yaml(INSTALL, &sled("r1-b07", 7, MGMT));
        let (before, rest) = yaml.split_once("      mesos:\n").expect("the role has an agent");
        let (_, sleds) = rest.split_once("sleds:\n").expect("there are sleds");
        let image = format!("image: compute@{version}");
        scene.serve_text(&format!("{}{AGENT}{sleds}", before.replace("image: compute", &image)));
    };
    let file = scene.dir.join("disk.raw");
    drop(SparseFile::create(&file, 8 << 30).expect("a sparse file can be made"));
    document("test");
    let mut spec = scene.blank(2048);
    spec.disks.push(Disk::new(file, Bus::Virtio));
    let until_ready = |name: &str, spec: &MachineSpec| {
        let starts = guest::until_ready(4, READY, |n| scene.power_on(&format!("{name}-{n}"), spec));
        (scene.ready(starts.machine, MGMT), starts.images)
    };
    let (guest, _) = until_ready("first", &spec);
    assert!(guest.run("sledctl status").contains("worker.service"));
    assert_eq!(guest.run("systemctl is-active worker.service").trim(), "active");
    guest.power_off().expect("goes off");

    spec.boot = Boot::Disk;
    spec.firmware = machine::uefi_vars(&scene.dir).expect("OVMF is installed");
    document("test-2");
    let (guest, started) = until_ready("next", &spec);
    assert_eq!(started.last().map(String::as_str), Some("test-2"), "{started:?}");
    let status = guest.run("sledctl status");
    println!("{started:?}\n{status}");
    assert!(status.contains("worker.service"), "{status}");
    let drained = guest.run("cat /var/lib/drained");
    assert_eq!(drained.replace('"', ""), "IMAGE_VERSION=test\n", "when the first was switched off");
    guest.power_off().expect("goes off");
}
