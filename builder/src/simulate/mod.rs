//! `sledos fleet simulate`: a power failure is over, and all sleds want something at once.
//!
//! Virtual sleds run PID 1's own code (`sledos_init`): the loop that asks for a document
//! and judges it, the download that verifies every block and goes on where it broke off,
//! the reports. Servers are real `sledos serve` processes with stores on the disk, reached
//! over TCP; they are killed (SIGKILL) and started again.
//!
//! | What | Module |
//! |---|---|
//! | a fleet with documents and an image, made up | [`world`] |
//! | servers, and who kills them | [`servers`] |
//! | slow links, links that break | [`link`] |
//! | one sled, from power-on to ready | [`sled`] |
//! | hardware that nobody knows | [`strangers`] |
//! | what came of it | [`figures`] |
//!
//! Not simulated: firmware, iPXE, DHCP, kernels, disks. A sled is a thread, and all of
//! them share the CPUs of this machine with the servers: times are upper bounds.

pub mod figures;
pub mod link;
pub mod servers;
pub mod sled;
pub mod strangers;
pub mod world;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::exit::{Classify, Exit};
use figures::Figures;
use link::Link;
use servers::Farm;

/// Memory of a sled's thread. Its buffers are elsewhere.
const STACK: usize = 512 << 10;

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many sleds.
    pub sleds: usize,
    /// How many servers, each with a store of its own.
    pub servers: usize,
    /// Bytes of the image.
    pub image: usize,
    /// How often a server is killed: when equal parts of the sleds are ready.
    pub kills: usize,
    /// How long a killed server is away.
    pub down: Duration,
    /// The links of the sleds.
    pub link: Link,
    /// How many machines that nobody knows post their inventories meanwhile.
    pub strangers: usize,
    /// Sleds are switched on within this time, not all in one moment.
    pub spread: Duration,
    /// When to give up.
    pub deadline: Duration,
    /// Now, in seconds since 1970.
    pub time: u64,
    /// The `sledos` program.
    pub program: PathBuf,
    /// A directory for everything.
    pub dir: PathBuf,
}

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or written.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The fleet that was made up is wrong: a bug.
    #[error(transparent)]
    Fleet(#[from] crate::fleet::Error),
    /// A server does not start.
    #[error("server {number} does not start; {} has what it said", log.display())]
    Server {
        /// Which, from 1.
        number: usize,
        /// Its log.
        log: PathBuf,
    },
    /// A server does not say how the sleds are.
    #[error(transparent)]
    Status(#[from] crate::serve::Error),
    /// Some sleds did not get ready.
    #[error("{0} sleds were lost")]
    Lost(usize),
    /// No thread for a sled.
    #[error("cannot start a thread for sled {number}")]
    Thread {
        /// Which, from 0.
        number: usize,
        /// Why not.
        source: io::Error,
    },
}

impl Error {
    fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }
}

impl Classify for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::Fleet(error) => error.exit(),
            Self::Status(error) => error.exit(),
            Self::Io { .. } | Self::Server { .. } | Self::Lost(_) | Self::Thread { .. } => Exit::Failure,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Thread { .. } => Some("fewer --sleds, or a greater `ulimit -u`".to_owned()),
            _ => None,
        }
    }
}

/// Simulates. Servers that are killed, and sleds that get ready, are said as they do.
///
/// # Errors
/// See [`Error`]. That a sled is lost is none: it is a figure.
pub fn run(settings: &Settings, say: &(dyn Fn(&str) + Sync)) -> Result<Figures, Error> {
    // A sled has a connection at a time, a relay two.
    crate::serve::raise_open_files();
    let world = world::make(settings)?;
    let farm = Farm::start(settings)?;
    let urls = match settings.link.is_plain() {
        true => farm.urls(),
        false => {
            link::relays(&farm.addresses(), settings.link).map_err(Error::io("listen in", &settings.dir))?
        }
    };
    let (ready, done, start) = (AtomicUsize::new(0), AtomicBool::new(false), Instant::now());
    let each = settings.spread / u32::try_from(settings.sleds.max(1)).unwrap_or(u32::MAX);
    let (runs, killed, strangers, took) = std::thread::scope(|scope| {
        let strangers = scope.spawn(|| strangers::post(&farm.addresses(), settings.strangers));
        let killer = scope.spawn(|| kill(&farm, settings, (&ready, &done), start, say));
        let mut sleds = Vec::with_capacity(settings.sleds);
        for (number, place) in world.sleds.iter().enumerate() {
            let (world, ready, urls) = (&world, &ready, &urls);
            let after = each.saturating_mul(u32::try_from(number).unwrap_or(u32::MAX));
            let one = move || {
                std::thread::sleep(after);
                let run = sled::run(world, place, urls, number, start + settings.deadline);
                ready.fetch_add(usize::from(run.ready.is_some()), Ordering::Relaxed);
                run
            };
            let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, one);
            sleds.push(thread.map_err(|source| Error::Thread { number, source }));
        }
        let runs: Result<Vec<_>, Error> =
            sleds.into_iter().map(|t| t.map(|t| t.join().unwrap_or_default())).collect();
        // Nobody is left to wait for.
        done.store(true, Ordering::Relaxed);
        let took = start.elapsed();
        (runs, killer.join().unwrap_or_default(), strangers.join().unwrap_or_default(), took)
    });
    let known = farm.ready()?;
    Ok(Figures { strangers, ..Figures::new(settings, &runs?, killed, took, &known) })
}

/// Kills servers in turn when equal parts of the sleds are ready. Returns how many it were.
fn kill(
    farm: &Farm,
    settings: &Settings,
    (ready, done): (&AtomicUsize, &AtomicBool),
    start: Instant,
    say: &(dyn Fn(&str) + Sync),
) -> usize {
    for n in 1..=settings.kills {
        let at = settings.sleds * n / (settings.kills + 1);
        let reached = loop {
            let now = ready.load(Ordering::Relaxed);
            if now >= at {
                break now;
            }
            if done.load(Ordering::Relaxed) {
                return n - 1;
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let number = (n - 1) % settings.servers;
        let seconds = start.elapsed().as_secs_f64();
        say(&format!("{seconds:.2} s: server {} is killed, {reached} sleds are ready", number + 1));
        farm.kill(number);
        std::thread::sleep(settings.down);
        match farm.restart(number) {
            Ok(()) => {
                let seconds = start.elapsed().as_secs_f64();
                say(&format!("{seconds:.2} s: server {} is back", number + 1));
            }
            Err(error) => say(&format!("server {} does not come back: {error}", number + 1)),
        }
    }
    settings.kills
}
