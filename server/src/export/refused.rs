//! What cannot stand in a file of another program, or would not do there what it says.

use super::{Exported, Format};
use std::net::Ipv4Addr;

/// Why there is no file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Neither sleds nor firmware could ask there.
    #[error(
        "`{url}` is no URL for sleds: it begins with http:// and has a host, and no spaces, quotes, commas or `?`"
    )]
    Url {
        /// The URL.
        url: String,
    },
    /// DHCP names the machine that has TFTP by its IPv4 address.
    #[error("the host of `{url}` is no IPv4 address")]
    NoIpv4 {
        /// The URL.
        url: String,
    },
    /// It would end the line, or be another one.
    #[error("`{root}` is no path that nginx reads: give an absolute one of letters, digits and `/._-+~@`")]
    Root {
        /// The directory.
        root: String,
    },
}

/// Whether the program does what is meant.
pub(super) fn check(exported: &Exported, format: Format) -> Result<(), Refused> {
    let Exported { url, root, .. } = exported;
    let sign = |c: char| c.is_ascii_alphanumeric() || ":/._-~%+[]".contains(c);
    let rest = url.strip_prefix("http://").filter(|rest| rest.chars().all(sign));
    let authority = rest.and_then(|rest| rest.split('/').next()).unwrap_or_default();
    let served = match format {
        Format::Dnsmasq | Format::IscDhcpd | Format::Kea | Format::Nginx => true,
        Format::Ansible | Format::Hosts => false,
    };
    if served && (authority.is_empty() || authority.starts_with(':') || !port(authority)) {
        return Err(Refused::Url { url: url.clone() });
    }
    // dnsmasq looks a name up in its /etc/hosts.
    let by_name = format == Format::Dnsmasq && !authority.starts_with('[');
    let dhcp = matches!(format, Format::Dnsmasq | Format::IscDhcpd | Format::Kea);
    if dhcp && !by_name && exported.host().parse::<Ipv4Addr>().is_err() {
        return Err(Refused::NoIpv4 { url: url.clone() });
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+~@".contains(c);
    if format == Format::Nginx && !(root.starts_with('/') && root.chars().all(plain)) {
        return Err(Refused::Root { root: root.clone() });
    }
    Ok(())
}

/// Whether what stands behind the host, if anything, is a port.
fn port(authority: &str) -> bool {
    let behind = match authority.strip_prefix('[') {
        Some(v6) => match v6.split_once(']') {
            Some((v6, behind)) if v6.parse::<std::net::Ipv6Addr>().is_ok() => behind,
            _ => return false,
        },
        None if authority.contains(['[', ']']) => return false,
        None => authority.find(':').and_then(|at| authority.get(at..)).unwrap_or_default(),
    };
    let port = behind.strip_prefix(':');
    behind.is_empty() || port.is_some_and(|p| p.parse::<u16>().is_ok_and(|p| p > 0))
}
