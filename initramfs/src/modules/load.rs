//! Which modules to load in which order, on how many threads.

use super::Params;
use formats::modules::index::{Index, Module};
use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How a module is put into the kernel: path below the modules directory, parameters.
pub type Insert<'f> = &'f (dyn Fn(&str, &str) -> rustix::io::Result<()> + Sync);

/// Drivers of Intel's chipsets that make the device which `iTCO_wdt` drives.
const WATCHDOG_BUSES: [&str; 2] = ["i2c_i801", "lpc_ich"];

/// Loads modules, each once, whatever thread asks first.
pub struct Loader<'a> {
    index: &'a Index<'a>,
    params: &'a Params,
    insert: Insert<'a>,
    /// By name; filled when the module was tried.
    tried: BTreeMap<&'a str, OnceLock<rustix::io::Result<()>>>,
}

impl<'a> Loader<'a> {
    /// A loader that has loaded nothing.
    pub fn new(index: &'a Index<'a>, params: &'a Params, insert: Insert<'a>) -> Self {
        let tried = index.modules().iter().map(|m| (m.name, OnceLock::new())).collect();
        Self { index, params, insert, tried }
    }

    /// Names of the modules for a device, without the excluded ones.
    pub fn for_alias(&self, modalias: &str) -> Vec<&'a str> {
        let serving = self.index.modules_for_alias(modalias);
        serving.into_iter().map(|m| m.name).filter(|name| !self.params.excludes(name)).collect()
    }

    /// Puts watchdogs first: the others load under their eyes.
    pub fn watchdogs_first(&self, names: &mut [&str]) {
        let watches = |name: &str| {
            let module = self.index.modules().iter().find(|module| module.name == name);
            WATCHDOG_BUSES.contains(&name) || module.is_some_and(|m| m.path.contains("/drivers/watchdog/"))
        };
        names.sort_by_key(|name| !watches(name));
    }

    /// Loads modules with all they need, on up to `threads` threads: a driver
    /// that takes its time to find its disks does not hold up the others.
    /// Names that are not in the index are skipped.
    pub fn load(&self, names: &[&str], threads: usize) {
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
                for step in self.index.load_order(name).unwrap_or_default() {
                    // The kernel refuses the ones that miss what they need.
                    let _ = self.insert_once(step.module);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..threads.min(names.len()) {
                // Too little memory for a thread: the ones there are do its work.
                let _ = std::thread::Builder::new().stack_size(256 << 10).spawn_scoped(scope, work);
            }
            work();
        });
    }

    /// The result of loading a module, by this call or an earlier one. A thread
    /// that asks for a module another one is loading waits for it; modules wait
    /// only for ones further up in the index, so never in a circle.
    fn insert_once(&self, module: &Module<'a>) -> rustix::io::Result<()> {
        let Some(once) = self.tried.get(module.name) else { return Ok(()) };
        *once.get_or_init(|| match (self.insert)(module.path, self.params.of(module.name)) {
            Err(rustix::io::Errno::EXIST) => Ok(()),
            result => result,
        })
    }

    /// How many modules are loaded.
    pub fn loaded(&self) -> usize {
        self.tried.values().filter(|once| matches!(once.get(), Some(Ok(())))).count()
    }

    /// Modules that were tried and did not load, by name. `ENODEV` is not
    /// among them: it is how a module says that this machine has nothing for it.
    pub fn failed(&self) -> Vec<(&'a str, rustix::io::Errno)> {
        let error = |once: &OnceLock<_>| once.get().and_then(|r: &rustix::io::Result<()>| r.err());
        let failed = self.tried.iter().filter_map(|(name, once)| Some((*name, error(once)?)));
        failed.filter(|(_, error)| *error != rustix::io::Errno::NODEV).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;
    use std::sync::Mutex;

    const INDEX: &[u8] = b"sledos-modules 1
kernel 6.1.0
builtin virtio
module crc crc.ko
module jbd2 jbd2.ko
module ext4 ext4.ko
needs 1
wants 0
alias fs-ext4
module blk blk.ko
alias virtio:d00000002v*
module net net.ko
needs 1
alias virtio:d00000001v*
";

    fn run(names: &[&str], threads: usize, params: &str) -> (Vec<String>, usize, Vec<(String, Errno)>) {
        let index = Index::parse(INDEX).unwrap();
        let params = Params::parse(params);
        let order = Mutex::new(Vec::new());
        let insert = |path: &str, params: &str| {
            order.lock().unwrap().push(format!("{path} {params}").trim().to_owned());
            match path {
                "crc.ko" => Err(Errno::EXIST),
                "blk.ko" => Err(Errno::NODEV),
                "net.ko" => Err(Errno::NOENT),
                _ => Ok(()),
            }
        };
        let loader = Loader::new(&index, &params, &insert);
        loader.load(names, threads);
        loader.load(names, threads);
        let failed = loader.failed().into_iter().map(|(name, e)| (name.to_owned(), e)).collect();
        let loaded = loader.loaded();
        (order.into_inner().unwrap(), loaded, failed)
    }

    #[test]
    fn what_a_module_needs_is_loaded_first_and_nothing_twice() {
        let (order, loaded, failed) = run(&["ext4", "blk", "net", "nothing"], 1, "ext4.x=1");
        assert_eq!(order, ["crc.ko", "jbd2.ko", "ext4.ko x=1", "blk.ko", "net.ko"]);
        assert_eq!(loaded, 3);
        assert_eq!(failed, [("net".to_owned(), Errno::NOENT)]);
    }

    #[test]
    fn on_many_threads_the_order_within_a_chain_is_kept() {
        for _ in 0..50 {
            let (order, loaded, _) = run(&["net", "ext4", "blk"], 8, "");
            let at = |name: &str| order.iter().position(|o| o == name).unwrap();
            assert_eq!((order.len(), loaded), (5, 3));
            assert!(
                at("jbd2.ko") < at("ext4.ko") && at("jbd2.ko") < at("net.ko") && at("crc.ko") < at("ext4.ko")
            );
        }
    }

    #[test]
    fn watchdogs_come_first_and_all_others_stay_in_order() {
        const INDEX: &[u8] = b"sledos-modules 1
kernel 6.1.0
module i2c_i801 kernel/drivers/i2c/busses/i2c-i801.ko
module i6300esb kernel/drivers/watchdog/i6300esb.ko
module megaraid_sas kernel/drivers/scsi/megaraid/megaraid_sas.ko
";
        let index = Index::parse(INDEX).unwrap();
        let params = Params::parse("");
        let loader = Loader::new(&index, &params, &|_, _| Ok(()));
        let mut names = ["megaraid_sas", "unknown", "i6300esb", "i2c_i801"];
        loader.watchdogs_first(&mut names);
        assert_eq!(names, ["i6300esb", "i2c_i801", "megaraid_sas", "unknown"]);
    }

    #[test]
    fn excluded_modules_serve_no_device() {
        let index = Index::parse(INDEX).unwrap();
        let params = Params::parse("modprobe.blacklist=net");
        let loader = Loader::new(&index, &params, &|_, _| Ok(()));
        assert_eq!(loader.for_alias("virtio:d00000002v00001AF4"), ["blk"]);
        assert!(loader.for_alias("virtio:d00000001v00001AF4").is_empty());
    }
}
