//! Three roles from one server: on its page, and in Ansible's inventory.

use super::browser::Browser;
use super::support::{READY, SOON, Scene, another};
use crate::sleds::disks::drives::{HDD, hdd};
use qemu_tests::guest::Key;
use qemu_tests::{console, image};
use serde_json::Value;
use sledos::qemu::{Firmware, NicModel, machine};
use std::path::Path;

const SLEDS: [(&str, &str, &str); 3] = [
    ("r1-b01", "compute", "52:54:00:00:01:01"),
    ("r1-b02", "storage", "52:54:00:00:02:01"),
    ("r1-b03", "managed", "52:54:00:00:03:01"),
];

/// The third role: what Ansible's modules want of a host is Python.
fn managed(dir: &Path) {
    let include = image::top().join("recipes/compute.yaml");
    let text = format!(
        "include: ['{}']\nname: managed\npackages: [libpython3.11-stdlib, python3-minimal]\n\
         budgets: {{usr: 240MiB}}\n",
        include.display()
    );
    let recipe = dir.join("managed.yaml");
    std::fs::write(&recipe, text).expect("the directory is there");
    another(&recipe.display().to_string());
}

/// What the third role has in the place of Mesos: a container that serves HTTP. Its environment, whether it is ready and
/// what drains it are the document's.
const WORKER: &str = r#", agent: {unit: worker.service, environment: {PORT: '8081'},
    ready: [/usr/bin/python3, -c, "from urllib.request import urlopen; print('answers', urlopen('http://127.0.0.1:8081').status)"],
    drain: [/usr/bin/sh, -c, "docker stop --time 5 worker && echo worker is drained >/dev/console"]},
  units: {worker.service: {contents: "[Unit]\nRequires=docker.service\nAfter=docker.service network-online.target\n[Service]\n\
    ExecStartPre=/usr/bin/sh -c 'tar --directory / --create bin lib lib64 sbin | docker import - worker'\n\
    ExecStart=/usr/bin/docker run --rm --name worker --network host --volume /usr:/usr:ro worker \
    /usr/bin/python3 -m http.server --directory /usr/share/zoneinfo $PORT\n"}}"#;

fn fleet(scene: &Scene, key: &Key) {
    let config = |more: &str| {
        let network = "networks: {mgmt: {match: {driver: [e1000e, virtio_net]}, address: rack}}";
        format!("{{hostname: '{{rack}}-b{{bay:02}}', ssh-keys: ['{}'], {network}{more}}}", key.public())
    };
    let disks = ", disks: {data: {match: {rotational: true}, count: 2, mount: /data}}";
    let role = |name: &str, more: &str| format!("  {name}: {{image: {name}, config: {}}}\n", config(more));
    let roles = role("compute", "") + &role("storage", disks) + &role("managed", WORKER);
    let sled = |((name, role, mac), bay): (&(&str, &str, &str), u32)| {
        format!("  {name}: {{rack: r1, bay: {bay}, role: {role}, macs: ['{mac}']}}\n")
    };
    scene.fleet_of(&roles, &SLEDS.iter().zip(1..).map(sled).collect::<String>());
}

fn states(status: &Value) -> Vec<&str> {
    status["sleds"].as_array().into_iter().flatten().filter_map(|sled| sled["state"].as_str()).collect()
}

/// Lets the page be looked at on the switch's network: it shows each sled in this state.
fn shows(scene: &Scene, browser: Browser, name: &'static str, words: [&'static str; 3]) -> Browser {
    scene.inside(move || {
        for ((sled, ..), word) in SLEDS.iter().zip(words) {
            let text = format!("return document.querySelector('[data-sled={sled}] .word').textContent");
            browser.until(&format!("{sled} is {word}"), &format!("{text} === '{word}'"));
        }
        browser.screenshot(name);
        browser
    })
}

#[test]
fn three_roles_at_once_get_ready_on_the_page_and_answer_ansible() {
    let mut scene = Scene::new("roles");
    let key = Key::new(&scene.dir);
    another("storage.yaml");
    managed(&scene.dir);
    fleet(&scene, &key);
    scene.serve(&["--pxe-range", "10.77.0.100,10.77.0.200"]);
    let profile = scene.dir.to_owned();
    let browser = scene.inside(move || {
        let browser = Browser::start(&profile);
        browser.go("http://10.77.0.1:8080/");
        browser.until("live", "return document.getElementById('link').textContent === 'live'");
        browser
    });
    let browser = shows(&scene, browser, "roles-1-expected.png", ["expected"; 3]);

    let [compute, storage, managed] = SLEDS.map(|(_, _, mac)| mac);
    let mut specs = [
        scene.blank(NicModel::E1000e, compute, Firmware::Bios),
        scene.blank(NicModel::Virtio, storage, machine::uefi_vars(&scene.dir).expect("OVMF is installed")),
        scene.blank(NicModel::E1000e, managed, Firmware::Bios),
    ];
    for spec in &mut specs {
        // Their images are larger than the one this is reckoned for.
        spec.memory += 200;
    }
    specs[1].disks = ["HDD-1", "HDD-2"].map(|serial| hdd(&scene.dir, serial, HDD, 512)).to_vec();
    let machines: Vec<_> =
        SLEDS.iter().zip(&specs).map(|((name, ..), spec)| scene.power_on(name, spec)).collect();
    let all = |state: &'static str| move |status: &Value| states(status) == [state; 3];
    scene.until("configuring", SOON, |status| states(status).contains(&"configuring"));
    let browser = scene.inside(move || {
        browser.screenshot("roles-2-on-the-way.png");
        browser
    });
    let status = scene.until("ready", READY, all("ready"));
    let browser = shows(&scene, browser, "roles-3-ready.png", ["ready"; 3]);
    for sled in status["sleds"].as_array().into_iter().flatten() {
        assert_eq!(sled["findings"], serde_json::json!([]), "{sled:#}");
    }
    let browser = scene.inside(move || {
        browser.run("document.querySelector('[data-sled=r1-b02]').click()");
        browser.until("its detail", "return document.getElementById('detail').open && document.querySelectorAll('svg.chart rect').length > 5");
        browser.screenshot("roles-4-storage.png");
        browser
    });
    scene.inside(move || drop(browser));

    let inventory = scene.dir.join("inventory.json");
    let exported = scene.sledos(&["fleet", "export", "ansible", "--fleet", "DIR/fleet.yaml"]);
    std::fs::write(&inventory, exported).expect("the directory is there");
    let said = ansible(&scene, &inventory, &key, &["command", "--args", "sledctl status"]);
    assert!(said.contains("worker.service answers 200"), "{said}");
    let said = ansible(&scene, &inventory, &key, &["setup"]);
    let facts: Value = said
        .split_once("SUCCESS => ")
        .and_then(|(_, json)| serde_json::from_str(json).ok())
        .unwrap_or_else(|| panic!("{said}"));
    let facts = &facts["ansible_facts"];
    assert_eq!(facts["ansible_hostname"], "r1-b03");
    assert_eq!(facts["ansible_service_mgr"], "systemd");
    let addresses = facts["ansible_all_ipv4_addresses"].to_string();
    assert!(addresses.contains("\"10.77.0.13\""), "{addresses}");

    for (machine, (sled, role, _)) in machines.into_iter().zip(SLEDS) {
        let said = machine.power_off(READY).expect("goes off");
        assert_eq!(console::trouble(&said), Vec::<&str>::new());
        assert_eq!(said.contains("worker is drained"), role == "managed", "{sled}: {said}");
    }
}

/// What a module says of the third role.
fn ansible(scene: &Scene, inventory: &Path, key: &Key, module: &[&str]) -> String {
    let out = scene
        .namespace
        .command("ansible")
        .args(["role_managed", "--module-name"])
        .args(module)
        .arg("--inventory")
        .arg(inventory)
        .arg("--private-key")
        .arg(key.file())
        .args(["--ssh-common-args", "-F none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"])
        .args(["--timeout", "120"])
        .env("LC_ALL", "C.UTF-8")
        .env("ANSIBLE_NOCOLOR", "1")
        .env("ANSIBLE_LOCAL_TEMP", scene.dir.join("ansible"))
        .output()
        .expect("ip is there");
    let (stdout, stderr) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "ansible (Debian: ansible-core): {stdout}{stderr}");
    stdout.into_owned()
}
