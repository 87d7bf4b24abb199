//! The indexes we write are those depmod writes.

use std::fs;
use std::path::Path;

use sledos::kernel::{indexes, select};

use super::fixture::{catalog, p, recipe, root, run, tree};

#[test]
fn the_same_as_depmod_for_what_stays_in_usr() {
    let (catalog, mut tree) = (catalog(), tree());
    let usr = select::usr(catalog, &tree, &recipe("compute").kernel);
    assert!(usr.unused_drops.is_empty(), "{:?}", usr.unused_drops);
    for path in &usr.remove {
        tree.remove(path);
    }
    indexes::write(&mut tree, catalog, &usr.selection).unwrap();

    // The same modules on disk, for depmod.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let below = Path::new("lib/modules").join(&catalog.version);
    let (from, to) = (root().join(&below), dir.path().join(&below));
    for list in ["modules.order", "modules.builtin", "modules.builtin.modinfo"] {
        fs::create_dir_all(&to).unwrap();
        fs::copy(from.join(list), to.join(list)).unwrap();
    }
    for module in catalog.modules().iter().filter(|m| usr.selection.modules.contains(&m.name)) {
        fs::create_dir_all(to.join(&module.path).parent().unwrap()).unwrap();
        fs::hard_link(from.join(&module.path), to.join(&module.path)).unwrap();
    }
    run("depmod", "kmod", &["-b", dir.path().to_str().unwrap(), &catalog.version]);

    let mut compared = 0;
    for entry in fs::read_dir(&to).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name == "kernel" {
            continue;
        }
        let theirs = fs::read(to.join(&name)).unwrap();
        let path = p(&format!("usr/lib/modules/{}/{name}", catalog.version));
        let node = tree.get(&path).unwrap_or_else(|| panic!("depmod writes {name}, we do not"));
        let formats::tree::Kind::File(content) = &node.kind else { panic!("{name}") };
        let ours = content.to_vec().unwrap();
        if name == "modules.symbols" {
            // depmod's order is that of a hash table.
            let sorted = |bytes: &[u8]| {
                let mut lines: Vec<Vec<u8>> = bytes.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
                lines.sort();
                lines
            };
            assert!(sorted(&ours) == sorted(&theirs), "{name} has other lines");
        } else {
            assert!(ours == theirs, "{name} differs: {} bytes, depmod's has {}", ours.len(), theirs.len());
        }
        compared += 1;
    }
    assert_eq!(compared, 13);
}

#[test]
fn what_is_dropped_and_what_stays() {
    let (catalog, tree) = (catalog(), tree());
    let mut kernel = recipe("compute").kernel;
    kernel.drop.extend(["kernel/net/xfrm".to_owned(), "kernel/sonud".to_owned()]);
    kernel.drop_firmware.push("qed/*".to_owned());
    let usr = select::usr(catalog, &tree, &kernel);
    assert_eq!(usr.unused_drops, ["kernel/sonud"]);
    // Something outside of net/xfrm needs xfrm_algo; what nobody needs is gone with its directory.
    assert!(usr.selection.modules.contains("xfrm_algo") && usr.rescued.contains_key("xfrm_algo"));
    assert!(!usr.selection.modules.contains("snd_hda_intel"));
    assert!(
        usr.remove
            .contains(&p(&format!("usr/lib/modules/{}/kernel/drivers/media/usb/gspca", catalog.version)))
    );
    // Firmware: asked for and linked to, or gone.
    let gone = |name: &str| usr.remove.contains(&p(&format!("usr/lib/firmware/{name}")));
    assert!(!gone("bnx2x/bnx2x-e2-7.13.21.0.fw") && gone("bnx2x/bnx2x-e2-7.13.1.0.fw"));
    assert!(!gone("intel/ice/ddp/ice.pkg") && !gone("intel/ice/ddp"));
    assert!(!gone("cxgb4/t5-config.txt") && !gone("cxgb4/configs/t5-config-default.txt"));
    assert!(gone("qed") && gone("i915"));
    for path in &usr.remove {
        assert!(tree.get(path).is_some(), "/{path} is not there");
    }
    // Nothing that stays points to something that goes.
    for name in &usr.selection.firmware {
        for path in catalog.firmware_paths(name).unwrap() {
            assert!(!usr.remove.contains(path), "{name} needs /{path}");
        }
    }
}
