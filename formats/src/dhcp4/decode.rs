//! What servers send.

use super::{FIXED, Kind, MAGIC, Message, Route, option};
use crate::dns_name;
use crate::l2::Mac;
use std::net::Ipv4Addr;

/// Why bytes are no answer to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Shorter than the fixed part.
    #[error("the message is too short")]
    Short,
    /// From a client.
    #[error("the message is no reply")]
    NoReply,
    /// For another kind of network.
    #[error("the message is not for an Ethernet client")]
    Hardware,
    /// BOOTP without DHCP's options.
    #[error("the message has no DHCP options")]
    Magic,
    /// An option is longer than what is left.
    #[error("the message ends inside option {0}")]
    Option(u8),
    /// Option 53 is missing or not what a server sends.
    #[error("the message is no offer, acknowledgement or refusal")]
    Kind,
}

/// Reads a UDP payload.
///
/// An option whose content makes no sense is taken as not sent: a sled comes up
/// without its NTP server rather than not at all.
///
/// # Errors
/// When it is no server's DHCP message.
pub fn decode(bytes: &[u8]) -> Result<Message, Error> {
    let (fixed, rest) = bytes.split_first_chunk::<FIXED>().ok_or(Error::Short)?;
    if fixed[0] != 2 {
        return Err(Error::NoReply);
    }
    if fixed[1..3] != [1, 6] {
        return Err(Error::Hardware);
    }
    let area = rest.strip_prefix(&MAGIC).ok_or(Error::Magic)?;
    let mut options = Options::default();
    options.read(area)?;
    // RFC 3396 §5: a split option goes on in the order options, file, sname.
    let overload = options.get(option::OVERLOAD).first().copied().unwrap_or(0);
    if overload & 1 != 0 {
        options.read(&fixed[108..236])?;
    }
    if overload & 2 != 0 {
        options.read(&fixed[44..108])?;
    }
    let kind = match options.get(option::KIND) {
        [2, ..] => Kind::Offer,
        [5, ..] => Kind::Ack,
        [6, ..] => Kind::Nak,
        _ => return Err(Error::Kind),
    };
    let mut mac: Mac = [0; 6];
    mac.copy_from_slice(&fixed[28..34]);

    let routes = routes(options.get(option::ROUTES)).unwrap_or_default();
    Ok(Message {
        kind,
        xid: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
        mac,
        address: Ipv4Addr::new(fixed[16], fixed[17], fixed[18], fixed[19]),
        server: options.addresses(option::SERVER).first().copied().filter(is_host),
        prefix: options.number(option::MASK).and_then(prefix),
        routers: if routes.is_empty() { options.hosts(option::ROUTERS) } else { Vec::new() },
        routes,
        dns: options.hosts(option::DNS),
        ntp: options.hosts(option::NTP),
        hostname: options.name(option::HOSTNAME),
        domain: options.name(option::DOMAIN),
        search: dns_name::list(options.get(option::SEARCH)),
        mtu: options.mtu(),
        lease: options.number(option::LEASE),
        renew: options.number(option::RENEW),
        rebind: options.number(option::REBIND),
        reason: options.text(option::REASON),
        metadata_url: options.text(option::METADATA_URL),
    })
}

/// A contiguous mask as a prefix length.
fn prefix(mask: u32) -> Option<u8> {
    let ones = mask.leading_ones();
    (mask.count_ones() == ones).then(|| u8::try_from(ones).ok()).flatten()
}

/// RFC 3442: prefix length, its significant bytes, router; repeated. All or nothing.
fn routes(bytes: &[u8]) -> Option<Vec<Route>> {
    let mut routes = Vec::new();
    let mut rest = bytes;
    while let Some((&prefix, after)) = rest.split_first() {
        let significant = usize::from(prefix.div_ceil(8));
        let (given, after) = after.split_at_checked(significant).filter(|_| prefix <= 32)?;
        let (via, after) = after.split_first_chunk::<4>()?;
        let mut to = [0; 4];
        to[..significant].copy_from_slice(given);
        // Bits beyond the prefix are said to be zero and the kernel insists on it.
        let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
        let to = Ipv4Addr::from_bits(u32::from_be_bytes(to) & mask);
        routes.push(Route { to, prefix, via: (*via).into() });
        rest = after;
    }
    Some(routes)
}

/// Whether one host can have the address.
fn is_host(address: &Ipv4Addr) -> bool {
    !(address.is_unspecified() || address.is_broadcast() || address.is_multicast() || address.is_loopback())
}

/// Options by number, the pieces of each put together (RFC 3396).
#[derive(Default)]
struct Options(Vec<(u8, Vec<u8>)>);

impl Options {
    fn read(&mut self, area: &[u8]) -> Result<(), Error> {
        let mut rest = area;
        // Some servers leave out the end mark: then the area's end is the end.
        while let Some((&code, after)) = rest.split_first() {
            if code == option::END {
                break;
            }
            rest = after;
            if code == option::PAD {
                continue;
            }
            let (&length, after) = after.split_first().ok_or(Error::Option(code))?;
            let (value, after) = after.split_at_checked(usize::from(length)).ok_or(Error::Option(code))?;
            rest = after;
            match self.0.iter_mut().find(|(known, _)| *known == code) {
                Some((_, so_far)) => so_far.extend_from_slice(value),
                None => self.0.push((code, value.to_vec())),
            }
        }
        Ok(())
    }

    fn get(&self, code: u8) -> &[u8] {
        self.0.iter().find(|(known, _)| *known == code).map_or(&[], |(_, value)| value)
    }

    fn number(&self, code: u8) -> Option<u32> {
        self.get(code).first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
    }

    fn mtu(&self) -> Option<u16> {
        let bytes = self.get(option::MTU).first_chunk()?;
        Some(u16::from_be_bytes(*bytes)).filter(|mtu| *mtu >= 68)
    }

    fn addresses(&self, code: u8) -> Vec<Ipv4Addr> {
        self.get(code).as_chunks::<4>().0.iter().map(|bytes| Ipv4Addr::from(*bytes)).collect()
    }

    fn hosts(&self, code: u8) -> Vec<Ipv4Addr> {
        let mut hosts = self.addresses(code);
        hosts.retain(is_host);
        hosts
    }

    /// Printable text; some servers count a final NUL.
    fn text(&self, code: u8) -> Option<String> {
        let text = std::str::from_utf8(self.get(code)).ok()?.trim_end_matches('\0').trim();
        (!text.is_empty() && !text.contains(char::is_control)).then(|| text.to_owned())
    }

    fn name(&self, code: u8) -> Option<String> {
        self.text(code).filter(|name| dns_name::is_host_name(name))
    }
}

#[cfg(test)]
mod tests;
