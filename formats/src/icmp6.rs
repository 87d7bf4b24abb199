//! What a router advertisement says about name servers (RFC 8106).
//!
//! Addresses, routes and the MTU are left to the kernel (`accept_ra`), which
//! does SLAAC well and needs no help. It hands the options it does not use to
//! whoever listens (`RTNLGRP_ND_USEROPT`), after checking that the
//! advertisement came from a router on the link; only those are read here.

use crate::dns_name;
use std::net::Ipv6Addr;

const RDNSS: u8 = 25;
const DNSSL: u8 = 31;

/// Name servers and search list. A lifetime of 0 takes back what it names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dns {
    /// Servers, with their lifetime in seconds (`u32::MAX`: for ever).
    pub servers: Vec<(Ipv6Addr, u32)>,
    /// Domains to search, with their lifetime in seconds.
    pub search: Vec<(String, u32)>,
}

/// Reads options: type, length in units of 8 bytes, content. Reading stops at
/// one that is damaged; others are passed over.
pub fn dns(options: &[u8]) -> Dns {
    let mut dns = Dns::default();
    let mut rest = options;
    while let [kind, units, ..] = *rest {
        let Some((option, after)) = rest.split_at_checked(usize::from(units) * 8).filter(|_| units > 0)
        else {
            break;
        };
        rest = after;
        // Both: two bytes of head, two reserved, four of lifetime.
        let Some((head, content)) = option.split_first_chunk::<8>() else { continue };
        let lifetime = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
        match kind {
            RDNSS => {
                let (servers, _) = content.as_chunks::<16>();
                dns.servers.extend(servers.iter().map(|s| (Ipv6Addr::from(*s), lifetime)));
            }
            DNSSL => dns.search.extend(dns_name::list(content).into_iter().map(|n| (n, lifetime))),
            _ => {}
        }
    }
    dns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_and_search_list() {
        let server = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x53);
        let bytes = [
            &[RDNSS, 3, 0, 0, 0, 0, 0x0e, 0x10][..],
            &server.octets(),
            &[1, 1, 2, 0, 0, 0, 0, 1],
            &[DNSSL, 2, 0, 0, 0, 0, 0, 0, 3, b'l', b'a', b'b', 0, 0, 0, 0],
        ]
        .concat();
        assert_eq!(dns(&bytes), Dns { servers: vec![(server, 3600)], search: vec![("lab".into(), 0)] });
    }

    #[test]
    fn a_damaged_option_ends_the_reading() {
        assert_eq!(dns(&[RDNSS, 0, 0, 0, 0, 0, 0, 0]), Dns::default());
        assert_eq!(dns(&[RDNSS, 3, 0, 0, 0, 0, 0, 0]), Dns::default());
        assert_eq!(dns(&[RDNSS]), Dns::default());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read(bytes: Vec<u8>) {
            let _ = dns(&bytes);
        }
    }
}
