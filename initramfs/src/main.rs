//! PID 1 of the sledos initramfs; started by the kernel with `-q -- <alias>`, its modprobe.
//! In the image the same binary is `sledctl`.
#![forbid(unsafe_code)]

use sledos_init::{boot, early, log::Log, modules, sledctl};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    if std::process::id() == 1 {
        // PID 1 never ends, so neither does its log.
        boot::run(Box::leak(Box::new(Log::new(early::uptime))));
    }
    let mut arguments = std::env::args();
    let name = arguments.next().unwrap_or_default();
    let arguments: Vec<_> = arguments.collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    if Path::new(&name).file_name().is_some_and(|name| name == "sledctl") {
        return sledctl::run(&arguments);
    }
    match arguments.as_slice() {
        ["-q", "--", alias] if modules::modprobe(alias) => ExitCode::SUCCESS,
        ["-q", "--", _] => ExitCode::FAILURE,
        _ => {
            eprintln!("init: this is PID 1 of a sledos initramfs and does nothing on a running system");
            ExitCode::from(2)
        }
    }
}
