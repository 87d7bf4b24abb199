//! `ip=` and `BOOTIF=` of the kernel command line.
//!
//! Sources: Linux `Documentation/admin-guide/nfs/nfsroot.rst` (long form,
//! `ip=dhcp`), dracut.cmdline(7) (`ip=<dev>:<autoconf>[:<mtu>]`, IPv6 in
//! brackets, prefix lengths, MTU after the method), SYSLINUX `IPAPPEND 2` (`BOOTIF`).

use crate::dns_name::is_host_name;
use crate::l2::{Mac, parse_mac};
use std::net::{IpAddr, Ipv4Addr};

/// What is wrong with a parameter, and in which field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A field does not hold what belongs there.
    #[error("ip=: {field} {value:?} is not {wanted}")]
    Field {
        /// Which: client, server, gateway, netmask, hostname, device, autoconf, mtu, dns0, dns1, ntp0.
        field: &'static str,
        /// What it holds.
        value: String,
        /// What belongs there.
        wanted: &'static str,
    },
    /// More fields than there are.
    #[error("ip=: {0:?} is one field too many")]
    TooMany(String),
    /// A bracket is not closed, or stands inside a field.
    #[error("ip=: brackets go around a whole IPv6 address")]
    Brackets,
    /// Of client and gateway one is IPv4 and the other IPv6.
    #[error("ip=: client and gateway are not of the same IP version")]
    Versions,
    /// Not a `BOOTIF`.
    #[error("BOOTIF={0:?} is not 01-aa-bb-cc-dd-ee-ff")]
    BootIf(String),
}

/// Which link a parameter is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Device {
    /// The kernel's name.
    Name(String),
    /// Its MAC, with dashes: names may change from boot to boot.
    Mac(Mac),
}

/// How a link gets its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// DHCPv4, and IPv6 by router advertisement.
    Dhcp,
    /// By router advertisement only.
    Auto6,
    /// As written in the parameter; without an address: none.
    Static,
}

/// One `ip=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpParam {
    /// How.
    pub method: Method,
    /// Address and prefix length.
    pub client: Option<(IpAddr, u8)>,
    /// Router to everywhere.
    pub gateway: Option<IpAddr>,
    /// Name for this machine.
    pub hostname: Option<String>,
    /// Only this link; `None`: all links for DHCP, one for an address.
    pub device: Option<Device>,
    /// Bytes.
    pub mtu: Option<u16>,
    /// Name servers.
    pub dns: Vec<IpAddr>,
    /// Time server.
    pub ntp: Option<IpAddr>,
}

impl IpParam {
    fn new(method: Method) -> Self {
        Self {
            method,
            client: None,
            gateway: None,
            hostname: None,
            device: None,
            mtu: None,
            dns: vec![],
            ntp: None,
        }
    }

    /// Reads what is after `ip=`.
    ///
    /// # Errors
    /// The first field that does not hold what belongs there.
    pub fn parse(value: &str) -> Result<Self, Error> {
        let fields = split(value)?;
        let get = |n: usize| fields.get(n).copied().unwrap_or("");
        match fields.as_slice() {
            [only] if method(only).is_ok() => return Ok(Self::new(method(only)?)),
            [device, how, mtu @ ..] if !device.is_empty() && mtu.len() < 2 && method(how).is_ok() => {
                let mtu = mtu.first().copied().filter(|m| !m.is_empty()).map(parse_mtu).transpose()?;
                return Ok(Self { device: Some(parse_device(device)?), mtu, ..Self::new(method(how)?) });
            }
            _ => {}
        }
        let mut param = Self::new(Method::Static);
        let client = address("client", get(0))?;
        address("server", get(1))?;
        param.gateway = address("gateway", get(2))?;
        param.client = client.map(|ip| netmask(ip, get(3)).map(|prefix| (ip, prefix))).transpose()?;
        if client.zip(param.gateway).is_some_and(|(a, b)| a.is_ipv4() != b.is_ipv4()) {
            return Err(Error::Versions);
        }
        if let Some(name) = Some(get(4)).filter(|n| !n.is_empty()) {
            let bad = || field("hostname", name, "a host name");
            param.hostname = Some(is_host_name(name).then(|| name.to_owned()).ok_or_else(bad)?);
        }
        param.device = Some(get(5)).filter(|d| !d.is_empty()).map(parse_device).transpose()?;
        param.method = match get(6) {
            // An address without a method is static, nothing at all is any.
            "" if client.is_some() => Method::Static,
            "" => Method::Dhcp,
            how => method(how)?,
        };
        let mut rest = fields.get(7..).unwrap_or(&[]);
        // dracut's MTU stands where the kernel's first name server does.
        if let [mtu, after @ ..] = rest
            && !mtu.is_empty()
            && mtu.bytes().all(|b| b.is_ascii_digit())
        {
            param.mtu = Some(parse_mtu(mtu)?);
            rest = after;
        }
        let get = |n: usize| rest.get(n).copied().unwrap_or("");
        param.dns.extend(address("dns0", get(0))?);
        param.dns.extend(address("dns1", get(1))?);
        param.ntp = address("ntp0", get(2))?;
        rest.get(3).map_or(Ok(param), |extra| Err(Error::TooMany((*extra).to_owned())))
    }
}

/// Reads what is after `BOOTIF=`: hardware type 01 for Ethernet and a MAC, as
/// PXELINUX and iPXE write it; a MAC alone is taken too.
///
/// # Errors
/// Anything else.
pub fn parse_bootif(value: &str) -> Result<Mac, Error> {
    let mac = value.strip_prefix("01-").or_else(|| value.strip_prefix("01:")).filter(|m| m.len() == 17);
    // The first byte's lowest bit marks a group, which no card is: a MAC cut
    // short behind its 01 is not taken for another one.
    let mac = parse_mac(mac.unwrap_or(value)).filter(|mac| mac[0] & 1 == 0);
    mac.ok_or_else(|| Error::BootIf(value.to_owned()))
}

fn field(field: &'static str, value: &str, wanted: &'static str) -> Error {
    Error::Field { field, value: value.to_owned(), wanted }
}

/// Cuts at colons outside brackets and takes the brackets off.
fn split(value: &str) -> Result<Vec<&str>, Error> {
    let mut fields = Vec::new();
    let mut rest = value;
    loop {
        let (one, after) = match rest.strip_prefix('[') {
            Some(inner) => {
                let (one, after) = inner.split_once(']').ok_or(Error::Brackets)?;
                match after.strip_prefix(':') {
                    Some(after) => (one, Some(after)),
                    None if after.is_empty() => (one, None),
                    None => return Err(Error::Brackets),
                }
            }
            None => rest.split_once(':').map_or((rest, None), |(one, after)| (one, Some(after))),
        };
        if one.contains(['[', ']']) {
            return Err(Error::Brackets);
        }
        fields.push(one);
        match after {
            Some(after) => rest = after,
            None => return Ok(fields),
        }
    }
}

fn method(text: &str) -> Result<Method, Error> {
    match text {
        "dhcp" | "on" | "any" | "both" => Ok(Method::Dhcp),
        "auto6" | "either6" => Ok(Method::Auto6),
        "off" | "none" | "static" => Ok(Method::Static),
        _ => Err(field("autoconf", text, "dhcp, on, any, both, auto6, off, none or static")),
    }
}

fn address(name: &'static str, text: &str) -> Result<Option<IpAddr>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    let bad = |_| field(name, text, "an IP address (IPv6 in brackets)");
    text.parse::<IpAddr>().map(|ip| Some(ip).filter(|ip| !ip.is_unspecified())).map_err(bad)
}

/// A mask in dotted form or as prefix length; without one the address's class
/// decides (as in the kernel), in IPv6 it is 64.
fn netmask(ip: IpAddr, text: &str) -> Result<u8, Error> {
    let IpAddr::V4(v4) = ip else {
        let prefix = if text.is_empty() { Some(64) } else { text.parse().ok().filter(|p| *p <= 128) };
        return prefix.ok_or_else(|| field("netmask", text, "a prefix length from 0 to 128"));
    };
    if text.is_empty() {
        return Ok(class_prefix(v4));
    }
    let dotted = || {
        let mask = text.parse::<Ipv4Addr>().ok()?.to_bits();
        (mask.leading_ones() == mask.count_ones()).then(|| u8::try_from(mask.leading_ones()).ok()).flatten()
    };
    let prefix = text.parse().ok().filter(|p| *p <= 32).or_else(dotted);
    prefix.ok_or_else(|| field("netmask", text, "a mask like 255.255.255.0 or a prefix length from 0 to 32"))
}

/// The prefix length of an address that comes without a mask.
pub fn class_prefix(address: Ipv4Addr) -> u8 {
    match address.octets()[0] {
        0..128 => 8,
        128..192 => 16,
        _ => 24,
    }
}

/// A name the kernel takes (`dev_valid_name`), or a MAC with dashes.
fn parse_device(text: &str) -> Result<Device, Error> {
    if let Some(mac) = parse_mac(text) {
        return Ok(Device::Mac(mac));
    }
    let bad = text.len() > 15 || matches!(text, "." | "..") || text.contains(['/', ' ']);
    if bad { Err(field("device", text, "an interface name or a MAC")) } else { Ok(Device::Name(text.into())) }
}

fn parse_mtu(text: &str) -> Result<u16, Error> {
    let mtu = text.parse().ok().filter(|mtu| *mtu >= 68);
    mtu.ok_or_else(|| field("mtu", text, "a number from 68 to 65535"))
}

#[cfg(test)]
mod tests;
