//! An agent with volumes on data disks that come and go.

use metadata::generate::resources;
use serde_json::{Value, json};
use sledos_init::sledctl::places::{Decision, Place, decide};
use sledos_init::sledctl::ready::Answer;

use crate::support::{Scene, Unit, master, spot};

fn disk(bay: u32) -> Place {
    let (set, mount, serial) = ("data".to_owned(), format!("/data/{bay:02}"), format!("S{bay}"));
    Place { set, bay, mount, serial, megabytes: 4000 }
}

/// A start of the sled with these disks, after one that offered those.
fn boot(scene: &Scene, before: &[Place], serve: &[Place], bound: bool) -> (Decision, Unit) {
    let decision = decide(before, serve, &|_| true, bound);
    let mut document = scene.sled.document().unwrap();
    document.config.mesos = serde_json::from_value(json!({
        "master": "x:1", "resources": {"cpus": 2.0, "mem": 500, "disk": 1000, "ports": ["31000-32000"]},
    }))
    .unwrap();
    let offered = resources(&document, &decision.mounted()).unwrap().unwrap();
    // What is kept is mounted, too.
    let mounts: String =
        decision.offered.iter().map(|place| format!("x {} x rw 0 0\n", place.mount)).collect();
    scene.write("mounts", &mounts);
    scene.write("boot", &format!("boot-{}", serve.len()));
    let path = |name: &str| scene.path(name).display().to_string();
    let unit = scene.start(&[
        ("MESOS_RESOURCES", &offered),
        ("MESOS_DOUBLE_MOUNTS_FILE", &path("mounts")),
        ("MESOS_DOUBLE_BOOT_ID_FILE", &path("boot")),
    ]);
    (decision, unit)
}

/// The size that the agent offers of each disk of its own, in order.
fn sizes(scene: &Scene) -> Vec<f64> {
    let state = scene.ask("GET", "/state", "").unwrap();
    let all = state["unreserved_resources_full"].as_array().unwrap();
    let disks = all.iter().filter(|resource| !resource["disk"].is_null());
    disks.map(|resource| resource["scalar"]["value"].as_f64().unwrap()).collect()
}

fn volume(place: &Place) -> Value {
    json!({
        "name": "disk", "type": "SCALAR", "scalar": {"value": place.megabytes}, "role": "web",
        "disk": {
            "source": {"type": "MOUNT", "mount": {"root": place.mount}},
            "persistence": {"id": format!("v{}", place.bay)}, "volume": {"container_path": "data"},
        },
    })
}

#[test]
fn sixteen_disks_with_volumes_on_two_and_one_pulled_keep_the_agent() {
    let at = spot();
    let scene = Scene::new(&at);
    let _master = master(&at, &[]);
    let all: Vec<Place> = (1..=16).map(disk).collect();
    let (first, unit) = boot(&scene, &[], &all, false);
    let id = scene.registered();
    scene.ask("POST", "/double/checkpoint", &json!([volume(&all[2]), volume(&all[6])]).to_string());
    drop(unit);
    // With a volume on it, and without one.
    for pulled in [6, 9] {
        let mut less = all.clone();
        less.remove(pulled);
        let (decision, unit) = boot(&scene, &first.offered, &less, true);
        assert_eq!(scene.registered(), id);
        assert_eq!((sizes(&scene), decision.kept.len()), (vec![4000.0; 16], 1));
        drop(unit);
    }
    // A smaller one in its place.
    let mut other = all.clone();
    other[6] = Place { serial: "NEW".into(), megabytes: 3000, ..disk(7) };
    let (decision, unit) = boot(&scene, &first.offered, &other, true);
    assert_eq!((scene.registered(), sizes(&scene)), (id.clone(), vec![4000.0; 16]));
    assert!(decision.notes[0].contains("persistent volumes that were there are lost"), "{decision:?}");
    drop(unit);
    // The disk is back.
    let (decision, unit) = boot(&scene, &decision.offered, &all, true);
    assert_eq!((scene.registered(), decision.kept.len()), (id, 0));
    drop(unit);
    // What it is like without places.
    let (_, unit) = boot(&scene, &[], &all[..6], false);
    let said = scene.until("it is said", |answer| {
        matches!(answer, Answer::Down(why) if why.contains("persistent volume on this sled is not among"))
    });
    assert!(!matches!(said, Answer::Up(_)));
    drop(unit);
}
