//! The network of PID 1: all cards at once, until one of them answers.
//!
//! | What | Module |
//! |---|---|
//! | the thread behind it | [`engine`], `link` |
//! | DHCPv4 client, pure | [`dhcp`] |
//! | what a lease or `ip=` means for the kernel, pure | [`plan`] |
//! | kernel messages, pure; the sockets for them | [`netlink`], [`rtnl`], `talk` |
//! | who speaks LLDP, pure; the firmware that keeps it back | [`neighbours`], [`firmware`] |
//! | SFPs that a driver does not take | [`transceivers`] |
//! | frames from and to a card | [`ports`] |
//! | driver, speed, place of a card | [`sysfs`] |
//! | what is known | [`state`] |
//! | why there is no address, pure | [`diagnosis`] |
//! | /etc/resolv.conf | [`resolv`] |
//!
//! IPv6 addresses, routes and MTU are left to the kernel (`accept_ra`, SLAAC);
//! only name servers are read from router advertisements.
//!
//! Assumed: sysfs is mounted. Left behind: addresses and routes stay after
//! [`Network::stop`] and after PID 1 is another program; a leased address ends
//! with its lease unless somebody renews it. An address is never given back,
//! since the sled goes on with it; the image's client gets the same one when it
//! says the same client id (01 and the MAC).

pub mod dhcp;
pub mod diagnosis;
mod engine;
pub mod firmware;
mod link;
pub mod neighbours;
pub mod netlink;
pub mod plan;
pub mod ports;
pub mod resolv;
pub mod rtnl;
pub mod state;
pub mod sysfs;
mod talk;
pub mod transceivers;

pub use state::{Dhcp, Heard, Lease, LinkState};

use engine::Engine;
use formats::ipconf::IpParam;
use formats::l2::Mac;
use rtnl::{Rtnl, Watch};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// What the command line says of the network.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Every `ip=`.
    pub statics: Vec<IpParam>,
    /// `BOOTIF=`: the link that comes first. It keeps no other out.
    pub bootif: Option<Mac>,
    /// Whether the switch port says which sled this is: then LLDP must come through.
    pub switch_port: bool,
    /// The resolver's file, usually `/etc/resolv.conf`.
    pub resolv_conf: PathBuf,
}

/// What the thread shows.
struct Shared {
    view: Mutex<View>,
    changed: Condvar,
    wake: OwnedFd,
    stop: AtomicBool,
    say: Box<dyn Fn(&str) + Send + Sync>,
}

#[derive(Default)]
struct View {
    generation: u64,
    links: Vec<LinkState>,
    /// Transceivers that a driver does not take, a sentence each.
    refused: Vec<String>,
}

/// Most sentences about transceivers that are kept.
const REFUSED: usize = 16;

impl Shared {
    fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, links: Vec<LinkState>) {
        let mut view = self.view();
        // The first look counts as a change, even one that finds nothing.
        if view.links != links || view.generation == 0 {
            view.links = links;
            view.generation += 1;
            self.changed.notify_all();
        }
    }

    /// Says what is new of transceivers that are not taken.
    fn refused(&self, sentences: Vec<String>) {
        for sentence in sentences {
            let mut view = self.view();
            if view.refused.len() < REFUSED && !view.refused.contains(&sentence) {
                view.refused.push(sentence.clone());
                drop(view);
                (self.say)(&sentence);
            }
        }
    }
}

/// The running network.
pub struct Network {
    /// Without: the kernel gave no sockets, and `failure` says so.
    shared: Option<Arc<Shared>>,
    failure: Option<String>,
    bootif: Option<Mac>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Network {
    /// Switches all cards on, listens and asks for addresses. Returns after the
    /// first look: [`Network::links`] has the cards that are there. `random` is
    /// for delays and transaction numbers; `say` gets one line at a time.
    pub fn start(setup: Setup, random: fn() -> u64, say: Box<dyn Fn(&str) + Send + Sync>) -> Arc<Self> {
        let bootif = setup.bootif;
        let (shared, failure, thread) = match begin(setup, random, say) {
            Ok((shared, thread)) => (Some(shared), None, Some(thread)),
            Err(error) => (None, Some(format!("the kernel's network cannot be asked ({error})")), None),
        };
        Arc::new(Self { shared, failure, bootif, thread: Mutex::new(thread) })
    }

    /// All cards as they are now, the one of `BOOTIF` first.
    pub fn links(&self) -> Vec<LinkState> {
        self.shared.as_ref().map(|shared| shared.view().links.clone()).unwrap_or_default()
    }

    /// Waits until [`Network::links`] is not what it was at generation `seen`,
    /// or the time is over. Returns the generation now; begin with 0.
    pub fn wait_change(&self, seen: u64, timeout: Duration) -> u64 {
        let Some(shared) = &self.shared else {
            std::thread::sleep(timeout);
            return 0;
        };
        let same = |view: &mut View| view.generation == seen;
        let (view, _) = shared
            .changed
            .wait_timeout_while(shared.view(), timeout, same)
            .unwrap_or_else(PoisonError::into_inner);
        view.generation
    }

    /// Looks again now, for a driver was loaded. New cards are also found
    /// without.
    pub fn rescan(&self) {
        if let Some(shared) = &self.shared {
            let _ = rustix::io::write(&shared.wake, &1_u64.to_ne_bytes());
        }
    }

    /// One sentence for each link, see [`diagnosis`], and for each transceiver that a driver
    /// does not take.
    pub fn diagnosis(&self) -> Vec<String> {
        if let Some(failure) = &self.failure {
            return vec![failure.clone()];
        }
        let mut all = diagnosis::sentences(&self.links(), self.bootif);
        all.extend(self.shared.iter().flat_map(|shared| shared.view().refused.clone()));
        all
    }

    /// Stops asking, renewing and writing, and waits for that. Call it before
    /// the root changes: `resolv_conf` would then be another file. Addresses stay.
    pub fn stop(&self) {
        let Some(shared) = &self.shared else { return };
        shared.stop.store(true, Ordering::Release);
        self.rescan();
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
    }
}

fn begin(
    setup: Setup,
    random: fn() -> u64,
    say: Box<dyn Fn(&str) + Send + Sync>,
) -> std::io::Result<(Arc<Shared>, JoinHandle<()>)> {
    let shared = Arc::new(Shared {
        view: Mutex::default(),
        changed: Condvar::new(),
        wake: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        stop: AtomicBool::new(false),
        say,
    });
    // Subscribed before the first look: nothing in between is missed.
    let (watch, rtnl) = (Watch::open()?, Rtnl::open()?);
    let floating = plan::floating(&setup.statics).into_iter().map(|param| (param, None)).collect();
    let started = crate::early::uptime();
    let mut engine = Engine {
        shared: Arc::clone(&shared),
        setup,
        random,
        rtnl,
        watch,
        floating,
        links: Vec::new(),
        started,
        written: None,
        messages: transceivers::Messages::open(),
    };
    engine.turn(Vec::new());
    let thread = std::thread::Builder::new().name("network".into()).spawn(move || engine.run())?;
    Ok((shared, thread))
}
