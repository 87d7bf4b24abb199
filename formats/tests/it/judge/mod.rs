//! What the tests with external judges share.
#![allow(dead_code)] // each test binary uses its part

use std::ffi::OsStr;
use std::process::Command;

use formats::tree::{Origin, TreePath};

/// The origin of every node in these tests.
pub(crate) const NOBODY_ELSE: Origin = Origin::Fixup("test");

/// A path of the tree.
pub(crate) fn path(s: &str) -> TreePath {
    TreePath::parse(s.as_bytes()).unwrap()
}

/// Bytes that repeat late and differ by seed.
pub(crate) fn fill(len: usize, seed: u8) -> Vec<u8> {
    let mut state = u32::from(seed) + 1;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    })
    .take(len)
    .collect()
}

/// Runs a judge, which must succeed; returns what it said on standard output.
pub(crate) fn run(package: &str, tool: &str, args: &[&OsStr]) -> String {
    // sbin is not in everyone's PATH.
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let out = Command::new(tool)
        .args(args)
        .env("PATH", path)
        .env("LC_ALL", "C.UTF-8")
        .env("TZ", "UTC")
        .output()
        .unwrap_or_else(|e| panic!("cannot run {tool} ({e}): install the package {package}"));
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{tool} {args:?}: {}\n{said}{complaint}", out.status);
    said
}
