//! `sledos serve`: images, documents and boot scripts for sleds; their reports, kept; a
//! page that shows the racks.
//!
//! | What | Module |
//! |---|---|
//! | documents of one compilation, exchanged as a whole | [`site`] |
//! | states, facts, differences of sleds | [`sled`] |
//! | records, one thread that keeps them, the database | [`keeper`], [`store`] |
//! | HTTP | [`http`] |
//! | the rack page | `page` |
//! | taking unknown hardware in | [`bind`] |
//! | DHCP and TFTP by dnsmasq; files for other infrastructure | [`pxe`], [`export`] |
//! | counters, what is said on standard error | [`metrics`], [`log`] |
//!
//! The library compiles nothing: whoever starts it gives a [`Fleet`] that does, or none,
//! when documents are compiled elsewhere. Documents are read into memory and exchanged
//! as a whole; artefacts are read from the disk as they are sent.
#![forbid(unsafe_code)]

pub mod bind;
pub mod export;
pub mod http;
pub mod keeper;
pub mod log;
pub mod metrics;
mod page;
pub mod pxe;
pub mod site;
pub mod sled;
pub mod store;
mod tls;
mod watch;

use bind::Binding;
use http::connection::{Limits, Open};
use keeper::Keeper;
use log::Log;
use metadata::fleet::compile::INDEX;
use metadata::fleet::sign::Signer;
use metrics::Metrics;
use site::{Current, Site};
use sled::state::Millis;
use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where the fleet file's documents come from.
pub trait Fleet: Send {
    /// Whether the fleet file, or an image it names, is another one than when it was last
    /// asked. Called every second.
    fn changed(&mut self) -> bool;
    /// Compiles into the directory that is served, in one step.
    ///
    /// # Errors
    /// Everything that is wrong, for people; the directory is then as it was.
    fn compile(&mut self) -> Result<String, String>;
    /// Takes hardware in: changes the fleet file. It is compiled afterwards.
    ///
    /// # Errors
    /// Why it cannot be, for people; the file is then as it was.
    fn bind(&mut self, binding: &Binding) -> Result<String, String>;
}

/// What is served, and how.
pub struct Config {
    /// Where to listen; port 0 is any free one.
    pub listen: SocketAddr,
    /// Certificate chain and key, PEM files.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// The directory with documents in `v1`.
    pub documents: PathBuf,
    /// The directory with images as `NAME/VERSION`.
    pub images: PathBuf,
    /// The directory with iPXE, served at /pxe; it need not be there.
    pub pxe: PathBuf,
    /// The file of the store.
    pub store: PathBuf,
    /// What an operator shows to change something.
    pub operator: String,
    /// Says that documents are the newest; without it nobody does.
    pub freshness: Option<Signer>,
    /// Names by which browsers and sleds may ask, besides addresses and those in the documents.
    pub names: Vec<String>,
    /// Compiles documents.
    pub fleet: Option<Box<dyn Fleet>>,
    /// Limits of connections.
    pub limits: Limits,
    /// How long a sled may not be heard of on its way.
    pub silent: Duration,
    /// Where lines for people go.
    pub log: Box<dyn Fn(&str) + Send + Sync>,
}

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened on.
    #[error("cannot listen on {0}")]
    Listen(SocketAddr, #[source] io::Error),
    /// The store cannot be opened.
    #[error("the states of the sleds cannot be kept")]
    Store(#[from] store::Error),
    /// The certificate or its key cannot be used.
    #[error("cannot use the certificate {} with the key {}", .0.display(), .1.display())]
    Tls(PathBuf, PathBuf, #[source] tls::Error),
    /// No threads.
    #[error("cannot start threads")]
    Threads(#[source] io::Error),
    /// There are no documents, and nothing to compile them from; or some that do not read.
    #[error("there are no documents to hand out")]
    Site(#[from] site::Error),
}

/// Everything a request may need.
pub(crate) struct App {
    pub(crate) site: Current,
    pub(crate) keeper: Keeper,
    pub(crate) images: PathBuf,
    pub(crate) documents: PathBuf,
    pub(crate) pxe: PathBuf,
    pub(crate) operator: String,
    pub(crate) freshness: Option<Signer>,
    pub(crate) fleet: Option<Mutex<Box<dyn Fleet>>>,
    pub(crate) limits: Limits,
    pub(crate) silent: Duration,
    pub(crate) open: Arc<Open>,
    pub(crate) streams: Arc<Open>,
    pub(crate) names: BTreeSet<String>,
    /// The last status, and of which versions of records and documents it is.
    pub(crate) status: Mutex<Option<http::status::Made>>,
    pub(crate) tls: Option<tokio_rustls::TlsAcceptor>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) log: Arc<Log>,
    problem: RwLock<Option<String>>,
}

/// Milliseconds since 1970.
pub(crate) fn now() -> Millis {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    Millis::try_from(now).unwrap_or(Millis::MAX)
}

impl App {
    pub(crate) fn problem(&self) -> Option<String> {
        self.problem.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the documents anew. Everybody who looks is told.
    pub(crate) fn reload(&self) -> Result<(), site::Error> {
        let site = Site::load(&self.documents)?;
        self.warn_of_keys(&site);
        self.site.set(site);
        self.metrics.compiled.fetch_add(1, Ordering::Relaxed);
        self.tell_all();
        Ok(())
    }

    /// Sleds that no document of this server helps.
    fn warn_of_keys(&self, site: &Site) {
        let own = self.freshness.as_ref().map(|signer| signer.public().as_str());
        let sleds: Vec<_> = site.not_by(own).collect();
        if let Some(first) = sleds.first() {
            self.log.say(&format!(
                "warning: {} sleds, as {first}, refuse their documents from this server: it has no key that they name \
                 for freshness (--freshness-key)",
                sleds.len()
            ));
        }
    }

    fn tell_all(&self) {
        // An empty id: everything. Nobody may be listening.
        let _ = self.keeper.changes.send(String::new());
    }

    /// Compiles the fleet file and takes the result over; what is wrong with it is kept
    /// for the page, and the documents stay.
    pub(crate) fn compile(&self, fleet: &mut dyn Fleet) -> Result<(), String> {
        let done = fleet.compile().and_then(|says| {
            self.reload().map_err(|e| e.to_string())?;
            Ok(says)
        });
        let problem = match &done {
            Ok(says) => {
                self.log.say(says);
                None
            }
            Err(why) => {
                self.log.say("the fleet file cannot be used; what is handed out stays as it was:");
                why.lines().for_each(|line| self.log.say(line));
                Some(why.clone())
            }
        };
        *self.problem.write().unwrap_or_else(PoisonError::into_inner) = problem;
        self.tell_all();
        done.map(|_| ())
    }

    pub(crate) fn bind(&self, binding: &Binding, from: std::net::IpAddr) -> Result<String, String> {
        let Some(fleet) = &self.fleet else { return Err("this server has no fleet file".to_owned()) };
        let mut fleet = fleet.lock().unwrap_or_else(PoisonError::into_inner);
        let says = fleet.bind(binding)?;
        self.compile(fleet.as_mut())?;
        self.log.say(&format!("the operator, from {from}: {says}"));
        Ok(says)
    }
}

/// A server that runs. It stops when it is dropped.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its counters.
    pub metrics: Arc<Metrics>,
    runtime: Option<tokio::runtime::Runtime>,
    app: Option<Arc<App>>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Running({})", self.address)
    }
}

/// Starts a server. A fleet file with mistakes is no reason not to: what was compiled
/// before is handed out. Documents that do not read are one.
///
/// # Errors
/// See [`Error`].
pub fn start(config: Config) -> Result<Running, Error> {
    let Config {
        listen,
        tls,
        documents,
        images,
        pxe,
        store,
        operator,
        freshness,
        names,
        fleet,
        limits,
        silent,
        log,
    } = config;
    let metrics = Arc::new(Metrics::default());
    let log = Arc::new(Log::new(log));
    let acceptor = match tls {
        None => None,
        Some((chain, key)) => Some(tls::acceptor(&chain, &key).map_err(|e| Error::Tls(chain, key, e))?),
    };
    let trouble = {
        let (metrics, log) = (Arc::clone(&metrics), Arc::clone(&log));
        move |error: Option<&store::Error>| {
            metrics.store_broken.store(u64::from(error.is_some()), Ordering::Relaxed);
            log.say(&match error {
                Some(error) => {
                    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |e| e.source());
                    format!(
                        "reports are refused: {}",
                        causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
                    )
                }
                None => "reports are kept again".to_owned(),
            });
        }
    };
    let keeper = Keeper::start(&store, now, Box::new(trouble))?;
    let app = Arc::new(App {
        site: Current::default(),
        keeper,
        images,
        documents,
        pxe,
        operator,
        freshness,
        fleet: fleet.map(Mutex::new),
        limits,
        silent,
        open: Arc::default(),
        streams: Arc::default(),
        names: std::iter::once("localhost".to_owned())
            .chain(names.iter().map(|name| name.to_ascii_lowercase()))
            .collect(),
        status: Mutex::default(),
        tls: acceptor,
        metrics: Arc::clone(&metrics),
        log,
        problem: RwLock::default(),
    });
    match &app.fleet {
        None => app.reload()?,
        Some(fleet) => {
            let mut fleet = fleet.lock().unwrap_or_else(PoisonError::into_inner);
            fleet.changed();
            if app.compile(fleet.as_mut()).is_err() && app.documents.join(INDEX).exists() {
                // What was compiled before: if that does not read, better no server than an empty fleet.
                app.reload()?;
            }
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Error::Threads)?;
    let listener = {
        let _inside = runtime.enter();
        let bound = std::net::TcpListener::bind(listen).and_then(|listener| {
            listener.set_nonblocking(true)?;
            tokio::net::TcpListener::from_std(listener)
        });
        bound.map_err(|e| Error::Listen(listen, e))?
    };
    let address = listener.local_addr().map_err(|e| Error::Listen(listen, e))?;
    runtime.spawn(accept(Arc::clone(&app), listener));
    runtime.spawn(watch::watch(Arc::clone(&app)));
    Ok(Running { address, metrics, runtime: Some(runtime), app: Some(app) })
}

async fn accept(app: Arc<App>, listener: tokio::net::TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                drop(tokio::spawn(http::connection::serve(Arc::clone(&app), stream, peer.ip())))
            }
            Err(error) => {
                // Out of file descriptors: those that are open have to end first.
                app.log.limited("cannot accept", &error.to_string());
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

impl Running {
    /// What is wrong with the fleet file, if something is.
    pub fn problem(&self) -> Option<String> {
        self.app.as_ref().and_then(|app| app.problem())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(2));
        }
        // The last one: what waits is written.
        self.app = None;
    }
}
