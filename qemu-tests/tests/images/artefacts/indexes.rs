//! The module indexes of /usr: depmod makes them again.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use qemu_tests::judge;

use super::support::{assert_same, manifest, scratch, shell, unsquashed};

/// All `modules.*` files by name. The lines of modules.symbols are in the order
/// of depmod's hash table, which nobody who reads them depends on.
fn indexes(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut out = BTreeMap::new();
    for entry in fs::read_dir(dir).expect("it was made a moment ago") {
        let path = entry.expect("it can be read").path();
        let name = path.file_name().expect("an entry has a name").to_string_lossy().into_owned();
        if path.is_file() && name.starts_with("modules.") {
            let mut bytes = fs::read(&path).expect("it can be read");
            if name == "modules.symbols" {
                let mut lines: Vec<_> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
                lines.sort_unstable();
                bytes = lines.concat();
            }
            out.insert(name, bytes);
        }
    }
    out
}

#[test]
fn depmod_makes_the_same_indexes() {
    let release = manifest().kernel.release;
    let root = scratch("depmod");
    let ours = unsquashed().join("usr/lib/modules").join(&release);
    let theirs = root.join("lib/modules").join(&release);
    let script = "set -e; mkdir -p \"$1\"; cp -a \"$0/kernel\" \"$1\"; \
                  cp -a \"$0\"/modules.order \"$0\"/modules.builtin \"$0\"/modules.builtin.modinfo \"$1\"";
    shell("coreutils", script, &[&ours, &theirs]);
    let root = root.to_str().expect("cargo's directories are UTF-8");
    judge::run("kmod", "depmod", ["--basedir", root, &release]);

    let (ours, theirs) = (indexes(&ours), indexes(&theirs));
    for binary in ["dep", "alias", "symbols", "builtin"] {
        assert!(theirs.contains_key(&format!("modules.{binary}.bin")), "depmod made no {binary}");
    }
    // The contents of those that differ would fill the screen.
    let sizes = |from: &BTreeMap<String, Vec<u8>>| -> BTreeMap<String, String> {
        from.iter()
            .map(|(name, b)| (name.clone(), format!("{} bytes {}", b.len(), super::support::sha256(&**b))))
            .collect()
    };
    assert_same(&sizes(&ours), &sizes(&theirs));
}
