//! What is exported, judged by the programs that read it.

use super::support::yaml;
use metadata::fleet::load;
use serde_json::Value;
use server::export::{Exported, Format};
use server::pxe::{Mode, Settings, configuration};
use std::path::Path;
use std::process::Command;
use yaml::diagnostic::Source;

const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

fn exported(root: &Path) -> Exported {
    let text = yaml("").replace("KEY", KEY).replace("address: dhcp}", "address: rack}");
    let text =
        text.replace("{bays: 8,", "{bays: 8, subnets: {mgmt: {network: 10.0.0.0/24, first: 10.0.0.7}},");
    let fleet = load(&Source::new("fleet.yaml", text)).unwrap();
    Exported::new(&fleet, Some("http://10.0.0.1:8080/"), &root.display().to_string())
}

/// Runs a judge, which must be content, and returns what it prints.
#[track_caller]
fn judge(package: &str, program: &str, args: &[&str]) -> String {
    let out = Command::new(program).args(args).output();
    let out = out.unwrap_or_else(|e| panic!("{program}: {e}; on Debian it is in the package {package}"));
    let (stdout, stderr) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{program} {args:?}:\n{stdout}{stderr}");
    stdout.into_owned()
}

#[test]
fn every_program_takes_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let exported = exported(dir.path());
    let file = |name: &str, text: String| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let dnsmasq = file("dnsmasq.conf", exported.text(Format::Dnsmasq));
    judge("dnsmasq-base", "dnsmasq", &["--test", &format!("--conf-file={dnsmasq}")]);
    let dhcpd = file("dhcpd.conf", exported.text(Format::IscDhcpd));
    judge("isc-dhcp-server", "dhcpd", &["-t", "-cf", &dhcpd]);
    let kea = file("kea.json", exported.text(Format::Kea));
    judge("kea-dhcp4-server", "kea-dhcp4", &["-t", &kea]);
    let nginx = format!(
        "pid {0}/nginx.pid; error_log stderr; events {{}} http {{ access_log off;\n{1}}}\n",
        dir.path().display(),
        exported.text(Format::Nginx)
    );
    let nginx = file("nginx.conf", nginx);
    judge("nginx-light", "nginx", &["-t", "-c", &nginx]);
    let inventory = file("inventory.json", exported.text(Format::Ansible));
    let list: Value =
        serde_json::from_str(&judge("ansible-core", "ansible-inventory", &["-i", &inventory, "--list"]))
            .unwrap();
    assert_eq!(list["role_compute"]["hosts"], serde_json::json!(["r1-b01", "r1-b02"]));
    assert_eq!(list["_meta"]["hostvars"]["r1-b01"]["ansible_host"], "10.0.0.7");
    assert_eq!(exported.text(Format::Hosts).lines().nth(1), Some("10.0.0.7 r1-b01"));
}

#[test]
fn dnsmasq_takes_what_serve_runs_it_with() {
    let dir = tempfile::tempdir().unwrap();
    let modes = [Mode::Full([10, 0, 0, 100].into(), [10, 0, 0, 200].into()), Mode::Proxy];
    for mode in modes {
        let settings = Settings {
            interface: "lo".into(),
            address: [10, 0, 0, 1].into(),
            mode,
            dir: dir.path().to_owned(),
            url: "http://10.0.0.1:8080".into(),
            uki: false,
        };
        let file = dir.path().join("dnsmasq.conf");
        std::fs::write(&file, configuration(&settings)).unwrap();
        judge("dnsmasq-base", "dnsmasq", &["--test", &format!("--conf-file={}", file.display())]);
    }
}
