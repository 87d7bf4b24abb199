//! The iPXE script beside the artefacts.

use super::plan::ImagePlan;

/// `boot.ipxe`: boots the kernel and initramfs that lie beside it. iPXE takes
/// relative URIs from where the script came from, so any HTTP server will do.
pub fn script(plan: &ImagePlan, cmdline: &str) -> String {
    let (name, version) = (&plan.name, &plan.version);
    // `initrd=` names the file for UEFI kernels, which load it by that name.
    format!(
        "#!ipxe\n\
         # {name} {version}\n\
         kernel vmlinuz initrd=initramfs.zst {cmdline}\n\
         initrd --name initramfs.zst initramfs.zst\n\
         boot\n"
    )
}
