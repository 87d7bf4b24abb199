use super::*;

fn ok(text: &str) -> IpParam {
    IpParam::parse(text).unwrap()
}

fn says(text: &str) -> String {
    IpParam::parse(text).unwrap_err().to_string()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn the_long_form() {
    let all = "10.0.0.5:10.0.0.2:10.0.0.1:255.255.255.0:sled-1:eth0:off:10.0.0.53:10.0.1.53:10.0.0.123";
    let param = IpParam {
        method: Method::Static,
        client: Some((ip("10.0.0.5"), 24)),
        gateway: Some(ip("10.0.0.1")),
        hostname: Some("sled-1".into()),
        device: Some(Device::Name("eth0".into())),
        mtu: None,
        dns: vec![ip("10.0.0.53"), ip("10.0.1.53")],
        ntp: Some(ip("10.0.0.123")),
    };
    assert_eq!(ok(all), param);
    assert_eq!(ok("10.0.0.5").client, Some((ip("10.0.0.5"), 8)), "class A");
    assert_eq!(ok("192.168.0.5::::").client, Some((ip("192.168.0.5"), 24)), "class C");
    assert_eq!(ok("10.0.0.5:::22::02-00-00-00-00-01:none").device, Some(Device::Mac([2, 0, 0, 0, 0, 1])));
    assert_eq!(ok("::::sled-1::dhcp").hostname.as_deref(), Some("sled-1"));
    assert_eq!(ok(":::::eth0:").method, Method::Dhcp, "no address and no method");
}

#[test]
fn short_forms() {
    for (text, how) in [
        ("dhcp", Method::Dhcp),
        ("on", Method::Dhcp),
        ("any", Method::Dhcp),
        ("off", Method::Static),
        ("none", Method::Static),
        ("auto6", Method::Auto6),
        ("", Method::Dhcp),
    ] {
        assert_eq!(ok(text), IpParam::new(how), "{text}");
    }
    let eth1 = IpParam { device: Some(Device::Name("eth1".into())), ..IpParam::new(Method::Dhcp) };
    assert_eq!(ok("eth1:dhcp"), eth1);
    assert_eq!(ok("eth1:dhcp:9000"), IpParam { mtu: Some(9000), ..eth1 });
}

#[test]
fn ipv6_stands_in_brackets() {
    let param = ok("[2001:db8::5]::[2001:db8::1]:64:sled:eth0:none:9000:[2001:db8::53]");
    assert_eq!(param.client, Some((ip("2001:db8::5"), 64)));
    assert_eq!((param.gateway, param.mtu), (Some(ip("2001:db8::1")), Some(9000)));
    assert_eq!(param.dns, [ip("2001:db8::53")]);
    assert_eq!(ok("[2001:db8::5]").client, Some((ip("2001:db8::5"), 64)));
}

#[test]
fn errors_name_the_field() {
    for (text, part) in [
        ("10.0.0", "client \"10.0.0\" is not an IP address"),
        ("dhpc", "client \"dhpc\""),
        ("10.0.0.5:x", "server \"x\""),
        ("10.0.0.5::x", "gateway \"x\""),
        ("10.0.0.5:::255.0.255.0", "netmask \"255.0.255.0\" is not a mask"),
        ("10.0.0.5:::33", "netmask \"33\""),
        ("[2001:db8::5]:::255.255.255.0", "netmask \"255.255.255.0\" is not a prefix length"),
        ("10.0.0.5::::a b", "hostname \"a b\""),
        ("10.0.0.5:::::a-name-too-long-for-linux", "device \"a-name-too-long"),
        ("10.0.0.5::::::bootp", "autoconf \"bootp\""),
        ("10.0.0.5::::::off:67", "mtu \"67\""),
        ("10.0.0.5::::::off:1.1", "dns0 \"1.1\""),
        ("10.0.0.5::::::off::x", "dns1 \"x\""),
        ("10.0.0.5::::::off:::x", "ntp0 \"x\""),
        ("10.0.0.5::::::off::::y", "\"y\" is one field too many"),
        ("[2001:db8::5", "brackets"),
        ("[2001:db8::5]x", "brackets"),
        ("a[::1]", "brackets"),
        ("10.0.0.5::[::2]", "not of the same IP version"),
    ] {
        assert!(says(text).contains(part), "{text}: {}", says(text));
    }
}

#[test]
fn bootif_is_a_type_and_a_mac() {
    let mac = Ok([0x52, 0x54, 0, 0x12, 0x34, 0x5f]);
    for good in ["01-52-54-00-12-34-5F", "01:52:54:00:12:34:5f", "52-54-00-12-34-5f"] {
        assert_eq!(parse_bootif(good), mac, "{good}");
    }
    for bad in ["", "01-52-54-00-12-34", "20-52-54-00-12-34-5f", "01-52-54-00-12-34-5f-00", "eth0"] {
        assert_eq!(parse_bootif(bad), Err(Error::BootIf(bad.into())), "{bad}");
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_read(text: String, fields in proptest::collection::vec("[0-9a-f:.\\[\\]]{0,9}", 0..12)) {
        let _ = (IpParam::parse(&text), parse_bootif(&text));
        let _ = IpParam::parse(&fields.join(":"));
    }
}
