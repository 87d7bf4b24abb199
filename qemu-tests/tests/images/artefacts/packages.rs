//! The tree that the build merges from the lock's packages: dpkg-deb and tar
//! make theirs of the same packages.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;
use std::sync::Arc;

use formats::tree::{Kind, Tree, TreePath};
use qemu_tests::image;
use sledos::accounts::Ids;
use sledos::cache::Cache;
use sledos::unpack;

use super::support::{assert_same, cache_dir, dpkg_root, lock, sha256, sha256_of_file, shell};

/// All one can say of a path, but for times.
#[derive(Debug, PartialEq)]
struct Entry {
    /// Kind with content: sha256, target or device number.
    what: String,
    mode: u32,
    owner: (u32, u32),
    /// Names of a regular file; 1 for anything else.
    names: u64,
}

fn ours(tree: &Tree) -> BTreeMap<String, Entry> {
    let mut names: BTreeMap<&TreePath, u64> = BTreeMap::new();
    for (path, node) in tree.iter() {
        match &node.kind {
            Kind::Hardlink(to) => *names.entry(to).or_default() += 1,
            Kind::File(_) => *names.entry(path).or_default() += 1,
            _ => {}
        }
    }
    let entry = |path: &TreePath| {
        let node = tree.get(path).expect("it was listed");
        let file = match &node.kind {
            Kind::Hardlink(to) => to,
            _ => path,
        };
        let what = match &tree.get(file).expect("a hard link leads to a file").kind {
            Kind::Dir => "dir".to_owned(),
            Kind::File(content) => format!("file {}", sha256(&*content.to_vec().expect("the cache has it"))),
            Kind::Symlink(to) => format!("link {}", to.escape_ascii()),
            Kind::CharDev { major, minor } => format!("char {major} {minor}"),
            Kind::BlockDev { major, minor } => format!("block {major} {minor}"),
            Kind::Fifo => "fifo".to_owned(),
            Kind::Hardlink(_) => panic!("{path} is a hard link to a hard link"),
        };
        let names = names.get(file).copied().unwrap_or(1);
        Entry { what, mode: node.mode.into(), owner: (node.uid, node.gid), names }
    };
    let paths = tree.iter().map(|(path, _)| path).filter(|path| !path.is_root());
    paths.map(|path| (path.to_string(), entry(path))).collect()
}

fn theirs(root: &Path) -> BTreeMap<String, Entry> {
    let (mut out, mut todo) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).expect("it was unpacked a moment ago") {
            let path = entry.expect("it can be read").path();
            let meta = fs::symlink_metadata(&path).expect("it was listed");
            let kind = meta.file_type();
            let device = (meta.rdev() >> 8 & 0xfff, meta.rdev() & 0xff);
            let what = if kind.is_dir() {
                todo.push(path.clone());
                "dir".to_owned()
            } else if kind.is_file() {
                format!("file {}", sha256_of_file(&path))
            } else if kind.is_symlink() {
                let to = fs::read_link(&path).expect("it is one");
                format!("link {}", to.as_os_str().as_bytes().escape_ascii())
            } else if kind.is_char_device() {
                format!("char {} {}", device.0, device.1)
            } else if kind.is_block_device() {
                format!("block {} {}", device.0, device.1)
            } else {
                "fifo".to_owned()
            };
            let names = if kind.is_file() { meta.nlink() } else { 1 };
            let name = path.strip_prefix(root).expect("it is below").to_string_lossy().into_owned();
            let owner = (meta.uid(), meta.gid());
            out.insert(name, Entry { what, mode: meta.mode() & 0o7777, owner, names });
        }
    }
    out
}

/// Everything that a package gives to somebody else than root: path and names,
/// as `tar --list --verbose` prints them.
fn owners(cache: &Cache) -> BTreeMap<String, (String, String)> {
    let mut out = BTreeMap::new();
    for package in lock().packages {
        let script = "dpkg-deb --fsys-tarfile \"$0\" | tar --list --verbose";
        for line in shell("dpkg, tar", script, &[&cache.deb_path(&package.sha256)]).lines() {
            let fields: Vec<_> = line.split_whitespace().collect();
            let [_, owner, _, _, _, path, ..] = fields[..] else { panic!("{line}") };
            let (user, group) = owner.split_once('/').unwrap_or_else(|| panic!("{line}"));
            if owner != "root/root" {
                let path = path.trim_start_matches("./").trim_end_matches('/');
                let merged =
                    ["bin", "sbin", "lib", "lib64"].iter().any(|d| path.starts_with(&format!("{d}/")));
                let path = if merged { format!("usr/{path}") } else { path.to_owned() };
                out.entry(path).or_insert((user.to_owned(), group.to_owned()));
            }
        }
    }
    out
}

/// The numbers of names: base-passwd's, then the recipe's.
fn numbers(master: &str) -> BTreeMap<String, u32> {
    let file = dpkg_root().join("usr/share/base-passwd").join(master);
    let text = fs::read_to_string(file).expect("base-passwd has it");
    let line = |line: &str| {
        let mut fields = line.split(':');
        Some((fields.next()?.to_owned(), fields.nth(1)?.parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}

#[test]
fn the_merged_tree_is_what_dpkg_unpacks() {
    let recipe = sledos::recipe::load(&image::top().join("recipes/compute.yaml")).expect("it is right");
    let locked = lock().packages;
    let mut theirs = theirs(dpkg_root());
    let cache = Arc::new(Cache::open(&cache_dir()).expect("the build used it"));
    let (mut users, mut groups) = (numbers("passwd.master"), numbers("group.master"));
    groups.extend(recipe.groups.iter().map(|group| (group.name.clone(), group.gid)));
    groups
        .extend(recipe.users.iter().filter(|u| u.group.is_none()).map(|user| (user.name.clone(), user.uid)));
    users.extend(recipe.users.iter().map(|user| (user.name.clone(), user.uid)));
    let owners = owners(&cache);
    assert!(!owners.is_empty(), "tar lists nobody but root");
    for (path, (user, group)) in owners {
        let entry = theirs.get_mut(&path).unwrap_or_else(|| panic!("{path} was listed, but not unpacked"));
        entry.owner = (users[&user], groups[&group]);
    }

    let packages =
        unpack::packages(&cache, &locked, &|_, _| ControlFlow::Continue(())).expect("the build could");
    let ids = Ids::of(&packages, &recipe.users, &recipe.groups).expect("the build could");
    let tree = unpack::merge::merge(&packages, &ids, &|_| true).expect("no two packages collide");
    assert!(theirs.len() > 10_000, "{} paths are no system", theirs.len());
    assert_same(&ours(&tree), &theirs);
}
