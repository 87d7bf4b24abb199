//! `sledos boot`: a built image in QEMU.

use std::fs::File;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use formats::tree::{Node, Origin, Tree, TreePath};

use crate::cli::terminal::complain;
use crate::image::manifest::Manifest;
use crate::output::SparseFile;
use crate::qemu::command::ssh_key_credential;
use crate::qemu::{Boot, Bus, Disk, Error as QemuError, Firmware, Link, MachineSpec, Nic, NicModel, machine};

/// Arguments of `sledos boot`.
#[derive(Args, Debug)]
pub struct BootArgs {
    /// The image: output/NAME/VERSION.
    #[arg(value_name = "DIR")]
    pub image: PathBuf,

    /// UEFI starts systemd-boot and the UKI from the disk; BIOS is given the kernel and initramfs directly.
    #[arg(long, value_enum, default_value_t = FirmwareKind::Uefi)]
    pub firmware: FirmwareKind,

    /// Memory in MiB.
    #[arg(long, default_value_t = 3072)]
    pub memory: u32,

    /// CPUs.
    #[arg(long, default_value_t = 2)]
    pub cpus: u32,

    /// Disk size in GiB: the image is put on a disk of this size, which ROOT then fills.
    #[arg(long, value_name = "GIB", default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    pub disk: u64,

    /// Public key that may log in as root.
    #[arg(long, value_name = "FILE")]
    pub ssh_key: Option<PathBuf>,

    /// Another PID 1 in the place of the image's, linked statically; the kernel is started directly.
    #[arg(long, value_name = "FILE")]
    pub init: Option<PathBuf>,

    /// More of a kernel command line; the kernel is started directly.
    #[arg(long, value_name = "TEXT")]
    pub append: Option<String>,
}

/// Which firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FirmwareKind {
    /// OVMF.
    Uefi,
    /// SeaBIOS.
    Bios,
}

/// Why an image cannot be booted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or written.
    #[error("{what} {path}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// Not an image directory.
    #[error("{path} is not a manifest of this version of sledos; build the image again")]
    Manifest {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// The disk cannot be made.
    #[error(transparent)]
    Disk(#[from] crate::output::Error),
    /// An initramfs with another PID 1 cannot be made.
    #[error("no initramfs with another PID 1")]
    Initramfs(#[from] formats::cpio::Error),
    /// QEMU.
    #[error(transparent)]
    Qemu(#[from] QemuError),
}

/// The manifest of an image directory.
///
/// # Errors
/// When there is none or it is not ours.
pub fn manifest(image: &Path) -> Result<Manifest, Error> {
    let path = image.join("manifest.json");
    let io = |source| Error::Io { what: "reading", path: path.clone(), source };
    let text = std::fs::read_to_string(&path).map_err(io)?;
    serde_json::from_str(&text).map_err(|source| Error::Manifest { path: path.clone(), source })
}

/// The machine for an image on a disk of its own: a copy of `disk.raw` in
/// `scratch`, `size` bytes long.
///
/// # Errors
/// When the image or the firmware is not there, or the disk is full.
pub fn spec(image: &Path, firmware: FirmwareKind, size: u64, scratch: &Path) -> Result<MachineSpec, Error> {
    let manifest = manifest(image)?;
    let disk = scratch.join("disk.raw");
    copy_disk(&image.join("disk.raw"), &disk, size)?;
    let (firmware, boot) = match firmware {
        FirmwareKind::Uefi => (machine::uefi_vars(scratch)?, Boot::Disk),
        FirmwareKind::Bios => {
            let (kernel, initrd) = (image.join("vmlinuz"), image.join("initramfs.zst"));
            // A loaded host makes the emulated timer look broken to the kernel.
            let cmdline = format!("{} no_timer_check", manifest.kernel.cmdline);
            (Firmware::Bios, Boot::Kernel { kernel, initrd, cmdline })
        }
    };
    Ok(MachineSpec {
        firmware,
        boot,
        disks: vec![Disk::new(disk, Bus::Virtio)],
        nics: vec![Nic { model: NicModel::Virtio, link: Link::User { forward: Some(22) }, mac: None }],
        ..MachineSpec::default()
    })
}

/// The image's kernel started directly, with more of a command line, and with another PID 1:
/// a second archive behind the initramfs, whose files replace those of the first (kernel
/// documentation, driver-api/early-userspace/buffer-format).
///
/// # Errors
/// When a file is not there or cannot be written.
fn direct(image: &Path, args: &BootArgs, scratch: &Path) -> Result<Boot, Error> {
    let io = |what, path: &Path| {
        let path = path.to_owned();
        move |source| Error::Io { what, path, source }
    };
    let mut initrd = image.join("initramfs.zst");
    if let Some(init) = &args.init {
        let mut bytes = std::fs::read(&initrd).map_err(io("reading", &initrd))?;
        let program = std::fs::read(init).map_err(io("reading", init))?;
        let origin = Origin::Fixup("boot");
        let mut tree = Tree::new(Node::dir(origin.clone()));
        let path = TreePath::parse(b"init").expect("a name without a slash");
        let _ = tree.insert(path, Node::file(program, 0o755, origin));
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        formats::cpio::write(&tree, 0, &mut bytes)?;
        initrd = scratch.join("initramfs");
        std::fs::write(&initrd, bytes).map_err(io("writing", &initrd))?;
    }
    let line = manifest(image)?.kernel.cmdline;
    let more = args.append.as_deref().unwrap_or_default();
    let cmdline = format!("{line} no_timer_check {more}").trim_end().to_owned();
    Ok(Boot::Kernel { kernel: image.join("vmlinuz"), initrd, cmdline })
}

/// Copies the data of a sparse file and lengthens the copy.
fn copy_disk(from: &Path, to: &Path, size: u64) -> Result<(), Error> {
    let reading = |source| Error::Io { what: "reading", path: from.to_owned(), source };
    let source = File::open(from).map_err(reading)?;
    let len = source.metadata().map_err(reading)?.len();
    let copy = SparseFile::create(to, size.max(len))?;
    copy.copy_at(0, source)?;
    Ok(())
}

/// Runs QEMU in place of this process's work until it ends.
///
/// # Errors
/// When the image is incomplete or QEMU cannot be started.
pub fn run(args: &BootArgs) -> Result<(), Error> {
    let scratch = tempfile::tempdir().map_err(|source| Error::Io {
        what: "making a directory in",
        path: std::env::temp_dir(),
        source,
    })?;
    let mut spec = spec(&args.image, args.firmware, args.disk << 30, scratch.path())?;
    if args.init.is_some() || args.append.is_some() {
        spec.boot = direct(&args.image, args, scratch.path())?;
    }
    spec.memory = args.memory;
    spec.cpus = args.cpus;
    if let Some(file) = &args.ssh_key {
        let key = std::fs::read_to_string(file).map_err(|source| Error::Io {
            what: "reading",
            path: file.clone(),
            source,
        })?;
        spec.oem_strings.push(ssh_key_credential(key.trim()));
    }
    complain!("The console follows. Ctrl-A X ends the machine, Ctrl-A C opens QEMU's monitor;");
    complain!("`info usernet` there tells the port of 127.0.0.1 that leads to the sled's SSH.");
    let mut command = machine::interactive(&spec)?;
    let status = command.status().map_err(|source| QemuError::Start {
        program: crate::qemu::command::QEMU.into(),
        package: crate::qemu::command::QEMU_PACKAGE,
        source,
    })?;
    if !status.success() {
        let source = std::io::Error::other(status.to_string());
        return Err(Error::Io { what: "running QEMU for", path: args.image.clone(), source });
    }
    Ok(())
}

impl crate::exit::Classify for Error {
    fn exit(&self) -> crate::exit::Exit {
        crate::exit::Exit::Failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use formats::tree::Kind;

    #[test]
    fn another_pid_1_lies_behind_that_of_the_image() {
        let dir = tempfile::tempdir().unwrap();
        let origin = Origin::Fixup("test");
        let mut tree = Tree::new(Node::dir(origin.clone()));
        let path = TreePath::parse(b"init").unwrap();
        tree.insert(path, Node::file(b"old".to_vec(), 0o755, origin)).unwrap();
        let mut archive = Vec::new();
        formats::cpio::write(&tree, 0, &mut archive).unwrap();
        std::fs::write(dir.path().join("initramfs.zst"), &archive).unwrap();
        std::fs::write(dir.path().join("new"), "new").unwrap();
        let args = BootArgs {
            image: dir.path().to_owned(),
            firmware: FirmwareKind::Bios,
            memory: 512,
            cpus: 1,
            disk: 8,
            ssh_key: None,
            init: Some(dir.path().join("new")),
            append: Some("sledos.debug".into()),
        };
        let error = direct(dir.path(), &args, dir.path()).unwrap_err();
        assert!(error.to_string().contains("manifest.json"), "{error}");
        let made = std::fs::read(dir.path().join("initramfs")).unwrap();
        assert!(made.starts_with(&archive));
        let seen = formats::cpio::read(&made).unwrap();
        let init = seen.tree.get(&TreePath::parse(b"init").unwrap()).unwrap();
        assert!(matches!(&init.kind, Kind::File(content) if content.to_vec().unwrap() == b"new"));
    }
}
