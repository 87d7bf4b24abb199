//! A stand-in for the Mesos master. It prints `master listening on IP:PORT`.

use std::error::Error;
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::thread;

use mesos_double::PLAINLY;
use mesos_double::grammar::domain;
use mesos_double::grammar::flags::Flags;
use mesos_double::grammar::known::MASTER;
use mesos_double::master::{Master, Options};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let read = |path: &str| std::fs::read_to_string(path);
    let flags = Flags::load(MASTER, std::env::args().skip(1), mesos_double::environment(), &read)?;
    if flags.is("version", false) {
        println!("{PLAINLY}");
        return Ok(());
    }
    if flags.is("help", false) {
        print!("{}", mesos_double::usage("mesos-master", MASTER));
        return Ok(());
    }
    eprintln!("{PLAINLY}");
    let ip: Ipv4Addr = flags.get("ip").unwrap_or("0.0.0.0").parse()?;
    let port: u16 = flags.get("port").unwrap_or("5050").parse()?;
    let domain = flags.get("domain").map(domain::parse).transpose()?;
    let credentials = match flags.get("credentials").filter(|_| flags.is("authenticate_agents", false)) {
        Some(path) => {
            let text = std::fs::read_to_string(path.strip_prefix("file://").unwrap_or(path))?;
            let json: serde_json::Value = serde_json::from_str(&text)?;
            json.get("credentials").and_then(serde_json::Value::as_array).cloned()
        }
        None => None,
    };
    let cluster = flags.get("cluster").map(str::to_owned);
    let master = Master::start(ip, port, Options { cluster, domain, credentials })?;
    println!("master listening on {}", master.address());
    loop {
        thread::park();
    }
}
