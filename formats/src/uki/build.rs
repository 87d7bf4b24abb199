//! Builds an image and takes it apart.

use crate::pe;

pub use crate::pe::{Error, Section};

/// What goes into an image. Empty optional parts are left out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Parts<'a> {
    /// An os-release file; the boot menu's title comes from it.
    pub os_release: &'a [u8],
    /// The kernel command line, without a newline or NUL at its end.
    pub cmdline: &'a str,
    /// The kernel's release, as `uname -r` prints it.
    pub uname: &'a str,
    /// The kernel, a bzImage with an EFI stub.
    pub linux: &'a [u8],
    /// The initramfs, as the kernel reads it.
    pub initrd: &'a [u8],
    /// Optional: a cpio archive with CPU microcode. Needs systemd-stub 257.
    pub ucode: &'a [u8],
    /// Optional: a device tree.
    pub dtb: &'a [u8],
    /// Optional: a bitmap shown while booting.
    pub splash: &'a [u8],
}

/// Builds the image from `linuxx64.efi.stub` and its parts. The same parts
/// give the same bytes.
///
/// The kernel is the last section: a kernel that unpacks itself in place may
/// write behind its own end, where nothing must be.
///
/// # Errors
/// See [`Error`]; the stub is what is damaged or has no room.
pub fn build(stub: &[u8], parts: &Parts<'_>) -> Result<Vec<u8>, Error> {
    let uname = parts.uname.as_bytes();
    let mut sections = vec![(".osrel", parts.os_release), (".cmdline", parts.cmdline.as_bytes())];
    let optional = [
        (".dtb", parts.dtb),
        (".uname", uname),
        (".splash", parts.splash),
        (".ucode", parts.ucode),
        (".initrd", parts.initrd),
    ];
    sections.extend(optional.into_iter().filter(|(_, data)| !data.is_empty()));
    sections.push((".linux", parts.linux));
    pe::add_sections(stub, &sections)
}

/// The sections of an image, those of the stub included.
///
/// # Errors
/// When it is no PE image, or a damaged one.
pub fn sections(image: &[u8]) -> Result<Vec<Section<'_>>, Error> {
    pe::sections(image)
}
