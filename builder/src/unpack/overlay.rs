//! `overlays/<name>/` laid over a tree.
//!
//! Only names, bytes and link targets come from the host; modes and owners come
//! from the recipe: files 0644, directories 0755, root:root, unless an
//! attribute says otherwise. A directory that is in the image already keeps its
//! mode and owner unless an attribute says otherwise. Symbolic links are laid
//! over as links and never followed, on the host or in the image, but for the
//! image's `/bin`, `/lib`, `/lib64` and `/sbin`.

use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use formats::tree::{Content, Digest, Kind, Node, Origin, PathError, Tree, TreePath};
use sha2::{Digest as _, Sha256};

use super::attributes::{Chosen, Contradiction};
use super::place::{self, Place};
use crate::accounts::{Ids, Unknown};
use crate::recipe::model;

/// Larger files are not held in memory but read when the image is written.
const IN_MEMORY: u64 = 4 << 20;

/// Why an overlay cannot be laid over a tree.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something in it cannot be read.
    #[error("cannot read {} of the overlay {overlay}", path.display())]
    Read {
        /// The overlay.
        overlay: String,
        /// The path on the host.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something in it is neither file nor directory nor symbolic link.
    #[error("{} in the overlay {overlay} is not a file, directory or symbolic link; remove it", path.display())]
    Special {
        /// The overlay.
        overlay: String,
        /// The path on the host.
        path: PathBuf,
    },
    /// A name that cannot be in a tree.
    #[error("{} in the overlay {overlay} cannot be in an image", path.display())]
    Name {
        /// The overlay.
        overlay: String,
        /// The path on the host.
        path: PathBuf,
        /// Why.
        #[source]
        source: PathError,
    },
    /// A link that climbs above the root.
    #[error("/{path} in the overlay {overlay} is a link to {target:?}, which leads out of the image")]
    Escape {
        /// The overlay.
        overlay: String,
        /// The link.
        path: TreePath,
        /// Where it points.
        target: String,
    },
    /// A file would take the place of a directory, or the other way round.
    #[error("/{path} is {new} in the overlay {overlay}, but {old} in the image, from {by}")]
    Kind {
        /// The overlay.
        overlay: String,
        /// The path.
        path: TreePath,
        /// What the overlay has.
        new: &'static str,
        /// What the image has.
        old: &'static str,
        /// Who put that there.
        by: String,
    },
    /// Two paths of the overlay mean the same one in the image.
    #[error("the overlay {overlay} has /{path} twice: with and without /usr before it")]
    Twice {
        /// The overlay.
        overlay: String,
        /// The path.
        path: TreePath,
    },
    /// An attribute pattern without effect.
    #[error("the attributes for {pattern:?} match nothing in the overlay {overlay}; correct or remove them")]
    Unmatched {
        /// The overlay.
        overlay: String,
        /// The pattern.
        pattern: String,
    },
    /// Two attribute patterns that contradict each other.
    #[error(
        "in the overlay {overlay}, the attributes for {first:?} and {second:?} give /{path} a different {what}"
    )]
    Contradiction {
        /// The overlay.
        overlay: String,
        /// The path.
        path: TreePath,
        /// `mode`, `user`, `group` or `capabilities`.
        what: &'static str,
        /// One pattern.
        first: String,
        /// The other.
        second: String,
    },
    /// An attribute names nobody the image knows.
    #[error("cannot give /{path} of the overlay {overlay} to its owner")]
    Owner {
        /// The overlay.
        overlay: String,
        /// The path.
        path: TreePath,
        /// Who is not known.
        #[source]
        source: Unknown,
    },
}

/// Lays an overlay over a tree. `matches` says whether a pattern of the recipe
/// matches a path; paths are those in the image (`usr/lib/x`, never `lib/x`).
/// Returns what was laid over it.
///
/// # Errors
/// At the first thing that is not right; the tree may then have part of the overlay.
pub fn apply(
    tree: &mut Tree,
    overlay: &model::Overlay,
    ids: &Ids,
    matches: &dyn Fn(&str, &TreePath) -> bool,
) -> Result<Laid, Error> {
    let mut items = Vec::new();
    walk(overlay, &overlay.dir, &TreePath::root(), &mut items)?;
    items.sort_by(|a, b| a.path.cmp(&b.path));
    let overlay_name = || overlay.name.clone();
    let twice = items.windows(2).find_map(|pair| match pair {
        [a, b] if a.path == b.path && !(a.is_dir() && b.is_dir()) => Some(a.path.clone()),
        _ => None,
    });
    if let Some(path) = twice {
        return Err(Error::Twice { overlay: overlay_name(), path });
    }
    let unmatched = |pattern: &&String| !items.iter().any(|item| matches(pattern, &item.path));
    if let Some(pattern) = overlay.attributes.keys().find(unmatched) {
        return Err(Error::Unmatched { overlay: overlay_name(), pattern: pattern.clone() });
    }
    let (mut count, mut sha256) = (0, Sha256::new());
    for item in items {
        let attributes = Chosen::of(&overlay.attributes, &item.path, matches).map_err(|found| {
            let Contradiction { what, first, second } = found;
            Error::Contradiction { overlay: overlay_name(), path: item.path.clone(), what, first, second }
        })?;
        count += usize::from(!item.is_dir());
        item.hash(&mut sha256).map_err(|source| Error::Read {
            overlay: overlay_name(),
            path: overlay.dir.join(item.path.to_string()),
            source,
        })?;
        put(tree, overlay, ids, item, &attributes)?;
    }
    Ok(Laid { files: count, sha256: sha256.finalize().into() })
}

/// What was laid over a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Laid {
    /// Number of files and links.
    pub files: usize,
    /// sha256 of what came from the host: paths, kinds, contents and targets of links.
    pub sha256: Digest,
}

/// Something of the overlay and where it goes.
struct Item {
    path: TreePath,
    kind: Kind,
}

impl Item {
    fn is_dir(&self) -> bool {
        matches!(self.kind, Kind::Dir)
    }

    /// Path, NUL, kind, and the content's hash or the link's target with its length before it.
    fn hash(&self, into: &mut Sha256) -> io::Result<()> {
        into.update(self.path.as_bytes());
        let (kind, bytes) = match &self.kind {
            Kind::File(content) => (b"\0f", content.digest()?.to_vec()),
            Kind::Symlink(target) => (b"\0l", target.clone()),
            _ => (b"\0d", Vec::new()),
        };
        into.update(kind);
        into.update((bytes.len() as u64).to_be_bytes());
        into.update(&bytes);
        Ok(())
    }
}

fn walk(overlay: &model::Overlay, dir: &Path, below: &TreePath, out: &mut Vec<Item>) -> Result<(), Error> {
    let name = || overlay.name.clone();
    let read = |path: &Path, source| Error::Read { overlay: name(), path: path.to_owned(), source };
    for entry in fs::read_dir(dir).map_err(|e| read(dir, e))? {
        let entry = entry.map_err(|e| read(dir, e))?;
        let host = entry.path();
        let path = below.join(entry.file_name().as_bytes()).map_err(|source| Error::Name {
            overlay: name(),
            path: host.clone(),
            source,
        })?;
        let file_type = entry.file_type().map_err(|e| read(&host, e))?;
        let kind = if file_type.is_dir() {
            walk(overlay, &host, &path, out)?;
            Kind::Dir
        } else if file_type.is_file() {
            Kind::File(content(&host).map_err(|e| read(&host, e))?)
        } else if file_type.is_symlink() {
            let target = fs::read_link(&host).map_err(|e| read(&host, e))?.into_os_string().into_vec();
            if leads_out(&place::canonical(&path), &target) {
                let target = String::from_utf8_lossy(&target).into_owned();
                return Err(Error::Escape { overlay: name(), path, target });
            }
            Kind::Symlink(target)
        } else {
            return Err(Error::Special { overlay: name(), path: host });
        };
        match place::place(&path) {
            Place::At(path) => out.push(Item { path, kind }),
            Place::Alias(_) if matches!(kind, Kind::Dir) => {}
            Place::Alias(path) => {
                return Err(Error::Kind {
                    overlay: name(),
                    path,
                    new: word(&kind),
                    old: "the link to /usr",
                    by: "merged /usr".into(),
                });
            }
        }
    }
    Ok(())
}

fn content(path: &Path) -> io::Result<Content> {
    let file = File::open(path)?;
    let len = file.metadata()?.len();
    if len > IN_MEMORY {
        return Ok(Content::from_file(Arc::new(file), 0, len, None));
    }
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut &file, &mut bytes)?;
    Ok(Content::from_bytes(bytes))
}

/// Whether a link's target, read as text, has more `..` than directories to leave.
fn leads_out(link: &TreePath, target: &[u8]) -> bool {
    let mut depth = if target.starts_with(b"/") { 0 } else { link.depth().saturating_sub(1) };
    for part in target.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." if depth == 0 => return true,
            b".." => depth -= 1,
            _ => depth += 1,
        }
    }
    false
}

fn put(
    tree: &mut Tree,
    overlay: &model::Overlay,
    ids: &Ids,
    item: Item,
    attributes: &Chosen<'_>,
) -> Result<(), Error> {
    let Item { path, kind } = item;
    let unknown = |source| Error::Owner { overlay: overlay.name.clone(), path: path.clone(), source };
    let (user, group) = attributes.owner(ids).map_err(unknown)?;
    let mode = attributes.mode.map(|(m, _)| m);
    let is_dir = matches!(kind, Kind::Dir);
    let clash = |at: &TreePath, new, old: &Node| Error::Kind {
        overlay: overlay.name.clone(),
        path: at.clone(),
        new,
        old: word(&old.kind),
        by: old.origin.to_string(),
    };
    match tree.get_mut(&path) {
        Some(old) if old.is_dir() && is_dir => {
            old.mode = mode.unwrap_or(old.mode);
            old.uid = user.unwrap_or(old.uid);
            old.gid = group.unwrap_or(old.gid);
            return Ok(());
        }
        Some(old) if old.is_dir() || is_dir => return Err(clash(&path, word(&kind), old)),
        _ => {}
    }
    let mode = match kind {
        Kind::Symlink(_) => 0o777,
        Kind::Dir => mode.unwrap_or(0o755),
        _ => mode.unwrap_or(0o644),
    };
    let mut node = Node::new(kind, mode, Origin::Overlay(overlay.name.as_str().into()));
    node.uid = user.unwrap_or(0);
    node.gid = group.unwrap_or(0);
    if !matches!(node.kind, Kind::Symlink(_) | Kind::Dir) {
        attributes.set_capabilities(&mut node);
    }
    match place::replace(tree, path, node) {
        Ok(()) => Ok(()),
        Err(above) => Err(match tree.get(&above.0) {
            Some(old) => clash(&above.0, "a directory", old),
            None => Error::Twice { overlay: overlay.name.clone(), path: above.0 },
        }),
    }
}

fn word(kind: &Kind) -> &'static str {
    match kind {
        Kind::Dir => "a directory",
        Kind::File(_) | Kind::Hardlink(_) => "a file",
        Kind::Symlink(_) => "a symbolic link",
        _ => "a device or pipe",
    }
}
