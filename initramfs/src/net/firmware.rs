//! LLDP agents in the firmware of cards: they answer the switch themselves and show its
//! frames to nobody, until a private flag of the driver says that they must not.
//!
//! Source: Linux `Documentation/networking/ethtool-netlink.rst` (bit sets, private flags),
//! `include/uapi/linux/{genetlink,ethtool_netlink}.h`, the drivers' documents
//! `device_drivers/ethernet/intel/{i40e,ice}.rst`.

use super::netlink::{ACK, Message, NESTED, REQUEST, Writer, attributes, nest, text, u16_at};
use super::talk::Talk;
use rustix::io::Result;
use rustix::net::netlink;
use std::fmt;

/// A private flag of a driver, and how it must be so that the kernel hears LLDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flag {
    /// As `ethtool --show-priv-flags` shows it.
    pub name: &'static str,
    /// On or off.
    pub on: bool,
}

/// The flag of a driver whose cards have such an agent.
pub fn flag(driver: &str) -> Option<Flag> {
    match driver {
        "i40e" => Some(Flag { name: "disable-fw-lldp", on: true }),
        "ice" => Some(Flag { name: "fw-lldp-agent", on: false }),
        _ => None,
    }
}

/// What became of a card's agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Agent {
    /// It was off.
    WasOff(Flag),
    /// It is off now.
    SwitchedOff(Flag),
    /// It is as it was, and this is why.
    Stays(Flag, String),
}

impl fmt::Display for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |flag: &Flag| if flag.on { "on" } else { "off" };
        match self {
            Self::WasOff(flag) => {
                write!(f, "the firmware's LLDP agent is off already ({} {})", flag.name, word(flag))
            }
            Self::SwitchedOff(flag) => {
                write!(f, "the firmware's LLDP agent is switched off ({} {})", flag.name, word(flag))
            }
            Self::Stays(flag, why) => write!(
                f,
                "the firmware's LLDP agent may keep the switch's LLDP to itself: {} {} is refused ({why})",
                flag.name,
                word(flag)
            ),
        }
    }
}

/// Switches the agent of a link off, if its driver has one.
pub(super) fn switch_off(link: u32, driver: &str) -> Option<Agent> {
    let flag = flag(driver)?;
    Some(match set(link, flag) {
        Ok(true) => Agent::SwitchedOff(flag),
        Ok(false) => Agent::WasOff(flag),
        Err(error) => Agent::Stays(flag, error.to_string()),
    })
}

/// Sets a flag; whether it was another one.
fn set(link: u32, flag: Flag) -> Result<bool> {
    let mut talk = Talk::open(Some(netlink::GENERIC))?;
    let family = talk.ask(family_request, |message| family(message.body))?;
    let family = *family.first().ok_or(rustix::io::Errno::OPNOTSUPP)?;
    let on = talk.ask(|seq| get_request(family, link, seq), |message| Some(flags_on(message)))?;
    let is_on = on.iter().flatten().any(|name| name == flag.name);
    if is_on == flag.on {
        return Ok(false);
    }
    talk.ask(|seq| set_request(family, link, flag, seq), |_| Some(())).map(|_| true)
}

/// `GENL_ID_CTRL` and `CTRL_CMD_GETFAMILY`.
fn family_request(seq: u32) -> Vec<u8> {
    Writer::new(16, REQUEST | ACK, &[3, 1, 0, 0]).attr(2, b"ethtool\0").finish(seq)
}

/// `CTRL_ATTR_FAMILY_ID` of the answer.
fn family(body: &[u8]) -> Option<u16> {
    let (_, id) = attributes(body.get(4..)?).find(|(kind, value)| *kind == 1 && value.len() == 2)?;
    Some(u16_at(id, 0))
}

/// `ETHTOOL_MSG_PRIVFLAGS_GET`.
fn get_request(family: u16, link: u32, seq: u32) -> Vec<u8> {
    let header = nest(&[(1, &link.to_ne_bytes())]);
    Writer::new(family, REQUEST | ACK, &[13, 1, 0, 0]).attr(1 | NESTED, &header).finish(seq)
}

/// `ETHTOOL_MSG_PRIVFLAGS_SET` of one flag by its name: the others stay.
fn set_request(family: u16, link: u32, flag: Flag, seq: u32) -> Vec<u8> {
    let header = nest(&[(1, &link.to_ne_bytes())]);
    let name = [flag.name.as_bytes(), &[0]].concat();
    // ETHTOOL_A_BITSET_BIT_NAME, and _VALUE, which is there or not.
    let bit: &[(u16, &[u8])] = &[(2, &name), (3, &[])];
    let bit = nest(bit.get(..if flag.on { 2 } else { 1 }).unwrap_or(bit));
    let bits = nest(&[(1 | NESTED, &bit)]);
    Writer::new(family, REQUEST | ACK, &[14, 1, 0, 0])
        .attr(1 | NESTED, &header)
        .attr(2 | NESTED, &nest(&[(3 | NESTED, &bits)]))
        .finish(seq)
}

/// Names of the flags that are on. The kernel's list has no mask: only those are in it.
fn flags_on(message: &Message<'_>) -> Vec<String> {
    let inner = |bytes, wanted| attributes(bytes).filter(move |(kind, _)| *kind == wanted).map(|(_, v)| v);
    let all = message.body.get(4..).unwrap_or_default();
    let bits = inner(all, 2).flat_map(|set| inner(set, 3)).flat_map(|bits| inner(bits, 1));
    bits.flat_map(|bit| inner(bit, 2)).map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::super::netlink::messages;
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn requests_byte_by_byte() {
        let on = Flag { name: "disable-fw-lldp", on: true };
        let head = [68, 0, 0, 0, 0x15, 0, 5, 0, 7, 0, 0, 0, 0, 0, 0, 0, 14, 1, 0, 0];
        let link = [12, 0, 1, 0x80, 8, 0, 1, 0, 3, 0, 0, 0];
        let nests = [36, 0, 2, 0x80, 32, 0, 3, 0x80, 28, 0, 1, 0x80];
        let bit = b"\x14\0\x02\0disable-fw-lldp\0\x04\0\x03\0";
        assert_eq!(set_request(0x15, 3, on, 7), [&head[..], &link, &nests, bit].concat());
        // Without a value the bit is switched off.
        let off = set_request(0x15, 3, Flag { on: false, ..on }, 7);
        assert_eq!((off.len(), &off[off.len() - 16..]), (64, &b"disable-fw-lldp\0"[..]));
    }

    #[test]
    fn the_flags_that_are_on_are_listed() {
        let bit = |n: u32, name: &[u8]| nest(&[(1, &n.to_ne_bytes()), (2, name), (3, &[])]);
        let bits = nest(&[(1, &bit(0, b"LinkPolling\0")), (1, &bit(9, b"disable-fw-lldp\0"))]);
        let set = nest(&[(1, &[]), (2, &20_u32.to_ne_bytes()), (3, &bits)]);
        let reply = Writer::new(0x15, 0, &[14, 1, 0, 0]).attr(1, &[]).attr(2, &set).finish(7);
        let listed: Vec<_> = messages(&reply).flat_map(|message| flags_on(&message)).collect();
        assert_eq!(listed, ["LinkPolling", "disable-fw-lldp"]);
        let cut = messages(&reply[..reply.len() - 8]).flat_map(|message| flags_on(&message)).count();
        assert_eq!(cut, 0);
    }

    #[test]
    fn the_kernel_understands_the_question() {
        // The loopback has no driver with flags: that is what it answers, not that the
        // message is wrong.
        let flag = flag("ice").unwrap();
        assert_eq!(set(1, flag), Err(rustix::io::Errno::OPNOTSUPP));
        assert_eq!(switch_off(1, "virtio_net"), None);
        let stays = switch_off(1, "i40e").unwrap().to_string();
        assert!(stays.contains("disable-fw-lldp on is refused"), "{stays}");
    }
}
