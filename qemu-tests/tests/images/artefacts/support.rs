//! The image under test, what is in it as other tools unpack it, and the
//! packages it is made of as dpkg unpacks them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use qemu_tests::image::{self, Image};
use qemu_tests::judge;
use qemu_tests::scratch::Scratch;
use sha2::{Digest as _, Sha256};
use sledos::cli::boot;
use sledos::image::manifest::{Manifest, Partition};
use sledos::lock::Lock;

pub(crate) fn image() -> &'static Image {
    image::compute_with_lock(Path::new(env!("CARGO_TARGET_TMPDIR")))
}

pub(crate) fn artefact(name: &str) -> PathBuf {
    image().dir.join(name)
}

pub(crate) fn manifest() -> Manifest {
    boot::manifest(&image().dir).expect("the image has a manifest")
}

pub(crate) fn partition(label: &str) -> Partition {
    manifest().partitions.into_iter().find(|p| p.label == label).expect("the disk has this partition")
}

pub(crate) fn lock() -> Lock {
    Lock::read(&image().lock).expect("the image was just made from it")
}

pub(crate) fn scratch(name: &str) -> Scratch {
    Scratch::new(Path::new(env!("CARGO_TARGET_TMPDIR")).join("artefacts").join(name))
}

/// /usr as unsquashfs unpacks it: the directory that `usr` is in, with `lib`
/// beside it, as kmod wants to see a root directory.
pub(crate) fn unsquashed() -> &'static Path {
    static ROOT: OnceLock<&'static Path> = OnceLock::new();
    ROOT.get_or_init(|| {
        let root = scratch("unsquashed").shared();
        let (to, from) = (root.join("usr"), artefact("usr.squashfs"));
        let args = ["-quiet", "-no-progress", "-strict-errors", "-dest"].map(Path::new);
        judge::run("squashfs-tools", "unsquashfs", args.into_iter().chain([&*to, &*from]));
        std::os::unix::fs::symlink("usr/lib", root.join("lib")).expect("the directory is new");
        root
    })
}

/// The initramfs without the microcode in front of it, which is not compressed.
pub(crate) fn initramfs_frame() -> PathBuf {
    let bytes = fs::read(artefact("initramfs.zst")).expect("it was built");
    // RFC 8878, 3.1.1; archives end at multiples of 512 bytes.
    let magic = [0x28, 0xb5, 0x2f, 0xfd];
    let at = (0..bytes.len()).step_by(512).find(|at| bytes[*at..].starts_with(&magic)).expect("a frame");
    let file = scratch("initramfs-frame").shared().join("initramfs.zst");
    fs::write(&file, &bytes[at..]).expect("there is room");
    file
}

/// The initramfs as zstd and cpio unpack it.
pub(crate) fn initramfs() -> &'static Path {
    static ROOT: OnceLock<&'static Path> = OnceLock::new();
    ROOT.get_or_init(|| {
        let root = scratch("initramfs").shared();
        let script = "set -e; cd \"$0\"; zstd -dqc \"$1\" > ../initramfs.cpio; \
                      cpio --extract --make-directories --quiet --no-absolute-filenames < ../initramfs.cpio";
        shell("zstd, cpio", script, &[root, &initramfs_frame()]);
        root
    })
}

/// All packages of the lock as dpkg-deb and tar unpack them one after another
/// on a system where /bin and /lib are links into /usr.
pub(crate) fn dpkg_root() -> &'static Path {
    static ROOT: OnceLock<&'static Path> = OnceLock::new();
    ROOT.get_or_init(|| {
        let root = scratch("dpkg").shared();
        for link in ["bin", "lib", "lib64", "sbin"] {
            fs::create_dir_all(root.join("usr").join(link)).expect("the directory is new");
            std::os::unix::fs::symlink(format!("usr/{link}"), root.join(link)).expect("the directory is new");
        }
        // What base-files says of a directory holds.
        let mut packages = lock().packages;
        packages.sort_by_key(|p| (p.name != "base-files", p.name.clone()));
        let cache = sledos::cache::Cache::open(&cache_dir()).expect("the build used it");
        let script = "dpkg-deb --fsys-tarfile \"$0\" | tar --extract --preserve-permissions \
                      --numeric-owner --keep-directory-symlink --no-overwrite-dir --directory \"$1\"";
        for package in &packages {
            shell("dpkg, tar", script, &[&cache.deb_path(&package.sha256), root]);
        }
        root
    })
}

pub(crate) fn cache_dir() -> PathBuf {
    sledos::cache::Cache::default_dir().expect("HOME or XDG_CACHE_HOME is set")
}

/// Runs a script whose every part must succeed; `$0`, `$1`… are the paths.
pub(crate) fn shell(package: &str, script: &str, args: &[&Path]) -> String {
    let flags = ["-o", "pipefail", "-c", script].map(Path::new);
    judge::run(&format!("{package} (or bash)"), "bash", flags.into_iter().chain(args.iter().copied()))
}

/// Copies a part of a file into a file of its own; holes stay holes.
pub(crate) fn extract(from: &Path, start: u64, size: u64, to: &Path) {
    let script = "dd if=\"$0\" of=\"$1\" bs=1M iflag=skip_bytes,count_bytes conv=sparse status=none";
    let script = format!("{script} skip={start} count={size}; truncate --size={size} \"$1\"");
    shell("coreutils", &script, &[from, to]);
}

/// Whether a part of a file is the same as the whole of another.
pub(crate) fn same_bytes(file: &Path, start: u64, other: &Path) -> bool {
    let mut whole = File::open(other).expect("it was made a moment ago");
    let size = whole.metadata().expect("it is open").len();
    let mut part = File::open(file).expect("it was made a moment ago");
    part.seek(SeekFrom::Start(start)).expect("a file can be sought");
    sha256(part.take(size)) == sha256(&mut whole)
}

pub(crate) fn sha256(mut from: impl io::Read) -> String {
    let mut sum = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match from.read(&mut buffer).expect("it can be read") {
            0 => break,
            n => sum.update(&buffer[..n]),
        }
    }
    sum.finalize().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

pub(crate) fn sha256_of_file(path: &Path) -> String {
    sha256(File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
}

/// Asserts that two maps are the same, showing only what differs.
pub(crate) fn assert_same<T: PartialEq + std::fmt::Debug>(
    ours: &BTreeMap<String, T>,
    theirs: &BTreeMap<String, T>,
) {
    let keys: std::collections::BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
    let different: Vec<String> = keys
        .into_iter()
        .filter(|key| ours.get(*key) != theirs.get(*key))
        .map(|key| format!("{key}\n  ours   {:?}\n  theirs {:?}", ours.get(key), theirs.get(key)))
        .collect();
    assert!(different.is_empty(), "{} differ:\n{}", different.len(), different.join("\n"));
}
