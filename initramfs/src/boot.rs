//! The boot, step by step: look, plan, do. Every step that fails here ends the
//! boot with its code; what the sled can live without is a warning.

use crate::clock::Clock;
use crate::console;
use crate::decide::carry_out::{End, carry_out};
use crate::decide::history::History;
use crate::decide::{Slot, Wanted};
use crate::disks::Found;
use crate::durable;
use crate::early;
use crate::failure::{Code, Failure};
use crate::fetch::store::Store;
use crate::fetch::{Got, Source};
use crate::handover::{self, guard};
use crate::log::Log;
use crate::machine_id;
use crate::modules::{self, Loader, Params};
use crate::options::{Options, RootHash, Var};
use crate::provision::Sled;
use crate::provision::image::{self, Fleet, From};
use crate::report::{self, Memory, Report};
use crate::root::Checked;
use crate::search::{self, Search};
use crate::site::{OEM_FILE, Site};
use crate::slots::{self, machine::Kernel};
use crate::uevent::Uevents;
use crate::watchdog::{self, Feeding, Watchdog};
use crate::{disks, inventory, raid, root, shutdown, storage, usr};
use formats::initconf::{self, InitConf};
use formats::modules::index::{self, Index};
use std::convert::Infallible;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a step that waits for nobody may take before the watchdog ends it.
const STEP: Duration = Duration::from_secs(300);

/// How long e2fsck may take for a large ROOT with errors.
const CHECK: Duration = Duration::from_secs(3600);

/// Longest `sledos.conf` of OEM that is read.
const OEM_MOST: u64 = 64 << 10;

/// Boots. Does not come back: at the end is the image's init, or a reboot.
pub fn run(log: &'static Log) -> ! {
    let mut options = Options::default();
    guard(log, options.on_fail);
    let Err(failure) = boot(log, &mut options);
    handover::give_up(log, &failure, options.on_fail)
}

fn boot(log: &'static Log, options: &mut Options) -> Result<Infallible, Failure> {
    let mounted = early::plan_mounts().run(log, false);
    early::open_console().into_iter().for_each(|console| log.attach(console));
    mounted?;

    let line = fs::read("/proc/cmdline").unwrap_or_default();
    let line = String::from_utf8_lossy(&line);
    let warnings;
    (*options, warnings) = Options::parse(&line);
    guard(log, options.on_fail);
    early::restart_after_panic(&line);
    for port in console::ports(Path::new("/"), &options.console) {
        match console::open(&port) {
            Ok(open) => {
                log.attach(open);
                log.note("console", &format!("lines go to {}, too", port.tty));
            }
            Err(error) => log.warn("console", format!("{} gets no lines ({error})", port.tty)),
        }
    }
    warnings.iter().for_each(|warning| log.warn("command line", warning));
    let conf = configuration(log);
    log.step("image", || Ok(((), format!("{} {}", conf.image, conf.version))))?;
    let (clock, says) = Clock::look(conf.time);
    match says {
        Ok(says) => log.step("clock", || Ok(((), says)))?,
        Err(error) => log.warn("clock", format!("cannot be set ({error})")),
    }
    let hash = log.step("command line", || Ok((RootHash::of(options)?, String::new())))?;

    // From here on no new device goes unnoticed.
    let uevents =
        Uevents::subscribe().map_err(|e| Failure::new(Code::Mounts, format!("no kernel events ({e})")))?;
    let bytes = fs::read(index::PATH)
        .map_err(|e| Failure::new(Code::ModuleIndex, format!("{} does not read ({e})", index::PATH)))?;
    let index = Index::parse(&bytes).map_err(|e| Failure::new(Code::ModuleIndex, e))?;
    let params = Params::parse(&line);
    let insert = modules::inserter(index.kernel(), options.debug.then_some(log));
    let loader = Loader::new(&index, &params, &insert);
    let requests = modules::Requests::answer();
    let mut coldplug = modules::Coldplug::new(&loader);
    // Before the first module: a driver may hang in a device that is broken.
    let watchdog = Watchdog::start(
        Box::new(|| watchdog::open(watchdog::PATH)),
        early::uptime,
        Box::new(|line| log.say(&format!("watchdog: {line}"))),
    );
    let watchdog = watchdog.map_err(|e| Failure::new(Code::Mounts, format!("no thread ({e})")))?;
    let loading = watchdog.phase("modules", STEP);
    log.step("modules", || {
        modules::check_kernel(&index)?;
        coldplug.start(&conf.load);
        Ok(((), coldplug.to_string()))
    })?;

    if let Err(error) = crate::power::watch(log) {
        log.warn("power button", format!("nobody looks at it ({error})"));
    }
    root::plan_root().run(log, options.debug)?;
    let mut devices = Devices { uevents: &uevents, coldplug: &mut coldplug };
    let boot =
        Boot { log, options, conf: &conf, line: &line, hash: &hash, clock: &clock, watchdog: &watchdog };
    let prepared = boot.prepare(&mut devices, loading);
    drop(requests);
    match prepared.and_then(|outcome| boot.leave(outcome)) {
        Ok(()) => {
            let says = watchdog.hand_over(watchdog::systemd_takes_over(Path::new("/")));
            says.into_iter().for_each(|line| log.say(&format!("watchdog: {line}")));
            Err(handover::start(&options.init))
        }
        Err(failure) => {
            // The message has to stay for as long as the command line wants it.
            watchdog.hand_over(false);
            Err(failure)
        }
    }
}

/// What does not change during a boot.
struct Boot<'a> {
    log: &'static Log,
    options: &'a Options,
    conf: &'a InitConf,
    line: &'a str,
    hash: &'a RootHash,
    clock: &'a Clock,
    watchdog: &'a Watchdog,
}

/// Where devices come from.
struct Devices<'d, 'l, 'm> {
    uevents: &'d Uevents,
    coldplug: &'d mut modules::Coldplug<'l, 'm>,
}

/// What the boot found out about the sled, for its report.
#[derive(Debug, Default)]
struct Outcome {
    site: Site,
    sled: Option<Sled>,
    got: Option<Got>,
    /// Bytes of an image that runs from memory.
    live: u64,
}

/// The slot of the booted image, as a boot finds it.
#[derive(Debug)]
struct Usr {
    slot: Slot,
    found: Option<Found>,
    /// What is wrong with it.
    why: Option<Failure>,
    /// Where its ROOT is mounted, when that lasts.
    var: Option<PathBuf>,
}

impl Default for Usr {
    fn default() -> Self {
        Self { slot: Slot::None, found: None, why: None, var: None }
    }
}

impl Boot<'_> {
    /// /usr, the sled's document, /etc and /var.
    fn prepare(&self, devices: &mut Devices<'_, '_, '_>, loading: Feeding) -> Result<Outcome, Failure> {
        let mut outcome = Outcome::default();
        match self.system(devices, &mut outcome, loading) {
            Ok(()) => Ok(outcome),
            Err(failure) => {
                self.report(&outcome, "failed", Some(&failure));
                Err(failure)
            }
        }
    }

    fn system(
        &self,
        devices: &mut Devices<'_, '_, '_>,
        outcome: &mut Outcome,
        loading: Feeding,
    ) -> Result<(), Failure> {
        let Self { log, options, line, hash, clock, watchdog, .. } = *self;
        // Whatever does not wait for others is done long before.
        let step = watchdog.phase("disks", options.wait.saturating_add(STEP));
        drop(loading);
        outcome.site = self.site(None);
        // Cards need seconds for a link: they begin while disks are looked for.
        outcome.sled = outcome.site.asks().then(|| Sled::start(log, line, &outcome.site));
        let search = Search { log, hash, wait: options.wait, debug: options.debug };
        // systemd-boot came from a disk of this sled: it is there, however late.
        let from_disk = slots::firmware::look().esp.is_some();
        let all = match outcome.sled {
            None => search.wait(devices.uevents, devices.coldplug)?,
            Some(_) => search.wait_a_little(devices.uevents, devices.coldplug, from_disk)?,
        };
        let mut usr = self.mount(&search, &all, &mut outcome.site)?;
        if outcome.sled.is_none() && outcome.site.asks() {
            outcome.sled = Some(Sled::start(log, line, &outcome.site));
        }
        let mut waits = None;
        if let Some(sled) = &outcome.sled {
            waits = Some(watchdog.waits("network and servers", sled.client.pulse()));
            drop(step);
            let mut appeared = Vec::new();
            let got = loop {
                let store = Store::new(usr.var.as_deref());
                let none = usr.found.is_none();
                let mut late = || {
                    if none {
                        appeared = disks::find(&disks::look(), hash);
                    }
                    !appeared.is_empty()
                };
                let wait = (&mut *devices.coldplug, &mut late as &mut dyn FnMut() -> bool);
                match sled.document(&outcome.site, wait, &store, options.patience, clock)? {
                    Some(got) => break got,
                    // A disk with this image came up late.
                    None => usr = self.mount(&search, &appeared, &mut outcome.site)?,
                }
            };
            let from_server = matches!(got.source, Source::Server { .. });
            outcome.got = Some(got);
            if from_server {
                self.report(outcome, "configuring", None);
            }
        }
        self.settle(&search, usr, outcome)?;
        if let (Some(sled), Some(got)) = (&outcome.sled, &outcome.got) {
            let _step = watchdog.phase("configuration", STEP);
            drop(waits);
            let (uevents, coldplug) = (devices.uevents, &mut devices.coldplug);
            storage::prepare(log, &got.document, uevents, &mut || coldplug.again());
            sled.configure(got)?;
        }
        let _step = watchdog.phase("hand-over", STEP);
        root::plan_etc().run(log, options.debug)?;
        log.step("machine id", || {
            let (var, etc) = (format!("{}/var", root::AT), format!("{}/etc", root::AT));
            let (id, outcome) = machine_id::settle(Path::new(&var), Path::new(&etc), random)
                .map_err(|e| Failure::new(Code::MachineId, e))?;
            Ok(((), format!("{id}, {outcome}")))
        })
    }

    /// Mounts the first of these slots that can be used, with its ROOT and OEM. Of one that
    /// cannot, ROOT and OEM are used all the same.
    fn mount(&self, search: &Search<'_>, all: &[Found], site: &mut Site) -> Result<Usr, Failure> {
        let Some(first) = all.first() else { return Ok(Usr::default()) };
        let mounted = search.mount_first(all);
        let found = mounted.as_ref().unwrap_or(first).clone();
        let var = match (self.mount_var(&found), &mounted) {
            (Err(failure), Err(_)) => {
                self.log.warn("var", failure);
                None
            }
            (var, _) => var?,
        };
        if let Some(oem) = self.mount_oem(&found) {
            *site = self.site(Some(&oem));
        }
        let whole = mounted.and_then(|found| self.read_whole(&found, var.as_deref()));
        let (slot, why) = match whole {
            Ok(()) => (Slot::Mounted(found.disk.clone()), None),
            Err(failure) => {
                self.log.warn("usr", &failure);
                (Slot::Rotten(found.disk.clone()), Some(failure))
            }
        };
        Ok(Usr { slot, found: Some(found), why, var })
    }

    /// Reads all of /usr when the boot before did not get ready: dm-verity looks at a block
    /// only when it is used, and a sled that dies of one would do so at each boot.
    fn read_whole(&self, found: &Found, var: Option<&Path>) -> Result<(), Failure> {
        let past = var.map(|var| History::load(var).of(self.hash.bytes())).unwrap_or_default();
        if past.boots == 0 {
            return Ok(());
        }
        let read = self.log.step("read /usr", || {
            let blocks = slots::read_whole(&Kernel, found, self.hash.bytes())
                .map_err(|e| Failure::new(Code::UsrCorrupt, format!("{found}: {}", Log::chain(&e))))?;
            Ok(((), format!("the last boot did not get ready; {blocks} blocks of {found} are right")))
        });
        if read.is_err() {
            search::unmount_usr();
        }
        read
    }

    /// Decides which image runs and from where, and sees to it.
    fn settle(&self, search: &Search<'_>, usr: Usr, outcome: &mut Outcome) -> Result<(), Failure> {
        let (log, options) = (self.log, self.options);
        let mut var = usr.var;
        let end = {
            let fleet = outcome.sled.as_ref().zip(outcome.got.as_ref());
            let fleet = fleet.map(|(sled, got)| Fleet { sled, site: &outcome.site, got });
            let wanted = fleet.map(|Fleet { got, .. }| Wanted {
                image: &got.document.image,
                install: got.document.install.is_some(),
            });
            let known = var.clone();
            let mut mount = |from: From<'_>| match from {
                From::Memory(live) => {
                    search.mount_devices(live.usr(), live.verity(), live.bytes, "from memory")?;
                    Ok(var.clone())
                }
                From::Disk(found) => {
                    search.mount(found)?;
                    if var.is_none() {
                        var = self.mount_var(found)?;
                        self.mount_oem(found);
                    }
                    Ok(var.clone())
                }
            };
            let mut real = image::Real {
                fleet,
                log,
                booted: self.hash.bytes(),
                found: usr.found.clone(),
                var: known,
                mount: &mut mount,
                time: u32::try_from(self.conf.time).unwrap_or(u32::MAX),
            };
            carry_out(&mut real, wanted, self.hash.bytes(), &usr.slot, usr.found, usr.why)?
        };
        match end {
            End::Runs(_) => {}
            End::Live(live) => outcome.live = live.bytes,
            End::Restart => {
                self.report(outcome, "restart", None);
                handover::restart(log, "starts another image");
            }
        }
        if var.is_none() && usr.slot == Slot::None && outcome.live > 0 {
            root::plan_var(Err("the sled has no disk of its own")).run(log, options.debug)?;
        }
        Ok(())
    }

    fn site(&self, oem: Option<&str>) -> Site {
        let (site, warnings) = Site::new(self.conf, self.options, oem);
        warnings.iter().for_each(|warning| self.log.warn("fleet", warning));
        site
    }

    /// Mounts ROOT, or memory. Returns where it is when it lasts.
    fn mount_var(&self, found: &disks::Found) -> Result<Option<PathBuf>, Failure> {
        let device = match (&found.root, self.options.var) {
            (_, Var::Tmpfs) => Err("sledos.var=tmpfs".to_owned()),
            (None, Var::Auto) => Err(format!("{} has no partition ROOT", found.disk)),
            (Some(root), Var::Auto) if raid::is_half(root) => {
                let started = raid::start(self.log, found);
                Ok(started.map_err(|e| Failure::new(Code::Var, format!("the mirror does not start: {e}")))?)
            }
            (Some(root), Var::Auto) => {
                let device = disks::device_of(&found.disk, root).map_err(|e| {
                    Failure::new(Code::Var, format!("partition {} of {}: {e}", root.number, found.disk))
                })?;
                Ok(device.display().to_string())
            }
        };
        if let Ok(device) = &device {
            self.check_var(device)?;
        }
        root::plan_var(device.as_deref().map_err(String::as_str)).run(self.log, self.options.debug)?;
        Ok(device.ok().map(|_| Path::new(root::AT).join("var")))
    }

    /// Checks the filesystem of ROOT; what cannot be repaired is not mounted.
    fn check_var(&self, device: &str) -> Result<(), Failure> {
        let _step = self.watchdog.phase("check of /var", CHECK);
        match root::check_here(device) {
            Checked::Clean => {}
            Checked::Repaired(said) => self.log.warn("var", format!("{device} was repaired: {said}")),
            Checked::Not(why) => self.log.warn("var", format!("{device} is not checked: {why}")),
            Checked::Broken(said) => {
                let detail = format!("{device} has errors that e2fsck does not repair by itself: {said}");
                return Err(Failure::new(Code::Var, detail));
            }
        }
        Ok(())
    }

    /// Mounts OEM; returns its `sledos.conf`. The sled can live without.
    fn mount_oem(&self, found: &disks::Found) -> Option<String> {
        let oem = found.oem.as_ref()?;
        let mounted =
            disks::device_of(&found.disk, oem).map_err(|e| Failure::new(Code::Root, e)).and_then(|device| {
                root::plan_oem(&device.display().to_string()).run(self.log, self.options.debug)
            });
        if let Err(failure) = mounted {
            self.log.warn("oem", failure.detail);
        }
        let text = durable::read(&Path::new(root::OEM).join(OEM_FILE), OEM_MOST).ok()?;
        String::from_utf8(text).ok()
    }

    /// Writes the report of this boot for the running system, and posts it.
    fn report(&self, outcome: &Outcome, event: &str, failure: Option<&Failure>) -> String {
        let document = outcome.got.as_ref().map(|got| &got.document.head);
        let source = outcome.got.as_ref().map(ToString::to_string);
        let freshness = outcome.got.as_ref().map(|got| got.freshness.to_string());
        let network = outcome.sled.as_ref().map(|sled| sled.network.diagnosis()).unwrap_or_default();
        let memory = |name| inventory::memory(name).unwrap_or_default();
        let hardware = outcome.sled.as_ref().map(|sled| sled.inventory());
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let json = Report {
            event,
            moment: Some((boot_id.trim_end(), early::uptime())),
            image: &self.conf.image,
            version: &self.conf.version,
            usrhash: &self.hash.to_string(),
            sled: document.map(|head| head.sled.as_str()),
            generation: document.map(|head| head.generation),
            source: source.as_deref(),
            freshness: freshness.as_deref(),
            network: &network,
            memory: Some(Memory {
                total: memory("MemTotal"),
                available: memory("MemAvailable"),
                image: outcome.live,
            }),
            hardware: hardware.as_deref(),
            failure,
            steps: &self.log.entries(),
        }
        .json();
        if let Some(sled) = &outcome.sled {
            sled.report(&outcome.site, outcome.got.as_ref(), &json);
        }
        json
    }

    /// Leaves the initramfs: what remains is to start the image's init.
    fn leave(&self, outcome: Outcome) -> Result<(), Failure> {
        let Self { log, options, .. } = *self;
        if usr::is_corrupt() {
            return Err(Failure::new(
                Code::UsrCorrupt,
                "a block that was read does not match; the kernel log has its number",
            ));
        }
        if let Err(error) = usr::panic_when_corrupt() {
            log.warn("verity", format!("a /usr that rots while it runs only gives errors ({error})"));
        }
        if let Err(error) = shutdown::leave_behind() {
            log.warn(
                "hand-over",
                format!("/var and /usr stay in use at a shutdown: {} ({error})", shutdown::PATH),
            );
        }
        log.step("hand-over", || Ok(((), format!("to {}", options.init))))?;
        let json = self.report(&outcome, "boot", None);
        if let Some(sled) = &outcome.sled {
            sled.network.stop();
        }
        if let Err(error) = fs::write(report::PATH, json) {
            log.warn("report", format!("is not written ({error})"));
        }
        root::plan_moves().run(log, options.debug)?;
        if let Err(error) = handover::empty_initramfs() {
            log.warn("hand-over", format!("the initramfs stays in memory ({error})"));
        }
        handover::enter()
    }
}

fn configuration(log: &Log) -> InitConf {
    let read = fs::read_to_string(initconf::PATH).map_err(|e| e.to_string());
    let conf = read.and_then(|text| InitConf::parse(&text).map_err(|e| e.to_string()));
    conf.unwrap_or_else(|error| {
        log.warn("image", format!("{}: {error}", initconf::PATH));
        InitConf::default()
    })
}

/// 16 bytes from the kernel; waits until it has gathered enough entropy.
pub(crate) fn random() -> std::io::Result<[u8; 16]> {
    use std::io::Read;
    let mut bytes = [0; 16];
    // /dev/random blocks until the generator is seeded, then never (since 5.6).
    File::open("/dev/random")?.read_exact(&mut bytes)?;
    Ok(bytes)
}
