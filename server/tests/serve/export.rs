//! What is exported, judged by the programs that read it.

use super::support::yaml;
use metadata::fleet::load;
use serde_json::{Value, json};
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
    let list = all_judges(dir.path(), &exported);
    assert_eq!(list["role_compute"]["hosts"], json!(["r1-b01", "r1-b02"]));
    assert_eq!(list["_meta"]["hostvars"]["r1-b01"]["ansible_host"], "10.0.0.7");
    assert_eq!(exported.text(Format::Hosts).unwrap().text.lines().nth(1), Some("10.0.0.7 r1-b01"));
}

/// Every program reads its file; what Ansible makes of its own.
#[track_caller]
fn all_judges(dir: &Path, exported: &Exported) -> Value {
    let file = |name: &str, text: String| {
        let path = dir.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let text = |format| exported.text(format).unwrap().text;
    let dnsmasq = file("dnsmasq.conf", text(Format::Dnsmasq));
    judge("dnsmasq-base", "dnsmasq", &["--test", &format!("--conf-file={dnsmasq}")]);
    let dhcpd = file("dhcpd.conf", text(Format::IscDhcpd));
    judge("isc-dhcp-server", "dhcpd", &["-t", "-cf", &dhcpd]);
    let kea = file("kea.json", text(Format::Kea));
    judge("kea-dhcp4-server", "kea-dhcp4", &["-t", &kea]);
    let nginx = format!(
        "pid {0}/nginx.pid; error_log stderr; events {{}} http {{ access_log off;\n{1}}}\n",
        dir.display(),
        text(Format::Nginx)
    );
    let nginx = file("nginx.conf", nginx);
    judge("nginx-light", "nginx", &["-t", "-c", &nginx]);
    let inventory = file("inventory.json", text(Format::Ansible));
    let list = judge("ansible-core", "ansible-inventory", &["-i", &inventory, "--list"]);
    serde_json::from_str(&list).unwrap()
}

/// Names that mean something to one of the programs, or nearly the same to it.
const HOSTILE: &str = "fleet: odd
trust: [KEY]
servers: {metadata: [\"http://10.0.0.2:8080\"], image: [\"http://10.0.0.2:8080/images\"]}
racks:
  a-1: {bays: 20, subnets: {data: {network: 10.1.0.0/24, gateway: 10.1.0.1, first: 10.1.0.11}}}
  a_1: {bays: 20}
  a.1: {bays: 20}
  a_2d1: {bays: 20}
  \"1\": {bays: 20}
roles:
  big-mem: {image: c, config: {hostname: \"{sled}.dc.example\", networks: {data: {match: {driver: [ixgbe]}, address: rack}}}}
  all: {image: c}
sleds:
  ignore: {rack: a-1, bay: 1, role: big-mem, macs: [\"52:54:00:00:00:01\"]}
  infinite: {rack: a-1, bay: 2, role: big-mem, macs: [\"52:54:00:00:00:02\"]}
  12h: {rack: a-1, bay: 3, role: big-mem, macs: [\"52:54:00:00:00:03\"]}
  \"101\": {rack: a-1, bay: 4, role: big-mem, macs: [\"52:54:00:00:00:04\"]}
  host: {rack: a_1, bay: 5, role: all, macs: [\"52:54:00:00:00:05\"]}
  group: {rack: a.1, bay: 6, role: all, macs: [\"52:54:00:00:00:06\"]}
  localhost: {rack: \"1\", bay: 7, role: all, macs: [\"52:54:00:00:00:07\"]}
  ungrouped: {rack: \"1\", bay: 8, role: all, macs: [\"52:54:00:00:00:08\"]}
  7d: {rack: \"1\", bay: 9, role: all, macs: [\"52:54:00:00:00:09\", \"52:54:00:00:01:09\"]}
  all: {rack: a_2d1, bay: 9, role: all, config: {hostname: every}, macs: [\"52:54:00:00:00:0a\"]}
  sled_all: {rack: a_2d1, bay: 10, role: all, config: {hostname: subnet}, macs: [\"52:54:00:00:00:0b\"]}
  rack_1: {rack: a_2d1, bay: 11, role: all, config: {hostname: option}, macs: [\"52:54:00:00:00:0c\"]}
  7D: {rack: \"1\", bay: 12, role: all, config: {hostname: seven}, macs: [\"52:54:00:00:00:0d\"]}
  localhost.x: {rack: a-1, bay: 13, role: big-mem, macs: [\"52:54:00:00:00:0e\"]}
";

pub(crate) fn hostile(url: Option<&str>, root: &str) -> Exported {
    Exported::new(&load(&Source::new("fleet.yaml", HOSTILE.replace("KEY", KEY))).unwrap(), url, root)
}

#[test]
fn hostile_names_keep_their_meaning() {
    let dir = tempfile::tempdir().unwrap();
    let exported = hostile(None, &dir.path().display().to_string());
    let list = all_judges(dir.path(), &exported);
    let hosts = |group: &str| {
        let mut hosts: Vec<String> = serde_json::from_value(list[group]["hosts"].clone()).unwrap();
        hosts.sort();
        hosts
    };
    let groups = [
        ("rack_a_1", vec!["host"]),
        ("rack_a_2d1", vec!["sled_all", "sled_all_", "sled_rack_1"]),
        ("rack_a_2e1", vec!["group"]),
        ("rack_a_2d1_", vec!["101", "12h", "ignore", "infinite", "localhost.x"]),
        ("rack_1", vec!["7D", "7d", "localhost", "sled_ungrouped"]),
        ("role_big_mem", vec!["101", "12h", "ignore", "infinite", "localhost.x"]),
    ];
    for (group, want) in groups {
        assert_eq!(hosts(group), want, "{group}");
    }
    let notes = |format| exported.text(format).unwrap().notes;
    assert_eq!(notes(Format::Ansible).len(), 5, "{:?}", notes(Format::Ansible));
    let left_out: Vec<_> =
        notes(Format::Dnsmasq).iter().map(|n| n.split('`').nth(1).unwrap().to_owned()).collect();
    assert_eq!(left_out, ["101", "12h", "7d", "ignore", "infinite"]);
    let dnsmasq = exported.text(Format::Dnsmasq).unwrap().text;
    for line in ["dhcp-host=52:54:00:00:00:01\n", "dhcp-host=52:54:00:00:00:05,host\n", "00:01:09\n"] {
        assert!(dnsmasq.contains(line), "{line}\n{dnsmasq}");
    }
    let hosts = exported.text(Format::Hosts).unwrap();
    assert!(!hosts.text.contains("localhost"), "{}", hosts.text);
    assert_eq!(hosts.notes.len(), 2);
}

#[test]
fn what_would_not_answer_as_meant_is_refused() {
    const ALL: [Format; 4] = [Format::Dnsmasq, Format::IscDhcpd, Format::Kea, Format::Nginx];
    let takes = |url: &str| {
        let exported = hostile(Some(url), "/srv/sledos");
        ALL.map(|format| exported.text(format).is_ok())
    };
    assert_eq!(takes("http://10.0.0.2"), [true; 4]);
    assert_eq!(takes("http://10.0.0.2:8080/a/"), [true; 4]);
    assert_eq!(takes("http://boot.example:8080"), [true, false, false, true]);
    assert_eq!(takes("http://[fd00::2]:8080"), [false, false, false, true]);
    for url in [
        "https://10.0.0.2",
        "10.0.0.2:8080",
        "http://",
        "http://:8080",
        "http://10.0.0.2:0",
        "http://10.0.0.2:80800",
        "http://10.0.0.2/a,b",
        "http://10.0.0.2/\"; }",
        "http://10.0.0.2/a b",
        "http://10.0.0.2\ndhcp-script=/bin/sh",
        "http://user@10.0.0.2",
        "http://[fd00::2",
        "http://[x]:80",
    ] {
        assert_eq!(takes(url), [false; 4], "{url}");
        assert!(hostile(Some(url), "/").text(Format::Ansible).is_ok(), "it says nothing of the URL");
    }
    for root in ["/srv/a b", "/srv; root /", "/srv/$x", "srv", "", "/srv/\"", "/a\nb"] {
        assert!(hostile(None, root).text(Format::Nginx).is_err(), "{root}");
    }
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
