//! The artefacts of an image, written into a staged directory.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use formats::tree::{Node, Origin, Tree, TreePath};
use formats::{ext4, fat, gpt, layout, squashfs, verity};

use super::Error;
use super::assemble::Assembled;
use crate::cache::Cache;
use crate::image::manifest;
use crate::image::plan::{ImagePlan, Role};
use crate::output::Interrupt;
use crate::progress::{Progress, Unit, trace};

/// A /usr on disk.
#[derive(Debug)]
pub(super) struct Usr {
    pub(super) squashfs: PathBuf,
    pub(super) verity: PathBuf,
    pub(super) squashfs_size: u64,
    pub(super) root_hash: [u8; 32],
    pub(super) stats: squashfs::Stats,
    /// What is in it, from below /usr.
    pub(super) tree: Tree,
}

fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| crate::output::Error::new(what, &path, None, source).into()
}

/// Writes `usr.squashfs` and `usr.verity`.
pub(super) fn usr(
    assembled: &Assembled,
    plan: &ImagePlan,
    options: &squashfs::Options,
    dir: &Path,
    blocks: &dyn squashfs::BlockCache,
    progress: &Progress,
    interrupt: &Interrupt,
) -> Result<Usr, Error> {
    let root = TreePath::parse(b"usr")?;
    let mut tree = assembled.tree.subtree(&root).ok_or(Error::NoUsr)?;
    for path in assembled.remove.iter().filter_map(|path| path.strip_prefix(&root)) {
        tree.remove(&path);
    }
    let what =
        Squashed { tree: &tree, names: ["usr.squashfs", "usr.verity"], id: "", stage: "compress /usr" };
    let made = squashed(&what, plan, options, dir, blocks, progress, interrupt)?;
    let Verified { squashfs, verity, squashfs_size, root_hash, stats } = made;
    Ok(Usr { squashfs, verity, squashfs_size, root_hash, stats, tree })
}

/// A tree that becomes a filesystem with a verity tree.
#[derive(Clone, Copy, Debug)]
pub(super) struct Squashed<'a> {
    pub(super) tree: &'a Tree,
    /// The file names of both.
    pub(super) names: [&'a str; 2],
    /// What makes its salt and UUID others than those of /usr.
    pub(super) id: &'a str,
    /// What compressing it is called.
    pub(super) stage: &'a str,
}

/// A filesystem on disk, and what it is verified by.
#[derive(Debug)]
pub(super) struct Verified {
    squashfs: PathBuf,
    verity: PathBuf,
    squashfs_size: u64,
    pub(super) root_hash: [u8; 32],
    stats: squashfs::Stats,
}

/// Writes a squashfs and its verity tree.
pub(super) fn squashed(
    what: &Squashed<'_>,
    plan: &ImagePlan,
    options: &squashfs::Options,
    dir: &Path,
    blocks: &dyn squashfs::BlockCache,
    progress: &Progress,
    interrupt: &Interrupt,
) -> Result<Verified, Error> {
    let [path, verity_path] = what.names.map(|name| dir.join(name));
    let mut out = BufWriter::with_capacity(1 << 20, File::create_new(&path).map_err(io("create", &path))?);
    let squash = squashfs::Plan::new(what.tree, options)?;
    let stage = progress.stage(what.stage, Unit::Bytes, Some(squash.content_bytes()));
    let stats = squash.write(&mut out, &Traced(blocks), &|bytes| {
        stage.add(bytes);
        interrupt.go_on()
    });
    let stats = stats.map_err(|error| match error {
        squashfs::Error::Write(source) => io("write", &path)(source),
        other => other.into(),
    })?;
    out.flush().map_err(io("write", &path))?;
    drop(squash);
    stage.finish();
    interrupt.check()?;
    let stage = progress.stage("verity", Unit::Time, None);

    let data = File::open(&path).map_err(io("read", &path))?;
    let squashfs_size = data.metadata().map_err(io("read", &path))?.len();
    let salt = plan.seed.bytes(&format!("verity salt{}", what.id));
    let uuid = plan.seed.uuid(&format!("verity{}", what.id));
    let built = verity::build(data, salt, uuid).map_err(io("hash", &path))?;
    let mut out = BufWriter::new(File::create_new(&verity_path).map_err(io("create", &verity_path))?);
    built.write(&mut out).map_err(io("write", &verity_path))?;
    out.flush().map_err(io("write", &verity_path))?;
    stage.finish();
    Ok(Verified { squashfs: path, verity: verity_path, squashfs_size, root_hash: built.root, stats })
}

/// Blocks that are not in the cache are compressed between `get` and `put`.
struct Traced<'a>(&'a dyn squashfs::BlockCache);

thread_local! {
    static COMPRESSING: Cell<Option<trace::Span>> = const { Cell::new(None) };
}

impl squashfs::BlockCache for Traced<'_> {
    fn get(&self, key: &[u8; 32]) -> Option<Vec<u8>> {
        let found = self.0.get(key);
        if found.is_none() {
            COMPRESSING.set(Some(trace::span("compress", || "blocks".to_owned())));
        }
        found
    }

    fn put(&self, key: &[u8; 32], data: &[u8]) {
        COMPRESSING.take();
        self.0.put(key, data);
    }
}

/// What goes into slot A of a disk.
#[derive(Clone, Copy, Debug)]
pub struct Slot<'a> {
    /// `usr.squashfs`.
    pub squashfs: &'a Path,
    /// `usr.verity`.
    pub verity: &'a Path,
    /// What it is verified from.
    pub root_hash: [u8; 32],
}

/// Writes `disk.raw` into `dir`. Returns its partitions for the manifest.
///
/// # Errors
/// When something does not fit into its partition, or cannot be read or written.
pub fn disk(
    plan: &ImagePlan,
    usr: &Slot<'_>,
    boot_loader: &[u8],
    uki: &[u8],
    dir: &Path,
) -> Result<Vec<manifest::Partition>, Error> {
    let path = dir.join("disk.raw");
    let failed = || io("write", &path);
    let full = |what, source| io(what, &path)(source);
    let mut disk =
        File::options().read(true).write(true).create_new(true).open(&path).map_err(io("create", &path))?;
    let table = table(plan, &usr.root_hash);
    disk.set_len(table.disk_size).map_err(failed())?;
    let mut written = Vec::new();
    for role in Role::ALL {
        let Some(partition) = table.partitions.iter().find(|p| p.name == role.label()) else { continue };
        disk.seek(SeekFrom::Start(partition.start)).map_err(failed())?;
        let used = match role {
            Role::Esp => {
                let uki = (plan.uki_name(&usr.root_hash), uki.to_vec());
                let tree = layout::esp(boot_loader.to_vec(), vec![uki], None)?;
                fat::write(
                    &mut disk,
                    &tree,
                    &fat::Options {
                        size: partition.size,
                        sector_size: table.sector_size,
                        label: "EFI-SYSTEM".to_owned(),
                        volume_id: plan.seed.u32("EFI-SYSTEM"),
                        mtime: plan.mtime,
                    },
                )
                .map_err(|error| match error {
                    fat::Error::Write(source) => full("write the EFI system partition of", source),
                    other => other.into(),
                })?;
                used_by(&tree)
            }
            Role::UsrA => copy(usr.squashfs, &mut disk, role, partition.size, &path)?,
            Role::UsrAVerity => copy(usr.verity, &mut disk, role, partition.size, &path)?,
            Role::UsrB | Role::UsrBVerity => 0,
            Role::Oem | Role::Root => {
                let tree = Tree::new(Node::dir(Origin::Fixup("disk")));
                let label = role.label();
                let options = layout::filesystem(
                    role,
                    partition.size,
                    plan.seed.uuid(&format!("{label} filesystem")),
                    plan.seed.uuid(&format!("{label} directory hash")),
                    plan.mtime,
                );
                ext4::write(&mut disk, &tree, &options).map_err(|error| match error {
                    ext4::Error::Write(source) => full("write an ext4 partition of", source),
                    other => other.into(),
                })?;
                0
            }
        };
        written.push(manifest::Partition::of(partition, used));
    }
    disk.rewind().map_err(failed())?;
    gpt::write(&mut disk, &table).map_err(|error| match error {
        gpt::WriteError::Write(source) => full("write the partition table of", source),
        source => Error::Gpt { path: path.clone(), source },
    })?;
    disk.set_len(table.disk_size).map_err(failed())?;
    Ok(written)
}

fn used_by(tree: &Tree) -> u64 {
    tree.iter()
        .map(|(_, node)| match &node.kind {
            formats::tree::Kind::File(content) => content.len(),
            _ => 0,
        })
        .sum()
}

/// Copies a file into a partition; it must fit.
fn copy(from: &Path, disk: &mut File, role: Role, room: u64, to: &Path) -> Result<u64, Error> {
    let mut source = File::open(from).map_err(io("read", from))?;
    let size = source.metadata().map_err(io("read", from))?.len();
    if size > room {
        return Err(Error::TooLarge { partition: role.label(), size, room });
    }
    io::copy(&mut source, disk).map_err(io("write", to))
}

/// The plan's table with the /usr in the image, which its root hash names.
fn table(plan: &ImagePlan, root_hash: &[u8; 32]) -> gpt::Plan {
    let (usr, verity) = layout::usr_guids(root_hash);
    let mut table = plan.table.clone();
    for partition in &mut table.partitions {
        match Role::named(&partition.name) {
            Some(Role::UsrA) => partition.guid = usr,
            Some(Role::UsrAVerity) => partition.guid = verity,
            _ => {}
        }
    }
    table
}

/// Compressed blocks of /usr come from and go to the cache.
impl squashfs::BlockCache for Cache {
    fn get(&self, key: &[u8; 32]) -> Option<Vec<u8>> {
        Self::get(self, key)
    }

    fn put(&self, key: &[u8; 32], data: &[u8]) {
        Self::put(self, key, data);
    }
}
