//! The same recipe, lock and builder give the same bytes, whoever builds, where and when;
//! and when something does not, `verify` says which file it is.

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use qemu_tests::scratch::Scratch;
use qemu_tests::{image, judge};
use sledos::cache::Cache;
use sledos::verify::differences::Difference;
use sledos::verify::{Rebuild, rebuild};

fn scratch(name: &str) -> Scratch {
    Scratch::new(Path::new(env!("CARGO_TARGET_TMPDIR")).join("reproducible").join(name))
}

/// The image that is built again: that of the other tests, which left the downloads in the cache.
fn here() -> &'static Path {
    image::compute(Path::new(env!("CARGO_TARGET_TMPDIR")))
}

/// The `sledos` binary of this profile: cargo builds it before the tests of a
/// workspace, but not before those of this package alone.
fn sledos() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows where it is");
    let binary = test.ancestors().nth(2).expect("target/PROFILE/deps/test").join("sledos");
    assert!(binary.is_file(), "{} is missing: run `cargo build --release -p sledos` first", binary.display());
    binary
}

fn script(program: PathBuf, text: &str) -> PathBuf {
    fs::write(&program, text).expect("the directory is ours");
    fs::set_permissions(&program, Permissions::from_mode(0o755)).expect("it is ours");
    program
}

/// `sledos` for which it is years later. It notes the date it sees.
fn sledos_of_the_future(dir: &Path) -> PathBuf {
    let (noted, sledos) = (dir.join("date"), sledos());
    let faketime = "/usr/bin/faketime '2033-02-03 04:05:06'";
    let text = format!(
        "#!/bin/sh\n{faketime} date +%Y > '{}' && exec {faketime} '{}' \"$@\"\n",
        noted.display(),
        sledos.display()
    );
    script(dir.join("sledos-later"), &text)
}

/// A Debian 13 in a directory: another C library, other tools, other time zones.
fn other_userland(dir: &Path) -> PathBuf {
    let root = dir.join("root");
    // The mirror is the one that this host has its own suite from.
    let text = r#"
        . /etc/os-release
        mirror=$(apt-get indextargets --format '$(CODENAME) $(REPO_URI)' 'Created-By: Packages' |
            awk -v suite="$VERSION_CODENAME" '$1 == suite { print $2; exit }')
        mmdebstrap --quiet --variant=essential --include=ca-certificates trixie "$0" "$mirror""#;
    let flags = ["-o", "pipefail", "-ec", text].map(Path::new);
    judge::run("mmdebstrap (or bash)", "bash", flags.into_iter().chain([root.as_path()]));
    root
}

/// `sledos` inside another userland, which has nothing of the host's but the kernel, the
/// files of the build and the list of mirrors. It notes the C library it sees.
fn sledos_elsewhere(dir: &Path, root: &Path) -> PathBuf {
    let cache = Cache::default_dir().expect("HOME or XDG_CACHE_HOME is set");
    let program = sledos();
    let shared = [
        image::top(),
        cache,
        program.parent().expect("it is in a directory").to_owned(),
        dir.parent().expect("it is ours").to_owned(),
        "/etc/apt".into(),
        "/dev".into(),
        "/proc".into(),
    ];
    let shared: Vec<_> = shared.iter().map(|dir| format!("'{}'", dir.display())).collect();
    let text = format!(
        "#!/bin/sh\nexec unshare --mount --propagation private sh -ec '\n\
         root=$1; noted=$2; program=$3; shift 3\n\
         while [ \"$1\" != -- ]; do mkdir -p \"$root$1\"; mount --bind \"$1\" \"$root$1\"; shift; done; shift\n\
         cp -L /etc/resolv.conf \"$root/etc/resolv.conf\"\n\
         chroot \"$root\" ldd --version >\"$noted\"\n\
         exec chroot \"$root\" \"$program\" \"$@\"' sh '{}' '{}' '{}' {} -- \"$@\"\n",
        root.display(),
        dir.join("libc").display(),
        program.display(),
        shared.join(" ")
    );
    script(dir.join("sledos-elsewhere"), &text)
}

/// Builds the image in `dir` again with `program`.
fn again(dir: &Path, program: &Path, scratch: &Path, ready: &dyn Fn(&Path)) -> Vec<Difference> {
    fs::create_dir_all(scratch).expect("cargo's scratch directory can be written");
    let request = Rebuild {
        dir,
        recipe: &image::top().join("recipes/compute.yaml"),
        program,
        cache: &Cache::default_dir().expect("HOME or XDG_CACHE_HOME is set"),
        mirrors: &[],
        components: &[],
        scratch,
    };
    let (variation, differences) = rebuild(&request, ready).unwrap_or_else(|error| panic!("{error}"));
    eprintln!("{variation}");
    differences
}

fn shown(differences: &[Difference]) -> String {
    differences.iter().map(|difference| format!("{difference}\n")).collect()
}

#[test]
fn another_place_user_and_day_give_the_same_bytes_and_what_does_not_is_named() {
    let (dir, here) = (scratch("varied"), here());
    let program = sledos_of_the_future(&dir);
    let there = dir.join("there");
    let differences = again(here, &program, &there, &|_| {});
    assert!(differences.is_empty(), "{}:\n{}", there.display(), shown(&differences));
    let date = fs::read_to_string(dir.join("date"));
    assert_eq!(date.expect("faketime is missing: apt-get install faketime").trim(), "2033");
    // We are not the only ones who say so.
    let second = there.join("output/compute/test");
    judge::run("diffutils", "diff", [Path::new("--recursive"), here, &second]);
    fs::remove_dir_all(&there).expect("it is ours");

    // A build that puts the time into a file.
    let spoilt = "overlays/base/usr/lib/sysctl.d/spoilt.conf";
    let disturb = |checkout: &Path| {
        let file = checkout.join(spoilt);
        fs::create_dir_all(file.parent().expect("it has a directory")).expect("the copy is ours");
        let now =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is past 1970");
        let mut file = fs::File::create(&file).expect("the copy is ours");
        writeln!(file, "# made at {}", now.as_nanos()).expect("there is room");
    };
    let differences = again(here, &sledos(), &dir.join("spoilt"), &disturb);
    let usr = differences.iter().find(|difference| difference.place == "usr.squashfs");
    let cause = "/usr/lib/sysctl.d/spoilt.conf: only in the second";
    assert_eq!(usr.map(|usr| usr.files.as_slice()), Some(&[cause.to_owned()][..]), "{}", shown(&differences));
    // It is followed to where it leads, and to nothing else.
    for place in ["disk.raw: partition USR-A", "disk.raw: partition EFI-SYSTEM", "boot.ipxe", "compute.efi"] {
        assert!(differences.iter().any(|d| d.place == place), "no {place} in\n{}", shown(&differences));
    }
    for same in
        ["vmlinuz", "initramfs.zst", "compute.lock", "disk.raw: partition OEM", "disk.raw: partition ROOT"]
    {
        assert!(!differences.iter().any(|d| d.place == same), "{}", shown(&differences));
    }
}

#[test]
fn another_userland_gives_the_same_bytes() {
    let (dir, here) = (scratch("elsewhere"), here());
    let program = sledos_elsewhere(&dir, &other_userland(&dir));
    let differences = again(here, &program, &dir.join("there"), &|_| {});
    assert!(differences.is_empty(), "{}:\n{}", dir.display(), shown(&differences));
    // It was another one indeed.
    let version = |text: &str| {
        text.lines().next().and_then(|line| line.rsplit(' ').next()).unwrap_or_default().to_owned()
    };
    let other = version(&fs::read_to_string(dir.join("libc")).expect("it is noted"));
    let ours = version(&judge::run("libc-bin", "ldd", ["--version"]));
    assert!(!other.is_empty() && other != ours, "{other} and {ours}");
    println!("glibc {other} there, {ours} here");
}
