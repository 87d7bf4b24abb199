//! The BMC's MAC address, by IPMI, if the kernel has found one.

use metadata::values::Mac;
use std::fs::File;
use std::time::Duration;

const DEVICE: &str = "/dev/ipmi0";
/// Network function Transport, Get LAN Configuration Parameters (IPMI 2.0, 23.2).
const TRANSPORT: u8 = 0x0c;
const GET_LAN: u8 = 0x02;
/// Parameter 5: MAC address (table 23-4).
const MAC: u8 = 5;
/// LAN channels are numbered by the maker, from 1 (6.3).
const CHANNELS: std::ops::RangeInclusive<u8> = 1..=3;
/// A BMC that is busy answers late; one that hangs must not hold up the boot.
const PATIENCE: Duration = Duration::from_millis(1500);

/// The address of the first channel that has one.
pub(super) fn mac() -> Option<Mac> {
    let device = File::options().read(true).write(true).open(DEVICE).ok()?;
    for channel in CHANNELS {
        // A BMC that is silent once is not asked twice.
        let answer =
            syscalls::ipmi::ask(&device, TRANSPORT, GET_LAN, &[channel, MAC, 0, 0], PATIENCE).ok()?;
        if let Some(mac) = parse(&answer).filter(|mac| mac.is_unicast()) {
            return Some(mac);
        }
    }
    None
}

/// Completion code 0, parameter revision, six bytes.
fn parse(answer: &[u8]) -> Option<Mac> {
    let (head, mac) = answer.split_at_checked(2)?;
    (head[0] == 0).then(|| mac.try_into().ok().map(Mac))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_code_a_revision_and_the_address() {
        assert_eq!(parse(&[0, 0x11, 2, 0, 0, 0, 0, 9]), Some(Mac([2, 0, 0, 0, 0, 9])));
        // Parameter not supported; too short.
        assert_eq!(parse(&[0x80]), None);
        assert_eq!(parse(&[0x80, 0, 2, 0, 0, 0, 0, 9]), None);
        assert_eq!(parse(&[0, 0x11, 2, 0]), None);
    }
}
