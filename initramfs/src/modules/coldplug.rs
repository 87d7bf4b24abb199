//! Drivers for the devices that are there, and for those that come.

use super::{DEVICES, Loader, NEEDED, modaliases};
use std::collections::BTreeSet;
use std::path::Path;

/// Modules loaded at the same time. Drivers wait for their hardware more than
/// for a processor.
const THREADS: usize = 8;

/// A new device may be a bus with further devices; more rounds than buses are
/// ever nested would mean that devices come and go, which is not waited for here.
const ROUNDS: usize = 8;

/// Knows which devices have been seen to.
pub struct Coldplug<'l, 'a> {
    loader: &'l Loader<'a>,
    seen: BTreeSet<String>,
    served: usize,
}

impl<'l, 'a> Coldplug<'l, 'a> {
    /// Has seen no device.
    pub fn new(loader: &'l Loader<'a>) -> Self {
        Self { loader, seen: BTreeSet::new(), served: 0 }
    }

    /// Loads [`NEEDED`], the modules named, and those for all devices.
    pub fn start(&mut self, named: &[String]) {
        let always = NEEDED.iter().copied().chain(named.iter().map(String::as_str));
        self.load_for_new_devices(&always.collect::<Vec<_>>());
        self.again();
    }

    /// Loads modules for the devices that have appeared since, until none do.
    pub fn again(&mut self) {
        for _ in 0..ROUNDS {
            if !self.load_for_new_devices(&[]) {
                break;
            }
        }
    }

    /// Loads `names` and what new devices want. Returns whether that was anything.
    fn load_for_new_devices(&mut self, names: &[&str]) -> bool {
        let mut wanted = BTreeSet::new();
        for alias in modaliases(Path::new(DEVICES)) {
            if !self.seen.contains(&alias) {
                let serving = self.loader.for_alias(&alias);
                self.served += usize::from(!serving.is_empty());
                wanted.extend(serving);
                self.seen.insert(alias);
            }
        }
        let mut all: Vec<_> = wanted.into_iter().chain(names.iter().copied()).collect();
        self.loader.watchdogs_first(&mut all);
        self.loader.load(&all, THREADS);
        !all.is_empty()
    }
}

impl std::fmt::Display for Coldplug<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (loaded, seen) = (self.loader.loaded(), self.seen.len());
        write!(f, "loaded {loaded} for {} of {seen} kinds of device", self.served)?;
        let failed = self.loader.failed();
        failed.iter().try_for_each(|(name, error)| write!(f, "; {name} does not load ({error})"))
    }
}
