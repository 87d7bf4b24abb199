//! What is on the EFI System Partition.

use formats::tree::{Node, NotADirectory, Origin, Tree, TreePath};

use super::plan::ImagePlan;

/// The tree of the ESP: systemd-boot where firmware looks for it and the UKI
/// where systemd-boot does (Boot Loader Specification, "Type #2").
///
/// # Errors
/// Never for the fixed names used here.
pub fn tree(plan: &ImagePlan, boot_loader: &[u8], uki: &[u8]) -> Result<Tree, NotADirectory> {
    let origin = Origin::Fixup("esp");
    let mut tree = Tree::new(Node::dir(origin.clone()));
    let uki_path = format!("EFI/Linux/{}", plan.uki_name());
    // A sled has nobody at its console: no menu, the newest image at once.
    let loader = "timeout 0\neditor no\nauto-entries no\n";
    let files: [(&str, &[u8]); 4] = [
        ("EFI/BOOT/BOOTX64.EFI", boot_loader),
        ("EFI/systemd/systemd-bootx64.efi", boot_loader),
        ("loader/loader.conf", loader.as_bytes()),
        (&uki_path, uki),
    ];
    for (path, bytes) in files {
        let path = TreePath::parse(path.as_bytes()).expect("these names have no `..`");
        tree.insert(path, Node::file(bytes, 0o644, origin.clone()))?;
    }
    Ok(tree)
}
