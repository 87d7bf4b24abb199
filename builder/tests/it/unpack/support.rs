//! Packages made on the spot, by dpkg-deb and by hand.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use formats::tree::{Digest, Kind, Tree, TreePath};
use sha2::Digest as _;
use sledos::accounts::Ids;
use sledos::cache::Cache;
use sledos::lock::model::Package as Locked;
use sledos::unpack::{self, Package, merge};

/// A cache and a place for files, gone when dropped.
pub(crate) struct Bench {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) cache: Arc<Cache>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let cache = Arc::new(Cache::open(&dir.path().join("cache")).unwrap());
        Self { dir, cache }
    }

    /// The same cache as a second build would open it.
    pub(crate) fn reopen(&self) -> Arc<Cache> {
        Arc::new(Cache::open(self.cache.dir()).unwrap())
    }

    /// A package `name`, version 1, for all architectures, built by dpkg-deb from
    /// what `fill` puts into a directory. `fields` are further lines of its control file.
    pub(crate) fn deb(&self, name: &str, fields: &str, fill: impl FnOnce(&Path)) -> Locked {
        self.deb_with(&["-Zxz"], name, fields, fill)
    }

    pub(crate) fn deb_with(
        &self,
        options: &[&str],
        name: &str,
        fields: &str,
        fill: impl FnOnce(&Path),
    ) -> Locked {
        let root = self.dir.path().join(format!("root-{name}"));
        fs::create_dir_all(root.join("DEBIAN")).unwrap();
        fs::write(root.join("DEBIAN/control"), control(name, fields)).unwrap();
        fill(&root);
        let file = self.dir.path().join(format!("{name}.deb"));
        run(Command::new("dpkg-deb").args(options).arg("--build").arg(&root).arg(&file), "dpkg");
        self.lock(name, &fs::read(file).unwrap())
    }

    /// Puts the bytes of a package into the cache and locks them.
    pub(crate) fn lock(&self, name: &str, bytes: &[u8]) -> Locked {
        let sha256 = sha256(bytes);
        fs::write(self.cache.deb_path(&sha256), bytes).unwrap();
        locked(name, "1", "all", sha256, bytes.len() as u64)
    }

    pub(crate) fn open(&self, locked: &[Locked]) -> Result<Vec<Package>, unpack::Error> {
        unpack::packages(&self.cache, locked, &|_, _| ControlFlow::Continue(())).map_err(
            |error| match error {
                // All of them name their package; the tests look at what is wrong with it.
                unpack::Error::Of { name, source, .. } if locked.iter().any(|one| one.name == name) => {
                    *source
                }
                other => other,
            },
        )
    }

    pub(crate) fn merge(&self, locked: &[Locked]) -> Result<Tree, merge::Error> {
        merge::merge(&self.open(locked).unwrap(), &ids(), &|_| true)
    }

    pub(crate) fn bytes(&self, locked: &Locked) -> Vec<u8> {
        fs::read(self.cache.deb_path(&locked.sha256)).unwrap()
    }
}

pub(crate) fn locked(name: &str, version: &str, arch: &str, sha256: Digest, size: u64) -> Locked {
    Locked {
        name: name.into(),
        version: version.into(),
        arch: arch.into(),
        sha256,
        size,
        release: 0,
        path: String::new(),
        because: Vec::new(),
    }
}

pub(crate) fn control(name: &str, fields: &str) -> String {
    format!(
        "Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: Nobody <n@example.org>\n\
         Description: test\n{fields}"
    )
}

pub(crate) fn ids() -> Ids {
    let passwd = "root:*:0:0:root:/root:/bin/bash\ndaemon:*:1:1:::\n";
    Ids::from_masters(passwd, "root:*:0:\ndaemon:*:1:\nadm:*:4:\nshadow:*:42:\nstaff:*:50:\n").unwrap()
}

pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    sha2::Sha256::digest(bytes).into()
}

pub(crate) fn p(path: &str) -> TreePath {
    TreePath::parse(path.as_bytes()).unwrap()
}

/// Runs a program that must succeed.
pub(crate) fn run(command: &mut Command, package: &str) {
    let shown = format!("{command:?}");
    let out = command.output().unwrap_or_else(|e| panic!("{shown}: {e}; install the package {package}"));
    assert!(out.status.success(), "{shown}: {}", String::from_utf8_lossy(&out.stderr));
}

/// Writes a file, making the directories above it.
pub(crate) fn write(root: &Path, path: &str, bytes: &[u8]) -> PathBuf {
    let file = root.join(path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, bytes).unwrap();
    file
}

/// The whole chain of an error in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut out = error.to_string();
    let mut next = error.source();
    while let Some(e) = next {
        out += &format!(": {e}");
        next = e.source();
    }
    out
}

/// An ar archive of members.
pub(crate) fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = b"!<arch>\n".to_vec();
    for (name, data) in members {
        writeln!(out, "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`", 0, 0, 0, 100_644, data.len()).unwrap();
        out.extend_from_slice(data);
        out.resize(out.len().next_multiple_of(2), b'\n');
    }
    out
}

/// A package around a data archive.
pub(crate) fn raw_deb(name: &str, data_name: &str, data: &[u8]) -> Vec<u8> {
    let control = tar(&[Member::file("./control", control(name, "").as_bytes())]);
    ar(&[("debian-binary", b"2.0\n"), ("control.tar", &control), (data_name, data)])
}

/// A member of a tar archive with any bytes as name, right or wrong.
pub(crate) struct Member {
    pub(crate) kind: u8,
    pub(crate) name: Vec<u8>,
    pub(crate) link: Vec<u8>,
    pub(crate) data: Vec<u8>,
    /// What the header says, when not the truth.
    pub(crate) size: Option<u64>,
    pub(crate) group: &'static str,
}

impl Member {
    pub(crate) fn new(kind: u8, name: &str) -> Self {
        let (name, link, data) = (name.into(), Vec::new(), Vec::new());
        Self { kind, name, link, data, size: None, group: "root" }
    }
    pub(crate) fn file(name: &str, data: &[u8]) -> Self {
        Self { data: data.into(), ..Self::new(b'0', name) }
    }
    pub(crate) fn dir(name: &str) -> Self {
        Self::new(b'5', name)
    }
    pub(crate) fn symlink(name: &str, to: &str) -> Self {
        Self { link: to.into(), ..Self::new(b'2', name) }
    }
    pub(crate) fn hardlink(name: &str, to: &str) -> Self {
        Self { link: to.into(), ..Self::new(b'1', name) }
    }
}

/// A tar archive without the blocks at its end.
pub(crate) fn open_tar(members: &[Member]) -> Vec<u8> {
    let mut out = Vec::new();
    for m in members {
        let mut h = tar::Header::new_gnu();
        h.set_size(m.size.unwrap_or(m.data.len() as u64));
        h.set_mode(if m.kind == b'5' { 0o755 } else { 0o644 });
        h.set_uid(0);
        h.set_gid(0);
        h.set_mtime(0);
        h.set_entry_type(tar::EntryType::new(m.kind));
        h.set_username("root").unwrap();
        h.set_groupname(m.group).unwrap();
        let old = h.as_old_mut();
        old.name[..m.name.len()].copy_from_slice(&m.name);
        old.linkname[..m.link.len()].copy_from_slice(&m.link);
        h.set_cksum();
        out.extend_from_slice(h.as_bytes());
        out.extend_from_slice(&m.data);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out
}

/// A tar archive.
pub(crate) fn tar(members: &[Member]) -> Vec<u8> {
    let mut out = open_tar(members);
    out.resize(out.len() + 1024, 0);
    out
}

pub(crate) fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    liblzma::read::XzEncoder::new(bytes, 1).read_to_end(&mut out).unwrap();
    out
}

/// Every path of a tree but the root in one line each, as [`listing_of_host`] has them.
pub(crate) fn listing(tree: &Tree) -> BTreeMap<String, String> {
    let line = |path: &TreePath| {
        let node = tree.get(path).unwrap();
        let file = match &node.kind {
            Kind::Hardlink(to) => &tree.get(to).unwrap().kind,
            kind => kind,
        };
        let what = match file {
            Kind::Dir => "dir".into(),
            Kind::File(content) => {
                let bytes = content.to_vec().unwrap();
                assert_eq!(sha256(&bytes), content.digest().unwrap(), "{path}");
                format!("file {:02x?}", sha256(&bytes))
            }
            Kind::Symlink(to) => format!("link {}", to.escape_ascii()),
            Kind::CharDev { major, minor } => format!("char {major} {minor}"),
            Kind::BlockDev { major, minor } => format!("block {major} {minor}"),
            Kind::Fifo => "fifo".into(),
            Kind::Hardlink(_) => panic!("{path} is a hard link to a hard link"),
        };
        let links = match &node.kind {
            Kind::Hardlink(to) => {
                tree.iter().filter(|(_, n)| matches!(&n.kind, Kind::Hardlink(t) if t == to)).count() + 1
            }
            Kind::File(_) => {
                tree.iter().filter(|(_, n)| matches!(&n.kind, Kind::Hardlink(t) if t == path)).count() + 1
            }
            _ => 1,
        };
        format!("{what} {:o} {}:{} links {links}", node.mode, node.uid, node.gid)
    };
    let paths = tree.iter().map(|(path, _)| path).filter(|p| !p.is_root());
    paths.map(|p| (p.to_string(), line(p))).collect()
}

/// Every path below a directory of the host in one line each.
pub(crate) fn listing_of_host(root: &Path) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    let mut todo = vec![root.to_owned()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let kind = meta.file_type();
            let device = (meta.rdev() >> 8 & 0xfff, meta.rdev() & 0xff);
            let what = if kind.is_dir() {
                todo.push(path.clone());
                "dir".into()
            } else if kind.is_file() {
                format!("file {:02x?}", sha256(&fs::read(&path).unwrap()))
            } else if kind.is_symlink() {
                let to = fs::read_link(&path).unwrap();
                format!("link {}", std::os::unix::ffi::OsStrExt::as_bytes(to.as_os_str()).escape_ascii())
            } else if kind.is_char_device() {
                format!("char {} {}", device.0, device.1)
            } else if kind.is_block_device() {
                format!("block {} {}", device.0, device.1)
            } else {
                "fifo".into()
            };
            let links = if kind.is_file() { meta.nlink() } else { 1 };
            let line =
                format!("{what} {:o} {}:{} links {links}", meta.mode() & 0o7777, meta.uid(), meta.gid());
            out.insert(path.strip_prefix(root).unwrap().to_string_lossy().into_owned(), line);
        }
    }
    out
}
