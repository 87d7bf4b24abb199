//! Disks that are full or take no writes, and a sled that has nothing but its disk.

use super::{Case, Seen, forget, goes_on, scene, tell};
use crate::sleds::provision::support::{READY, SOON, Scene, compute, now};
use formats::gpt;
use sledos::qemu::MachineSpec;
use std::fs::{self, File};
use std::io::{Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const MACHINE_ID: &str = "0123456789abcdef0123456789abcdef\n";

fn run(command: &mut Command) -> bool {
    let out = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    out.status.success()
}

/// A disk with the image, and this ext4 filesystem as its ROOT.
fn installed(scene: &Scene, root: &Path) -> PathBuf {
    let file = scene.dir.join("disk.raw");
    let copied = run(Command::new("cp").arg("--sparse=always").arg(compute().join("disk.raw")).arg(&file));
    assert!(copied, "the disk can be copied");
    let disk = File::options().read(true).write(true).open(&file).expect("it was copied");
    let size = disk.metadata().expect("it is a file").len();
    let table = gpt::read(size, 512, |at, buffer| disk.read_exact_at(buffer, at)).expect("it has a table");
    let part = table.partitions.iter().find(|p| p.name == "ROOT").expect("it has a ROOT");
    let mut to = &disk;
    to.seek(SeekFrom::Start(part.start)).expect("it is that large");
    let copied = std::io::copy(&mut File::open(root).expect("it was made"), &mut to).expect("it fits");
    assert!(copied <= part.size);
    file
}

/// An ext4 filesystem of so many bytes with the files of a directory; nothing when they
/// do not fit.
fn ext4(dir: &Path, bytes: u64, to: &Path) -> bool {
    let _ = fs::remove_file(to);
    File::create(to).and_then(|file| file.set_len(bytes)).expect("a file can be made");
    run(Command::new("mke2fs")
        .args(["-q", "-F", "-t", "ext4", "-b", "4096", "-m", "0", "-d"])
        .arg(dir)
        .arg(to))
}

/// The directory that becomes ROOT, with `lib/sledos` in it.
fn var(scene: &Scene) -> PathBuf {
    let dir = scene.dir.join("var");
    fs::create_dir_all(dir.join("lib/sledos")).expect("a directory can be made");
    fs::write(dir.join("lib/sledos/machine-id"), MACHINE_ID).expect("a file can be written");
    dir
}

/// Plugs a disk in. `how` are further properties of the drive.
fn plug(spec: &mut MachineSpec, disk: &Path, how: &str) {
    let drive = format!("if=none,id=it,format=raw,{how},file={}", disk.display());
    spec.extra = vec!["-drive".into(), drive, "-device".into(), "virtio-blk-pci,drive=it".into()];
}

pub(super) fn disk_full(case: &Case) -> Seen {
    let (scene, mut spec) = scene(case);
    let (var, root) = (var(&scene), scene.dir.join("root.ext4"));
    // The largest file that still fits.
    let filler = File::create(var.join("filler")).expect("a file can be made");
    let (mut fits, mut over) = (0, 8 << 8);
    while over - fits > 1 {
        let blocks = u64::midpoint(fits, over);
        filler
            .set_len(0)
            .and_then(|()| filler.write_all_at(&vec![1; usize::try_from(blocks << 12).expect("small")], 0))
            .expect("it can be written");
        if ext4(&var, 8 << 20, &root) { fits = blocks } else { over = blocks }
    }
    filler.set_len(fits << 12).expect("it can be shortened");
    assert!(ext4(&var, 8 << 20, &root));
    plug(&mut spec, &installed(&scene, &root), "snapshot=on");
    let machine = scene.power_on(case.test, &spec);
    let seen = case.seen(&machine);
    goes_on(&machine);
    machine.wait_for("sledos: hand-over", SOON).expect("it comes up");
    seen
}

pub(super) fn read_only_disk(case: &Case) -> Seen {
    let (scene, mut spec) = scene(case);
    let root = scene.dir.join("root.ext4");
    assert!(ext4(&var(&scene), 8 << 20, &root));
    plug(&mut spec, &installed(&scene, &root), "readonly=on");
    let machine = scene.power_on(case.test, &spec);
    let console = machine.wait_off(READY).expect("it reboots");
    case.seen_in(&console)
}

pub(super) fn read_only_install(case: &Case) -> Seen {
    let (scene, mut spec) = scene(case);
    scene.serve("    install: {disk: {transport: [virtio], pick: first}}");
    let disk = scene.dir.join("blank.raw");
    File::create(&disk).and_then(|file| file.set_len(8 << 30)).expect("a sparse file can be made");
    plug(&mut spec, &disk, "readonly=on");
    let machine = scene.power_on(case.test, &spec);
    let console = machine.wait_off(READY).expect("it reboots");
    case.seen_in(&console)
}

pub(super) fn stale_document(case: &Case) -> Seen {
    let (scene, mut spec) = scene(case);
    forget(&scene);
    let yaml = scene.yaml(
        "",
        &crate::sleds::provision::support::sled("r1-b07", 7, crate::sleds::provision::support::MGMT),
    );
    scene.fleet.compile(&yaml, &scene.rack.web.url(), now() - 400 * 86_400);
    let (var, root) = (var(&scene), scene.dir.join("root.ext4"));
    let document = scene.fleet.root.join("v1/mac/52-54-00-00-07-01.json");
    for (from, to) in [("json", "document.json"), ("json.minisig", "document.minisig")] {
        fs::copy(document.with_extension(from), var.join("lib/sledos").join(to)).expect("it was compiled");
    }
    assert!(ext4(&var, 8 << 20, &root));
    plug(&mut spec, &installed(&scene, &root), "snapshot=on");
    tell(&mut spec, "sledos.patience=3");
    scene.rack.web.set_down(true);
    let machine = scene.power_on(case.test, &spec);
    let seen = case.seen(&machine);
    machine.wait_for("sledos: hand-over", SOON).expect("it comes up");
    seen
}
