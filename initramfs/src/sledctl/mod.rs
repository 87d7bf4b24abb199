//! `sledctl` on a running sled: what it is, whether it is ready, and telling so.
//!
//! | What | Module |
//! |---|---|
//! | what PID 1 left: document and boot report | [`sled`] |
//! | requests to Docker, the agent, report servers | [`http`] |
//! | Docker and the agent answer | [`ready`], [`mesos`] |
//! | an agent that is not Mesos | [`agent`] |
//! | what systemd and the journal say of a service | [`unit`] |
//! | whether others are away | [`outside`] |
//! | how full /var is | [`room`] |
//! | services that ended badly | [`crashes`] |
//! | reports | [`post`] |
//! | boot counting | [`mark`] |
//! | data disks | [`disks`] |
//! | places of data disks that are missing | [`places`] |
//! | the mirrored ROOT | `mirror` |
//! | system extensions | [`extension`] |
//! | which address a network has | [`address`] |
//! | the BMC's LAN and user | [`bmc`] |
//! | the table for people | [`status`] |
//!
//! Ends with 0; with 1 when the answer is no or something failed; with 2 when it
//! does not know what it was asked.

pub mod address;
pub mod agent;
pub mod bmc;
pub mod crashes;
pub mod disks;
pub mod extension;
pub mod http;
pub mod mark;
pub mod mesos;
mod mirror;
pub mod outside;
pub mod places;
pub mod post;
pub mod ready;
pub mod room;
pub mod sled;
pub mod status;
pub mod unit;

use sled::Sled;
use std::process::ExitCode;

const USAGE: &str = "\
usage: sledctl COMMAND
  status [--json]   what this sled is, and whether it is ready
  report [--keep-trying]
                    post the boot report to the report servers again; until one takes it
  wait-ready        wait until Docker and the Mesos agent answer, then say and report it
  not-ready         report that this sled did not get ready; restart it if its image is on trial
  mark-good         keep the running image: it is no longer on trial
  disks [--new]     make filesystems on new data disks, mount all, offer them to the agent;
                    only if a disk appeared since that was done last
  debug             bring the extension `debug` and merge it into /usr: tools to look for a fault
  extension list | merge NAME | unmerge NAME
                    system extensions that the document names
  drain             run the document's command that moves this sled's work away
  bmc               make the BMC's LAN and user what the document says
  address NETWORK   the IPv4 address of a network of the sled's document
";

/// Does what the arguments say.
pub fn run(arguments: &[&str]) -> ExitCode {
    let sled = Sled::new("/");
    let result = match arguments {
        ["status"] => status::show(&sled, false),
        ["status", "--json"] => status::show(&sled, true),
        ["report"] => post::boot_report(&sled, &post::Web::new()),
        ["report", "--keep-trying"] => post::keep_reporting(&sled, &post::Web::new(), &std::thread::sleep),
        ["wait-ready"] => ready::wait(&sled, &post::Web::new()),
        ["not-ready"] => ready::give_up(&sled, &post::Web::new()),
        ["drain"] => agent::drain(&sled),
        ["bmc"] => bmc::apply(&sled),
        ["mark-good"] => mark::good(&sled),
        ["disks"] => disks::run(&sled, disks::When::Always),
        ["disks", "--new"] => disks::run(&sled, disks::When::New),
        ["debug"] => extension::merge(&sled, extension::DEBUG),
        ["extension", "list"] => extension::list(&sled),
        ["extension", "merge", name] => extension::merge(&sled, name),
        ["extension", "unmerge", name] => extension::unmerge(&sled, name),
        ["address", network] => address::show(&sled, network),
        ["--help" | "-h" | "help"] => {
            print!("{USAGE}");
            Ok(())
        }
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sledctl: {error}");
            ExitCode::FAILURE
        }
    }
}
