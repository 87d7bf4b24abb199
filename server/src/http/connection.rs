//! Connections: how many, and how long somebody may do nothing.

use super::body::Body;
use super::outlet::{Filled, Outlet};
use crate::App;
use crate::metrics::Refusal;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// Longest head of a request, in bytes.
const MAX_HEAD: usize = 16 << 10;

/// What one connection, and all of them, may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// Of these, from one address.
    pub per_address: usize,
    /// From the connection, or the last answer, to the end of the next head.
    pub head: Duration,
    /// From the head to the end of the body.
    pub body: Duration,
    /// Longest body in bytes, of who has shown a token.
    pub max_body: usize,
    /// Longest body of an inventory, which anybody may send.
    pub max_inventory: usize,
    /// How long somebody may take for what is in the buffers, a few ten kilobytes.
    pub stall: Duration,
    /// Streams of events at once.
    pub streams: usize,
    /// Of these, from one address.
    pub streams_per_address: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            per_address: 512,
            head: Duration::from_secs(10),
            body: Duration::from_secs(20),
            max_body: 1 << 20,
            max_inventory: 64 << 10,
            stall: Duration::from_secs(60),
            streams: 256,
            streams_per_address: 16,
        }
    }
}

/// How many there are of something, by address.
#[derive(Debug, Default)]
pub(crate) struct Open(Mutex<(usize, HashMap<IpAddr, usize>)>);

impl Open {
    /// One more, if no more than `all` and, from its address, `own` are there already. It is
    /// counted until it is dropped.
    pub(crate) fn take(self: &Arc<Self>, address: IpAddr, all: usize, own: usize) -> Option<Seat> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let has = open.1.get(&address).copied().unwrap_or_default();
        if open.0 >= all || has >= own {
            return None;
        }
        open.0 += 1;
        open.1.insert(address, has + 1);
        drop(open);
        Some(Seat(Arc::clone(self), address))
    }
}

/// One of them.
pub(crate) struct Seat(Arc<Open>, IpAddr);

impl Drop for Seat {
    fn drop(&mut self) {
        let Self(open, address) = self;
        let mut open = open.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.0 = open.0.saturating_sub(1);
        if let Some(own) = open.1.get_mut(address) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                open.1.remove(address);
            }
        }
    }
}

/// Counts a connection for the metrics until it is dropped.
struct Counted<'a>(&'a AtomicU64);

impl<'a> Counted<'a> {
    fn new(open: &'a AtomicU64) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(open)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Serves a connection to its end.
pub(crate) async fn serve(app: Arc<App>, stream: tokio::net::TcpStream, address: IpAddr) {
    app.metrics.connections.fetch_add(1, Ordering::Relaxed);
    // IPv4 addresses are those, also on a socket for both.
    let address = address.to_canonical();
    let Limits { connections, per_address, .. } = app.limits;
    let Some(_seat) = app.open.take(address, connections, per_address) else {
        app.metrics.refuse(Refusal::Busy);
        app.log.limited("too many connections", &address.to_string());
        return;
    };
    let _counted = Counted::new(&app.metrics.open);
    let _ = stream.set_nodelay(true);
    match &app.tls {
        None => {
            let outlet = Outlet::default();
            talk(&app, Filled::new(stream, outlet.clone()), address, Some(&outlet)).await;
        }
        Some(acceptor) => match tokio::time::timeout(app.limits.head, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => talk(&app, stream, address, None).await,
            _ => {
                app.metrics.refuse(Refusal::Tls);
                app.log.limited("no TLS", &address.to_string());
            }
        },
    }
}

/// Files go by the outlet, when there is one.
async fn talk(
    app: &Arc<App>,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    address: IpAddr,
    outlet: Option<&Outlet>,
) {
    let watched = Watched { stream, stall: app.limits.stall, waits: None, app: Arc::clone(app) };
    let service = service_fn(|request: Request<Incoming>| async move {
        let mut reply = super::route::answer(app, request, address).await;
        if let (Body::File(part), Some(outlet)) = (reply.body_mut(), outlet) {
            part.send_by(outlet);
        }
        Ok::<_, Infallible>(reply)
    });
    let done = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(app.limits.head)
        .max_buf_size(MAX_HEAD)
        .max_headers(64)
        .writev(true)
        .serve_connection(TokioIo::new(watched), service)
        .await;
    if let Err(error) = done {
        // Who hangs up in the middle of an answer is no trouble.
        if error.is_parse() || error.is_timeout() || error.is_parse_too_large() {
            app.metrics.refuse(Refusal::Protocol);
            app.log.limited("not HTTP", &format!("{address}: {error}"));
        }
    }
}

/// A stream that ends when nobody takes what is written for too long: not only who takes
/// nothing, also who takes a byte now and then. What is in the buffers is all taken, or
/// the connection ends.
struct Watched<S> {
    stream: S,
    stall: Duration,
    waits: Option<Pin<Box<Sleep>>>,
    app: Arc<App>,
}

impl<S> Watched<S> {
    /// Once something could not be written, everything is to be within the time; hyper
    /// flushes when its buffers are empty.
    fn watch<T>(&mut self, context: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            return poll;
        }
        let until = Instant::now() + self.stall;
        let waits = self.waits.get_or_insert_with(|| Box::pin(sleep_until(until)));
        match waits.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

use std::future::Future as _;

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(n)) = poll {
            this.app.metrics.sent.fetch_add(u64::try_from(n).unwrap_or_default(), Ordering::Relaxed);
        }
        this.watch(context, poll)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.stream).poll_write_vectored(context, bytes);
        if let Poll::Ready(Ok(n)) = poll {
            this.app.metrics.sent.fetch_add(u64::try_from(n).unwrap_or_default(), Ordering::Relaxed);
        }
        this.watch(context, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.stream).poll_flush(context);
        if poll.is_ready() {
            this.waits = None;
        }
        this.watch(context, poll)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.stream).poll_shutdown(context);
        this.watch(context, poll)
    }
}
