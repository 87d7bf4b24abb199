//! Which switch port a link is plugged into: LLDP frames (IEEE 802.1AB-2016 §8, §9).

use crate::l2::{Mac, hex_pairs, mac_text};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Where neighbours send it: nearest bridge, nearest non-TPMR bridge, nearest
/// customer bridge (§7.1).
pub const GROUPS: [Mac; 3] =
    [[0x01, 0x80, 0xc2, 0, 0, 0x0e], [0x01, 0x80, 0xc2, 0, 0, 3], [0x01, 0x80, 0xc2, 0, 0, 0]];

/// Why a frame tells of no neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It ends inside a TLV.
    #[error("the frame ends inside a TLV")]
    Short,
    /// Chassis id, port id and time to live come first, once, in this order.
    #[error("the frame does not begin with chassis id, port id and time to live")]
    Order,
    /// An id without content, or with control characters only.
    #[error("an id is empty")]
    Empty,
}

/// A chassis id or port id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Id {
    /// What kind it is: tables 8-2 and 8-3 of the standard. Chassis: 4 MAC,
    /// 5 network address, 7 local. Port: 3 MAC, 5 interface name, 7 local.
    pub subtype: u8,
    /// The id in one fixed form, for it is part of a URL's path: a MAC as
    /// `aa:bb:cc:dd:ee:ff`, an IP address in its usual form, text as sent
    /// without control characters and outer white space, other bytes in hex
    /// pairs like a MAC.
    pub text: String,
}

/// What a neighbour is, by the capabilities it has switched on (§8.5.8), in the order in
/// which it is believed to be the switch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A bridge, and neither a telephone nor an access point: those bridge, too.
    Bridge,
    /// It does not say.
    #[default]
    Unsaid,
    /// Something else: a station, a telephone, a BMC.
    Other,
}

/// What a neighbour says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// The switch.
    pub chassis: Id,
    /// Its port.
    pub port: Id,
    /// For how many seconds this holds; 0 takes all back.
    pub ttl: u16,
    /// The port in the operator's words.
    pub port_description: Option<String>,
    /// The switch's name.
    pub system_name: Option<String>,
    /// What it is.
    pub kind: Kind,
}

const END: u8 = 0;
const CHASSIS: u8 = 1;
const PORT: u8 = 2;
const TTL: u8 = 3;
const PORT_DESCRIPTION: u8 = 4;
const SYSTEM_NAME: u8 = 5;
const CAPABILITIES: u8 = 7;

/// Bits of the capabilities (table 8-4).
const BRIDGE: u16 = 1 << 2;
const ACCESS_POINT: u16 = 1 << 3;
const TELEPHONE: u16 = 1 << 5;

/// Reads what follows the Ethernet header.
///
/// # Errors
/// When the frame breaks the standard where we look.
pub fn parse(payload: &[u8]) -> Result<Neighbour, Error> {
    let mut rest = payload;
    let chassis = id(expect(&mut rest, CHASSIS)?, 4, 5)?;
    let port = id(expect(&mut rest, PORT)?, 3, 4)?;
    let ttl = expect(&mut rest, TTL)?.first_chunk().ok_or(Error::Short)?;
    let mut neighbour = Neighbour {
        chassis,
        port,
        ttl: u16::from_be_bytes(*ttl),
        port_description: None,
        system_name: None,
        kind: Kind::Unsaid,
    };
    // The end mark may be missing: then the frame's end is the end.
    while !rest.is_empty() {
        let (kind, value) = tlv(&mut rest)?;
        match kind {
            END => break,
            CHASSIS | PORT | TTL => return Err(Error::Order),
            PORT_DESCRIPTION => neighbour.port_description = text(value),
            SYSTEM_NAME => neighbour.system_name = text(value),
            CAPABILITIES => neighbour.kind = capabilities(value),
            _ => {}
        }
    }
    Ok(neighbour)
}

/// What there is, then what of it is switched on, 16 bits each.
fn capabilities(value: &[u8]) -> Kind {
    let [_, _, high, low, ..] = *value else { return Kind::Unsaid };
    match u16::from_be_bytes([high, low]) {
        0 => Kind::Unsaid,
        on if on & BRIDGE != 0 && on & (ACCESS_POINT | TELEPHONE) == 0 => Kind::Bridge,
        _ => Kind::Other,
    }
}

/// Cuts one TLV: 7 bits of type, 9 bits of length (§8.4).
fn tlv<'a>(rest: &mut &'a [u8]) -> Result<(u8, &'a [u8]), Error> {
    let (head, after) = rest.split_first_chunk().ok_or(Error::Short)?;
    let length = usize::from(u16::from_be_bytes(*head) & 0x1ff);
    let (value, after) = after.split_at_checked(length).ok_or(Error::Short)?;
    *rest = after;
    Ok((head[0] >> 1, value))
}

fn expect<'a>(rest: &mut &'a [u8], wanted: u8) -> Result<&'a [u8], Error> {
    match tlv(rest)? {
        (kind, value) if kind == wanted => Ok(value),
        _ => Err(Error::Order),
    }
}

/// An id; which subtypes are MACs and network addresses differs between the two.
fn id(value: &[u8], mac_subtype: u8, address_subtype: u8) -> Result<Id, Error> {
    let (&subtype, value) = value.split_first().ok_or(Error::Empty)?;
    let mac: Option<&Mac> = value.try_into().ok().filter(|_| subtype == mac_subtype);
    let address = Some(value).filter(|_| subtype == address_subtype).and_then(address);
    let text = match (mac, address) {
        (Some(mac), _) => mac_text(mac),
        (None, Some(address)) => address,
        _ => text_or_hex(value).ok_or(Error::Empty)?,
    };
    Ok(Id { subtype, text })
}

/// An address with its family before it: 1 IPv4, 2 IPv6 (IANA address family numbers).
fn address(value: &[u8]) -> Option<String> {
    match value.split_first()? {
        (1, v4) => <[u8; 4]>::try_from(v4).ok().map(|v4| Ipv4Addr::from(v4).to_string()),
        (2, v6) => <[u8; 16]>::try_from(v6).ok().map(|v6| Ipv6Addr::from(v6).to_string()),
        _ => None,
    }
}

fn text_or_hex(value: &[u8]) -> Option<String> {
    // Bytes that are no text must not become the same id by replacement marks.
    if std::str::from_utf8(value).is_err() { Some(hex_pairs(value)) } else { text(value) }
}

fn text(value: &[u8]) -> Option<String> {
    let text: String = String::from_utf8_lossy(value).chars().filter(|c| !c.is_control()).collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
        let head = u16::from(kind) << 9 | u16::try_from(value.len()).unwrap();
        [&head.to_be_bytes()[..], value].concat()
    }

    fn frame(chassis: &[u8], port: &[u8]) -> Vec<u8> {
        [tlv(CHASSIS, chassis), tlv(PORT, port), tlv(TTL, &[0, 120])].concat()
    }

    #[test]
    fn a_switch_port_as_they_come() {
        let bytes = [
            frame(b"\x04\x00\x1B\x21\xAA\xBB\xCC", b"\x05Ethernet1/12"),
            tlv(PORT_DESCRIPTION, b"sled 12\0"),
            tlv(SYSTEM_NAME, b"tor-a1"),
            // Can bridge and route, and bridges.
            tlv(CAPABILITIES, &[0, 0x14, 0, 0x04]),
            tlv(127, &[0, 0x12, 0x0f, 1]),
            tlv(END, b""),
            vec![0; 20],
        ]
        .concat();
        let neighbour = Neighbour {
            chassis: Id { subtype: 4, text: "00:1b:21:aa:bb:cc".into() },
            port: Id { subtype: 5, text: "Ethernet1/12".into() },
            ttl: 120,
            port_description: Some("sled 12".into()),
            system_name: Some("tor-a1".into()),
            kind: Kind::Bridge,
        };
        assert_eq!(parse(&bytes), Ok(neighbour));
    }

    #[test]
    fn what_is_switched_on_says_what_it_is() {
        let kind = |value: &[u8]| {
            parse(&[frame(b"\x07a", b"\x07b"), tlv(CAPABILITIES, value)].concat()).unwrap().kind
        };
        assert_eq!(kind(&[0, 0x14, 0, 0x14]), Kind::Bridge, "a switch that routes");
        assert_eq!(kind(&[0, 0x14, 0, 0]), Kind::Unsaid, "nothing is switched on");
        assert_eq!(kind(&[0, 0x24, 0, 0x24]), Kind::Other, "a telephone with a second socket");
        assert_eq!(kind(&[0, 0x0c, 0, 0x0c]), Kind::Other, "an access point");
        assert_eq!(kind(&[0, 0x80, 0, 0x80]), Kind::Other, "a station");
        assert_eq!(kind(&[0, 4, 0]), Kind::Unsaid, "cut off");
        assert!(Kind::Bridge < Kind::Unsaid && Kind::Unsaid < Kind::Other);
    }

    #[test]
    fn ids_have_one_form_each() {
        let ids =
            |chassis: &[u8], port: &[u8]| parse(&frame(chassis, port)).map(|n| (n.chassis.text, n.port.text));
        let both = |a: &str, b: &str| Ok((a.to_owned(), b.to_owned()));
        assert_eq!(ids(b"\x07 tor\r\n1 ", b"\x03\x02\0\0\0\0\x01"), both("tor1", "02:00:00:00:00:01"));
        assert_eq!(ids(b"\x05\x01\x0a\0\0\x01", b"\x07\xff\xfe"), both("10.0.0.1", "ff:fe"));
        let v6 = [&[4_u8, 2][..], &Ipv6Addr::LOCALHOST.octets()].concat();
        assert_eq!(ids(b"\x07x", &v6), both("x", "::1"));
        // Six bytes are a MAC only where the subtype says so.
        assert_eq!(ids(b"\x07abcdef", b"\x05ge-0/0"), both("abcdef", "ge-0/0"));
    }

    #[test]
    fn each_break_of_the_standard_has_its_name() {
        let good = frame(b"\x07a", b"\x07b");
        assert_eq!(parse(&good[..good.len() - 1]), Err(Error::Short));
        assert_eq!(parse(&[]), Err(Error::Short));
        assert_eq!(parse(&[tlv(PORT, b"\x07b"), good.clone()].concat()), Err(Error::Order));
        assert_eq!(parse(&[good.clone(), tlv(CHASSIS, b"\x07c")].concat()), Err(Error::Order));
        assert_eq!(parse(&frame(b"\x07", b"\x07b")), Err(Error::Empty));
        assert_eq!(parse(&frame(b"", b"\x07b")), Err(Error::Empty));
        assert_eq!(parse(&frame(b"\x07\0\x01", b"\x07b")), Err(Error::Empty));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read(bytes: Vec<u8>) {
            let _ = parse(&bytes);
            let _ = parse(&[frame(b"\x07a", b"\x07b"), bytes].concat());
        }
    }
}
