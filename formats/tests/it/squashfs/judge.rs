//! Extracts an image with `unsquashfs` and compares what comes out with the tree.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use formats::squashfs::Options;
use formats::tree::{Kind, Tree, TreePath};

/// What `unsquashfs` prints for an image.
pub(crate) fn unsquashfs(args: &[&str], image: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("image");
    fs::write(&file, image).unwrap();
    run(Command::new("unsquashfs").args(args).arg(file))
}

fn run(command: &mut Command) -> String {
    let out = command.output().expect("this test needs unsquashfs (Debian package squashfs-tools)");
    let (said, erred) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success() && erred.is_empty(), "{command:?}: {}\n{said}{erred}", out.status);
    said.into_owned()
}

/// Extracts the image and compares everything: kinds, content, owners, modes,
/// times, xattrs, links, devices, and that nothing else is there.
pub(crate) fn compare(tree: &Tree, options: &Options, image: &[u8]) {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(
        fs::metadata(dir.path()).unwrap().uid(),
        0,
        "this test must run as root: unsquashfs makes devices and sets owners"
    );
    let (file, root) = (dir.path().join("image"), dir.path().join("root"));
    fs::write(&file, image).unwrap();
    run(Command::new("unsquashfs")
        .args(["-quiet", "-no-progress", "-strict-errors", "-dest"])
        .args([&root, &file]));
    for (path, _) in tree.iter() {
        compare_node(tree, options, &root, path);
    }
    let mut found = BTreeSet::new();
    walk(&root, &TreePath::root(), &mut found);
    let extra: Vec<_> = found.iter().filter(|path| tree.get(path).is_none()).collect();
    assert!(extra.is_empty(), "not in the tree: {extra:?}");
}

fn on_disk(root: &Path, path: &TreePath) -> PathBuf {
    root.join(std::ffi::OsStr::from_bytes(path.as_bytes()))
}

fn compare_node(tree: &Tree, options: &Options, root: &Path, path: &TreePath) {
    let named = tree.get(path).unwrap();
    let at = on_disk(root, path);
    let meta = fs::symlink_metadata(&at).unwrap_or_else(|error| panic!("/{path}: {error}"));
    let kind = meta.file_type();
    let node = match &named.kind {
        Kind::Hardlink(target) => {
            let other = fs::symlink_metadata(on_disk(root, target)).unwrap();
            assert_eq!(meta.ino(), other.ino(), "/{path} is not the same file as /{target}");
            tree.get(target).unwrap()
        }
        _ => named,
    };
    let device = |major: u32, minor: u32| rustix::fs::makedev(major, minor);
    match &node.kind {
        Kind::Dir => {
            assert!(kind.is_dir(), "/{path}");
            let below = tree.children(path).filter(|(_, node)| node.is_dir()).count() as u64;
            assert!([1, 2 + below].contains(&meta.nlink()), "/{path}: {} links", meta.nlink());
        }
        Kind::File(content) => {
            assert!(kind.is_file(), "/{path}");
            assert!(fs::read(&at).unwrap() == content.to_vec().unwrap(), "/{path}: other content");
        }
        Kind::Symlink(target) => {
            assert_eq!(fs::read_link(&at).unwrap().as_os_str().as_bytes(), target, "/{path}");
        }
        Kind::CharDev { major, minor } => {
            assert!(kind.is_char_device() && meta.rdev() == device(*major, *minor), "/{path}");
        }
        Kind::BlockDev { major, minor } => {
            assert!(kind.is_block_device() && meta.rdev() == device(*major, *minor), "/{path}");
        }
        Kind::Fifo => assert!(kind.is_fifo(), "/{path}"),
        Kind::Hardlink(_) => panic!("/{path}: a hard link to a hard link"),
    }
    assert_eq!((meta.uid(), meta.gid()), (node.uid, node.gid), "/{path}");
    assert_eq!(meta.mtime(), i64::from(options.mtime), "/{path}");
    if !kind.is_symlink() {
        assert_eq!(meta.mode() & 0o7777, u32::from(node.mode), "/{path}");
    }
    assert_eq!(read_xattrs(&at), node.xattrs, "/{path}");
}

fn read_xattrs(at: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut names = vec![0; 65536];
    let length = rustix::fs::llistxattr(at, names.as_mut_slice()).unwrap();
    let names = names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    names
        .map(|name| {
            let mut value = vec![0; 65536];
            let length = rustix::fs::lgetxattr(at, name, value.as_mut_slice()).unwrap();
            value.truncate(length);
            (name.to_vec(), value)
        })
        .collect()
}

fn walk(root: &Path, dir: &TreePath, found: &mut BTreeSet<TreePath>) {
    for entry in fs::read_dir(on_disk(root, dir)).unwrap() {
        let entry = entry.unwrap();
        let path = dir.join(entry.file_name().as_bytes()).unwrap();
        if entry.file_type().unwrap().is_dir() {
            walk(root, &path, found);
        }
        found.insert(path);
    }
}
