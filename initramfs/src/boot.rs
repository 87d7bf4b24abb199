//! The boot, step by step: look, plan, do. Every step that fails here ends the
//! boot with its code; what the sled can live without is a warning.

use crate::early;
use crate::failure::{Code, Failure};
use crate::handover::{self, guard};
use crate::log::Log;
use crate::machine_id;
use crate::modules::{self, Loader, Params};
use crate::options::{Options, RootHash, Var};
use crate::search::Search;
use crate::uevent::Uevents;
use crate::{disks, report, root, usr};
use formats::initconf::{self, InitConf};
use formats::modules::index::{self, Index};
use std::convert::Infallible;
use std::fs::{self, File};
use std::path::Path;

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
    warnings.iter().for_each(|warning| log.warn("command line", warning));
    let conf = configuration(log);
    log.step("image", || Ok(((), format!("{} {}", conf.image, conf.version))))?;
    match early::set_clock(conf.time) {
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
    log.step("modules", || {
        modules::check_kernel(&index)?;
        coldplug.start(&conf.load);
        Ok(((), coldplug.to_string()))
    })?;

    root::plan_root().run(log, options.debug)?;
    let search = Search { log, hash: &hash, wait: options.wait, debug: options.debug };
    let found = search.mount_usr(&uevents, &mut coldplug)?;

    root::plan_etc().run(log, options.debug)?;
    mount_var(log, options, &found)?;
    if let Some(oem) = &found.oem {
        let mounted = disks::device_of(&found.disk, oem)
            .map_err(|e| Failure::new(Code::Root, e))
            .and_then(|device| root::plan_oem(&device.display().to_string()).run(log, options.debug));
        mounted.unwrap_or_else(|failure| log.warn("oem", failure.detail));
    }
    log.step("machine id", || {
        let (var, etc) = (format!("{}/var", root::AT), format!("{}/etc", root::AT));
        let (id, outcome) = machine_id::settle(Path::new(&var), Path::new(&etc), random)
            .map_err(|e| Failure::new(Code::MachineId, e))?;
        Ok(((), format!("{id}, {outcome}")))
    })?;

    drop(requests);
    hand_over(log, options, &conf, &hash)
}

fn configuration(log: &Log) -> InitConf {
    let read = fs::read_to_string(initconf::PATH).map_err(|e| e.to_string());
    let conf = read.and_then(|text| InitConf::parse(&text).map_err(|e| e.to_string()));
    conf.unwrap_or_else(|error| {
        log.warn("image", format!("{}: {error}", initconf::PATH));
        InitConf::default()
    })
}

fn mount_var(log: &Log, options: &Options, found: &disks::Found) -> Result<(), Failure> {
    let device = match (&found.root, options.var) {
        (_, Var::Tmpfs) => Err("sledos.var=tmpfs".to_owned()),
        (None, Var::Auto) => Err(format!("{} has no partition ROOT", found.disk)),
        (Some(root), Var::Auto) => {
            let device = disks::device_of(&found.disk, root).map_err(|e| {
                Failure::new(Code::Var, format!("partition {} of {}: {e}", root.number, found.disk))
            })?;
            Ok(device.display().to_string())
        }
    };
    root::plan_var(device.as_deref().map_err(String::as_str)).run(log, options.debug)
}

/// 16 bytes from the kernel; waits until it has gathered enough entropy.
fn random() -> std::io::Result<[u8; 16]> {
    use std::io::Read;
    let mut bytes = [0; 16];
    // /dev/random blocks until the generator is seeded, then never (since 5.6).
    File::open("/dev/random")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn hand_over(log: &Log, options: &Options, conf: &InitConf, hash: &RootHash) -> Result<Infallible, Failure> {
    if usr::is_corrupt() {
        return Err(Failure::new(
            Code::UsrCorrupt,
            "a block that was read does not match; the kernel log has its number",
        ));
    }
    root::plan_moves().run(log, options.debug)?;
    if let Err(error) = handover::empty_initramfs() {
        log.warn("hand-over", format!("the initramfs stays in memory ({error})"));
    }
    log.step("hand-over", || Ok(((), format!("to {}", options.init))))?;
    let json = report::json(conf, &hash.to_string(), &log.entries());
    if let Err(error) = fs::write(format!("{}{}", root::AT, report::PATH), json) {
        log.warn("report", format!("is not written ({error})"));
    }
    handover::enter()?;
    Err(handover::start(&options.init))
}
