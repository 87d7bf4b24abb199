//! The initramfs and the kernel's command line.

use formats::initconf::{self, InitConf};
use formats::tree::{Node, Origin, Tree, TreePath};
use formats::{cpio, uki};
use sha2::{Digest as _, Sha256};

use super::Error;
use super::assemble::Assembled;
use crate::cache::Cache;
use crate::digest::hex;
use crate::image::ImagePlan;
use crate::kernel;
use crate::output::Interrupt;
use crate::recipe::Recipe;

/// PID 1, made by this crate's build script.
pub const INIT: &[u8] = include_bytes!(env!("SLEDOS_INIT"));

/// A compressed initramfs and what is in it.
#[derive(Debug)]
pub(super) struct Initramfs {
    /// CPU microcode as an uncompressed cpio archive, if the image has any, and behind it the
    /// zstd-compressed one.
    pub(super) bytes: Vec<u8>,
    /// Bytes of the microcode.
    pub(super) microcode: usize,
    /// Parts by name, in bytes before compression.
    pub(super) parts: Vec<(String, u64)>,
    /// What is in it.
    pub(super) tree: Tree,
}

/// Makes the initramfs, or takes it from the cache.
pub(super) fn initramfs(
    assembled: &Assembled,
    recipe: &Recipe,
    plan: &ImagePlan,
    level: i32,
    cache: &Cache,
    interrupt: &Interrupt,
) -> Result<Initramfs, Error> {
    let conf = InitConf {
        image: plan.name.clone(),
        version: plan.version.clone(),
        time: u64::from(plan.mtime),
        load: recipe.kernel.load.clone(),
        trust: recipe.provisioning.trust.clone(),
        metadata: recipe.provisioning.metadata.clone(),
        identify: recipe.provisioning.identify.clone(),
        fresh_only: recipe.provisioning.fresh_only,
    };
    let conf_path = TreePath::parse(initconf::PATH.as_bytes())?;
    let conf = Node::file(conf.to_string().into_bytes(), 0o644, Origin::Fixup("initramfs"));
    let tree = kernel::initramfs::tree(
        INIT,
        &assembled.tree,
        &assembled.catalog,
        &assembled.initramfs,
        [(conf_path, conf)],
    )?;
    let mut archive = Vec::new();
    cpio::write(&tree, plan.mtime, &mut archive)?;
    let mut parts = parts(&tree);
    let mut tree = tree;
    let microcode = kernel::microcode::archive(&assembled.tree, plan.mtime)?;
    let front = microcode.map_or_else(
        || Ok(Vec::new()),
        |(bytes, files)| {
            parts.push(("CPU microcode".to_owned(), bytes.len() as u64));
            for (path, node) in files.iter().filter(|(path, _)| !path.is_root()) {
                tree.insert(path.clone(), node.clone())?;
            }
            Ok::<_, Error>(bytes)
        },
    )?;
    let whole = |frame: Vec<u8>, parts, tree| Initramfs {
        microcode: front.len(),
        bytes: [front.as_slice(), &frame].concat(),
        parts,
        tree,
    };
    let mut key = Sha256::new_with_prefix(b"initramfs zstd 2");
    key.update(level.to_be_bytes());
    key.update(&archive);
    let key = key.finalize().into();
    if let Some(frame) = cache.get(&key) {
        return Ok(whole(frame, parts, tree));
    }
    let bytes = cpio::compress(&archive, level, &|| !interrupt.is_set()).map_err(Error::Compress)?;
    cache.put(&key, &bytes);
    Ok(whole(bytes, parts, tree))
}

fn parts(tree: &Tree) -> Vec<(String, u64)> {
    let mut sums = [("PID 1", 0), ("kernel modules", 0), ("firmware", 0), ("tables", 0)];
    for (path, node) in tree.iter() {
        let formats::tree::Kind::File(content) = &node.kind else { continue };
        let name = path.as_bytes();
        let which = match name {
            b"init" => 0,
            _ if name.starts_with(b"lib/firmware/") => 2,
            _ if name.starts_with(b"lib/modules/") && name.ends_with(b".ko") => 1,
            _ => 3,
        };
        sums[which].1 += content.len();
    }
    sums.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect()
}

/// The whole kernel command line: the recipe's arguments and the image's identity.
pub(super) fn cmdline(recipe: &Recipe, root_hash: &[u8; 32]) -> String {
    let mut args = recipe.kernel.cmdline.clone();
    args.push(format!("sledos.usrhash={}", hex(root_hash)));
    args.join(" ")
}

/// The unified kernel image.
pub(super) fn uki(assembled: &Assembled, initramfs: &[u8], cmdline: &str) -> Result<Vec<u8>, Error> {
    let path = TreePath::parse(b"usr/lib/os-release")?;
    let os_release = match super::assemble::content(&assembled.tree, &path) {
        Some(content) => content.to_vec().map_err(|source| Error::Content { path, source })?,
        None => Vec::new(),
    };
    Ok(uki::build(
        &assembled.boot.stub,
        &uki::Parts {
            os_release: &os_release,
            cmdline,
            uname: &assembled.catalog.version,
            linux: &assembled.boot.kernel,
            initrd: initramfs,
            ..uki::Parts::default()
        },
    )?)
}
