//! Files that are disks to a sled.

use std::path::Path;
use std::process::Command;

use qemu_tests::judge;
use sledos::output::SparseFile;
use sledos::qemu::{Bus, Disk};

/// Bytes of a disk as its vendor counts: 6 TB.
pub(crate) const HDD: u64 = 6_001_175_126_016;

/// A blank data disk. A qcow2 and not a sparse file: a new XFS makes 2 GB of zeroes its
/// log, which a plain file would keep as blocks of the host's disk.
pub(crate) fn hdd(dir: &Path, serial: &str, bytes: u64, sector: u32) -> Disk {
    let file = dir.join(format!("{serial}.qcow2"));
    let size = bytes.to_string();
    let (tool, args) = ("qemu-img", ["create", "-q", "-f", "qcow2"]);
    let args = args.map(Into::into).into_iter().chain([file.clone().into_os_string(), size.into()]);
    judge::run("qemu-utils", tool, args);
    Disk { qcow2: true, sector, rotational: true, serial: Some(serial.into()), ..Disk::new(file, Bus::Scsi) }
}

/// A data disk in a sparse file, for the tools of the host; `with` puts something on it.
pub(crate) fn sparse(dir: &Path, serial: &str, with: impl FnOnce(&Path)) -> Disk {
    let file = dir.join(format!("{serial}.raw"));
    drop(SparseFile::create(&file, HDD).expect("a sparse file can be made"));
    with(&file);
    Disk { rotational: true, serial: Some(serial.into()), ..Disk::new(file, Bus::Scsi) }
}

/// A blank SSD for the system.
pub(crate) fn ssd(dir: &Path, serial: &str) -> Disk {
    let file = dir.join(format!("{serial}.raw"));
    drop(SparseFile::create(&file, 5 << 30).expect("a sparse file can be made"));
    Disk { serial: Some(serial.into()), ..Disk::new(file, Bus::Nvme) }
}

/// Blocks of the host's disk that the files in a directory take, for people.
pub(crate) fn taken(dir: &Path) -> String {
    let out = Command::new("du").arg("-shc").arg(dir).output().expect("du is there");
    String::from_utf8_lossy(&out.stdout).lines().last().unwrap_or_default().to_owned()
}

/// A data disk that another sled has made, by the name of its partition.
pub(crate) fn anothers(dir: &Path, serial: &str, name: &str) -> Disk {
    sparse(dir, serial, |file| {
        // Not sgdisk, which takes a colon for the end of the name.
        let table =
            format!("label: gpt\nstart=2048, type=00b131df-2864-4883-9b63-d3388ca129b8, name=\"{name}\"\n");
        let script = "printf '%s' \"$1\" | sfdisk --quiet \"$0\"";
        let args = [
            "-o".as_ref(),
            "pipefail".as_ref(),
            "-c".as_ref(),
            script.as_ref(),
            file.as_os_str(),
            table.as_ref(),
        ];
        judge::run::<&std::ffi::OsStr>("fdisk", "bash", args);
    })
}

/// A disk of which nothing reads.
pub(crate) fn dead(dir: &Path, serial: &str) -> Disk {
    let disk = sparse(dir, serial, |_| ());
    let rules = dir.join("dead.blkdebug");
    std::fs::write(&rules, "[inject-error]\nevent = \"read_aio\"\nerrno = \"5\"\n")
        .expect("it can be written");
    Disk { file: format!("blkdebug:{}:{}", rules.display(), disk.file.display()).into(), ..disk }
}
