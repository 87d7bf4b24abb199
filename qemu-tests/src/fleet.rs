//! A fleet for a test: written, compiled with its own key, and served over HTTP.
//!
//! The file is a real fleet file, so a test says what a sled is told as an operator
//! would; `KEY` and `URL` in it stand for the public key and the server.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::{fs, io, thread};

use metadata::fleet::sign::{NewKey, Signer, new_key};
use yaml::diagnostic::Source;

/// A fleet of one sled, `sled1`, in bay 1 of rack `r1`, known by this MAC. `more` are
/// further lines of its role's `config:`, indented by six spaces.
pub fn one_sled(image: &str, mac: &str, more: &str) -> String {
    format!(
        "fleet: test
servers: {{metadata: [URL], image: [URL/images], report: [URL]}}
trust: [KEY]
racks: {{r1: {{bays: 4}}}}
roles:
  test:
    image: {image}
    config:
      hostname: sled1
      networks: {{mgmt: {{match: {{mac: ['{mac}']}}, address: dhcp}}}}
{more}
sleds:
  sled1: {{rack: r1, bay: 1, role: test, macs: ['{mac}']}}
"
    )
}

/// A key, a server, and the directory it serves: documents in `v1/`, images in `images/`.
#[derive(Debug)]
pub struct FleetServer {
    /// The served directory.
    pub root: PathBuf,
    /// `http://127.0.0.1:PORT`; a guest of QEMU's user network uses 10.0.2.2 instead.
    pub server: FileServer,
    key: String,
    /// The public key's line, for `sledos.trust=`.
    pub public: String,
}

impl FleetServer {
    /// Makes a key and serves `root`; `images` (`NAME/VERSION` below it) becomes `root/images`.
    ///
    /// # Panics
    /// When that fails: this is test code.
    pub fn start(root: &Path, images: &Path) -> Self {
        fs::create_dir_all(root).expect("the directory can be made");
        std::os::unix::fs::symlink(images, root.join("images")).expect("the images can be linked");
        let NewKey { secret, line, .. } = new_key("test", None).expect("there are random numbers");
        let server = FileServer::start(root).expect("a port is free");
        Self { root: root.to_owned(), server, key: secret, public: line }
    }

    /// Compiles a fleet file as of `time` and puts its documents into place. `host` is
    /// what the sled calls the machine of this server: `10.0.2.2`.
    ///
    /// # Panics
    /// When the file has mistakes or an image is missing.
    pub fn compile(&self, fleet: &str, host: &str, time: u64) -> metadata::fleet::compile::Plan {
        let url = format!("http://{host}:{}", self.server.address.port());
        let text = fleet.replace("KEY", &self.public).replace("URL", &url);
        let fleet =
            metadata::fleet::load(&Source::new("fleet.yaml", text)).expect("a fleet without mistakes");
        let signer = Signer::parse(&self.key, None).expect("the key was made just now");
        let images = self.root.join("images");
        let done = sledos::fleet::compile_to(&fleet, &images, &signer, &self.root, time, 1);
        done.expect("the images are there").0
    }
}

/// A static HTTP server: GET with ranges, and POSTed bodies are kept.
#[derive(Debug)]
pub struct FileServer {
    /// Where it listens.
    pub address: SocketAddr,
    posted: Arc<Mutex<Vec<(String, Vec<u8>)>>>,
    asked: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    accepting: Option<thread::JoinHandle<()>>,
}

impl FileServer {
    /// Serves a directory on a free port of all addresses.
    ///
    /// # Errors
    /// When no port is free.
    pub fn start(root: &Path) -> io::Result<Self> {
        let listener = TcpListener::bind("0.0.0.0:0")?;
        let address = listener.local_addr()?;
        let (posted, asked) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
        let stop = Arc::new(AtomicBool::new(false));
        let (root, its_stop, its_posted, its_asked) =
            (root.to_owned(), Arc::clone(&stop), Arc::clone(&posted), Arc::clone(&asked));
        let accepting = thread::spawn(move || {
            for stream in listener.incoming() {
                if its_stop.load(Ordering::SeqCst) {
                    return;
                }
                let (root, posted, asked) = (root.clone(), Arc::clone(&its_posted), Arc::clone(&its_asked));
                thread::spawn(move || {
                    // A client that goes away is its own business.
                    let _ = stream.and_then(|stream| answer(stream, &root, &posted, &asked));
                });
            }
        });
        Ok(Self { address, posted, asked, stop, accepting: Some(accepting) })
    }

    /// Path and body of every POST so far.
    pub fn posted(&self) -> Vec<(String, Vec<u8>)> {
        self.posted.lock().map(|p| p.clone()).unwrap_or_default()
    }

    /// Paths of every GET so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().map(|p| p.clone()).unwrap_or_default()
    }
}

impl Drop for FileServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for a connection.
        TcpStream::connect(("127.0.0.1", self.address.port())).ok();
        if let Some(thread) = self.accepting.take() {
            thread.join().ok();
        }
    }
}

fn answer(
    mut stream: TcpStream,
    root: &Path,
    posted: &Mutex<Vec<(String, Vec<u8>)>>,
    asked: &Mutex<Vec<String>>,
) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut words = first.split_ascii_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default().to_owned());
    let (mut length, mut from) = (0_u64, None);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? <= 2 {
            break;
        }
        let (name, value) = line.split_once(':').unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap_or(0),
            "range" => {
                from = value.trim().strip_prefix("bytes=").and_then(|r| r.split('-').next()?.parse().ok())
            }
            _ => {}
        }
    }
    if method == "POST" {
        let mut body = Vec::new();
        reader.take(length.min(16 << 20)).read_to_end(&mut body)?;
        if let Ok(mut posted) = posted.lock() {
            posted.push((path, body));
        }
        return stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    }
    if let Ok(mut asked) = asked.lock() {
        asked.push(path.clone());
    }
    let inside = !path.split('/').any(|part| part == "..");
    let file = fs::File::open(root.join(path.trim_start_matches('/'))).ok().filter(|_| inside);
    let Some(mut file) = file.filter(|f| f.metadata().is_ok_and(|m| m.is_file())) else {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    };
    let size = file.metadata()?.len();
    let start = from.filter(|f| *f < size).unwrap_or(0);
    io::Seek::seek(&mut file, io::SeekFrom::Start(start))?;
    let status = match from {
        Some(_) => {
            format!("206 Partial Content\r\nContent-Range: bytes {start}-{}/{size}", size.saturating_sub(1))
        }
        None => "200 OK".to_owned(),
    };
    let length = size - start;
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nAccept-Ranges: bytes\r\nConnection: close\r\n\r\n"
    )?;
    if method != "HEAD" {
        io::copy(&mut file, &mut stream)?;
    }
    Ok(())
}
