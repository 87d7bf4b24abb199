//! PID 1 of the sledos initramfs; started by the kernel with `-q -- <alias>`, its modprobe.
#![forbid(unsafe_code)]

use sledos_init::{boot, early, log::Log, modules};
use std::process::ExitCode;

fn main() -> ExitCode {
    if std::process::id() == 1 {
        // PID 1 never ends, so neither does its log.
        boot::run(Box::leak(Box::new(Log::new(early::uptime))));
    }
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["-q", "--", alias] if modules::modprobe(alias) => ExitCode::SUCCESS,
        ["-q", "--", _] => ExitCode::FAILURE,
        _ => {
            eprintln!("init: this is PID 1 of a sledos initramfs and does nothing on a running system");
            ExitCode::from(2)
        }
    }
}
