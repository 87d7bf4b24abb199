//! `sledos`: see `sledos --help`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    match sledos::cli::run(&sledos::cli::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.print(&mut std::io::stderr()).into(),
    }
}
