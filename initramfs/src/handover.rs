//! From the initramfs to the image: the last steps, and the way out when the
//! boot fails.

use crate::failure::{Code, Failure};
use crate::log::Log;
use crate::options::OnFail;
use crate::root;
use rustix::system::RebootCommand;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// `f_type` of file systems that live in memory only: ramfs, tmpfs.
const IN_MEMORY: [i64; 2] = [0x8584_58f6, 0x0102_1994];

/// Frees the memory of the initramfs: everything on the root file system that
/// is not mounted from elsewhere. Does nothing when `/` is not in memory.
///
/// # Errors
/// When `/` cannot be looked at. Files that do not go away only cost memory.
pub fn empty_initramfs() -> io::Result<()> {
    let kind = rustix::fs::statfs("/")?.f_type;
    if IN_MEMORY.contains(&kind) {
        empty(Path::new("/"), fs::metadata("/")?.dev());
    }
    Ok(())
}

/// Removes what is in a directory and on this device. A directory another file
/// system is mounted on shows that one's device, and stays.
fn empty(dir: &Path, device: u64) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(meta) = fs::symlink_metadata(&path) else { continue };
        if meta.dev() != device {
            continue;
        }
        if meta.is_dir() {
            empty(&path, device);
            let _ = fs::remove_dir(&path);
        } else {
            let _ = fs::remove_file(&path);
        }
    }
}

/// Makes the image's root the root of everything.
///
/// # Errors
/// [`Code::HandOver`], naming the call that failed.
pub fn enter() -> Result<(), Failure> {
    let fail =
        |what: &'static str| move |e: rustix::io::Errno| Failure::new(Code::HandOver, format!("{what}: {e}"));
    rustix::process::chdir(root::AT).map_err(fail("chdir /sysroot"))?;
    rustix::mount::mount_move(".", "/").map_err(fail("move /sysroot to /"))?;
    rustix::process::chroot(".").map_err(fail("chroot"))?;
    rustix::process::chdir("/").map_err(fail("chdir /"))
}

/// Becomes the image's init. Returns only when that fails.
///
/// Of the environment only the terminal type goes along: the kernel puts every
/// unknown parameter of the command line into it.
pub fn start(init: &str) -> Failure {
    let term = std::env::var_os("TERM").unwrap_or_else(|| OsStr::new("linux").to_owned());
    let mut command = Command::new(init);
    command.env_clear().env("TERM", term);
    // What the kernel gave PID 1 as console was a file of the initramfs.
    if let Ok(console) = fs::File::options().read(true).write(true).open("/dev/console") {
        let copies = (console.try_clone(), console.try_clone());
        if let (Ok(output), Ok(errors)) = copies {
            command.stdin(console).stdout(output).stderr(errors);
        }
    }
    let error = command.exec();
    Failure::new(Code::NoInit, format!("{init}: {error}"))
}

/// Says why the boot failed and what to do, then reboots or stays. PID 1 must
/// not end: the kernel would panic, and the reason be lost.
pub fn give_up(log: &Log, failure: &Failure, on_fail: OnFail) -> ! {
    log.say(&failure.to_string());
    log.say(&format!("{} what to do: {}", failure.code, failure.code.advice()));
    rustix::fs::sync();
    match on_fail {
        OnFail::Halt => log.say("stays here (sledos.onfail=halt); Ctrl-Alt-Del reboots"),
        OnFail::Reboot(delay) => {
            count_down(log, delay.as_secs());
            let error = rustix::system::reboot(RebootCommand::Restart).err();
            log.say(&format!("the kernel does not reboot ({error:?}); switch the sled off and on"));
        }
    }
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

/// Restarts the sled because all is as it should be: `why` is what comes next.
pub fn restart(log: &Log, why: &str) -> ! {
    log.say(&format!("reboots now: {why}"));
    rustix::fs::sync();
    let error = rustix::system::reboot(RebootCommand::Restart).err();
    log.say(&format!("the kernel does not reboot ({error:?}); switch the sled off and on"));
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

/// Switches the sled off, because somebody wants it: `who`.
pub fn switch_off(log: &Log, who: &str) -> ! {
    log.say(&format!("{who}: switches off"));
    rustix::fs::sync();
    let error = rustix::system::reboot(RebootCommand::PowerOff).err();
    log.say(&format!("the kernel does not switch off ({error:?})"));
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

/// Makes a panic of any thread end like a failure, in place of the kernel's.
pub fn guard(log: &'static Log, on_fail: OnFail) {
    std::panic::set_hook(Box::new(move |panic| {
        give_up(log, &Failure::new(Code::Panic, panic.to_string().replace('\n', " ")), on_fail)
    }));
}

/// A line when it begins, then at round numbers.
fn count_down(log: &Log, seconds: u64) {
    for left in (1..=seconds).rev() {
        if left == seconds || left % 10 == 0 || left == 5 {
            log.say(&format!("reboots in {left} s (sledos.onfail=halt to stay)"));
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    log.say("reboots now");
}
