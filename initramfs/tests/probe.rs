//! The signature prober against what the tools of others really write.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

use sledos_init::probe::{EDGE, Found, Kind, probe};
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

const SIZE: u64 = 512 << 20;

/// What is in a file, as if it was a disk.
fn look(file: &Path) -> Option<Found> {
    let bytes = fs::metadata(file).unwrap().len();
    let len = usize::try_from(bytes.min(EDGE)).unwrap();
    let (mut head, mut tail) = (vec![0; len], vec![0; len]);
    let file = File::open(file).unwrap();
    file.read_exact_at(&mut head, 0).unwrap();
    file.read_exact_at(&mut tail, bytes - len as u64).unwrap();
    probe(bytes, &head, &tail)
}

/// Runs a tool on a file. `FILE` and `DIR` in its arguments stand for it and for a
/// directory with a file in it.
fn run(package: &str, line: &str, file: &Path, dir: &Path, input: &str) {
    let mut words = line.split(' ');
    let tool = words.next().unwrap();
    let arguments = words.map(|word| match word {
        "FILE" => file.as_os_str().to_owned(),
        "DIR" => dir.as_os_str().to_owned(),
        word => word.into(),
    });
    let mut child = Command::new(tool)
        .args(arguments)
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("cannot run {tool} ({e}): install the package {package}"));
    // Not every tool reads it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "{line}: {}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn what_real_tools_write_is_recognised() {
    use Kind::{Ext, Filesystem, Member, Table, Xfs};
    let dir = tempfile::tempdir().unwrap();
    let (file, content) = (dir.path().join("disk"), dir.path().join("content"));
    fs::create_dir(&content).unwrap();
    fs::write(content.join("x"), "x").unwrap();
    let luks = "-q --pbkdf pbkdf2 --pbkdf-force-iterations 1000 FILE -";
    let (luks1, luks2) = (
        format!("cryptsetup luksFormat --type luks1 {}", luks.replace(" --pbkdf pbkdf2", "")),
        format!("cryptsetup luksFormat --type luks2 {luks}"),
    );
    let mut count = 0;
    for (package, line, input, kind, what) in [
        ("e2fsprogs", "mke2fs -q -F FILE", "", Ext, "an ext2/3/4 filesystem"),
        ("e2fsprogs", "mkfs.ext3 -q -F FILE", "", Ext, "an ext2/3/4 filesystem"),
        ("e2fsprogs", "mkfs.ext4 -q -F FILE", "", Ext, "an ext2/3/4 filesystem"),
        ("xfsprogs", "mkfs.xfs -q FILE", "", Xfs, "an XFS filesystem"),
        ("btrfs-progs", "mkfs.btrfs -q FILE", "", Filesystem, "a Btrfs filesystem"),
        ("f2fs-tools", "mkfs.f2fs -q FILE", "", Filesystem, "an F2FS filesystem"),
        ("ntfs-3g", "mkntfs -F -Q -q FILE", "", Filesystem, "an NTFS filesystem"),
        ("exfatprogs", "mkfs.exfat FILE", "", Filesystem, "an exFAT filesystem"),
        ("dosfstools", "mkfs.fat FILE", "", Filesystem, "a FAT filesystem"),
        ("dosfstools", "mkfs.fat -F 12 -s 128 FILE 200000", "", Filesystem, "a FAT filesystem"),
        ("dosfstools", "mkfs.fat -F 32 FILE", "", Filesystem, "a FAT filesystem"),
        ("util-linux", "mkswap -q FILE", "", Filesystem, "swap space"),
        ("squashfs-tools", "mksquashfs DIR FILE -quiet -no-progress", "", Filesystem, "a squashfs"),
        ("xorriso", "xorriso -as mkisofs -quiet -o FILE DIR", "", Filesystem, "an ISO 9660 filesystem"),
        ("cryptsetup-bin", &luks1, "secret", Filesystem, "an encrypted LUKS volume"),
        ("cryptsetup-bin", &luks2, "secret", Filesystem, "an encrypted LUKS volume"),
        ("lvm2", "pvcreate -qq FILE", "", Member, "an LVM2 physical volume"),
        ("gdisk", "sgdisk -n 1:0:+10M FILE", "", Table, "a GPT partition table"),
        ("fdisk", "sfdisk -q FILE", ",10M\n", Table, "an MBR partition table"),
    ] {
        let _ = fs::remove_file(&file);
        let made = ["mksquashfs", "xorriso"].iter().any(|tool| line.starts_with(tool));
        if !made {
            File::create(&file).unwrap().set_len(SIZE).unwrap();
            assert_eq!(look(&file), None);
        }
        if line.starts_with("pvcreate") {
            // It takes block devices only.
            let disk = File::options().read(true).write(true).open(&file).unwrap();
            let device = syscalls::loopdev::attach(&disk, 512, false).unwrap_or_else(|e| {
                panic!("no loop device ({e}): this test needs root and /dev/loop-control")
            });
            let node = device.node.display().to_string();
            run(package, &format!("pvcreate -qq --devices {node} {node}"), &file, &content, input);
            disk.sync_all().unwrap();
        } else {
            run(package, line, &file, &content, input);
        }
        assert_eq!(look(&file), Some(Found { kind, what }), "{line}");
        count += 1;
    }
    println!("{count} tools' work recognised");
}
