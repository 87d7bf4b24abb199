//! The Debian package of the agent, to be given as `--component mesos-agent=FILE`,
//! and the static binary that is in it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Name of the package: nobody shall take it for Mesos.
pub const PACKAGE: &str = "mesos-agent-double";

/// How packages of the agent are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Those built with autotools: /usr/sbin, and nothing else.
    Autotools,
    /// Those built with CMake, as of today: /usr/bin, a wrapper that makes flags of files, and a
    /// unit of their own that is switched on.
    CMake,
}

impl Layout {
    /// Where it has the agent.
    pub fn agent(self) -> &'static str {
        match self {
            Self::Autotools => "usr/sbin/mesos-agent",
            Self::CMake => "usr/bin/mesos-agent",
        }
    }
}

/// The unit of a package for hosts; it would start a second agent with other flags.
const UNIT: &str = "[Unit]\nDescription=Mesos agent of the package\nAfter=network.target\n\n\
                    [Service]\nExecStart=/usr/bin/mesos-init-wrapper agent\nRestart=on-failure\n\n\
                    [Install]\nWantedBy=multi-user.target\n";
const WRAPPER: &str = "#!/bin/sh\n# Flags from files, as packages have it.\n\
                       exec /usr/bin/mesos-agent --master=\"$(cat /etc/mesos/zk)\"\n";

/// Makes the package, the same bytes from the same agent.
///
/// # Errors
/// When the agent cannot be read or the package not be written.
pub fn package(agent: &Path, layout: Layout, out: &Path) -> io::Result<()> {
    let agent = fs::read(agent)?;
    let control = control(agent.len());
    let control = tar(&[("control", control.as_bytes())])?;
    let notice = format!("{}\n", crate::PLAINLY);
    let dir = layout.agent().trim_end_matches("mesos-agent");
    let mut all: Vec<(&str, &[u8])> = vec![("usr/", b""), (dir, b""), (layout.agent(), &agent)];
    all.extend([
        ("usr/share/", b"".as_slice()),
        ("usr/share/doc/", b""),
        ("usr/share/doc/mesos-agent-double/", b""),
        ("usr/share/doc/mesos-agent-double/README", notice.as_bytes()),
    ]);
    if layout == Layout::CMake {
        all.extend([
            (WRAPPER_PATH, WRAPPER.as_bytes()),
            ("etc/", b""),
            ("etc/systemd/", b""),
            ("etc/systemd/system/", b""),
            ("etc/systemd/system/mesos-agent.service", UNIT.as_bytes()),
            ("etc/systemd/system/multi-user.target.wants/", b""),
            ("etc/systemd/system/multi-user.target.wants/mesos-agent.service", UNIT.as_bytes()),
        ]);
    }
    let data = tar(&all)?;
    let mut deb = b"!<arch>\n".to_vec();
    let members = [("debian-binary", b"2.0\n".as_slice()), ("control.tar", &control), ("data.tar", &data)];
    for (name, content) in members {
        // ar(5): name, time, owner, group, mode, size.
        let header = format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, "100644", content.len());
        deb.extend_from_slice(header.as_bytes());
        deb.extend_from_slice(content);
        if content.len() % 2 == 1 {
            deb.push(b'\n');
        }
    }
    fs::write(out, deb)
}

const WRAPPER_PATH: &str = "usr/bin/mesos-init-wrapper";

fn control(size: usize) -> String {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let (version, size) = (env!("CARGO_PKG_VERSION"), size.div_ceil(1024));
    format!(
        "Package: {PACKAGE}\nVersion: {version}\nArchitecture: {arch}\nMaintainer: sledos\nInstalled-Size: {size}\n\
         Section: misc\nPriority: optional\nDescription: test double of the Mesos agent, not Apache Mesos\n \
         It keeps Mesos's rules for flags, attributes, resources, identity and\n registration, and runs no task.\n"
    )
}

/// Paths that end in `/` are directories.
fn tar(entries: &[(&str, &[u8])]) -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content) in entries {
        let dir = path.ends_with('/');
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(if dir { tar::EntryType::Directory } else { tar::EntryType::Regular });
        let runs = path.ends_with("/mesos-agent") || *path == WRAPPER_PATH;
        header.set_mode(if dir || runs { 0o755 } else { 0o644 });
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_username("root")?;
        header.set_groupname("root")?;
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, path, *content)?;
    }
    tar.into_inner()
}

/// Compiles the agent as a static binary, in a target directory of its own, and
/// says where it is. A second call finds the first one's work.
///
/// # Panics
/// When cargo fails.
pub fn build_static() -> PathBuf {
    static_binaries().join("mesos-agent")
}

/// The same for the master.
///
/// # Panics
/// When cargo fails.
pub fn build_static_master() -> PathBuf {
    static_binaries().join("mesos-master")
}

fn static_binaries() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let workspace = here.ancestors().nth(2).expect("it is in qemu-tests/ of the workspace");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from);
    let target = workspace.join(target).join("mesos-double");
    let triple = host_triple();
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        // The settings of the build that runs the tests are not this one's.
        if text.starts_with("CARGO_PROFILE") || text.starts_with("CARGO_PKG") || text.contains("RUSTFLAGS") {
            cargo.env_remove(name);
        }
    }
    let status = cargo
        .current_dir(workspace)
        .args(["build", "--release", "--locked", "--quiet", "--bins", "--package=sledos-mesos-double"])
        .arg(format!("--target={triple}"))
        .arg("--target-dir")
        .arg(&target)
        .env(
            "CARGO_ENCODED_RUSTFLAGS",
            "-Ctarget-feature=+crt-static\x1f-Crelocation-model=static\x1f-Cstrip=symbols",
        )
        .env_remove("CARGO_BUILD_TARGET")
        .env_remove("CARGO_TARGET_DIR")
        .status()
        .expect("cargo is there: it runs the tests");
    assert!(status.success(), "compiling the static binaries of the test double of Mesos, see above");
    target.join(triple).join("release")
}

fn host_triple() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output().expect("rustc is there: it compiled this");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().find_map(|l| l.strip_prefix("host: ")).expect("rustc says its host").to_owned()
}
