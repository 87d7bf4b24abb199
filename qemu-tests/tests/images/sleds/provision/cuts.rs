//! The power goes anywhere while a sled installs itself on a pair of disks and prepares a data
//! disk, updates itself, marks its image good, and fills a new half of the pair: from what is
//! left on the disks it comes up by itself, and what was on them is there.

mod judged;

use self::judged::Host;
use super::support::{self, MGMT, READY, SOON, Scene, said, sled};
use formats::layout::Role;
use formats::{gpt, md};
use qemu_tests::cuts::{self, Bay, Recording};
use qemu_tests::{console, guest, judge};
use sledos::qemu::{Boot, Machine, MachineSpec, machine};
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

const SSD: u64 = 5 << 30;
const HDD: u64 = 2 << 30;
/// The pair, and a data disk.
const DISKS: [(u64, &str); 3] = [
    (SSD, "nvme,serial=SSD-A"),
    (SSD, "nvme,serial=SSD-B"),
    (HDD, "scsi-hd,serial=HDD-A,rotation_rate=7200,discard_granularity=0"),
];
const PAIR: Range<u64> = 0..2 * SSD;
const DATA: Range<u64> = 2 * SSD..2 * SSD + HDD;
/// How many cuts there are in all, at least: `SLEDOS_CUTS`.
const CUTS: usize = 20;
/// Cuts of each operation with one seed. The last one comes up to `ready`, the others to the
/// start of systemd.
const ROUND: usize = 5;
/// How many are judged without a start: `SLEDOS_CUTS_JUDGED`.
const JUDGED: usize = 200;
/// More starts than a cut may cost.
const STARTS: usize = 4;
/// How a start of PID 1 ends.
const ENDS: [&str; 2] = ["sledos: hand-over", "reboots now: starts another image"];

/// A number that the environment may set.
pub(super) fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// What places and luck come from: `SLEDOS_CUTS_SEED`.
pub(super) fn seed() -> u64 {
    setting("SLEDOS_CUTS_SEED", 1) as u64
}

/// What a sled has to come up with.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'w> {
    pub(super) image: &'w str,
    /// What it was before, when that is on /var for sure.
    pub(super) machine_id: Option<&'w str>,
}

/// Starts a sled until PID 1 hands over to systemd, with /usr and /var from its disks; returns
/// how many starts that took.
///
/// # Errors
/// What is not as it should be, with all that PID 1 said.
pub(super) fn comes_up(
    scene: &Scene,
    name: &str,
    spec: &MachineSpec,
    wanted: Wanted<'_>,
) -> Result<(Machine, usize), String> {
    for start in 1..=STARTS {
        let machine = scene.power_on(name, spec);
        let console = machine
            .wait_until(ENDS[0], SOON, |said| ENDS.iter().any(|end| said.contains(end)))
            .map_err(|error| error.to_string())?;
        if !console.contains(ENDS[0]) {
            machine.wait_off(SOON).map_err(|error| error.to_string())?;
            continue;
        }
        let id = console::machine_id(&console);
        let right = [
            (console::image(&console) == Some(wanted.image), "another image"),
            (console.contains("sledos: var: mounted from "), "no /var"),
            (wanted.machine_id.is_none_or(|known| id == Some(known)), "another /var"),
            (!console.contains("SLED-"), "a failure"),
            (!console.contains("data: refuse"), "a data disk that is refused"),
        ];
        return match right.iter().find(|(right, _)| !right) {
            None => Ok((machine, start)),
            Some((_, what)) => Err(format!("{what}:\n{}", said(&console))),
        };
    }
    Err(format!("restarts {STARTS} times"))
}

/// A sled, and the file that all its disks are in.
struct Bench {
    scene: Scene,
    bay: PathBuf,
    from_network: MachineSpec,
}

/// What is cut.
struct Operation {
    name: &'static str,
    /// The disks before it.
    before: PathBuf,
    /// What it wrote.
    log: PathBuf,
    /// The documents that are served.
    documents: PathBuf,
    /// Where its writes are.
    parts: Vec<Range<u64>>,
    /// The image that comes up in the end.
    image: &'static str,
    /// How many of the pair have an image and a /var whatever happens.
    halves: usize,
    /// Whether it is started from the network.
    from_network: bool,
    /// Whether the data disk has to serve before a start counts.
    serves: bool,
}

/// All of them, by what was recorded in this directory; `installed` is a bay with the pair.
fn operations(dir: &Path, installed: &Path) -> [Operation; 5] {
    let of = |record: &str, name, image, halves, parts| {
        let [before, log, documents] =
            ["before", "writes", "documents"].map(|what| dir.join(format!("{record}.{what}")));
        let (from_network, serves) = (record == "install", name == "data disks");
        Operation { name, before, log, documents, parts, image, halves, from_network, serves }
    };
    [
        of("good", "mark good", "test-2", 2, esps(installed)),
        of("heal", "heal", "test-2", 1, vec![PAIR]),
        of("update", "update", "test-2", 2, vec![PAIR]),
        of("install", "data disks", "test", 0, vec![DATA]),
        of("install", "install", "test", 0, vec![PAIR]),
    ]
}

/// Where the ESPs of the pair are.
fn esps(bay: &Path) -> Vec<Range<u64>> {
    let disk = File::open(bay).expect("it is there");
    let esp = |start: u64| {
        let read = |at: u64, buffer: &mut [u8]| disk.read_exact_at(buffer, start + at);
        let table = gpt::read(SSD, 512, read).expect("the disk has a table");
        let esp = table.partitions.into_iter().find(|p| p.name == Role::Esp.label()).expect("an ESP");
        start + esp.start..start + esp.start + esp.size
    };
    vec![esp(0), esp(SSD)]
}

/// Judges as many cuts of each operation as are wanted, without a start.
fn judge(host: &Host, operations: &[&Operation]) {
    let (mut done, mut lost) = (0, Vec::new());
    let each = setting("SLEDOS_CUTS_JUDGED", JUDGED).div_ceil(operations.len().max(1));
    for what in operations {
        let (more, gone) = host.cut(what, each, seed());
        done += more;
        lost.extend(gone);
    }
    println!("{done} cuts judged, {} lost", lost.len());
    assert!(lost.is_empty(), "{lost:#?}");
}

impl Bench {
    fn path(&self, name: &str) -> PathBuf {
        self.scene.dir.join(name)
    }

    /// The sled, started from its disks by a firmware that knows nothing yet.
    fn disk_start(&self) -> MachineSpec {
        let firmware = machine::uefi_vars(&self.scene.dir).expect("OVMF is installed");
        MachineSpec { boot: Boot::Disk, firmware, ..self.from_network.clone() }
    }

    /// Serves a document with this image.
    fn document(&self, image: &str) {
        let install = "    install: {disk: {transport: [nvme], pick: first}, mirror: true}";
        let data = "config: {disks: {data: {match: {rotational: true}, count: 1, mount: /data}}}";
        let sled = sled("r1-b07", 7, MGMT).replace("}\n", &format!(", {data}}}\n"));
        let yaml = self.scene.yaml(install, &sled);
        self.scene.serve_text(&yaml.replace("image: compute", &format!("image: compute@{image}")));
    }

    /// Runs the sled with its disks recorded.
    fn record(&self, name: &str, spec: &MachineSpec, run: impl FnOnce(Machine)) {
        let [before, log, documents] =
            ["before", "writes", "documents"].map(|what| self.path(&format!("{name}.{what}")));
        copy(&self.bay, &before);
        copy(&self.scene.fleet.root.join("v1"), &documents);
        cuts::empty(log.clone(), 0).expect("a file can be made");
        let mut spec = spec.clone();
        spec.extra = cuts::arguments(Bay::Recorded { file: &self.bay, log: &log }, &DISKS);
        run(self.scene.power_on(name, &spec));
    }

    /// Cuts an operation at some places, and starts the sled from each. Returns how many there
    /// were, and what was lost.
    fn cut(&self, what: &Operation, count: usize, seed: u64, machine_id: &str) -> (usize, Vec<String>) {
        let documents = self.scene.fleet.root.join("v1");
        std::fs::remove_dir_all(&documents).expect("documents are served");
        copy(&what.documents, &documents);
        let recording = Recording::open(&what.log).expect("QEMU wrote it");
        let places = recording.places(count, &what.parts, seed);
        println!("{}: {} writes and flushes, cut at {places:?}", what.name, recording.len());
        let base = self.path("cut.raw");
        let mut rebuilt = recording.rebuild(&what.before, &base).expect("there is room");
        let machine_id = (what.halves > 0).then_some(machine_id);
        let wanted = Wanted { image: what.image, machine_id };
        let mut lost = Vec::new();
        for (n, after) in places.iter().enumerate() {
            rebuilt.cut(*after, seed ^ *after as u64).expect("the places are in order");
            // The last one as far as it goes.
            let far = n + 1 == places.len();
            match self.start(&base, what, wanted, far) {
                Ok(starts) => println!("{} cut at {after}: {starts} starts, to ready: {far}", what.name),
                Err(why) => {
                    println!("{} cut at {after}: LOST: {why}", what.name);
                    lost.push(format!("{}, seed {seed}, cut at {after}: {why}", what.name));
                }
            }
        }
        (places.len(), lost)
    }

    /// Starts the sled from these disks, which stay; `far` is to `ready`.
    fn start(&self, base: &Path, what: &Operation, wanted: Wanted<'_>, far: bool) -> Result<usize, String> {
        let layer = cuts::over(base, self.path("layer.qcow2"));
        let mut spec = if what.from_network { self.from_network.clone() } else { self.disk_start() };
        spec.extra = cuts::arguments(Bay::Over(&layer), &DISKS);
        let (machine, starts) = comes_up(&self.scene, "cut", &spec, wanted)?;
        if what.serves {
            let serves = machine.wait_for("sledos: disks: 1 data disks serve, 0 fail, 0 refused", READY);
            serves.map_err(|error| error.to_string())?;
        }
        if far {
            machine.wait_for(guest::READY, READY).map_err(|error| error.to_string())?;
            let guest = self.scene.ready(machine, MGMT);
            let kept = guest.run("cat /var/marker || true; systemctl --failed --no-legend --plain");
            if what.halves > 0 && kept.trim() != "kept" {
                return Err(format!("what was on /var is not there, or a unit failed: {kept}"));
            }
            let console = guest.power_off().map_err(|error| error.to_string())?;
            let trouble = console::trouble(&console);
            if !trouble.is_empty() {
                return Err(format!("{trouble:?}"));
            }
            self.judge(&layer);
        }
        Ok(starts)
    }

    /// Other people's tools find nothing wrong with the disks of a sled that was switched off, and
    /// the halves of the pair are of one mind.
    fn judge(&self, layer: &Path) {
        let raw = self.path("judged.raw");
        let args = ["convert", "-q", "-f", "qcow2", "-O", "raw"].map(std::ffi::OsStr::new);
        judge::run("qemu-utils", "qemu-img", args.into_iter().chain([layer.as_os_str(), raw.as_os_str()]));
        let disk = File::open(&raw).expect("it was made just now");
        let mut events = Vec::new();
        let mut start = 0;
        for (bytes, _) in DISKS {
            let read = |at: u64, buffer: &mut [u8]| disk.read_exact_at(buffer, start + at);
            let table = gpt::read(bytes, 512, read).expect("each disk has a table");
            for partition in &table.partitions {
                let from = start + partition.start;
                let role = |role: Role| partition.name == role.label();
                if role(Role::Esp) {
                    let file = self.part(&raw, from, partition.size);
                    judge::run("dosfstools", "fsck.fat", ["-n".as_ref(), file.as_os_str()]);
                } else if role(Role::Root) {
                    let mut superblock = [0; 4096];
                    disk.read_exact_at(&mut superblock, from + md::SUPERBLOCK).expect("it is there");
                    events.push(md::parse(&superblock).expect("half of an array").events);
                    let file = self.part(&raw, from + md::DATA, partition.size - md::DATA);
                    judge::run("e2fsprogs", "e2fsck", ["-f".as_ref(), "-n".as_ref(), file.as_os_str()]);
                } else if DATA.contains(&start) {
                    let file = self.part(&raw, from, partition.size);
                    judge::run("xfsprogs", "xfs_repair", ["-n".as_ref(), "-f".as_ref(), file.as_os_str()]);
                }
            }
            start += bytes;
        }
        assert!(events.len() == 2 && events[0] == events[1], "the halves are of one mind: {events:?}");
    }

    /// A part of a disk as a file.
    fn part(&self, disk: &Path, from: u64, bytes: u64) -> PathBuf {
        let part = self.path("part.raw");
        cuts::part(disk, from..from + bytes, &part).expect("there is room");
        part
    }
}

/// Copies a disk, or a directory.
pub(super) fn copy(from: &Path, to: &Path) {
    judge::run(
        "coreutils",
        "cp",
        ["-a".as_ref(), "--sparse=always".as_ref(), "--".as_ref(), from.as_os_str(), to.as_os_str()],
    );
}

#[test]
#[ignore = "hours; see CONTRIBUTING.md"]
fn whatever_it_was_doing_a_sled_comes_up_after_a_power_cut() {
    let scene = Scene::new("cuts");
    scene.add_images(&[support::compute_2()]);
    let bay = cuts::empty(scene.dir.join("bay.raw"), DATA.end).expect("there is room");
    let from_network = scene.blank(2048);
    let bench = Bench { scene, bay, from_network };

    bench.document("test");
    let mut machine_id = String::new();
    bench.record("install", &bench.from_network, |machine| {
        let guest = bench.scene.ready(machine, MGMT);
        machine_id = guest.run("cat /etc/machine-id").trim().to_owned();
        guest.run("echo kept > /var/marker; sync");
        println!("{}", guest.run("lsblk -o NAME,SIZE,PARTLABEL,MOUNTPOINTS; cat /proc/mdstat"));
        guest.power_off().expect("goes off");
    });
    bench.document("test-2");
    bench.record("update", &bench.disk_start(), |machine| {
        let all = machine.wait_off(READY).expect("it restarts by itself");
        assert!(all.contains("reboots now: starts another image"), "{}", said(&all));
    });
    bench.record("good", &bench.disk_start(), |machine| {
        let guest = bench.scene.ready(machine, MGMT);
        println!("{}", guest.run("sledctl status"));
        guest.power_off().expect("goes off");
    });
    // A blank disk in the place of one of the pair.
    let hole = [format!("--offset={SSD}"), format!("--length={SSD}"), bench.bay.display().to_string()];
    judge::run("util-linux", "fallocate", ["--punch-hole".to_owned()].into_iter().chain(hole));
    bench.record("heal", &bench.disk_start(), |machine| {
        let guest = bench.scene.ready(machine, MGMT);
        let both =
            "for n in $(seq 600); do grep -q '\\[2/2\\] \\[UU\\]' /proc/mdstat && break; sleep 1; done";
        println!("{}", guest.run(&format!("{both}; cat /proc/mdstat; sledctl status")));
        guest.power_off().expect("goes off");
    });

    let operations = operations(&bench.scene.dir, &bench.bay);
    let host = Host::new(&bench.scene.dir, &[support::compute(), support::compute_2()], &bench.bay);
    judge(&host, &operations.iter().collect::<Vec<_>>());
    let rounds = setting("SLEDOS_CUTS", CUTS).div_ceil(ROUND * operations.len());
    let (mut done, mut lost) = (0, Vec::new());
    for seed in (seed()..).take(rounds) {
        for operation in &operations {
            let (more, gone) = bench.cut(operation, ROUND, seed, &machine_id);
            done += more;
            lost.extend(gone);
        }
        println!("seed {seed}: {done} cuts started, {} lost", lost.len());
    }
    assert!(lost.is_empty(), "{lost:#?}");
}
