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
#[cfg(feature = "write")]
pub mod ext4;
#[cfg(feature = "write")]
pub mod fat;
pub mod gpt;
pub mod initconf;
pub mod modules;
#[cfg(feature = "write")]
pub mod pe;
#[cfg(feature = "write")]
mod sparse;
#[cfg(feature = "write")]
pub mod squashfs;
#[cfg(feature = "write")]
pub mod tree;
#[cfg(feature = "write")]
pub mod uki;
pub mod verity;
