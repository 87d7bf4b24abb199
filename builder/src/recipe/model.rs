//! A recipe after its `include:`s are merged and everything is checked.
//! Sizes are in bytes, paths are absolute or relative to the working directory
//! of the process, never to the recipe.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

pub use formats::layout::Layout;
use formats::tree::TreePath;

use crate::capabilities::Capabilities;

/// One image.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// The file it was read from.
    pub file: PathBuf,
    /// sha256 of that file and all it includes, one after the other as they were read.
    pub sha256: [u8; 32],
    /// Image name: `[a-z][a-z0-9-]*`. Names artefacts, partitions and the lock file.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// Where packages come from.
    pub debian: Debian,
    /// Signed apt repositories beside Debian.
    pub repositories: Vec<Repository>,
    /// Packages asked for, besides the Essential ones: `name`, or `name/release` from a suite
    /// or repository.
    pub packages: BTreeSet<String>,
    /// Packages the image does without although others depend on them: name → why.
    pub provided: BTreeMap<String, String>,
    /// Packages whose maintainer scripts need nothing done, as checked by a person: name → why.
    pub reviewed_scripts: BTreeMap<String, String>,
    /// The kernel and what of it goes where.
    pub kernel: Kernel,
    /// NICs that must work.
    pub nics: Vec<DeviceFamily>,
    /// Disk controllers that must work.
    pub controllers: Vec<DeviceFamily>,
    /// Parts that are not in Debian.
    pub components: BTreeMap<String, Component>,
    /// What a sled can take in while it runs, beside the image: name → its packages.
    pub extensions: BTreeMap<String, Extension>,
    /// Directories laid over the packages, in order.
    pub overlays: Vec<Overlay>,
    /// Glob patterns of paths left out of the image (`usr/share/doc/**`), tried on every package file.
    pub exclude: Vec<String>,
    /// Glob patterns that win over `exclude`.
    pub keep: Vec<String>,
    /// What `dpkg-statoverride` and `setcap` would do to files of packages: glob → attributes.
    pub attributes: BTreeMap<String, Attributes>,
    /// System users and groups made beside those of Debian's base-passwd.
    pub users: Vec<User>,
    /// Groups without a user of the same name.
    pub groups: Vec<Group>,
    /// Links made in place of `update-alternatives`: link → target.
    pub alternatives: BTreeMap<TreePath, String>,
    /// Units switched on: unit → the targets that want it (`multi-user.target`).
    pub enable: BTreeMap<String, Vec<String>>,
    /// Units masked.
    pub mask: BTreeSet<String>,
    /// What PID 1 knows of the fleet before it has met a server.
    pub provisioning: Provisioning,
    /// Partition sizes.
    pub layout: Layout,
    /// How /usr is compressed.
    pub compression: Compression,
    /// Upper limits per artefact.
    pub budgets: Budgets,
}

impl Recipe {
    /// All families of devices that must work.
    pub fn devices(&self) -> Vec<&DeviceFamily> {
        self.nics.iter().chain(&self.controllers).collect()
    }
}

/// Where Debian packages come from.
#[derive(Clone, Debug)]
pub struct Debian {
    /// Code name: `bookworm`.
    pub suite: String,
    /// Further suites merged in, full names: `bookworm-updates`, `bookworm-security`.
    pub extra_suites: Vec<String>,
    /// `main`, `non-free-firmware`…
    pub components: Vec<String>,
    /// `amd64`.
    pub arch: String,
    /// OpenPGP keyring that signs the archive; the host's when not given.
    pub keyring: Option<PathBuf>,
    /// Whether Recommends are followed.
    pub recommends: bool,
}

/// A signed apt repository of somebody else.
#[derive(Clone, Debug)]
pub struct Repository {
    /// Names it in the lock.
    pub name: String,
    /// Base URL.
    pub url: String,
    /// Suite, or the directory of a flat repository, which ends in a slash.
    pub suite: String,
    /// Components; none of a flat repository.
    pub components: Vec<String>,
    /// The packages that come from it, in place of Debian's if need be. `None`: those that are
    /// asked for and what they need, as far as Debian has none of the name.
    pub packages: Option<BTreeSet<String>>,
    /// OpenPGP keyring, armoured or binary.
    pub keyring: PathBuf,
}

/// The kernel.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// Package: `linux-image-amd64`, or one exact ABI.
    pub package: String,
    /// Command line arguments, in order. `sledos.usrhash=` is added by the build.
    pub cmdline: Vec<String>,
    /// Module directories left out of /usr, below `/usr/lib/modules/<version>/`: `kernel/sound`.
    pub drop: Vec<String>,
    /// Modules of the initramfs by name; what they depend on comes along.
    pub initramfs: Vec<String>,
    /// Firmware files left out of /usr, as globs below `/usr/lib/firmware/`.
    pub drop_firmware: Vec<String>,
    /// Modules loaded in any case by PID 1, in order: what no alias announces.
    pub load: Vec<String>,
}

/// How a sled of this image gets its document; empty: it asks nobody.
#[derive(Clone, Debug, Default)]
pub struct Provisioning {
    /// Public keys (minisign) that may sign documents. With one, PID 1 asks for a document.
    pub trust: Vec<String>,
    /// URLs below which documents lie; the command line and DHCP may give others.
    pub metadata: Vec<String>,
    /// By what the sled asks, in this order; empty: the default order.
    pub identify: Vec<String>,
    /// Whether a server must say of each document that it is the newest.
    pub fresh_only: bool,
}

/// A family of PCI devices that must work.
#[derive(Clone, Debug)]
pub struct DeviceFamily {
    /// Shown to people: `Intel 82599, X520`.
    pub name: String,
    /// The module each of the ids must resolve to, `ixgbe`.
    pub driver: String,
    /// Further modules that must come along although no alias or dependency
    /// says so (`mlx4_en` for `mlx4_core`).
    pub with: Vec<String>,
    /// PCI ids, lower-case `vvvv:dddd`, in hexadecimal.
    pub pci: Vec<PciId>,
    /// PCI classes that the driver serves whoever made the device.
    pub class: Vec<PciClass>,
    /// Whether PID 1 needs it, too.
    pub initramfs: bool,
    /// Firmware files `modinfo` lists that no wanted device needs, or that
    /// exist nowhere: globs, each with its reason.
    pub without_firmware: BTreeMap<String, String>,
}

/// A PCI vendor and device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PciId {
    /// Vendor.
    pub vendor: u16,
    /// Device.
    pub device: u16,
}

impl std::fmt::Display for PciId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04x}:{:04x}", self.vendor, self.device)
    }
}

/// A PCI class: base class, subclass, programming interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PciClass(pub [u8; 3]);

impl std::fmt::Display for PciClass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self([base, sub, interface]) = self;
        write!(f, "{base:02x}{sub:02x}{interface:02x}")
    }
}

/// Something that is not in Debian.
#[derive(Clone, Debug)]
pub struct Component {
    /// One line: what it is, how to get it.
    pub description: String,
    /// The file that shows it is there, in the image: `usr/sbin/mesos-agent`.
    pub provides: TreePath,
    /// Where to get it. `None`: the operator gives it with `--component`, or a
    /// package of that name comes from one of the `repositories`.
    pub source: Option<ComponentSource>,
    /// Package in a repository that provides it.
    pub package: Option<String>,
}

/// A pinned file.
#[derive(Clone, Debug)]
pub struct ComponentSource {
    /// `https://…` or a path.
    pub location: String,
    /// Its sha256 in hexadecimal; mandatory for URLs.
    pub sha256: Option<String>,
}

/// A system extension (systemd-sysext(8)): what its packages have in /usr and the image does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// One line for people.
    pub description: String,
    /// Packages asked for, as in [`Recipe::packages`]; what they need comes along.
    pub packages: BTreeSet<String>,
}

/// `overlays/<name>/`, laid over the tree. Modes and owners come from here,
/// never from the checkout.
#[derive(Clone, Debug)]
pub struct Overlay {
    /// Its name.
    pub name: String,
    /// The directory.
    pub dir: PathBuf,
    /// Exceptions to files 0644, directories 0755, all root:root: glob → attributes.
    pub attributes: BTreeMap<String, Attributes>,
}

/// Mode, owner and capabilities of files.
#[derive(Clone, Debug)]
pub struct Attributes {
    /// Permission bits.
    pub mode: Option<u16>,
    /// User name of the image.
    pub user: Option<String>,
    /// Group name of the image.
    pub group: Option<String>,
    /// Capabilities of a regular file.
    pub capabilities: Option<Capabilities>,
}

/// A system user with a group of the same name and number.
#[derive(Clone, Debug)]
pub struct User {
    /// Name.
    pub name: String,
    /// User number, and the group's unless `group` says otherwise.
    pub uid: u32,
    /// Primary group, when not one of its own.
    pub group: Option<String>,
    /// Further groups it is a member of.
    pub groups: Vec<String>,
    /// Home directory.
    pub home: String,
    /// Shell.
    pub shell: String,
    /// Comment.
    pub gecos: String,
}

/// A system group.
#[derive(Clone, Debug)]
pub struct Group {
    /// Name.
    pub name: String,
    /// Group number.
    pub gid: u32,
}

/// How /usr and the initramfs are compressed. `--fast` overrides the levels.
#[derive(Clone, Debug)]
pub struct Compression {
    /// zstd level of /usr, 1..=22.
    pub usr_level: i32,
    /// squashfs block size in bytes, a power of two, 4 KiB..=1 MiB.
    pub block_size: u32,
    /// zstd level of the initramfs, 1..=22.
    pub initramfs_level: i32,
}

/// Upper limits in bytes; `None`: no limit.
#[derive(Clone, Debug, Default)]
pub struct Budgets {
    /// The /usr filesystem.
    pub usr: Option<u64>,
    /// The compressed initramfs.
    pub initramfs: Option<u64>,
    /// PID 1.
    pub init: Option<u64>,
    /// The UKI.
    pub uki: Option<u64>,
}

impl Budgets {
    /// For a build that compresses less: a quarter more for what is compressed.
    pub fn of_fast_build(&self) -> Self {
        let more = |budget: Option<u64>| budget.map(|bytes| bytes.saturating_add(bytes / 4));
        Self { usr: more(self.usr), initramfs: more(self.initramfs), init: self.init, uki: more(self.uki) }
    }
}
