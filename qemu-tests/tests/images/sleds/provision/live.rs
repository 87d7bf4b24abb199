//! Blank sleds that run from memory.

use super::equipped;
use super::extensions;
use super::support::{MGMT, SOON, Scene, said};
use qemu_tests::bmc::Simulator;
use qemu_tests::console;
use sledos::qemu::MachineSpec;

#[test]
fn a_blank_sled_finds_its_document_by_mac_and_gets_ready_from_memory() {
    let scene = Scene::new("live");
    let bmc = Simulator::start(&scene.dir, scene.rack.namespace.command("ipmi_sim"))
        .expect("it starts; install the Debian package openipmi");
    equipped::serve(&scene);
    // 1 GiB, and the image.
    let image = scene.manifest.artefacts["usr.squashfs"].size;
    let memory = 1024 + u32::try_from(image.div_ceil(1 << 20)).expect("an image is not that large");
    let spec = MachineSpec { bmc: Some(bmc.serial), ..scene.blank(memory) };
    let guest = scene.ready(scene.power_on("live", &spec), MGMT);

    assert_eq!(guest.run("hostname").trim(), "r1-b07");
    // Both networks, each on its card.
    let data = guest.run("ip -o -4 address show | awk '{print $4}'");
    assert!(data.contains("10.77.1.17/24"), "{data}");
    let mtu = guest.run("cat /sys/class/net/$(ip -o -4 address show to 10.77.1.17 | awk '{print $2}')/mtu");
    assert_eq!(mtu.trim(), "9000");
    let driver = guest.run(
        "basename $(readlink /sys/class/net/$(ip -o -4 address show to 10.77.1.17 | awk '{print $2}')/device/driver)",
    );
    assert_eq!(driver.trim(), "vmxnet3");
    // It is called by what it is for, to programs and in the report.
    let called = guest.run("ip -4 address show dev data0");
    assert!(called.contains("10.77.1.17/24"), "{called}");
    assert_eq!(guest.run("systemctl --failed --no-legend --plain").trim(), "");
    assert_eq!(guest.run("systemctl is-active docker mesos-agent chrony").trim(), "active\nactive\nactive");
    assert!(guest.run("cat /etc/docker/daemon.json").contains("\"max-size\": \"10m\""));

    // The agent is registered as what it is.
    let agents = scene.agents();
    assert_eq!(agents.len(), 1, "{agents:?}");
    assert_eq!(agents[0]["hostname"], "r1-b07");
    let attributes = &agents[0]["attributes"];
    assert_eq!(
        (attributes["rack"].as_str(), attributes["bay"].as_f64(), attributes["role"].as_str()),
        (Some("r1"), Some(7.0), Some("compute")),
        "{attributes}"
    );

    // The report was posted, and says what memory was used.
    let report =
        scene.rack.web.wait_for("report", SOON, |r| r.method == "POST" && r.path == "/v1/report/r1-b07");
    let report: serde_json::Value = serde_json::from_slice(&report.body).expect("a report is JSON");
    println!("{report:#}");
    let boot = guest.run("cat /run/sledos/boot.json");
    let boot: serde_json::Value = serde_json::from_str(&boot).expect("the report is JSON");
    assert!(boot["memory"]["image"].as_u64() >= Some(image), "{boot}");
    let nics = boot["hardware"]["nics"].as_array().expect("it has cards");
    let is_data = |nic: &serde_json::Value| nic["alternative_names"][0] == "data0" || nic["name"] == "data0";
    assert_eq!(nics.iter().filter(|nic| is_data(nic)).count(), 1, "{nics:?}");
    assert_eq!((boot["sled"].as_str(), boot["generation"].as_u64()), (Some("r1-b07"), Some(1)));
    println!("{}", guest.run("sledctl status; free -m; systemd-analyze"));
    equipped::is_as_the_fleet_file_says(&guest, &bmc);
    extensions::are_merged_and_leave_nothing(&scene, &guest);

    let all = guest.power_off().expect("goes off");
    println!("{}", said(&all));
    assert_eq!(console::trouble(&all), Vec::<&str>::new());
}
