//! A rack's first machine is set up over its serial line alone; then the others come up
//! from it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::support::{READY, SOON, Scene, compute, tmp};
use qemu_tests::{console, image, judge, program};
use serde_json::Value;
use sledos::cli::boot::FirmwareKind;
use sledos::qemu::{Firmware, Link, Machine, MachineSpec, Nic, NicModel, machine};

/// The seed, where the test's own server is elsewhere.
const SEED: &str = "10.77.0.2";
/// Sleds by name, each with its MAC address.
const SLEDS: [(&str, &str); 3] =
    [("r1-b01", "52:54:00:00:01:01"), ("r1-b02", "52:54:00:00:02:01"), ("r1-b03", "52:54:00:00:03:01")];

/// Who pastes it knows neither the seed's address nor its key.
const FLEET: &str = "fleet: pasted # over a serial line
images: {trust: none}
racks:
  r1: {bays: 8}
roles:
  compute:
    image: compute
    config:
      networks: {mgmt: {match: {driver: [e1000e, virtio_net]}, address: dhcp}}
sleds:
";

fn fleet() -> String {
    let sleds = SLEDS.iter().zip(1..);
    let lines = sleds.map(|((name, mac), bay): (_, u32)| {
        format!("  {name}: {{rack: r1, bay: {bay}, role: compute, macs: ['{mac}']}}\n")
    });
    FLEET.to_owned() + &lines.collect::<String>()
}

/// The seed's image, with this very program in it.
fn seed() -> &'static Path {
    static IMAGE: OnceLock<PathBuf> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let mut request = image::request("seed.yaml", &tmp().join("output-seed"));
        request.components = vec![("sledos".to_owned(), program::static_sledos(tmp()).to_owned())];
        request.require_components = true;
        image::build(request).dir
    })
}

/// A stick with the compute image on it; the disk of an image is nothing for a server.
fn stick(dir: &Path) -> PathBuf {
    let (tree, file) = (dir.join("stick"), dir.join("stick.img"));
    let to = tree.join("images/compute/test");
    std::fs::create_dir_all(&to).expect("the directory can be made");
    let mut size = 32 << 20;
    for entry in std::fs::read_dir(compute()).expect("the image is there").map_while(Result::ok) {
        if !entry.file_name().to_string_lossy().starts_with("disk.raw") {
            size += std::fs::copy(entry.path(), to.join(entry.file_name())).expect("it can be copied");
        }
    }
    let made = std::fs::File::create(&file).and_then(|file| file.set_len(size + size / 10));
    made.expect("the directory can be written");
    let [tree, file] = [tree, file].map(std::ffi::OsString::from);
    let args = ["-q", "-t", "ext4", "-L", "SLEDOS", "-d"].map(std::ffi::OsString::from);
    judge::run("e2fsprogs", "mke2fs", args.into_iter().chain([tree, file.clone()]));
    file.into()
}

/// The seed's machine: a disk, one cable, a stick in a USB port.
fn spec(scene: &Scene) -> MachineSpec {
    let spec = sledos::cli::boot::spec(seed(), FirmwareKind::Bios, 3 << 30, &scene.dir);
    let mut spec = spec.expect("the image is there");
    let stick = stick(&scene.dir).display().to_string().replace(',', ",,");
    let drive = format!("if=none,id=stick,format=raw,readonly=on,file={stick}");
    let usb = ["-device", "qemu-xhci", "-drive", &drive, "-device", "usb-storage,drive=stick"];
    spec.extra = usb.map(str::to_owned).to_vec();
    spec.memory = 1536;
    let link = Link::Tap(scene.namespace.tap());
    spec.nics = vec![Nic { model: NicModel::Virtio, link, mac: Some("52:54:00:00:00:02".to_owned()) }];
    spec.netns = Some(scene.namespace.name().to_owned());
    spec
}

/// Somebody at the console, who reads each question before he answers.
struct Operator {
    machine: Machine,
    /// How often each question was answered.
    answered: BTreeMap<&'static str, usize>,
}

impl Operator {
    fn answer(&mut self, question: &'static str, text: &str) {
        let count = self.answered.entry(question).or_default();
        *count += 1;
        let (count, is) = (*count, |said: &str, n| said.matches(question).count() >= n);
        let seen = self.machine.wait_until(question, SOON, |said| is(said, count));
        seen.unwrap_or_else(|e| panic!("{e}"));
        self.machine.type_in(&format!("{text}\r")).expect("it runs");
    }

    fn paste(&mut self, text: &str) {
        self.answer("The fleet file:", "paste");
        self.answer("is its end.", &format!("{}.", text.replace('\n', "\r")));
    }

    fn reads(&self, text: &str) {
        self.machine.wait_for(text, SOON).unwrap_or_else(|e| panic!("{e}"));
    }
}

/// What the seed says of its sleds, once it does and `good` holds.
fn until(scene: &Scene, what: &str, deadline: Duration, good: impl Fn(&Value) -> bool) -> Value {
    let wait = Instant::now();
    loop {
        let got = scene.inside(|| {
            sledos::serve::client::get(&format!("http://{SEED}:8080"), "/v1/status")
                .map_err(|e| e.to_string())
        });
        match got {
            Ok(status) if good(&status) => return status,
            got => assert!(wait.elapsed() < deadline, "not {what}: {got:#?}"),
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

fn is(status: &Value, sled: &str, state: &str) -> bool {
    status["sleds"].as_array().is_some_and(|all| all.iter().any(|s| s["sled"] == sled && s["state"] == state))
}

#[test]
fn a_seed_is_set_up_over_its_serial_line_and_three_blank_sleds_come_up_from_it() {
    let scene = Scene::new("seed");
    let spec = spec(&scene);
    let mut operator = Operator { machine: scene.power_on("seed", &spec), answered: BTreeMap::new() };
    // One card has a cable: Enter takes it.
    operator.answer("Which one is on the sleds' network?", "");
    operator.answer("Address of this seed there", "10.77.0.255/24");
    operator.reads("10.77.0.255 stands for the whole network; machines have 10.77.0.1 to 10.77.0.254");
    operator.answer("Address of this seed there", &format!("{SEED}/24"));
    operator.answer("gives addresses there:", "10.77.0.100,10.77.0.200");
    operator.answer("The key that signs:", "");
    operator.answer("Images:", "usb");
    operator.paste(&fleet().replace("bays: 8", "bay: 8"));
    operator.reads("pasted:4:8");
    operator.reads("did you mean `bays`?");
    operator.paste(&fleet());
    operator.reads("copy the image compute/test, ");
    operator.reads("serve the fleet `pasted` of 3 sleds in 1 racks at http://10.77.0.2:8080/");
    operator.answer("Do that?", "yes");
    operator.reads("The server answers.");

    // From here on nobody touches it.
    until(&scene, "compiled", SOON, |status| SLEDS.iter().all(|(name, _)| is(status, name, "expected")));
    let blank = |n: usize, model, firmware| scene.blank(model, SLEDS[n].1, firmware);
    let uefi = machine::uefi_vars(&scene.dir).expect("OVMF is installed");
    let both = [
        scene.power_on("bios", &blank(0, NicModel::E1000e, Firmware::Bios)),
        scene.power_on("uefi", &blank(1, NicModel::Virtio, uefi)),
    ];
    let two = |status: &Value| SLEDS[..2].iter().all(|(name, _)| is(status, name, "ready"));
    let status = until(&scene, "ready, both", READY, two);
    assert_eq!(status["sleds"][0]["findings"], serde_json::json!([]), "{status:#}");
    for machine in both {
        let all = machine.power_off(READY).expect("goes off");
        assert_eq!(console::trouble(&all), Vec::<&str>::new());
    }

    // Its power is cut. It comes back by itself, and knows what it knew.
    drop(operator);
    let again = scene.power_on("again", &spec);
    let status = until(&scene, "back", SOON, |_| true);
    assert!(two(&status), "{status:#}");
    let third = scene.power_on("third", &blank(2, NicModel::Virtio, Firmware::Bios));
    until(&scene, "configured, the third", READY, |status| {
        ["configuring", "ready"].iter().any(|state| is(status, SLEDS[2].0, state))
    });
    drop(third);
    let said = again.console();
    assert!(said.contains("It serves http://10.77.0.2:8080/"), "{said}");
    assert!(!said.contains("Which one is on"), "it asks nothing: {said}");
    assert_eq!(console::trouble(&said), Vec::<&str>::new());
}
