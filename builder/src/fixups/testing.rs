//! Small trees for the tests of the fix-ups.

use std::collections::{BTreeMap, BTreeSet};

use formats::tree::{Kind, Node, Origin, Tree, TreePath};

use super::{Context, Edit, Error, Script};
use crate::accounts::Ids;
use crate::recipe::Recipe;
use crate::recipe::model::{Budgets, Compression, Debian, Kernel, Layout, Provisioning, User};

pub(super) const PASSWD_MASTER: &str =
    "root:*:0:0:root:/root:/bin/bash\nnobody:*:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
pub(super) const GROUP_MASTER: &str = "root:*:0:\nadm:*:4:\nshadow:*:42:\nnogroup:*:65534:\n";
const PACKAGE: fn() -> Origin = || Origin::Package("test".into());

/// A recipe that asks for nothing.
pub(super) fn recipe() -> Recipe {
    Recipe {
        file: "test.yaml".into(),
        sha256: [0; 32],
        name: "compute".into(),
        description: String::new(),
        debian: Debian {
            suite: "bookworm".into(),
            extra_suites: Vec::new(),
            components: vec!["main".into()],
            arch: "amd64".into(),
            keyring: None,
            recommends: false,
        },
        repositories: Vec::new(),
        packages: BTreeSet::new(),
        provided: BTreeMap::new(),
        reviewed_scripts: BTreeMap::new(),
        kernel: Kernel {
            package: "linux-image-amd64".into(),
            cmdline: Vec::new(),
            drop: Vec::new(),
            initramfs: Vec::new(),
            drop_firmware: Vec::new(),
            load: Vec::new(),
        },
        nics: Vec::new(),
        controllers: Vec::new(),
        components: BTreeMap::new(),
        extensions: BTreeMap::new(),
        overlays: Vec::new(),
        exclude: Vec::new(),
        keep: Vec::new(),
        attributes: BTreeMap::new(),
        users: Vec::new(),
        groups: Vec::new(),
        alternatives: BTreeMap::new(),
        enable: BTreeMap::new(),
        mask: BTreeSet::new(),
        provisioning: Provisioning::default(),
        layout: Layout { esp: 0, usr: 0, verity: 0, oem: 0, root: 0 },
        compression: Compression { usr_level: 3, block_size: 1 << 18, initramfs_level: 3 },
        budgets: Budgets::default(),
    }
}

/// A user without a login.
pub(super) fn user(name: &str, uid: u32, group: Option<&str>) -> User {
    User {
        name: name.into(),
        uid,
        group: group.map(Into::into),
        groups: Vec::new(),
        home: "/nonexistent".into(),
        shell: "/usr/sbin/nologin".into(),
        gecos: String::new(),
    }
}

/// The text of a file of a tree.
pub(super) fn text(tree: &Tree, path: &str) -> String {
    let node = tree.get(&TreePath::parse(path.as_bytes()).unwrap()).unwrap_or_else(|| panic!("no /{path}"));
    match &node.kind {
        Kind::File(content) => String::from_utf8(content.to_vec().unwrap()).unwrap(),
        Kind::Symlink(target) => format!("-> {}", String::from_utf8_lossy(target)),
        other => panic!("/{path} is {other:?}"),
    }
}

/// A tree, a recipe and one fix-up at a time.
pub(super) struct Fixture {
    pub(super) tree: Tree,
    pub(super) recipe: Recipe,
    /// Packages and their postinsts.
    pub(super) scripts: Vec<(String, String)>,
    /// What the last fix-up said.
    pub(super) notes: Vec<String>,
}

impl Fixture {
    pub(super) fn new() -> Self {
        Self {
            tree: Tree::new(Node::dir(PACKAGE())),
            recipe: recipe(),
            scripts: Vec::new(),
            notes: Vec::new(),
        }
    }

    pub(super) fn put(&mut self, path: &str, node: Node) {
        self.tree.insert(TreePath::parse(path.as_bytes()).unwrap(), node).unwrap();
    }

    pub(super) fn file(&mut self, path: &str, bytes: impl AsRef<[u8]>) {
        self.put(path, Node::file(bytes.as_ref(), 0o644, PACKAGE()));
    }

    pub(super) fn node(&self, path: &str) -> &Node {
        self.tree.get(&TreePath::parse(path.as_bytes()).unwrap()).unwrap_or_else(|| panic!("no /{path}"))
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.tree.get(&TreePath::parse(path.as_bytes()).unwrap()).is_some()
    }

    pub(super) fn run(
        &mut self,
        fixup: fn(&mut Edit<'_>, &Context<'_>) -> Result<(), Error>,
    ) -> Result<usize, Error> {
        let ids = Ids::from_masters(PASSWD_MASTER, GROUP_MASTER).unwrap();
        let ids = ids.with(&self.recipe.users, &self.recipe.groups).unwrap();
        let scripts: Vec<_> =
            self.scripts.iter().map(|(package, postinst)| Script { package, postinst }).collect();
        let context =
            Context { recipe: &self.recipe, ids: &ids, version: "1.2.3", packages: &[], scripts: &scripts };
        let mut edit = Edit::new(&mut self.tree, "test");
        fixup(&mut edit, &context)?;
        let changed = edit.changed();
        self.notes = edit.into_notes();
        Ok(changed)
    }
}
