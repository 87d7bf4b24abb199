//! An HTTP server that misbehaves on request.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// How a file is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// As it should be, with ranges.
    Good,
    /// As it should be, but always the whole file.
    NoRanges,
    /// Half of it, then the connection ends.
    Half,
    /// Half of it, then nothing.
    HangHalfWay,
    /// Connected, and the connection ends.
    HangUp,
    /// Connected, and never an answer.
    Silent,
    /// The right length, but one bit.
    Wrong,
    /// More than there is.
    Endless,
    /// This status.
    Status(u16),
}

pub(crate) struct Server {
    pub(crate) url: String,
    /// `GET` paths, with `@offset` for ranges.
    log: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    accepting: Option<std::thread::JoinHandle<()>>,
    address: std::net::SocketAddr,
}

impl Server {
    /// Serves `root`; `manner` decides by path.
    pub(crate) fn start(root: &Path, manner: impl Fn(&str) -> Manner + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (log, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (root, manner) = (root.to_owned(), Arc::new(manner));
        let (its_log, its_stop) = (log.clone(), stop.clone());
        let accepting = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if its_stop.load(Ordering::SeqCst) {
                    return;
                }
                let (root, manner, log) = (root.clone(), manner.clone(), its_log.clone());
                std::thread::spawn(move || {
                    // A client that goes away is what many tests are about.
                    let _ = stream.and_then(|stream| answer(stream, &root, &*manner, &log));
                });
            }
        });
        Server { url: format!("http://{address}"), log, stop, accepting: Some(accepting), address }
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        let _ = self.accepting.take().map(std::thread::JoinHandle::join);
    }
}

fn answer(
    mut stream: TcpStream,
    root: &Path,
    manner: &dyn Fn(&str) -> Manner,
    log: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut offset = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            if header.trim().is_empty() {
                break;
            }
            let header = header.to_ascii_lowercase();
            if let Some(range) = header.strip_prefix("range: bytes=") {
                offset = range.trim().trim_end_matches('-').parse().unwrap();
            }
        }
        let from = if offset > 0 { format!("@{offset}") } else { String::new() };
        log.lock().unwrap().push(format!("{path}{from}"));
        let manner = manner(&path);
        let file: PathBuf = root.join(OsString::from_vec(unescaped(path.trim_start_matches('/'))));
        let Ok(mut body) = fs::read(file) else {
            write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?;
            continue;
        };
        let mut status = "200 OK";
        if offset > 0 && manner != Manner::NoRanges {
            body = body.split_off(offset.min(body.len()));
            status = "206 Partial Content";
        }
        let half = body.len() / 2;
        match manner {
            Manner::Status(code) => {
                write!(stream, "HTTP/1.1 {code} No\r\nContent-Length: 0\r\n\r\n")?;
                continue;
            }
            Manner::HangUp => return Ok(()),
            Manner::Silent => return until_gone(stream),
            Manner::Endless => {
                write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\n\r\n")?;
                loop {
                    stream.write_all(&body)?;
                }
            }
            Manner::Wrong => body[half] ^= 1,
            _ => {}
        }
        write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len())?;
        match manner {
            Manner::Half => return stream.write_all(&body[..half]),
            Manner::HangHalfWay => {
                stream.write_all(&body[..half])?;
                return until_gone(stream);
            }
            _ => stream.write_all(&body)?,
        }
    }
}

/// Percent-decoding (RFC 3986 section 2.1).
pub(crate) fn unescaped(path: &str) -> Vec<u8> {
    let mut bytes = path.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        let digit = |byte: Option<u8>| byte.and_then(|b| char::from(b).to_digit(16));
        out.push(match byte {
            b'%' => u8::try_from(digit(bytes.next()).unwrap() * 16 + digit(bytes.next()).unwrap()).unwrap(),
            plain => plain,
        });
    }
    out
}

/// Waits for the client to give up.
fn until_gone(mut stream: TcpStream) -> std::io::Result<()> {
    let mut buffer = [0; 64];
    while stream.read(&mut buffer)? > 0 {}
    Ok(())
}

/// A URL nobody listens on.
pub(crate) fn refused() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}
