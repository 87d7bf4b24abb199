//! What `sledos` refuses: the exit code, the sentence that says why, and that
//! nothing half-made is left and an earlier image stays as it was.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// A recipe of its own over the real compute.yaml, with the real lock, and an
/// output directory in which an earlier version lies.
struct Case {
    dir: tempfile::TempDir,
}

const EARLIER: &str = "output/compute/1/disk.raw";

impl Case {
    fn new(overrides: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let recipes = dir.path().join("recipes");
        fs::create_dir(&recipes).unwrap();
        for entry in fs::read_dir(root.join("recipes")).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), recipes.join(entry.file_name())).unwrap();
        }
        symlink(root.join("overlays"), dir.path().join("overlays")).unwrap();
        fs::write(recipes.join("x.yaml"), format!("include: [compute.yaml]\nname: compute\n{overrides}"))
            .unwrap();
        let earlier = dir.path().join(EARLIER);
        fs::create_dir_all(earlier.parent().unwrap()).unwrap();
        fs::write(earlier, "earlier").unwrap();
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn edit_lock(&self, edit: impl FnOnce(String) -> String) {
        let path = self.path("recipes/compute.lock");
        fs::write(&path, edit(fs::read_to_string(&path).unwrap())).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        self.release(&[&["--fast"], args].concat())
    }

    /// The same at the level of the recipe.
    fn release(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sledos"));
        command.current_dir(self.dir.path()).env_remove("SOURCE_DATE_EPOCH").stdin(Stdio::null());
        command.args(["build", "recipes/x.yaml"]).args(args);
        command
    }

    /// Builds, which must fail with this code and these sentences.
    #[track_caller]
    fn refused(&self, args: &[&str], code: i32, sentences: &[&str]) {
        let output = self.command(args).args(["--progress", "none"]).output().unwrap();
        check(&output, code, sentences);
        self.nothing_left();
    }

    /// Only the earlier image is under output/, as it was.
    #[track_caller]
    fn nothing_left(&self) {
        assert_eq!(fs::read_to_string(self.path(EARLIER)).unwrap(), "earlier");
        for (dir, only) in [("output", "compute"), ("output/compute", "1"), ("output/compute/1", "disk.raw")]
        {
            let names: Vec<_> =
                fs::read_dir(self.path(dir)).unwrap().map(|e| e.unwrap().file_name()).collect();
            assert_eq!(names, [only], "in {dir}");
        }
    }
}

#[track_caller]
fn check(output: &Output, code: i32, sentences: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for sentence in sentences {
        assert!(text.contains(sentence), "no {sentence:?} in:\n{text}");
    }
    assert!(!text.contains("panicked"), "{text}");
}

/// Builds until the stage begins, then sends the signals one after another. Returns
/// the events after that.
#[track_caller]
fn interrupted_at(stage: &str, signals: usize) -> Vec<String> {
    let case = Case::new("");
    interrupted(&case, case.command(&["--progress", "json"]), stage, signals)
}

#[track_caller]
fn interrupted(case: &Case, mut command: Command, stage: &str, signals: usize) -> Vec<String> {
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let seen = lines.by_ref().map_while(Result::ok).any(|line| line.contains(stage));
    assert!(seen, "no event of the stage {stage}");
    for _ in 0..signals {
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    }
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest:#?}");
    assert!(rest.iter().any(|line| line.contains("interrupted")), "{rest:#?}");
    case.nothing_left();
    rest
}

#[test]
fn ctrl_c_while_assembling() {
    let rest = interrupted_at("\"assemble\"", 1);
    assert!(!rest.iter().any(|line| line.contains("compress /usr")), "{rest:#?}");
}

#[test]
fn ctrl_c_while_compressing() {
    interrupted_at("\"compress /usr\"", 1);
}

/// With nothing compressed yet this takes many seconds; Ctrl-C does not wait for them.
#[test]
fn ctrl_c_while_compressing_for_the_first_time() {
    let case = Case::new("");
    let shared = shared_cache();
    fs::create_dir(case.path("cache")).unwrap();
    for name in ["debs", "unpacked"] {
        let copy = Command::new("cp").arg("-a").args([shared.join(name), case.path("cache")]).status();
        assert!(copy.unwrap().success());
    }
    let command = case.release(&["--progress", "json", "--cache", "cache"]);
    let rest = interrupted(&case, command, "\"compress /usr\"", 1);
    let finished = |stage: &str| rest.iter().any(|l| l.contains("\"complete\":true") && l.contains(stage));
    for stage in ["compress /usr", "initramfs", "verity"] {
        assert!(!finished(stage), "{stage} went on to its end: {rest:#?}");
    }
}

#[test]
fn a_second_ctrl_c() {
    interrupted_at("\"compress /usr\"", 2);
}

#[test]
fn disk_full() {
    let case = Case::new("");
    let mount = case.path("small");
    fs::create_dir(&mount).unwrap();
    let status = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=64m,mode=0755", "tmpfs"])
        .arg(&mount)
        .status()
        .unwrap();
    assert!(status.success(), "this test mounts a tmpfs and runs as root");
    let output = case.command(&["--output", "small", "--progress", "none"]).output().unwrap();
    let left: Vec<_> = fs::read_dir(&mount).unwrap().map(|e| e.unwrap().path()).collect();
    assert!(Command::new("umount").arg(&mount).status().unwrap().success());
    check(&output, 1, &["the disk is full", "usr.squashfs", "MiB free", "--output"]);
    assert_eq!(left, Vec::<PathBuf>::new());
}

/// The disk image is the last and largest: all else fits, its ESP does not.
#[test]
fn disk_full_in_the_disk_image() {
    let case = Case::new("");
    check(&case.command(&["--output", "whole", "--progress", "none"]).output().unwrap(), 0, &[]);
    let all = files(&case.path("whole"));
    let rest = all.iter().filter(|file| !file.ends_with("disk.raw")).map(|f| f.metadata().unwrap().len());
    let mount = case.path("small");
    fs::create_dir(&mount).unwrap();
    let size = format!("mode=0755,size={}", rest.sum::<u64>() + (4 << 20));
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&mount).status();
    assert!(mounted.unwrap().success(), "this test mounts a tmpfs and runs as root");
    let output = case.command(&["--output", "small", "--progress", "none"]).output().unwrap();
    let left: Vec<_> = fs::read_dir(&mount).unwrap().map(|e| e.unwrap().path()).collect();
    assert!(Command::new("umount").arg(&mount).status().unwrap().success());
    let path = "partition of small/compute/.";
    check(&output, 1, &["the disk is full: cannot write the EFI system", path, "disk.raw (", "MiB free)"]);
    assert_eq!(left, Vec::<PathBuf>::new());
}

#[test]
fn over_budget() {
    // A fast build may be a quarter larger.
    Case::new("budgets: {usr: 40MiB}\n").refused(&[], 7, &["usr: ", "50.0 MiB allowed", "package docker.io"]);
}

#[test]
fn larger_than_its_partition() {
    let case = Case::new("layout: {usr: 64MiB, verity: 1MiB}\nremove-budgets: [usr]\n");
    case.refused(&[], 7, &["do not fit into the partition USR-A of 64.0 MiB", "`layout:`"]);
}

#[test]
fn partition_too_small_for_its_file_system() {
    Case::new("layout: {root: 1MiB}\n").refused(&[], 7, &["layout: root:", "8 MiB"]);
}

#[test]
fn nic_nobody_drives() {
    let case = Case::new("nics: [{name: Nobody, driver: e1000e, pci: [\"dead:beef\"]}]\n");
    case.refused(&[], 7, &["Nobody: no module serves the PCI id dead:beef", "`kernel: package:`"]);
}

#[test]
fn nic_without_driver() {
    let case = Case::new("nics: [{name: Warp, driver: warpdrive, pci: [\"dead:beef\"]}]\n");
    case.refused(&[], 7, &["Warp: the kernel has no module warpdrive"]);
}

#[test]
fn nic_without_firmware() {
    let case = Case::new("exclude: [\"usr/lib/firmware/bnx2x/**\"]\n");
    case.refused(&[], 7, &["bnx2x-e2-7.13.21.0.fw", "add firmware-bnx2x", "`exclude:`"]);
}

#[test]
fn include_cycle() {
    let case = Case::new("");
    fs::write(case.path("recipes/x.yaml"), "include: [a.yaml]\nname: compute\n").unwrap();
    fs::write(case.path("recipes/a.yaml"), "include: [x.yaml]\n").unwrap();
    case.refused(&[], 3, &["recipes/a.yaml:1:11", "recipes/x.yaml → recipes/a.yaml → recipes/x.yaml"]);
}

#[test]
fn overlays() {
    Case::new("overlays: [{name: ../../etc}]\n").refused(
        &[],
        3,
        &["`../../etc` is not a name", "x.yaml:3:19"],
    );
    Case::new("overlays: [{name: nothere}]\n").refused(
        &[],
        3,
        &["no directory overlays/nothere", "x.yaml:3:19"],
    );
}

#[test]
fn components() {
    let case = Case::new("");
    // Nothing is downloaded or unpacked before: that would end with another code here.
    let refused = |args: &[&str], sentences: &[&str]| {
        case.refused(
            &[args, &["--mirror", "http://127.0.0.1:9/", "--cache", "empty"]].concat(),
            3,
            sentences,
        );
    };
    refused(&["--component", "nosuch=/x"], &["no such component; it has mesos-agent"]);
    refused(&["--require-components"], &["not given: mesos-agent", "--component NAME=FILE"]);
    refused(&["--component", "mesos-agent=nothere.deb"], &["cannot read nothere.deb"]);
    fs::write(case.path("cut.deb"), "!<arch>\ndebian-binary   0  ").unwrap();
    refused(&["--component", "mesos-agent=cut.deb"], &["cannot unpack", "cut.deb"]);
    fs::write(case.path("f"), "outside").unwrap();
    let mut tar = Command::new("tar");
    tar.args(["-cPf", "up.tar", "--transform", "s,f,../f,", "f"]).current_dir(case.dir.path());
    assert!(tar.status().unwrap().success());
    refused(&["--component", "mesos-agent=up.tar"], &["up.tar", ".."]);
}

#[test]
fn component_with_another_hash() {
    let pin = "0".repeat(64);
    let case = Case::new(&format!(
        "components: {{mesos-agent: {{source: {{location: f.tar, sha256: \"{pin}\"}}}}}}\n"
    ));
    fs::write(case.path("recipes/f.tar"), "f").unwrap();
    fs::write(case.path("f.tar"), "f").unwrap();
    let output = case.command(&["--progress", "none"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(3 | 5)), "{text}");
    assert!(text.contains("f.tar") && text.contains(&pin), "{text}");
    case.nothing_left();
}

#[test]
fn locks() {
    let case = Case::new("");
    case.refused(&["--locked", "--lock", "no.lock"], 6, &["no.lock does not exist", "sledos lock"]);
    case.edit_lock(|text| text.replacen("timestamp: ", "timestamp: [", 1));
    case.refused(&[], 6, &["compute.lock is no valid lock", "compute.lock:5:8", "sledos lock"]);
    fs::write(case.path("recipes/compute.lock"), [0xff, 0xfe, 0]).unwrap();
    case.refused(&[], 6, &["compute.lock is no valid lock", "UTF-8", "sledos lock"]);
    Case::new("packages: [ed]\n").refused(&[], 6, &["the lock is older than the recipe: +ed"]);
}

#[test]
fn mirror_that_is_down() {
    let case = Case::new("");
    case.refused(
        &["--mirror", "http://127.0.0.1:9/", "--cache", "cache"],
        4,
        &["cannot fetch", "127.0.0.1:9", "no connection"],
    );
}

#[test]
fn locked_hash_changed() {
    // The deb with this hash is in no cache, so it would have to be fetched.
    let case = Case::new("");
    case.edit_lock(|text| text.replace("sha256: \"82130bb6a560", "sha256: \"000000000000"));
    case.refused(&["--mirror", "http://127.0.0.1:9/"], 4, &["cannot fetch bash", "no connection"]);
}

#[test]
fn cache_that_is_a_file() {
    let case = Case::new("");
    fs::write(case.path("cache"), "").unwrap();
    case.refused(&["--cache", "cache"], 1, &["cache"]);
}

#[test]
fn times() {
    let case = Case::new("");
    for (time, sentence) in [
        ("yesterday", "must be a number of seconds"),
        ("", "must be a number of seconds"),
        ("-1", "1980 to 2106"),
        ("0", "1980 to 2106"),
        ("7258118400", "1980 to 2106"),
    ] {
        let output = case.command(&["--progress", "none"]).env("SOURCE_DATE_EPOCH", time).output().unwrap();
        check(&output, 2, &["SOURCE_DATE_EPOCH", sentence]);
        case.nothing_left();
    }
}

#[test]
fn versions() {
    let case = Case::new("");
    for version in ["../x", "", "a/b", "..", "a b", "--", &"a".repeat(65)] {
        case.refused(&[&format!("--image-version={version}")], 2, &["is not one: letters, digits"]);
    }
}

#[test]
fn thread_counts() {
    let case = Case::new("");
    for jobs in ["0", "-1", "1025", "100000", "99999999999999999999"] {
        case.refused(&[&format!("--jobs={jobs}")], 2, &["--jobs"]);
    }
}

#[test]
fn booting_what_is_no_image() {
    let dir = tempfile::tempdir().unwrap();
    let boot = || Command::new(env!("CARGO_BIN_EXE_sledos")).arg("boot").arg(dir.path()).output().unwrap();
    check(&boot(), 1, &["manifest.json", "No such file"]);
    fs::write(dir.path().join("manifest.json"), "{\"format\": 1, \"na").unwrap();
    check(&boot(), 1, &["manifest.json is not a manifest", "build the image again"]);
}

/// Every second package of the cache has a flipped byte in its data, the others in
/// their index, and so has every block: the image is made of good bytes all the same.
#[test]
fn damaged_cache() {
    let case = Case::new("");
    let sums = |cache: &Path, output: &str| {
        let args = ["--output", output, "--progress", "none", "--cache"];
        let built = case.command(&args).arg(cache).output().unwrap();
        check(&built, 0, &[]);
        let image = fs::read_dir(case.path(output).join("compute")).unwrap().next().unwrap().unwrap();
        fs::read_to_string(image.path().join("SHA256SUMS")).unwrap()
    };
    let shared = shared_cache();
    let good = sums(&shared, "good");

    // Copied, not linked: the shared cache must stay whole.
    let own = case.path("cache");
    assert!(Command::new("cp").arg("-a").arg(&shared).arg(&own).status().unwrap().success());
    let mut damaged = 0;
    for (n, file) in files(&own.join("unpacked")).iter().enumerate() {
        let extension = if n % 4 < 2 { "data" } else { "index" };
        if file.extension().is_some_and(|e| e == extension) {
            damaged += flip(file);
        }
    }
    damaged += files(&own.join("blocks")).iter().map(|file| flip(file)).sum::<usize>();
    assert!(damaged > 100, "only {damaged} files are in the cache");
    assert_eq!(sums(&own, "again"), good);
}

/// The cache of whoever runs the tests.
fn shared_cache() -> PathBuf {
    std::env::var_os("XDG_CACHE_HOME")
        .map_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"), PathBuf::from)
        .join("sledos")
}

/// All files below a directory, sorted.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Flips the bits of the byte in the middle. Returns how many files that changed.
fn flip(file: &Path) -> usize {
    let mut bytes = fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    let Some(byte) = bytes.get_mut(middle) else { return 0 };
    *byte ^= 0xff;
    fs::write(file, bytes).unwrap();
    1
}
