//! Kernel modules.
//!
//! | File | What |
//! |---|---|
//! | [`glob`] | matching a device's modalias against a module's alias |
//! | [`index`] | the initramfs module index: what PID 1 loads for which device |
//! | `elf` | what a `.ko` says about itself |
//! | `lists` | `modules.order`, `modules.builtin`, `modules.builtin.modinfo` |
//! | `graph` | which module needs which |
//! | `depmod` | the index files kmod reads, as `depmod` writes them |
//!
//! PID 1 has the first two; the rest needs the feature `write`.

#[cfg(feature = "write")]
pub mod depmod;
#[cfg(feature = "write")]
pub mod elf;
pub mod glob;
#[cfg(feature = "write")]
pub mod graph;
pub mod index;
#[cfg(feature = "write")]
pub mod lists;
#[cfg(feature = "write")]
mod trie;

/// The name the kernel knows a module by: dashes and underscores are one.
pub fn canonical_name(name: &str) -> String {
    name.replace('-', "_")
}

/// The module name of a file: `kernel/drivers/md/dm-verity.ko.xz` is `dm_verity`.
/// `None` when the name is not that of a module.
pub fn name_of_file(path: &str) -> Option<String> {
    let file = path.rsplit('/').next().unwrap_or(path);
    let stem = [".ko", ".ko.xz", ".ko.zst", ".ko.gz"].iter().find_map(|end| file.strip_suffix(end))?;
    (!stem.is_empty()).then(|| canonical_name(stem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names() {
        assert_eq!(name_of_file("kernel/drivers/md/dm-verity.ko").as_deref(), Some("dm_verity"));
        assert_eq!(name_of_file("a/b-c_d.ko.zst").as_deref(), Some("b_c_d"));
        assert_eq!(name_of_file("modules.order"), None);
        assert_eq!(name_of_file("x/.ko"), None);
    }
}
