//! The resolver's configuration, which getaddrinfo of the C library reads.
//! Source: resolv.conf(5).

use super::state::LinkState;
use std::io;
use std::net::IpAddr;
use std::path::Path;

/// glibc reads no more than three name servers (`MAXNS`).
const MAX_SERVERS: usize = 3;

/// The file: `first` (from `ip=`), then the links' in their order, each once.
pub fn text(first: &[IpAddr], links: &[LinkState]) -> String {
    let mut servers: Vec<String> = Vec::new();
    let mut add = |server: String| {
        if servers.len() < MAX_SERVERS && !servers.contains(&server) {
            servers.push(server);
        }
    };
    first.iter().for_each(|ip| add(ip.to_string()));
    let mut search: Vec<&str> = Vec::new();
    for link in links {
        if let Some(lease) = &link.lease {
            lease.dns.iter().for_each(|ip| add(ip.to_string()));
            search.extend(lease.search.iter().map(String::as_str));
            // Some servers put several into the one domain.
            let domain = lease.domain.iter().filter(|_| lease.search.is_empty());
            search.extend(domain.map(String::as_str));
        }
        for ip in &link.dns6 {
            let scope = if ip.is_unicast_link_local() { format!("%{}", link.name) } else { String::new() };
            add(format!("{ip}{scope}"));
        }
        search.extend(link.search6.iter().map(String::as_str));
    }
    let mut seen: Vec<&str> = Vec::new();
    for domain in search {
        if !seen.contains(&domain) {
            seen.push(domain);
        }
    }
    let mut text: String = servers.iter().map(|server| format!("nameserver {server}\n")).collect();
    if !seen.is_empty() {
        text.push_str(&format!("search {}\n", seen.join(" ")));
    }
    text
}

/// Replaces the file in one step: another thread may be reading it.
///
/// # Errors
/// The file system's.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let new = path.with_extension("new");
    std::fs::write(&new, text)?;
    std::fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::super::state::{Dhcp, Heard, Lease};
    use super::*;
    use std::net::Ipv4Addr;

    fn link(name: &str, change: impl Fn(&mut LinkState)) -> LinkState {
        let mut lease = Lease::fixed(Ipv4Addr::new(10, 0, 0, 5), 24);
        lease.dns = vec![Ipv4Addr::new(10, 0, 0, 1).into()];
        lease.domain = Some("lab".into());
        let mut link = LinkState {
            name: name.into(),
            alternative_names: vec![],
            index: 2,
            mac: [0; 6],
            permanent_mac: None,
            driver: String::new(),
            speed_mbps: None,
            path: String::new(),
            carrier: true,
            heard: Heard::default(),
            neighbours: vec![],
            dhcp: Dhcp::Bound,
            lease: Some(lease),
            addresses6: vec![],
            dns6: vec![],
            search6: vec![],
            trouble: None,
        };
        change(&mut link);
        link
    }

    #[test]
    fn servers_and_domains_each_once_in_order() {
        let first = [IpAddr::V4(Ipv4Addr::new(9, 9, 9, 9))];
        let one =
            link("eth0", |l| l.dns6 = vec!["fe80::1".parse().unwrap(), "2001:db8::53".parse().unwrap()]);
        let two = link("eth1", |l| {
            l.lease.as_mut().unwrap().search = vec!["a.lab".into(), "lab".into()];
            l.search6 = vec!["six.lab".into()];
        });
        assert_eq!(
            text(&first, &[one, two]),
            "nameserver 9.9.9.9\nnameserver 10.0.0.1\nnameserver fe80::1%eth0\nsearch lab a.lab six.lab\n"
        );
        assert_eq!(text(&[], &[link("eth0", |l| l.lease = None)]), "");
    }

    #[test]
    fn the_file_is_replaced_and_its_folder_made() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("etc/resolv.conf");
        write(&path, "a\n").unwrap();
        write(&path, "b\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "b\n");
        assert_eq!(std::fs::read_dir(dir.path().join("etc")).unwrap().count(), 1);
    }
}
