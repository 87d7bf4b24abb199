//! The same recipe, lock and builder give the same bytes, whoever builds and where.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::BufReader;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use qemu_tests::image;
use sledos::cache::Cache;
use sledos::cli::boot;
use sledos::lock::Lock;

fn scratch() -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reproducible");
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).expect("cargo's scratch directory can be written");
    dir
}

/// The `sledos` binary of this profile: cargo builds it before the tests of a
/// workspace, but not before those of this package alone.
fn sledos() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows where it is");
    let binary = test.ancestors().nth(2).expect("target/PROFILE/deps/test").join("sledos");
    assert!(binary.is_file(), "{} is missing: run `cargo build --release -p sledos` first", binary.display());
    binary
}

/// Copies a checkout, its directories and files with modes and times of their
/// own. What of modes matters (the owner's execute bit) stays.
fn copy_with_other_modes(from: &Path, to: &Path) {
    let meta = fs::symlink_metadata(from).expect("the checkout can be read");
    if meta.is_dir() {
        fs::create_dir_all(to).expect("there is room");
        // Listed in another order than they were made in.
        let entries = fs::read_dir(from).expect("the checkout can be read");
        let mut names: Vec<_> = entries.map(|e| e.expect("it can be read").file_name()).collect();
        names.sort_unstable_by(|a, b| b.cmp(a));
        for name in names {
            copy_with_other_modes(&from.join(&name), &to.join(&name));
        }
        fs::set_permissions(to, Permissions::from_mode(0o2700)).expect("it is ours");
    } else if meta.is_symlink() {
        let target = fs::read_link(from).expect("it is one");
        std::os::unix::fs::symlink(target, to).expect("there is room");
    } else {
        fs::copy(from, to).expect("there is room");
        let mode = if meta.permissions().mode() & 0o100 == 0 { 0o600 } else { 0o700 };
        fs::set_permissions(to, Permissions::from_mode(mode)).expect("it is ours");
        let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        let file = File::options().read(true).open(to).expect("it is ours");
        file.set_modified(long_ago).expect("it is ours");
    }
}

/// A cache that has the downloads and nothing else.
fn cold_cache(downloads: &Path, lock: &Path, cold: &Path) {
    let from = Cache::open(downloads).expect("the first build used it");
    let to = Cache::open(cold).expect("cargo's scratch directory can be written");
    for package in Lock::read(lock).expect("the first build used it").packages {
        let (from, to) = (from.deb_path(&package.sha256), to.deb_path(&package.sha256));
        if fs::hard_link(&from, &to).is_err() {
            fs::copy(&from, &to).expect("the first build downloaded it");
        }
    }
}

/// One way to build.
struct Way<'a> {
    checkout: &'a Path,
    lock: &'a Path,
    cache: &'a Path,
    output: &'a Path,
    umask: &'a str,
    cwd: &'a Path,
    jobs: &'a str,
    env: &'a [(&'a str, &'a str)],
}

impl Way<'_> {
    /// Builds the compute image with the real binary; returns its directory.
    fn build(&self) -> PathBuf {
        let mut command = Command::new("sh");
        command.args(["-c", "umask \"$0\" && exec \"$@\"", self.umask]).arg(sledos()).arg("build");
        command.arg(self.checkout.join("recipes/compute.yaml"));
        command.args([
            "--fast",
            "--compressed-disk",
            "--locked",
            "--image-version=test",
            "--progress=plain",
            "--jobs",
            self.jobs,
        ]);
        for (option, path) in [("--lock", self.lock), ("--cache", self.cache), ("--output", self.output)] {
            command.arg(option).arg(path);
        }
        command.current_dir(self.cwd).env_clear().env("PATH", "/usr/bin:/bin").envs(self.env.iter().copied());
        let out = command.output().expect("every system has sh");
        assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
        self.output.join("compute/test")
    }
}

fn names(dir: &Path) -> BTreeSet<std::ffi::OsString> {
    let entries = fs::read_dir(dir).expect("the build made it");
    entries.map(|entry| entry.expect("it can be read").file_name()).collect()
}

/// The first offset at which two files differ; the shorter one's length when
/// one is the start of the other.
fn first_difference(a: &Path, b: &Path) -> Option<u64> {
    let open = |path| BufReader::with_capacity(1 << 20, File::open(path).expect("the build made it"));
    let (mut a, mut b) = (open(a), open(b));
    let (mut left, mut right) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    let mut at = 0;
    loop {
        let (n, m) = (fill(&mut a, &mut left), fill(&mut b, &mut right));
        if left[..n] != right[..m] {
            let same = left[..n].iter().zip(&right[..m]).take_while(|(l, r)| l == r).count();
            return Some(at + same as u64);
        }
        if n == 0 {
            return None;
        }
        at += n as u64;
    }
}

fn fill(from: &mut impl std::io::Read, buffer: &mut [u8]) -> usize {
    let mut have = 0;
    while have < buffer.len() {
        match from.read(&mut buffer[have..]).expect("it can be read") {
            0 => break,
            n => have += n,
        }
    }
    have
}

/// What differs between two images: file, first offset and, on the disk, the partition.
fn differences(a: &Path, b: &Path) -> Vec<String> {
    let mut out = Vec::new();
    for name in names(a).union(&names(b)) {
        let (a, b) = (a.join(name), b.join(name));
        let shown = name.to_string_lossy();
        if !a.is_file() || !b.is_file() {
            out.push(format!("{shown} is in one of them only"));
        } else if let Some(at) = first_difference(&a, &b) {
            let partitions =
                boot::manifest(a.parent().expect("it was joined")).expect("it has one").partitions;
            let within = partitions.iter().find(|p| (p.start..p.start + p.size).contains(&at));
            let place = match within.filter(|_| name == "disk.raw") {
                Some(p) => format!(" ({} of partition {})", at - p.start, p.label),
                None => String::new(),
            };
            out.push(format!("{shown} differs at byte {at}{place}"));
        }
    }
    out
}

#[test]
fn another_machine_user_and_day_give_the_same_bytes() {
    let dir = scratch();
    // Locks again if the mirror dropped packages, and leaves the cache warm.
    let (_, lock) = image::build_with_lock(image::request("compute.yaml", &dir.join("warm-up")));
    let warm = Cache::default_dir().expect("HOME or XDG_CACHE_HOME is set");
    let here = Way {
        checkout: &image::top(),
        lock: &lock,
        cache: &warm,
        output: &dir.join("here"),
        umask: "022",
        cwd: &image::top(),
        jobs: "3",
        env: &[("HOME", "/root"), ("USER", "root"), ("LANG", "C.UTF-8"), ("TZ", "UTC")],
    };

    let elsewhere = dir.join("else where/a longer path/checkout");
    for part in ["recipes", "overlays"] {
        copy_with_other_modes(&image::top().join(part), &elsewhere.join(part));
    }
    let (cold, home, copied) = (dir.join("cold"), dir.join("home"), dir.join("copied.lock"));
    cold_cache(&warm, &lock, &cold);
    fs::create_dir_all(&home).expect("cargo's scratch directory can be written");
    fs::copy(&lock, &copied).expect("there is room");
    let there = Way {
        checkout: &elsewhere,
        lock: &copied,
        cache: &cold,
        output: &dir.join("there"),
        umask: "077",
        cwd: &home,
        jobs: "1",
        env: &[
            ("HOME", home.to_str().expect("cargo's directories are UTF-8")),
            ("USER", "somebody"),
            ("LOGNAME", "somebody"),
            ("LANG", "tr_TR.UTF-8"),
            ("LC_ALL", "tr_TR.UTF-8"),
            ("TZ", "Pacific/Kiritimati"),
            ("HOSTNAME", "elsewhere"),
        ],
    };
    let (here, there) = (here.build(), there.build());
    assert!(names(&here).iter().any(|name| name == "disk.raw"));
    let different = differences(&here, &there);
    assert!(different.is_empty(), "{} and {}:\n{}", here.display(), there.display(), different.join("\n"));
    // The disk itself says where, when something differs.
    let damaged = dir.join("damaged");
    fs::create_dir_all(&damaged).expect("cargo's scratch directory can be written");
    for name in names(&here) {
        let to = damaged.join(&name);
        fs::hard_link(here.join(&name), &to).expect("one file system");
    }
    let disk = damaged.join("disk.raw");
    fs::remove_file(&disk).expect("it is ours");
    fs::copy(here.join("disk.raw"), &disk).expect("there is room");
    let oem = boot::manifest(&here).expect("it has one").partitions;
    let oem = oem.iter().find(|p| p.label == "OEM").expect("the disk has it");
    let file = File::options().write(true).open(&disk).expect("it is ours");
    std::os::unix::fs::FileExt::write_all_at(&file, b"X", oem.start).expect("within the disk");
    let expected = format!("disk.raw differs at byte {} (0 of partition OEM)", oem.start);
    assert_eq!(differences(&here, &damaged), [expected]);
}
