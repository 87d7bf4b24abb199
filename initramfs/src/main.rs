//! PID 1 of the sledos initramfs; started by the kernel with `-q -- <alias>`, its modprobe.
//! In the image the same binary is `sledctl`, and at the end of a sled's run `/shutdown`.
#![forbid(unsafe_code)]

use sledos_init::{boot, early, log::Log, modules, shutdown, sledctl};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    // Words that are no text are the kernel's: none of ours.
    let arguments: Vec<_> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let (name, arguments) = arguments.split_first().map_or(("", [].as_slice()), |(name, rest)| (*name, rest));
    let is = |wanted: &str| Path::new(name).file_name().is_some_and(|name| name == wanted);
    if std::process::id() == 1 && is("shutdown") {
        shutdown::run(arguments);
    }
    if std::process::id() == 1 {
        // PID 1 never ends, so neither does its log.
        boot::run(Box::leak(Box::new(Log::new(early::uptime))));
    }
    if is("sledctl") {
        return sledctl::run(arguments);
    }
    match arguments {
        ["-q", "--", alias] if modules::modprobe(alias) => ExitCode::SUCCESS,
        ["-q", "--", _] => ExitCode::FAILURE,
        _ => {
            eprintln!("init: this is PID 1 of a sledos initramfs and does nothing on a running system");
            ExitCode::from(2)
        }
    }
}
