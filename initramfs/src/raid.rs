//! ROOT as a RAID1 over two disks: finding its members and starting it.
//!
//! There is no mdadm in the initramfs: the kernel reads the superblocks itself once it is
//! told which devices belong together.

use crate::disks::{self, Content, Found};
use crate::log::Log;
use crate::modules;
use formats::gpt::{Partition, types};
use formats::layout::Role;
use formats::md::{self, Member};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

/// The array's device. The number is the first that mdadm takes by itself.
const DEVICE: &str = "/dev/md127";
/// Makes it.
const NEW: &str = "/sys/module/md_mod/parameters/new_array";

/// How long a member that is missing may take to appear after the other.
const LATE: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// A partition that is a member.
#[derive(Clone, Debug)]
pub struct Half {
    /// Kernel name of the disk.
    pub disk: String,
    /// Its ROOT.
    pub root: Partition,
    /// What its superblock says.
    pub member: Member,
}

/// Whether a ROOT is made to be a member, whatever is on it.
pub fn is_half(root: &Partition) -> bool {
    root.type_guid == types::LINUX_RAID
}

/// What the superblock on a partition of a disk says; `None` without one.
pub fn read(disk: &str, root: &Partition) -> Option<Member> {
    let mut bytes = [0; 4096];
    File::open(disks::node(disk)).ok()?.read_exact_at(&mut bytes, root.start + md::SUPERBLOCK).ok()?;
    md::parse(&bytes)
}

/// All members on these disks.
pub fn halves(all: &[disks::Disk]) -> Vec<Half> {
    let mut halves = Vec::new();
    for disk in all {
        let Content::Gpt(table) = &disk.content else { continue };
        let root = table.partitions.iter().find(|p| p.name == Role::Root.label() && is_half(p));
        if let Some(root) = root
            && let Some(member) = read(&disk.name, root)
        {
            halves.push(Half { disk: disk.name.clone(), root: root.clone(), member });
        }
    }
    halves
}

/// Starts the array that the ROOT beside a /usr is a member of. Returns its device.
///
/// # Errors
/// Why not, for people.
pub fn start(log: &Log, found: &Found) -> Result<String, String> {
    let root = found.root.as_ref().ok_or("no ROOT")?;
    let own = read(&found.disk, root).ok_or("its superblock is missing or damaged")?;
    let deadline = log.now().saturating_add(LATE);
    let mut members = loop {
        let mut halves = halves(&disks::look());
        halves.retain(|half| half.member.array.uuid == own.array.uuid);
        if halves.len() >= usize::from(own.array.members) || log.now() >= deadline {
            break halves;
        }
        std::thread::sleep(LOOK_AGAIN);
    };
    // The kernel takes the first for what the others are held against.
    members.sort_by_key(|half| u64::MAX - half.member.events);
    let names: Vec<_> = members.iter().map(|half| half.disk.as_str()).collect();
    if names.len() < usize::from(own.array.members) {
        let says = format!(
            "ROOT runs on {} alone: {} of {} disks",
            names.join(", "),
            names.len(),
            own.array.members
        );
        log.warn("mirror", says);
    }
    let numbers: io::Result<Vec<_>> = members
        .iter()
        .map(|half| {
            let number = fs::metadata(disks::device_of(&half.disk, &half.root)?)?.rdev();
            Ok((rustix::fs::major(number), rustix::fs::minor(number)))
        })
        .collect();
    let numbers = numbers.map_err(|e| format!("a member has no device ({e})"))?;
    modules::modprobe("md-mod");
    modules::modprobe("raid1");
    if !Path::new(DEVICE).exists() {
        fs::write(NEW, "md127")
            .map_err(|e| format!("{NEW}: {e}; module md-mod has to be in the initramfs"))?;
    }
    let device = File::options().read(true).write(true).open(DEVICE).map_err(|e| format!("{DEVICE}: {e}"))?;
    syscalls::md::start(&device, &numbers).map_err(|e| format!("{DEVICE} of {}: {e}", names.join(", ")))?;
    Ok(DEVICE.to_owned())
}
