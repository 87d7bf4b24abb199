//! On-disk and wire formats of sledos.
//!
//! Codecs are pure: they turn values into bytes and back, take time and
//! entropy as arguments, and know nothing of recipes, packages or sleds.
//! PID 1 uses the readers; the builder (feature `write`) uses everything.
#![forbid(unsafe_code)]

pub mod cmdline;
#[cfg(feature = "write")]
pub mod cpio;
mod crc;
pub mod dhcp4;
pub mod dns_name;
#[cfg(feature = "write")]
pub mod ext4;
#[cfg(feature = "write")]
pub mod fat;
pub mod gpt;
pub mod icmp6;
pub mod initconf;
pub mod ipconf;
pub mod l2;
pub mod lldp;
pub mod modules;
#[cfg(feature = "write")]
pub mod pe;
#[cfg(feature = "write")]
mod sparse;
#[cfg(feature = "write")]
pub mod squashfs;
#[cfg(feature = "write")]
pub mod tree;
pub mod udp4;
#[cfg(feature = "write")]
pub mod uki;
pub mod verity;
