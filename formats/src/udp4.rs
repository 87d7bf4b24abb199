//! UDP in IPv4, for a host that has no address yet. Source: RFC 791, RFC 768, RFC 1071.

use std::net::{Ipv4Addr, SocketAddrV4};

const IP_HEADER: usize = 20;
const UDP_HEADER: usize = 8;
const PROTOCOL: u8 = 17;

/// One datagram, cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// From whom.
    pub from: SocketAddrV4,
    /// To whom.
    pub to: SocketAddrV4,
    /// What it carries.
    pub payload: &'a [u8],
}

/// The IPv4 packet; `None` when the payload is longer than IPv4 allows.
pub fn build(datagram: &Datagram<'_>) -> Option<Vec<u8>> {
    let udp_length = u16::try_from(datagram.payload.len().checked_add(UDP_HEADER)?).ok()?;
    let length = udp_length.checked_add(20)?;
    let (from, to) = (datagram.from.ip().octets(), datagram.to.ip().octets());
    let mut packet = Vec::with_capacity(usize::from(length));
    packet.extend_from_slice(&[0x45, 0x10]);
    packet.extend_from_slice(&length.to_be_bytes());
    packet.extend_from_slice(&[0, 0, 0, 0, 64, PROTOCOL, 0, 0]);
    packet.extend_from_slice(&from);
    packet.extend_from_slice(&to);
    let checksum = !sum(0, &packet);
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());

    packet.extend_from_slice(&datagram.from.port().to_be_bytes());
    packet.extend_from_slice(&datagram.to.port().to_be_bytes());
    packet.extend_from_slice(&udp_length.to_be_bytes());
    packet.extend_from_slice(&[0, 0]);
    packet.extend_from_slice(datagram.payload);
    // A sum of zero is sent as all ones: zero means "not computed".
    let checksum = match !sum(pseudo_header(from, to, udp_length), &packet[IP_HEADER..]) {
        0 => 0xffff,
        other => other,
    };
    packet[26..28].copy_from_slice(&checksum.to_be_bytes());
    Some(packet)
}

/// Reads a packet; `None` when it is not a whole, undamaged UDP datagram.
///
/// A raw socket sees packets of the same host (or of its hypervisor) before the
/// NIC's checksum unit did: the field then holds the sum of the pseudo-header
/// alone. That is taken for right, as is 0, "not computed".
pub fn parse(packet: &[u8]) -> Option<Datagram<'_>> {
    let word = |bytes: &[u8], at: usize| Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
    let header = usize::from(packet.first()? & 15) * 4;
    let length = usize::from(word(packet, 2)?);
    // Ethernet pads short frames: what is beyond the length is not ours.
    let packet = packet.get(..length)?;
    let head = packet.get(..header).filter(|h| h.len() >= IP_HEADER)?;
    let fragment = word(head, 6)? & 0x3fff != 0;
    if head[0] >> 4 != 4 || head[9] != PROTOCOL || fragment || sum(0, head) != 0xffff {
        return None;
    }
    let address = |at: usize| Some(Ipv4Addr::from(*head.get(at..)?.first_chunk::<4>()?));
    let (from, to) = (address(12)?, address(16)?);
    let udp = packet.get(header..)?;
    let udp_length = word(udp, 4)?;
    let udp = udp.get(..usize::from(udp_length))?;
    let payload = udp.get(UDP_HEADER..)?;
    let pseudo = pseudo_header(from.octets(), to.octets(), udp_length);
    let checksum = word(udp, 6)?;
    if checksum != 0 && sum(pseudo, udp) != 0xffff && checksum != sum(pseudo, &[]) {
        return None;
    }
    Some(Datagram {
        from: SocketAddrV4::new(from, word(udp, 0)?),
        to: SocketAddrV4::new(to, word(udp, 2)?),
        payload,
    })
}

/// What the UDP checksum covers besides the datagram, not yet folded.
fn pseudo_header(from: [u8; 4], to: [u8; 4], udp_length: u16) -> u32 {
    let half = |a: u8, b: u8| u32::from(u16::from_be_bytes([a, b]));
    half(from[0], from[1])
        + half(from[2], from[3])
        + half(to[0], to[1])
        + half(to[2], to[3])
        + u32::from(PROTOCOL)
        + u32::from(udp_length)
}

/// One's complement sum (RFC 1071) of at most 64 KiB, going on from `start`.
fn sum(start: u32, bytes: &[u8]) -> u16 {
    let mut sum = start;
    for pair in bytes.chunks(2) {
        let low = pair.get(1).copied().unwrap_or(0);
        sum += u32::from(u16::from_be_bytes([pair[0], low]));
    }
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    u16::try_from(folded).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(payload: &[u8]) -> Datagram<'_> {
        Datagram {
            from: SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68),
            to: SocketAddrV4::new(Ipv4Addr::BROADCAST, 67),
            payload,
        }
    }

    #[test]
    fn a_known_packet() {
        // The checksums are those of another program.
        let packet = build(&datagram(b"abc")).unwrap();
        let golden = [
            0x45, 0x10, 0, 31, 0, 0, 0, 0, 64, 17, 0x7a, 0xbf, 0, 0, 0, 0, 255, 255, 255, 255, //
            0, 68, 0, 67, 0, 11, 0x3a, 0xef, b'a', b'b', b'c',
        ];
        assert_eq!(packet, golden);
        let padded = [&packet[..], &[0; 18]].concat();
        assert_eq!(parse(&padded), Some(datagram(b"abc")));
    }

    #[test]
    fn checksums_may_be_missing_or_half_done_but_not_wrong() {
        let mut packet = build(&datagram(b"abc")).unwrap();
        packet[26..28].copy_from_slice(&[0, 0]);
        assert_eq!(parse(&packet), Some(datagram(b"abc")), "not computed");
        let half = sum(pseudo_header([0; 4], [255; 4], 11), &[]);
        packet[26..28].copy_from_slice(&half.to_be_bytes());
        assert_eq!(parse(&packet), Some(datagram(b"abc")), "left to the NIC");
        packet[27] ^= 1;
        assert_eq!(parse(&packet), None);
    }

    #[test]
    fn each_damage_is_refused() {
        let good = build(&datagram(b"abcd")).unwrap();
        let damages: [(usize, u8, &str); 6] = [
            (0, 0x65, "version"),
            (0, 0x44, "header length"),
            (6, 0x20, "more fragments"),
            (8, 63, "header checksum"),
            (28, b'x', "payload"),
            (25, 200, "UDP length"),
        ];
        for (at, value, what) in damages {
            let mut bad = good.clone();
            bad[at] = value;
            assert_eq!(parse(&bad), None, "{what}");
        }
        assert_eq!(parse(&good[..good.len() - 1]), None, "cut off");
        assert_eq!(build(&datagram(&vec![0; 65_508])), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read(mut bytes: Vec<u8>, ihl in 0_u8..16) {
            let _ = parse(&bytes);
            if let Some(first) = bytes.first_mut() { *first = 0x40 | ihl; }
            let _ = parse(&bytes);
        }

        #[test]
        fn what_is_built_is_read(payload: Vec<u8>) {
            let packet = build(&datagram(&payload)).unwrap();
            proptest::prop_assert_eq!(parse(&packet), Some(datagram(&payload)));
        }
    }
}
