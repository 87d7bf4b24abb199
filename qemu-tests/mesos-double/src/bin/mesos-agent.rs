//! A test double of the Mesos agent.

use std::process::ExitCode;

use mesos_double::grammar::flags::Flags;
use mesos_double::grammar::known::AGENT;
use mesos_double::{PLAINLY, agent};

fn main() -> ExitCode {
    let read = |path: &str| std::fs::read_to_string(path);
    let flags = Flags::load(AGENT, std::env::args().skip(1), mesos_double::environment(), &read);
    let run = match flags {
        Ok(flags) if flags.is("version", false) => {
            println!("{PLAINLY}");
            Ok(())
        }
        Ok(flags) if flags.is("help", false) => {
            print!("{}", mesos_double::usage("mesos-agent", AGENT));
            Ok(())
        }
        Ok(flags) => {
            eprintln!("{PLAINLY}");
            agent::run(flags)
        }
        Err(e) => Err(e),
    };
    match run {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}
