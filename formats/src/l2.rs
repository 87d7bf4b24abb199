//! Ethernet frames, and the few that tell what a switch port is doing.
//!
//! Every function takes any bytes. Sources: IEEE 802.3 (frames), RFC 826 and
//! RFC 5227 (ARP), IEEE 802.1D-2004 §9.3 (BPDU), IEEE 802.1AX §6.4.2 (LACPDU).

use std::net::Ipv4Addr;

/// A link address.
pub type Mac = [u8; 6];

/// All stations.
pub const BROADCAST: Mac = [0xff; 6];
/// Where bridges talk spanning tree; also LLDP's "nearest customer bridge".
pub const BRIDGE_GROUP: Mac = [0x01, 0x80, 0xc2, 0, 0, 0];
/// Where LACP is spoken.
pub const SLOW_PROTOCOLS: Mac = [0x01, 0x80, 0xc2, 0, 0, 2];

/// Ethertypes.
pub mod ethertype {
    /// IPv4.
    pub const IPV4: u16 = 0x0800;
    /// ARP.
    pub const ARP: u16 = 0x0806;
    /// Slow protocols, LACP among them.
    pub const SLOW: u16 = 0x8809;
    /// LLDP.
    pub const LLDP: u16 = 0x88cc;
    /// Linux's number for "802.2 LLC", for frames with a length instead of a
    /// type (`ETH_P_802_2`); never on the wire.
    pub const LLC: u16 = 0x0004;
}

/// A MAC as `aa:bb:cc:dd:ee:ff`, lower case.
pub fn mac_text(mac: &Mac) -> String {
    hex_pairs(mac)
}

/// Any bytes as lower-case pairs with colons between.
pub(crate) fn hex_pairs(bytes: &[u8]) -> String {
    let digit = |n: u8| char::from(if n < 10 { b'0' + n } else { b'a' + n - 10 });
    let mut text = String::new();
    for byte in bytes {
        if !text.is_empty() {
            text.push(':');
        }
        text.push(digit(byte >> 4));
        text.push(digit(byte & 15));
    }
    text
}

/// A MAC from six pairs of hex digits with `:` or `-` between.
pub fn parse_mac(text: &str) -> Option<Mac> {
    let mut mac = [0; 6];
    let mut parts = text.split([':', '-']);
    for byte in &mut mac {
        let part = parts.next().filter(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit()))?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(mac)
}

/// A frame, cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// To whom.
    pub to: Mac,
    /// From whom.
    pub from: Mac,
    /// An ethertype, or below 1536 a length in bytes.
    pub kind: u16,
    /// What follows, padding included.
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Cuts a frame; `None` when it is shorter than a header.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (to, rest) = bytes.split_first_chunk()?;
        let (from, rest) = rest.split_first_chunk()?;
        let (kind, payload) = rest.split_first_chunk()?;
        Some(Self { to: *to, from: *from, kind: u16::from_be_bytes(*kind), payload })
    }

    /// The bytes to send, without padding: the driver adds that.
    pub fn bytes(&self) -> Vec<u8> {
        [&self.to[..], &self.from, &self.kind.to_be_bytes(), self.payload].concat()
    }
}

/// An ARP packet for IPv4 on Ethernet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// 1 asks, 2 answers.
    pub operation: u16,
    /// Who sends it.
    pub sender_mac: Mac,
    /// The address the sender says is its own; 0.0.0.0 in a probe.
    pub sender: Ipv4Addr,
    /// The address it is about.
    pub target: Ipv4Addr,
}

impl Arp {
    const HEAD: [u8; 6] = [0, 1, 8, 0, 6, 4];

    /// Reads what follows the Ethernet header; `None` for other networks' ARP.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let (head, rest) = payload.split_first_chunk::<6>()?;
        let (operation, rest) = rest.split_first_chunk()?;
        let (sender_mac, rest) = rest.split_first_chunk()?;
        let (sender, rest) = rest.split_first_chunk::<4>()?;
        let target = rest.get(6..)?.first_chunk::<4>()?;
        (head == &Self::HEAD).then_some(Self {
            operation: u16::from_be_bytes(*operation),
            sender_mac: *sender_mac,
            sender: (*sender).into(),
            target: (*target).into(),
        })
    }

    /// The frame that asks whether anybody has `target` (RFC 5227 §2.1.1).
    pub fn probe(mac: Mac, target: Ipv4Addr) -> Vec<u8> {
        let payload = [&Self::HEAD[..], &[0, 1], &mac, &[0; 4], &[0; 6], &target.octets()].concat();
        Frame { to: BROADCAST, from: mac, kind: ethertype::ARP, payload: &payload }.bytes()
    }

    /// Whether this says that somebody other than `mac` has the address, or is
    /// about to take it (RFC 5227 §2.1.1).
    pub fn claims(&self, address: Ipv4Addr, mac: &Mac) -> bool {
        let probes = self.operation == 1 && self.sender.is_unspecified() && self.target == address;
        self.sender_mac != *mac && (self.sender == address || probes)
    }
}

/// What a spanning-tree frame tells of the port it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bpdu {
    /// Whether the port forwards. Only RSTP and MSTP say; `None` from plain STP.
    pub forwarding: Option<bool>,
}

impl Bpdu {
    /// Recognises a BPDU of any version.
    pub fn parse(frame: &Frame<'_>) -> Option<Self> {
        let [0x42, 0x42, 3, 0, 0, version, kind, flags, ..] = *frame.payload else { return None };
        let is_bpdu = frame.to == BRIDGE_GROUP && frame.kind < 1536;
        let forwarding = (version >= 2 && kind == 2).then_some(flags & 0x20 != 0);
        is_bpdu.then_some(Self { forwarding })
    }
}

/// What an LACP frame tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lacp {
    /// Whether the switch has a partner at our end: it has seen our LACP.
    pub partner_known: bool,
}

impl Lacp {
    /// Recognises an LACPDU.
    pub fn parse(frame: &Frame<'_>) -> Option<Self> {
        // Subtype, version, actor (type 1, 20 bytes), partner (type 2, 20 bytes).
        let [1, _, 1, 20] = *frame.payload.first_chunk()? else { return None };
        let [2, 20, _, _, system @ ..] = *frame.payload.get(22..)?.first_chunk::<10>()? else { return None };
        (frame.kind == ethertype::SLOW).then_some(Self { partner_known: system != [0; 6] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = [2, 0xab, 0, 0, 0, 9];

    #[test]
    fn macs_are_read_with_colons_or_dashes_and_written_lower_case() {
        assert_eq!(parse_mac("02-AB-00-00-00-09"), Some(MAC));
        assert_eq!(mac_text(&MAC), "02:ab:00:00:00:09");
        for bad in ["", "02:ab:00:00:00", "02:ab:00:00:00:09:01", "2:ab:0:0:0:9", "02:ab:00:00:00:+9"] {
            assert_eq!(parse_mac(bad), None, "{bad}");
        }
    }

    #[test]
    fn arp_tells_who_has_an_address() {
        let mine = Ipv4Addr::new(10, 0, 0, 5);
        let probe = Arp::probe(MAC, mine);
        assert_eq!(probe[..16], [255, 255, 255, 255, 255, 255, 2, 0xab, 0, 0, 0, 9, 8, 6, 0, 1]);
        let arp = Arp::parse(Frame::parse(&probe).unwrap().payload).unwrap();
        assert_eq!(arp, Arp { operation: 1, sender_mac: MAC, sender: Ipv4Addr::UNSPECIFIED, target: mine });
        // Our own probe is no conflict; another's for the same address is one.
        assert!(!arp.claims(mine, &MAC));
        assert!(arp.claims(mine, &BROADCAST));
        let answer = Arp { operation: 2, sender: mine, ..arp };
        assert!(answer.claims(mine, &BROADCAST) && !answer.claims(Ipv4Addr::LOCALHOST, &BROADCAST));
        let asks = Arp { operation: 1, sender: Ipv4Addr::new(10, 0, 0, 1), target: mine, ..arp };
        assert!(!asks.claims(mine, &BROADCAST), "a question is not an owner");
    }

    fn bpdu(version: u8, kind: u8, flags: u8) -> Vec<u8> {
        let payload = [&[0x42, 0x42, 3, 0, 0, version, kind, flags][..], &[0; 40]].concat();
        Frame { to: BRIDGE_GROUP, from: MAC, kind: 38, payload: &payload }.bytes()
    }

    #[test]
    fn spanning_tree_is_recognised_and_rapid_says_whether_it_forwards() {
        let parse = |bytes: &[u8]| Bpdu::parse(&Frame::parse(bytes).unwrap());
        assert_eq!(parse(&bpdu(0, 0, 0)), Some(Bpdu { forwarding: None }));
        assert_eq!(parse(&bpdu(2, 2, 0x0e)), Some(Bpdu { forwarding: Some(false) }));
        assert_eq!(parse(&bpdu(2, 2, 0x3e)), Some(Bpdu { forwarding: Some(true) }));
        let mut other = bpdu(0, 0, 0);
        other[5] = 9;
        assert_eq!(parse(&other), None);
    }

    #[test]
    fn lacp_says_whether_the_switch_found_a_partner() {
        let mut payload = [0; 110];
        payload[..4].copy_from_slice(&[1, 1, 1, 20]);
        payload[22..24].copy_from_slice(&[2, 20]);
        let parse =
            |payload: &[u8], kind| Lacp::parse(&Frame { to: SLOW_PROTOCOLS, from: MAC, kind, payload });
        assert_eq!(parse(&payload, ethertype::SLOW), Some(Lacp { partner_known: false }));
        payload[26..32].copy_from_slice(&MAC);
        assert_eq!(parse(&payload, ethertype::SLOW), Some(Lacp { partner_known: true }));
        assert_eq!(parse(&payload, ethertype::LLDP), None);
        payload[0] = 2;
        assert_eq!(parse(&payload, ethertype::SLOW), None, "marker protocol");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read(bytes: Vec<u8>) {
            let _ = Arp::parse(&bytes);
            if let Some(frame) = Frame::parse(&bytes) {
                let _ = (Bpdu::parse(&frame), Lacp::parse(&frame));
                proptest::prop_assert_eq!(frame.bytes(), bytes);
            }
        }
    }
}
