//! `kernel:`, `nics:` and `controllers:`.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::{Context, reasons, texts};
use crate::recipe::model::{DeviceFamily, Kernel, PciId};
use crate::recipe::values;
use yaml::diagnostic::{Diagnostic, Place};
use yaml::{Cursor, Wrong};

/// The package that always depends on the newest kernel of the suite.
const KERNEL: &str = "linux-image-amd64";

pub(super) fn kernel(at: Option<Cursor<'_>>) -> Option<Kernel> {
    let Some(at) = at else {
        return Some(Kernel {
            package: KERNEL.to_owned(),
            cmdline: Vec::new(),
            drop: Vec::new(),
            initramfs: Vec::new(),
            drop_firmware: Vec::new(),
            load: Vec::new(),
        });
    };
    let fields = at.fields()?;
    let package = fields.or("package", KERNEL.to_owned(), |at| at.text(values::package));
    let cmdline = fields.or("cmdline", Vec::new(), |at| texts(at, values::kernel_arg));
    let drop = fields.or("drop", Vec::new(), |at| texts(at, values::module_path));
    let initramfs = fields.or("initramfs", Vec::new(), |at| texts(at, values::module));
    let drop_firmware = fields.or("drop-firmware", Vec::new(), |at| texts(at, values::glob));
    let load = fields.or("load", Vec::new(), |at| texts(at, values::module));
    fields.finish();
    Some(Kernel {
        package: package?,
        cmdline: cmdline?,
        drop: drop?,
        initramfs: initramfs?,
        drop_firmware: drop_firmware?,
        load: load?,
    })
}

pub(super) fn devices(at: Cursor<'_>, cx: Context<'_>) -> Option<Vec<DeviceFamily>> {
    let seen: RefCell<BTreeMap<PciId, (String, Place)>> = RefCell::default();
    at.list(|at| {
        let fields = at.fields()?;
        let name = fields.required("name", |at| at.text(values::line));
        let driver = fields.required("driver", |at| at.text(values::module));
        let with = fields.or("with", Vec::new(), |at| texts(at, values::module));
        let family = at.node.identity().unwrap_or("this family").to_owned();
        let class = fields.or("class", Vec::new(), |at| at.list(|at| at.text(values::pci_class)));
        let of_class = class.as_ref().is_some_and(|class| !class.is_empty());
        let pci = |at: Cursor<'_>| {
            let ids = at.list(|at| {
                let id = at.text(values::pci_id)?;
                let before = seen.borrow_mut().insert(id, (family.clone(), at.node.place.clone()));
                let Some((owner, place)) = before else { return Some(id) };
                let wrong = Diagnostic::at(&at.node.place, format!("the PCI id {id} is listed twice"));
                cx.problems
                    .report(wrong.also(format!("first here, for `{owner}`"), &place).hint("remove one"));
                None
            })?;
            if ids.is_empty() {
                return at.wrong(
                    Wrong::new(format!("`{family}` lists no PCI ids")).hint("like `pci: [\"8086:10fb\"]`"),
                );
            }
            Some(ids)
        };
        // One of the two has to be there.
        let pci = if of_class { fields.or("pci", Vec::new(), pci) } else { fields.required("pci", pci) };
        let initramfs = fields.or("initramfs", false, |at| at.boolean());
        let without = fields.or("without-firmware", BTreeMap::new(), |at| reasons(at, values::glob));
        fields.finish();
        Some(DeviceFamily {
            name: name?,
            driver: driver?,
            with: with?,
            pci: pci?,
            class: class?,
            initramfs: initramfs?,
            without_firmware: without?,
        })
    })
}
