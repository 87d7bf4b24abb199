use super::*;

const MAC: Mac = [2, 0, 0, 0, 0, 9];

/// A reply: fixed part with these `sname` and `file`, then options.
fn reply(sname: &[u8], file: &[u8], options: &[u8]) -> Vec<u8> {
    let mut bytes = vec![2, 1, 6, 0, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 5];
    bytes.resize(28, 0);
    bytes.extend(MAC);
    bytes.resize(44, 0);
    bytes.extend(sname);
    bytes.resize(108, 0);
    bytes.extend(file);
    bytes.resize(FIXED, 0);
    bytes.extend(MAGIC);
    bytes.extend(options);
    bytes
}

fn ack(options: &[&[u8]]) -> Message {
    decode(&reply(&[], &[], &[&[53, 1, 5][..], &options.concat(), &[255]].concat())).unwrap()
}

#[test]
fn an_acknowledgement_with_everything() {
    let message = ack(&[
        &[1, 4, 255, 255, 255, 0, 3, 8, 10, 0, 0, 1, 10, 0, 0, 2, 6, 4, 10, 0, 0, 53],
        &[12, 4, b's', b'l', b'e', b'd', 15, 3, b'l', b'a', b'b', 26, 2, 0x23, 0x28],
        &[42, 4, 10, 0, 0, 123, 51, 4, 0, 0, 0x0e, 0x10, 54, 4, 10, 0, 0, 1],
        &[58, 4, 0, 0, 7, 8, 59, 4, 0, 0, 12, 78, 119, 5, 3, b'l', b'a', b'b', 0],
        &[224, 10, b'h', b't', b't', b'p', b':', b'/', b'/', b'm', b'/', 0],
    ]);
    let host = |n| Ipv4Addr::new(10, 0, 0, n);
    assert_eq!(
        message,
        Message {
            kind: Kind::Ack,
            xid: 0x0102_0304,
            mac: MAC,
            address: host(5),
            server: Some(host(1)),
            prefix: Some(24),
            routers: vec![host(1), host(2)],
            routes: vec![],
            dns: vec![host(53)],
            ntp: vec![host(123)],
            hostname: Some("sled".into()),
            domain: Some("lab".into()),
            search: vec!["lab".into()],
            mtu: Some(9000),
            lease: Some(3600),
            renew: Some(1800),
            rebind: Some(3150),
            reason: None,
            metadata_url: Some("http://m/".into()),
        }
    );
}

#[test]
fn classless_routes_replace_the_router() {
    let (v, w) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::UNSPECIFIED);
    let message =
        ack(&[&[3, 4, 9, 9, 9, 9], &[121, 17, 0, 10, 0, 0, 1, 25, 10, 9, 8, 255, 0, 0, 0, 0, 32, 1, 2]]);
    assert_eq!((message.routes, message.routers.len()), (vec![], 1), "one that is cut off makes no sense");
    let message = ack(&[&[3, 4, 9, 9, 9, 9], &[121, 14, 0, 10, 0, 0, 1, 25, 10, 9, 8, 255, 0, 0, 0, 0]]);
    let routes =
        [Route { to: w, prefix: 0, via: v }, Route { to: Ipv4Addr::new(10, 9, 8, 128), prefix: 25, via: w }];
    assert_eq!((message.routes.as_slice(), message.routers.len()), (&routes[..], 0));
    assert_eq!(ack(&[&[121, 5, 33, 10, 0, 0, 1]]).routes, [], "33 bits");
}

#[test]
fn options_go_on_in_file_and_sname_and_split_ones_are_put_together() {
    let options = [53, 1, 5, 52, 1, 3, 15, 2, b'l', b'a', 255];
    let file = [15, 1, b'b', 3, 4, 10, 0, 0, 1, 255, 26, 2, 1, 1];
    let sname = [15, 4, b'.', b'e', b'x', b'a', 255];
    let message = decode(&reply(&sname, &file, &options)).unwrap();
    assert_eq!(message.domain.as_deref(), Some("lab.exa"));
    assert_eq!(message.routers, [Ipv4Addr::new(10, 0, 0, 1)]);
    assert_eq!(message.mtu, None, "beyond the end mark");
    let without = [53, 1, 5, 15, 2, b'l', b'a', 255];
    assert_eq!(decode(&reply(&sname, &file, &without)).unwrap().domain.as_deref(), Some("la"));
}

#[test]
fn what_makes_no_sense_was_not_sent() {
    let message = ack(&[
        &[1, 4, 255, 0, 255, 0, 3, 5, 10, 0, 0, 1, 9, 6, 4, 0, 0, 0, 0, 26, 2, 0, 67],
        &[12, 3, b'a', b'\n', b'b', 15, 3, b'a', b' ', b'b', 51, 2, 0, 1, 54, 4, 255, 255, 255, 255],
        &[224, 1, 0xff],
    ]);
    assert_eq!((message.prefix, message.mtu, message.lease, message.server), (None, None, None, None));
    assert_eq!(message.routers, [Ipv4Addr::new(10, 0, 0, 1)]);
    assert_eq!(message.dns, [] as [Ipv4Addr; 0]);
    assert_eq!((message.hostname, message.domain, message.metadata_url), (None, None, None));
    let all: Vec<_> = [0, 1, 24, 31, 32].map(|n| prefix(u32::MAX.checked_shl(32 - n).unwrap_or(0))).into();
    assert_eq!(all, [Some(0), Some(1), Some(24), Some(31), Some(32)]);
}

#[test]
fn a_refusal_says_why() {
    let bytes = reply(&[], &[], &[&[53, 1, 6, 56, 5][..], b"wrong"].concat());
    let message = decode(&bytes).unwrap();
    assert_eq!((message.kind, message.reason.as_deref()), (Kind::Nak, Some("wrong")));
}

#[test]
fn each_break_has_its_name() {
    let good = reply(&[], &[], &[53, 1, 5, 255]);
    assert!(decode(&good).is_ok());
    let with = |at: usize, value: u8| {
        let mut bad = good.clone();
        bad[at] = value;
        decode(&bad).unwrap_err()
    };
    assert_eq!(decode(&good[..235]), Err(Error::Short));
    assert_eq!(with(0, 1), Error::NoReply);
    assert_eq!(with(1, 32), Error::Hardware);
    assert_eq!(with(2, 8), Error::Hardware);
    assert_eq!(with(236, 0), Error::Magic);
    assert_eq!(with(241, 9), Error::Option(53));
    assert_eq!(with(242, 1), Error::Kind);
    assert_eq!(decode(&reply(&[], &[], &[])), Err(Error::Kind));
    assert_eq!(decode(&reply(&[], &[26], &[53, 1, 5, 52, 1, 1])).map(|m| m.kind), Ok(Kind::Ack));
    let file = [&[0; 127][..], &[26]].concat();
    assert_eq!(decode(&reply(&[], &file, &[53, 1, 5, 52, 1, 1])), Err(Error::Option(26)));
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read(bytes: Vec<u8>, sname: [u8; 32], file: [u8; 32], options: Vec<u8>) {
        let _ = decode(&bytes);
        let _ = decode(&reply(&sname, &file, &[&[53, 1, 5, 52, 1, 3], &options[..]].concat()));
    }

    #[test]
    fn any_known_option_is_read(code in 0_u8..=255, value in proptest::collection::vec(0_u8..=255, 0..256)) {
        let length = u8::try_from(value.len()).unwrap_or(0);
        let _ = decode(&reply(&[], &[], &[&[53, 1, 5, code, length], &value[..]].concat()));
    }
}
