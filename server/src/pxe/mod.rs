//! PXE: dnsmasq does DHCP and TFTP, with a configuration made here and iPXE as Debian
//! builds it.

mod config;
mod run;

pub use config::{Mode, Settings, configuration};
pub use run::{Dnsmasq, Error, address_of};

/// iPXE for BIOS.
pub const BIOS: &str = "undionly.kpxe";
/// iPXE for UEFI.
pub const EFI: &str = "snponly.efi";
/// The image most sleds have, for firmware that starts it without iPXE.
pub const UKI: &str = "boot.efi";
/// Where Debian's package `ipxe` has them.
pub const IPXE: &str = "/usr/lib/ipxe";
