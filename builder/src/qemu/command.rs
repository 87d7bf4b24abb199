//! A virtual machine as a value, and its QEMU command line.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::Accel;

/// The emulator.
pub const QEMU: &str = "qemu-system-x86_64";
/// The Debian package that has it.
pub const QEMU_PACKAGE: &str = "qemu-system-x86";
/// UEFI firmware as Debian's `ovmf` installs it.
pub const OVMF_CODE: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";
/// Its empty variable store; every machine gets a copy.
pub const OVMF_VARS: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";

/// What a machine is made of.
#[derive(Clone, Debug)]
pub struct MachineSpec {
    /// Memory in MiB.
    pub memory: u32,
    /// CPUs.
    pub cpus: u32,
    /// The firmware.
    pub firmware: Firmware,
    /// What it starts.
    pub boot: Boot,
    /// Disks in order.
    pub disks: Vec<Disk>,
    /// NICs in order.
    pub nics: Vec<Nic>,
    /// SMBIOS type 11 strings: systemd takes its credentials from them
    /// (`io.systemd.credential:NAME=VALUE`).
    pub oem_strings: Vec<String>,
    /// What the board says of itself.
    pub smbios: Smbios,
    /// A BMC: the TCP port of 127.0.0.1, in the machine's namespace, where a simulator
    /// speaks the protocol of `ipmi-bmc-extern`.
    pub bmc: Option<u16>,
    /// Further arguments, as QEMU takes them.
    pub extra: Vec<String>,
    /// Name of the network namespace that QEMU runs in; its taps are there.
    pub netns: Option<String>,
}

impl Default for MachineSpec {
    fn default() -> Self {
        Self {
            memory: 3072,
            cpus: 1,
            firmware: Firmware::Bios,
            boot: Boot::Disk,
            disks: Vec::new(),
            nics: Vec::new(),
            oem_strings: Vec::new(),
            smbios: Smbios::default(),
            bmc: None,
            extra: Vec::new(),
            netns: None,
        }
    }
}

/// Identity of a board; what is not given is as QEMU has it: empty.
#[derive(Clone, Debug, Default)]
pub struct Smbios {
    /// Serial number of the main board (type 2).
    pub board_serial: Option<String>,
    /// Serial number of the product (type 1).
    pub product_serial: Option<String>,
    /// UUID of the product (type 1).
    pub uuid: Option<String>,
}

impl Smbios {
    fn args(&self) -> Vec<String> {
        let field = |name: &str, value: &Option<String>| {
            value.as_ref().map_or(String::new(), |v| format!(",{name}={}", v.replace(',', ",,")))
        };
        let (product, uuid) = (field("serial", &self.product_serial), field("uuid", &self.uuid));
        let types = [("1", product + &uuid), ("2", field("serial", &self.board_serial))];
        let given = types.into_iter().filter(|(_, fields)| !fields.is_empty());
        given.flat_map(|(kind, fields)| ["-smbios".to_owned(), format!("type={kind}{fields}")]).collect()
    }
}

/// The firmware.
#[derive(Clone, Debug)]
pub enum Firmware {
    /// SeaBIOS.
    Bios,
    /// OVMF with this file as its variable store, which it writes to.
    Uefi {
        /// A copy of [`OVMF_VARS`].
        vars: PathBuf,
    },
}

/// What a machine starts.
#[derive(Clone, Debug)]
pub enum Boot {
    /// What the firmware finds on the disks.
    Disk,
    /// What the network has: the first NIC comes before the disks. BIOS has the NIC's
    /// iPXE, as cards have a PXE ROM; UEFI its own PXE and HTTP, for virtio only.
    Network,
    /// The same by HTTP only: UEFI with its PXE switched off.
    Http,
    /// A kernel given from outside.
    Kernel {
        /// `vmlinuz`.
        kernel: PathBuf,
        /// `initramfs.zst`.
        initrd: PathBuf,
        /// Command line.
        cmdline: String,
    },
}

/// How a disk is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bus {
    /// virtio-blk.
    Virtio,
    /// SATA.
    Ahci,
    /// NVMe.
    Nvme,
    /// virtio-scsi.
    Scsi,
}

/// A disk.
#[derive(Clone, Debug)]
pub struct Disk {
    /// Its file, or another name that QEMU knows, like `blkdebug:RULES:FILE`.
    pub file: PathBuf,
    /// How it is attached.
    pub bus: Bus,
    /// Whether writes are thrown away when the machine stops.
    pub discard_writes: bool,
    /// Whether the file is a qcow2, not the plain bytes.
    pub qcow2: bool,
    /// Serial number.
    pub serial: Option<String>,
    /// Bytes in a sector: 512 or 4096.
    pub sector: u32,
    /// Whether it says that it spins. Only SATA and SCSI disks can.
    pub rotational: bool,
}

impl Disk {
    /// A file of plain bytes on a bus, as a disk without anything special.
    pub fn new(file: impl Into<PathBuf>, bus: Bus) -> Self {
        Self {
            file: file.into(),
            bus,
            discard_writes: false,
            qcow2: false,
            serial: None,
            sector: 512,
            rotational: false,
        }
    }

    /// The device on its bus; `n` is its place among the disks.
    fn device(&self, n: usize) -> String {
        let mut device = match self.bus {
            Bus::Virtio => format!("virtio-blk-pci,drive=disk{n}"),
            Bus::Ahci => format!("ide-hd,drive=disk{n},bus=ide.{n}"),
            Bus::Nvme => format!("nvme,drive=disk{n}"),
            Bus::Scsi => format!("scsi-hd,drive=disk{n},bus=scsi.0"),
        };
        let serial = self.serial.clone().or_else(|| (self.bus == Bus::Nvme).then(|| format!("disk{n}")));
        if let Some(serial) = serial {
            device += &format!(",serial={}", serial.replace(',', ",,"));
        }
        if matches!(self.bus, Bus::Ahci | Bus::Scsi) {
            // One that spins knows no discard.
            device += if self.rotational {
                ",rotation_rate=7200,discard_granularity=0"
            } else {
                ",rotation_rate=1"
            };
        }
        if self.sector != 512 {
            device += &format!(",logical_block_size={0},physical_block_size={0}", self.sector);
        }
        device
    }
}

/// A NIC.
#[derive(Clone, Debug)]
pub struct Nic {
    /// The card.
    pub model: NicModel,
    /// What it is plugged into.
    pub link: Link,
    /// Its MAC address; QEMU's choice when not given.
    pub mac: Option<String>,
}

/// What a NIC is plugged into.
#[derive(Clone, Debug)]
pub enum Link {
    /// QEMU's user network (10.0.2.0/24, the host is 10.0.2.2), where the guest
    /// reaches nothing but the host's side of it.
    User {
        /// A TCP port of the guest made reachable on a free port of 127.0.0.1;
        /// [`super::Machine::forwarded_port`] tells which.
        forward: Option<u16>,
    },
    /// A tap device that is there.
    Tap(String),
}

/// A network card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NicModel {
    /// virtio-net.
    Virtio,
    /// VMware's 10G card: the stand-in for the 10G NICs QEMU does not have.
    Vmxnet3,
    /// Intel 82574L, 1G.
    E1000e,
}

impl NicModel {
    fn device(self) -> &'static str {
        match self {
            Self::Virtio => "virtio-net-pci",
            Self::Vmxnet3 => "vmxnet3",
            Self::E1000e => "e1000e",
        }
    }
}

/// The SMBIOS string that lets a key log in as root, as a systemd credential
/// (systemd.system-credentials(7), `ssh.authorized_keys.root`).
pub fn ssh_key_credential(public_key: &str) -> String {
    format!("io.systemd.credential:ssh.authorized_keys.root={public_key}")
}

/// Makes a file name safe inside a comma-separated QEMU option: commas are doubled.
fn option(prefix: &str, path: &Path) -> OsString {
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
    let mut out = prefix.as_bytes().to_vec();
    for byte in path.as_os_str().as_bytes() {
        out.push(*byte);
        if *byte == b',' {
            out.push(b',');
        }
    }
    OsString::from_vec(out)
}

impl MachineSpec {
    /// The arguments after the program name, but for consoles and control sockets.
    pub fn args(&self, accel: Accel) -> Vec<OsString> {
        let mut args: Vec<OsString> = Vec::new();
        let mut push = |parts: &[&str]| args.extend(parts.iter().map(OsString::from));
        push(&["-machine", "q35,graphics=off", "-nodefaults", "-display", "none", "-no-reboot"]);
        push(&accel.args());
        push(&["-m", &self.memory.to_string(), "-smp", &self.cpus.to_string()]);
        // First boot makes SSH host keys and a machine id.
        push(&["-device", "virtio-rng-pci"]);
        for text in &self.oem_strings {
            push(&["-smbios", &format!("type=11,value={}", text.replace(',', ",,"))]);
        }
        self.smbios.args().iter().for_each(|arg| push(&[arg]));
        for (i, nic) in self.nics.iter().enumerate() {
            let netdev = match &nic.link {
                Link::User { forward } => {
                    let forward = forward.map(|port| format!(",hostfwd=tcp:127.0.0.1:0-:{port}"));
                    format!("user,id=net{i},restrict=on{}", forward.unwrap_or_default())
                }
                Link::Tap(name) => format!("tap,id=net{i},ifname={name},script=no,downscript=no"),
            };
            let mac = nic.mac.as_ref().map(|mac| format!(",mac={mac}")).unwrap_or_default();
            push(&["-netdev", &netdev]);
            let first = i == 0 && matches!(self.boot, Boot::Network | Boot::Http);
            let rom = if first && matches!(self.firmware, Firmware::Bios) { "" } else { ",romfile=" };
            let index = if first { ",bootindex=0" } else { "" };
            push(&["-device", &format!("{},netdev=net{i}{rom}{mac}{index}", nic.model.device())]);
        }
        if let Some(port) = self.bmc {
            push(&["-chardev", &format!("socket,id=bmc,host=127.0.0.1,port={port},reconnect=1")]);
            push(&["-device", "ipmi-bmc-extern,id=bmc0,chardev=bmc", "-device", "isa-ipmi-kcs,bmc=bmc0"]);
        }
        if self.disks.iter().any(|d| d.bus == Bus::Scsi) {
            push(&["-device", "virtio-scsi-pci,id=scsi"]);
        }
        if let Firmware::Uefi { vars } = &self.firmware {
            for (unit, readonly, file) in [(0, "on", Path::new(OVMF_CODE)), (1, "off", vars)] {
                args.push("-drive".into());
                args.push(option(
                    &format!("if=pflash,format=raw,unit={unit},readonly={readonly},file="),
                    file,
                ));
            }
        }
        for (i, disk) in self.disks.iter().enumerate() {
            let snapshot = if disk.discard_writes { "on" } else { "off" };
            args.push("-drive".into());
            let format = if disk.qcow2 { "qcow2" } else { "raw" };
            // A sparse file stays one when a guest writes zeroes or discards.
            let sparse = "discard=unmap,detect-zeroes=unmap";
            args.push(option(
                &format!("if=none,id=disk{i},format={format},snapshot={snapshot},{sparse},file="),
                &disk.file,
            ));
            args.extend(["-device".into(), format!("{},bootindex={}", disk.device(i), i + 1).into()]);
        }
        if let Boot::Http = self.boot {
            // OvmfPkg/README, "Network Support".
            for family in ["IPv4", "IPv6"] {
                let option = format!("name=opt/org.tianocore/{family}PXESupport,string=n");
                args.extend(["-fw_cfg".into(), option.into()]);
            }
        }
        if let Boot::Kernel { kernel, initrd, cmdline } = &self.boot {
            args.extend(["-kernel".into(), kernel.into(), "-initrd".into(), initrd.into()]);
            args.extend(["-append".into(), cmdline.into()]);
        }
        args.extend(self.extra.iter().map(OsString::from));
        args
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_in_file_names_do_not_become_options() {
        let spec = MachineSpec {
            disks: vec![Disk { discard_writes: true, ..Disk::new("/tmp/a,readonly=on", Bus::Virtio) }],
            oem_strings: vec!["a=b,c".into()],
            smbios: Smbios { board_serial: Some("x,y".into()), ..Smbios::default() },
            ..MachineSpec::default()
        };
        let args: Vec<_> = spec.args(Accel::Tcg).iter().map(|a| a.to_string_lossy().into_owned()).collect();
        assert!(args.iter().any(|a| a.ends_with("file=/tmp/a,,readonly=on")), "{args:?}");
        assert!(args.iter().any(|a| a == "type=11,value=a=b,,c"), "{args:?}");
        assert!(args.iter().any(|a| a == "type=2,serial=x,,y"), "{args:?}");
    }
}
