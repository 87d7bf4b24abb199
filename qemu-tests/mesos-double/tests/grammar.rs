//! Mesos's grammars: what is taken, as what, and what is refused.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

use mesos_double::grammar::value::Value;
use mesos_double::grammar::{attributes, domain, duration, isolation, master, resources};
use serde_json::json;

fn attributes_of(text: &str) -> serde_json::Value {
    attributes::brief(&attributes::parse(text).unwrap())
}

#[test]
fn attributes_are_scalars_ranges_or_text() {
    let all = attributes_of("rack:r1;bay:7;ports:[1-3,8-9];row:a:b;;serial:00 12;half:1.23456");
    assert_eq!(
        all,
        json!({
            "rack": "r1", "bay": 7.0, "ports": "[1-3, 8-9]", "row": "a:b", "serial": 12.0, "half": 1.235,
        })
    );
}

#[test]
fn spaces_inside_values_vanish_and_those_of_keys_stay() {
    assert_eq!(attributes_of("room name: big hall "), json!({ "room name": "bighall" }));
    assert_eq!(attributes_of("rack:a; bay:7"), json!({ "rack": "a", " bay": 7.0 }));
    assert_eq!(attributes_of(""), json!({}));
}

#[test]
fn a_serial_number_that_looks_like_a_number_is_one() {
    assert_eq!(attributes_of("serial:12E3"), json!({ "serial": 12000.0 }));
    assert_eq!(attributes_of("serial:12F3"), json!({ "serial": "12F3" }));
}

#[test]
fn bad_attributes_are_named() {
    for (text, says) in [
        ("rack", "invalid attribute key:value pair 'rack'"),
        (":r1", "invalid attribute key:value pair ':r1'"),
        ("rack:", "invalid attribute key:value pair 'rack:'"),
        ("a:b;rack:", "invalid attribute key:value pair 'rack:'"),
        ("rack:  ", "expecting non-empty string"),
        ("rack:{a,b}", "sets are not supported"),
        ("rack:[1-2", "brackets do not match"),
        ("rack:]1-2[", "brackets do not match"),
        ("rack:[a-b]", "expecting non-negative integers in 'a'"),
        ("rack:[1-2-3]", "expecting one or more"),
        ("rack:[]", "expecting one or more"),
        ("rack:[3-1]", "ends before it begins"),
        ("rack:r[1-2]", "bad '[' found"),
        ("rack:r{1}", "bad '{' found"),
        ("rack:inf", "finite"),
    ] {
        let error = attributes::parse(text).unwrap_err().to_string();
        assert!(error.contains(says), "{text}: {error}");
    }
}

#[test]
fn ranges_are_sorted_and_joined() {
    assert_eq!(Value::parse("[5-7, 1-3, 4-4]").unwrap().to_string(), "[1-7]");
    assert_eq!(Value::parse("[5-7, 1-3]").unwrap().to_string(), "[1-3, 5-7]");
}

#[test]
fn resources_in_the_short_form() {
    let list = resources::parse("cpus:4;mem(db): 2048;ports:[31000-32000];cpus:2;x:{a,b}", "*").unwrap();
    assert_eq!(
        resources::to_json(&list),
        json!([
            { "name": "cpus", "role": "*", "type": "SCALAR", "scalar": { "value": 6.0 } },
            { "name": "mem", "role": "db", "type": "SCALAR", "scalar": { "value": 2048.0 } },
            { "name": "ports", "role": "*", "type": "RANGES", "ranges": { "range": [{ "begin": 31000, "end": 32000 }] } },
            { "name": "x", "role": "*", "type": "SET", "set": { "item": ["a", "b"] } },
        ])
    );
    let list = resources::parse("cpus:4", "web").unwrap();
    assert_eq!(list.iter().map(|r| &*r.role).collect::<Vec<_>>(), ["web"]);
}

#[test]
fn data_disks_are_resources_of_their_own() {
    let disk = |root: &str, mb: u64| {
        json!({
            "name": "disk", "type": "SCALAR", "scalar": { "value": mb },
            "disk": { "source": { "type": "MOUNT", "mount": { "root": root } } },
        })
    };
    let text = json!([disk("/data/0", 1000), disk("/data/1", 2000)]).to_string();
    let list = resources::parse(&text, "*").unwrap();
    let roots: Vec<_> = list.iter().map(|r| r.source.as_ref().unwrap()["mount"]["root"].clone()).collect();
    assert_eq!(roots, ["/data/0", "/data/1"]);
    assert_eq!(resources::brief(&list)["disk"], 3000.0);
    // What is kept is what comes back.
    assert_eq!(resources::of_json(&resources::to_json(&list), "*").unwrap(), list);
}

#[test]
fn bad_resources_are_named() {
    let rootless =
        r#"[{"name":"disk","type":"SCALAR","scalar":{"value":1},"disk":{"source":{"type":"MOUNT"}}}]"#;
    let misplaced =
        r#"[{"name":"mem","type":"SCALAR","scalar":{"value":1},"disk":{"source":{"type":"RAW"}}}]"#;
    for (text, says) in [
        ("cpus", "missing or extra ':'"),
        ("cpus:1:2", "missing or extra ':'"),
        ("cpus(a:1", "mismatched parentheses"),
        ("cpus)a(:1", "mismatched parentheses"),
        ("cpus():1", "invalid role ''"),
        ("cpus(-a):1", "invalid role '-a'"),
        ("cpus:many", "type TEXT"),
        ("cpus:-1", "value < 0"),
        ("(a):1", "without a name"),
        ("[{", "failed to parse the JSON"),
        ("{}", "not an array"),
        (r#"[{"name":"mem","type":"SCALAR"}]"#, "without a right 'scalar'"),
        (r#"[{"name":"mem","type":"LOTS"}]"#, "unknown type of value 'LOTS'"),
        (rootless, "without 'mount.root'"),
        (misplaced, "DiskInfo should not be set for 'mem'"),
    ] {
        let error = resources::parse(text, "*").unwrap_err().to_string();
        assert!(error.contains(says), "{text}: {error}");
    }
}

#[test]
fn units_of_durations_are_spelled_one_way() {
    assert_eq!(duration::parse("10mins").unwrap().as_secs(), 600);
    assert_eq!(duration::parse("24hrs").unwrap().as_secs(), 86_400);
    assert_eq!(duration::parse("1.5secs").unwrap().as_millis(), 1500);
    for text in ["1min", "10", "mins", "", "1 secs", "-1secs", "1.2.3secs"] {
        assert!(duration::parse(text).is_err(), "{text}");
    }
}

#[test]
fn masters() {
    use master::Master;
    assert_eq!(master::parse("10.0.0.1:5050").unwrap(), Master::At("10.0.0.1:5050".into()));
    assert_eq!(
        master::parse("zk://u:p@a:2181,b:2181/mesos").unwrap(),
        Master::ZooKeeper { servers: vec!["a:2181".into(), "b:2181".into()], path: "/mesos".into() }
    );
    for text in ["", "10.0.0.1", ":5050", "a:70000", "zk://a:2181", "zk://a:2181/", "zk:///mesos"] {
        assert!(master::parse(text).is_err(), "{text}");
    }
}

#[test]
fn fault_domains() {
    let good = r#"{"fault_domain":{"region":{"name":"r"},"zone":{"name":"z"}}}"#;
    assert_eq!(domain::parse(good).unwrap().to_string(), good);
    for text in ["r/z", "{}", r#"{"fault_domain":{"region":{"name":"r"}}}"#] {
        assert!(domain::parse(text).is_err(), "{text}");
    }
}

#[test]
fn isolators_go_together_or_are_refused() {
    let needed = |isolation, launcher, images| isolation::controllers(isolation, launcher, images);
    assert!(needed("posix/cpu,posix/mem", "posix", false).unwrap().is_empty());
    let linux = needed("cgroups/cpu,cgroups/mem,filesystem/linux", "linux", true).unwrap();
    assert_eq!(Vec::from_iter(linux), ["cpu", "cpuacct", "freezer", "memory"]);
    for (isolation, launcher, images, says) in [
        ("cgroups/ram", "linux", false, "Unknown or unsupported isolator 'cgroups/ram'"),
        ("posix/cpu,posix/cpu", "posix", false, "Duplicate entries"),
        ("filesystem/linux,filesystem/posix", "linux", false, "multiple filesystem isolators"),
        ("posix/cpu", "linux", true, "'filesystem/linux' isolator must be enabled"),
        ("filesystem/linux", "posix", true, "'linux' launcher must be used"),
        ("posix/cpu", "windows", false, "Unknown or unsupported launcher: windows"),
    ] {
        let error = needed(isolation, launcher, images).unwrap_err().to_string();
        assert!(error.contains(says), "{isolation}: {error}");
    }
}
