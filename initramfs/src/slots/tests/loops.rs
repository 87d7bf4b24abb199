//! Real block devices, with 512 and 4096 bytes a sector, judged by the tools of others.
//! Needs root and loop devices; without them the tests fail and say so.

use super::*;
use crate::slots::device as devices;
use crate::slots::disk::BlockDevice;
use formats::layout::Role;
use formats::squashfs::{NoCache, Options as Squash};
use formats::tree::{Node, Origin, Tree, TreePath};
use metadata::document;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use syscalls::loopdev::{self, Loop};

/// A sparse file as a disk.
pub(crate) struct Sparse {
    device: Loop,
    _file: tempfile::NamedTempFile,
}

impl Sparse {
    pub(crate) fn new(bytes: u64, sector: u32) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(bytes).unwrap();
        let device = loopdev::attach(file.as_file(), sector, false)
            .unwrap_or_else(|e| panic!("no loop device ({e}): this test needs root and /dev/loop-control"));
        Self { device, _file: file }
    }

    pub(crate) fn name(&self) -> String {
        self.device.node.file_name().unwrap().to_str().unwrap().to_owned()
    }

    /// Its device node.
    pub(crate) fn node(&self) -> &Path {
        &self.device.node
    }

    pub(crate) fn look(&self) -> Device {
        devices::device(&disks::look_at(&self.name()).unwrap())
    }

    /// Copies a partition, at most so much of it, into a file for a judge.
    fn part(&self, dir: &Path, partition: &gpt::Partition, most: u64) -> PathBuf {
        let path = dir.join(&partition.name);
        let mut bytes = vec![0; usize::try_from(partition.size.min(most)).unwrap()];
        File::open(&self.device.node).unwrap().read_exact_at(&mut bytes, partition.start).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

/// Runs a judge, which must succeed; what it said.
pub(crate) fn judge(package: &str, tool: &str, args: &[&str]) -> String {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let out = Command::new(tool)
        .args(args)
        .env("PATH", path)
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap_or_else(|e| panic!("cannot run {tool} ({e}): install the package {package}"));
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{tool} {args:?}: {said}{}", String::from_utf8_lossy(&out.stderr));
    said
}

/// A /usr with a boot loader and some data in it, and the directory it would be mounted at.
fn usr(version: &str) -> (Image, Files, tempfile::TempDir) {
    let origin = Origin::Fixup("test");
    let mut tree = Tree::new(Node::dir(origin.clone()));
    let loader = "lib/systemd/boot/efi/systemd-bootx64.efi";
    let noise: Vec<u8> = (0..40_000_u32).flat_map(|n| Sha256::digest(n.to_le_bytes())).collect();
    for (name, bytes) in
        [(loader, b"MZ a boot loader".to_vec()), ("share/noise", noise), ("share/v", version.into())]
    {
        tree.insert(TreePath::parse(name.as_bytes()).unwrap(), Node::file(bytes, 0o644, origin.clone()))
            .unwrap();
    }
    let mut out = io::Cursor::new(Vec::new());
    let options = Squash { block_size: 128 << 10, level: 1, mtime: NOW };
    formats::squashfs::write(&tree, &options, &NoCache, &mut out).unwrap();
    let (image, files) = of_usr(version, out.into_inner());
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join(loader).parent().unwrap()).unwrap();
    std::fs::write(dir.path().join(loader), b"MZ a boot loader").unwrap();
    (image, files, dir)
}

/// What others say of a disk with this image.
fn check(disk: &Sparse, image: &Image, found: &Found) {
    let node = disk.device.node.to_str().unwrap();
    let said = judge("gdisk", "sgdisk", &["-v", node]);
    assert!(said.contains("No problems found."), "{said}");
    let dir = tempfile::tempdir().unwrap();
    let Content::Gpt(table) = disks::look_at(&disk.name()).unwrap().content else { panic!("no table") };
    assert_eq!(table.partitions.len(), 7);
    for partition in &table.partitions {
        let most = if partition.name.starts_with("USR") { 32 << 20 } else { 1 << 30 };
        let path = disk.part(dir.path(), partition, most);
        let path = path.to_str().unwrap();
        match partition.name.as_str() {
            "ROOT" | "OEM" => drop(judge("e2fsprogs", "e2fsck", &["-fn", path])),
            "EFI-SYSTEM" => {
                let said = judge("dosfstools", "fsck.fat", &["-n", path]);
                assert_eq!(said.lines().count(), 2, "{said}");
            }
            _ => {}
        }
        if partition.name == "OEM" {
            let said = judge("e2fsprogs", "debugfs", &["-R", "cat sledos.conf", path]);
            assert_eq!(said, "report=http://seed/\n");
        }
    }
    let at = |p: &gpt::Partition| dir.path().join(&p.name).to_str().unwrap().to_owned();
    let root_hash = verity::hex(&image.root_hash.0);
    judge("cryptsetup-bin", "veritysetup", &["verify", &at(&found.usr), &at(&found.verity), &root_hash]);
}

#[test]
fn an_installation_and_an_update_on_both_kinds_of_sectors() {
    for sector in [512, 4096] {
        // 300 MiB more than is needed, and not whole MiB.
        let disk = Sparse::new((2400 << 20) + 3 * 4096, sector);
        let install = anything();
        let what = installation(&install);
        let log = log();
        let mut first_root = None;
        for version in ["1", "2"] {
            let (image, files, mounted) = usr(version);
            let files = files.with(&[Fault::None, Fault::Break(300_000), Fault::Flip(77)]);
            let job = Job { image: &image, source: &files, log: &log, machine: &Kernel };
            let device = disk.look();
            assert_eq!(device.sector, sector);
            assert_eq!(device.path, format!("virtual/block/{}", disk.name()));
            let found = install_on(&job, &what, &device).unwrap();
            assert_eq!(found.usr.name, if version == "1" { "USR-A" } else { "USR-B" });
            let root = found.root.clone().unwrap();
            assert_eq!(*first_root.get_or_insert(root.clone()), root);

            // What the kernel sees through the partition is what was written.
            let node = disks::device_of(&disk.name(), &found.usr).unwrap();
            let mut through = vec![0; files.files["usr.squashfs"].len()];
            File::open(node).unwrap().read_exact_at(&mut through, 0).unwrap();
            assert!(through == files.files["usr.squashfs"]);

            let said = boot_files(&job, &found, mounted.path(), NOW).unwrap();
            assert_eq!(said.contains("beside the image of the other slot"), version == "2", "{said}");
            let said = boot_files(&job, &found, mounted.path(), NOW).unwrap();
            assert!(said.ends_with("already"), "{said}");
            check(&disk, &image, &found);
        }
        assert!(matches!(disk.look().state, classify::State::Ours(_)));
    }
}

/// sfdisk is told sizes and ids, and finds the places itself.
#[test]
fn the_partitions_are_those_that_sfdisk_makes_of_the_same_sizes() {
    for (sector, seed) in [512_u64, 4096].into_iter().flat_map(|s| (0_u8..6).map(move |n| (s, n))) {
        let noise = Sha256::digest([seed]);
        let mib =
            |at: usize, least: u64, most: u64| (least + u64::from(noise[at]) * (most - least) / 256) << 20;
        // The least that FAT32 has with sectors of 4096 bytes are 257 MiB.
        let (esp, usr, verity) = (mib(0, 257, 400), mib(1, 1, 3000), mib(2, 1, 60));
        let (oem, root) = (mib(3, 8, 300), mib(4, 96, 900));
        let bytes = (10 << 30) + u64::from(noise[5]) * 4096 * 77;
        let disk = Sparse::new(bytes, u32::try_from(sector).unwrap());
        let image =
            Image { layout: Some(document::Layout { esp, usr, verity, oem, root }), ..image("1", 1).0 };
        let ids = Ids::new(&super::random).unwrap();
        let plan = Plan::new(&disk.look(), Wipe::Never, &image, &Slots::default(), None, &ids, NOW).unwrap();

        // Its own "to the end" stops before the last MiB that it may use.
        let end = (bytes - (1 << 20)) >> 20 << 20;
        let rest = end - (1 << 20) - esp - 2 * (usr + verity) - oem;
        let mut script = format!("label: gpt\nlabel-id: {}\n", plan.table.disk_guid);
        let sizes = [esp, usr, verity, usr, verity, oem, rest];
        for ((role, size), number) in Role::ALL.into_iter().zip(sizes).zip(1..) {
            let size = size / sector;
            let (kind, id) = (role.type_guid(), plan.partition(number).unwrap().guid);
            script += &format!("size={size}, type={kind}, uuid={id}, name=\"{}\"\n", role.label());
        }
        let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
        let mut sfdisk = Command::new("sfdisk")
            .args(["--quiet", "--wipe=always", disk.node().to_str().unwrap()])
            .env("PATH", path)
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("cannot run sfdisk ({e}): install the package fdisk"));
        io::Write::write_all(&mut sfdisk.stdin.take().unwrap(), script.as_bytes()).unwrap();
        assert!(sfdisk.wait().unwrap().success(), "{script}");
        let Content::Gpt(table) = disks::look_at(&disk.name()).unwrap().content else { panic!("no table") };
        assert_eq!(table.disk_guid, plan.table.disk_guid);
        assert_eq!(table.partitions, plan.table.partitions, "{script}");
    }
}

#[test]
fn root_mounts_and_grows_to_its_partition() {
    let disk = Sparse::new(2600 << 20, 512);
    let (image, files, _) = usr("1");
    let log = log();
    let job = Job { image: &image, source: &files, log: &log, machine: &Kernel };
    let install = anything();
    let found = install_on(&job, &installation(&install), &disk.look()).unwrap();
    let root = found.root.unwrap();
    let node = disks::device_of(&disk.name(), &root).unwrap();
    let node = node.to_str().unwrap();
    assert!(root.size > 256 << 20);
    judge("e2fsprogs", "e2fsck", &["-fn", node]);
    judge("e2fsprogs", "resize2fs", &[node]);
    judge("e2fsprogs", "e2fsck", &["-fn", node]);
    let said = judge("e2fsprogs", "dumpe2fs", &["-h", node]);
    let blocks = format!("Block count:              {}", root.size / 4096);
    assert!(said.contains(&blocks), "no {blocks:?} in {said}");
    assert!(said.contains("Filesystem volume name:   ROOT"), "{said}");
}

#[test]
fn what_mkfs_and_others_leave_is_recognised() {
    let disk = Sparse::new(400 << 20, 512);
    let node = disk.device.node.to_str().unwrap();
    assert_eq!(disk.look().state, classify::State::Blank);
    for (package, tool, args, what) in [
        ("e2fsprogs", "mke2fs", &["-q", "-F"] as &[_], "an ext2/3/4 filesystem"),
        ("dosfstools", "mkfs.fat", &["-I"], "a FAT filesystem"),
        ("util-linux", "mkswap", &["-q"], "swap space"),
        ("gdisk", "sgdisk", &["-n", "1:0:+10M"], "a GPT partition table"),
        ("fdisk", "sfdisk", &["--quiet", "--label", "dos"], "an MBR partition table"),
    ] {
        judge("util-linux", "wipefs", &["-q", "-a", node]);
        let mut command = Command::new(tool);
        command.args(args).arg(node).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null());
        let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
        let mut child = command
            .env("PATH", path)
            .spawn()
            .unwrap_or_else(|e| panic!("cannot run {tool} ({e}): install the package {package}"));
        // Only sfdisk reads it.
        let _ = io::Write::write_all(&mut child.stdin.take().unwrap(), b",10M\n");
        assert!(child.wait().unwrap().success(), "{tool}");
        assert_eq!(disk.look().state.to_string(), format!("has {what}"), "{tool}");
        let (image, files, _) = usr("1");
        let log = log();
        let install = anything();
        let job = Job { image: &image, source: &files, log: &log, machine: &Kernel };
        let refused = install_on(&job, &installation(&install), &disk.look());
        assert!(matches!(refused, Err(Error::Refused(Refusal::Data(_)))), "{tool}");
        assert_eq!(files.asked.lock().unwrap().len(), 0, "{tool}");
    }
}

#[test]
fn a_disk_in_use_is_not_written_to() {
    let disk = Sparse::new(2400 << 20, 512);
    let (image, files, _) = usr("1");
    let log = log();
    let job = Job { image: &image, source: &files, log: &log, machine: &Kernel };
    let install = anything();
    let device = disk.look();
    let held = BlockDevice::open(&disk.device.node).unwrap();
    let error = install_on(&job, &installation(&install), &device).unwrap_err();
    assert_eq!(error.to_string(), format!("{} is in use or does not open", disk.name()));
    drop(held);
    assert_eq!(disk.look().state, classify::State::Blank);

    // Another disk has its name by now, with as little on it.
    let before = Device { serial: "S1".into(), ..device };
    let error = install_on(&job, &installation(&install), &before).unwrap_err();
    assert_eq!(error.to_string(), format!("{} is not written to", disk.name()));
    assert_eq!(disk.look().state, classify::State::Blank);
}

#[test]
fn a_live_image_is_two_read_only_devices_that_go_away() {
    let (image, files, _) = usr("1");
    let files = files.with(&[Fault::None, Fault::Break(100_000), Fault::Flip(9000)]);
    let log = log();
    let job = Job { image: &image, source: &files, log: &log, machine: &Kernel };
    let dir = tempfile::tempdir().unwrap();
    let live = live::live_at(&job, dir.path()).unwrap();
    let (usr, tree) = (live.usr().to_owned(), live.verity().to_owned());
    let root_hash = verity::hex(&image.root_hash.0);
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    judge("cryptsetup-bin", "veritysetup", &["verify", &text(&usr), &text(&tree), &root_hash]);
    assert_eq!(devices::sector(usr.file_name().unwrap().to_str().unwrap()), 4096);
    assert!(File::options().write(true).open(&usr).and_then(|f| f.write_all_at(b"x", 0)).is_err());
    let size =
        |node: &Path| disks::look_at(node.file_name().unwrap().to_str().unwrap()).map(|disk| disk.bytes);
    assert_eq!(size(&usr), Some(live.bytes));
    // The kernel's squashfs reads it.
    let at = tempfile::tempdir().unwrap();
    let flags = rustix::mount::MountFlags::RDONLY;
    rustix::mount::mount(&usr, at.path(), "squashfs", flags, None).unwrap();
    let version = std::fs::read_to_string(at.path().join("share/v"));
    rustix::mount::unmount(at.path(), rustix::mount::UnmountFlags::empty()).unwrap();
    assert_eq!(version.unwrap(), "1");
    drop(live);
    let backing = Path::new("/sys/class/block").join(usr.file_name().unwrap()).join("loop/backing_file");
    // Another test may have the device by now, but not with our file.
    let held = std::fs::read_to_string(backing).unwrap_or_default();
    assert!(!held.starts_with(dir.path().to_str().unwrap()), "{held}");
    rustix::mount::unmount(dir.path(), rustix::mount::UnmountFlags::empty()).unwrap();
}

#[test]
fn a_live_image_that_cannot_be_had_leaves_no_memory_taken() {
    let (image, files, _) = usr("1");
    let files = files.with(&[Fault::None, Fault::Break(100_000), Fault::GiveUp]);
    let log = log();
    let job = Job { image: &image, source: &files, log: &log, machine: &Kernel };
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(live::live_at(&job, dir.path()), Err(Error::Source { .. })));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(dir.path().to_str().unwrap()));
}
