//! The fleet for infrastructure that is there already: DHCP servers, nginx, Ansible.
//!
//! Pure: texts made from a fleet. Each is what the program of that name reads; what its
//! operator has to decide, like the ranges of addresses, is left to his own files.

mod ansible;
mod dhcp;
mod hosts;
mod nginx;
mod refused;

pub(crate) use dhcp::dnsmasq_boot;
use dhcp::{dnsmasq, isc_dhcpd, kea};
pub use refused::Refused;

use metadata::fleet::Fleet;
use metadata::values::{Cidr, Mac};
use std::collections::BTreeMap;

/// For which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// dnsmasq: boot files and names, for `conf-file=`.
    Dnsmasq,
    /// ISC dhcpd: the same, for `include`.
    IscDhcpd,
    /// Kea: the same, a whole configuration without subnets.
    Kea,
    /// Ansible: an inventory.
    Ansible,
    /// `/etc/hosts`.
    Hosts,
    /// nginx: a `server` block that serves a published directory.
    Nginx,
}

/// What is exported.
#[derive(Clone, Debug, Default)]
pub struct Exported {
    /// Name of the fleet.
    pub fleet: String,
    /// Where sleds find documents, without a `/` at the end: `http://10.0.0.2:8080`.
    pub url: String,
    /// The published directory, for nginx.
    pub root: String,
    /// Firmware that boots over HTTP gets the image itself, [`crate::pxe::UKI`], instead of
    /// iPXE: for images that trust keys by themselves.
    pub uki: bool,
    /// The sleds, by name.
    pub sleds: Vec<Sled>,
}

/// A sled as other programs know it.
#[derive(Clone, Debug, Default)]
pub struct Sled {
    /// Its name.
    pub name: String,
    /// Its host name.
    pub hostname: String,
    /// Its rack.
    pub rack: String,
    /// Its bay.
    pub bay: u32,
    /// Its role.
    pub role: String,
    /// The MAC addresses of its NICs.
    pub macs: Vec<Mac>,
    /// Its static addresses by network.
    pub addresses: BTreeMap<String, Cidr>,
}

/// A file of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// The file.
    pub text: String,
    /// What is otherwise in it than in the fleet, and why.
    pub notes: Vec<String>,
}

impl Exported {
    /// Of a fleet. Without `url` the fleet's first metadata server.
    pub fn new(fleet: &Fleet, url: Option<&str>, root: &str) -> Self {
        let first = fleet.file.servers.metadata.first().map(String::as_str);
        let url = url.or(first).unwrap_or("http://127.0.0.1:8080").trim_end_matches('/').to_owned();
        let sled = |sled: &metadata::fleet::resolve::Sled| {
            let location = sled.identity.location.as_ref();
            let networks = sled.config.networks.iter();
            Sled {
                name: sled.name.clone(),
                hostname: sled.config.hostname.clone(),
                rack: location.map(|l| l.rack.clone()).unwrap_or_default(),
                bay: location.map(|l| l.bay).unwrap_or_default(),
                role: sled.role.clone(),
                macs: sled.identity.macs.clone(),
                addresses: networks
                    .filter_map(|(name, n)| Some((name.clone(), *n.addresses.first()?)))
                    .collect(),
            }
        };
        Self {
            fleet: fleet.file.fleet.clone(),
            url,
            root: root.to_owned(),
            uki: false,
            sleds: fleet.sleds.iter().map(sled).collect(),
        }
    }

    /// As a program reads it.
    ///
    /// # Errors
    /// When the URL or the directory cannot stand in its file.
    pub fn text(&self, format: Format) -> Result<Text, Refused> {
        refused::check(self, format)?;
        let plain = |text: String| Text { text, notes: Vec::new() };
        Ok(match format {
            Format::Dnsmasq => dnsmasq(self),
            Format::IscDhcpd => plain(isc_dhcpd(self)),
            Format::Kea => plain(kea(self)),
            Format::Ansible => ansible::inventory(self),
            Format::Hosts => hosts::hosts(self),
            Format::Nginx => plain(nginx::server(self)),
        })
    }

    /// The script that finds a sled's own.
    pub(crate) fn script(&self) -> String {
        format!("{}/{}", self.url, metadata::fleet::ipxe::ENTRY)
    }

    /// What firmware that boots over HTTP gets.
    pub(crate) fn http_boot(&self) -> String {
        let file = if self.uki { crate::pxe::UKI } else { crate::pxe::EFI };
        format!("{}/pxe/{file}", self.url)
    }

    /// The host of [`Self::url`], which has TFTP, too; without brackets and port.
    pub(crate) fn host(&self) -> &str {
        let rest = self.url.split_once("://").map_or(self.url.as_str(), |(_, rest)| rest);
        let authority = rest.split('/').next().unwrap_or_default();
        match authority.strip_prefix('[').and_then(|v6| v6.split_once(']')) {
            Some((v6, _)) => v6,
            None => authority.split(':').next().unwrap_or_default(),
        }
    }
}
