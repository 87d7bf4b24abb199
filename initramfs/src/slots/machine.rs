//! The disks of a sled as an installation sees and opens them: those of the kernel, or
//! those of a model whose power can be cut.

use super::device::{self, Device};
use super::disk::{BlockDevice, Disk};
use crate::disks;
use crate::raid;
use formats::gpt::Partition;
use formats::md::Member;
use std::io;

/// Who else may use a disk while it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// Nobody: nothing of it is mounted or part of another device.
    Exclusive,
    /// The running system, which has other parts of it mounted.
    Running,
}

/// What an installation needs of a machine.
pub trait Machine {
    /// All disks with their partition tables.
    fn disks(&self) -> Vec<disks::Disk>;
    /// The disk with this kernel name.
    fn disk(&self, name: &str) -> Option<disks::Disk>;
    /// A disk as a document speaks of it.
    fn describe(&self, disk: &disks::Disk) -> Device;
    /// Opens a disk for writing.
    ///
    /// # Errors
    /// The kernel's; [`io::ErrorKind::ResourceBusy`] when others use it.
    fn open(&self, name: &str, share: Share) -> io::Result<Box<dyn Disk + Sync>>;
    /// That a disk is still the one that was described: the kernel gives the name of one
    /// that went away to the next that comes.
    ///
    /// # Errors
    /// When it is not.
    fn is_still(&self, device: &Device) -> io::Result<()>;
    /// The RAID superblock in a partition.
    fn member(&self, disk: &str, root: &Partition) -> Option<Member>;
    /// Whether there is nothing where a RAID superblock would be.
    fn is_blank(&self, disk: &str, root: &Partition) -> bool;
}

/// The machine this runs on.
#[derive(Clone, Copy, Debug)]
pub struct Kernel;

impl Machine for Kernel {
    fn disks(&self) -> Vec<disks::Disk> {
        disks::look()
    }

    fn disk(&self, name: &str) -> Option<disks::Disk> {
        disks::look_at(name)
    }

    fn describe(&self, disk: &disks::Disk) -> Device {
        device::device(disk)
    }

    fn open(&self, name: &str, share: Share) -> io::Result<Box<dyn Disk + Sync>> {
        let node = disks::node(name);
        Ok(Box::new(match share {
            Share::Exclusive => BlockDevice::open(&node)?,
            Share::Running => BlockDevice::open_shared(&node)?,
        }))
    }

    fn is_still(&self, device: &Device) -> io::Result<()> {
        device::is_still(device)
    }

    fn member(&self, disk: &str, root: &Partition) -> Option<Member> {
        raid::read(disk, root)
    }

    fn is_blank(&self, disk: &str, root: &Partition) -> bool {
        raid::is_blank(disk, root)
    }
}
