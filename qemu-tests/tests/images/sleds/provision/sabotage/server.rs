//! Servers that answer wrongly.

use super::{Case, Seen, forget, goes_on, scene, tell};
use qemu_tests::web::{Fault, Web};
use std::fmt::Write as _;
use std::fs::{self, File};

/// The document of the sled's 1G port; its signature has the same beginning.
const DOCUMENT: &str = "v1/mac/52-54-00-00-07-01.json";

pub(super) fn body_that_drips(case: &Case) -> Seen {
    let (scene, spec) = scene(case);
    scene.rack.web.fault(DOCUMENT, Fault::Drip, 1);
    let machine = scene.power_on(case.test, &spec);
    let seen = case.seen(&machine);
    goes_on(&machine);
    seen
}

pub(super) fn errors_500(case: &Case) -> Seen {
    let (scene, spec) = scene(case);
    scene.rack.web.fault("v1/", Fault::Status(500), 2);
    let machine = scene.power_on(case.test, &spec);
    let seen = case.seen(&machine);
    goes_on(&machine);
    seen
}

pub(super) fn retry_after_an_hour(case: &Case) -> Seen {
    let (scene, mut spec) = scene(case);
    scene.rack.web.fault("v1/", Fault::RetryAfter(3600), u32::MAX);
    let other = Web::start(&scene.rack.namespace, &scene.fleet.root);
    other.set_down(true);
    tell(&mut spec, &format!("sledos.metadata={}", other.url()));
    let machine = scene.power_on(case.test, &spec);
    let seen = case.seen(&machine);
    let asked = || scene.rack.web.requests().iter().filter(|r| r.path.starts_with("/v1/mac")).count();
    let before = asked();
    // The other one is asked again and again, this one is not.
    machine
        .wait_until("it asks the other server again", super::SOON, |_| other.closed() >= 3)
        .expect("it does");
    other.set_down(false);
    let console = goes_on(&machine);
    assert!(console.contains(&format!("generation 1 from {} by ", other.url())), "{console}");
    assert_eq!(asked(), before);
    seen
}

pub(super) fn document_of_100_mb(case: &Case) -> Seen {
    let (scene, spec) = scene(case);
    let path = scene.fleet.root.join(DOCUMENT);
    fs::remove_file(&path).expect("it was compiled");
    File::create(&path).and_then(|file| file.set_len(100_000_000)).expect("a sparse file can be made");
    let machine = scene.power_on(case.test, &spec);
    let seen = case.seen(&machine);
    forget(&scene);
    scene.serve("");
    goes_on(&machine);
    seen
}

pub(super) fn fields_10000(case: &Case) -> Seen {
    let (scene, spec) = scene(case);
    let path = scene.fleet.root.join(DOCUMENT);
    let text = fs::read_to_string(&path).expect("it was compiled");
    let mut extra = String::new();
    for n in 0..5000 {
        let _ = write!(extra, "\"field-{n}\":{{\"value\":[{n},null]}},");
    }
    // Half of them beside the known ones, half within the configuration.
    let config = text.replacen("\"config\":{", &format!("\"config\":{{{extra}"), 1);
    let all = config.replacen('{', &format!("{{{extra}"), 1);
    assert!(all.matches("field-").count() == 10_000, "{text}");
    scene.fleet.sign(&path, all.as_bytes());
    let machine = scene.power_on(case.test, &spec);
    let seen = case.seen(&machine);
    scene.rack.web.wait_for("the image", super::SOON, |r| r.path.ends_with("usr.verity"));
    seen
}
