//! Hardware that nobody knows, all of it at once: each posts an inventory of its own, from an
//! address of its own.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType};
use serde::Serialize;
use serde_json::json;

/// Connections at a time.
const AT_ONCE: usize = 32;
/// How long a server may be silent.
const PATIENCE: Duration = Duration::from_secs(30);

/// What became of their inventories.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Strangers {
    /// Taken by a server.
    pub taken: u64,
    /// Refused: there were enough.
    pub refused: u64,
    /// Not answered.
    pub unanswered: u64,
}

/// Posts as many inventories, to the servers in turn.
pub(super) fn post(servers: &[SocketAddr], count: usize) -> Strangers {
    let (next, taken, refused) = (AtomicUsize::new(0), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(count) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(server) = servers.get(number % servers.len().max(1)) else { break };
                    if number >= count {
                        break;
                    }
                    match one(*server, number) {
                        Ok(200..=299) => taken.fetch_add(1, Ordering::Relaxed),
                        Ok(_) => refused.fetch_add(1, Ordering::Relaxed),
                        Err(_) => continue,
                    };
                }
            });
        }
    });
    let (taken, refused) = (taken.into_inner(), refused.into_inner());
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    Strangers { taken, refused, unanswered: count - taken - refused }
}

/// The status of the answer.
fn one(server: SocketAddr, number: usize) -> io::Result<u16> {
    let byte = |shift: u32| u8::try_from((number >> shift) & 0xff).unwrap_or(0);
    let own = Ipv4Addr::new(127, 64 | (byte(16) & 63), byte(8), byte(0));
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
    rustix::net::bind(&socket, &SocketAddrV4::new(own, 0))?;
    rustix::net::connect(&socket, &server)?;
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mac = format!("52:54:ff:{:02x}:{:02x}:{:02x}", byte(16), byte(8), byte(0));
    let board = format!("STRANGER{number:07}");
    let body = json!({
        "inventory": 1, "state": "unknown", "keys": [format!("board {board}"), format!("mac {mac}")],
        "hardware": {"smbios": {"board_serial": board}, "nics": [{"name": "eth0", "mac": mac, "driver": "igb"}]},
    })
    .to_string();
    let head = format!(
        "POST /v1/inventory HTTP/1.1\r\nHost: {server}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes())?;
    let mut start = [0; "HTTP/1.1 200".len()];
    stream.read_exact(&mut start)?;
    let status = std::str::from_utf8(&start[9..]).ok().and_then(|text| text.parse().ok());
    status.ok_or_else(|| io::ErrorKind::InvalidData.into())
}
