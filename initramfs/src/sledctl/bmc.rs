//! The BMC's LAN and user, as the document wants them. After the hand-over: a BMC that
//! answers late, or not at all, must not hold up a boot.

use super::sled::Sled;
use formats::ipmi::{self, Wanted};
use metadata::config::Bmc;
use serde_json::json;
use std::fs::File;
use std::net::IpAddr;
use std::thread::sleep;
use std::time::Duration;

/// What became of it; goes into reports.
pub const OUTCOME: &str = "/run/sledos/bmc.json";
const DEVICE: &str = "/dev/ipmi0";
/// A command that writes to flash memory takes seconds on some boards.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often, and how many times, the device is looked for: its driver may come late.
const PAUSE: Duration = Duration::from_secs(1);
const LOOKS: u32 = 20;

/// Makes the BMC what the document says.
///
/// # Errors
/// Why it is not; that is in [`OUTCOME`], too.
pub fn apply(sled: &Sled) -> Result<(), String> {
    let Some(bmc) = sled.document()?.config.bmc else {
        println!("the document says nothing about the BMC");
        return Ok(());
    };
    let done = set(&wanted(&bmc));
    let outcome = match &done {
        Ok(changed) => json!({ "changed": changed }),
        Err(problem) => json!({ "problem": problem }),
    };
    let path = sled.path(OUTCOME);
    std::fs::write(&path, outcome.to_string()).map_err(|e| format!("{OUTCOME}: {e}"))?;
    match done?.as_slice() {
        [] => println!("the BMC is as it should be"),
        changed => println!("set on the BMC: {}", changed.join(", ")),
    }
    Ok(())
}

/// As IPMI has it. What is no IPv4 was refused when the fleet was compiled.
fn wanted(bmc: &Bmc) -> Wanted {
    let v4 = |address: IpAddr| match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    };
    Wanted {
        address: bmc.address.and_then(|cidr| Some((v4(cidr.address)?, cidr.prefix))),
        gateway: bmc.gateway.and_then(v4),
        vlan: bmc.vlan,
        user: bmc.user.clone().zip(bmc.password.clone()),
    }
}

fn set(wanted: &Wanted) -> Result<Vec<&'static str>, String> {
    let mut looks = 0;
    let device = loop {
        match File::options().read(true).write(true).open(DEVICE) {
            Ok(device) => break device,
            Err(error) if looks == LOOKS => return Err(format!("{DEVICE}: {error}; has this board a BMC?")),
            Err(_) => looks += 1,
        }
        sleep(PAUSE);
    };
    let mut ask = |netfn: u8, command: u8, data: &[u8]| {
        syscalls::ipmi::ask(&device, netfn, command, data, PATIENCE).map_err(|e| e.to_string())
    };
    ipmi::apply(wanted, &mut ask).map_err(|e| e.to_string())
}
