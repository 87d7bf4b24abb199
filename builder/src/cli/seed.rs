//! `sledos seed`: the first machine of a rack.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};

use super::serve::{self, ServeArgs};
use crate::exit::Failure;
use crate::seed::console::Console;
use crate::seed::settings::{self, Layout, PORT};
use crate::seed::{Error, System, apply, ask, own_images};

/// What to do with a seed.
#[derive(Debug, Subcommand)]
pub enum SeedVerb {
    /// Ask on this terminal how the seed is to serve, and start it. On a seed that is set up:
    /// change the answers.
    Setup(SeedArgs),
    /// Serve as the answers say.
    Serve(SeedArgs),
}

/// Arguments of `sledos seed …`.
#[derive(Args, Debug)]
pub struct SeedArgs {
    /// Directory of the seed: answers, fleet file, key, images, and what the server keeps.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/sledos/seed")]
    pub dir: PathBuf,
}

/// The unit that serves.
const UNIT: &str = "sledos-seed.service";
/// How long the server may take to start; it compiles the fleet first.
const START: Duration = Duration::from_secs(90);

pub(super) fn run_verb(verb: &SeedVerb) -> Result<(), Failure> {
    match verb {
        SeedVerb::Setup(args) => Ok(setup(&Layout(args.dir.clone()))?),
        SeedVerb::Serve(args) => Ok(serve(&Layout(args.dir.clone()))?),
    }
}

/// Never ends by itself: it is what the console shows.
fn setup(layout: &Layout) -> Result<(), Error> {
    let mut console = Console::new(io::stdin().lock(), io::stdout());
    let mut host = System::new(layout);
    console.say("\nsledos seed: this machine serves a rack.")?;
    loop {
        own_images(layout)?;
        let before = settings::before(layout)?;
        if let Some(before) = &before {
            console.say(&format!("It serves {}/", before.settings.url()))?;
            console.ask("Press Enter to change its answers.")?;
        } else {
            console.say(
                "Answer some questions. Nothing is written before the last one; Ctrl-C begins again.\n",
            )?;
        }
        // Between the greeting and the first answer another console may have been faster.
        let before = settings::before(layout)?;
        let plan = ask(&mut console, &mut host, &layout.images(), before.as_ref())?;
        let done = apply(&plan, layout, &mut host, &mut |text| console.say(text));
        match done {
            Ok(()) => started(&plan.settings, &mut console)?,
            Err(error @ (Error::Terminal(_) | Error::Ended)) => return Err(error),
            Err(error) => {
                let mut text = Vec::new();
                Failure::from(error).print(&mut text);
                console.say(&String::from_utf8_lossy(&text))?;
            }
        }
    }
}

/// Starts the server, and says whether it answers.
fn started<R: io::BufRead, W: io::Write>(
    settings: &settings::Settings,
    console: &mut Console<R, W>,
) -> Result<(), Error> {
    console.say("Written. Starting the server …")?;
    let asked = Command::new("systemctl").args(["restart", "--no-block", UNIT]).status();
    let address = SocketAddr::new(IpAddr::V4(settings.address), PORT);
    let start = Instant::now();
    while asked.as_ref().is_ok_and(std::process::ExitStatus::success) && start.elapsed() < START {
        if TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok() {
            return console.say("The server answers. Sleds that start from the network now come up.\n");
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    console.say(&format!("The server does not answer. `journalctl -u {UNIT}` says why.\n"))
}

fn serve(layout: &Layout) -> Result<(), Error> {
    let settings = settings::read(layout)?;
    own_images(layout)?;
    let interface = crate::seed::joined(&settings)?;
    Ok(serve::run(&ServeArgs {
        fleet: layout.fleet(),
        images: layout.images(),
        key: Some(layout.key()),
        state: layout.state(),
        port: PORT,
        pxe: Some(interface),
        pxe_address: Some(settings.address),
        pxe_range: settings.range,
        ..ServeArgs::default()
    })?)
}
