//! Against real sockets: a stand-in for Docker, one for the agent, one for the
//! report server.

use super::*;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Mutex;

/// A document of a sled with a report server.
pub(crate) fn document() -> Value {
    let hash = "ab".repeat(32);
    let file = |name: &str| json!({"file": name, "size": 1, "sha256": hash});
    json!({
        "sledos": 1,
        "head": {"sled": "r12-b07", "generation": 7, "issued": 1, "expires": 2, "identity": {}},
        "role": "compute",
        "image": {
            "name": "compute", "version": "1", "root-hash": hash, "urls": [],
            "usr": file("usr.squashfs"), "verity": file("usr.verity"), "uki": file("compute.efi"),
        },
        "servers": {"metadata": [], "report": ["http://a", "http://b"], "token": "t0k"},
        "config": {"hostname": "r12-b07"},
    })
}

/// Answers one request after the other with the texts given, then ends.
fn serve<S: Read + Write>(accept: impl Fn() -> S, answers: &[&str]) -> Vec<String> {
    let one = |answer: &&str| {
        let mut socket = accept();
        let mut asked = Vec::new();
        let mut byte = [0];
        while !asked.ends_with(b"\r\n\r\n") {
            socket.read_exact(&mut byte).unwrap();
            asked.extend(byte);
        }
        socket.write_all(answer.as_bytes()).unwrap();
        String::from_utf8(asked).unwrap()
    };
    answers.iter().map(one).collect()
}

/// A program of the sled that does what a shell script says.
fn script(root: &Path, path: &str, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    write(root, path, &format!("#!/bin/sh\n{text}\n"));
    fs::set_permissions(root.join(path), fs::Permissions::from_mode(0o755)).unwrap();
}

/// Its agent's unit runs since the invocation `one`, and its journal has this.
fn agent_says(root: &Path, log: &str) {
    write(root, "log", log);
    script(
        root,
        "usr/bin/systemctl",
        "printf 'ActiveState=active\\nSubState=running\\nInvocationID=one\\nNRestarts=0\\n'",
    );
    script(root, "usr/bin/journalctl", &format!("cat {}", root.join("log").display()));
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A root with Docker and an agent in it.
fn root() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "usr/sbin/dockerd", "");
    write(root.path(), "usr/sbin/mesos-agent", "");
    write(root.path(), "run/sledos/document.json", &document().to_string());
    write(root.path(), "run/sledos/boot.json", r#"{"report":1,"image":"compute","version":"1","steps":[]}"#);
    write(root.path(), "dev/console", "");
    write(root.path(), "proc/sys/kernel/hostname", "r12-b07\n");
    write(root.path(), "usr/share/sledos/mesos-agent.env", "MESOS_PORT=5051\n");
    root
}

/// Remembers what it is given; the first server takes nothing.
#[derive(Default)]
struct Taken(Mutex<Vec<(String, Option<String>, Value)>>);

impl Post for Taken {
    fn post(&self, url: &str, bearer: Option<&str>, json: &[u8]) -> Result<(), String> {
        if url.starts_with("http://a/") {
            return Err("answers 503".into());
        }
        let json = serde_json::from_slice(json).unwrap();
        self.0.lock().unwrap().push((url.to_owned(), bearer.map(str::to_owned), json));
        Ok(())
    }
}

#[test]
fn ready_is_docker_and_an_agent_that_its_master_has_registered() {
    let root = root();
    let docker = UnixListener::bind(root.path().join("run/docker.sock")).unwrap();
    let agent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = agent.local_addr().unwrap().port();
    let env = format!("MESOS_MASTER=\"10.0.0.1:5050\"\nMESOS_IP=\"127.0.0.1\"\nMESOS_PORT=\"{port}\"\n");
    write(root.path(), "etc/sledos/mesos-agent.env", &env);
    agent_says(
        root.path(),
        "I1128 15:04:05.000000 1 slave.cpp:1] Registered with master master@10.0.0.1:5050; given x\n",
    );
    let (asked_docker, asked_agent) = std::thread::scope(|scope| {
        let ok = "HTTP/1.1 200 OK\r\nServer: Docker/20.10.24 (linux)\r\n\r\nOK";
        let docker = scope.spawn(move || serve(|| docker.accept().unwrap().0, &[ok; 3]));
        let info = r#"{"get_agent":{"agent_info":{"id":{"value":"7f-S1"}}}}"#;
        let answers = [
            "HTTP/1.1 404 Not Found\r\n\r\n".to_owned(),
            "HTTP/1.1 503 Service Unavailable\r\n\r\n".to_owned(),
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{info}", info.len()),
        ];
        let agent =
            scope.spawn(move || serve(|| agent.accept().unwrap().0, &answers.each_ref().map(String::as_str)));
        let taken = Taken::default();
        wait(&Sled::new(root.path()), &taken).unwrap();
        let taken = taken.0.into_inner().unwrap();
        let [(url, bearer, report)] = taken.as_slice() else { panic!("{taken:?}") };
        assert_eq!((url.as_str(), bearer.as_deref()), ("http://b/v1/report/r12-b07", Some("t0k")));
        assert_eq!((&report["event"], &report["sled"]), (&json!("ready"), &json!("r12-b07")));
        assert_eq!((&report["image"], &report["ready"]["mesos"]["id"]), (&json!("compute"), &json!("7f-S1")));
        (docker.join().unwrap(), agent.join().unwrap())
    });
    assert!(asked_docker.iter().all(|a| a.starts_with("GET /_ping HTTP/1.0\r\n")), "{asked_docker:?}");
    assert!(asked_agent.iter().all(|a| a.starts_with("POST /api/v1 HTTP/1.0\r\n")), "{asked_agent:?}");
    let console = fs::read_to_string(root.path().join("dev/console")).unwrap();
    let line = "sledos: ready: r12-b07, docker 20.10.24 (linux), mesos agent 7f-S1\r\n";
    assert!(console.ends_with(line), "{console}");
    let left: Value =
        serde_json::from_slice(&fs::read(root.path().join("run/sledos/ready.json")).unwrap()).unwrap();
    assert_eq!(left["ready"], true);
}

#[test]
fn each_thing_that_is_not_ready_is_named() {
    let root = root();
    let sled = Sled::new(root.path());
    let look = Look::at(&sled);
    assert!(look.problems().starts_with("docker does not answer ("), "{look:?}");
    // No master is wanted: the agent does not start, and nobody waits for it.
    assert_eq!(look.mesos, Answer::Unused);
    std::os::unix::fs::symlink("/dev/null", root.path().join("etc/x")).unwrap_err();
    fs::create_dir_all(root.path().join("etc/systemd/system")).unwrap();
    std::os::unix::fs::symlink("/dev/null", root.path().join("etc/systemd/system/docker.service")).unwrap();
    assert_eq!(Look::at(&sled).problems(), "");

    write(
        root.path(),
        "etc/sledos/mesos-agent.env",
        "MESOS_MASTER=a:1\nMESOS_IP_DISCOVERY_COMMAND=\"echo no\"\n",
    );
    assert_eq!(Look::at(&sled).problems(), "mesos agent has no address in echo no");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let env = format!("MESOS_MASTER=a:1\nMESOS_IP_DISCOVERY_COMMAND=\"echo 127.0.0.1\"\nMESOS_PORT={port}\n");
    write(root.path(), "etc/sledos/mesos-agent.env", &env);
    assert!(Look::at(&sled).problems().starts_with("mesos agent is not known: systemctl: "));
    // Behind a password nothing is seen of it, but its log and its directory tell all.
    agent_says(root.path(), "Re-registered with master master@10.0.0.1:5050\n");
    write(root.path(), "var/lib/mesos/meta/slaves/7f-S1/slave.info", "");
    std::os::unix::fs::symlink(
        "/var/lib/mesos/meta/slaves/7f-S1",
        root.path().join("var/lib/mesos/meta/slaves/latest"),
    )
    .unwrap();
    let server = std::thread::spawn(move || {
        serve(|| listener.accept().unwrap().0, &["HTTP/1.1 401 Unauthorized\r\n\r\n"])
    });
    assert_eq!(Look::at(&sled).mesos, Answer::Up("7f-S1".into()));
    server.join().unwrap();

    // The document wants an agent that nobody has built in.
    fs::remove_file(root.path().join("usr/sbin/mesos-agent")).unwrap();
    assert!(Look::at(&sled).problems().starts_with("mesos agent is not in this image"));
    write(root.path(), "usr/bin/mesos-agent", "");
    assert!(
        Look::at(&sled).problems().starts_with("mesos agent was registered, but starts: nobody listens at")
    );
}

#[test]
fn only_an_image_on_trial_that_can_be_replaced_restarts() {
    let trial = |left, other| Trial::OnTrial { file: String::new(), left, other };
    for (trial, restart) in [
        (None, false),
        (Some(Trial::Good), false),
        (Some(Trial::Absent), false),
        (Some(trial(2, false)), true),
        (Some(trial(0, true)), true),
        (Some(trial(0, false)), false),
    ] {
        assert_eq!(restarts(trial.as_ref()), restart, "{trial:?}");
    }
}

#[test]
fn another_agent_is_a_service_and_what_its_commands_say() {
    let root = root();
    fs::remove_file(root.path().join("usr/sbin/dockerd")).unwrap();
    let sled = Sled::new(root.path());
    let mut document = document();
    document["config"]["agent"] = json!({
        "unit": "nomad.service", "ready": ["/usr/bin/nomad", "ready"], "drain": ["/usr/bin/nomad", "drain"],
    });
    write(root.path(), "run/sledos/document.json", &document.to_string());
    assert!(Look::at(&sled).problems().starts_with("agent nomad.service is not known: systemctl: "));
    script(root.path(), "usr/bin/systemctl", "echo ActiveState=failed; echo SubState=failed");
    assert_eq!(Look::at(&sled).problems(), "agent nomad.service does not run (failed, failed)");
    script(root.path(), "usr/bin/systemctl", "echo ActiveState=active; test \"$3\" = nomad.service");
    let nomad = |text: &str| script(root.path(), "usr/bin/nomad", text);
    nomad("echo no servers; exit 1");
    let problem = "agent nomad.service runs, but is not ready (exit status: 1) no servers";
    assert_eq!(Look::at(&sled).problems(), problem);
    assert_eq!(agent::drain(&sled).unwrap_err(), "/usr/bin/nomad drain: exit status: 1 no servers");
    nomad(&format!("echo \"$1\" >>{}; echo node 7 of 9", root.path().join("asked").display()));
    let taken = Taken::default();
    wait(&sled, &taken).unwrap();
    assert_eq!(taken.0.into_inner().unwrap()[0].2["ready"]["agent"]["says"], "nomad.service node 7 of 9");
    agent::drain(&sled).unwrap();
    assert_eq!(fs::read_to_string(root.path().join("asked")).unwrap(), "ready\ndrain\n");
}

#[test]
fn an_image_that_is_not_to_blame_is_not_given_up_and_keeps_its_tries() {
    let trial = |left, other| Ok(Some(Trial::OnTrial { file: String::new(), left, other }));
    for (left, other) in [(2, false), (2, true), (0, true), (0, false)] {
        assert_eq!(next(&trial(left, other), false), Next::Wait { give_back: true });
    }
    assert_eq!(next(&trial(2, true), true), Next::Restart);
    assert_eq!(next(&trial(0, false), true), Next::Wait { give_back: false });
    for stays in [Ok(None), Ok(Some(Trial::Good)), Ok(Some(Trial::Absent)), Err("EBUSY".to_owned())] {
        assert_eq!(next(&stays, false), Next::Wait { give_back: false });
        assert_eq!(next(&stays, true), Next::Wait { give_back: false });
    }
    let look = |docker, mesos| Look { docker, mesos, agent: Answer::Unused }.blames_image();
    let (up, away) = (Answer::Up(String::new()), Answer::Away("x".into()));
    assert!(!look(up.clone(), away.clone()) && !look(Answer::Unused, away.clone()));
    assert!(look(Answer::Down("y".into()), away) && look(up, Answer::Down("y".into())));
}

#[test]
fn a_report_server_takes_the_report_over_http() {
    let root = root();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut document = document();
    document["servers"]["report"] = json!([format!("http://{}", listener.local_addr().unwrap())]);
    write(root.path(), "run/sledos/document.json", &document.to_string());
    let server = std::thread::spawn(move || {
        serve(|| listener.accept().unwrap().0, &["HTTP/1.1 204 No Content\r\n\r\n"])
    });
    post::boot_report(&Sled::new(root.path()), &post::Web::new()).unwrap();
    let asked = server.join().unwrap();
    assert!(asked[0].starts_with("POST /v1/report/r12-b07 HTTP/1.1\r\n"), "{asked:?}");
    assert!(asked[0].contains("\r\nAuthorization: Bearer t0k\r\n"), "{asked:?}");
}

/// Takes nothing until it was asked so often.
struct Later(Mutex<u32>);

impl Post for Later {
    fn post(&self, _: &str, _: Option<&str>, _: &[u8]) -> Result<(), String> {
        let mut left = self.0.lock().unwrap();
        *left = left.checked_sub(1).ok_or("it was taken before")?;
        if *left == 0 { Ok(()) } else { Err("answers 503".into()) }
    }
}

#[test]
fn a_report_is_tried_until_it_is_taken_and_not_at_all_when_nobody_wants_it() {
    let root = root();
    let sled = Sled::new(root.path());
    let waits = Mutex::new(0);
    // Two servers are asked each time.
    let later = Later(Mutex::new(5));
    post::keep_reporting(&sled, &later, &|_| *waits.lock().unwrap() += 1).unwrap();
    assert_eq!((*later.0.lock().unwrap(), *waits.lock().unwrap()), (0, 2));

    let mut document = document();
    document["servers"]["report"] = json!([]);
    write(root.path(), "run/sledos/document.json", &document.to_string());
    post::keep_reporting(&sled, &Later(Mutex::new(0)), &|_| panic!("it waits")).unwrap();
}
