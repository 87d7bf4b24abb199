//! Why a sled does not come up: stable codes, each with what to do about it.
//!
//! The numbers are a contract with operators and their tools: one is never
//! given a new meaning. `docs/failure-codes.md` is [`page`], kept equal by a test.

use std::fmt;

/// What kind of failure. The hundreds say where: 0 early, 1 /usr, 2 the other
/// file systems, 3 hand-over, 9 PID 1 itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// A kernel file system does not mount.
    Mounts = 10,
    /// `sledos.usrhash=` is missing or no hash.
    CommandLine = 20,
    /// The module index is missing or damaged.
    ModuleIndex = 30,
    /// The modules are for another kernel.
    OtherKernel = 31,
    /// No disk has the partitions.
    UsrNotFound = 101,
    /// The verity superblock is unusable.
    VeritySuperblock = 102,
    /// Device-mapper refuses.
    VerityDevice = 103,
    /// /usr does not match its hash.
    UsrCorrupt = 104,
    /// /usr matches its hash and does not mount all the same.
    UsrMount = 105,
    /// The document asks for another image than the one that is booted.
    OtherImage = 106,
    /// The image does not fit into memory.
    LiveMemory = 111,
    /// The image cannot be held in memory.
    Live = 112,
    /// No server gave the image, or what the document says of it cannot be.
    ImageSource = 113,
    /// No disk may be written to.
    InstallRefused = 121,
    /// A disk does not take the image.
    InstallFailed = 122,
    /// The root file system cannot be put together.
    Root = 201,
    /// The overlay for /etc does not mount.
    Etc = 202,
    /// ROOT is there and does not mount.
    Var = 203,
    /// The machine id cannot be read or stored.
    MachineId = 204,
    /// The document asks for a configuration that cannot be.
    Config = 211,
    /// The hand-over failed before the init of the image was started.
    HandOver = 301,
    /// The image's init does not start.
    NoInit = 302,
    /// PID 1 has a bug.
    Panic = 901,
}

impl Code {
    /// All codes in the order of their numbers.
    pub const ALL: [Self; 23] = [
        Self::Mounts,
        Self::CommandLine,
        Self::ModuleIndex,
        Self::OtherKernel,
        Self::UsrNotFound,
        Self::VeritySuperblock,
        Self::VerityDevice,
        Self::UsrCorrupt,
        Self::UsrMount,
        Self::OtherImage,
        Self::LiveMemory,
        Self::Live,
        Self::ImageSource,
        Self::InstallRefused,
        Self::InstallFailed,
        Self::Root,
        Self::Etc,
        Self::Var,
        Self::MachineId,
        Self::Config,
        Self::HandOver,
        Self::NoInit,
        Self::Panic,
    ];

    /// What happened, in a few words.
    pub fn title(self) -> &'static str {
        self.texts().0
    }

    /// What the operator should do.
    pub fn advice(self) -> &'static str {
        self.texts().1
    }

    fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::Mounts => (
                "a kernel file system does not mount",
                "The kernel lacks something every sledos kernel has. Boot the vmlinuz that was built with this initramfs.",
            ),
            Self::CommandLine => (
                "the command line does not say which /usr to boot",
                "Add sledos.usrhash= with the 64 hex digits of `root_hash` in the image's manifest.json, or boot the UKI, which carries it.",
            ),
            Self::ModuleIndex => (
                "the list of kernel modules is missing or damaged",
                "The initramfs is incomplete. Compare it with SHA256SUMS and fetch or build it again.",
            ),
            Self::OtherKernel => (
                "the modules in the initramfs are for another kernel",
                "Serve the vmlinuz and the initramfs of the same image version.",
            ),
            Self::UsrNotFound => (
                "no disk carries /usr with this hash",
                "Look at the disks listed above the code. A disk missing from the list: check cabling, controller and its driver in the recipe. A disk without the hash: install this image version on it, or boot the version it has. Slow disks: raise sledos.wait=.",
            ),
            Self::VeritySuperblock => (
                "the verity data beside /usr cannot be used",
                "The USR-x-VERITY partition is damaged or of another kind. Install the image again, or boot the other slot.",
            ),
            Self::VerityDevice => (
                "the verified device for /usr cannot be made",
                "The kernel log above says why. Modules dm-mod and dm-verity have to be in the initramfs.",
            ),
            Self::UsrCorrupt => (
                "/usr does not match its hash",
                "The disk returned other data than was installed. Boot the other slot or install the image again; if it comes back, replace the disk.",
            ),
            Self::UsrMount => (
                "/usr does not mount",
                "The data is as built, so the kernel cannot read this kind of squashfs, or module squashfs is not in the initramfs.",
            ),
            Self::OtherImage => (
                "the document asks for another image than the one that was started",
                "Serve this sled the kernel and initramfs of the image its role names, or compile the fleet with the image that is served.",
            ),
            Self::LiveMemory => (
                "the image does not fit into memory",
                "Give the sled more memory, or let its role install the image on a disk (`install:`).",
            ),
            Self::Live => (
                "the image cannot be held in memory",
                "Module loop or dm-verity is not in the initramfs, or memory has run out; the detail names the step.",
            ),
            Self::ImageSource => (
                "no server gave the image",
                "Look at the lines `image:` above the code: which URL answered what. What the document says of the image comes from its manifest.json: compile the fleet again.",
            ),
            Self::InstallRefused => (
                "no disk may be written to",
                "The detail names the disks and what is on them. Nothing was changed. Correct `install.disk:` of the role, or allow what may go with `install.wipe:`.",
            ),
            Self::InstallFailed => (
                "a disk does not take the image",
                "Replace the disk that the detail names. A slot that is not whole is never booted; the next boot begins again.",
            ),
            Self::Root => (
                "the root file system cannot be put together",
                "Most likely memory has run out. Check the memory the sled sees against what it should have.",
            ),
            Self::Etc => (
                "/etc does not mount",
                "The image has no /usr/share/sledos/etc, or module overlay is not in the initramfs. Build the image again.",
            ),
            Self::Var => (
                "the ROOT partition does not mount as /var",
                "It was checked with the image's e2fsck, which repairs what is safe to repair; nothing else was changed. Repair it with e2fsck from another system; to come up without it once, add sledos.var=tmpfs. It is never formatted by PID 1.",
            ),
            Self::MachineId => (
                "the machine id cannot be read or stored on ROOT",
                "ROOT is full or read-only after an error. Check it with e2fsck from another system; to come up without it once, add sledos.var=tmpfs.",
            ),
            Self::Config => (
                "the document asks for a configuration that cannot be",
                "The detail names the field. `sledos fleet show SLED --explain` says which line of the fleet file set it; correct it and compile again.",
            ),
            Self::HandOver => (
                "the hand-over to the image failed",
                "Report it with the console output. Boot the other slot meanwhile.",
            ),
            Self::NoInit => (
                "the image's init does not start",
                "The image has no usable /usr/lib/systemd/systemd (or sledos.init= names a program that is not there). Build the image again, or boot the other slot.",
            ),
            Self::Panic => (
                "PID 1 has a bug",
                "Report it with the console output. Boot the other slot or the version before meanwhile.",
            ),
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The discriminants are the contract; they are all below 1000.
        write!(f, "SLED-{:03}", *self as u16)
    }
}

/// A failure that stops the boot: its code and what exactly was seen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code} {}: {detail}", code.title())]
pub struct Failure {
    /// Its kind.
    pub code: Code,
    /// What was seen where, one line.
    pub detail: String,
}

impl Failure {
    /// A failure with anything that can be shown.
    pub fn new(code: Code, detail: impl fmt::Display) -> Self {
        Self { code, detail: detail.to_string() }
    }
}

/// `docs/failure-codes.md`.
pub fn page() -> String {
    let mut page = String::from(
        "# Failure codes\n\n\
         A sled that cannot come up prints one of these on its console, then reboots after\n\
         `sledos.onfail-delay=` seconds (30), or stays there with `sledos.onfail=halt`.\n\
         A code never changes its meaning.\n\n\
         | Code | What happened | What to do |\n|---|---|---|\n",
    );
    for code in Code::ALL {
        page += &format!("| {code} | {} | {} |\n", code.title(), code.advice());
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_in_the_documentation_is_the_table_in_the_code() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/failure-codes.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, page()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == page(), "docs/failure-codes.md should be:\n{}", page());
    }

    #[test]
    fn codes_are_listed_once_in_order() {
        assert!(Code::ALL.is_sorted_by(|a, b| (*a as u16) < (*b as u16)));
        assert_eq!(Code::Mounts.to_string(), "SLED-010");
    }
}
