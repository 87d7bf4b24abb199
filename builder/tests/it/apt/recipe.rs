//! A recipe with nothing in it but what decides about packages.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sledos::recipe::model::{Budgets, Compression, Debian, Kernel, Layout, Provisioning, Recipe};

pub(crate) fn recipe(dir: &Path, keyring: &Path, packages: &[&str]) -> Recipe {
    Recipe {
        sha256: [0; 32],
        file: dir.join("test.yaml"),
        name: "test".into(),
        description: String::new(),
        debian: Debian {
            suite: "bookworm".into(),
            extra_suites: vec![],
            components: vec!["main".into()],
            arch: "amd64".into(),
            keyring: Some(keyring.to_owned()),
            recommends: false,
        },
        repositories: vec![],
        packages: packages.iter().map(|name| (*name).to_owned()).collect(),
        provided: BTreeMap::new(),
        reviewed_scripts: BTreeMap::new(),
        kernel: Kernel {
            package: "linux-image-amd64".into(),
            cmdline: vec![],
            drop: vec![],
            initramfs: vec![],
            drop_firmware: vec![],
            load: vec![],
        },
        nics: vec![],
        controllers: Vec::new(),
        components: BTreeMap::new(),
        extensions: BTreeMap::new(),
        overlays: vec![],
        exclude: vec![],
        attributes: Default::default(),
        keep: vec![],
        users: vec![],
        groups: vec![],
        provisioning: Provisioning::default(),
        alternatives: BTreeMap::new(),
        enable: BTreeMap::new(),
        mask: BTreeSet::new(),
        layout: Layout { esp: 0, usr: 0, verity: 0, oem: 0, root: 0 },
        compression: Compression { usr_level: 3, block_size: 131_072, initramfs_level: 3 },
        budgets: Budgets::default(),
    }
}
