//! The configuration of dnsmasq. Pure. Source: dnsmasq(8).

use super::{BIOS, EFI, IPXE};
use crate::export::Exported;
use std::net::Ipv4Addr;
use std::path::PathBuf;

/// What dnsmasq does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Gives addresses, from the first to the last.
    Full(Ipv4Addr, Ipv4Addr),
    /// Tells firmware what to boot beside another DHCP server, which gives addresses.
    Proxy,
}

/// All that its configuration depends on.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The interface.
    pub interface: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// What dnsmasq does.
    pub mode: Mode,
    /// The directory for its files.
    pub dir: PathBuf,
    /// The URL of this server, without a `/` at the end.
    pub url: String,
    /// See [`Exported::uki`].
    pub uki: bool,
}

/// The configuration.
pub fn configuration(settings: &Settings) -> String {
    let Settings { interface, address, mode, dir, url, uki } = settings;
    let dir = dir.display();
    let exported = Exported { url: url.clone(), uki: *uki, ..Exported::default() };
    let mut out = format!(
        "# Made by sledos serve; changes are lost.\n\
         port=0\n\
         interface={interface}\n\
         bind-dynamic\n\
         except-interface=lo\n\
         log-dhcp\n\
         dhcp-leasefile={dir}/leases\n\
         enable-tftp\n\
         tftp-root={IPXE}\n\
         tftp-no-fail\n"
    );
    match mode {
        Mode::Full(first, last) => {
            out += &format!("dhcp-authoritative\ndhcp-range={first},{last},1h\n");
            out += &crate::export::dnsmasq_boot(&exported, "");
        }
        Mode::Proxy => {
            out += &format!("dhcp-range={address},proxy\n");
            out += &crate::export::dnsmasq_boot(&exported, "");
            // Firmware asks port 4011 what its boot server has.
            out += &format!(
                "dhcp-no-override\n\
                 pxe-service=tag:!ipxe,x86PC,sledos,{BIOS}\n\
                 pxe-service=tag:!ipxe,X86-64_EFI,sledos,{EFI}\n\
                 pxe-service=tag:!ipxe,BC_EFI,sledos,{EFI}\n\
                 pxe-service=tag:ipxe,x86PC,sledos,{script}\n\
                 pxe-service=tag:ipxe,X86-64_EFI,sledos,{script}\n\
                 pxe-service=tag:ipxe,BC_EFI,sledos,{script}\n",
                script = exported.script()
            );
        }
    }
    out
}
