//! The real apt, with directories of its own.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use super::shapes::{Role, Shape};
use super::{Bench, KERNEL, Outcome, normal};
use crate::apt::server::unescaped;

/// Which files apt would install, after it has downloaded them.
pub(super) fn takes(bench: &Bench, shape: &Shape) -> Outcome {
    let dir = TempDir::new().unwrap();
    configure(dir.path(), bench, shape);
    let updated = apt_get(dir.path(), &["update"]);
    let mut install = vec!["install", "--yes", "--no-remove", KERNEL];
    install.extend(shape.asked);
    let printed = apt_get(dir.path(), &[&["--print-uris", "-qq"], &install[..]].concat());
    let fetched = apt_get(dir.path(), &[&["--download-only"], &install[..]].concat());
    if !printed.status.success() || !fetched.status.success() {
        let said = [updated.stderr, printed.stderr, fetched.stderr].concat();
        return Err(String::from_utf8_lossy(&said).into_owned());
    }
    // `'URI' file size hash`
    let printed = String::from_utf8(printed.stdout).unwrap();
    let uris = printed.lines().filter_map(|line| line.strip_prefix('\'')?.split_once('\''));
    let paths = uris.filter_map(|(uri, _)| uri.strip_prefix(&bench.server.url));
    let paths = paths.map(|path| normal(&String::from_utf8_lossy(&unescaped(path))));
    Ok(paths.filter(|path| !path.contains(KERNEL)).collect())
}

fn configure(dir: &Path, bench: &Bench, shape: &Shape) {
    for made in ["state/lists/partial", "cache/archives/partial", "etc/none", "log"] {
        fs::create_dir_all(dir.join(made)).unwrap();
    }
    fs::write(dir.join("status"), "").unwrap();
    let signed = format!("deb [signed-by={}]", bench.keyring().display());
    let components = shape.components.join(" ");
    // A suite of the distribution and a repository beside it are the same to apt.
    let (Role::Repository | Role::Suite) = shape.role;
    let sources = format!(
        "{signed} {} bookworm main\n{signed} {} {} {components}\n",
        bench.url("base"),
        bench.url(shape.name),
        shape.suite
    );
    fs::write(dir.join("etc/sources.list"), sources).unwrap();
    let config = format!(
        "Dir::State \"{0}/state\";\nDir::State::status \"{0}/status\";\nDir::Cache \"{0}/cache\";\n\
         Dir::Log \"{0}/log\";\nDir::Etc \"{0}/etc\";\nDir::Etc::sourcelist \"{0}/etc/sources.list\";\n\
         Dir::Etc::sourceparts \"{0}/etc/none\";\nDir::Etc::parts \"{0}/etc/none\";\n\
         Dir::Etc::preferencesparts \"{0}/etc/none\";\nDir::Etc::trustedparts \"{0}/etc/none\";\n\
         APT::Architecture \"amd64\";\nAPT::Architectures {{ \"amd64\"; }};\nAcquire::Languages \"none\";\n\
         APT::Install-Recommends \"false\";\nAPT::Sandbox::User \"root\";\nDebug::NoLocking \"true\";\n\
         Acquire::Retries \"0\";\n",
        dir.display()
    );
    fs::write(dir.join("apt.conf"), config).unwrap();
}

fn apt_get(dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new("apt-get");
    command.args(arguments).env("APT_CONFIG", dir.join("apt.conf")).env("LC_ALL", "C");
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(name);
    }
    command.output().unwrap_or_else(|error| panic!("cannot run apt-get: {error}"))
}
