//! Whatever a document says: no panic, and no file in a place of the image.

use crate::fixture;
use metadata::generate::Content;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Text that is likely to hurt somewhere.
fn nasty() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9]{1,8}",
        "/[a-z./]{0,12}",
        "(/etc|/var|/usr|/run|\\.\\.|/)/?(\\.\\.|usr|x|)(/[a-z.]{0,4})?",
        "[\\[\\]{}();:=%$\"'\\\\ \n-]{0,6}",
        "\\PC{0,8}",
        prop::sample::select(vec![
            "10.0.0.1/24",
            "multi-user.target",
            "x.service",
            "ssh-ed25519 AAAA",
            "inf"
        ])
        .prop_map(str::to_owned),
    ]
}

/// A number now and then, at the limits of its type.
fn number() -> impl Strategy<Value = Value> {
    prop_oneof![Just(0_u64), 1..70_000_u64, Just(u64::from(u32::MAX))].prop_map(Value::from)
}

fn config() -> impl Strategy<Value = Value> {
    let text = || prop::collection::vec(nasty(), 24);
    (text(), prop::collection::vec(number(), 4), prop::collection::vec(any::<bool>(), 8)).prop_map(
        |(t, n, b)| {
            let bond = if b[0] { json!({"mode": "lacp", "hash": t[0]}) } else { Value::Null };
            let addresses = if b[1] { json!([]) } else { json!(["10.0.0.1/24"]) };
            let vlan = json!(n[0].as_u64().unwrap_or(0) % 65536);
            json!({
                "hostname": t[1],
                "networks": {
                    "data": {"match": {"path": ["*"], "index": 0}, "mtu": n[1], "addresses": addresses, "vlan": vlan},
                    (&t[2]): {"match": {"driver": [&t[3]]}, "bond": bond},
                },
                "ssh-keys": [t[4]],
                "time": {"servers": [t[5]], "zone": t[6]},
                "dns": {"search": [t[7]]},
                "docker": {"data-root": t[8], "mirrors": [t[9]], "log-max-size": t[10], "labels": [t[11]]},
                "mesos": {
                    "master": t[12], "attributes": {(&t[13]): t[14]}, "flags": {(&t[15]): t[16]},
                    "resources": {"role": t[17], "custom": {(&t[18]): 1.5}, "ports": [t[19]]},
                },
                "files": {(&t[20]): {"contents": "", "mode": t[21]}},
                "units": {(&t[22]): {"mask": b[2], "wanted-by": [&t[23]], "drop-ins": {(&t[21]): {"contents": ""}}}},
            })
        },
    )
}

/// Parts are tried alone, too: of a whole document the first mistake hides the rest.
fn parts(config: &Value) -> Vec<Value> {
    let mut all = vec![config.clone()];
    for key in ["networks", "ssh-keys", "time", "dns", "docker", "mesos", "files", "units"] {
        all.push(json!({"hostname": "x", key: config[key]}));
        for (inner, value) in config[key].as_object().into_iter().flatten() {
            let mut part = json!({(inner): value});
            if key == "mesos" && inner != "master" {
                part["master"] = "10.0.0.1:5050".into();
            }
            all.push(json!({"hostname": "x", key: part}));
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn no_document_writes_where_it_must_not(config in config()) {
        for part in parts(&config) {
            let Ok(generated) = fixture::generate(part) else { continue };
            let mut last = String::new();
            for file in &generated.files {
                let path = file.path.strip_prefix('/').expect("absolute");
                prop_assert!(!path.split('/').any(|name| matches!(name, "" | "." | "..")), "{}", file.path);
                let top = path.split('/').next().unwrap_or_default();
                let taken = ["usr", "proc", "sys", "dev", "run", "bin", "sbin", "lib", "lib64", "boot"];
                prop_assert!(!taken.contains(&top), "{}", file.path);
                prop_assert!(path.contains('/'), "{}", file.path);
                let below = file.path.starts_with(&format!("{last}/"));
                prop_assert!(file.path > last && (last.is_empty() || !below), "{} {}", last, file.path);
                last.clone_from(&file.path);
                if let Content::Link(to) = &file.content {
                    let known = to == "/dev/null" || to.starts_with("/usr/") || to.starts_with("../");
                    prop_assert!(known && !to.contains('\n'), "{}", to);
                }
                prop_assert!(file.mode <= 0o7777);
            }
        }
    }
}
