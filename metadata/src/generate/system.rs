//! Host name, name servers, time, SSH keys.

use super::place::Place;
use super::{Error, made_of, one_line};
use crate::config::{Config, Dns, Time};
use std::net::IpAddr;

/// `HOST_NAME_MAX` of Linux.
const HOST_NAME_MAX: usize = 64;

/// /etc/hostname, and the resolver's servers and domains.
pub(super) fn names(out: &mut Place, config: &Config) -> Result<(), Error> {
    let hostname = &config.hostname;
    if !is_host(hostname) || hostname.len() > HOST_NAME_MAX {
        let problem = format!(
            "`{hostname}` is not a host name: letters, digits and `-` in parts joined by `.`, at most \
             {HOST_NAME_MAX} together"
        );
        return Err(Error::new("hostname", problem));
    }
    out.text("hostname", "/etc/hostname", format!("{hostname}\n"))?;
    let Dns { servers, search } = &config.dns;
    if servers.is_empty() && search.is_empty() {
        return Ok(());
    }
    if let Some(bad) = search.iter().find(|domain| !is_host(domain)) {
        return Err(Error::new("dns.search", format!("`{bad}` is not a domain")));
    }
    let mut text = String::from("[Resolve]\n");
    if !servers.is_empty() {
        text += &format!("DNS={}\n", list(servers));
    }
    if !search.is_empty() {
        text += &format!("Domains={}\n", search.join(" "));
    }
    out.text("dns", "/etc/systemd/resolved.conf.d/10-sledos.conf", text)
}

/// /etc/hosts: the sled's own name at the address that others reach it by. Without a
/// static one the name is left to nss-myhostname, which knows those of DHCP. Never
/// 127.0.1.1: the Mesos agent would announce that.
pub(super) fn hosts(out: &mut Place, config: &Config) -> Result<(), Error> {
    let mut text = String::from(
        "127.0.0.1\tlocalhost\n::1\t\tlocalhost ip6-localhost ip6-loopback\n\
         ff02::1\t\tip6-allnodes\nff02::2\t\tip6-allrouters\n",
    );
    let has = |with_gateway: bool| {
        config.networks.values().find(|n| n.gateway.is_some() == with_gateway && !n.addresses.is_empty())
    };
    if let Some(address) = has(true).or_else(|| has(false)).and_then(|n| n.addresses.first()) {
        let name = &config.hostname;
        let short = name.split('.').next().filter(|short| *short != name);
        text += &format!("{}\t{name}", address.address);
        short.into_iter().for_each(|short| text.extend([" ", short]));
        text.push('\n');
    }
    out.text("networks", "/etc/hosts", text)
}

/// chrony's sources, in place of the image's, and the time zone.
pub(super) fn time(out: &mut Place, time: &Time) -> Result<(), Error> {
    let mut text = String::new();
    for server in &time.servers {
        if !is_host(server) && server.parse::<IpAddr>().is_err() {
            return Err(Error::new("time.servers", format!("`{server}` is neither a name nor an address")));
        }
        text += &format!("server {server} iburst\n");
    }
    if !text.is_empty() {
        out.text("time.servers", "/etc/chrony/sources.d/sledos.sources", text)?;
    }
    let Some(zone) = &time.zone else { return Ok(()) };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '+' | '-');
    if !made_of(zone, plain) || zone.split('/').any(str::is_empty) {
        return Err(Error::new("time.zone", format!("`{zone}` is not a time zone like Europe/Berlin")));
    }
    out.link("time.zone", "/etc/localtime", format!("/usr/share/zoneinfo/{zone}"))
}

/// Root's keys.
pub(super) fn ssh_keys(out: &mut Place, lines: &[String]) -> Result<(), Error> {
    let text = keys("ssh-keys", lines)?;
    if text.is_empty() {
        return Ok(());
    }
    out.secret("ssh-keys", "/etc/ssh/authorized_keys.d/root", text)
}

/// A file of public keys.
pub(super) fn keys(field: &str, lines: &[String]) -> Result<String, Error> {
    let mut text = String::new();
    for (n, key) in lines.iter().enumerate() {
        let field = format!("{field}[{n}]");
        let key = one_line(&field, key)?.trim();
        let is_type = |word: &str| {
            ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"].iter().any(|kind| word.starts_with(kind))
        };
        // Options may come before the type, the key itself comes after it.
        let mut words = key.split(' ').skip_while(|word| !is_type(word)).skip(1);
        if !words.next().is_some_and(|blob| blob.starts_with("AAAA")) {
            let problem = "is not a public key: `ssh-ed25519 AAAA… name`, a line of a .pub file";
            return Err(Error::new(field, problem));
        }
        text += key;
        text.push('\n');
    }
    Ok(text)
}

fn list(servers: &[IpAddr]) -> String {
    servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// A name of RFC 1123, one label or several.
pub(super) fn is_host(text: &str) -> bool {
    let label = |label: &str| {
        made_of(label, |c| c.is_ascii_alphanumeric() || c == '-')
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}
