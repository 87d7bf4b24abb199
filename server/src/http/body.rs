//! Bodies of answers: bytes, parts of files, streams of events.

use super::outlet::Outlet;
use crate::metrics::Metrics;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::fs::File;
use std::future::Future as _;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// What all connections together may have read of files and not sent yet, in bytes: about.
const BUDGET: u64 = 128 << 20;
/// How much of a file is read at once, in bytes: at least, and at most.
const CHUNK: (u64, u64) = (8 << 10, 256 << 10);

/// How much is read at once when so many connections are open. Of each two parts are in
/// memory: one that is sent, and the next.
fn chunk(open: u64) -> u64 {
    (BUDGET / 2 / open.max(1)).clamp(CHUNK.0, CHUNK.1)
}

/// A body.
#[derive(Debug)]
pub enum Body {
    /// Bytes that are there.
    Bytes(Option<Bytes>),
    /// A part of a file.
    File(Part),
    /// What somebody sends, until he stops.
    Events(mpsc::Receiver<Bytes>),
}

/// A part of a file, sent as it is, or read while it is sent.
#[derive(Debug)]
pub struct Part {
    file: Arc<File>,
    metrics: Arc<Metrics>,
    at: u64,
    end: u64,
    reading: Option<JoinHandle<io::Result<Vec<u8>>>>,
    /// Fills holes with it, instead of reading.
    outlet: Option<Outlet>,
}

impl Body {
    /// A file from one byte to before another.
    pub fn part(file: File, from: u64, to: u64, metrics: &Arc<Metrics>) -> Self {
        let (file, metrics) = (Arc::new(file), Arc::clone(metrics));
        Self::File(Part { file, metrics, at: from, end: to, reading: None, outlet: None })
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(Some(bytes.into()))
    }
}

impl Part {
    /// Leaves holes for the file, which this fills.
    pub(super) fn send_by(&mut self, outlet: &Outlet) {
        self.outlet = Some(outlet.clone());
    }

    fn read(&self) -> JoinHandle<io::Result<Vec<u8>>> {
        let (file, at) = (Arc::clone(&self.file), self.at);
        let most = chunk(self.metrics.open.load(Ordering::Relaxed));
        let length = usize::try_from((self.end - self.at).min(most)).unwrap_or(0);
        tokio::task::spawn_blocking(move || {
            let mut chunk = vec![0; length];
            // A file that has become shorter ends the connection: its length was promised.
            file.read_exact_at(&mut chunk, at)?;
            Ok(chunk)
        })
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Bytes(bytes) => {
                Poll::Ready(bytes.take().filter(|b| !b.is_empty()).map(|b| Ok(Frame::data(b))))
            }
            Self::Events(receiver) => {
                receiver.poll_recv(context).map(|event| event.map(|b| Ok(Frame::data(b))))
            }
            Self::File(part) => {
                if part.at >= part.end {
                    return Poll::Ready(None);
                }
                if let Some(outlet) = &part.outlet {
                    let hole = outlet.hole(&part.file, part.at, part.end - part.at);
                    part.at += u64::try_from(hole.len()).unwrap_or(u64::MAX);
                    return Poll::Ready(Some(Ok(Frame::data(hole))));
                }
                let mut reading = part.reading.take().unwrap_or_else(|| part.read());
                match Pin::new(&mut reading).poll(context) {
                    Poll::Pending => {
                        part.reading = Some(reading);
                        Poll::Pending
                    }
                    Poll::Ready(read) => {
                        let chunk = read.map_err(io::Error::other).flatten();
                        if let Ok(chunk) = &chunk {
                            part.at += u64::try_from(chunk.len()).unwrap_or(u64::MAX);
                            // The next is read while this one is sent.
                            part.reading = (part.at < part.end).then(|| part.read());
                        }
                        Poll::Ready(Some(chunk.map(|chunk| Frame::data(chunk.into()))))
                    }
                }
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Bytes(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |b| u64::try_from(b.len()).unwrap_or(u64::MAX)))
            }
            Self::File(part) => SizeHint::with_exact(part.end - part.at),
            Self::Events(_) => SizeHint::default(),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Bytes(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Self::File(part) => part.at >= part.end,
            Self::Events(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_become_smaller_with_more_connections() {
        for open in [0, 1, 100, 512, 1000, 8192] {
            assert!(open * 2 * chunk(open) <= BUDGET, "{open}");
        }
        assert_eq!((chunk(0), chunk(1 << 40)), (256 << 10, 8 << 10));
    }
}
