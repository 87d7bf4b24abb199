//! Bad input: refused, counted, said without flooding; the server goes on.

use super::support::{JSON, OPERATOR, World, connect, finish, ready, report};
use server::http::connection::Limits;
use server::metrics::Refusal;
use std::io::{Read as _, Write as _};
use std::time::Duration;

#[test]
fn forged_reports_are_refused_counted_and_not_a_flood() {
    let world = World::new();
    let server = world.start();
    let good = world.token(1);
    let mut wrong = vec!["", "x", &good[1..]];
    let other = world.token(2);
    wrong.push(&other);
    for token in &wrong {
        let status = if token.is_empty() { 401 } else { 403 };
        assert_eq!(server.report("r1-b01", token, &ready("ZM1", "Ethernet1")).status, status, "{token:?}");
    }
    assert_eq!(server.ask("POST", "/v1/report/r1-b01", "", b"{}").status, 401);
    assert_eq!(server.report("r1-b99", &good, &ready("ZM1", "Ethernet1")).status, 403, "no such sled");
    for _ in 0..50 {
        server.report("r1-b01", "x", &ready("ZM1", "Ethernet1"));
    }
    assert_eq!(server.running.metrics.refused(Refusal::Forged), 56);
    assert_eq!(server.sled("r1-b01")["state"], "expected");
    assert!(server.lines.lock().unwrap().len() < 10);
    assert!(server.get("/metrics").text().contains("sledos_refused_total{reason=\"forged\"} 56\n"));
    // A report in another sled's name, with one's own token.
    let mut report = ready("ZM1", "Ethernet1");
    report["sled"] = "r1-b02".into();
    assert_eq!(server.report("r1-b01", &good, &report).status, 400);
}

#[test]
fn bodies_that_are_too_long_or_no_reports_are_refused() {
    let world = World::new();
    let server = world.start();
    let authorization = format!("Authorization: Bearer {}\r\n", world.token(1));
    // 100 MB, announced: refused before it is sent.
    let mut stream = connect(server.address());
    let head = format!(
        "POST /v1/report/r1-b01 HTTP/1.1\r\nHost: localhost\r\n{authorization}{JSON}Content-Length: 100000000\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    assert_eq!(finish(stream).unwrap().status, 413);
    // 100 MB in chunks, announced by nobody.
    let mut stream = connect(server.address());
    let head =
        format!("POST /v1/inventory HTTP/1.1\r\nHost: localhost\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let chunk = [format!("{:x}\r\n", 1 << 20).as_bytes(), &vec![b' '; 1 << 20], b"\r\n"].concat();
    let sent = (0..100).take_while(|_| stream.write_all(&chunk).is_ok()).count();
    assert!(sent < 100, "it hangs up long before the end");
    for body in ["", "{", "[]", "{}", "{\"report\":2}", "\u{0}", "{\"report\":1,\"event\":\"dance\"}"] {
        assert_eq!(
            server.ask("POST", "/v1/report/r1-b01", &authorization, body.as_bytes()).status,
            400,
            "{body:?}"
        );
        assert_eq!(server.ask("POST", "/v1/inventory", "", body.as_bytes()).status, 400, "{body:?}");
    }
    // Deep enough to end a program that follows it.
    let deep = "[".repeat(60_000);
    assert_eq!(server.ask("POST", "/v1/inventory", "", deep.as_bytes()).status, 400);
    assert_eq!(server.running.metrics.refused(Refusal::TooLong), 2);
    assert_eq!(server.running.metrics.refused(Refusal::Malformed), 15);
    assert_eq!(server.sled("r1-b01")["state"], "expected");
}

#[test]
fn paths_and_methods_lead_nowhere() {
    let world = World::new();
    std::fs::write(world.path("secret"), "secret").unwrap();
    let server = world.start();
    let paths = [
        "/images/../secret",
        "/images/%2e%2e/secret",
        "/images/..%2fsecret",
        "/images/%5c..%5c..%5csecret",
        "/v1/../../secret",
        "/images/.hidden",
    ];
    for path in paths {
        let answer = server.get(path);
        assert!(answer.status == 400 && !answer.text().contains("secret\n"), "{path}: {answer:?}");
    }
    assert_eq!(server.running.metrics.refused(Refusal::Path), u64::try_from(paths.len()).unwrap());
    assert_eq!(server.ask("BREW", "/v1/status", "", b"").status, 501);
    // As with nginx, several slashes are one.
    for (path, status) in
        [("//v1///status", 200), ("//", 200), ("//secret", 404), ("/images//../secret", 400)]
    {
        assert_eq!(server.get(path).status, status, "{path}");
    }
    for path in ["/", "/v1/status", "/v1/report/r1-b01", "/v1/board/ZM1.json", "/images/compute/1/x"] {
        let trace = server.ask("TRACE", path, "Cookie: secret\r\n", b"");
        assert_eq!(trace.status, 405, "{path}");
        assert!(!trace.text().contains("secret"), "nothing is sent back: {trace:?}");
    }
    let post = server.ask("DELETE", "/v1/board/ZM1.json", "", b"");
    assert_eq!((post.status, post.header("allow")), (405, Some("GET, HEAD")));
    let get = server.get("/v1/report/r1-b01");
    assert_eq!((get.status, get.header("allow")), (405, Some("POST")));
    assert_eq!(server.running.metrics.refused(Refusal::Method), 8);
    // What is not HTTP at all.
    let mut stream = connect(server.address());
    stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n").unwrap();
    assert_eq!(finish(stream).map_or(400, |answer| answer.status), 400);
    let mut stream = connect(server.address());
    let _ = stream.write_all(
        format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "y".repeat(100_000)).as_bytes(),
    );
    assert_eq!(finish(stream).map_or(431, |answer| answer.status), 431);
    assert_eq!(server.get("/healthz").status, 200);
}

#[test]
fn who_does_nothing_is_hung_up_on_and_others_are_served() {
    let world = World::new();
    let short = Duration::from_millis(300);
    let limits = Limits { head: short, body: short, stall: short, per_address: 40, ..Limits::default() };
    let server = world.start_with(limits, Duration::from_secs(3600));
    // Heads that never end, bodies that never end, answers nobody reads.
    let mut slow: Vec<_> = (0..20).map(|_| connect(server.address())).collect();
    for stream in &mut slow {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-a: b").unwrap();
    }
    let mut body = connect(server.address());
    let token = world.token(1);
    write!(body, "POST /v1/report/r1-b01 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n{JSON}Content-Length: 10\r\n\r\n{{").unwrap();
    std::fs::write(world.path("images/compute/1/big"), vec![0; 50_000_000]).unwrap();
    let mut deaf = connect(server.address());
    deaf.write_all(b"GET /images/compute/1/big HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    assert_eq!(server.get("/healthz").status, 200);
    assert_eq!(finish(body).unwrap().status, 408);
    for stream in slow {
        assert!(finish(stream).is_none_or(|answer| answer.status == 408));
    }
    // What was in the pipe still comes; the rest does not.
    std::thread::sleep(short * 4);
    let mut all = Vec::new();
    let _ = deaf.read_to_end(&mut all);
    assert!(all.len() < 50_000_000, "{}", all.len());
    assert_eq!(server.running.metrics.refused(Refusal::TooSlow), 1);
    // More connections than one address may have.
    let many: Vec<_> = (0..60).map(|_| connect(server.address())).collect();
    let wait = std::time::Instant::now();
    while server.running.metrics.refused(Refusal::Busy) < 20 && wait.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(server.running.metrics.refused(Refusal::Busy) >= 20);
    drop(many);
    while server.running.metrics.open.load(std::sync::atomic::Ordering::Relaxed) > 1
        && wait.elapsed() < Duration::from_secs(60)
    {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(server.report("r1-b01", &token, &report("boot", "ZM1", "Ethernet1")).status, 204);
}

#[test]
fn only_the_operator_changes_the_fleet() {
    let world = World::new();
    let server = world.start();
    let body = br#"{"id": "hw:board-X", "digest": "", "rack": "r1", "bay": 5}"#;
    assert_eq!(server.ask("POST", "/v1/bind", "", body).status, 401);
    let with = |token: &str| {
        server.ask("POST", "/v1/bind", &format!("Authorization: Bearer {token}\r\n"), body).status
    };
    assert_eq!(with(&world.token(1)), 403);
    // Documents that were compiled elsewhere are changed elsewhere.
    assert_eq!(with(OPERATOR), 409);
}
