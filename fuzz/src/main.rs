//! `fuzz [TARGET] [EXECUTIONS] [SEED]`: runs one target, or all of them one after the
//! other, and prints a line of the table in docs/fuzzing.md for each.
//! `fuzz TARGET FILE` runs one input, to look at what was found.

use fuzz::engine::{Limits, run};
use fuzz::targets::{ALL, Target};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::process::ExitCode;
use std::time::Duration;

/// Address space of the whole process, in bytes: an input that wants more ends it.
const MEMORY: u64 = 1 << 30;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let named = arguments.first().map(String::as_str).unwrap_or("all");
    let targets: Vec<&'static Target> = ALL.iter().filter(|t| named == "all" || t.name == named).collect();
    let second = arguments.get(1).map(String::as_str).unwrap_or("10000000");
    let seed = arguments.get(2).and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let Ok(executions) = second.parse() else {
        let Ok(input) = std::fs::read(second) else {
            eprintln!("fuzz: cannot read {second}");
            return ExitCode::FAILURE;
        };
        targets.iter().for_each(|target| println!("{} {:x}", target.name, (target.run)(&input)));
        return ExitCode::SUCCESS;
    };
    if targets.is_empty() {
        eprintln!("fuzz: there is no target {named}");
        return ExitCode::FAILURE;
    }
    if setrlimit(Resource::As, Rlimit { current: Some(MEMORY), maximum: Some(MEMORY) }).is_err() {
        eprintln!("fuzz: memory is not limited");
    }
    for target in targets {
        match run(target, seed, Limits { executions, time: Duration::MAX }) {
            Ok(c) => println!(
                "| {} | {} | {} | {} | {:.1} ms | {} MiB | {:.0} s |",
                target.name,
                c.executions,
                c.corpus,
                c.answers,
                c.slowest.as_secs_f64() * 1000.0,
                peak(),
                c.time.as_secs_f64()
            ),
            Err(found) => {
                eprintln!("fuzz: {found}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

/// The most memory this process ever had, in MiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) / 1024
}
