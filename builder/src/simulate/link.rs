//! Links between sleds and servers that are slow, or break in the middle.
//!
//! A relay in front of each server: what the sled sends goes through as it is, what comes
//! back comes no faster than the rate, and some connections end after a part of it.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// Most bytes that a connection that breaks lets through.
const BREAKS_WITHIN: u64 = 64 << 10;
/// Threads of a relay are many and do little.
const STACK: usize = 64 << 10;

/// What the links are like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Bytes a second of each connection; nothing: as fast as it goes.
    pub rate: Option<u64>,
    /// Of a hundred connections so many break.
    pub breaks: u64,
}

impl Link {
    /// Whether no relay is needed.
    pub fn is_plain(self) -> bool {
        self == Self::default()
    }
}

/// Puts a relay in front of each server; returns their URLs. They work until the process
/// ends.
pub(super) fn relays(servers: &[SocketAddr], link: Link) -> io::Result<Vec<String>> {
    let relay = |server: &SocketAddr| {
        let listener = TcpListener::bind((server.ip(), 0))?;
        let (url, server) = (format!("http://{}", listener.local_addr()?), *server);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let one = move || drop(pass(&client, server, link));
                // Without a thread the sled sees a connection that ends.
                let _ = std::thread::Builder::new().stack_size(STACK).spawn(one);
            }
        });
        Ok(url)
    };
    servers.iter().map(relay).collect()
}

fn pass(client: &TcpStream, server: SocketAddr, link: Link) -> io::Result<()> {
    let server = TcpStream::connect(server)?;
    let random = sledos_init::provision::random();
    let mut left = if random % 100 < link.breaks { (random >> 8) % BREAKS_WITHIN } else { u64::MAX };
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    let up = move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    };
    std::thread::Builder::new().stack_size(STACK).spawn(up)?;
    let (mut from, mut to, mut buffer) = (&server, client, [0; 8 << 10]);
    loop {
        let n = from.read(&mut buffer)?;
        let part = buffer.get(..n.min(usize::try_from(left).unwrap_or(usize::MAX))).unwrap_or_default();
        to.write_all(part)?;
        left = left.saturating_sub(u64::try_from(part.len()).unwrap_or(u64::MAX));
        if n == 0 || left == 0 {
            let _ = client.shutdown(Shutdown::Both);
            let _ = server.shutdown(Shutdown::Both);
            return Ok(());
        }
        if let Some(rate) = link.rate {
            let nanos = u64::try_from(n).unwrap_or(u64::MAX).saturating_mul(1_000_000_000) / rate.max(1);
            std::thread::sleep(Duration::from_nanos(nanos));
        }
    }
}
