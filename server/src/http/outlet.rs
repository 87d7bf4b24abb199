//! Files straight from the page cache into the socket: sendfile(2).
//!
//! hyper sees a hole of the right length in the body, bytes of [`HOLE`]; when they come to the socket, what
//! is written is the file. So its counting, keep-alive and flow control stay, and nothing is copied. Holes
//! are told by their address: nothing else in the program points there. Without TLS only.

use bytes::Bytes;
use rustix::fs::sendfile;
use rustix::io::Errno;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// What stands for parts of files, never sent. As long as the longest part.
static HOLE: [u8; 1 << 20] = [0; 1 << 20];
/// How much is read at once where the kernel has no sendfile for the file, in bytes.
const COPY: usize = 64 << 10;

/// A part of a file that is the next to be sent.
#[derive(Debug)]
struct Segment {
    file: Arc<File>,
    at: u64,
    left: usize,
}

/// The parts behind the holes of one connection, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outlet(Arc<Mutex<VecDeque<Segment>>>);

impl Outlet {
    /// What stands for a part of a file, as long as it may be; the part is sent in its place.
    pub(crate) fn hole(&self, file: &Arc<File>, at: u64, length: u64) -> Bytes {
        let left = usize::try_from(length).unwrap_or(usize::MAX).min(HOLE.len());
        let segment = Segment { file: Arc::clone(file), at, left };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(segment);
        Bytes::from_static(HOLE.get(..left).unwrap_or_default())
    }
}

fn is_hole(bytes: &[u8]) -> bool {
    HOLE.as_ptr_range().contains(&bytes.as_ptr())
}

/// A TCP connection whose holes are filled.
#[derive(Debug)]
pub(crate) struct Filled {
    stream: TcpStream,
    outlet: Outlet,
    /// The kernel has no sendfile for these files.
    copies: bool,
}

impl Filled {
    pub(crate) fn new(stream: TcpStream, outlet: Outlet) -> Self {
        Self { stream, outlet, copies: false }
    }

    /// Sends the first part, or a piece of it; `length` bytes stand for what is left of it.
    fn fill(&mut self, context: &mut Context<'_>, length: usize) -> Poll<io::Result<usize>> {
        let Self { stream, outlet, copies } = self;
        let mut segments = outlet.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(segment) = segments.front_mut().filter(|segment| segment.left == length) else {
            // Rather no answer than a wrong one.
            return Poll::Ready(Err(io::Error::other("a hole without its file")));
        };
        let sent = loop {
            if *copies {
                let mut bytes = vec![0; segment.left.min(COPY)];
                segment.file.read_exact_at(&mut bytes, segment.at)?;
                break ready!(Pin::new(&mut *stream).poll_write(context, &bytes))?;
            }
            ready!(stream.poll_write_ready(context))?;
            let mut at = segment.at;
            let once = || Ok(sendfile(&*stream, &segment.file, Some(&mut at), segment.left)?);
            match stream.try_io(Interest::WRITABLE, once) {
                // Its length was promised.
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                Ok(sent) => break sent,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock || e.kind() == io::ErrorKind::Interrupted => {
                }
                Err(e)
                    if matches!(
                        Errno::from_io_error(&e),
                        Some(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP)
                    ) =>
                {
                    *copies = true;
                }
                Err(e) => return Poll::Ready(Err(e)),
            }
        };
        segment.at += u64::try_from(sent).unwrap_or_default();
        segment.left = segment.left.saturating_sub(sent);
        if segment.left == 0 {
            segments.pop_front();
        }
        Poll::Ready(Ok(sent))
    }
}

impl AsyncRead for Filled {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buf)
    }
}

impl AsyncWrite for Filled {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if is_hole(bytes) {
            return this.fill(context, bytes.len());
        }
        Pin::new(&mut this.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let bytes = bytes.iter().position(|slice| !slice.is_empty()).and_then(|at| bytes.get(at..));
        let bytes = bytes.unwrap_or_default();
        match bytes.iter().position(|slice| is_hole(slice)) {
            Some(0) => {
                let length = bytes.first().map_or(0, |slice| slice.len());
                this.fill(context, length)
            }
            hole => {
                let before = bytes.get(..hole.unwrap_or(bytes.len())).unwrap_or_default();
                Pin::new(&mut this.stream).poll_write_vectored(context, before)
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        // Else hyper would copy holes together with other bytes.
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use tokio::io::AsyncWriteExt as _;

    /// What comes out at the other end when head, holes and tail are written as hyper does.
    fn through(file: &[u8], parts: &[(u64, u64)], copies: bool) -> Vec<u8> {
        let mut temp = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut temp, file).unwrap();
        let temp = Arc::new(temp);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            listener.accept().unwrap().0.read_to_end(&mut all).unwrap();
            all
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(async {
            let outlet = Outlet::default();
            let mut filled = Filled::new(TcpStream::connect(address).await.unwrap(), outlet.clone());
            filled.copies = copies;
            filled.write_all(b"head").await.unwrap();
            let holes: Vec<Bytes> =
                parts.iter().map(|(at, length)| outlet.hole(&temp, *at, *length)).collect();
            let mut todo: VecDeque<Bytes> = holes.into();
            todo.push_front(Bytes::from_static(b"first"));
            todo.push_back(Bytes::from_static(b"last"));
            while !todo.is_empty() {
                let slices: Vec<_> = todo.iter().map(|b| IoSlice::new(b)).collect();
                let mut sent = filled.write_vectored(&slices).await.unwrap();
                while let Some(front) = todo.front_mut().filter(|front| sent >= front.len()) {
                    sent -= front.len();
                    todo.pop_front();
                }
                if let Some(front) = todo.front_mut() {
                    bytes::Buf::advance(front, sent);
                }
            }
            filled.shutdown().await.unwrap();
        });
        reader.join().unwrap()
    }

    #[test]
    fn the_file_stands_where_the_holes_were() {
        let file: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        let parts = [(0, 1 << 20), (2_999_990, 10), (7, 1), (500_000, 1_000_000)];
        let mut want = b"headfirst".to_vec();
        for (at, length) in parts {
            let [at, length] = [at, length].map(|bytes| usize::try_from(bytes).unwrap());
            want.extend(&file[at..at + length]);
        }
        want.extend(b"last");
        for copies in [false, true] {
            assert!(through(&file, &parts, copies) == want, "{copies}");
        }
    }

    #[test]
    fn a_hole_without_its_file_is_an_error_and_so_is_a_file_that_is_shorter() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(async {
            let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let outlet = Outlet::default();
            let mut filled = Filled::new(stream, outlet.clone());
            assert!(filled.write(&HOLE[..9]).await.is_err());
            let short = outlet.hole(&Arc::new(tempfile::tempfile().unwrap()), 0, 9);
            assert_eq!(filled.write(&short).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
            assert!(filled.write(&short[1..]).await.is_err(), "another length than is left");
        });
    }
}
