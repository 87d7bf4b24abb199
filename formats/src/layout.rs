//! The partitions of a sledos disk: what `disk.raw` has and what PID 1 makes when it
//! installs, so that one is a disk like the other. [`plan`] lays them out.
//!
//! OEM and ROOT are plain Linux data, so that no generator of systemd mounts them
//! behind PID 1's back.

mod entry;
mod partitions;

pub use entry::{EntryName, Standing, TRIES, own, standing};
pub use partitions::{Content, Layout, TooSmall, plan};

use crate::ext4;
use crate::gpt::{Guid, Partition, types};
use crate::tree::{Node, NotADirectory, Origin, PathError, Tree, TreePath};

/// What a partition is for. The order is the order on disk and the partition number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The EFI System Partition.
    Esp,
    /// The first place for a /usr; the one an image carries.
    UsrA,
    /// Its verity tree.
    UsrAVerity,
    /// The second place, for an update.
    UsrB,
    /// The update's verity tree.
    UsrBVerity,
    /// Site configuration.
    Oem,
    /// All state.
    Root,
}

impl Role {
    /// All partitions in order.
    pub const ALL: [Self; 7] =
        [Self::Esp, Self::UsrA, Self::UsrAVerity, Self::UsrB, Self::UsrBVerity, Self::Oem, Self::Root];

    /// The GPT partition name. PID 1 finds ROOT and OEM by it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Esp => "EFI-SYSTEM",
            Self::UsrA => "USR-A",
            Self::UsrAVerity => "USR-A-VERITY",
            Self::UsrB => "USR-B",
            Self::UsrBVerity => "USR-B-VERITY",
            Self::Oem => "OEM",
            Self::Root => "ROOT",
        }
    }

    /// The GPT partition type.
    pub fn type_guid(self) -> Guid {
        match self {
            Self::Esp => types::ESP,
            Self::UsrA | Self::UsrB => types::USR_X86_64,
            Self::UsrAVerity | Self::UsrBVerity => types::USR_X86_64_VERITY,
            Self::Oem | Self::Root => types::LINUX_GENERIC,
        }
    }

    /// What a partition of this name is for.
    pub fn named(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.label() == label)
    }

    /// A partition for this.
    pub fn partition(self, number: u32, start: u64, size: u64, guid: Guid) -> Partition {
        let (name, type_guid) = (self.label().to_owned(), self.type_guid());
        Partition { number, name, type_guid, guid, start, size, attributes: 0 }
    }
}

/// The partition UUIDs of a /usr and of its verity tree: the two halves of the
/// root hash (Discoverable Partitions Specification, "usr" types).
pub fn usr_guids(root_hash: &[u8; 32]) -> (Guid, Guid) {
    let (mut data, mut tree) = ([0; 16], [0; 16]);
    data.copy_from_slice(&root_hash[..16]);
    tree.copy_from_slice(&root_hash[16..]);
    (Guid::from_uuid(data), Guid::from_uuid(tree))
}

/// ROOT grows to the largest disk sleds have today with descriptors set aside
/// for it; past that the kernel switches to meta_bg.
const GROW_TO: u64 = 6 << 40;
/// The journal does not grow with ROOT, and growing it takes transactions that
/// a small journal refuses.
const JOURNAL: u64 = 64 << 20;
/// Container layers have small files, but a grown ROOT has room for many:
/// mke2fs's 16384 would be 96 GiB of inode tables on 6 TiB.
const BYTES_PER_INODE: u64 = 32_768;

/// The filesystem of OEM or ROOT in so many bytes.
pub fn filesystem(role: Role, size: u64, uuid: [u8; 16], hash_seed: [u8; 16], mtime: u32) -> ext4::Options {
    let mut options = ext4::Options::new(size, uuid, hash_seed, mtime);
    role.label().clone_into(&mut options.label);
    if role == Role::Root {
        options.grow_to = GROW_TO;
        options.journal = ext4::Journal::Bytes(JOURNAL);
        options.bytes_per_inode = BYTES_PER_INODE;
    }
    options
}

/// Where unified kernel images lie on the ESP (Boot Loader Specification, "Type #2").
pub const UKI_DIR: &str = "EFI/Linux";

/// The file name of a new image's UKI.
pub fn uki_name(image: &str, version: &str, root_hash: &[u8; 32]) -> String {
    EntryName::new(image, version, root_hash).to_string()
}

/// systemd-boot's configuration. A sled has nobody at its console: no menu, and this image
/// at once, which may be the older one; else the newest.
pub fn loader_conf(first: Option<&EntryName>) -> String {
    let default = first.map(|entry| format!("default {}\n", entry.pattern())).unwrap_or_default();
    format!("timeout 0\neditor no\nauto-entries no\n{default}")
}

/// Where it is on the ESP.
pub const LOADER_CONF: &str = "loader/loader.conf";

/// systemd-boot below an image's /usr.
pub const BOOT_LOADER: &str = "lib/systemd/boot/efi/systemd-bootx64.efi";

/// Where it is on the ESP: first where firmware looks (UEFI 2.10, 3.5.1.1), then where
/// its own tools do.
pub const BOOT_PATHS: [&str; 2] = ["EFI/BOOT/BOOTX64.EFI", "EFI/systemd/systemd-bootx64.efi"];

/// Why there is no tree for an ESP.
#[derive(Debug, thiserror::Error)]
pub enum EspError {
    /// The name of a UKI is no name.
    #[error(transparent)]
    Name(#[from] PathError),
    /// Never: all directories are made here.
    #[error(transparent)]
    Place(#[from] NotADirectory),
}

/// The tree of an ESP: systemd-boot where firmware looks for it, and UKIs by name
/// where systemd-boot does. `first` is the image to start, as for [`loader_conf`].
///
/// # Errors
/// When the name of a UKI is none.
pub fn esp(
    boot_loader: Vec<u8>,
    ukis: Vec<(String, Vec<u8>)>,
    first: Option<&EntryName>,
) -> Result<Tree, EspError> {
    let origin = Origin::Fixup("esp");
    let mut tree = Tree::new(Node::dir(origin.clone()));
    let boot_loader = Node::file(boot_loader, 0o644, origin.clone());
    let conf = Node::file(loader_conf(first).into_bytes(), 0o644, origin.clone());
    let mut files = vec![(LOADER_CONF.to_owned(), conf)];
    files.extend(BOOT_PATHS.map(|path| (path.to_owned(), boot_loader.clone())));
    for (name, bytes) in ukis {
        files.push((format!("{UKI_DIR}/{name}"), Node::file(bytes, 0o644, origin.clone())));
    }
    for (path, node) in files {
        tree.insert(TreePath::parse(path.as_bytes())?, node)?;
    }
    Ok(tree)
}
