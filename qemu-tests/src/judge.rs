//! Other people's tools, run on our artefacts.

use std::ffi::OsStr;
use std::process::Command;

/// Runs a tool; returns what it printed on standard output.
///
/// # Panics
/// When the tool is missing (naming the Debian package that has it) or when it
/// finds fault: this is test code, and that is the test's result.
pub fn run<S: AsRef<OsStr>>(package: &str, tool: &str, args: impl IntoIterator<Item = S>) -> String {
    let args: Vec<_> = args.into_iter().collect();
    let out = Command::new(tool)
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C.UTF-8")
        .env("TZ", "UTC")
        .args(&args)
        .output()
        .unwrap_or_else(|e| panic!("{tool}: {e}; on Debian it is in the package {package}"));
    let (stdout, stderr) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    let shown: Vec<_> = args.iter().map(|a| a.as_ref().to_string_lossy()).collect();
    assert!(out.status.success(), "{tool} {shown:?}: {}\n{stdout}{stderr}", out.status);
    stdout.into_owned()
}
