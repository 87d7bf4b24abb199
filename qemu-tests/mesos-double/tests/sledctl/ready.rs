//! When a sled is ready, and what it says until then.

use std::fs;
use std::thread;

use serde_json::json;
use sledos_init::sledctl::ready::{self, Answer};

use crate::support::{DOMAIN, Scene, Taken, master, spot};

fn down(answer: &Answer, words: &str) -> bool {
    matches!(answer, Answer::Down(why) if why.contains(words))
}

#[test]
fn a_recovered_id_is_no_registration_and_a_master_that_is_away_is_no_fault_of_the_image() {
    let at = spot();
    let scene = Scene::new(&at);
    let first = master(&at, &[]);
    let unit = scene.start(&[]);
    let id = scene.registered();
    drop(unit);
    drop(first);
    // Its id is there again before any master answers.
    let unit = scene.start(&[]);
    scene.until("it waits", |answer| matches!(answer, Answer::Away(_)));
    assert_eq!(scene.latest(), id);
    let taken = Taken::default();
    scene.document(&["http://127.0.0.1:9"]);
    ready::give_up(&scene.sled, &taken).unwrap();
    let report = taken.0.into_inner().unwrap().remove(0);
    assert_eq!((&report["ready"]["ready"], &report["ready"]["restarts"]), (&json!(false), &json!(false)));
    assert_eq!(report["ready"]["mesos"]["away"], true);
    let problem = report["ready"]["mesos"]["problem"].as_str().unwrap();
    assert!(problem.contains(&format!("waits for its master: connection refused by {at}")), "{problem}");
    // It goes on waiting, and is ready when the master is back.
    assert_eq!(
        fs::read_to_string(scene.path("unit/orders")).unwrap(),
        "--no-block start sledos-ready.service\n"
    );
    let second = master(&at, &[]);
    assert_eq!(scene.registered(), id);
    assert_eq!(second.address, at);
    drop(unit);
}

#[test]
fn a_master_that_ignores_the_agent_has_not_registered_it() {
    let at = spot();
    let scene = Scene::new(&at);
    let domain = [("MESOS_DOMAIN", DOMAIN)];
    let with = master(&at, &[&format!("--domain={DOMAIN}")]);
    let unit = scene.start(&domain);
    let id = scene.registered();
    drop(unit);
    drop(with);
    let _without = master(&at, &[]);
    let _unit = scene.start(&domain);
    let answer = scene.until("it runs", |answer| down(answer, "runs, but no master has registered it"));
    assert!(down(&answer, "fault domain"), "{answer:?}");
    assert_eq!(scene.latest(), id);
}

#[test]
fn a_refused_credential_is_said_and_never_ready() {
    let at = spot();
    let scene = Scene::new(&at);
    let open = master(&at, &[]);
    drop({
        let unit = scene.start(&[]);
        scene.registered();
        unit
    });
    drop(open);
    let show = |secret: &str| json!({"principal": "sled", "secret": secret});
    scene.write("credentials", &json!({"credentials": [show("right")]}).to_string());
    scene.write("wrong", &show("wrong-secret").to_string());
    scene.write("right", &show("right").to_string());
    let file = |name: &str| scene.path(name).display().to_string();
    let _closed = master(&at, &["--authenticate_agents", &format!("--credentials={}", file("credentials"))]);
    let unit = scene.start(&[("MESOS_CREDENTIAL", &file("wrong"))]);
    let mut answers = Vec::new();
    // Through some crashes: whenever it is looked at.
    scene.until("it has crashed three times", |answer| {
        assert!(!matches!(answer, Answer::Up(_) | Answer::Away(_)), "{answer:?}");
        down(answer, "refuses its credential")
            && fs::read_to_string(scene.path("unit/show")).unwrap().contains("NRestarts=3")
    });
    answers.push(scene.look());
    assert!(!format!("{answers:?}").contains("wrong-secret"));
    drop(unit);
    let _unit = scene.start(&[("MESOS_CREDENTIAL", &file("right"))]);
    scene.registered();
}

#[test]
fn what_it_does_before_it_answers_is_said() {
    let at = spot();
    let scene = Scene::new(&at);
    let _master = master(&at, &[]);
    scene.write("version", "");
    scene.write("containers", "");
    let root = scene.path("").display().to_string();
    let docker = scene.script(
        "docker",
        &format!("case $3 in --version) f={root}version ;; *) f={root}containers ;; esac; while [ -e $f ]; do sleep 0.05; done"),
    );
    let _unit = scene.start(&[("MESOS_CONTAINERIZERS", "docker"), ("MESOS_DOCKER", &docker)]);
    scene.until("it starts", |answer| down(answer, "starts: it does not listen yet"));
    scene.until("docker was too slow", |answer| down(answer, "docker took more than the 5 s"));
    fs::remove_file(scene.path("version")).unwrap();
    scene.until("it recovers", |answer| down(answer, "recovers what ran before"));
    fs::remove_file(scene.path("containers")).unwrap();
    scene.registered();
}

#[test]
fn a_busy_agent_is_asked_one_question() {
    let at = spot();
    let scene = Scene::new(&at);
    let _master = master(&at, &[]);
    scene.write("silent", "");
    let silent = scene.path("silent").display().to_string();
    let _unit = scene.start(&[("MESOS_DOUBLE_SILENT_DNS_FILE", &silent)]);
    // Nothing that is asked wants the name server.
    scene.registered();
    let before = scene.ask("GET", "/double", "").unwrap();
    thread::scope(|scope| {
        // Somebody's browser does.
        scope.spawn(|| scene.ask("GET", "/state", ""));
        let asked = || {
            let now = scene.ask("GET", "/double", "").unwrap();
            now["asked"].as_u64().unwrap() - before["asked"].as_u64().unwrap()
        };
        while asked() == 0 {
            thread::yield_now();
        }
        let looks = scene.shown();
        let waiting = scope.spawn(|| ready::wait(&scene.sled, &Taken::default()));
        while scene.shown() < looks + 3 {
            thread::sleep(std::time::Duration::from_millis(50));
        }
        assert_eq!(asked(), 2, "one is of the browser");
        assert!(!waiting.is_finished());
        fs::remove_file(&silent).unwrap();
        waiting.join().unwrap().unwrap();
    });
}

#[test]
fn behind_a_password_its_log_is_enough_and_is_remembered() {
    let at = spot();
    let scene = Scene::new(&at);
    let _master = master(&at, &[]);
    let _unit = scene.start(&[("MESOS_AUTHENTICATE_HTTP_READWRITE", "true")]);
    assert_eq!(scene.registered(), scene.latest());
    // The journal forgets the beginning.
    fs::write(scene.path(&format!("journal/{:032x}", 0)), "").unwrap();
    assert!(matches!(scene.look(), Answer::Up(_)));
}

#[test]
fn a_volume_whose_disk_is_not_offered_is_said() {
    let at = spot();
    let scene = Scene::new(&at);
    let _master = master(&at, &[]);
    scene.write("mounts", "none /data/01 xfs rw 0 0\n");
    let mounts = scene.path("mounts").display().to_string();
    let disk = json!({
        "name": "disk", "type": "SCALAR", "scalar": {"value": 900},
        "disk": {"source": {"type": "MOUNT", "mount": {"root": "/data/01"}}},
    });
    let resources = |disks: &[&serde_json::Value]| {
        let mut all = vec![json!({"name": "mem", "type": "SCALAR", "scalar": {"value": 500}})];
        all.extend(disks.iter().map(|disk| (*disk).clone()));
        serde_json::Value::Array(all).to_string()
    };
    let with = |text: &str| scene.start(&[("MESOS_RESOURCES", text), ("MESOS_DOUBLE_MOUNTS_FILE", &mounts)]);
    let unit = with(&resources(&[&disk]));
    let id = scene.registered();
    let mut volume = disk.clone();
    volume["disk"]["persistence"] = json!({"id": "v1"});
    volume["role"] = "web".into();
    scene.ask("POST", "/double/checkpoint", &json!([volume]).to_string());
    drop(unit);
    let unit = with(&resources(&[]));
    scene.until("it is said", |answer| {
        down(answer, "a persistent volume on this sled is not among its resources")
    });
    drop(unit);
    // A new id is no way out.
    fs::remove_file(scene.path("var/lib/mesos/meta/slaves/latest")).unwrap();
    let unit = with(&resources(&[]));
    scene.until("it is said again", |answer| down(answer, "persistent volume"));
    drop(unit);
    // The disk is there, but not mounted.
    fs::write(&mounts, "").unwrap();
    let unit = with(&resources(&[&disk]));
    scene.until("it is said", |answer| down(answer, "a disk that it is to offer is not mounted"));
    drop(unit);
    fs::write(&mounts, "none /data/01 tmpfs ro 0 0\n").unwrap();
    std::os::unix::fs::symlink(
        scene.path(&format!("var/lib/mesos/meta/slaves/{id}")),
        scene.path("var/lib/mesos/meta/slaves/latest"),
    )
    .unwrap();
    let _unit = with(&resources(&[&disk]));
    assert_eq!(scene.registered(), id);
}
