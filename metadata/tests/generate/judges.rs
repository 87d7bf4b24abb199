//! The programs that read the files, asked what they think of them.

use crate::fixture;
use metadata::envfile;
use metadata::generate::{Content, Generated};
use proptest::prelude::*;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Makes the files below a directory, as PID 1 does below the new root.
pub(crate) fn lay_out(config: Value) -> (tempfile::TempDir, Generated) {
    let generated = fixture::generate(config).unwrap();
    let dir = tempfile::tempdir().unwrap();
    for file in &generated.files {
        let path = dir.path().join(file.path.strip_prefix('/').unwrap());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match &file.content {
            Content::Text(text) => fs::write(path, text).unwrap(),
            Content::Link(to) => std::os::unix::fs::symlink(to, path).unwrap(),
            other => panic!("{}: {other:?}", file.path),
        }
    }
    (dir, generated)
}

pub(crate) fn run(command: &mut Command, package: &str) -> Output {
    let program = command.get_program().to_string_lossy().into_owned();
    command.output().unwrap_or_else(|e| panic!("{program}: {e}; install the Debian package {package}"))
}

fn overlays() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../overlays")
}

#[test]
fn systemd_accepts_units_and_drop_ins() {
    let (dir, _) = lay_out(fixture::compute());
    let own = |overlay: &str| overlays().join(overlay).join("usr/lib/systemd/system").display().to_string();
    let generated = dir.path().join("etc/systemd/system").display().to_string();
    let paths = [generated, own("base"), own("compute"), "/usr/lib/systemd/system".into()];
    let shipped = ["base", "compute"].map(own).into_iter().flat_map(|d| fs::read_dir(d).unwrap());
    let units = shipped.map(|e| e.unwrap().file_name().into_string().unwrap());
    let units = units.filter(|name| !name.ends_with(".d")).collect::<Vec<_>>();
    let mut verify = Command::new("systemd-analyze");
    verify.env("SYSTEMD_UNIT_PATH", paths.join(":")).args(["verify", "--man=no"]).args(&units);
    verify.args(["site.service", "docker.service", "systemd-networkd-wait-online.service"]);
    let output = run(&mut verify, "systemd (and docker.io for its unit)");
    let said = String::from_utf8_lossy(&output.stderr);
    // Programs that only the image has.
    let complaints: Vec<_> = said.lines().filter(|l| !l.contains("is not executable")).collect();
    assert!(complaints.is_empty(), "{said}");
    assert!(units.len() > 3, "{units:?}");
}

/// /etc/passwd with networkd's user as the one that there is in the namespace.
pub(crate) fn passwd(dir: &Path) {
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let mapped = passwd.lines().map(|line| match line.strip_prefix("systemd-network:x:") {
        Some(_) => "systemd-network:x:0:0::/:/\n".to_owned(),
        None => format!("{line}\n"),
    });
    fs::write(dir.join("passwd"), mapped.collect::<String>()).unwrap();
}

/// What networkd says about its files while it reads them, in a network and a root of its own.
pub(crate) fn networkd(dir: &Path) -> Vec<String> {
    passwd(dir);
    let script = "mount --bind \"$0/passwd\" /etc/passwd && mount -t tmpfs run /run && mkdir -p /run/systemd \
                  && cp -r \"$0/etc/systemd/network\" /run/systemd/ && exec /usr/lib/systemd/systemd-networkd";
    let mut child = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net", "--mount", "sh", "-c", script])
        .arg(dir)
        .env("SYSTEMD_LOG_TARGET", "console")
        .env("SYSTEMD_LOG_LEVEL", "info")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = Vec::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        if line.contains("Enumeration completed") {
            child.kill().unwrap();
            child.wait().unwrap();
            return said.into_iter().filter(|l: &String| l.contains(".net")).collect();
        }
        said.push(line);
    }
    child.wait().unwrap();
    panic!("networkd does not run here: {said:#?}; install the Debian package systemd");
}

#[test]
fn networkd_understands_every_line() {
    for config in [fixture::compute(), fixture::bonded(), fixture::broken()] {
        let (dir, _) = lay_out(config);
        assert_eq!(networkd(dir.path()), Vec::<String>::new());
    }
}

#[test]
fn networkd_would_say_so_if_it_did_not() {
    let (dir, _) = lay_out(fixture::compute());
    let file = dir.path().join("etc/systemd/network/10-sledos-data.network");
    let text = fs::read_to_string(&file).unwrap().replace("MTUBytes=9000", "MTUBytes=much");
    fs::write(file, text).unwrap();
    assert_eq!(networkd(dir.path()).len(), 1);
}

/// udev's own code for links, on a link with this address; what it says, and what `ip` shows.
fn udev(dir: &Path, mac: &str) -> String {
    let script = "mount -t sysfs sys /sys && mount -t tmpfs run /run && mkdir -p /run/systemd \
                  && cp -r \"$0/etc/systemd/network\" /run/systemd/ \
                  && ip link add eth5 address \"$1\" up type veth peer name eth6 \
                  && udevadm test-builtin net_setup_link /sys/class/net/eth5 >&2 && ip link show eth5 >&2";
    let mut unshare = Command::new("unshare");
    unshare.args(["--user", "--map-root-user", "--net", "--mount", "sh", "-c", script]).arg(dir).arg(mac);
    let output = run(unshare.env("SYSTEMD_LOG_LEVEL", "info"), "udev and iproute2");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(!said.contains("ignoring"), "{said}");
    said
}

#[test]
fn udev_calls_nics_by_what_they_are_for() {
    for (config, nics) in [
        (fixture::compute(), [("52:54:00:00:00:10", "data0"), ("52:54:00:00:00:01", "mgmt0")]),
        (fixture::bonded(), [("52:54:00:00:00:10", "data0"), ("52:54:00:00:00:11", "data1")]),
    ] {
        let (dir, generated) = lay_out(config);
        for (mac, name) in nics {
            // A veth is no hardware, and has no address in it.
            let file = dir.path().join(format!("etc/systemd/network/10-sledos-{name}.link"));
            let text = fs::read_to_string(&file).unwrap().replace("PermanentMACAddress=", "MACAddress=");
            let text = text.replace("Kind=!*\n", "");
            fs::write(&file, text).unwrap();
            let said = udev(dir.path(), mac);
            assert!(said.contains(&format!("altname {name}\n")) && said.contains(": eth5@"), "{said}");
            assert_eq!(generated.names.get(&mac.parse().unwrap()).map(String::as_str), Some(name));
        }
        // Another card keeps what it has.
        assert!(!udev(dir.path(), "52:54:00:00:00:77").contains("altname data"));
    }
}

#[test]
fn dockerd_reads_its_configuration() {
    let (dir, _) = lay_out(fixture::compute());
    // Each value given on the command line, too: dockerd reads and checks all names in the
    // file, shows what it read in the quarrel, and goes no further.
    let output = run(
        Command::new("dockerd")
            .arg("--config-file")
            .arg(dir.path().join("etc/docker/daemon.json"))
            .args(["--bip=1.1.1.1/8", "--data-root=/x", "--log-driver=none", "--live-restore=false"])
            .args(["--registry-mirror=https://y", "--storage-driver=vfs", "--label=a=b", "--log-opt=a=b"]),
        "docker.io",
    );
    let said = String::from_utf8_lossy(&output.stderr);
    for part in [
        "bip: (from flag: 1.1.1.1/8, from file: 172.31.0.1/16)",
        "data-root: (from flag: /x, from file: /var/lib/containers/docker)",
        "log-driver: (from flag: none, from file: json-file)",
        "max-file:3 max-size:50m",
        "from file: [https://mirror.example.net]",
        "from file: overlay2",
        "from file: [rack=r12]",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("don't match any configuration option"), "{said}");
}

#[test]
fn chronyd_and_ssh_keygen_read_theirs() {
    let (dir, _) = lay_out(fixture::compute());
    let sources = dir.path().join("etc/chrony/sources.d/sledos.sources");
    let mut chronyd = Command::new("/usr/sbin/chronyd");
    let output = run(chronyd.args(["-p", "-f"]).arg(&sources), "chrony");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 3);
    let image = overlays().join("base/etc/chrony/chrony.conf");
    let output = run(Command::new("/usr/sbin/chronyd").args(["-p", "-f"]).arg(image), "chrony");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let keys = dir.path().join("etc/ssh/authorized_keys.d/root");
    let output = run(Command::new("ssh-keygen").args(["-l", "-f"]).arg(keys), "openssh-client");
    assert!(String::from_utf8_lossy(&output.stdout).contains("(ED25519)"));
}

/// systemd's reader of environment files, through the program that reads environment.d. It
/// expands `$` afterwards, which EnvironmentFile= does not.
fn systemd_reads(dir: &Path, text: &str) -> BTreeMap<String, String> {
    fs::create_dir_all(dir.join("environment.d")).unwrap();
    fs::write(dir.join("environment.d/10-test.conf"), text).unwrap();
    let mut generator =
        Command::new("/usr/lib/systemd/user-environment-generators/30-systemd-environment-d-generator");
    let output = run(generator.env_clear().env("XDG_CONFIG_HOME", dir), "systemd");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Its output is an environment file again, quoted for shells.
    let text = String::from_utf8(output.stdout).unwrap();
    envfile::parse(&text).into_iter().collect()
}

#[test]
fn systemd_reads_the_agents_environment_as_it_was_meant() {
    let (dir, _) = lay_out(fixture::compute());
    let text = fs::read_to_string(dir.path().join("etc/sledos/mesos-agent.env")).unwrap();
    let read = systemd_reads(dir.path(), &text);
    let domain = r#"{"fault_domain":{"region":{"name":"eu"},"zone":{"name":"r12"}}}"#;
    assert_eq!(read["MESOS_DOMAIN"], domain);
    for (key, value) in envfile::parse(&text) {
        assert_eq!(read.get(&key), Some(&value), "{key}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
    #[test]
    fn our_reader_is_systemds(lines in prop::collection::vec("[AB]=[ab \"'\\\\#;`=\t]{0,9}", 1..5)) {
        let dir = tempfile::tempdir().unwrap();
        let text = lines.join("\n") + "\n";
        let theirs = systemd_reads(dir.path(), &text);
        let ours: BTreeMap<_, _> = envfile::parse(&text).into_iter().collect();
        // What it prints has its own way of line breaks, and nothing for empty values.
        for (key, value) in ours.into_iter().filter(|(_, v)| !v.contains(['\n', '\t']) && !v.is_empty()) {
            prop_assert_eq!(theirs.get(&key), Some(&value), "{}", &text);
        }
    }
    #[test]
    fn what_we_quote_systemd_reads(value in "[a-z \"'\\\\#;`={}\\[\\]:éß]{1,20}") {
        let dir = tempfile::tempdir().unwrap();
        let theirs = systemd_reads(dir.path(), &format!("KEY={}\n", envfile::quote(&value)));
        prop_assert_eq!(theirs.get("KEY"), Some(&value));
    }
}
