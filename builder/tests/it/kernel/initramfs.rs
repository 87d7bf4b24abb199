//! What PID 1 gets, and that it would load it as modprobe does.

use std::collections::BTreeSet;

use formats::cpio;
use formats::modules::index::{self, Index};
use formats::tree::{Kind, Tree};
use sledos::kernel::{initramfs, select};

use super::fixture::{catalog, p, recipe, root, run, tree};

fn index_of(tree: &Tree) -> Vec<u8> {
    match &tree.get(&p(index::PATH)).unwrap().kind {
        Kind::File(content) => content.to_vec().unwrap(),
        _ => panic!("the index is no file"),
    }
}

/// Runs modprobe on the packages' own modules with depmod's indexes.
fn modprobe(args: &[&str]) -> Vec<String> {
    static INDEXED: std::sync::Once = std::sync::Once::new();
    let root = root().to_str().unwrap();
    INDEXED.call_once(|| {
        run("depmod", "kmod", &["-b", root, &catalog().version]);
    });
    let mut all = vec!["-C", "/nonexistent", "-S", &catalog().version, "-d", root];
    all.extend(args);
    run("modprobe", "kmod", &all).lines().map(str::to_owned).collect()
}

#[test]
fn loads_what_modprobe_loads() {
    let (catalog, source) = (catalog(), tree());
    let recipe = recipe("compute");
    let selection = select::initramfs(catalog, &recipe.kernel, &recipe.devices()).unwrap();
    let tree = initramfs::tree(b"init", &source, catalog, &selection, []).unwrap();
    let bytes = index_of(&tree);
    let index = Index::parse(&bytes).unwrap();
    assert_eq!(index.kernel(), catalog.version);
    assert_eq!(index.modules().len(), selection.modules.len());
    for module in index.modules() {
        let path = format!("lib/modules/{}/{}", catalog.version, module.path);
        assert!(tree.get(&p(&path)).is_some(), "/{path} is not in the initramfs");
        let theirs: BTreeSet<String> = modprobe(&["--show-depends", module.name])
            .iter()
            .filter_map(|line| line.strip_prefix("insmod "))
            .map(|line| formats::modules::name_of_file(line.trim()).unwrap())
            .collect();
        let steps = index.load_order(module.name).unwrap();
        let ours: BTreeSet<String> = steps.iter().map(|s| s.module.name.to_owned()).collect();
        assert_eq!(ours, theirs, "to load {}", module.name);
        // Everything a step needs came before it.
        let mut loaded = BTreeSet::new();
        for step in &steps {
            let depends = &catalog.module(step.module.name).unwrap().info.depends;
            for need in depends.iter().map(|d| formats::modules::canonical_name(d)) {
                assert!(loaded.contains(&need), "{} before {need}", step.module.name);
            }
            loaded.insert(step.module.name.to_owned());
        }
    }
    for modalias in [
        "pci:v00008086d000010FBsv00008086sd00000003bc02sc00i00",
        "pci:v00008086d00001521sv00008086sd00000001bc02sc00i00",
        "pci:v00001AF4d00001041sv00001AF4sd00001100bc02sc00i00",
        "virtio:d00000001v00001AF4",
        "pci:v00008086d00002922sv00001AF4sd00001100bc01sc06i01",
        "scsi:t-0x00",
        "fs-ext4",
    ] {
        let mut theirs = modprobe(&["--resolve-alias", modalias]);
        theirs.retain(|name| selection.modules.contains(name));
        theirs.sort();
        // It names a module once for each alias that matches.
        theirs.dedup();
        let mut ours: Vec<&str> = index.modules_for_alias(modalias).iter().map(|m| m.name).collect();
        ours.sort_unstable();
        assert_eq!(ours, theirs, "{modalias}");
        assert!(!ours.is_empty(), "{modalias}");
    }
}

#[test]
fn unknown_names_are_reported_together_with_hints() {
    let mut kernel = recipe("compute").kernel;
    kernel.initramfs.extend(["ixbge", "squashsf", "efivarfs_", "zzzz"].map(str::to_owned));
    let error = select::initramfs(catalog(), &kernel, &[]).unwrap_err().to_string();
    assert!(error.contains("\n  ixbge; did you mean ixgbe?"), "{error}");
    assert!(error.contains("\n  squashsf; did you mean squashfs?"), "{error}");
    assert!(error.ends_with("\n  zzzz"), "{error}");
    // A built-in driver is no mistake.
    kernel.initramfs = vec!["8250".to_owned()];
    assert!(catalog().is_builtin("8250"));
    assert!(select::initramfs(catalog(), &kernel, &[]).unwrap().modules.contains("overlay"));
}

/// The archive of a recipe without PID 1, compressed as for a release.
fn size(name: &str) -> usize {
    let (catalog, source, recipe) = (catalog(), tree(), recipe(name));
    let selection = select::initramfs(catalog, &recipe.kernel, &recipe.devices()).unwrap();
    let tree = initramfs::tree(b"", &source, catalog, &selection, []).unwrap();
    let mut archive = Vec::new();
    cpio::write(&tree, 0, &mut archive).unwrap();
    let packed = cpio::compress(&archive, recipe.compression.initramfs_level, &|| true).unwrap();
    println!(
        "{name}: {} modules, {} firmware files: {} bytes, {} compressed; the index has {}",
        selection.modules.len(),
        selection.firmware.len(),
        archive.len(),
        packed.len(),
        index_of(&tree).len()
    );
    packed.len()
}

#[test]
fn fits_the_budgets() {
    // PID 1 takes up to 1.3 MB more.
    let (compute, all) = (size("compute"), size("anynic"));
    assert!(compute <= 4_700_000, "{compute}");
    assert!(all <= 14_700_000, "{all}");
}

#[test]
fn firmware_comes_with_its_links() {
    let (catalog, source) = (catalog(), tree());
    let recipe = recipe("compute");
    let selection = select::initramfs(catalog, &recipe.kernel, &recipe.devices()).unwrap();
    let tree = initramfs::tree(b"", &source, catalog, &selection, []).unwrap();
    let kind = |path: &str| &tree.get(&p(path)).unwrap_or_else(|| panic!("no {path}")).kind;
    let Kind::Symlink(to) = kind("lib/firmware/intel/ice/ddp/ice.pkg") else { panic!("not a link") };
    let to = format!("lib/firmware/intel/ice/ddp/{}", String::from_utf8_lossy(to));
    assert!(matches!(kind(&to), Kind::File(content) if content.len() > 100_000));
    assert!(matches!(kind("dev/console"), Kind::CharDev { major: 5, minor: 1 }));
    for dir in ["dev", "proc", "run", "sys", "sysroot"] {
        assert!(matches!(kind(dir), Kind::Dir));
    }
}
