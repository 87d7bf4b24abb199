//! The program itself, as an image has it: linked statically.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// `sledos`, linked statically, for `--component sledos=FILE`. `scratch` is cargo's directory
/// for tests, in its target directory.
///
/// Only the last step is another than that of a plain build: what is compiled already is
/// taken from there, so cargo must find it in the same target directory.
///
/// # Panics
/// When cargo fails: this is test code.
pub fn static_sledos(scratch: &Path) -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let target = scratch.parent().expect("cargo's scratch directory is in its target directory");
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            // The settings of the build that runs the tests are not this one's.
            if text.starts_with("CARGO_PROFILE") || text.starts_with("CARGO_PKG") {
                cargo.env_remove(name);
            }
        }
        let status = cargo
            .current_dir(crate::image::top())
            .args(["rustc", "--release", "--locked", "--quiet", "--package=sledos", "--bin=sledos"])
            .arg("--target-dir")
            .arg(target)
            .args(["--", "-Ctarget-feature=+crt-static", "-Cstrip=symbols"])
            .status()
            .expect("cargo is there: it runs the tests");
        assert!(status.success(), "linking sledos statically, see above");
        // A later build puts another one there.
        let program = scratch.join("sledos-static");
        std::fs::copy(target.join("release/sledos"), &program).expect("cargo has made it");
        program
    })
}
