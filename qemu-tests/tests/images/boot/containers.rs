//! Containers on a sled: they run, talk to each other, and one that takes all it can get does not take the sled with it.

use qemu_tests::guest::Guest;
use qemu_tests::{console, docker};
use std::path::Path;

const HELLO: &str = "a container on a sled says hello";

/// The program of the containers; its first argument says what it does.
const PROGRAM: &str = r#"
use std::io::{Read as _, Write as _};
fn main() {
    let args: Vec<String> = std::env::args().collect();
    match args.get(1).map(String::as_str) {
        None => println!("HELLO"),
        Some("serve") => {
            for stream in std::net::TcpListener::bind("0.0.0.0:80").unwrap().incoming() {
                stream.unwrap().write_all(b"HELLO").unwrap();
            }
        }
        Some("ask") => {
            let mut said = String::new();
            std::net::TcpStream::connect((&*args[2], 80)).unwrap().read_to_string(&mut said).unwrap();
            println!("{said}");
        }
        Some("wait") => std::thread::sleep(std::time::Duration::from_secs(1 << 20)),
        Some("fork") => {
            let started = (0..100_000).take_while(|_| std::process::Command::new("/hello").arg("wait").spawn().is_ok());
            println!("{}", started.count());
        }
        Some("fill") => {
            let mut file = std::fs::File::create("/filled").unwrap();
            while file.write_all(&[1; 1 << 20]).is_ok() {}
        }
        Some(_) => {
            let mut all = Vec::new();
            loop {
                all.push(vec![1_u8; 1 << 20]);
            }
        }
    }
}
"#;

/// Puts them on the sled.
pub(super) fn load(guest: &Guest, dir: &Path) {
    let program = docker::program(&PROGRAM.replace("HELLO", HELLO), dir);
    guest.feed("docker load", &docker::image("hello", &program));
}

pub(super) fn say_hello(guest: &Guest) {
    assert_eq!(guest.run("docker run --rm hello").trim(), HELLO);
}

pub(super) fn run(guest: &Guest) {
    say_hello(guest);
    // By name, over a network of their own.
    guest.run("docker network create lan && docker run --detach --name server --network lan hello serve");
    assert_eq!(guest.run("docker run --rm --network lan hello ask server").trim(), HELLO);

    // One goes on when what runs it does not.
    let server = "docker inspect --format '{{.State.Running}} {{.State.Pid}}' server";
    let before = guest.run(server);
    guest.run("systemctl restart containerd");
    let again = "timeout 120 sh -c 'until docker run --rm --network lan hello ask server; do sleep 1; done' 2>/dev/null";
    assert_eq!(guest.run(again).trim(), HELLO);
    assert_eq!(guest.run(server), before);

    // With limits each ends at its own.
    let started: u32 =
        guest.run("docker run --rm --pids-limit 20 hello fork").trim().parse().expect("a number");
    assert!((1..20).contains(&started), "{started} processes");
    let (_, _, said) = guest.try_run("docker run --name small --memory 32m hello eat", &[]);
    assert_eq!(guest.run("docker inspect --format '{{.State.OOMKilled}}' small").trim(), "true", "{said}");

    // Without any the kernel ends that one, and nobody else.
    let services =
        "systemctl show --property MainPID docker containerd ssh systemd-journald systemd-networkd";
    let running = guest.run(services);
    let (whole, _, said) = guest.try_run("docker run --name large hello eat", &[]);
    assert!(!whole, "{said}");
    assert_eq!(guest.run(services), running);
    assert_eq!(guest.run(server), before);
    guest.run("docker rm --force server small large && docker network rm lan");
}

/// One that writes without end takes what is there for containers; the others go on, though no new one starts, for
/// overlayfs takes no reserved block. Then all of /var is taken, as root can.
pub(super) fn fill(guest: &Guest) {
    guest.run("docker run --detach --name server hello serve");
    guest.run("fallocate -l $(($(stat -fc '%a * %S' /var) - (200 << 20))) /var/most");
    guest.run("docker run --name full hello fill");
    let left: u64 = guest.run("stat -fc '%a' /var").trim().parse().expect("a number");
    assert!(left < 256, "{left} blocks were left, and it wrote a MiB at a time");
    assert_eq!(guest.run("docker exec server /hello ask 127.0.0.1").trim(), HELLO);
    guest.run("logger --tag full is-written-all-the-same && journalctl --sync");
    assert!(guest.run("journalctl --identifier full --output cat").contains("is-written-all-the-same"));
    guest.run("docker rm full");
    say_hello(guest);
    guest.run("docker rm --force server");
    // The last blocks are no extent.
    guest.run(
        "for size in 1M 4k; do dd if=/dev/zero of=/var/rest-$size bs=$size 2>/dev/null || true; done; sync",
    );
    assert_eq!(guest.run("df --output=pcent /var | tail -n1").trim(), "100%");
}

/// A sled that came up with a full /var; then there is room again, and Docker runs without anybody starting it.
pub(super) fn free(guest: &Guest) {
    println!(
        "{}",
        guest.run(
            "df /var; systemctl --failed --no-legend; systemctl status docker --no-pager --lines 5; true"
        )
    );
    guest.run("rm /var/most /var/rest-*");
    guest.run("timeout 300 sh -c 'until systemctl --quiet is-active docker; do sleep 1; done'");
}

/// What of a console is trouble, but for the container that took all memory, and for Docker and PID 1 without room.
pub(super) fn trouble(said: &str) -> Vec<&str> {
    let expected = [
        ["Out of memory: Killed process", "(hello)"],
        ["Failed to start", "docker.service"],
        ["SLED-203", "No space left on device"],
    ];
    let is_expected = |line: &&str| expected.iter().any(|words| words.iter().all(|word| line.contains(word)));
    console::trouble(said).into_iter().filter(|line| !is_expected(line)).collect()
}
