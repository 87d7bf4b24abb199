//! What was accepted is there, whatever happens to the process or the disk.

use super::support::{JSON, World, ready, yaml};
use serde_json::json;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// The test program again, as a server in a directory, to be killed.
#[test]
#[ignore = "run by the test below in a process of its own"]
fn server_to_be_killed() {
    let Some(dir) = std::env::var_os("SERVE_DIR") else { return };
    let running = server::start(server::Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        tls: None,
        documents: std::path::Path::new(&dir).join("www"),
        images: dir.clone().into(),
        pxe: dir.clone().into(),
        store: std::path::Path::new(&dir).join("state.redb"),
        operator: "x".into(),
        freshness: None,
        names: Vec::new(),
        fleet: None,
        limits: server::http::connection::Limits::default(),
        silent: std::time::Duration::from_secs(3600),
        log: Box::new(|_| {}),
    });
    let running = running.unwrap();
    let at = std::path::Path::new(&dir).join("address.new");
    std::fs::write(&at, running.address.to_string()).unwrap();
    std::fs::rename(at, std::path::Path::new(&dir).join("address")).unwrap();
    loop {
        std::thread::park();
    }
}

#[test]
fn an_accepted_report_survives_kill_9() {
    let world = World::new();
    let token = world.token(1);
    for round in 0..3 {
        let _ = std::fs::remove_file(world.path("address"));
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "durable::server_to_be_killed"])
            .env("SERVE_DIR", world.dir.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let wait = std::time::Instant::now();
        let address = loop {
            if let Ok(text) = std::fs::read_to_string(world.path("address")) {
                break text.parse().unwrap();
            }
            assert!(wait.elapsed().as_secs() < 60, "it does not start");
            std::thread::sleep(std::time::Duration::from_millis(20));
        };
        // Reports in a row; the process is killed in the middle of them.
        let accepted = Arc::new(Mutex::new(0_u64));
        let (count, token) = (Arc::clone(&accepted), token.clone());
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let client = std::thread::spawn(move || {
            use std::io::Write as _;
            for n in 1.. {
                let mut report = ready("ZM1", "Ethernet1");
                report["generation"] = (round * 1_000_000 + n).into();
                let body = report.to_string();
                let Ok(mut stream) = std::net::TcpStream::connect::<std::net::SocketAddr>(address) else {
                    return;
                };
                let head = format!(
                    "POST /v1/report/r1-b01 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n{JSON}Content-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                if stream.write_all(head.as_bytes()).is_err() || flag.load(Ordering::Relaxed) {
                    return;
                }
                if super::support::finish(stream).is_some_and(|answer| answer.status == 204) {
                    *count.lock().unwrap() = round * 1_000_000 + n;
                }
            }
        });
        while *accepted.lock().unwrap() % 1_000_000 < 20 {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        stop.store(true, Ordering::Relaxed);
        client.join().unwrap();
        let last = *accepted.lock().unwrap();
        let server = world.start();
        let kept = server.get("/v1/sleds/r1-b01").json()["facts"]["generation"].as_u64().unwrap();
        // One more may be on the disk whose answer nobody got.
        assert!(kept == last || kept == last + 1, "{kept} is kept, {last} was accepted");
    }
}

#[test]
fn a_full_disk_refuses_reports_and_loses_none() {
    let world = World::new();
    // Many, because what is kept of one sled is not much.
    let many: String = (1..=8).flat_map(|rack| (1..=40).map(move |bay| (rack, bay))).fold(
        String::new(),
        |all, (rack, bay)| {
            all + &format!(
                "  x{rack}-{bay}: {{rack: x{rack}, bay: {bay}, role: compute, board-serial: X{rack}-{bay}}}\n"
            )
        },
    );
    let racks: String = (1..=8).map(|rack| format!("  x{rack}: {{bays: 40}}\n")).collect();
    world.compile(&yaml(&many).replace("racks:\n", &format!("racks:\n{racks}")));
    let disk = world.path("disk");
    std::fs::create_dir(&disk).unwrap();
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"]).arg(&disk).status().unwrap();
    assert!(mounted.success(), "this test needs root, to mount a small file system");
    struct Unmount(std::path::PathBuf);
    impl Drop for Unmount {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        }
    }
    let _unmount = Unmount(disk.clone());
    std::os::unix::fs::symlink(disk.join("state.redb"), world.path("state.redb")).unwrap();
    let server = world.start();
    let (one, two) = (world.token(1), world.token(2));
    assert_eq!(server.report("r1-b01", &one, &ready("ZM1", "Ethernet1")).status, 204);
    let filler = disk.join("filler");
    let fill = || {
        use std::io::Write as _;
        let mut file = std::fs::File::create(&filler).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
    };
    fill();
    // Reports that need more room than the file has.
    let mut statuses = Vec::new();
    for (rack, bay) in (1..=8).flat_map(|rack| (1..=40).map(move |bay| (rack, bay))) {
        let mut report = ready(&format!("X{rack}-{bay}"), "x");
        report["steps"] = vec![json!({"step": "disks", "detail": "x".repeat(120)}); 400].into();
        let token = world.token_at(&format!("x{rack}"), bay);
        statuses.push(server.report(&format!("x{rack}-{bay}"), &token, &report).status);
        fill();
        if statuses.last() == Some(&503) {
            break;
        }
    }
    assert_eq!(statuses.last(), Some(&503), "{statuses:?}");
    assert_eq!(server.get("/healthz").status, 200);
    assert_eq!(server.sled("r1-b01")["state"], "ready");
    assert!(server.get("/metrics").text().contains("sledos_store_broken 1\n"));
    std::fs::remove_file(&filler).unwrap();
    assert_eq!(server.report("r1-b02", &two, &ready("ZM2", "Ethernet2")).status, 204);
    assert!(server.get("/metrics").text().contains("sledos_store_broken 0\n"));
    let lines = server.lines.lock().unwrap().clone();
    assert!(lines.iter().any(|line| line.starts_with("reports are refused: the store ")), "{lines:?}");
    assert!(lines.len() < 20, "{lines:?}");
    drop(server);
    let server = world.start();
    assert_eq!(
        (server.sled("r1-b01")["state"].as_str(), server.sled("r1-b02")["state"].as_str()),
        (Some("ready"), Some("ready"))
    );
}
