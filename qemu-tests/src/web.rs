//! The provisioning server of a test: static files with ranges, takes reports, and
//! misbehaves when told to. It lives in a namespace.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read, Seek as _, SeekFrom, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::namespace::{GATEWAY, Namespace};

/// A request that came in.
#[derive(Clone, Debug)]
pub struct Request {
    /// `GET` or `POST`.
    pub method: String,
    /// Path with the leading `/`.
    pub path: String,
    /// First byte asked for.
    pub from: Option<u64>,
    /// `Authorization` header.
    pub authorization: Option<String>,
    /// Body of a `POST`.
    pub body: Vec<u8>,
    /// Status of the answer.
    pub status: u16,
}

/// How to misbehave.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// Answers with this status.
    Status(u16),
    /// Closes the connection after so many bytes of the body.
    CloseAfter(u64),
    /// The same, and is down from then on, see [`Web::set_down`].
    DieAfter(u64),
    /// Changes one bit of the byte at this place of the file.
    Flip(u64),
    /// Sends the body a byte every two seconds.
    Drip,
    /// Answers 503 and wants to be left alone for so many seconds.
    RetryAfter(u64),
    /// Has no more of the file than so many bytes, and does not say so.
    Length(u64),
}

#[derive(Debug, Default)]
struct State {
    root: PathBuf,
    faults: Vec<(String, Fault, u32)>,
    requests: Vec<Request>,
    down: bool,
    closed: usize,
}

/// A running server at [`GATEWAY`]. It ends with the test's process.
#[derive(Clone, Debug)]
pub struct Web {
    shared: Arc<(Mutex<State>, Condvar)>,
    port: u16,
}

impl Web {
    /// Serves a directory in a namespace.
    ///
    /// # Panics
    /// When the address is not there.
    pub fn start(namespace: &Namespace, root: &Path) -> Self {
        let state = State { root: root.to_owned(), ..State::default() };
        let shared = Arc::new((Mutex::new(state), Condvar::new()));
        let (inner, name) = (Arc::clone(&shared), namespace.name().to_owned());
        let (send, receive) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            Namespace::enter(&name);
            let listener = TcpListener::bind((GATEWAY, 0)).expect("the bridge has its address");
            send.send(listener.local_addr().expect("it is bound").port()).expect("the test waits");
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&inner);
                std::thread::spawn(move || {
                    // A sled that hangs up in the middle is part of the tests.
                    let _ = serve(&stream, &shared);
                });
            }
        });
        let port = receive.recv().expect("the server starts");
        Self { shared, port }
    }

    /// Its URL, without a `/` at the end.
    pub fn url(&self) -> String {
        format!("http://{GATEWAY}:{}", self.port)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next `times` requests whose path contains `path` meet this fault.
    pub fn fault(&self, path: &str, fault: Fault, times: u32) {
        self.lock().faults.push((path.to_owned(), fault, times));
    }

    /// While down, connections are closed without an answer.
    pub fn set_down(&self, down: bool) {
        self.lock().down = down;
    }

    /// Ends all faults.
    pub fn clear_faults(&self) {
        self.lock().faults.clear();
    }

    /// How many connections were closed because it was down.
    pub fn closed(&self) -> usize {
        self.lock().closed
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.lock().requests.clone()
    }

    /// Waits for a request of some kind that came since the server started.
    ///
    /// # Panics
    /// When none has come by the deadline.
    pub fn wait_for(&self, what: &str, deadline: Duration, is: impl Fn(&Request) -> bool) -> Request {
        let start = Instant::now();
        let mut state = self.lock();
        loop {
            if let Some(found) = state.requests.iter().rev().find(|r| is(r)) {
                return found.clone();
            }
            let left = deadline.saturating_sub(start.elapsed());
            let seen: Vec<_> = state.requests.iter().map(|r| format!("{} {}", r.method, r.path)).collect();
            assert!(!left.is_zero(), "no {what} came in {} s; requests: {seen:?}", deadline.as_secs());
            state = self.shared.1.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn serve(stream: &TcpStream, shared: &(Mutex<State>, Condvar)) -> std::io::Result<()> {
    let lock = || shared.0.lock().unwrap_or_else(PoisonError::into_inner);
    let mut state = lock();
    if state.down {
        state.closed += 1;
        return Ok(());
    }
    drop(state);
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut request = Request {
        method: method.to_owned(),
        path: path.to_owned(),
        from: None,
        authorization: None,
        body: Vec::new(),
        status: 0,
    };
    let mut length = 0_u64;
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? == 0 || header.trim().is_empty() {
            break;
        }
        let (name, value) = header.split_once(':').unwrap_or_default();
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap_or(0),
            "authorization" => request.authorization = Some(value.to_owned()),
            "range" => {
                request.from = value.strip_prefix("bytes=").and_then(|v| v.strip_suffix('-')?.parse().ok());
            }
            _ => {}
        }
    }
    reader.take(length).read_to_end(&mut request.body)?;
    let (file, fault) = {
        let mut state = lock();
        let fault =
            state.faults.iter_mut().find(|(p, _, left)| *left > 0 && request.path.contains(p.as_str()));
        let fault = fault.map(|(_, fault, left)| {
            *left -= 1;
            *fault
        });
        (state.root.join(request.path.trim_start_matches('/')), fault)
    };
    // Test paths are the test's own; still, nothing above the directory is served.
    let file = (!request.path.contains("..") && request.method == "GET").then(|| File::open(file));
    request.status = match (&file, fault) {
        (_, Some(Fault::Status(status))) => status,
        (_, Some(Fault::RetryAfter(_))) => 503,
        (None, _) => 204,
        (Some(Ok(file)), _) if file.metadata()?.is_file() => {
            if request.from.is_some() {
                206
            } else {
                200
            }
        }
        _ => 404,
    };
    let (status, from) = (request.status, request.from.unwrap_or(0));
    lock().requests.push(request);
    shared.1.notify_all();
    let mut out = stream;
    match file {
        Some(Ok(file)) if status == 200 || status == 206 => {
            let done = body(out, file, from, status, fault);
            if let Some(Fault::DieAfter(_)) = fault {
                lock().down = true;
            }
            done
        }
        _ => {
            let wait = if let Some(Fault::RetryAfter(seconds)) = fault {
                format!("Retry-After: {seconds}\r\n")
            } else {
                String::new()
            };
            write!(out, "HTTP/1.1 {status} x\r\n{wait}Content-Length: 0\r\nConnection: close\r\n\r\n")
        }
    }
}

fn body(
    mut out: &TcpStream,
    mut file: File,
    from: u64,
    status: u16,
    fault: Option<Fault>,
) -> std::io::Result<()> {
    let mut size = file.metadata()?.len();
    if let Some(Fault::Length(bytes)) = fault {
        size = bytes.min(size);
    }
    let length = size.saturating_sub(from);
    write!(out, "HTTP/1.1 {status} x\r\nContent-Length: {length}\r\nConnection: close\r\n")?;
    if status == 206 {
        write!(out, "Content-Range: bytes {from}-{}/{size}\r\n", size.saturating_sub(1))?;
    }
    write!(out, "\r\n")?;
    file.seek(SeekFrom::Start(from))?;
    let limit = match fault {
        Some(Fault::CloseAfter(bytes) | Fault::DieAfter(bytes)) => bytes,
        _ => u64::MAX,
    };
    let mut file = file.take(limit);
    let (mut at, mut buffer) = (from, vec![0; 64 << 10]);
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok(());
        }
        if let Some(Fault::Flip(place)) = fault
            && let Some(byte) =
                place.checked_sub(at).and_then(|i| buffer[..n].get_mut(usize::try_from(i).ok()?))
        {
            *byte ^= 1;
        }
        if let Some(Fault::Drip) = fault {
            for byte in &buffer[..n] {
                out.write_all(&[*byte])?;
                std::thread::sleep(Duration::from_secs(2));
            }
        }
        out.write_all(&buffer[..n])?;
        at += n as u64;
    }
}
