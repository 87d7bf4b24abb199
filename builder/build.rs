//! Builds PID 1 as a static binary, so that one `cargo build` gives a `sledos`
//! that carries everything it needs.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let workspace = manifest.parent().expect("builder/ is in the workspace").to_owned();
    for input in ["Cargo.toml", "Cargo.lock", "initramfs", "formats", "metadata", "syscalls"] {
        println!("cargo::rerun-if-changed={}", workspace.join(input).display());
    }

    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let triple = env::var("HOST").expect("cargo sets it");
    // A PID 1 that is there already, for whoever works on everything else: its LTO build is most of
    // what a change of a codec costs.
    println!("cargo::rerun-if-env-changed=SLEDOS_PREBUILT_INIT");
    let init = env::var_os("SLEDOS_PREBUILT_INIT").map(PathBuf::from);
    let init = init.unwrap_or_else(|| compile(&workspace, &out, &triple));
    println!("cargo::rustc-env=SLEDOS_INIT={}", init.display());
    let list = out.join("crates.txt");
    std::fs::write(&list, crates(&workspace, &triple)).expect("cargo's directory can be written");
    println!("cargo::rustc-env=SLEDOS_CRATES={}", list.display());
}

/// Compiles PID 1; returns where it is.
fn compile(workspace: &Path, out: &Path, triple: &str) -> PathBuf {
    // Beside the outer build's directories, so that the two do not wait for
    // each other's lock and a second build finds the first one's work.
    let target =
        out.ancestors().nth(4).expect("OUT_DIR is target/<profile>/build/<crate>/out").join("initramfs");

    // The binary is part of every image: it must not depend on where the
    // checkout or the registry's sources are.
    let cargo_home = env::var_os("CARGO_HOME")
        .map_or_else(|| PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".cargo"), PathBuf::from);
    let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    let flags = [
        "-Ctarget-feature=+crt-static".to_owned(),
        "-Crelocation-model=static".to_owned(),
        // It aborts on a panic: nothing ever unwinds its stack.
        "-Cforce-unwind-tables=no".to_owned(),
        // glibc and std bring such tables all the same. The path is from the workspace's
        // root, where cargo runs rustc, so that no flag depends on where that is.
        // Tried and not worth it: --icf=all (2.5 KB), -O2, -z norelro (nothing).
        "-Clink-arg=-Wl,-T,initramfs/init.ld".to_owned(),
        "-Clink-arg=-Wl,--no-eh-frame-hdr,--build-id=none".to_owned(),
        // See syscalls/src/libc_parts.rs.
        "-Clink-arg=-Wl,-z,muldefs".to_owned(),
        remap(workspace, "/sledos"),
        remap(&cargo_home, "/cargo"),
    ];

    let mut cargo = Command::new(env::var_os("CARGO").expect("cargo sets it"));
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        // The outer build's settings (features, flags, profile overrides) are not the inner one's.
        if text.starts_with("CARGO_FEATURE")
            || text.starts_with("CARGO_PROFILE")
            || text.contains("RUSTFLAGS")
        {
            cargo.env_remove(name);
        }
    }
    let status = cargo
        .current_dir(workspace)
        .args(["build", "--locked", "--package=sledos-init", "--bin=init", "--profile=tiny"])
        .arg(format!("--target={triple}"))
        .arg("--target-dir")
        .arg(&target)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .env_remove("CARGO_BUILD_TARGET")
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .status()
        .expect("cargo can be started: it runs this script");
    assert!(status.success(), "building the initramfs' init failed, see above");
    target.join(triple).join("tiny/init")
}

/// The crates PID 1 is made of, for the SBOM: name, version, licence and the sha256 of
/// `Cargo.lock`, with tabs between, sorted.
fn crates(workspace: &Path, triple: &str) -> String {
    let tree = Command::new(env::var_os("CARGO").expect("cargo sets it"))
        .current_dir(workspace)
        .args(["tree", "--locked", "--package=sledos-init", "--edges=normal,no-proc-macro"])
        .args(["--prefix=none", "--no-dedupe", "--format={p}\t{l}", "--target", triple])
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .output()
        .expect("cargo can be started: it runs this script");
    assert!(tree.status.success(), "cargo tree failed: {}", String::from_utf8_lossy(&tree.stderr));
    let lock = std::fs::read_to_string(workspace.join("Cargo.lock")).expect("the workspace has a Cargo.lock");
    let mut sums = std::collections::BTreeMap::new();
    for package in lock.split("[[package]]") {
        let field = |name: &str| {
            let value = package.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "));
            value.map(|value| value.trim_matches('"').to_owned())
        };
        if let (Some(name), Some(version), Some(sum)) = (field("name"), field("version"), field("checksum")) {
            sums.insert((name, version), sum);
        }
    }
    let tree = String::from_utf8(tree.stdout).expect("names of crates are UTF-8");
    let lines: std::collections::BTreeSet<String> = tree
        .lines()
        .filter_map(|line| {
            // `name v1.2.3 (path)`, a tab, the licence.
            let (package, licence) = line.split_once('\t')?;
            let (name, rest) = package.split_once(" v")?;
            let version = rest.split(' ').next()?;
            let sum = sums.get(&(name.to_owned(), version.to_owned()));
            Some(format!("{name}\t{version}\t{licence}\t{}\n", sum.map_or("", String::as_str)))
        })
        .collect();
    lines.into_iter().collect()
}
