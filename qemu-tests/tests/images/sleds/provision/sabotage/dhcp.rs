//! A DHCP server that does as it is told, on a rack's bridge. It uses raw frames, so that
//! it can be there beside the real one.

use formats::l2::{BROADCAST, Frame, ethertype};
use formats::udp4::{self, Datagram};
use qemu_tests::namespace::{GATEWAY, Namespace};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use syscalls::packet::PacketSocket;

/// What a client wants (RFC 2132 section 9.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Discover,
    Request,
    Decline,
}

/// What the server says to that.
#[derive(Clone, Copy, Debug)]
pub(super) enum Say {
    Nothing,
    Offer(Ipv4Addr),
    /// An address for so many seconds.
    Ack(Ipv4Addr, u32),
    /// With a reason.
    Nak(&'static str),
}

/// Answers until it is dropped.
pub(super) struct Server {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Server {
    /// Starts one that calls itself `address`; `answer` decides about each message.
    pub(super) fn start(
        namespace: &Namespace,
        address: Ipv4Addr,
        mut answer: impl FnMut(Ask) -> Say + Send + 'static,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (flag, name) = (Arc::clone(&stop), namespace.name().to_owned());
        let (send, ready) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            Namespace::enter(&name);
            let any = std::net::UdpSocket::bind("0.0.0.0:0").expect("sockets can be made");
            let index = rustix::net::netdevice::name_to_index(&any, "br0").expect("the bridge is there");
            let socket = PacketSocket::open(index, ethertype::IPV4, &[]).expect("the bridge is up");
            send.send(()).expect("the test waits");
            let mut buffer = [0; 2048];
            while !flag.load(Ordering::Relaxed) {
                let Ok(length) = socket.receive(&mut buffer) else {
                    // It does not block.
                    std::thread::sleep(Duration::from_millis(5));
                    continue;
                };
                if let Some((ask, request)) = asked(&buffer[..length])
                    && let Some(reply) = reply(address, &request, answer(ask))
                {
                    let from = SocketAddrV4::new(address, 67);
                    let to = SocketAddrV4::new(Ipv4Addr::BROADCAST, 68);
                    let packet = udp4::build(&Datagram { from, to, payload: &reply }).expect("it is short");
                    let frame = Frame {
                        to: BROADCAST,
                        from: [2, 0, 0, 0, 0, 67],
                        kind: ethertype::IPV4,
                        payload: &packet,
                    };
                    let _ = socket.send(&frame.bytes());
                }
            }
        });
        ready.recv().expect("the server starts");
        Self { stop, thread: Some(thread) }
    }
}

/// A client's message, and its fixed part.
fn asked(bytes: &[u8]) -> Option<(Ask, Vec<u8>)> {
    let datagram = udp4::parse(Frame::parse(bytes)?.payload).filter(|d| d.to.port() == 67)?;
    let options = datagram.payload.get(240..)?;
    // Our client sends option 53 first.
    let ask = match options.get(..3)? {
        [53, 1, 1] => Ask::Discover,
        [53, 1, 3] => Ask::Request,
        [53, 1, 4] => Ask::Decline,
        _ => return None,
    };
    Some((ask, datagram.payload.get(..240)?.to_vec()))
}

fn reply(server: Ipv4Addr, request: &[u8], say: Say) -> Option<Vec<u8>> {
    let (kind, address, seconds, reason) = match say {
        Say::Nothing => return None,
        Say::Offer(address) => (2, address, 60, ""),
        Say::Ack(address, seconds) => (5, address, seconds, ""),
        Say::Nak(reason) => (6, Ipv4Addr::UNSPECIFIED, 0, reason),
    };
    let mut reply = request.to_vec();
    reply[0] = 2;
    reply[16..20].copy_from_slice(&address.octets());
    reply.extend([53, 1, kind, 54, 4]);
    reply.extend(server.octets());
    if reason.is_empty() {
        reply.extend([51, 4]);
        reply.extend(seconds.to_be_bytes());
        reply.extend([1, 4, 255, 255, 255, 0]);
    } else {
        reply.extend([56, u8::try_from(reason.len()).ok()?]);
        reply.extend(reason.bytes());
    }
    reply.push(255);
    Some(reply)
}

/// The address of the rack's servers.
pub(super) fn gateway() -> Ipv4Addr {
    GATEWAY.parse().expect("an address")
}
