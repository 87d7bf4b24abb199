use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The bytes after the header, checked: length, type, flags, number.
fn body(bytes: &[u8], kind: u16, flags: u16) -> Vec<u8> {
    assert_eq!(u32_at(bytes, 0), u32::try_from(bytes.len()).unwrap());
    assert_eq!((u16_at(bytes, 4), u16_at(bytes, 6), u32_at(bytes, 8)), (kind, flags, 7));
    bytes[HEADER..].to_vec()
}

#[test]
#[cfg(target_endian = "little")]
fn requests_byte_by_byte() {
    // As strace shows iproute2 send them, but for the flags that ask for an answer.
    assert_eq!(body(&Op::Up.encode(3, 7), 16, 5), [0, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]);
    assert_eq!(
        body(&Op::Mtu(9000).encode(3, 7), 16, 5),
        [0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 4, 0, 0x28, 0x23, 0, 0]
    );
    let add = Op::AddAddress { address: ip("10.0.0.5"), prefix: 24, lifetime: Some(60), metric: 100 };
    assert_eq!(
        body(&add.encode(3, 7), 20, 0x505),
        [
            &[2, 24, 0, 0, 3, 0, 0, 0, 8, 0, 1, 0, 10, 0, 0, 5, 8, 0, 2, 0, 10, 0, 0, 5][..],
            &[8, 0, 4, 0, 10, 0, 0, 255],
            &[20, 0, 6, 0, 60, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 9, 0, 100, 0, 0, 0],
        ]
        .concat()
    );
    let route = Op::AddRoute {
        to: ip("0.0.0.0"),
        prefix: 0,
        via: Some(ip("10.0.0.1")),
        onlink: true,
        source: Some(ip("10.0.0.5")),
        metric: 100,
    };
    assert_eq!(
        body(&route.encode(3, 7), 24, 0x505),
        [
            &[2, 0, 0, 0, 254, 3, 0, 1, 4, 0, 0, 0, 8, 0, 4, 0, 3, 0, 0, 0, 8, 0, 6, 0, 100, 0, 0, 0][..],
            &[8, 0, 5, 0, 10, 0, 0, 1, 8, 0, 7, 0, 10, 0, 0, 5],
        ]
        .concat()
    );
    let direct =
        Op::AddRoute { to: ip("10.9.0.0"), prefix: 16, via: None, onlink: false, source: None, metric: 1 };
    let direct = body(&direct.encode(3, 7), 24, 0x505);
    assert_eq!(direct[..12], [2, 16, 0, 0, 254, 3, 253, 1, 0, 0, 0, 0]);
    assert_eq!(direct[28..], [8, 0, 1, 0, 10, 9, 0, 0]);
    let remove = Op::RemoveAddress { address: ip("2001:db8::1"), prefix: 64 }.encode(3, 7);
    assert_eq!(body(&remove, 21, 5)[..12], [10, 64, 2, 0, 3, 0, 0, 0, 20, 0, 1, 0]);
    assert_eq!(body(&list_links(7), 18, 0x301), [0; 16]);
}

fn message(kind: u16, body: &[u8], attributes: &[(u16, &[u8])]) -> Vec<u8> {
    attributes.iter().fold(Writer::new(kind, 0, body), |w, (kind, value)| w.attr(*kind, value)).finish(9)
}

fn link_bytes(flags: u32, operstate: u8, made_by: &[u8]) -> Vec<u8> {
    let body = [&[0, 0, 1, 0][..], &2_u32.to_ne_bytes(), &flags.to_ne_bytes(), &[0; 4]].concat();
    let mac = [2, 0, 0, 0, 0, 9];
    let nested = Writer(vec![]).attr(1, made_by).0;
    let mtu = 1500_u32.to_ne_bytes();
    let nested: (u16, &[u8]) = (18 | 0x8000, &nested);
    message(16, &body, &[(3, b"eth0\0"), (1, &mac), (4, &mtu), (16, &[operstate]), nested, (54, &mac)])
}

#[test]
fn links_are_read() {
    let mac = [2, 0, 0, 0, 0, 9];
    let info = LinkInfo {
        alternative_names: vec![],
        index: 2,
        name: "eth0".into(),
        mac,
        permanent_mac: Some(mac),
        mtu: 1500,
        up: true,
        ready: true,
        ethernet: true,
        made_by: "bond".into(),
    };
    assert_eq!(decode(&link_bytes(0x1_1043, 6, b"bond\0")), [(9, Told::Link(info))]);
    let ready = |flags, operstate| match &decode(&link_bytes(flags, operstate, b""))[..] {
        [(9, Told::Link(info))] => (info.ready, info.ethernet),
        other => panic!("{other:?}"),
    };
    assert_eq!(ready(0x1_0001, 0), (true, true), "unknown state, carrier");
    assert_eq!(ready(0x0_0001, 0), (false, true), "unknown state, no carrier");
    assert_eq!(ready(0x1_0001, 5), (false, true), "dormant");
    assert_eq!(ready(0x1_0000, 6), (false, true), "switched off");
    assert_eq!(ready(0x1_0009, 6), (true, false), "loopback");
}

#[test]
fn answers_events_and_several_in_one_datagram() {
    let refused = message(2, &(-19_i32).to_ne_bytes(), &[]);
    let done = message(3, &0_i32.to_ne_bytes(), &[]);
    let options = [&[10, 0, 8, 0][..], &2_u32.to_ne_bytes(), &[134, 0, 0, 0, 0, 0, 0, 0], &[25; 8]].concat();
    let mut options = message(68, &options, &[(1, &[0; 16])]);
    options[HEADER + 2..HEADER + 4].copy_from_slice(&8_u16.to_ne_bytes());
    let all = decode(&[refused, options, message(99, &[], &[]), done].concat());
    let advertised = Told::RouterOptions { link: 2, options: vec![25; 8] };
    assert_eq!(all, [(9, Told::Done(19)), (9, advertised), (9, Told::Done(0))]);
}

#[test]
fn only_usable_global_ipv6_addresses_count() {
    let address: Ipv6Addr = "2001:db8::5".parse().unwrap();
    let octets = address.octets();
    let bytes = |flags: u8, scope: u8, more: u32| {
        let body = [&[10, 64, flags, scope][..], &2_u32.to_ne_bytes()].concat();
        message(20, &body, &[(1, &octets), (8, &more.to_ne_bytes())])
    };
    let good = Told::Address6 { link: 2, address, prefix: 64 };
    assert_eq!(decode(&bytes(0, 0, 0x100)), [(9, good)]);
    assert_eq!(decode(&bytes(0x40, 0, 0x40)), [], "tentative");
    assert_eq!(decode(&bytes(0, 0, 0x08)), [], "a duplicate");
    assert_eq!(decode(&bytes(0, 253, 0)), [], "link scope");
}

#[test]
fn damaged_messages_end_the_reading() {
    let good = link_bytes(1, 6, b"");
    for length in [0, 15, good.len() - 1] {
        assert_eq!(decode(&good[..length]), [], "{length}");
    }
    let mut bad = good.clone();
    bad[0..4].copy_from_slice(&3_u32.to_ne_bytes());
    assert_eq!(decode(&bad), []);
    // Any single byte changed: read without a fault.
    for at in 0..good.len() {
        for value in [0, 1, 0x7f, 0xff] {
            let mut bad = good.clone();
            bad[at] = value;
            let _ = decode(&bad);
        }
    }
}
