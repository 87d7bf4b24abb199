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
fn ready_is_docker_and_an_id_of_the_master() {
    let root = root();
    let docker = UnixListener::bind(root.path().join("run/docker.sock")).unwrap();
    let agent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = agent.local_addr().unwrap().port();
    let env = format!("MESOS_MASTER=\"10.0.0.1:5050\"\nMESOS_IP=\"127.0.0.1\"\nMESOS_PORT=\"{port}\"\n");
    write(root.path(), "etc/sledos/mesos-agent.env", &env);
    let (asked_docker, asked_agent) = std::thread::scope(|scope| {
        let ok = "HTTP/1.1 200 OK\r\nServer: Docker/20.10.24 (linux)\r\n\r\nOK";
        let docker = scope.spawn(move || serve(|| docker.accept().unwrap().0, &[ok; 4]));
        let state = |body: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let answers = [
            "HTTP/1.1 503 Service Unavailable\r\n\r\n".to_owned(),
            "HTTP/1.1 401 Unauthorized\r\n\r\n".to_owned(),
            state(r#"{"id":"","pid":"x"}"#),
            state(r#"{"id":"7f-S1","attributes":{"rack":"r12"}}"#),
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
    assert!(asked_agent.iter().all(|a| a.starts_with("GET /state HTTP/1.0\r\n")), "{asked_agent:?}");
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
    let server = std::thread::spawn(move || {
        serve(|| listener.accept().unwrap().0, &["HTTP/1.1 401 Unauthorized\r\n\r\n"])
    });
    assert!(Look::at(&sled).problems().starts_with("mesos agent keeps its state behind a password"));
    server.join().unwrap();
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
