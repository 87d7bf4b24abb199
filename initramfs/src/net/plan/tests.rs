use super::*;
use formats::dhcp4::Route;

const NOW: Duration = Duration::from_secs(100);
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);
const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const NONE: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

fn shown(ops: &[Op]) -> Vec<String> {
    ops.iter().map(Op::to_string).collect()
}

#[test]
fn a_lease_becomes_mtu_address_and_routes() {
    let mut lease = Lease::fixed(ADDRESS, 24);
    lease.routers = vec![ROUTER, Ipv4Addr::new(10, 0, 0, 2)];
    lease.mtu = Some(9000);
    lease.expires = Some(Duration::from_secs(160));
    let ops = install(&lease, NOW, 1500, 100);
    assert_eq!(shown(&ops), ["MTU 9000", "address 10.0.0.5/24", "route 0.0.0.0/0 via 10.0.0.1"]);
    let address = Op::AddAddress { address: ADDRESS.into(), prefix: 24, lifetime: Some(60), metric: 100 };
    assert_eq!(ops[1], address);
    assert!(matches!(ops[2], Op::AddRoute { onlink: false, source: Some(_), metric: 100, .. }));
    assert_eq!(shown(&install(&lease, NOW, 9000, 100))[0], "address 10.0.0.5/24", "the MTU is right");
    lease.expires = None;
    assert!(matches!(install(&lease, NOW, 9000, 1)[0], Op::AddAddress { lifetime: None, .. }));
}

#[test]
fn direct_routes_come_first_and_far_routers_are_on_the_link() {
    let mut lease = Lease::fixed(ADDRESS, 32);
    lease.routes =
        vec![Route { to: NONE, prefix: 0, via: ROUTER }, Route { to: ROUTER, prefix: 32, via: NONE }];
    let ops = install(&lease, NOW, 1500, 1);
    assert_eq!(shown(&ops), ["address 10.0.0.5/32", "route 10.0.0.1/32", "route 0.0.0.0/0 via 10.0.0.1"]);
    assert!(matches!(ops[2], Op::AddRoute { onlink: true, .. }));
}

/// The wish of link `eth0` with MAC 02:00:00:00:00:09.
fn eth0(params: &[&str]) -> Wish {
    let params: Vec<_> = params.iter().map(|p| IpParam::parse(p).unwrap()).collect();
    wish(&params, &[], "eth0", &[[2, 0, 0, 0, 0, 9]])
}

#[test]
fn dhcp_is_on_unless_ip_says_otherwise() {
    for (params, dhcp) in [
        (&[][..], true),
        (&["dhcp"], true),
        (&["off"], false),
        (&["auto6"], false),
        (&["off", "eth0:dhcp"], true),
        (&["eth0:off"], false),
        (&["eth1:off"], true),
        (&["dhcp", "eth0:auto6"], false),
        (&["10.0.0.5:::24::eth0:off"], false),
        (&["10.0.0.5:::24::eth1:off"], true),
        (&["10.0.0.5:::24:::off"], true),
    ] {
        assert_eq!(eth0(params).dhcp, dhcp, "{params:?}");
    }
}

#[test]
fn a_fixed_address_is_for_its_link_by_name_or_mac() {
    let mut lease = Lease::fixed(ADDRESS, 24);
    lease.routers = vec![ROUTER];
    lease.dns = vec![ROUTER.into()];
    lease.ntp = vec![ROUTER.into()];
    lease.hostname = Some("sled".into());
    for device in ["eth0", "02-00-00-00-00-09"] {
        let param = format!("10.0.0.5::10.0.0.1:24:sled:{device}:off:10.0.0.1::10.0.0.1");
        assert_eq!(eth0(&[&param]).fixed, Some(lease.clone()), "{device}");
    }
    assert_eq!(eth0(&["10.0.0.5::10.0.0.1:24::eth1:off"]).fixed, None);
    let six = eth0(&["[2001:db8::5]::[2001:db8::1]:64::eth0:off:9000"]);
    let parse = |text: &str| text.parse().unwrap();
    assert_eq!(six.fixed6, [(parse("2001:db8::5"), 64, Some(parse("2001:db8::1")))]);
    assert_eq!((six.fixed, six.mtu, six.dhcp), (None, Some(9000), false));
}

#[test]
fn an_address_without_a_link_floats_and_ends_dhcp_where_it_lands() {
    let params = [IpParam::parse("10.0.0.5:::24:::off").unwrap(), IpParam::parse("eth1:dhcp").unwrap()];
    let floating = floating(&params);
    assert_eq!(floating, params[..1]);
    let landed = wish(&params, &floating, "eth0", &[]);
    assert_eq!((landed.dhcp, landed.fixed), (false, Some(Lease::fixed(ADDRESS, 24))));
}

#[test]
fn what_ip_says_beside_dhcp_completes_the_lease() {
    let wish = eth0(&["::::sled:eth0:dhcp:9000:::10.0.0.7", "::::other::dhcp:1.1.1.1"]);
    assert!(wish.dhcp);
    let mut lease = Lease::fixed(ADDRESS, 24);
    (lease.ntp, lease.mtu) = (vec![ROUTER.into()], Some(1500));
    let lease = wish.complete(lease);
    assert_eq!(lease.ntp, [IpAddr::from([10, 0, 0, 7]), ROUTER.into()]);
    assert_eq!((lease.mtu, lease.hostname.as_deref()), (Some(9000), Some("sled")));
}

#[test]
fn the_boot_link_wins() {
    assert!(metric(9, true) < metric(1, false) && metric(1, false) < metric(2, false));
}
