//! The shipped NIC contract holds, and breaking any part of it is noticed.

use formats::tree::Tree;
use sledos::kernel::contract::{ContractEntry, ContractError, Problem, check};
use sledos::kernel::{Catalog, Selection, select};
use sledos::recipe::model::{Kernel, NicFamily, PciId};

use super::fixture::{catalog, p, recipe, tree};

fn checked(
    catalog: &Catalog,
    tree: &Tree,
    kernel: &Kernel,
    nics: &[NicFamily],
) -> Result<Vec<ContractEntry>, ContractError> {
    let usr = select::usr(catalog, tree, kernel).selection;
    let initramfs = select::initramfs(catalog, kernel, nics).unwrap();
    check(catalog, nics, &usr, &initramfs)
}

fn everywhere() -> Vec<NicFamily> {
    let mut nics = recipe("compute").nics;
    nics.iter_mut().for_each(|family| family.initramfs = true);
    nics
}

#[test]
fn the_shipped_recipes_keep_it() {
    for name in ["compute", "storage", "anynic"] {
        let recipe = recipe(name);
        checked(catalog(), &tree(), &recipe.kernel, &recipe.nics).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
}

#[test]
fn every_family_can_be_in_the_initramfs() {
    let nics = everywhere();
    let entries =
        checked(catalog(), &tree(), &recipe("compute").kernel, &nics).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(entries.len(), nics.len());
    let of = |driver: &str| entries.iter().find(|e| e.driver == driver).unwrap();
    assert!(of("ixgbe").modules.iter().any(|m| m.ends_with("/mdio.ko")), "{:?}", of("ixgbe").modules);
    assert_eq!(of("ice").firmware, ["intel/ice/ddp/ice.pkg"]);
    assert_eq!(of("bnx2x").firmware.len(), 3);
    assert_eq!(of("bnx2x").without_firmware.len(), 3);
    assert!(of("virtio_pci").modules.iter().any(|m| m.ends_with("/virtio_net.ko")));
    let json = serde_json::to_string(&entries).unwrap();
    assert!(json.contains(r#""pci":["8086:10fb","#), "{json}");
}

#[test]
fn all_that_is_missing_is_named_at_once() {
    let mut nics = everywhere();
    let family = |nics: &mut Vec<NicFamily>, driver: &str| {
        let at = nics.iter().position(|f| f.driver == driver).unwrap();
        nics.swap_remove(at)
    };
    let mut bad = Vec::new();
    let mut mistyped = family(&mut nics, "ixgbe");
    mistyped.pci.push(PciId { vendor: 0x8086, device: 0xffff });
    bad.push(mistyped);
    let mut misplaced = family(&mut nics, "igb");
    misplaced.pci.push(PciId { vendor: 0x8086, device: 0x10fb });
    bad.push(misplaced);
    let mut unknown = family(&mut nics, "vmxnet3");
    unknown.driver = "vmxnet4".to_owned();
    bad.push(unknown);
    bad.push(family(&mut nics, "bnx2x"));
    bad.push(family(&mut nics, "qede"));
    bad.push(family(&mut nics, "atlantic"));

    let mut tree = tree();
    assert!(tree.remove(&p("usr/lib/firmware/bnx2x/bnx2x-e2-7.13.21.0.fw")));
    let catalog = Catalog::scan(&tree).unwrap();
    let mut kernel = recipe("compute").kernel;
    kernel.drop.push("kernel/drivers/net/ethernet/aquantia".to_owned());
    kernel.drop_firmware.push("qed/*".to_owned());

    let error = checked(&catalog, &tree, &kernel, &bad).unwrap_err();
    let text = error.to_string();
    let found =
        |problem: &dyn Fn(&Problem) -> bool| error.problems.iter().filter(|(_, p)| problem(p)).count();
    assert_eq!(found(&|p| matches!(p, Problem::NoDriver { pci } if pci.device == 0xffff)), 1, "{text}");
    assert_eq!(
        found(&|p| matches!(p, Problem::OtherDriver { found, .. } if found == &["ixgbe"])),
        1,
        "{text}"
    );
    assert_eq!(
        found(&|p| matches!(p, Problem::NoModule { hint, .. } if hint.contains("vmxnet3"))),
        1,
        "{text}"
    );
    assert_eq!(found(&|p| matches!(p, Problem::NoFirmware { .. })), 1, "{text}");
    assert!(text.contains("add firmware-bnx2x"), "{text}");
    assert_eq!(found(&|p| matches!(p, Problem::FirmwareLeftOut { .. })), 1, "{text}");
    assert_eq!(
        found(&|p| matches!(p, Problem::ModuleLeftOut { module, .. } if module == "atlantic")),
        1,
        "{text}"
    );
    assert_eq!(error.problems.len(), 6, "{text}");
    assert_eq!(text.lines().count(), 7, "{text}");
}

#[test]
fn what_the_initramfs_lacks_is_named() {
    let nics = everywhere();
    let usr = select::usr(catalog(), &tree(), &recipe("compute").kernel).selection;
    let error = check(catalog(), &nics, &usr, &Selection::default()).unwrap_err().to_string();
    assert!(error.contains("the module ixgbe is not in the initramfs"), "{error}");
    assert!(
        error.contains("the firmware intel/ice/ddp/ice.pkg, which ice asks for, is not in the initramfs"),
        "{error}"
    );
}
