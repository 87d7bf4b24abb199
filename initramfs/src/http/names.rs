//! Host names to addresses, asking the name servers that DHCP named (RFC 1035).
//!
//! glibc's resolver would want /etc/resolv.conf, costs 177 KB in a static binary and
//! has no bound of ours. There is no hosts file and no NSS here to be faithful to.

mod message;

use super::Error;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use message::{Answer, Kind};

/// How long one name server is waited for, each of the two times it is asked.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long an address is remembered: a sled asks for a dozen documents in a row.
const REMEMBERED: Duration = Duration::from_secs(30);

/// Looks names up. Threads may share it.
#[derive(Debug, Default)]
pub struct Names(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    servers: Vec<SocketAddr>,
    search: Vec<String>,
    known: BTreeMap<String, (Instant, Vec<IpAddr>)>,
}

impl Names {
    /// From now on asks these servers; a name without a dot is looked up in the
    /// `search` domains first. What was known is forgotten if that is a change.
    pub fn set(&self, servers: &[IpAddr], search: &[String]) {
        let servers: Vec<_> = servers.iter().map(|ip| SocketAddr::new(*ip, 53)).collect();
        self.set_servers(&servers, search);
    }

    /// The same from the text of a resolv.conf(5): `nameserver`, `search`, `domain`.
    /// `index` is the number of an interface, for link-local IPv6 servers.
    pub fn set_resolv_conf(&self, text: &str, index: impl Fn(&str) -> Option<u32>) {
        let (mut servers, mut search) = (Vec::new(), Vec::new());
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => servers.extend(words.next().and_then(|word| server(word, &index))),
                Some("search" | "domain") => search = words.map(str::to_owned).collect(),
                _ => {}
            }
        }
        self.set_servers(&servers, &search);
    }

    fn set_servers(&self, servers: &[SocketAddr], search: &[String]) {
        let mut state = self.state();
        if state.servers != servers || state.search != search {
            *state = State { servers: servers.to_vec(), search: search.to_vec(), known: BTreeMap::new() };
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The addresses of a host, IPv4 first.
    pub(super) fn resolve(&self, host: &str, end: Option<Instant>) -> Result<Vec<IpAddr>, Error> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        // RFC 6761 section 6.3.
        if host.eq_ignore_ascii_case("localhost") {
            return Ok(vec![Ipv4Addr::LOCALHOST.into()]);
        }
        let (servers, names) = {
            let state = self.state();
            if let Some((when, addresses)) = state.known.get(host)
                && when.elapsed() < REMEMBERED
            {
                return Ok(addresses.clone());
            }
            (state.servers.clone(), candidates(host, &state.search))
        };
        let fail = |why: String| Error::Name { name: host.to_owned(), why };
        if servers.is_empty() {
            return Err(fail("no name server is known".into()));
        }
        let mut why = String::new();
        for name in names {
            match ask_all(&servers, &name, end) {
                Ok(addresses) if addresses.is_empty() => why = format!("{name} does not exist"),
                Ok(addresses) => {
                    let known = (Instant::now(), addresses.clone());
                    self.state().known.insert(host.to_owned(), known);
                    return Ok(addresses);
                }
                Err(error) => why = error,
            }
        }
        Err(fail(why))
    }
}

/// `10.0.0.1`, `fd00::1` or `fe80::1%eth0`.
fn server(word: &str, index: &impl Fn(&str) -> Option<u32>) -> Option<SocketAddr> {
    match word.split_once('%') {
        None => Some(SocketAddr::new(word.parse().ok()?, 53)),
        Some((address, name)) => Some(SocketAddrV6::new(address.parse().ok()?, 53, 0, index(name)?).into()),
    }
}

/// The full names that a name may stand for, the likeliest first.
fn candidates(host: &str, search: &[String]) -> Vec<String> {
    let mut names: Vec<_> = search.iter().map(|domain| format!("{host}.{domain}")).collect();
    if host.ends_with('.') {
        names.clear();
    }
    let at = if host.contains('.') { 0 } else { names.len() };
    names.insert(at, host.to_owned());
    names
}

/// Asks the servers in turn, twice, until one gives an answer. A name that does not
/// exist has no addresses.
fn ask_all(servers: &[SocketAddr], name: &str, end: Option<Instant>) -> Result<Vec<IpAddr>, String> {
    let mut why = String::new();
    for server in servers.iter().chain(servers) {
        let left = end.map_or(PATIENCE, |end| end.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            break;
        }
        match ask(*server, name, left.min(PATIENCE)) {
            Ok(addresses) => return Ok(addresses),
            Err(error) => why = format!("name server {}: {error}", server.ip()),
        }
    }
    Err(why)
}

/// Asks one server for both kinds of addresses at once.
fn ask(server: SocketAddr, name: &str, patience: Duration) -> io::Result<Vec<IpAddr>> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // Not the same as text, which would link getaddrinfo.
    let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
    // Takes answers from this server only.
    socket.connect(server)?;
    // Seeded by the kernel's random numbers.
    let ids = RandomState::new().build_hasher().finish().to_le_bytes();
    let mut open = [(Kind::A, [ids[0], ids[1]]), (Kind::Aaaa, [ids[2], ids[3]])].to_vec();
    for (kind, id) in &open {
        socket.send(&message::question(*id, name, *kind)?)?;
    }
    let end = Instant::now() + patience;
    let (mut addresses, mut failed) = (Vec::new(), None);
    let mut buffer = [0; 1500];
    while !open.is_empty() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            // One kind is enough: some servers drop questions for the other.
            return if addresses.is_empty() { Err(no_answer(patience)) } else { Ok(addresses) };
        }
        socket.set_read_timeout(Some(left))?;
        let length = match socket.recv(&mut buffer) {
            Ok(length) => length,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                continue;
            }
            Err(error) => return Err(error),
        };
        let bytes = buffer.get(..length).unwrap_or_default();
        let Some(at) = open.iter().position(|(kind, id)| message::answers(bytes, *id, name, *kind)) else {
            continue;
        };
        let (kind, _) = open.swap_remove(at);
        match message::read(bytes, kind) {
            Answer::Addresses(found) => addresses.extend(found),
            Answer::NoSuchName => return Ok(Vec::new()),
            Answer::Failed(code) => failed = Some(format!("answers with error {code}")),
            Answer::Garbage => failed = Some("its answer is not understood".to_owned()),
        }
    }
    addresses.sort();
    // One kind is enough here, too: a server without an upstream refuses the kind that it
    // has no address of (dnsmasq does).
    match failed {
        Some(why) if addresses.is_empty() => Err(io::Error::other(why)),
        _ => Ok(addresses),
    }
}

fn no_answer(patience: Duration) -> io::Error {
    io::Error::other(format!("no answer within {patience:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::JoinHandle;

    /// A name server for `count` questions. It answers what `answer` makes of each.
    fn server(
        count: usize,
        answer: impl Fn(&[u8]) -> Vec<u8> + Send + 'static,
    ) -> (SocketAddr, JoinHandle<()>) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 512];
            for _ in 0..count {
                let (length, from) = socket.recv_from(&mut buffer).unwrap();
                socket.send_to(&answer(&buffer[..length]), from).unwrap();
            }
        });
        (address, thread)
    }

    /// An answer with one address of the kind that was asked for.
    fn found(question: &[u8]) -> Vec<u8> {
        let kind = question[question.len() - 3];
        let mut answer = question.to_vec();
        answer[2] |= 0x80;
        answer[7] = 1;
        let data = if kind == 1 { vec![10, 0, 0, 7] } else { Ipv6Addr::LOCALHOST.octets().to_vec() };
        answer.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 60, 0, u8::try_from(data.len()).unwrap()]);
        answer.extend(data);
        answer
    }

    #[test]
    fn a_name_is_asked_for_once_and_has_both_kinds_of_addresses() {
        let (address, thread) = server(2, found);
        let names = Names::default();
        names.set_servers(&[address], &[]);
        let expected: Vec<IpAddr> = vec!["10.0.0.7".parse().unwrap(), "::1".parse().unwrap()];
        assert_eq!(names.resolve("metadata.example", None).unwrap(), expected);
        thread.join().unwrap();
        // The server is gone: this one is from memory.
        assert_eq!(names.resolve("metadata.example", None).unwrap(), expected);
        assert_eq!(names.resolve("10.1.2.3", None).unwrap(), ["10.1.2.3".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn why_a_name_does_not_resolve_is_said() {
        let names = Names::default();
        let say = |names: &Names| names.resolve("meta", None).unwrap_err().to_string();
        assert_eq!(say(&names), "name meta does not resolve: no name server is known");
        // NXDOMAIN for the searched name and for the bare one.
        let (address, thread) = server(4, |question| {
            let mut answer = question.to_vec();
            answer[2] |= 0x80;
            answer[3] |= 3;
            answer
        });
        names.set_servers(&[address], &["rack.example".into()]);
        assert_eq!(say(&names), "name meta does not resolve: meta does not exist");
        drop(thread);
        let (address, _thread) = server(4, |question| {
            let mut answer = question.to_vec();
            answer[2] |= 0x80;
            answer[3] |= 2;
            answer
        });
        names.set_servers(&[address], &[]);
        assert_eq!(say(&names), "name meta does not resolve: name server 127.0.0.1: answers with error 2");
    }

    #[test]
    fn a_server_that_refuses_one_kind_has_answered_the_other() {
        let (address, _thread) = server(2, |question| {
            if question[question.len() - 3] == 1 {
                return found(question);
            }
            let mut answer = question.to_vec();
            answer[2] |= 0x80;
            answer[3] |= 5;
            answer
        });
        let names = Names::default();
        names.set_servers(&[address], &[]);
        assert_eq!(names.resolve("a.b", None).unwrap(), ["10.0.0.7".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn a_dead_server_does_not_keep_the_next_one_from_answering() {
        // Nobody listens on a port that was just given back.
        let dead = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (address, _thread) = server(2, found);
        let names = Names::default();
        names.set_servers(&[dead, address], &[]);
        assert_eq!(names.resolve("a.b", None).unwrap().len(), 2);
    }

    #[test]
    fn a_resolv_conf_is_read() {
        let names = Names::default();
        let text =
            "# x\nnameserver 10.0.0.1\nnameserver fe80::1%eth0\nnameserver fe80::2%eth9\nsearch a.b c\n";
        names.set_resolv_conf(text, |name| (name == "eth0").then_some(2));
        let state = names.state();
        let servers: Vec<_> = state.servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["10.0.0.1:53", "[fe80::1%2]:53"]);
        assert_eq!(state.search, ["a.b", "c"]);
    }

    #[test]
    fn search_domains_come_first_for_a_bare_name_and_last_for_one_with_dots() {
        let search = ["x".to_owned(), "y".to_owned()];
        assert_eq!(candidates("a", &search), ["a.x", "a.y", "a"]);
        assert_eq!(candidates("a.b", &search), ["a.b", "a.b.x", "a.b.y"]);
        assert_eq!(candidates("a.", &search), ["a."]);
    }
}
