//! Times the squashfs writer on unpacked packages: DIR has one directory for
//! each, which are laid over each other.
//!
//! `squashfs_bench DIR IMAGE LEVEL BLOCK_SIZE [CACHE_DIR]`

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use formats::squashfs::{BlockCache, NoCache, Options, Plan};
use formats::tree::{Digest, Kind, Node, Origin, Tree, TreePath};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// One file per entry.
struct Folder(PathBuf);

impl Folder {
    fn path(&self, key: &Digest) -> PathBuf {
        let name: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        self.0.join(name)
    }
}

impl BlockCache for Folder {
    fn get(&self, key: &Digest) -> Option<Vec<u8>> {
        fs::read(self.path(key)).ok()
    }
    fn put(&self, key: &Digest, data: &[u8]) {
        let _ = fs::write(self.path(key), data);
    }
}

/// Takes a directory into a tree, with sockets and devices left out.
fn load(tree: &mut Tree, dir: &Path, at: &TreePath, origin: &Origin) -> Result<()> {
    let mut entries = fs::read_dir(dir)?.collect::<std::io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = at.join(entry.file_name().as_bytes())?;
        let meta = entry.metadata()?;
        let mut node = if meta.is_dir() {
            Node::dir(origin.clone())
        } else if meta.is_symlink() {
            Node::symlink(fs::read_link(entry.path())?.as_os_str().as_bytes(), origin.clone())
        } else if meta.is_file() {
            let node = Node::file(Arc::<[u8]>::from(fs::read(entry.path())?), 0, origin.clone());
            if let Kind::File(content) = &node.kind {
                content.digest()?;
            }
            node
        } else {
            continue;
        };
        (node.uid, node.gid) = (meta.uid(), meta.gid());
        node.mode = u16::try_from(meta.permissions().mode() & 0o7777)?;
        tree.insert(path.clone(), node)?;
        if meta.is_dir() {
            load(tree, &entry.path(), &path, origin)?;
        }
    }
    Ok(())
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [dir, image, level, block_size, cache @ ..] = args.as_slice() else {
        return Err("usage: squashfs_bench DIR IMAGE LEVEL BLOCK_SIZE [CACHE_DIR]".into());
    };
    let options = Options { level: level.parse()?, block_size: block_size.parse()?, mtime: 1 };
    let mut tree = Tree::new(Node::dir(Origin::Fixup("bench")));
    let mut packages = fs::read_dir(dir)?.collect::<std::io::Result<Vec<_>>>()?;
    packages.sort_by_key(fs::DirEntry::file_name);
    for package in packages {
        let name = package.file_name().to_string_lossy().into_owned();
        load(&mut tree, &package.path(), &TreePath::root(), &Origin::Package(name.into()))?;
    }
    let cache: Box<dyn BlockCache> = match cache.first() {
        Some(dir) => Box::new(Folder(dir.into())),
        None => Box::new(NoCache),
    };
    let start = Instant::now();
    let plan = Plan::new(&tree, &options)?;
    let planned = start.elapsed();
    let stats =
        plan.write(&mut fs::File::create(image)?, cache.as_ref(), &|_| std::ops::ControlFlow::Continue(()))?;
    println!(
        "level {level} block {} KiB: {:.2} s (plan {:.2} s), {} of {} bytes, metadata {}, {} inodes, {} fragments, \
         {} duplicates ({} bytes), cache {} hits {} misses",
        options.block_size >> 10,
        start.elapsed().as_secs_f64(),
        planned.as_secs_f64(),
        stats.bytes,
        plan.content_bytes(),
        stats.metadata,
        stats.inodes,
        stats.fragments,
        stats.duplicates,
        stats.duplicate_bytes,
        stats.cache_hits,
        stats.cache_misses
    );
    Ok(())
}
