//! The shipped NIC contract holds, and breaking any part of it is noticed.

use formats::tree::Tree;
use sledos::kernel::contract::{ContractEntry, ContractError, Devices, Problem, check};
use sledos::kernel::{Catalog, Selection, select};
use sledos::recipe::model::{DeviceFamily, Kernel, PciClass, PciId};

use super::fixture::{catalog, p, recipe, tree};

fn checked(
    catalog: &Catalog,
    tree: &Tree,
    kernel: &Kernel,
    nics: &[DeviceFamily],
) -> Result<Vec<ContractEntry>, ContractError> {
    let usr = select::usr(catalog, tree, kernel).selection;
    let initramfs = select::initramfs(catalog, kernel, &nics.iter().collect::<Vec<_>>()).unwrap();
    check(catalog, Devices::Nics, nics, &usr, &initramfs)
}

fn everywhere() -> Vec<DeviceFamily> {
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
fn disks_are_found_behind_every_controller_that_is_promised() {
    let recipe = recipe("compute");
    let (catalog, tree) = (catalog(), tree());
    let usr = select::usr(catalog, &tree, &recipe.kernel).selection;
    let initramfs = select::initramfs(catalog, &recipe.kernel, &recipe.devices()).unwrap();
    let check = |families: &[DeviceFamily]| check(catalog, Devices::Controllers, families, &usr, &initramfs);
    let entries = check(&recipe.controllers).unwrap_or_else(|e| panic!("{e}"));
    for driver in [
        "ahci",
        "isci",
        "nvme",
        "vmd",
        "mpt3sas",
        "mpi3mr",
        "megaraid_sas",
        "smartpqi",
        "hpsa",
        "aacraid",
        "virtio_pci",
        "vmw_pvscsi",
    ] {
        let entry = entries.iter().find(|entry| entry.driver == driver).expect(driver);
        assert!(entry.initramfs && initramfs.modules.contains(driver), "{driver}");
    }
    let of = |driver: &str| recipe.controllers.iter().find(|family| family.driver == driver).unwrap();
    let mut uncovered = of("mpi3mr").clone();
    uncovered.pci.push(PciId { vendor: 0x1000, device: 0xfffe });
    let mut class = of("ahci").clone();
    class.class = vec![PciClass([1, 8, 2])];
    let mut nic = of("vmd").clone();
    nic.pci = vec![PciId { vendor: 0x8086, device: 0x10fb }];
    let error = check(&[uncovered, class, nic]).unwrap_err().to_string();
    for says in [
        "the disk controller contract cannot be kept",
        "Broadcom SAS4116: no module serves the PCI id 1000:fffe",
        "SATA, AHCI: ahci does not serve the PCI class 010802",
        "the PCI id 8086:10fb belongs to ixgbe",
    ] {
        assert!(error.contains(says), "{says}: {error}");
    }
    for module in ["bonding", "8021q", "i2c_i801", "sp5100_tco"] {
        assert!(initramfs.modules.contains(module), "{module}");
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
    let family = |nics: &mut Vec<DeviceFamily>, driver: &str| {
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
    let error = check(catalog(), Devices::Nics, &nics, &usr, &Selection::default()).unwrap_err().to_string();
    assert!(error.contains("the module ixgbe is not in the initramfs"), "{error}");
    assert!(
        error.contains("the firmware intel/ice/ddp/ice.pkg, which ice asks for, is not in the initramfs"),
        "{error}"
    );
}
