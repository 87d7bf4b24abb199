//! Load on a web server: connections that ask for one path, again and again.
//!
//! usage: load ADDRESS PATH close|keep CONNECTIONS SECONDS
//! prints: requests a second, p99 in ms, MB a second
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [address, path, way, connections, seconds] = &args[..] else {
        eprintln!("usage: load ADDRESS PATH close|keep CONNECTIONS SECONDS");
        std::process::exit(2);
    };
    let keep = way == "keep";
    let (start, time) = (Instant::now(), Duration::from_secs(seconds.parse().unwrap()));
    let count: usize = connections.parse().unwrap();
    let results: Vec<(Vec<Duration>, u64)> = std::thread::scope(|scope| {
        let one = || one(address, path, keep, start + time);
        let all: Vec<_> = (0..count).map(|_| scope.spawn(one)).collect();
        all.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let took = start.elapsed().as_secs_f64();
    let bytes: u64 = results.iter().map(|(_, bytes)| bytes).sum();
    let mut times: Vec<Duration> = results.into_iter().flat_map(|(times, _)| times).collect();
    times.sort();
    let p99 = times.get((times.len() * 99).div_ceil(100).max(1) - 1).copied().unwrap_or_default();
    let rate = times.len() as f64 / took;
    println!("{rate:.0} {:.3} {:.1}", p99.as_secs_f64() * 1e3, bytes as f64 / took / 1e6);
}

/// Asks until the end; returns how long each answer took, and the bytes of all bodies.
fn one(address: &str, path: &str, keep: bool, end: Instant) -> (Vec<Duration>, u64) {
    let connection = if keep { "keep-alive" } else { "close" };
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: {connection}\r\n\r\n");
    let (mut times, mut bytes, mut open) = (Vec::new(), 0, None);
    let mut buffer = vec![0; 256 << 10];
    while Instant::now() < end {
        let start = Instant::now();
        let mut stream = match open.take() {
            Some(stream) => stream,
            None => BufReader::new(TcpStream::connect(address).unwrap()),
        };
        stream.get_mut().write_all(request.as_bytes()).unwrap();
        let (mut line, mut length) = (String::new(), 0_u64);
        stream.read_line(&mut line).unwrap();
        assert!(line.starts_with("HTTP/1.1 200"), "{line}");
        while line != "\r\n" {
            line.clear();
            stream.read_line(&mut line).unwrap();
            let (name, value) = line.split_once(':').unwrap_or_default();
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut left = length;
        while left > 0 && Instant::now() < end + Duration::from_secs(5) {
            let n = stream.read(&mut buffer).unwrap();
            assert!(n > 0, "it ends too early");
            left -= n as u64;
            bytes += n as u64;
            // A large file is more than a run: what came counts.
            if Instant::now() >= end && length > 1 << 20 {
                return (times, bytes);
            }
        }
        times.push(start.elapsed());
        open = keep.then_some(stream);
    }
    (times, bytes)
}
