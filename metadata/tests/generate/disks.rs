//! What the agent offers of data disks, held against the text it replaces by the double's
//! own parser of the flag in `qemu-tests`; here its shape.

use crate::fixture;
use metadata::generate::{Mounted, resources};
use serde_json::{Value, json};

#[test]
fn every_mounted_disk_is_one_of_its_own_beside_all_that_was_offered_before() {
    let mut config = fixture::compute();
    config["mesos"]["resources"] = json!({"cpus": 32.5, "mem": 1000, "disk": 2000, "ports": ["31000-32000", "80-80"], "gpus": 2, "custom": {"x": 1.5}});
    let disks: Vec<_> =
        (1..=2).map(|n| Mounted { path: format!("/data/{n:02}"), megabytes: 5_720_000 + n }).collect();
    let text = resources(&fixture::document(config.clone()), &disks).unwrap().unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    let scalar =
        |name: &str, value: Value| json!({"name": name, "type": "SCALAR", "scalar": {"value": value}});
    let mount = |n: u64| {
        let source = json!({"type": "MOUNT", "mount": {"root": format!("/data/{n:02}")}});
        json!({
            "name": "disk", "type": "SCALAR", "scalar": {"value": 5_720_000 + n}, "disk": {"source": source},
        })
    };
    let ranges = json!({"range": [{"begin": 31000, "end": 32000}, {"begin": 80, "end": 80}]});
    assert_eq!(
        all,
        json!([
            scalar("cpus", json!(32.5)),
            scalar("gpus", json!(2.0)),
            scalar("x", json!(1.5)),
            scalar("mem", json!(1000)),
            scalar("disk", json!(2000)),
            {"name": "ports", "type": "RANGES", "ranges": ranges},
            mount(1),
            mount(2),
        ])
    );
    // All of them for the role, if there is one.
    config["mesos"]["resources"]["role"] = json!("storage");
    let text = resources(&fixture::document(config.clone()), &disks).unwrap().unwrap();
    let all: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert!(all.iter().all(|resource| resource["role"] == "storage"), "{text}");
    // Without a disk, or without an agent, what the configuration says stands.
    assert_eq!(resources(&fixture::document(config.clone()), &[]), Ok(None));
    config.as_object_mut().unwrap().remove("mesos");
    assert_eq!(resources(&fixture::document(config), &disks), Ok(None));
}
