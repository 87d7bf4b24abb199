//! Output directories: complete or not there, whatever ends the build.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use sledos::exit::{Exit, Failure};
use sledos::output::{Error, Interrupt, StagedDir, write_sums};

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn appears_at_once_and_replaces_what_was_there() {
    let top = tempfile::tempdir().unwrap();
    let target = top.path().join("compute/1");
    for content in ["first", "second"] {
        let staged = StagedDir::create(&target).unwrap();
        staged.write("a", content.as_bytes()).unwrap();
        fs::create_dir(staged.path().join("sub")).unwrap();
        let before = fs::read_to_string(target.join("a")).ok();
        assert_eq!(before.as_deref(), if content == "first" { None } else { Some("first") });
        staged.commit().unwrap();
        assert_eq!(fs::read_to_string(target.join("a")).unwrap(), content);
        assert_eq!(names(&top.path().join("compute")), ["1"]);
        assert_eq!(names(&target), ["a", "sub"]);
    }
}

#[test]
fn dropped_it_leaves_nothing_and_keeps_the_old() {
    let top = tempfile::tempdir().unwrap();
    let target = top.path().join("1");
    fs::create_dir(&target).unwrap();
    fs::write(target.join("a"), "old").unwrap();
    let staged = StagedDir::create(&target).unwrap();
    staged.write("a", b"new").unwrap();
    drop(staged);
    assert_eq!(names(top.path()), ["1"]);
    assert_eq!(fs::read_to_string(target.join("a")).unwrap(), "old");
}

#[test]
fn directories_made_for_it_go_with_it_unless_others_use_them() {
    let top = tempfile::tempdir().unwrap();
    let first = StagedDir::create(&top.path().join("output/compute/1")).unwrap();
    let other = StagedDir::create(&top.path().join("output/storage/1")).unwrap();
    drop(first);
    assert_eq!(names(&top.path().join("output")), ["storage"]);
    drop(other);
    // The second one found output/ there, so it leaves it.
    assert_eq!(names(&top.path().join("output")), Vec::<String>::new());
    fs::remove_dir(top.path().join("output")).unwrap();
    drop(StagedDir::create(&top.path().join("output/compute/1")).unwrap());
    assert_eq!(names(top.path()), Vec::<String>::new());
}

#[test]
fn a_full_disk_says_so_and_leaves_nothing() {
    let top = tempfile::tempdir().unwrap();
    let staged = StagedDir::create(&top.path().join("1")).unwrap();
    std::os::unix::fs::symlink("/dev/full", staged.path().join("disk.raw")).unwrap();
    let error = staged.write("disk.raw", &[1; 3 << 20]).unwrap_err();
    assert!(matches!(error, Error::Full { needed: Some(n), free: Some(_), .. } if n == 3 << 20), "{error:?}");
    let mut text = Vec::new();
    assert_eq!(Failure::from(error).print(&mut text), Exit::Failure);
    let text = String::from_utf8(text).unwrap();
    assert!(
        text.starts_with("error: the disk is full: cannot write ") && text.contains("(3 MiB needed"),
        "{text}"
    );
    drop(staged);
    assert!(names(top.path()).is_empty());
}

#[test]
fn sha256sum_agrees() {
    let top = tempfile::tempdir().unwrap();
    fs::create_dir(top.path().join("sub")).unwrap();
    for (name, content) in [("b", "2"), ("a", "1"), ("sub/c", ""), ("odd \\ name", "x")] {
        fs::write(top.path().join(name), content).unwrap();
    }
    fs::write(top.path().join("SHA256SUMS.minisig"), "not listed").unwrap();
    let sums = write_sums(top.path(), &BTreeMap::new()).unwrap();
    assert_eq!(sums.keys().collect::<Vec<_>>(), ["a", "b", "odd \\ name", "sub/c"]);
    let check = || {
        let out = Command::new("sha256sum")
            .args(["--check", "--strict", "SHA256SUMS"])
            .current_dir(top.path())
            .output();
        out.expect("sha256sum is missing: install the package coreutils")
    };
    let out = check();
    assert!(out.status.success(), "{out:?}");
    assert_eq!(String::from_utf8_lossy(&out.stdout).lines().count(), 4);
    // What is known is believed, not read: the judge sees a wrong one.
    write_sums(top.path(), &BTreeMap::from([("a".to_owned(), [0; 32])])).unwrap();
    assert!(!check().status.success());
}

/// A build in a process of its own, to be ended by signals. Not a test by itself: the
/// tests below run it.
#[test]
#[ignore = "run by other tests"]
fn child() {
    let target = PathBuf::from(std::env::var_os("CHILD_TARGET").expect("set by the test"));
    let heed = std::env::var_os("CHILD_IGNORES").is_none();
    let interrupt = Interrupt::on_signals().unwrap();
    let staged = StagedDir::create(&target).unwrap();
    staged.write("half", b"written").unwrap();
    println!("\nready");
    loop {
        if let (true, Err(interrupted)) = (heed, interrupt.check()) {
            drop(staged);
            std::process::exit(i32::from(Failure::from(interrupted).print(&mut std::io::stderr()).code()));
        }
        std::thread::park_timeout(std::time::Duration::from_millis(5));
    }
}

struct Build {
    child: Child,
    out: BufReader<ChildStdout>,
    err: BufReader<ChildStderr>,
}

impl Build {
    /// Starts [`child`] and waits until it has written half of its output.
    fn start(target: &Path, ignores: bool) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "output::child", "--ignored", "--nocapture"]).env("CHILD_TARGET", target);
        if ignores {
            command.env("CHILD_IGNORES", "1");
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let err = BufReader::new(child.stderr.take().unwrap());
        let mut build = Self { child, out, err };
        until(&mut build.out, "ready");
        build
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn end(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Build {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn until(lines: &mut impl BufRead, text: &str) {
    let mut seen = String::new();
    while !seen.contains(text) {
        assert_ne!(lines.read_line(&mut seen).unwrap(), 0, "it ended without {text:?}: {seen}");
    }
}

#[test]
fn ctrl_c_leaves_nothing() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let top = tempfile::tempdir().unwrap();
        let build = Build::start(&top.path().join("output/compute/1"), false);
        assert_eq!(names(&top.path().join("output/compute")), [".1.partial-0"]);
        build.signal(signal);
        assert_eq!(build.end().code(), Some(130));
        assert!(names(top.path()).is_empty(), "{:?}", names(top.path()));
    }
}

#[test]
fn a_second_ctrl_c_ends_it_at_once_and_leaves_nothing() {
    let top = tempfile::tempdir().unwrap();
    let mut build = Build::start(&top.path().join("output/compute/1"), true);
    build.signal(Signal::INT);
    until(&mut build.err, "again to end at once");
    build.signal(Signal::INT);
    assert_eq!(build.end().code(), Some(130));
    assert!(names(top.path()).is_empty(), "{:?}", names(top.path()));
}

#[test]
fn what_a_killed_build_left_is_removed_by_the_next_and_running_ones_are_not() {
    let top = tempfile::tempdir().unwrap();
    let target = top.path().join("1");
    let killed = Build::start(&target, false);
    let running = StagedDir::create(&target).unwrap();
    assert_eq!(names(top.path()), [".1.partial-0", ".1.partial-1"]);
    killed.signal(Signal::KILL);
    assert_eq!(killed.end().signal(), Some(9));
    assert_eq!(names(top.path()), [".1.partial-0", ".1.partial-1"]);
    let next = StagedDir::create(&target).unwrap();
    assert!(!next.path().join("half").exists(), "the stale directory was taken over");
    next.commit().unwrap();
    assert_eq!(names(top.path()), [".1.partial-1", "1"]);
    drop(running);
    assert_eq!(names(top.path()), ["1"]);
}
