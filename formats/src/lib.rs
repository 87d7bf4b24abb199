//! On-disk and wire formats of sledos.
//!
//! Codecs are pure: they turn values into bytes and back, take time and
//! entropy as arguments, and know nothing of recipes, packages or sleds.
//! PID 1 uses the readers and the writers an installation needs (feature `install`);
//! the builder (feature `write`) uses everything.
#![forbid(unsafe_code)]

pub mod cmdline;
#[cfg(feature = "write")]
pub mod cpio;
mod crc;
pub mod dhcp4;
pub mod dns_name;
#[cfg(feature = "ext4")]
pub mod ext4;
#[cfg(feature = "fat")]
pub mod fat;
pub mod gpt;
pub mod icmp6;
pub mod initconf;
pub mod ipconf;
pub mod ipmi;
pub mod l2;
#[cfg(feature = "install")]
pub mod layout;
pub mod lldp;
pub mod md;
pub mod modules;
#[cfg(feature = "write")]
pub mod pe;
#[cfg(any(feature = "ext4", feature = "fat"))]
mod sparse;
pub mod spcr;
#[cfg(feature = "write")]
pub mod squashfs;
#[cfg(feature = "tree")]
pub mod tree;
pub mod udp4;
pub mod uki;
pub mod verity;
