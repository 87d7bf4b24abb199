//! Components: parts of an image that are not in Debian, given as a Debian
//! package, a tar archive with paths relative to `/`, or a program alone.
//!
//! A component may only add files. What it has in common with the packages
//! must be the same there. Its maintainer scripts do not run. What a package
//! depends on comes in with `sledos lock --component`; the build names what is missing.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use formats::tree::{Content, Digest, Kind, Node, NotADirectory, Origin, Tree, TreePath};
use sha2::Digest as _;

use super::decode::Compression;
use super::entry::EntryKind;
use super::place::{self, Place};
use super::store::{Archive, Form, Source};
use super::{ar, control_of, elf};
use crate::accounts::{Ids, Unknown};
use crate::cache::Cache;
use crate::digest::hex;

/// A component as given to the build.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// Its name in the recipe.
    pub name: &'a str,
    /// The archive: `.deb`, or tar, plain or compressed by gzip, xz or zstd; or the program
    /// that [`Given::provides`] is, linked statically.
    pub file: &'a Path,
    /// The sha256 it must have, when one is known.
    pub sha256: Option<&'a Digest>,
    /// The file it must bring.
    pub provides: &'a TreePath,
    /// Debian architecture of the image: `amd64`.
    pub arch: &'a str,
}

/// What was added, for the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    /// Name of the component.
    pub name: String,
    /// sha256 of its archive.
    pub sha256: Digest,
    /// The Debian package it is, when it is one.
    pub package: Option<DebianPackage>,
    /// Number of files, links and devices in it.
    pub files: usize,
}

/// What a component that is a Debian package says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DebianPackage {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// What it depends on.
    pub depends: String,
    /// What it provides.
    pub provides: String,
}

/// Why a component cannot be added.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The archive cannot be read.
    #[error("cannot read {}, given as component {name}", file.display())]
    Read {
        /// The component.
        name: String,
        /// The archive.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A program that needs libraries, which the image may have in other versions.
    #[error(
        "the component {name} is a program that needs shared libraries; give one that is linked statically \
         (rustc: -C target-feature=+crt-static), or a package"
    )]
    Dynamic {
        /// The component.
        name: String,
    },
    /// Not the archive that was asked for.
    #[error("{}, given as component {name}, has the sha256 {found}, but the recipe wants {wanted}", file.display())]
    Digest {
        /// The component.
        name: String,
        /// The archive.
        file: PathBuf,
        /// What the recipe says.
        wanted: String,
        /// What it is.
        found: String,
    },
    /// The archive cannot be unpacked.
    #[error("cannot unpack the component {name}")]
    Unpack {
        /// The component.
        name: String,
        /// Why.
        #[source]
        source: super::Error,
    },
    /// A package for another machine.
    #[error("the component {name} is a package for {found}, but the image is for {wanted}")]
    Arch {
        /// The component.
        name: String,
        /// The image's architecture.
        wanted: String,
        /// The package's.
        found: String,
    },
    /// The file it is there for is missing.
    #[error(
        "the component {name} does not have /{provides}; give another file, or correct `provides` in the recipe"
    )]
    NotProvided {
        /// The component.
        name: String,
        /// The file.
        provides: TreePath,
    },
    /// It has something that is different in the image.
    #[error("/{path} of the component {name} is in the image already, different, from {by}")]
    Conflict {
        /// The component.
        name: String,
        /// The path.
        path: TreePath,
        /// Who put it there.
        by: String,
    },
    /// A file belongs to nobody the image knows.
    #[error("cannot tell the owner of /{path} in the component {name}")]
    Owner {
        /// The component.
        name: String,
        /// The path.
        path: TreePath,
        /// Who is not known.
        #[source]
        source: Unknown,
    },
}

/// A component that was opened and can be added to a tree.
#[derive(Debug)]
pub struct Opened {
    name: String,
    provides: TreePath,
    sha256: Digest,
    package: Option<DebianPackage>,
    brings: Brings,
}

/// What is in a component.
#[derive(Debug)]
enum Brings {
    Archive(Archive),
    /// The one file it is there for.
    Program(Vec<u8>),
}

/// Reads a component; no tree is needed for that.
///
/// # Errors
/// When the archive is not right.
pub fn open(cache: &Arc<Cache>, given: &Given<'_>) -> Result<Opened, Error> {
    let name = || given.name.to_owned();
    let read = |source| Error::Read { name: name(), file: given.file.to_owned(), source };
    let (sha256, look) = look(given.file).map_err(read)?;
    if let Some(wanted) = given.sha256.filter(|w| **w != sha256) {
        let (wanted, found) = (hex(wanted), hex(&sha256));
        return Err(Error::Digest { name: name(), file: given.file.to_owned(), wanted, found });
    }
    let form = match look {
        Look::Archive(form) => form,
        Look::Program(bytes) => {
            if elf::needs_libraries(&bytes) {
                return Err(Error::Dynamic { name: name() });
            }
            let (provides, brings) = (given.provides.clone(), Brings::Program(bytes));
            return Ok(Opened { name: name(), provides, sha256, package: None, brings });
        }
    };
    let unpack = |source| Error::Unpack { name: name(), source };
    let source = Source { path: given.file.to_owned(), sha256, form };
    let archive = Archive::open(cache, source).map_err(unpack)?;
    let package = match form {
        Form::Tar(_) => None,
        Form::Deb => {
            let control = control_of(&archive, given.file).map_err(unpack)?;
            if control.architecture != given.arch && control.architecture != "all" {
                let (wanted, found) = (given.arch.to_owned(), control.architecture);
                return Err(Error::Arch { name: name(), wanted, found });
            }
            let (depends, provides) = (control.depends, control.provides);
            Some(DebianPackage { name: control.package, version: control.version, depends, provides })
        }
    };
    Ok(Opened {
        name: name(),
        provides: given.provides.clone(),
        sha256,
        package,
        brings: Brings::Archive(archive),
    })
}

impl Opened {
    /// The Debian package it is, when it is one.
    pub fn package(&self) -> Option<&DebianPackage> {
        self.package.as_ref()
    }

    /// Adds it to a tree.
    ///
    /// # Errors
    /// When it collides with the tree, which may then have part of it, or lacks the
    /// file it is there for.
    pub fn add(&self, tree: &mut Tree, ids: &Ids) -> Result<Added, Error> {
        let files = match &self.brings {
            Brings::Archive(archive) => self.merge(archive, tree, ids)?,
            Brings::Program(bytes) => self.put(bytes, tree)?,
        };
        Ok(Added { name: self.name.clone(), sha256: self.sha256, package: self.package.clone(), files })
    }

    fn conflict(&self, tree: &Tree, path: TreePath) -> Error {
        let by = tree.get(&path).map_or("merged /usr".into(), |n| n.origin.to_string());
        Error::Conflict { name: self.name.clone(), by, path }
    }

    /// A program alone: root's, and everybody may run it.
    fn put(&self, bytes: &[u8], tree: &mut Tree) -> Result<usize, Error> {
        let path = place::canonical(&self.provides);
        if tree.get(&path).is_some() {
            return Err(self.conflict(tree, path));
        }
        let origin = Origin::Component(self.name.as_str().into());
        let node = Node::new(Kind::File(Content::from_bytes(bytes.to_vec())), 0o755, origin);
        tree.insert(path, node).map_err(|NotADirectory(above)| self.conflict(tree, above))?;
        link_twin(tree, &self.provides, &Origin::Component(self.name.as_str().into()));
        Ok(1)
    }

    fn merge(&self, archive: &Archive, tree: &mut Tree, ids: &Ids) -> Result<usize, Error> {
        let origin = Origin::Component(self.name.as_str().into());
        let conflict = |tree: &Tree, path: TreePath| self.conflict(tree, path);
        let mut provided = false;
        let mut files = 0;
        // The order of the archive: a hard link comes after the file it stands for.
        for entry in &archive.entries {
            let path = match place::place(&entry.path) {
                Place::At(path) => path,
                Place::Alias(path) if place::agrees_with_alias(&path, &entry.kind) => continue,
                Place::Alias(path) => return Err(conflict(tree, path)),
            };
            let node = place::node(entry, archive, ids, origin.clone()).map_err(|source| Error::Owner {
                name: self.name.clone(),
                path: path.clone(),
                source,
            })?;
            if entry.kind != EntryKind::Dir {
                files += 1;
                provided |=
                    path == place::canonical(&self.provides) || Some(&path) == twin(&self.provides).as_ref();
            }
            match tree.get(&path) {
                Some(old) if old.is_dir() && node.is_dir() => {}
                Some(old) if same(tree, old, &node) => {}
                Some(_) => return Err(conflict(tree, path)),
                None => {
                    tree.insert(path, node).map_err(|NotADirectory(above)| conflict(tree, above))?;
                }
            }
        }
        if provided && link_twin(tree, &self.provides, &origin) {
            Ok(files)
        } else {
            Err(Error::NotProvided { name: self.name.clone(), provides: self.provides.clone() })
        }
    }
}

/// The same program in the other of /usr/bin and /usr/sbin: builds of CMake and of autotools
/// put it in one or the other.
fn twin(path: &TreePath) -> Option<TreePath> {
    let path = place::canonical(path);
    let text = path.as_bytes();
    let [from, to] = [b"usr/bin/".as_slice(), b"usr/sbin/".as_slice()];
    let other = match (text.strip_prefix(from), text.strip_prefix(to)) {
        (Some(name), _) => [to, name].concat(),
        (_, Some(name)) => [from, name].concat(),
        (None, None) => return None,
    };
    (path.depth() == 3).then(|| TreePath::parse(&other).ok())?
}

/// Whether a program is there, at its place or in the other of /usr/bin and /usr/sbin; a link
/// is made to it in the one where it is not.
pub fn link_twin(tree: &mut Tree, provides: &TreePath, origin: &Origin) -> bool {
    let path = place::canonical(provides);
    let there = |tree: &Tree, path: &TreePath| tree.get(path).is_some_and(|node| !node.is_dir());
    let Some(twin) = twin(&path) else { return there(tree, &path) };
    let (from, to) = match (there(tree, &path), there(tree, &twin)) {
        (true, true) => return true,
        (true, false) => (twin, path.clone()),
        (false, true) => (path.clone(), twin),
        (false, false) => return false,
    };
    let dir = if to.as_bytes().starts_with(b"usr/sbin/") { b"../sbin/".as_slice() } else { b"../bin/" };
    // Where a directory is in its way there is none.
    if tree.get(&from).is_none() {
        let missing = from.parent().filter(|dir| tree.get(dir).is_none());
        let made = missing.is_none_or(|dir| tree.insert(dir, Node::dir(origin.clone())).is_ok());
        return made && tree.insert(from, Node::symlink([dir, to.name()].concat(), origin.clone())).is_ok();
    }
    there(tree, &path)
}

/// What a file is.
enum Look {
    Archive(Form),
    Program(Vec<u8>),
}

/// The sha256 of a file, and what it is. A program is read as a whole: it is what it was
/// when its hash was made.
fn look(path: &Path) -> io::Result<(Digest, Look)> {
    let mut file = File::open(path)?;
    let mut start = Vec::new();
    (&mut file).take(8).read_to_end(&mut start)?;
    if start.starts_with(elf::MAGIC) {
        file.read_to_end(&mut start)?;
        return Ok((sha2::Sha256::digest(&start).into(), Look::Program(start)));
    }
    let form = if start == ar::MAGIC { Form::Deb } else { Form::Tar(Compression::of_magic(&start)) };
    let mut hasher = sha2::Sha256::new();
    hasher.update(&start);
    let mut buf = vec![0; 256 << 10];
    loop {
        match file.read(&mut buf)? {
            0 => return Ok((hasher.finalize().into(), Look::Archive(form))),
            n => hasher.update(buf.get(..n).unwrap_or_default()),
        }
    }
}

/// Whether two nodes that are not directories are the same in every way but origin.
fn same(tree: &Tree, a: &Node, b: &Node) -> bool {
    let file = |kind: &Kind| match kind {
        Kind::File(content) => content.digest().ok(),
        Kind::Hardlink(to) => match tree.get(to).map(|n| &n.kind) {
            Some(Kind::File(content)) => content.digest().ok(),
            _ => None,
        },
        _ => None,
    };
    let same_kind = match (&a.kind, &b.kind) {
        (Kind::Symlink(a), Kind::Symlink(b)) => a == b,
        (Kind::CharDev { major, minor }, Kind::CharDev { major: m, minor: n })
        | (Kind::BlockDev { major, minor }, Kind::BlockDev { major: m, minor: n }) => {
            (major, minor) == (m, n)
        }
        (Kind::Fifo, Kind::Fifo) => true,
        (a, b) => file(a).is_some() && file(a) == file(b),
    };
    same_kind && (a.mode, a.uid, a.gid, &a.xattrs) == (b.mode, b.uid, b.gid, &b.xattrs)
}
